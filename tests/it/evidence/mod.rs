//! Nothing leaves that is not on record: whatever becomes of the disk, of the file, or of the process.

mod asked;
mod canary;
mod exports;
mod faults;
mod hostile;
#[cfg(feature = "kafka")]
mod kafka;
mod kill;
mod log;
mod reads;
mod receivers;
mod sinks;
mod tmpfs;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::gate::{Files, Gate};
use crate::peer::{Seen, modern};
use crate::wire::{Req, Resp};

/// The argument that tells calls apart is in clear.
const AUDIT: &str = "audit: { record_arguments: [/n, /pad] }\n";

fn numbered(files: &mut Files) {
    files.config.push_str(AUDIT);
}

/// A write that is told apart by `n`, with as much more in its records.
fn write(gate: &Gate, token: &str, n: u64, pad: usize) -> Req {
    gate.call("/mcp", token, "up__write", &format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(pad)))
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// The upstream did it.
    Done,
    /// It was refused for want of a record.
    Refused,
}

fn came(answer: &Resp) -> Came {
    let result = &answer.json()["result"];
    if result["isError"] != true {
        assert!(answer.text().contains("did"), "{}", answer.whole());
        return Came::Done;
    }
    assert_eq!(result["_meta"]["dev.portcullis/denial"]["reason"], "audit_unavailable", "{}", answer.whole());
    Came::Refused
}

/// The number of a write as the upstream sees it.
fn number(seen: &Seen) -> Option<u64> {
    seen.json()["params"]["arguments"]["n"].as_u64()
}

/// What the upstream was asked to do.
fn done(gate: &Gate) -> BTreeSet<u64> {
    gate.up.calls().iter().filter_map(number).collect()
}

/// Whenever a call reaches the upstream, its intent is looked for in `find`; the calls that had none.
fn watch(gate: &Gate, find: impl Fn(u64) -> bool + Send + Sync + 'static) -> Arc<Mutex<Vec<u64>>> {
    let without = Arc::new(Mutex::new(Vec::new()));
    let found = without.clone();
    gate.up.behave(move |seen| {
        if let Some(n) = number(seen).filter(|n| !find(*n)) {
            found.lock().push(n);
        }
        modern(seen)
    });
    without
}

/// Whether `line` is the intent of call `n`.
fn intends(line: &str, n: u64) -> bool {
    line.contains("\"kind\":\"intent\"") && line.contains(&format!("\"/n\":{n},"))
}

/// Whether this can be run here. With `PORTCULLIS_FAULTS=required` it has to be. If it is not, that goes to the file that
/// `PORTCULLIS_SKIPPED` names, for `tests/run.sh` to say in the end: what a test prints that passes nobody sees.
fn can(what: &str, command: &mut Command) -> bool {
    let can = command.output().is_ok_and(|output| output.status.success());
    let said = format!("{}: {what} is not permitted here: {command:?}", std::thread::current().name().unwrap_or_default());
    assert!(can || std::env::var_os("PORTCULLIS_FAULTS").is_none_or(|value| value != "required"), "{said}");
    if let Some(path) = std::env::var_os("PORTCULLIS_SKIPPED").filter(|_| !can) {
        let mut list = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        std::io::Write::write_all(&mut list, format!("{said}\n").as_bytes()).unwrap();
    }
    can
}
