//! The command line as a shell sees it: what is printed where, and the exit code.
#![expect(clippy::unwrap_used, reason = "tests")]

mod check;
mod init;
mod questions;
mod tokens;
mod usable;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use portcullis::config;
use portcullis::identity::dev::DevIssuer;
use portcullis::identity::{Asked, Authenticator, KeySettings, Settings};
use portcullis::net::{Fetch, client_config};
use portcullis::vocab::Resource;
use portcullis::vocab::{Clock, Principal};

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn portcullis(args: &[&str]) -> Ran {
    let output = command(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(args).env_remove("PORTCULLIS_CONFIG").stdin(Stdio::null());
    command
}

/// A config that holds, with `change` applied to its text.
fn config_file(dir: &Path, change: impl FnOnce(String) -> String) -> PathBuf {
    let text = "version: 1
listen: 127.0.0.1:8443
data_dir: data
tls: self_signed
identity: { dev: { enabled: true } }
routes: [{ path: /mcp, upstreams: [notes] }]
upstreams: [{ name: notes, http: { url: \"http://127.0.0.1:9/mcp\" } }]
policies: [policy.yaml]
";
    fs::write(dir.join("policy.yaml"), include_str!("../../policies/demo/demo.yaml")).unwrap();
    let file = dir.join("portcullis.yaml");
    fs::write(&file, change(text.to_owned())).unwrap();
    file
}

#[test]
fn what_is_not_built_says_so_whatever_its_arguments() {
    for (args, what) in [
        (vec!["lock"], "lock"),
        (vec!["lock", "diff"], "lock"),
        (vec!["completions", "bash"], "completions"),
        (vec!["man"], "man"),
    ] {
        let ran = portcullis(&args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}");
        assert_eq!(ran.stderr, format!("not built yet: {what}\n"), "{args:?}");
    }
}

#[test]
fn usage_is_an_answer_when_asked_for_and_an_error_otherwise() {
    for (args, code, in_stdout, in_stderr) in [
        (vec!["--help"], 0, "Usage: portcullis", ""),
        (vec!["help"], 0, "Usage: portcullis", ""),
        (vec!["help", "serve"], 0, "--config", ""),
        (vec!["--version"], 0, "portcullis 0.", ""),
        (vec!["version"], 0, "portcullis 0.", ""),
        (vec![], 2, "", "Usage: portcullis"),
        (vec!["frobnicate"], 2, "", "frobnicate"),
        (vec!["serve", "--nope"], 2, "", "--nope"),
        (vec!["token"], 2, "", "--sub"),
        (vec!["token", "--sub", "a", "--expires", "400d"], 2, "", "--expires"),
        (vec!["key", "new", "--name", "ci", "--expires", "2001-01-01"], 2, "", "in the past"),
        (vec!["key", "new", "--name", "a b"], 2, "", "--name"),
        (vec!["schema", "everything"], 2, "", "everything"),
        (vec!["schema", "cases"], 0, "Portcullis policy cases", ""),
        (vec!["schema", "audit"], 0, "Portcullis audit record", ""),
        (vec!["test", "--help"], 0, "--min-coverage", ""),
        (vec!["explain", "--as", "anonymous"], 2, "", "--call"),
        (vec!["explain", "--call", "a__b"], 2, "", "--as"),
        (vec!["access", "--help"], 0, "--against", ""),
        (vec!["replay"], 2, "", "AUDIT"),
    ] {
        let ran = portcullis(&args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(in_stdout) && ran.stderr.contains(in_stderr), "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert_eq!((ran.stdout.is_empty(), ran.stderr.is_empty()), (in_stdout.is_empty(), in_stderr.is_empty()), "{args:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (key, listen) in [
        ("listen", format!("listen: {address}\n")),
        ("admin.listen", format!("listen: 127.0.0.1:0\nadmin: {{ listen: \"{address}\" }}\n")),
    ] {
        let file = config_file(dir.path(), |text| text.replace("listen: 127.0.0.1:8443\n", &listen));
        let ran = portcullis(&["serve", "--config", file.to_str().unwrap()]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("{key}: {address} cannot be taken: ")), "{}", ran.stderr);
    }
}

#[test]
fn the_environment_names_the_config() {
    let dir = tempfile::tempdir().unwrap();
    let file = config_file(dir.path(), |text| text);
    let run = |config: &Path| {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("check")
            .env("PORTCULLIS_CONFIG", config)
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(run(&file), Some(0));
    assert_eq!(run(&dir.path().join("absent.yaml")), Some(2));
}

#[test]
fn schemas_are_json() {
    for of in ["config", "policy"] {
        let ran = portcullis(&["schema", of]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let schema: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(schema.get("type"), Some(&"object".into()), "{of}");
    }
}

#[test]
fn health_of_nobody_is_no() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = portcullis(&["health", "--address", &port.to_string()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains(&port.to_string()));
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_is_lost_is_no_success() {
    let run = |stdout: Stdio| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["schema", "config"])
            .stdout(stdout)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.wait().unwrap().code()
    };
    assert_eq!(run(fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()), Some(70));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(run(writer.into()), Some(0), "a reader that went away has seen enough");
}

#[test]
fn a_demo_stays_out_of_other_peoples_directories() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
    let ran = portcullis(&["demo", "--once", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("not empty"), "{}", ran.stderr);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// What a client has to trust is said whether the gateway stays up or not: with a directory of its own, the CA outlives the walk.
#[cfg(feature = "demo")]
#[test]
fn a_demo_that_ends_names_the_ca_that_clients_trust() {
    let dir = tempfile::tempdir().unwrap();
    let ran = portcullis(&["demo", "--once", "--listen", "127.0.0.1:0", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let after = |start: &str| ran.stdout.lines().find_map(|line| line.trim_start().strip_prefix(start).map(PathBuf::from));
    let (ca, exported) = (after("CA: "), after("export NODE_EXTRA_CA_CERTS="));
    assert_eq!(ca, exported, "{}", ran.stdout);
    assert!(ca.is_some_and(|ca| ca.is_file()), "{}", ran.stdout);
}
