//! The audit trail of the walk: read from the file like anybody would, checked record by record, shown as a table.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::DemoError;
use super::screen::{Ink, Screen};

/// A request of the walk, and what its record must say.
pub(super) struct Call {
    pub(super) id: String,
    pub(super) sub: &'static str,
    pub(super) method: &'static str,
    pub(super) expect: Expect,
    /// The record that the answer named.
    pub(super) record: Option<String>,
}

/// What a record must say.
#[derive(Clone, Copy)]
pub(super) struct Expect {
    pub(super) kind: &'static str,
    pub(super) effect: &'static str,
    pub(super) reason: &'static str,
    pub(super) rule: Option<&'static str>,
    /// The call changes something and reached the server: an intent was recorded before.
    pub(super) leaves: bool,
}

impl Expect {
    pub(super) fn list() -> Self {
        Self { kind: "list", effect: "allow", reason: "allowed", rule: None, leaves: false }
    }

    pub(super) fn allowed(rule: &'static str) -> Self {
        Self { kind: "outcome", effect: "allow", reason: "allowed", rule: Some(rule), leaves: false }
    }

    pub(super) fn denied(reason: &'static str) -> Self {
        Self { kind: "outcome", effect: "deny", reason, rule: None, leaves: false }
    }

    pub(super) fn leaving(self) -> Self {
        Self { leaves: true, ..self }
    }

    pub(super) fn by(self, rule: &'static str) -> Self {
        Self { rule: Some(rule), ..self }
    }
}

/// How long records may take to reach the file, in looks and the time between them.
const LOOKS_MAX: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How much of the file is read, in bytes: a walk leaves a few KiB at its end.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// Finds the records of `calls` below `audit`, and of the `approvals` that they asked for (who, and what); checks and shows them.
pub(super) async fn show(
    screen: &mut Screen<'_>,
    audit: &Path,
    calls: &[Call],
    approvals: &[(&str, &str)],
) -> Result<(), DemoError> {
    let file = file_of(audit);
    let records = records(&file, calls).await?;
    let decided = records.iter().filter(|record| is_approval(record));
    let decided: Vec<_> = decided.map(|record| (text(record, "/principal/sub"), text(record, "/method"))).collect();
    if decided != approvals {
        return Err(DemoError::unexpected("the records of approvals", format!("{approvals:?}"), format!("{decided:?}")));
    }
    for call in calls {
        check(call, &records).map_err(|(expected, got)| {
            DemoError::unexpected(format!("the record of {} as {} ({})", call.method, call.sub, call.id), expected, got)
        })?;
    }
    let intents = records.iter().filter(|record| text(record, "/kind") == "intent").count();
    screen
        .heading("7. The audit trail: one record per request and decision of a person, and an intent before each write left.")?;
    let row = |cells: [&str; 6]| {
        let [time, who, name, decision, rules, outcome] = cells;
        format!("  {time:<12} {who:<6} {name:<20} {decision:<18} {rules:<20} {outcome}").trim_end().to_owned()
    };
    let head = row(["time", "who", "name", "decision", "rules", "outcome"]);
    screen.line(screen.ink(Ink::Strong, &head))?;
    for record in &records {
        let name = Some(text(record, "/name")).filter(|name| !name.is_empty()).unwrap_or_else(|| text(record, "/method"));
        let rules = record.pointer("/decision/rules").and_then(Value::as_array).into_iter().flatten();
        let rules = rules.filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        let outcome = match text(record, "/kind") {
            "intent" => "(intent)",
            "approval" => text(record, "/approval/state"),
            _ => text(record, "/outcome/status"),
        };
        let name = if is_approval(record) { text(record, "/method") } else { name };
        let time = text(record, "/time").split_once('T').map_or("", |(_, time)| time).trim_end_matches('Z');
        screen.line(row([time, text(record, "/principal/sub"), name, text(record, "/decision/reason"), &rules, outcome]))?;
    }
    let requests = calls.len();
    let decisions = approvals.len();
    screen.line(format_args!(
        "  {requests} requests, {requests} records, {intents} intents, {decisions} of approvals: {}",
        file.display()
    ))?;
    screen.line("  Arguments are recorded as keyed digests, never in clear unless a rule or the config says so.")
}

/// The file of records, where `audit` may be the directory that holds it.
fn file_of(audit: &Path) -> PathBuf {
    if audit.is_dir() { audit.join("audit.jsonl") } else { audit.to_owned() }
}

