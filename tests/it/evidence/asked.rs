//! What `audit verify` and `audit stats` say of the log that the config names, whatever its files are called.

use std::fs;
use std::process::Command;

use super::{Came, came, numbered, write};
use crate::gate::Gate;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_files_of_a_log_are_verified_whatever_they_are_called() {
    let elsewhere = tempfile::tempdir().unwrap();
    let seen = elsewhere.path().join("seen.jsonl");
    for (file, sealed) in [("log/gw.jsonl", "gw-"), ("log/audit.jsonl", "audit-"), ("log.d", "audit-")] {
        // Somebody before left half a line: what comes is of use all the same.
        fs::write(&seen, "{\"log\":\"00").unwrap();
        let mut gate = Gate::program(|files| {
            numbered(files);
            let export = format!("checkpoints: {{ export: [{{ file: {} }}] }}", seen.display());
            let section = format!("audit: {{ sinks: [{{ file: {file} }}], rotate: {{ size: 64KiB }}, {export},");
            files.config = files.config.replace("audit: {", &section);
        })
        .await;
        let token = gate.token("alice", &["eng"]);
        for n in 0..24 {
            assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 1_900)).await), Came::Done);
        }
        assert_eq!(gate.terminate().await, Some(0));
        let config = gate.dir.path().join("portcullis.yaml");
        let ask = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
            let output = command.arg("audit").args(words).arg("--config").arg(&config).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            (output.status.code(), text)
        };
        let (code, said) = ask(&["verify", "--checkpoints", seen.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{file}: {said}");
        let compared = said.lines().find(|line| line.contains("checkpoints kept elsewhere")).unwrap();
        assert!(!compared.contains(" 0 compared") && compared.contains(" 1 unusable"), "{file}: {compared}");
        let (_, counted) = ask(&["stats"]);
        assert!(counted.contains("24 intent"), "{file}: {counted}");
        let dir = gate.dir.path().join("data").join(file);
        let dir = if dir.is_dir() { dir } else { dir.parent().unwrap().to_owned() };
        let first = dir.join(format!("{sealed}00000000000000000001.jsonl"));
        let mut bytes = fs::read(&first).unwrap_or_else(|error| panic!("{}: {error}", first.display()));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&first, bytes).unwrap();
        let (code, said) = ask(&["verify"]);
        assert_eq!(code, Some(1), "{file}: {said}");
        assert!(said.contains(&format!("{sealed}00000000000000000001.jsonl")), "{file}: {said}");
    }
}
