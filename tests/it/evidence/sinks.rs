//! Records go elsewhere too: all of them, in order, whatever becomes of the receiver, of the files or of the process; and no call waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::exports::{SECRET, signed};
use super::log::{Log, chained};
use super::{Came, came, numbered, write};
use crate::gate::{Files, Gate, soon};
use crate::peer::{Answer, Peer, Seen};

/// With these sinks beside the file, and more of the section before them.
pub(super) fn sinks(files: &mut Files, sinks: &str, more: &str) {
    numbered(files);
    let section = format!("audit: {{ sinks: [{{ file: audit }}, {sinks}], checkpoints: {{ every: 100ms }}, {more}");
    files.config = files.config.replace("audit: {", &section);
}

/// What a receiver took, by number: what came first counts, and what comes again must be the same.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) lines: BTreeMap<u64, String>,
    pub(super) again: usize,
}

impl Taken {
    pub(super) fn take(&mut self, lines: &str) {
        for line in lines.lines() {
            let seq = serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap();
            match self.lines.get(&seq) {
                Some(known) => {
                    assert_eq!(known, line);
                    self.again += 1;
                }
                None => {
                    let before = self.lines.keys().last().copied().unwrap_or(0);
                    assert_eq!(seq, before + 1, "out of order");
                    self.lines.insert(seq, line.to_owned());
                }
            }
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.lines.keys().last().copied().unwrap_or(0)
    }
}

/// A receiver that does with each POST as `answer` says, and has what it answered with a success.
pub(super) async fn receiver(answer: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static) -> (Peer, Arc<Mutex<Taken>>) {
    let taken = Arc::<Mutex<Taken>>::default();
    let (kept, count) = (taken.clone(), AtomicUsize::new(0));
    let peer = Peer::start(move |seen| {
        assert!(signed(seen.header("portcullis-signature").unwrap(), &seen.body));
        let answer = answer(count.fetch_add(1, Ordering::Relaxed), seen);
        if matches!(answer, Answer::Json(200..=299, ..)) {
            kept.lock().take(&seen.body);
        }
        answer
    })
    .await;
    (peer, taken)
}

pub(super) fn ok() -> Answer {
    Answer::Json(204, "", String::new())
}

pub(super) async fn metric(gate: &Gate, name: &str) -> u64 {
    gate.metric(name).await.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_receiver_does_it_has_every_record_in_the_end_and_no_call_waits() {
    let (peer, taken) = receiver(|nth, _| match nth {
        0 => Answer::Json(500, "", "no".to_owned()),
        1 => Answer::Json(307, "location: http://127.0.0.1:1/\r\n", String::new()),
        // It says yes, and does not live to the end of it.
        2 => Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nyes".to_vec()),
        3 => Answer::Huge(1 << 20),
        4 => Answer::Raw(Vec::new()),
        _ => ok(),
    })
    .await;
    let mut gate = Gate::program(|files| {
        sinks(files, &format!("{{ name: siem, http: {{ url: \"http://{}/in\", secret: {SECRET} }} }}", peer.addr), "");
    })
    .await;
    let token = gate.token("alice", &["eng"]);
    for n in 0..20 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
    }
    soon("it took something", || taken.lock().last() > 0).await;
    assert_eq!(metric(&gate, "portcullis_audit_sink_failures_total{sink=\"siem\"}").await, 5);
    assert_eq!(gate.log().matches("does not take records").count(), 1, "{}", gate.log());
    assert_eq!(gate.admin("/readyz").await.status, 200);
    for n in 20..40 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
    }
    assert_eq!(gate.terminate().await, Some(0));
    assert_eq!(gate.log().matches("takes records again").count(), 1, "{}", gate.log());
    let (log, taken) = (Log::read(&gate.dir.path().join("data/audit")), taken.lock());
    assert_eq!((chained(&taken.lines), taken.again), (log.records, 0), "the last record too");
    let saved = std::fs::read_to_string(gate.dir.path().join("data/audit/sinks/siem.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&saved).unwrap()["seq"], taken.last());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_and_new_files_while_a_receiver_is_down_lose_nothing() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = down.clone();
    let (peer, taken) =
        receiver(move |_, _| if is_down.load(Ordering::Relaxed) { Answer::Json(503, "", String::new()) } else { ok() }).await;
    let url = format!("http://{}/in", peer.addr);
    let mut gate = Gate::program(|files| {
        let more = "rotate: { size: 64KiB }, compress: gzip, retain: { size: 1MiB, exported: true },";
        sinks(files, &format!("{{ http: {{ url: \"{url}\", secret: {SECRET} }} }}"), more);
    })
    .await;
    let mut n = 0;
    for round in 0..3 {
        let token = gate.token("alice", &["eng"]);
        let before = taken.lock().last();
        let mut some = async |count: u64| {
            for _ in 0..count {
                assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 1_000)).await), Came::Done);
                n += 1;
            }
        };
        some(20).await;
        soon("it goes on where it was", || taken.lock().last() > before).await;
        down.store(true, Ordering::Relaxed);
        some(120).await;
        gate = gate.again().await;
        down.store(false, Ordering::Relaxed);
        let files = std::fs::read_dir(gate.dir.path().join("data/audit")).unwrap();
        let old = files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("audit-")).count();
        assert!(old > 2 * round, "{old} files");
    }
    assert_eq!(came(&gate.reach.send(&write(&gate, &gate.token("alice", &["eng"]), n, 0)).await), Came::Done);
    let last = format!("\"/n\":{n}");
    // Not looked for in the log: its newest file may have just begun.
    soon("everything is there", || taken.lock().lines.values().rev().take(100).any(|line| line.contains(&last))).await;
    assert_eq!(gate.terminate().await, Some(0));
    let taken = taken.lock();
    let records = chained(&taken.lines);
    assert_eq!(records.values().last().unwrap()["kind"], "checkpoint", "the very end is signed");
    let intents = records.values().filter(|record| record["kind"] == "intent");
    assert_eq!(
        intents.map(|record| record["args"]["fields"]["/n"].as_u64().unwrap()).collect::<Vec<_>>(),
        (0..=n).collect::<Vec<_>>()
    );
}

