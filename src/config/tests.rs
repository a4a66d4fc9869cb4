mod admin;
mod authserver;
mod channels;
mod file;
mod full;
mod identity;
mod rules;
mod sinks;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::vocab::Revision;

const SECRET: &str = "hunter2-very-secret";

/// The smallest config, in named pieces that a case can replace.
const BASE: [(&str, &str); 6] = [
    ("version", "version: 1"),
    ("listen", "listen: 127.0.0.1:0"),
    ("tls", "tls: none"),
    ("routes", "routes: [{ path: /mcp, upstreams: [files] }]"),
    ("upstreams", "upstreams: [{ name: files, http: { url: \"http://127.0.0.1:1/mcp\" } }]"),
    ("policies", "policies: [policies]"),
];

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("policies/a.yaml", "version: 1\n");
        files.write("cert.pem", "certificate\n");
        files.write("key.pem", "key\n");
        files.mode("key.pem", 0o600);
        files.write("secret", &format!("{SECRET}\n"));
        files.write("empty", "\n");
        files.write("big", &"x".repeat(65 * 1024));
        files.write("jwks.json", "{}");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self, yaml: &str) -> Result<Config, Vec<Problem>> {
        self.write("portcullis.yaml", yaml);
        load_with(&self.path("portcullis.yaml"), &|name| match name {
            "TOKEN" => Some(SECRET.to_owned()),
            "TRICKY" => Some("${env:TOKEN}".to_owned()),
            "NEWLINE" => Some("line\n".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }
}

/// The base with the pieces named by `yaml`'s top-level keys left out, then `yaml`.
fn with(yaml: &str) -> String {
    let replaced = |key: &str| yaml.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    let kept = BASE.iter().filter(|(key, _)| !replaced(key)).map(|(_, text)| *text);
    yaml.lines().chain(kept).collect::<Vec<_>>().join("\n")
}

/// Exactly these problems, as (path, fragment of message, line); the yaml of the case comes first in the file.
#[track_caller]
fn refuses(yaml: &str, expected: &[(&str, &str, u64)]) {
    refuses_in(&Files::new(), yaml, expected);
}

#[track_caller]
fn refuses_in(files: &Files, yaml: &str, expected: &[(&str, &str, u64)]) {
    let problems = match files.load(&with(yaml)) {
        Ok(_) => panic!("accepted:\n{yaml}"),
        Err(problems) => problems,
    };
    let found: Vec<_> = problems.iter().map(|p| (p.path.as_str(), p.message.as_str(), p.line)).collect();
    assert_eq!(found.len(), expected.len(), "{yaml}\n{found:#?}");
    for ((path, message, line), (want_path, want_message, want_line)) in found.iter().zip(expected) {
        assert_eq!((path, line), (want_path, want_line), "{yaml}\n{found:#?}");
        assert!(message.contains(want_message), "{yaml}\n{found:#?}");
    }
    let printed = format!("{problems:?} {}", problems.iter().map(ToString::to_string).collect::<String>());
    assert!(!printed.contains(SECRET), "a secret in {printed}");
}

#[track_caller]
fn accepts(yaml: &str) -> Config {
    let files = Files::new();
    files.load(&with(yaml)).unwrap_or_else(|problems| panic!("refused:\n{yaml}\n{problems:#?}"))
}

fn upstream(rest: &str) -> String {
    format!("upstreams:\n  - name: files\n    {rest}")
}

fn http(rest: &str) -> String {
    upstream(&format!("http: {{ url: \"https://mcp.example.com/\" }}\n    {rest}"))
}

fn issuer(rest: &str) -> String {
    format!("identity:\n  issuers:\n    - issuer: https://idp.example.com\n      {rest}")
}

fn api_key(rest: &str) -> String {
    let hash = "ab".repeat(32);
    format!("identity:\n  api_keys:\n    - {{ id: k1, name: ci, hash: \"sha256:{hash}\"{rest} }}")
}
