//! Logs of OpenTelemetry: an ExportLogsServiceRequest (opentelemetry-proto, logs v1) as protobuf, and what its answer says.

use serde_json::Value;

use super::{Level, Record};
use crate::mcp::Method;
use crate::vocab::digits::push_decimal;

/// A message with these records, of a gateway of this version.
pub(in crate::export) fn request<'a>(lines: impl Iterator<Item = &'a [u8]>, version: &str, observed_unix_ms: u64) -> Vec<u8> {
    let mut scope = Vec::new();
    message(&mut scope, 1, |scope| {
        bytes(scope, 1, b"portcullis.audit");
        bytes(scope, 2, version.as_bytes());
    });
    for line in lines {
        message(&mut scope, 2, |out| log(out, &Record::read(line), line, observed_unix_ms));
    }
    let mut request = Vec::with_capacity(scope.len() + 256);
    message(&mut request, 1, |resource_logs| {
        message(resource_logs, 1, |resource| {
            text(resource, 1, "service.name", "portcullis");
            text(resource, 1, "service.version", version);
        });
        bytes(resource_logs, 2, &scope);
    });
    request
}

/// A LogRecord.
fn log(out: &mut Vec<u8>, record: &Record, line: &[u8], observed_unix_ms: u64) {
    let (number, name) = match record.level() {
        Level::Info => (9, "INFO"),
        Level::Notice => (10, "INFO2"),
        Level::Warning => (13, "WARN"),
        Level::Error => (17, "ERROR"),
    };
    fixed64(out, 1, record.unix_ms().saturating_mul(1_000_000));
    varint(out, 2, number);
    bytes(out, 3, name.as_bytes());
    // The record as it is: what is signed stays what was signed.
    message(out, 5, |body| bytes(body, 1, line));
    if let Some(seq) = record.number("seq") {
        integer(out, 6, "portcullis.audit.seq", seq);
    }
    let reasons = [("portcullis.audit.reason", record.reason())];
    let texts = ATTRIBUTES.iter().map(|(key, path)| (*key, record.text(path))).chain(asked(record)).chain(reasons);
    for (key, value) in texts.filter_map(|(key, value)| Some((key, value?))) {
        text(out, 6, key, value);
    }
    if let Some(http) = record.number("outcome.http") {
        integer(out, 6, "http.response.status_code", http);
    }
    if let Some(trace) = record.text("trace_id").and_then(unhex) {
        bytes(out, 9, &trace);
    }
    fixed64(out, 11, observed_unix_ms.saturating_mul(1_000_000));
    let mut event = b"portcullis.audit.".to_vec();
    event.extend_from_slice(record.kind().as_bytes());
    bytes(out, 12, &event);
}

/// Attributes, by the conventions where there is one, and where they are in a record.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("portcullis.audit.id", "id"),
    ("portcullis.audit.kind", "kind"),
    ("portcullis.audit.effect", "decision.effect"),
    ("portcullis.audit.status", "outcome.status"),
    ("portcullis.audit.class", "class"),
    ("portcullis.audit.upstream", "upstream"),
    ("error.type", "outcome.error_kind"),
    ("http.route", "route"),
];

/// What was asked, where it has a name in the conventions. Of methods only those of a revision are told; others are in the body.
fn asked(record: &Record) -> impl Iterator<Item = (&'static str, Option<&str>)> {
    let method = record.text("method").filter(|_| record.kind() != "admin").map(Method::parse);
    let about = match method {
        Some(Method::ToolsCall) => Some("gen_ai.tool.name"),
        Some(Method::PromptsGet) => Some("gen_ai.prompt.name"),
        Some(Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) => Some("mcp.resource.uri"),
        _ => None,
    };
    let method = record.text("method").filter(|_| method.is_some_and(|method| method != Method::Unknown));
    let about = about.map(|key| (key, record.text("name")));
    let who = [("jsonrpc.request.id", record.text("rpc_id")), ("user.id", record.text("principal.sub"))];
    [("mcp.method.name", method)].into_iter().chain(about).chain(who)
}

/// Records that the receiver refused for good, by its answer (ExportLogsServiceResponse); `None` if it is no such message.
pub(in crate::export) fn rejected(answer: &[u8]) -> Option<u64> {
    let partial = field(answer, 1)?;
    let Some(Field::Bytes(partial)) = partial else { return Some(0) };
    match field(partial, 1)? {
        Some(Field::Number(records)) => Some(records),
        _ => Some(0),
    }
}

/// As [`rejected`], of an answer in JSON, where whole numbers of 64 bits are texts.
pub(in crate::export) fn rejected_in_json(answer: &[u8]) -> Option<u64> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    match answer.as_object()?.get("partialSuccess").and_then(|partial| partial.get("rejectedLogRecords")) {
        None | Some(Value::Null) => Some(0),
        Some(Value::String(digits)) => digits.parse().ok(),
        Some(number) => number.as_u64(),
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The last field `wanted` of a message; the outer `None` if it is no message.
fn field(mut rest: &[u8], wanted: u64) -> Option<Option<Field<'_>>> {
    let mut found = None;
    while !rest.is_empty() {
        let tag = read_varint(&mut rest)?;
        let value = match tag & 7 {
            0 => Field::Number(read_varint(&mut rest)?),
            1 => Field::Bytes(split(&mut rest, 8)?),
            2 => {
                let length = usize::try_from(read_varint(&mut rest)?).ok()?;
                Field::Bytes(split(&mut rest, length)?)
            }
            5 => Field::Bytes(split(&mut rest, 4)?),
            _ => return None,
        };
        if tag >> 3 == wanted {
            found = Some(value);
        }
    }
    Some(found)
}

fn split<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (value, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(value)
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(out: &mut Vec<u8>, field: u64, value: u64) {
    push_varint(out, field << 3);
    push_varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    push_varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    push_varint(out, field << 3 | 2);
    push_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn message(out: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    bytes(out, field, &inner);
}

/// A KeyValue with a text.
fn text(out: &mut Vec<u8>, field: u64, key: &str, value: &str) {
    message(out, field, |pair| {
        bytes(pair, 1, key.as_bytes());
        message(pair, 2, |any| bytes(any, 1, value.as_bytes()));
    });
}

/// A KeyValue with a whole number; what does not fit into 63 bits as text.
fn integer(out: &mut Vec<u8>, field: u64, key: &str, value: u64) {
    if i64::try_from(value).is_err() {
        let mut digits = Vec::new();
        push_decimal(&mut digits, value);
        return text(out, field, key, std::str::from_utf8(&digits).unwrap_or_default());
    }
    message(out, field, |pair| {
        bytes(pair, 1, key.as_bytes());
        message(pair, 2, |any| varint(any, 3, value));
    });
}

/// The 16 bytes of a trace id.
fn unhex(digits: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32);
    number.map(u128::to_be_bytes)
}
