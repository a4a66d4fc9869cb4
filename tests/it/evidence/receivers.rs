//! Receivers that take little at once, or refuse for good; logs that are others, and positions that cannot be saved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use tokio::sync::Notify;

use super::exports::SECRET;
use super::log::Log;
use super::sinks::{metric, ok, receiver, sinks};
use super::{Came, came, write};
use crate::gate::{Gate, soon};
use crate::peer::{Answer, Peer, Seen};

/// The number of the last record in the file that is written.
fn written(gate: &Gate) -> u64 {
    let text = gate.audit_text();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().last().map_or(0, |line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
}

fn position(gate: &Gate, sink: &str) -> u64 {
    let saved = std::fs::read_to_string(gate.dir.path().join(format!("data/audit/sinks/{sink}.json"))).unwrap_or_default();
    serde_json::from_str::<Value>(&saved).map_or(0, |saved| saved["seq"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_takes_little_at_once_has_everything_in_the_end() {
    let tell = Arc::new(Notify::new());
    let told = tell.clone();
    let (peer, taken) = receiver(move |nth, seen| match seen.body.len() {
        // As slow as it takes for a great many to wait.
        _ if nth == 0 => Answer::Once(told.clone(), Box::new(Answer::Json(503, "", String::new()))),
        bytes if bytes > 64 * 1024 => Answer::Json(413, "", String::new()),
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
    tell.notify_one();
    soon("everything is there", || taken.lock().last() >= last).await;
    assert!(peer.seen().iter().any(|seen| seen.body.len() > 4 * 64 * 1024));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_a_sink_got_in_another_log_is_no_progress() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = down.clone();
    let answer = move |_, _: &Seen| if is_down.load(Ordering::Relaxed) { Answer::Json(503, "", String::new()) } else { ok() };
    let (peer, taken) = receiver(answer).await;
    let url = format!("http://{}/in", peer.addr);
    let mut gate = Gate::program(|files| {
        let more = "rotate: { size: 64KiB }, retain: { size: 1MiB, exported: true },";
        sinks(files, &format!("{{ name: siem, http: {{ url: \"{url}\", secret: {SECRET} }} }}"), more);
    })
    .await;
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
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
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
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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
    soon("it took something", || position(&gate, "siem") > 0).await;
    // A file is in the way.
    let (dir, away) = (gate.dir.path().join("data/audit/sinks"), gate.dir.path().join("away"));
    std::fs::rename(&dir, &away).unwrap();
    std::fs::write(&dir, "").unwrap();
    let before = taken.lock().last();
    assert_eq!(came(&gate.reach.send(&write(&gate, &token, 1, 0)).await), Came::Done);
    soon("it was sent", || taken.lock().last() > before && gate.log().contains("cannot be noted")).await;
    // Checkpoints follow what they cover.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let sent = taken.lock().last();
    std::fs::remove_file(&dir).unwrap();
    std::fs::rename(&away, &dir).unwrap();
    soon("it is saved", || position(&gate, "siem") >= sent).await;
}
