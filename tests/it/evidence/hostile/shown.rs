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
    // The link for whoever started it is no line of the log.
    for line in log.lines().filter(|line| !line.starts_with("console: open http://127.0.0.1:")) {
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

/// The commands about a log of `records` that are no intents, each in both of its forms.
pub(super) fn everything(gate: &Gate, records: usize) {
    let dir = gate.dir.path().join("data/audit");
    let log = dir.to_str().unwrap();
    let limit = "100000";
    let shown = run(&mut portcullis(&["audit", "show", "--log", log, "--limit", limit]), &[0]);
    let raw = run(&mut portcullis(&["audit", "show", "--log", log, "--limit", limit, "--json"]), &[0]);
    let lines: Vec<Value> = raw.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((shown.lines().count(), counted(&lines)), (lines.len(), records), "a line each");
    // The longest and the last, with all they hold.
    let longest = raw.lines().max_by_key(|line| line.len()).unwrap();
    for line in raw.lines().step_by(lines.len().div_ceil(4)).chain([longest]) {
        let record: Value = serde_json::from_str(line).unwrap();
        run(&mut portcullis(&["audit", "show", "--log", log, record["id"].as_str().unwrap()]), &[0]);
        run(&mut portcullis(&["audit", "show", "--log", log, &record["seq"].to_string()]), &[0]);
    }
    for by in ["principal,client,tool,upstream", "method,route,class,kind", "status,reason,rule,error", ""] {
        let by = if by.is_empty() { Vec::new() } else { vec!["--by", by] };
        let stats = [&["audit", "stats", log, "--top", limit, "--since", "24h"][..], &by].concat();
        run(&mut portcullis(&stats), &[0]);
        json(&run(&mut portcullis(&[&stats[..], &["--json"]].concat()), &[0]));
    }
    run(&mut portcullis(&["audit", "verify", log]), &[0]);
    json(&run(&mut portcullis(&["audit", "verify", log, "--json"]), &[0]));
}

fn counted(lines: &[Value]) -> usize {
    lines.iter().filter(|record| record["kind"] != "intent" && record["kind"] != "checkpoint").count()
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
