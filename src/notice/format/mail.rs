//! An e-mail: plain text, RFC 5322, in seven-bit lines whatever is in it.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::Smtp;
use crate::notice::event::{Event, delivery_id};
use crate::notice::facts::Facts;

/// Octets of a subject that one encoded word holds: 75 characters at most (RFC 2047 section 2).
const WORD_BYTES_MAX: usize = 42;
/// Characters of a subject.
const SUBJECT_CHARS_MAX: usize = 200;
/// Characters of a base64 line (RFC 2045 section 6.8).
const LINE_CHARS: usize = 76;
/// Arguments in a mail; as many as are kept.
const ARGUMENTS_CHARS_MAX: usize = crate::vocab::limits::APPROVAL_SHOWN_BYTES_MAX;

/// The whole message, lines ended by CR LF. `domain` stands in its id.
pub(in crate::notice) fn message(smtp: &Smtp, channel: &str, facts: &Facts, domain: &str) -> String {
    let mut out = String::new();
    let mut header = |name: &str, value: &str| {
        let _ = write!(out, "{name}: {value}\r\n");
    };
    header("Date", &date(facts.at_unix_ms));
    header("From", &format!("Portcullis <{}>", smtp.from));
    header("To", &smtp.to.join(",\r\n "));
    header("Subject", &subject(&facts.summary()));
    header("Message-ID", &format!("<{}@{domain}>", facts.id));
    if facts.event != Event::Requested {
        let first = format!("<{}@{domain}>", delivery_id(channel, &facts.request.id, Event::Requested));
        header("In-Reply-To", &first);
        header("References", &first);
    }
    header("Auto-Submitted", "auto-generated");
    header("MIME-Version", "1.0");
    header("Content-Type", "text/plain; charset=utf-8");
    header("Content-Transfer-Encoding", "base64");
    out.push_str("\r\n");
    let encoded = STANDARD.encode(text(facts));
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        out.push_str(line);
        out.push_str("\r\n");
        rest = after;
    }
    out
}

/// What people read. What others wrote is indented, so that no line of it passes for one of ours.
fn text(facts: &Facts) -> String {
    let mut out = format!("{}\r\n\r\n", facts.title());
    for (word, what) in facts.rows() {
        let _ = write!(out, "{word}: {what}\r\n");
    }
    let (arguments, note) = facts.arguments(ARGUMENTS_CHARS_MAX);
    out.push_str("\r\nArguments:\r\n");
    for line in arguments.lines() {
        let _ = write!(out, "    {line}\r\n");
    }
    if let Some(note) = note {
        let _ = write!(out, "({note})\r\n");
    }
    let asks = if facts.event == Event::Requested { "Sign in and decide" } else { "Look" };
    let _ = write!(out, "\r\n{asks}:\r\n{}\r\n", facts.link);
    out
}

/// The subject, in encoded words if it is more than ASCII (RFC 2047). It holds no line breaks: what is in it was made visible.
fn subject(summary: &str) -> String {
    let text: String = summary.chars().take(SUBJECT_CHARS_MAX).collect();
    if text.bytes().all(|b| matches!(b, 0x20..=0x7e)) && !text.contains("=?") {
        return text;
    }
    let mut words: Vec<String> = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= WORD_BYTES_MAX => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

/// A date of RFC 5322 section 3.3.
fn date(unix_ms: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms)).and_then(|at| jiff::Timestamp::try_from(at).ok());
    at.and_then(|at| jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).ok()).unwrap_or_default()
}
