//! Disks that fail, are full or hang: writes are refused, reads go on, and all is well again by itself.

use std::process::Command;
use std::time::{Duration, Instant};

use super::log::Log;
use super::{Came, came, can, done, intends, numbered, watch, write};
use crate::gate::{Gate, Run, soon};
use crate::wire::{Req, SOON};

/// Runs the gateway such that what `inject` says happens to its syncs of the audit file.
fn strace(dir: &std::path::Path, inject: &str) -> Vec<String> {
    let file = dir.join("data/audit/audit.jsonl");
    // The tracer is no parent of the program, and ends with it.
    let words =
        ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", file.to_str().unwrap(), "-e", "trace=fdatasync", "-e", inject];
    words.map(str::to_owned).to_vec()
}

fn may_trace() -> bool {
    can("strace", Command::new("strace").args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO", "true"]))
}

async fn ready(gate: &Gate) -> u16 {
    gate.admin("/readyz").await.status
}

async fn ready_again(gate: &Gate) {
    let until = Instant::now() + SOON;
    while ready(gate).await != 200 {
        assert!(Instant::now() < until, "it does not recover: {}", gate.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_lets_nothing_out_and_is_final_for_its_file() {
    if !may_trace() {
        return;
    }
    let gate = Gate::wrapped(|dir| strace(dir, "inject=fdatasync:error=EIO:when=3+5"), numbered).await;
    let token = gate.token("alice", &["eng"]);
    let dir = gate.dir.path().join("data/audit");
    let file = dir.join("audit.jsonl");
    let without = watch(&gate, move |n| std::fs::read_to_string(&file).unwrap().lines().any(|line| intends(line, n)));
    let (mut passed, mut refused) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for n in 0..60 {
        match came(&gate.reach.send(&write(&gate, &token, n, 0)).await) {
            Came::Done => passed.insert(n),
            Came::Refused => refused.insert(n),
        };
        ready_again(&gate).await;
    }
    assert!(refused.len() >= 5 && passed.len() >= 20, "{} refused, {} done", refused.len(), passed.len());
    assert_eq!(done(&gate), passed, "what was refused did not leave");
    assert_eq!(*without.lock(), Vec::<u64>::new(), "without an intent in the file");
    let mut gate = gate;
    assert_eq!(gate.terminate().await, Some(0));
    let log = Log::read(&dir);
    assert!(log.failed >= 1 && log.torn == 0, "{} {}", log.failed, log.torn);
    assert!(log.intents().is_superset(&passed), "{:?}", passed.difference(&log.intents()).collect::<Vec<_>>());
    let outcomes = log.records.values().filter(|r| r["kind"] == "outcome" && r["name"] == "up__write").count();
    assert_eq!(outcomes, 60, "what was refused is on record too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_refuses_writes_in_time_and_holds_up_no_read() {
    if !may_trace() {
        return;
    }
    let quick = |files: &mut crate::gate::Files| {
        numbered(files);
        files.config = files.config.replace("audit: {", "audit: { intent_timeout: 2s,");
    };
    let gate = Gate::wrapped(|dir| strace(dir, "inject=fdatasync:delay_enter=12000000:when=2"), quick).await;
    let token = gate.token("alice", &["eng"]);
    let mut refused = 0;
    for n in 0..4 {
        let start = Instant::now();
        refused += u32::from(came(&gate.reach.send(&write(&gate, &token, n, 0)).await) == Came::Refused);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
    assert!(refused >= 2, "{refused}");
    assert_eq!(ready(&gate).await, 503);
    let read = gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await;
    assert!(read.text().contains("did"), "{}", read.whole());
    assert_eq!(gate.admin("/healthz").await.status, 200);
    assert_eq!(done(&gate).len(), 4 - refused as usize);
    ready_again(&gate).await;
    assert_eq!(came(&gate.reach.send(&write(&gate, &token, 9, 0)).await), Came::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stalls_for_less_than_intents_may_take_refuses_nothing() {
    if !may_trace() {
        return;
    }
    let patient = |files: &mut crate::gate::Files| {
        numbered(files);
        files.config = files.config.replace("audit: {", "audit: { intent_timeout: 30s,");
    };
    let gate = Gate::wrapped(|dir| strace(dir, "inject=fdatasync:delay_enter=4000000:when=2"), patient).await;
    let token = gate.token("alice", &["eng"]);
    let mut longest = Duration::ZERO;
    for n in 0..4 {
        let start = Instant::now();
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
        longest = longest.max(start.elapsed());
    }
    assert!(longest > Duration::from_secs(3), "the disk did not stall: {longest:?}");
    assert_eq!((done(&gate).len(), ready(&gate).await), (4, 200));
}

/// The file may not become longer than the system allows: as a full disk, for whoever may mount nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_takes_no_more_lets_nothing_out_until_it_does() {
    let shell = ["bash", "-c", "trap '' XFSZ; ulimit -S -f 512; exec \"$0\" \"$@\""];
    let gate = Gate::wrapped(|_| shell.map(str::to_owned).to_vec(), numbered).await;
    let token = gate.token("alice", &["eng"]);
    let dir = gate.dir.path().join("data/audit");
    let file = dir.join("audit.jsonl");
    let without = watch(&gate, move |n| std::fs::read_to_string(&file).unwrap().lines().any(|line| intends(line, n)));
    let mut passed = std::collections::BTreeSet::new();
    let mut n = 0;
    while came(&gate.reach.send(&write(&gate, &token, n, 1_900)).await) == Came::Done {
        passed.insert(n);
        n += 1;
        assert!(n < 1_000, "the limit is not met");
    }
    for _ in 0..3 {
        n += 1;
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 1_900)).await), Came::Refused);
    }
    assert_eq!(ready(&gate).await, 503);
    let read = gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await;
    assert!(read.text().contains("did"), "reads go on: {}", read.whole());
    let Run::Process(process) = &gate.run else { panic!("runs here") };
    let raise = Command::new("prlimit").args([&format!("--pid={}", process.pid), "--fsize=unlimited"]).status().unwrap();
    assert!(raise.success());
    ready_again(&gate).await;
    n += 1;
    assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
    passed.insert(n);
    assert_eq!((done(&gate), without.lock().len()), (passed.clone(), 0));
    soon("the last record", || Log::read(&dir).records.values().last().is_some_and(|r| r["kind"] == "checkpoint")).await;
    let log = Log::read(&dir);
    assert!(log.intents().is_superset(&passed) && log.torn == 0);
    // What came while nothing could be written was kept and is there: the refusals, and the read.
    let outcomes = log.records.values().filter(|r| r["kind"] == "outcome" && r["name"] == "up__write").count() as u64;
    assert_eq!(outcomes, n + 1);
    assert!(log.records.values().any(|r| r["name"] == "up__echo"));
}

/// The queue is full once what cannot be written has taken all of its room: then nothing is read of a request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_served_without_room_for_its_record() {
    let shell = ["bash", "-c", "trap '' XFSZ; ulimit -S -f 512; exec \"$0\" \"$@\""];
    let few = |files: &mut crate::gate::Files| files.config = files.config.replace("depth: 64", "depth: 64, in_flight: 64");
    let gate = Gate::wrapped(|_| shell.map(str::to_owned).to_vec(), few).await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-03-26").await;
    // 32 records each.
    let pings: Vec<String> = (0..32).map(|n| format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"ping"}}"#)).collect();
    let batch = gate.post("/mcp", &token).add("Mcp-Session-Id", &session).body(format!("[{}]", pings.join(",")));
    let (mut conn, mut sent) = (gate.reach.open().await, 0);
    loop {
        conn.write(&batch.bytes()).await;
        let answer = conn.response().await;
        if answer.status == 503 {
            break;
        }
        assert_eq!(answer.status, 200, "{sent}: {}", answer.whole());
        sent += 1;
        assert!(sent < 3_000, "the queue takes all");
    }
    let document = Req::new("GET", "/.well-known/oauth-protected-resource/mcp").add("Host", &gate.authority());
    let mut shed = gate.reach.send(&document).await;
    for _ in 0..64 {
        if shed.status == 503 {
            break;
        }
        shed = gate.reach.send(&document).await;
    }
    assert_eq!((shed.status, shed.text().as_str(), shed.ended), (503, "", true), "{}", shed.whole());
    for (name, value) in [("retry-after", "1"), ("cache-control", "no-store"), ("x-content-type-options", "nosniff")] {
        assert_eq!(shed.header(name), Some(value), "{}", shed.whole());
    }
    let call = gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await;
    assert_eq!((call.status, gate.up.calls().len()), (503, 0), "{}", call.whole());
    let metrics = gate.admin("/metrics").await.text();
    assert!(metrics.contains("portcullis_sheds_total{reason=\"audit_queue_full\"}"), "{metrics}");
    let Run::Process(process) = &gate.run else { panic!("runs here") };
    let raise = Command::new("prlimit").args([&format!("--pid={}", process.pid), "--fsize=unlimited"]).status().unwrap();
    assert!(raise.success());
    ready_again(&gate).await;
    assert_eq!(gate.reach.send(&document).await.status, 200);
}

/// What is given a name is on disk under it before anything relies on that: the directory of the log before there is a file in it, and
/// what is put aside before it is cut off where it was. The test runs itself again, traced.
#[test]
fn names_are_on_disk_before_anything_relies_on_them() {
    const NAME: &str = "evidence::faults::names_are_on_disk_before_anything_relies_on_them";
    if let Some(dir) = std::env::var_os("AUDIT_NAMES_DIR") {
        let dir = std::path::Path::new(&dir);
        let settings = portcullis::audit::Settings::new(dir.join("data/audit"), &dir.join("keys"), 10);
        let audit = portcullis::audit::Audit::open(&settings, portcullis::vocab::Clock::system()).unwrap();
        return audit.close(Duration::from_secs(10)).unwrap();
    }
    if !may_trace() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().canonicalize().unwrap();
    std::fs::create_dir(dir.join("keys")).unwrap();
    let traced = || {
        let trace = dir.join("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-y", "-e", "trace=mkdir,fsync,ftruncate", "-o"]).arg(&trace);
        let output = command.arg(std::env::current_exe().unwrap()).args(["--exact", NAME]).env("AUDIT_NAMES_DIR", &dir).output();
        assert!(output.unwrap().status.success());
        let text = std::fs::read_to_string(trace).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let at = |lines: &[String], call: &str, path: &str| {
        let named = [format!("<{}{path}>", dir.display()), format!("\"{}{path}\"", dir.display())];
        let is_it = |line: &String| line.contains(call) && named.iter().any(|name| line.contains(name.as_str()));
        lines.iter().position(is_it).unwrap_or_else(|| panic!("no {call} of {path}: {lines:#?}"))
    };
    let lines = traced();
    assert!(at(&lines, "mkdir(", "/data") < at(&lines, "fsync(", ""));
    assert!(at(&lines, "mkdir(", "/data/audit") < at(&lines, "fsync(", "/data"));
    assert!(at(&lines, "fsync(", "/data") < at(&lines, "fsync(", "/data/audit"));
    let file = dir.join("data/audit/audit.jsonl");
    let torn = std::fs::read_to_string(&file).unwrap() + "{\"v\":1,\"se";
    std::fs::write(&file, torn).unwrap();
    let lines = traced();
    let cut = at(&lines, "ftruncate(", "/data/audit/audit.jsonl");
    assert!(at(&lines, "fsync(", "/data/audit/audit.jsonl.torn") < at(&lines, "fsync(", "/data/audit"));
    assert!(at(&lines, "fsync(", "/data/audit") < cut);
}
