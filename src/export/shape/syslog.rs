//! Messages of syslog, RFC 5424.

use super::{Level, Record, message};
use crate::config::SinkFormat;
use crate::telemetry::escape::push_safe;

/// "log audit" (RFC 5424 section 6.2.1).
const FACILITY: u8 = 13;
/// Length of a host's name (section 6).
const HOST_BYTES_MAX: usize = 255;
/// Length of a message id (section 6).
const MESSAGE_ID_BYTES_MAX: usize = 32;
/// The number is the one that RFC 5612 sets aside for whoever has none.
const STRUCTURE: &str = "portcullis@32473";

/// Who says it.
pub(in crate::export) struct Sender {
    host: String,
    pid: u32,
}

impl Sender {
    /// This process on this machine.
    pub(in crate::export) fn this() -> Self {
        // Without a name the message says so, as section 6.2.4 has it.
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self::new(host.trim(), std::process::id())
    }

    pub(super) fn new(host: &str, pid: u32) -> Self {
        Self { host: field(host, HOST_BYTES_MAX), pid }
    }

    /// Appends the record as a message with its length before it (RFC 5425 section 4.3.1).
    pub(in crate::export) fn push_counted(&self, out: &mut Vec<u8>, format: SinkFormat, line: &[u8]) {
        let mut text = Vec::with_capacity(line.len() + 256);
        self.push(&mut text, format, line);
        out.extend_from_slice(format!("{} ", text.len()).as_bytes());
        out.extend_from_slice(&text);
    }

    /// Appends the message. Its text is UTF-8 without a byte order mark, so that it is the record and nothing else.
    pub(super) fn push(&self, out: &mut Vec<u8>, format: SinkFormat, line: &[u8]) {
        let record = Record::read(line);
        let severity = match record.level() {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Notice => 5,
            Level::Info => 6,
        };
        let priority = FACILITY * 8 + severity;
        let time = field(record.text("time").unwrap_or_default(), MESSAGE_ID_BYTES_MAX);
        let kind = field(record.kind(), MESSAGE_ID_BYTES_MAX);
        let (host, pid) = (&self.host, self.pid);
        out.extend_from_slice(format!("<{priority}>1 {time} {host} portcullis {pid} {kind} [{STRUCTURE}").as_bytes());
        let seq = record.number("seq").map(|seq| seq.to_string());
        for (name, value) in [("seq", seq.as_deref()), ("id", record.text("id")), ("kind", Some(record.kind()))] {
            if let Some(value) = value {
                out.extend_from_slice(format!(" {name}=\"").as_bytes());
                push_value(out, value);
                out.push(b'"');
            }
        }
        out.extend_from_slice(b"] ");
        message(out, format, line);
    }
}

/// A field of the header: visible ASCII, or the sign for nothing.
fn field(text: &str, bytes_max: usize) -> String {
    let visible: String = text.chars().filter(char::is_ascii_graphic).take(bytes_max).collect();
    if visible.is_empty() { "-".to_owned() } else { visible }
}

/// Section 6.3.3: quotes, backslashes and closing brackets are escaped.
fn push_value(out: &mut Vec<u8>, value: &str) {
    let mut safe = Vec::new();
    push_safe(&mut safe, value);
    for byte in safe {
        if matches!(byte, b'"' | b'\\' | b']') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}
