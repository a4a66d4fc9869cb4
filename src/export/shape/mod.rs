//! What a record looks like elsewhere. Pure: a line of the log in, bytes out. What is in a record may come from anybody: each format
//! escapes all of it, and one record is one line whatever it holds.

mod cef;
mod ocsf;
pub(super) mod otlp;
pub(super) mod syslog;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::audit::Stretch;
use crate::config::SinkFormat;
use crate::telemetry::escape::push_json_string;

/// When the record on `line` was made, in milliseconds since the Unix epoch; 0 if that cannot be read.
pub(super) fn unix_ms(line: &[u8]) -> u64 {
    Record::read(line).unix_ms()
}

/// Appends the records, a line each.
pub(super) fn lines(out: &mut Vec<u8>, format: SinkFormat, stretch: &Stretch) {
    if format == SinkFormat::Json {
        return out.extend_from_slice(&stretch.bytes);
    }
    for line in stretch.lines() {
        message(out, format, line);
        out.push(b'\n');
    }
}

/// Appends one record, without a line feed.
pub(super) fn message(out: &mut Vec<u8>, format: SinkFormat, line: &[u8]) {
    match format {
        SinkFormat::Json => out.extend_from_slice(line),
        SinkFormat::Ocsf => push_value(out, &ocsf::event(&Record::read(line))),
        SinkFormat::Cef => cef::push(out, &Record::read(line)),
    }
}

/// A record as it was written. What is not there is not there; nothing is refused, since nothing may be lost.
struct Record(Value);

/// How much a record wants to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// All is as it should be.
    Info,
    /// Something that is not undone, or was not finished.
    Notice,
    /// Somebody was refused, or something failed.
    Warning,
    /// The gateway failed.
    Error,
}

impl Record {
    fn read(line: &[u8]) -> Self {
        Self(serde_json::from_slice(line).unwrap_or(Value::Null))
    }

    fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.0, |value, key| value.get(key))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str()
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.at(path)?.as_u64()
    }

    /// A list of texts, joined by commas.
    fn list(&self, path: &str) -> Option<String> {
        let texts: Vec<&str> = self.at(path)?.as_array()?.iter().filter_map(Value::as_str).collect();
        (!texts.is_empty()).then(|| texts.join(","))
    }

    fn kind(&self) -> &str {
        self.text("kind").unwrap_or("unknown")
    }

    /// When it came, in milliseconds since the Unix epoch.
    fn unix_ms(&self) -> u64 {
        let time = self.text("time").and_then(|time| humantime::parse_rfc3339(time).ok());
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
    }

    /// Whether it was refused: by policy, or before.
    fn is_refused(&self) -> bool {
        self.text("decision.effect") == Some("deny") || matches!(self.text("outcome.status"), Some("denied" | "refused"))
    }

    /// Whether policy would have refused it, and was only asked.
    fn is_observed(&self) -> bool {
        self.text("decision.mode") == Some("observe")
    }

    fn level(&self) -> Level {
        match self.text("outcome.status") {
            Some("panicked") => Level::Error,
            Some("faulted" | "timed_out") => Level::Warning,
            _ if self.is_refused() => Level::Warning,
            Some("cancelled") => Level::Notice,
            _ if self.text("class") == Some("destructive") || self.kind() == "admin" => Level::Notice,
            _ => Level::Info,
        }
    }

    /// Why it ended as it did.
    fn reason(&self) -> Option<&str> {
        self.text("outcome.reason").or_else(|| self.text("decision.reason"))
    }

    /// What was done, in a word: the method, or else the kind.
    fn operation(&self) -> Cow<'_, str> {
        self.text("method").map_or_else(|| Cow::Borrowed(self.kind()), Cow::Borrowed)
    }
}

/// Appends `value` as JSON on one line, with every character escaped that must not reach a terminal.
fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => push_json_string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                push_value(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (at, (key, item)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                push_json_string(out, key);
                out.push(b':');
                push_value(out, item);
            }
            out.push(b'}');
        }
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
}
