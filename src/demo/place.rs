//! The directory of a demo: its config, its policy, and what the gateway writes.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{DemoError, Options};

/// The policy of the demo, as it stands in the sources.
const POLICY: &str = include_str!("../../policies/demo/demo.yaml");
/// The first line of the config, by which a directory is known as one of ours.
const MARK: &str = "# The config of `portcullis demo`.";
const CONFIG: &str = "portcullis.yaml";
const MCP_PORT: u16 = 8443;
pub(super) const ADMIN_PORT: u16 = 9443;

/// The directory, written and ready.
pub(super) struct Place {
    dir: PathBuf,
    program: PathBuf,
    /// We made it, so we remove it.
    temporary: bool,
}

impl Place {
    /// Makes the directory and writes config and policy.
    pub(super) fn prepare(options: &Options) -> Result<Self, DemoError> {
        let program = std::env::current_exe().map_err(|error| DemoError::fault("this program", error))?;
        let dir = match &options.dir {
            Some(dir) => existing(dir)?,
            None => temporary().map_err(|error| DemoError::input(std::env::temp_dir().display(), error))?,
        };
        let place = Self { dir, program, temporary: options.dir.is_none() };
        let listen = options.listen.unwrap_or_else(|| usual(MCP_PORT));
        let config = config(&place.program, listen, usual(ADMIN_PORT))?;
        let written = place.write(&config).map_err(|error| DemoError::input(place.dir.display(), error));
        match written {
            Ok(()) => Ok(place),
            Err(error) => {
                place.leave();
                Err(error)
            }
        }
    }

    fn write(&self, config: &str) -> io::Result<()> {
        let policies = self.dir.join("policies");
        DirBuilder::new().recursive(true).mode(0o700).create(&policies)?;
        write_file(&policies.join("demo.yaml"), POLICY)?;
        write_file(&self.config(), config)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// This program, for commands that people copy.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Whether it goes when the demo ends.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Removes the directory if it was made for this run only.
    pub(super) fn leave(self) {
        if self.temporary {
            // What cannot be removed stays where temporary things are, readable by its owner only.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A directory somebody named: new, empty, or of an earlier demo.
fn existing(dir: &Path) -> Result<PathBuf, DemoError> {
    let failed = |error: io::Error| DemoError::input(dir.display(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let dir = dir.canonicalize().map_err(failed)?;
    let is_ours = fs::read_to_string(dir.join(CONFIG)).is_ok_and(|text| text.starts_with(MARK));
    let is_empty = fs::read_dir(&dir).map_err(failed)?.next().is_none();
    if is_ours || is_empty { Ok(dir) } else { Err(DemoError::input(dir.display(), "is not empty and not of an earlier demo")) }
}

/// A directory nobody else can have made, or look into.
fn temporary() -> io::Result<PathBuf> {
    let dir = std::env::temp_dir().canonicalize()?.join(format!("portcullis-demo-{}", uuid::Uuid::now_v7().simple()));
    DirBuilder::new().mode(0o700).create(&dir)?;
    Ok(dir)
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// The port on loopback, or any free one where it is taken.
fn usual(port: u16) -> SocketAddr {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if TcpListener::bind(address).is_ok() { address } else { SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) }
}

fn config(program: &Path, listen: SocketAddr, admin: SocketAddr) -> Result<String, DemoError> {
    let Some(program) = program.to_str() else {
        return Err(DemoError::input(program.display(), "the path of this program is not UTF-8"));
    };
    // A JSON string is a YAML double-quoted scalar; `${` would be a reference there.
    let program = serde_json::Value::from(program.replace("${", "$${"));
    Ok(format!(
        "{MARK}
version: 1
listen: \"{listen}\"
data_dir: data
tls: self_signed                       # the CA is data/tls/ca.pem
identity: {{ dev: {{ enabled: true }} }}   # tokens: portcullis token
routes:
  - {{ path: /mcp, upstreams: [notes] }}
upstreams:
  - name: notes
    stdio: {{ command: {program}, args: [demo-server], danger_unsandboxed: true }}
    shared: true                       # one process, so that everybody sees the same notes
policies: [policies]
admin: {{ listen: \"{admin}\", roles: {{ approver: [\"group:leads\"] }} }}
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Tls, Transport, load};

    fn options(dir: &Path) -> Options {
        Options { once: true, dir: Some(dir.to_owned()), listen: Some("127.0.0.1:0".parse().unwrap()), colour: false }
    }

    #[test]
    fn the_config_it_writes_is_a_good_one() {
        let temp = tempfile::tempdir().unwrap();
        let place = Place::prepare(&options(&temp.path().join("new"))).unwrap();
        let config = load(&place.config()).unwrap();
        assert_eq!((config.tls, config.identity.dev, config.policies.len()), (Tls::SelfSigned, true, 1));
        let Transport::Stdio { command, args, .. } = &config.upstreams.first().unwrap().transport else { panic!("not stdio") };
        assert_eq!((command.as_path(), args.as_slice()), (place.program(), ["demo-server".to_owned()].as_slice()));
        place.leave();
        assert!(temp.path().join("new").join(CONFIG).exists(), "a directory that was named stays");
    }

    #[test]
    fn odd_paths_survive_the_config() {
        let temp = tempfile::tempdir().unwrap();
        let odd = "/odd $${env:HOME} ${env:HOME} \"quoted\" \\ # {x}: y";
        let text = config(Path::new(odd), usual(0), usual(0)).unwrap();
        let file = temp.path().join(CONFIG);
        write_file(&file, &text).unwrap();
        DirBuilder::new().create(temp.path().join("policies")).unwrap();
        write_file(&temp.path().join("policies/demo.yaml"), POLICY).unwrap();
        let config = crate::config::load_with(&file, &|_| Some("replaced".to_owned()));
        // The command does not exist; if that is all the check says, or nothing, the text came through.
        match config {
            Ok(config) => {
                let Transport::Stdio { command, .. } = &config.upstreams.first().unwrap().transport else { panic!("not stdio") };
                assert_eq!(command, Path::new(odd));
            }
            Err(problems) => {
                assert!(problems.iter().all(|p| p.path.ends_with("command") && p.value.starts_with("/odd")), "{problems:?}")
            }
        }
    }

    #[test]
    fn other_peoples_directories_are_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        write_file(&temp.path().join(CONFIG), "version: 1\n").unwrap();
        assert!(matches!(Place::prepare(&options(temp.path())), Err(DemoError::Input(_))));
        assert_eq!(fs::read_to_string(temp.path().join(CONFIG)).unwrap(), "version: 1\n");
        // An earlier demo's directory is taken again, so that clients keep its CA.
        let own = temp.path().join("own");
        Place::prepare(&options(&own)).unwrap();
        Place::prepare(&options(&own)).unwrap();
    }
}