/// The records of `calls` and of what they asked people, in the order of the file, once all of them are there.
async fn records(file: &Path, calls: &[Call]) -> Result<Vec<Value>, DemoError> {
    for _ in 0..LOOKS_MAX {
        let tail = tail(file).map_err(|error| DemoError::fault(file.display(), error))?;
        let records: Vec<Value> = tail.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let ours = |record: &Value| calls.iter().any(|call| text(record, "/rpc_id") == call.id);
        let ours: Vec<Value> = records.iter().filter(|record| ours(record)).cloned().collect();
        let has_record = |call: &Call| ours.iter().any(|record| is_final(record, call));
        if calls.iter().all(has_record) {
            let asked = |record: &Value| ours.iter().any(|call| is_about(record, call));
            return Ok(records.iter().filter(|record| ours.contains(record) || asked(record)).cloned().collect());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let expected = format!("a record of every one of {} requests", calls.len());
    Err(DemoError::unexpected(file.display().to_string(), expected, "not all of them within five seconds"))
}

fn tail(file: &Path) -> io::Result<String> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = File::open(file)?;
    let start = file.metadata()?.len().saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a person asked, decided, or had it used.
fn is_approval(record: &Value) -> bool {
    text(record, "/kind") == "approval"
}

/// Whether `record` is of the request for approval that the record `call` names.
fn is_about(record: &Value, call: &Value) -> bool {
    let id = text(call, "/approval/id");
    is_approval(record) && !id.is_empty() && text(record, "/approval/id") == id
}

/// Whether `record` is the one of `call` that is not an intent.
fn is_final(record: &Value, call: &Call) -> bool {
    text(record, "/rpc_id") == call.id && text(record, "/kind") != "intent"
}

/// The call has exactly one record, it says what it must, and an intent came before it if it changed something.
fn check(call: &Call, records: &[Value]) -> Result<(), (String, String)> {
    let finals: Vec<&Value> = records.iter().filter(|record| is_final(record, call)).collect();
    let [record] = finals.as_slice() else {
        return Err(("one record that is not an intent".to_owned(), finals.len().to_string()));
    };
    let intents: Vec<&Value> =
        records.iter().filter(|record| text(record, "/rpc_id") == call.id && text(record, "/kind") == "intent").collect();
    let Expect { kind, effect, reason, rule, leaves } = call.expect;
    let seq = record.get("intent").and_then(Value::as_u64);
    let preceded = match intents.as_slice() {
        [] => !leaves && seq.is_none(),
        [intent] => leaves && seq.is_some() && intent.get("seq").and_then(Value::as_u64) == seq,
        _ => false,
    };
    if !preceded {
        let expected = if leaves { "an intent that the record points at" } else { "no intent" };
        return Err((expected.to_owned(), record.to_string()));
    }
    for (pointer, expected) in [
        ("/kind", kind),
        ("/principal/sub", call.sub),
        ("/method", call.method),
        ("/decision/effect", effect),
        ("/decision/reason", reason),
        ("/id", call.record.as_deref().unwrap_or_else(|| text(record, "/id"))),
    ] {
        if text(record, pointer) != expected {
            return Err((format!("{pointer} {expected}"), record.to_string()));
        }
    }
    let rules = record.pointer("/decision/rules").and_then(Value::as_array).into_iter().flatten();
    match rule {
        Some(rule) if !rules.filter_map(Value::as_str).any(|found| found == rule) => {
            Err((format!("/decision/rules with {rule}"), record.to_string()))
        }
        _ => Ok(()),
    }
}

fn text<'r>(record: &'r Value, pointer: &str) -> &'r str {
    record.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(expect: Expect) -> Call {
        Call { id: "run-1".to_owned(), sub: "wendy", method: "tools/call", expect, record: Some("r1".to_owned()) }
    }

    fn outcome() -> Value {
        json!({
            "seq": 8, "id": "r1", "rpc_id": "run-1", "kind": "outcome", "method": "tools/call", "intent": 7,
            "principal": { "sub": "wendy" }, "decision": { "effect": "allow", "reason": "allowed", "rules": ["writers-write"] },
        })
    }

    fn with(record: Value, pointer: &str, value: Value) -> Value {
        let mut record = record;
        if let Some(place) = record.pointer_mut(pointer) {
            *place = value;
        }
        record
    }

    #[test]
    fn every_deviation_of_a_trail_is_noticed() {
        let call = call(Expect::allowed("writers-write").leaving());
        let intent = json!({ "seq": 7, "rpc_id": "run-1", "kind": "intent" });
        let good = vec![intent.clone(), outcome()];
        assert_eq!(check(&call, &good), Ok(()));
        for (about, records) in [
            ("no record", vec![intent.clone()]),
            ("two records", vec![intent.clone(), outcome(), outcome()]),
            ("no intent", vec![outcome()]),
            ("two intents", vec![intent.clone(), intent.clone(), outcome()]),
            ("an intent of another call", vec![with(intent.clone(), "/seq", json!(3)), outcome()]),
            ("another kind", vec![intent.clone(), with(outcome(), "/kind", json!("auth"))]),
            ("another person", vec![intent.clone(), with(outcome(), "/principal/sub", json!("rita"))]),
            ("another effect", vec![intent.clone(), with(outcome(), "/decision/effect", json!("deny"))]),
            ("another reason", vec![intent.clone(), with(outcome(), "/decision/reason", json!("no_rule"))]),
            ("another rule", vec![intent.clone(), with(outcome(), "/decision/rules", json!(["staff-read"]))]),
            ("another id", vec![intent.clone(), with(outcome(), "/id", json!("r2"))]),
        ] {
            assert!(check(&call, &records).is_err(), "{about}");
        }
        let read = Call { expect: Expect::allowed("writers-write"), ..call };
        assert!(check(&read, &good).is_err(), "an intent of a read");
    }
}
