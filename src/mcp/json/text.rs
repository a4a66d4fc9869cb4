//! JSON strings: scanning, unescaping, escaping.

use std::borrow::Cow;

use super::JsonError;
use crate::vocab::ascii::{is_plain, plain_run};

/// Validates a string whose opening quote stands before `at`; returns the offset after the closing quote, and whether anything
/// in it is escaped.
pub(super) fn scan_string(bytes: &[u8], mut at: usize) -> Result<(usize, bool), JsonError> {
    let mut escapes = false;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let first = rest.get(..FIRST_BYTES).unwrap_or(rest);
        at += match plain_run(first) {
            run if run < first.len() => run,
            run => run + long_run(rest.get(run..).unwrap_or_default()),
        };
        match bytes.get(at) {
            Some(b'"') => return Ok((at + 1, escapes)),
            Some(b'\\') => (at, escapes) = (scan_escape(bytes, at)?, true),
            _ => return Err(JsonError::Syntax { at }),
        }
    }
}

/// As [`plain_run`], for a text that is expected to be long.
fn long_run(text: &[u8]) -> usize {
    let stop = memchr::memchr2(b'"', b'\\', text).unwrap_or(text.len());
    let run = text.get(..stop).unwrap_or_default();
    // Without an early exit this is done many bytes at a time.
    if run.iter().fold(false, |found, b| found | (*b < 0x20)) {
        return run.iter().position(|b| *b < 0x20).unwrap_or(stop);
    }
    stop
}

/// Most strings are shorter.
const FIRST_BYTES: usize = 32;

fn scan_escape(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(bytes, at + 2).ok_or(JsonError::Syntax { at })? {
            0xd800..=0xdbff => {
                let low = bytes.get(at + 6..at + 8) == Some(b"\\u");
                match hex4(bytes, at + 8) {
                    Some(0xdc00..=0xdfff) if low => Ok(at + 12),
                    _ => Err(JsonError::Surrogate),
                }
            }
            0xdc00..=0xdfff => Err(JsonError::Surrogate),
            _ => Ok(at + 6),
        },
        _ => Err(JsonError::Syntax { at }),
    }
}

/// Whether the escape whose backslash stands at `at` is half of a surrogate pair without the other; `None` for what is no half.
pub(super) fn lone_half(bytes: &[u8], at: usize) -> Option<bool> {
    let half = |at| hex4(bytes, at + 2).filter(|_| bytes.get(at + 1) == Some(&b'u'));
    match half(at)? {
        0xd800..=0xdbff => {
            let low = (bytes.get(at + 6) == Some(&b'\\')).then(|| half(at + 6)).flatten();
            Some(!low.is_some_and(|low| (0xdc00..0xe000).contains(&low)))
        }
        0xdc00..=0xdfff => Some(true),
        _ => None,
    }
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Whether a JSON string token, quotes included, means `word`, which needs no escape.
pub fn means(token: &str, word: &str) -> bool {
    match token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if inner == word => true,
        // An escape is longer than what it means.
        Some(inner) if inner.len() > word.len() => unquote(token).is_ok_and(|text| text == word),
        _ => false,
    }
}

/// The meaning of a JSON string token, quotes included. Borrows when nothing is escaped.
///
/// # Errors
/// [`JsonError::Shape`] for a token that is no string, else as [`JsonError`].
pub fn unquote(raw: &str) -> Result<Cow<'_, str>, JsonError> {
    let inner = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"'));
    let inner = inner.ok_or(JsonError::Shape("expected a string"))?;
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let (meaning, used) = unescape(escape)?;
        out.push(meaning);
        rest = escape.get(used..).ok_or(JsonError::Surrogate)?;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Meaning of the escape whose backslash was cut off, and how many bytes it took.
fn unescape(text: &str) -> Result<(char, usize), JsonError> {
    let bytes = text.as_bytes();
    let simple = match bytes.first() {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b @ (b'"' | b'\\' | b'/')) => char::from(*b),
        Some(b'u') => return unescape_unicode(bytes),
        _ => return Err(JsonError::Syntax { at: 0 }),
    };
    Ok((simple, 1))
}

fn unescape_unicode(bytes: &[u8]) -> Result<(char, usize), JsonError> {
    let first = hex4(bytes, 1).ok_or(JsonError::Syntax { at: 0 })?;
    if let Some(c) = char::from_u32(first) {
        return Ok((c, 5));
    }
    let second = hex4(bytes, 7).filter(|low| (0xdc00..0xe000).contains(low) && (0xd800..0xdc00).contains(&first));
    let second = second.ok_or(JsonError::Surrogate)?;
    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    char::from_u32(code).map(|c| (c, 11)).ok_or(JsonError::Surrogate)
}

/// Appends `text` as a JSON string token, quotes included.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_escaped(out, text);
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for chunk in text.as_bytes().chunk_by(|a, b| plain(*a) && plain(*b)) {
        match chunk {
            [b'"'] => out.extend_from_slice(b"\\\""),
            [b'\\'] => out.extend_from_slice(b"\\\\"),
            [b'\n'] => out.extend_from_slice(b"\\n"),
            [b'\r'] => out.extend_from_slice(b"\\r"),
            [b'\t'] => out.extend_from_slice(b"\\t"),
            [b] if !plain(*b) => {
                let digit = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(b >> 4), digit(b & 15)]);
            }
            run => out.extend_from_slice(run),
        }
    }
}

/// DEL is escaped too: it is harmless in JSON but not in a terminal.
fn plain(b: u8) -> bool {
    b >= 0x20 && b != b'"' && b != b'\\' && b != 0x7f
}
