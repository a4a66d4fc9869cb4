//! Common Event Format, version 0: a header of seven fields between bars, and pairs of key and value.

use super::{Level, Record};
use crate::telemetry::escape::push_safe;

/// Appends the record, without a line feed.
pub(super) fn push(out: &mut Vec<u8>, record: &Record) {
    out.extend_from_slice(b"CEF:0|Portcullis|Portcullis|");
    push_field(out, env!("CARGO_PKG_VERSION"));
    out.push(b'|');
    // What happened, in words of which there are few.
    push_field(out, &signature(record));
    out.push(b'|');
    push_field(out, &name(record));
    let severity = match record.level() {
        Level::Info => 1,
        Level::Notice => 3,
        Level::Warning => 6,
        Level::Error => 8,
    };
    out.extend_from_slice(format!("|{severity}|").as_bytes());
    let mut pairs = Pairs { out, any: false };
    pairs.number("rt", Some(record.unix_ms()));
    pairs.number("externalId", record.number("seq"));
    pairs.text("cat", Some(record.kind()));
    pairs.text("act", record.text("decision.effect"));
    pairs.text("outcome", record.text("outcome.status"));
    pairs.text("reason", record.reason());
    pairs.text("suser", record.text("principal.sub"));
    pairs.text("suid", record.text("principal.key"));
    pairs.text("sntdom", record.text("principal.iss"));
    pairs.text("sourceServiceName", record.text("principal.client_id"));
    pairs.text("destinationServiceName", record.text("upstream"));
    pairs.text("request", record.text("route"));
    pairs.text("requestMethod", record.text("method"));
    pairs.text("fname", record.text("name"));
    pairs.number("in", record.number("outcome.bytes_in"));
    pairs.number("out", record.number("outcome.bytes_out"));
    pairs.labelled(1, "class", record.text("class"));
    pairs.labelled(2, "rules", record.list("decision.rules").as_deref());
    pairs.labelled(3, "trace", record.text("trace_id"));
    pairs.labelled(4, "approval", record.text("approval.id"));
    pairs.labelled(5, "mode", record.text("decision.mode"));
    pairs.labelled(6, "hash", record.text("hash"));
    if let Some(id) = record.text("id") {
        pairs.text("flexString1", Some(id));
        pairs.text("flexString1Label", Some("id"));
    }
    if let Some(intent) = record.number("intent") {
        pairs.number("cn1", Some(intent));
        pairs.text("cn1Label", Some("intent"));
    }
    if let Some(http) = record.number("outcome.http") {
        pairs.number("cn2", Some(http));
        pairs.text("cn2Label", Some("http"));
    }
}

/// `kind`, `kind:status` or `kind:reason`.
fn signature(record: &Record) -> String {
    let how = if record.is_refused() { record.reason() } else { record.text("outcome.status") };
    how.map_or_else(|| record.kind().to_owned(), |how| format!("{}:{how}", record.kind()))
}

fn name(record: &Record) -> String {
    let operation = record.operation();
    match record.kind() {
        "intent" => format!("{operation} is about to leave"),
        "checkpoint" => "The log was signed".to_owned(),
        _ if record.is_refused() && record.is_observed() => format!("{operation} would have been refused"),
        _ if record.is_refused() => format!("{operation} was refused"),
        _ => operation.into_owned(),
    }
}

/// A field of the header: bars and backslashes are escaped.
fn push_field(out: &mut Vec<u8>, text: &str) {
    push_escaped(out, text, b'|');
}

fn push_escaped(out: &mut Vec<u8>, text: &str, mark: u8) {
    let mut safe = Vec::new();
    push_safe(&mut safe, text);
    for byte in safe {
        if byte == mark || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

struct Pairs<'a> {
    out: &'a mut Vec<u8>,
    any: bool,
}

impl Pairs<'_> {
    /// In values equals signs and backslashes are escaped; bars are not.
    fn text(&mut self, key: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        if self.any {
            self.out.push(b' ');
        }
        self.any = true;
        self.out.extend_from_slice(key.as_bytes());
        self.out.push(b'=');
        push_escaped(self.out, value, b'=');
    }

    fn number(&mut self, key: &str, value: Option<u64>) {
        self.text(key, value.map(|value| value.to_string()).as_deref());
    }

    fn labelled(&mut self, number: u8, label: &str, value: Option<&str>) {
        if value.is_some() {
            self.text(&format!("cs{number}"), value);
            self.text(&format!("cs{number}Label"), Some(label));
        }
    }
}
