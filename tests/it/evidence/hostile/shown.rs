//! Everything that shows what was recorded.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::assert_plain;
use crate::gate::Gate;
use crate::wire::Req;

/// Runs the program and returns its standard output, which is fit for a terminal as its diagnostics are.
#[track_caller]
pub(super) fn run(command: &mut Command, codes: &[i32]) -> String {
    let output = command.env_remove("PORTCULLIS_CONFIG").stdin(Stdio::null()).output().unwrap();
    let what = format!("{command:?}");
    assert_plain(&what, &output.stdout);
    assert_plain(&what, &output.stderr);
    let code = output.status.code().unwrap();
    assert!(codes.contains(&code), "{what}: {code}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn portcullis(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(args);
    command
}

/// Metrics, in every form that is text.
pub(super) async fn scraped(gate: &Gate) {
    for accept in ["text/plain", "application/openmetrics-text"] {
        let scrape = Req::new("GET", "/metrics").add("Host", &gate.admin.addr.to_string()).add("Accept", accept);
        let metrics = gate.admin.send(&scrape).await;
        assert!(metrics.status == 200 && metrics.text().contains("portcullis_decisions_total"), "{}", metrics.whole());
        assert_plain("metrics", &metrics.body);
        for line in metrics.text().lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
        }
    }
}

/// The operator's log, which the program wrote in `format`.
pub(super) fn log(gate: &Gate, format: &str) -> String {
    let log = gate.log();
    assert_plain("stderr", log.as_bytes());
    for line in log.lines() {
        if format == "json" {
            let read: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(read["timestamp"].is_string() && read["level"].is_string(), "{line}");
        } else {
            let (time, rest) = line.split_once('Z').unwrap_or_else(|| panic!("{line}"));
            let level = rest.trim_start().split(' ').next().unwrap();
            assert!(time.starts_with("20") && ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{line}");
        }
    }
    log
}

/// The commands about a log of so many lines, in the form that goes with `format`.
pub(super) fn everything(gate: &Gate, format: &str, lines: usize) {
    let (dir, limit) = (gate.dir.path().join("data/audit"), "100000");
    let (log, form) = (dir.to_str().unwrap(), if format == "json" { &["--json"][..] } else { &[] });
    let told = |args: &[&str]| run(&mut portcullis(&[args, form].concat()), &[0]);
    let shown = told(&["audit", "show", "--log", log, "--limit", limit]);
    assert_eq!(shown.lines().count(), lines, "a line each");
    if format == "json" {
        shown.lines().for_each(|line| drop(json(line)));
    }
    // Some, the longest among them, with all they hold.
    let file = std::fs::read_to_string(dir.join("audit.jsonl")).unwrap();
    let longest = file.lines().max_by_key(|line| line.len()).unwrap();
    for line in file.lines().step_by(file.lines().count().div_ceil(4)).chain([longest]) {
        let record = json(line);
        told(&["audit", "show", "--log", log, record["id"].as_str().unwrap()]);
        told(&["audit", "show", "--log", log, &record["seq"].to_string()]);
    }
    for by in ["principal,client,tool,upstream", "method,route,class,kind", "status,reason,rule,error", ""] {
        let by = if by.is_empty() { Vec::new() } else { vec!["--by", by] };
        told(&[&["audit", "stats", log, "--top", limit, "--since", "24h"][..], &by].concat());
    }
    let verified = told(&["audit", "verify", log]);
    assert!(format == "text" || json(&verified)["sound"] == true, "{verified}");
}

#[track_caller]
pub(super) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The recorded calls decided again, by a policy that allows nothing, so that there is something to say of each.
pub(super) fn replayed(gate: &Gate) {
    let policy = gate.dir.path().join("other.yaml");
    std::fs::write(&policy, "version: 1\n").unwrap();
    let (policy, log) = (policy.to_str().unwrap(), gate.dir.path().join("data/audit"));
    let said = run(&mut portcullis(&["replay", "--policy", policy, log.to_str().unwrap()]), &[0, 1]);
    assert!(said.lines().filter(|line| line.starts_with("changed ")).count() > 1_000, "{said}");
    let lines = run(&mut portcullis(&["replay", "--policy", policy, log.to_str().unwrap(), "--json"]), &[0, 1]);
    lines.lines().for_each(|line| drop(json(line)));
}
