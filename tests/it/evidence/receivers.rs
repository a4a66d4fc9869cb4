//! Receivers that take little at once, or refuse for good; logs that are others, and positions that cannot be saved.

use std::fs::OpenOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::exports::SECRET;
use super::log::Log;
use super::sinks::{metric, ok, receiver, sinks};
use super::{Came, came, write};
use crate::gate::{Gate, soon};
use crate::peer::{Answer, Peer, Seen};

/// The last record in the file that is written.
fn last_record(gate: &Gate) -> Value {
    let text = gate.audit_text();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().last().map_or(Value::Null, |line| serde_json::from_str(line).unwrap())
}

/// Its number.
fn written(gate: &Gate) -> u64 {
    last_record(gate)["seq"].as_u64().unwrap_or(0)
}

/// Whether nothing more comes: everything is signed, and the sink has it.
fn at_rest(gate: &Gate, sink: &str) -> bool {
    let last = last_record(gate);
    last["kind"] == "checkpoint" && last["seq"] == position(gate, sink)
}

/// Waits until `done`, or fails. Attempts of a sink are up to a quarter of a minute apart.
async fn eventually(what: &str, done: impl Fn() -> bool) {
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(tokio::time::Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn position(gate: &Gate, sink: &str) -> u64 {
    let saved = std::fs::read_to_string(gate.dir.path().join(format!("data/audit/sinks/{sink}.json"))).unwrap_or_default();
    serde_json::from_str::<Value>(&saved).map_or(0, |saved| saved["seq"].as_u64().unwrap())
}

/// The real program, which deletes old files once `peer`, its sink `siem`, has what is in them.
async fn keeping_for(peer: &Peer) -> Gate {
    let siem = format!("{{ name: siem, http: {{ url: \"http://{}/in\", secret: {SECRET} }} }}", peer.addr);
    let more = "rotate: { size: 64KiB }, retain: { size: 1MiB, exported: true },";
    Gate::program(|files| sinks(files, &siem, more)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_takes_little_at_once_has_everything_in_the_end() {
    let (down, most) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (is_down, refused) = (down.clone(), most.clone());
    let (peer, taken) = receiver(move |_, seen| match seen.body.len() {
        _ if is_down.load(Ordering::Relaxed) => Answer::Json(503, "", String::new()),
        bytes if bytes > 64 * 1024 => {
            refused.fetch_max(bytes, Ordering::Relaxed);
            Answer::Json(413, "", String::new())
        }
        _ => ok(),
    })
    .await;
    let url = format!("http://{}/in", peer.addr);
    let gate = Gate::program(|files| sinks(files, &format!("{{ http: {{ url: \"{url}\", secret: {SECRET} }} }}"), "")).await;
    let token = gate.token("alice", &["eng"]);
    for n in 0..200 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 2_000)).await), Came::Done);
    }
    let last = written(&gate);
    assert!(gate.audit_text().len() > 4 * 64 * 1024);
    soon("it failed", || gate.log().contains("does not take records")).await;
    assert_eq!(metric(&gate, "portcullis_audit_sink_failing{sink=\"http\"}").await, 1);
    down.store(false, Ordering::Relaxed);
    eventually("everything is there", || taken.lock().last() >= last).await;
    assert!(most.load(Ordering::Relaxed) > 4 * 64 * 1024);
    // Where its bound is was met again and again: it takes records all the same.
    for (what, times) in [("does not take records", 1), ("takes records again", 1)] {
        assert_eq!(gate.log().matches(what).count(), times, "{}", gate.log());
    }
    assert_eq!(metric(&gate, "portcullis_audit_sink_failing{sink=\"http\"}").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_a_sink_got_in_another_log_is_no_progress() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = down.clone();
    let answer = move |_, _: &Seen| if is_down.load(Ordering::Relaxed) { Answer::Json(503, "", String::new()) } else { ok() };
    let (peer, taken) = receiver(answer).await;
    let mut gate = keeping_for(&peer).await;
    let token = gate.token("alice", &["eng"]);
    for n in 0..150 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
    }
    soon("it has them", || taken.lock().last() > 300 && position(&gate, "siem") > 300).await;
    down.store(true, Ordering::Relaxed);
    for entry in std::fs::read_dir(gate.dir.path().join("data/audit")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "jsonl" || ending == "gz") {
            std::fs::rename(&path, gate.dir.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    gate = gate.again().await;
    let token = gate.token("alice", &["eng"]);
    for n in 0..250 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 5_000)).await), Came::Done);
    }
    soon("it was tried again", || gate.log().contains("does not take records")).await;
    assert!(metric(&gate, "portcullis_audit_sink_lag_records{sink=\"siem\"}").await >= 300);
    let failures = metric(&gate, "portcullis_audit_sink_failures_total{sink=\"siem\"}").await;
    while metric(&gate, "portcullis_audit_sink_failures_total{sink=\"siem\"}").await < failures + 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(gate.log().matches("the audit is another log").count(), 1, "{}", gate.log());
    assert_eq!(gate.terminate().await, Some(0));
    // The chain begins with the first record: nothing was deleted that nobody else has.
    let log = Log::read(&gate.dir.path().join("data/audit"));
    assert!(log.records.len() > 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_a_receiver_of_logs_refuses_are_counted_and_pages_are_no_answer() {
    fn raw(media_type: &str, body: &str) -> Answer {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n", body.len());
        Answer::Raw(format!("{head}{body}").into_bytes())
    }
    let count = AtomicUsize::new(0);
    let page = Arc::new(AtomicBool::new(true));
    let still = page.clone();
    let peer = Peer::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        // partial_success { rejected_log_records: 1 }
        0 => raw("application/x-protobuf", "\x0a\x02\x08\x01"),
        1 => Answer::Json(200, "", r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no"}}"#.to_owned()),
        _ if still.load(Ordering::Relaxed) => raw("text/html", "<html>Please sign in</html>"),
        _ => raw("application/x-protobuf", ""),
    })
    .await;
    let otlp = format!("{{ otlp: {{ endpoint: \"http://{}\" }} }}", peer.addr);
    let mut gate = Gate::program(|files| sinks(files, &otlp, "")).await;
    let token = gate.token("alice", &["eng"]);
    for n in 0..2 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
        soon("a batch", || peer.seen().len() > usize::try_from(n).unwrap() && position(&gate, "otlp") > 0).await;
    }
    for n in 2.. {
        if peer.seen().len() > 3 {
            break;
        }
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(metric(&gate, "portcullis_audit_sink_rejected_total{sink=\"otlp\"}").await, 2);
    let before = position(&gate, "otlp");
    assert!(before < written(&gate), "a page is no answer");
    assert!(gate.log().contains("its answer is none of OTLP"), "{}", gate.log());
    page.store(false, Ordering::Relaxed);
    assert_eq!(gate.terminate().await, Some(0));
    assert_eq!(position(&gate, "otlp"), written(&gate));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_could_not_be_saved_is_saved_though_nothing_more_comes() {
    let (peer, taken) = receiver(|_, _| ok()).await;
    let url = format!("http://{}/in", peer.addr);
    let gate =
        Gate::program(|files| sinks(files, &format!("{{ name: siem, http: {{ url: \"{url}\", secret: {SECRET} }} }}"), "")).await;
    let token = gate.token("alice", &["eng"]);
    assert_eq!(came(&gate.reach.send(&write(&gate, &token, 0, 0)).await), Came::Done);
    soon("it took everything", || at_rest(&gate, "siem")).await;
    // A file is in the way.
    let (dir, away) = (gate.dir.path().join("data/audit/sinks"), gate.dir.path().join("away"));
    std::fs::rename(&dir, &away).unwrap();
    std::fs::write(&dir, "").unwrap();
    let before = taken.lock().last();
    assert_eq!(came(&gate.reach.send(&write(&gate, &token, 1, 0)).await), Came::Done);
    soon("it was sent", || taken.lock().last() > before && gate.log().contains("cannot be noted")).await;
    soon("nothing more comes", || last_record(&gate)["kind"] == "checkpoint").await;
    let sent = taken.lock().last();
    std::fs::remove_file(&dir).unwrap();
    std::fs::rename(&away, &dir).unwrap();
    eventually("it is saved", || position(&gate, "siem") >= sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_the_place_of_what_was_cut_off_is_not_taken_for_exported() {
    let (peer, taken) = receiver(|_, _| ok()).await;
    let mut gate = keeping_for(&peer).await;
    let token = gate.token("alice", &["eng"]);
    for n in 0..20 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
    }
    soon("it took everything", || at_rest(&gate, "siem")).await;
    let had = taken.lock().last();
    let text = gate.audit_text();
    let kept: usize = text.split_inclusive('\n').take(10).map(str::len).sum();
    let file = OpenOptions::new().write(true).open(gate.dir.path().join("data/audit/audit.jsonl")).unwrap();
    file.set_len(kept as u64).unwrap();
    gate = gate.again().await;
    let of_sink = async |what: &str| metric(&gate, &format!("portcullis_audit_sink_{what}{{sink=\"siem\"}}")).await;
    soon("it does not go on", || gate.log().contains("does not take records")).await;
    assert!(written(&gate) < had, "it goes on before that");
    assert!((of_sink("failing").await, of_sink("lag_records").await) >= (1, 10), "behind by all there is");
    while of_sink("lag_seconds").await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let token = gate.token("alice", &["eng"]);
    for n in 0..250 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 5_000)).await), Came::Done);
    }
    assert!(written(&gate) > had + 300);
    assert_eq!(of_sink("failing").await, 1);
    assert_eq!(taken.lock().last(), had, "a record that does not follow is not sent");
    assert_eq!(gate.terminate().await, Some(0));
    // The chain begins with the first record: nothing was deleted that nobody else has.
    assert!(Log::read(&gate.dir.path().join("data/audit")).records.len() > 300);
}