/// Reads messages as RFC 6587 counts them, to the end.
async fn messages(stream: &mut TcpStream) -> Vec<String> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let (mut rest, mut messages) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let space = memchr::memchr(b' ', rest).unwrap();
        let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
        let message = &rest[space + 1..space + 1 + length];
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        rest = &rest[space + 1 + length..];
    }
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syslog_has_every_record_though_it_never_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::<Mutex<Taken>>::default();
    let kept = taken.clone();
    tokio::spawn(async move {
        for nth in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            if nth < 3 {
                continue;
            }
            if nth < 5 {
                // With something unread the connection is reset: what is in flight is lost.
                stream.read_exact(&mut [0; 8]).await.unwrap();
                continue;
            }
            for message in messages(&mut stream).await {
                let (head, record) = message.split_once("] ").unwrap();
                let seq = serde_json::from_str::<Value>(record).unwrap()["seq"].as_u64().unwrap();
                assert!(head.starts_with("<1") && head.contains(&format!("[portcullis@32473 seq=\"{seq}\" id=\"")), "{head}");
                kept.lock().take(record);
            }
        }
    });
    let mut gate = Gate::program(|files| sinks(files, &format!("{{ syslog: {{ address: \"tcp://{address}\" }} }}"), "")).await;
    let token = gate.token("alice", &["eng"]);
    for n in 0..20 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
    }
    soon("it took something", || taken.lock().last() > 0).await;
    assert_eq!(gate.terminate().await, Some(0));
    let (log, taken) = (Log::read(&gate.dir.path().join("data/audit")), taken.lock());
    assert_eq!((chained(&taken.lines), taken.again), (log.records, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_output_has_the_ready_line_and_then_every_record() {
    let tee = |dir: &std::path::Path| {
        let file = dir.join("stdout");
        let script = format!("exec \"$@\" > >(exec tee -p {})", file.display());
        ["bash", "-c", &script, "bash"].map(str::to_owned).to_vec()
    };
    let mut gate = Gate::wrapped(tee, |files| sinks(files, "{ stdout: {} }", "")).await;
    let token = gate.token("alice", &["eng"]);
    for n in 0..10 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
    }
    assert_eq!(gate.terminate().await, Some(0));
    let log = Log::read(&gate.dir.path().join("data/audit"));
    let path = gate.dir.path().join("stdout");
    soon("tee wrote it", || std::fs::read_to_string(&path).unwrap().lines().count() == log.records.len() + 1).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let (ready, records) = text.split_once('\n').unwrap();
    assert!(ready.starts_with("portcullis ready "));
    let mut taken = Taken::default();
    taken.take(records);
    assert_eq!((chained(&taken.lines), taken.again), (log.records, 0));
}
