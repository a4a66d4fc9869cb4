//! Starts a process, with nothing of our environment but what it needs, as head of its own group.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio as Pipe;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use secrecy::{ExposeSecret, SecretString};
use tokio::process::{Child, Command};

use crate::vocab::{Fault, FaultKind};

/// A started process.
pub(super) struct Spawned {
    pub(super) child: Child,
    pub(super) group: Group,
    /// The directory made for it, removed with it.
    pub(super) own_dir: Option<PathBuf>,
}

/// The process group of a process, which also holds whatever the process starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group(Pid);

impl Group {
    /// Asks the group to end. Only while its head was not waited for, or at once after: the number could become another's.
    pub(super) fn terminate(self) {
        let _ = killpg(self.0, Signal::SIGTERM);
    }

    /// Ends the group. As [`Self::terminate`].
    pub(super) fn kill(self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// What to start.
pub(super) struct Program<'a> {
    pub(super) command: &'a str,
    pub(super) args: &'a [String],
    pub(super) env: &'a [(String, SecretString)],
    pub(super) cwd: Option<&'a Path>,
    pub(super) work_dir: &'a Path,
    pub(super) upstream: &'a str,
}

impl Program<'_> {
    pub(super) async fn spawn(&self) -> Result<Spawned, Fault> {
        let own_dir = match self.cwd {
            Some(_) => None,
            None => Some(self.empty_dir().await.map_err(|e| failed("no directory for it", &e))?),
        };
        let dir = own_dir.as_deref().or(self.cwd).unwrap_or(self.work_dir);
        let mut command = Command::new(self.program());
        command.args(self.args).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH)));
        command.env("HOME", dir).env("LANG", "C.UTF-8");
        command.envs(self.env.iter().map(|(name, value)| (name, value.expose_secret())));
        command.current_dir(dir).process_group(0).kill_on_drop(true);
        command.stdin(Pipe::piped()).stdout(Pipe::piped()).stderr(Pipe::piped());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                remove(own_dir).await;
                return Err(failed("it cannot be started", &error));
            }
        };
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| Fault::upstream(FaultKind::Unreachable, "it ended at once"))?;
        Ok(Spawned { child, group: Group(Pid::from_raw(id)), own_dir })
    }

    /// A path is the operator's, from where the gateway was started; a name is looked up in `PATH`.
    fn program(&self) -> PathBuf {
        let path = Path::new(self.command);
        let relative_path = path.is_relative() && self.command.contains('/');
        match std::env::current_dir() {
            Ok(here) if relative_path => here.join(path),
            _ => path.to_owned(),
        }
    }

    async fn empty_dir(&self) -> io::Result<PathBuf> {
        let mut builder = tokio::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(self.work_dir).await?;
        let dir = self.work_dir.join(format!("{}-{}", self.upstream, uuid::Uuid::now_v7().simple()));
        tokio::fs::DirBuilder::new().mode(0o700).create(&dir).await?;
        // Absolute, because it becomes HOME.
        tokio::fs::canonicalize(&dir).await
    }
}

/// Removes the directory of a process that ended.
pub(super) async fn remove(own_dir: Option<PathBuf>) {
    if let Some(dir) = own_dir
        && let Err(error) = tokio::fs::remove_dir_all(&dir).await
    {
        tracing::warn!(dir = %dir.display(), %error, "the directory of an ended process was not removed");
    }
}

fn failed(what: &str, error: &io::Error) -> Fault {
    Fault::upstream(FaultKind::Unreachable, format!("{what}: {}", error.kind()))
}

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
