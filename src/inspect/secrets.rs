//! Replacing credentials in JSON.
//!
//! One pass over the bytes as they came. A string without escapes is searched where it lies, one with escapes is searched as what it
//! means, so that no spelling hides a secret. Nothing is written unless something is found.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::shapes::{Found, find};
use crate::mcp::RawJson;
use crate::mcp::json::{push_string, unquote};

/// `raw` with every credential replaced by `[redacted: KIND]`, and how many there were; `None` if there are none.
pub(super) fn redact(raw: &RawJson) -> Option<(RawJson, u64)> {
    let text = raw.as_str();
    let mut out: Vec<u8> = Vec::new();
    let (mut at, mut written, mut count) = (0, 0, 0_u64);
    while let Some((start, end)) = next_string(text, at) {
        at = end;
        let Some(token) = text.get(start..end) else { break };
        let is_key = || text.get(end..).is_some_and(|rest| rest.trim_ascii_start().starts_with(':'));
        let Some((clean, found)) = clean(token, &|| is_key().then_some(count)) else { continue };
        count = count.saturating_add(found);
        out.extend_from_slice(text.as_bytes().get(written..start).unwrap_or_default());
        push_string(&mut out, &clean);
        written = end;
    }
    if count == 0 {
        return None;
    }
    out.extend_from_slice(text.as_bytes().get(written..).unwrap_or_default());
    Some((RawJson::of_ours(out), count))
}

/// The next string token of a valid JSON text from `at`, quotes included.
fn next_string(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let start = at + memchr(b'"', bytes.get(at..)?)?;
    let mut here = start + 1;
    loop {
        here += memchr2(b'"', b'\\', bytes.get(here..)?)?;
        if bytes.get(here) == Some(&b'"') {
            return Some((start, here + 1));
        }
        // Whatever follows a backslash is no end of the string.
        here += 2;
    }
}

/// What the string means with its credentials replaced, if it has any. Those of a key are numbered from `first_of_key`, so that two keys
/// stay two.
fn clean(token: &str, first_of_key: &dyn Fn() -> Option<u64>) -> Option<(String, u64)> {
    let plain = token.get(1..token.len().checked_sub(1)?)?;
    let text = if plain.contains('\\') { unquote(token).ok()? } else { Cow::Borrowed(plain) };
    let (mut out, mut at, mut count) = (String::new(), 0, 0_u64);
    for Found { kind, start, end } in find(&text) {
        count += 1;
        out.push_str(text.get(at..start)?);
        out.push_str("[redacted: ");
        out.push_str(kind);
        if let Some(number) = first_of_key().map(|first| first + count).filter(|number| *number > 1) {
            out.push_str(&format!(" {number}"));
        }
        out.push(']');
        at = end;
    }
    if count == 0 {
        return None;
    }
    out.push_str(text.get(at..)?);
    Some((out, count))
}
