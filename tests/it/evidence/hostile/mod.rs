//! Whatever a client or an upstream puts into any of its fields: one record, one line, and nothing raw on a terminal.

mod approvals;
mod clients;
mod fields;
mod shown;
mod strings;
mod upstreams;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use serde_json::{Value, json};

use self::strings::BODY_BYTES_MAX;
use crate::gate::{Files, Gate, soon};
use crate::keys::{self, ED};
use crate::wire::{Conn, Resp};

/// Whether `c` moves a cursor, ends a line, turns text around or hides it. What the program says of that itself is not asked.
fn is_raw(c: char) -> bool {
    matches!(u32::from(c),
        0..=0x1f | 0x7f..=0x9f | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xad | 0x34f | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180e | 0x3164 | 0xffa0 | 0xfe00..=0xfe0e | 0x1d173 | 0xe0000..=0xe0fff)
}

/// Asserts that these lines can be shown on a terminal.
#[track_caller]
fn assert_plain(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    for line in text.split('\n') {
        assert!(!line.chars().any(is_raw), "{what}: {line:?}");
    }
}

/// The log as it grows: each line once.
struct Tail {
    file: File,
    rest: Vec<u8>,
    /// What is no intent and no checkpoint, by the trace it says.
    records: BTreeMap<String, Vec<Value>>,
    count: usize,
    /// All lines there are.
    lines: usize,
}

impl Tail {
    fn of(gate: &Gate) -> Self {
        let file = File::open(gate.dir.path().join("data/audit/audit.jsonl")).unwrap();
        Self { file, rest: Vec::new(), records: BTreeMap::new(), count: 0, lines: 0 }
    }

    /// Reads what is new, every line of which is one record in plain letters.
    fn read(&mut self) {
        self.file.read_to_end(&mut self.rest).unwrap();
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        assert_plain("the log", &whole);
        for line in whole[..end].split(|byte| *byte == b'\n') {
            self.lines += 1;
            let text = String::from_utf8_lossy(line);
            let record: Value = serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert!(text.starts_with("{\"v\":1,\"seq\":") && record["hash"].is_string(), "{text}");
            if record["kind"] != "intent" && record["kind"] != "checkpoint" {
                self.count += 1;
                self.records.entry(record["trace_id"].as_str().unwrap_or_default().to_owned()).or_default().push(record);
            }
        }
    }

    /// Waits for `count` records in all, after which no other may come.
    async fn settle(&mut self, count: usize, what: &str) {
        let this = parking_lot::Mutex::new(&mut *self);
        let counted = || {
            let mut tail = this.lock();
            tail.read();
            tail.count
        };
        soon(&format!("{count} records of {what}"), || counted() >= count).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert_eq!(counted(), count, "{what}");
    }
}

/// Of how many strings in each field one is sent, for each form of the log. One sends them all.
fn every() -> usize {
    std::env::var("PORTCULLIS_HOSTILE_EVERY").map_or(4, |every| every.parse().unwrap())
}

/// Whether string `n` is sent in field `at` where log lines are in `format`. Over the fields every one is, in either form.
fn is_due(format: &str, at: usize, n: usize) -> bool {
    let every = every();
    (at + n) % every == usize::from(format == "text") % every
}

/// A request with the trace it names, if it names one.
struct Sent {
    trace: Option<String>,
    bytes: Vec<u8>,
}

/// The trace of the `n`th request of field `field`.
fn trace(field: usize, n: usize) -> String {
    format!("{:016x}{:016x}", field + 1, n + 1)
}

fn trace_line(trace: &str) -> String {
    format!("00-{trace}-00000000000000ff-01")
}

/// Sends all over so many connections, and returns the answers in the same order. Pairs stay together.
async fn send_all(gate: &Gate, connections: usize, requests: &[Sent]) -> Vec<Resp> {
    let each = requests.len().div_ceil(connections).next_multiple_of(2).max(2);
    let senders = requests.chunks(each).map(|some| async move {
        let mut open: Option<Conn> = None;
        let mut answers = Vec::new();
        for request in some {
            let mut conn = match open.take() {
                Some(conn) => conn,
                None => gate.reach.open().await,
            };
            conn.write(&request.bytes).await;
            let answer = conn.response().await;
            // What a string has cut in two is answered twice.
            if answer.status == 200 && !answer.closes() && is_one(&request.bytes) {
                open = Some(conn);
            }
            answers.push(answer);
        }
        answers
    });
    futures_util::future::join_all(senders).await.concat()
}

/// Whether no string ends the head of a request before its time.
fn is_one(request: &[u8]) -> bool {
    let ends = |end: &[u8]| memchr::memmem::find_iter(request, end).count();
    ends(b"\r\n\r\n") == 1 && ends(b"\n\n") + ends(b"\n\r\n") == 1
}

/// Whether an answer is one of the gateway's, and not of the reader of HTTP that handed nothing over.
fn is_handed_over(answer: &Resp) -> bool {
    !(matches!(answer.status, 0 | 400 | 414 | 431) && answer.body.is_empty())
}

/// A gateway as the real program, which logs in `format` and says as much as it can.
async fn program(format: &str, change: impl FnOnce(&mut Files)) -> Gate {
    Gate::program(|files| {
        files.config = files.config.replace("depth: 64,", &format!("depth: 64, body: {BODY_BYTES_MAX},"));
        files.config.push_str(&format!(
            "audit: {{ record_arguments: [/v, /n] }}\ntelemetry: {{ log: \"portcullis=debug,info\", log_format: {format}, trust_trace_context: all }}\n"
        ));
        change(files);
    })
    .await
}

/// A token of whatever claims.
fn token_of(claims: &[u8]) -> String {
    let signed = format!("{}.{}", keys::b64(keys::header().to_string()), keys::b64(claims));
    let signature = keys::b64(ED.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// A good token for these routes.
fn token(gate: &Gate, sub: &str, routes: &[&str]) -> String {
    let audience: Vec<String> = routes.iter().map(|route| gate.url(route)).collect();
    token_of(keys::claims(&json!(audience), sub, &["eng"]).to_string().as_bytes())
}
