//! Replacing credentials in JSON.
//!
//! One pass over the bytes as they came. A string without escapes is searched where it lies, one with escapes is searched as what it
//! means, so that no spelling hides a secret. Nothing is written unless something is found.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::names::{is_secret, member};
use super::narrow::{self, Hidden};
use super::private;
use super::shapes::{self, Found, run_back};
use super::width::Width;

/// Who goes on with what is left, which says what is looked for, and where.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// A program, with an answer.
    Program,
    /// Somebody, with a record. Numbers are looked through too.
    Record,
    /// People, who decide by it.
    People,
}

/// A text without its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// The text.
    pub text: String,
    /// Secrets that were replaced.
    pub count: u64,
    /// Those of them that no known format tells, or that are longer than 256 characters: anything could be hidden there.
    pub unverified: u64,
}

/// `json`, which is valid or the start of what is, with every credential replaced by `[redacted: KIND]`, and how many there were; `None`
/// if there are none. If it is the value of a member, `key` is the token of that.
pub fn redact(json: &str, key: Option<&str>) -> Option<(String, u64)> {
    redact_with(json, key, Reader::Program).map(|masked| (masked.text, masked.count))
}

/// As [`redact`], for what is kept or shown: numbers of payment cards go too, JSON numbers among them, and who somebody is in a URL.
pub fn redact_kept(json: &str, key: Option<&str>) -> Option<(String, u64)> {
    redact_with(json, key, Reader::Record).map(|masked| (masked.text, masked.count))
}

/// `json` for people who decide by it, with `[redacted: KIND, N characters]` in the place of what can be nothing but a token; `None` if
/// there is nothing of that. All else is shown: numbers, what keys say unless it is a token of a known format, and every character that no
/// token has.
pub fn redact_for_people(json: &str) -> Option<Masked> {
    redact_with(json, None, Reader::People)
}

fn redact_with(text: &str, key: Option<&str>, reader: Reader) -> Option<Masked> {
    let (mut out, mut at, mut written) = (Masked::default(), 0, 0);
    // The last key whose value is secret, and where a value of it would be looked for.
    let mut secret = key.and_then(|key| Some((secret_key(key)?, 0)));
    loop {
        let next = next_string(text, at);
        let (start, end, closed) = next.unwrap_or((text.len(), text.len(), true));
        if reader == Reader::Record {
            for Found { kind, start, end } in private::cards(text.get(at..start).unwrap_or_default()) {
                out.count = out.count.saturating_add(1);
                // All of the number goes, or what stands instead would be no JSON.
                let start = at + start;
                let start = start - run_back(text.as_bytes(), start, of_number, start.saturating_sub(written));
                out.text.push_str(text.get(written..start).unwrap_or_default());
                push_string(&mut out.text, &format!("[redacted: {kind}]"));
                written = at + end;
            }
        }
        at = end;
        let Some(token) = text.get(start..end).filter(|_| next.is_some()) else { break };
        let is_key = text.get(end..).is_some_and(|rest| rest.trim_ascii_start().starts_with(':'));
        let between = |from: usize| text.get(from..start).is_some_and(|gap| matches!(gap.trim_ascii(), "" | ":"));
        let under = secret.take().filter(|(_, from)| !is_key && between(*from)).map(|(key, _)| key);
        if is_key {
            secret = secret_key(token).map(|key| (key, end));
        }
        let said = if closed { meaning(token).unwrap_or(Cow::Borrowed(token)) } else { beginning(token) };
        let Some(clean) = clean(&said, is_key.then_some(out.count), under.as_deref(), reader) else { continue };
        out.count = out.count.saturating_add(clean.count);
        out.unverified = out.unverified.saturating_add(clean.unverified);
        out.text.push_str(text.get(written..start).unwrap_or_default());
        push_string(&mut out.text, &clean.text);
        written = end;
    }
    if out.count == 0 {
        return None;
    }
    out.text.push_str(text.get(written..).unwrap_or_default());
    Some(out)
}

/// Appends `text` as a JSON string token. DEL is escaped too: it is harmless in JSON but not in a terminal.
fn push_string(out: &mut String, text: &str) {
    let token = serde_json::Value::from(text).to_string();
    out.push_str(&if token.contains('\u{7f}') { token.replace('\u{7f}', "\\u007f") } else { token });
}

/// What a number of JSON may have.
fn of_number(b: u8) -> bool {
    b.is_ascii_digit() || b"+-.eE".contains(&b)
}

/// The next string token of a JSON text from `at`, quotes included, and whether it has an end.
fn next_string(text: &str, at: usize) -> Option<(usize, usize, bool)> {
    let bytes = text.as_bytes();
    let start = at + memchr(b'"', bytes.get(at..)?)?;
    let mut here = start + 1;
    loop {
        let Some(next) = bytes.get(here..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
            return Some((start, text.len(), false));
        };
        here += next;
        if bytes.get(here) == Some(&b'"') {
            return Some((start, here + 1, true));
        }
        // Whatever follows a backslash is no end of the string.
        here += 2;
    }
}

/// The token of a member's key, `first` secrets after the first of its object, as [`redact`] does it to a value.
pub fn redact_key(key: &str, first: u64) -> Option<(String, u64)> {
    let said = meaning(key).unwrap_or(Cow::Borrowed(key));
    let clean = clean(&said, Some(first), None, Reader::Program)?;
    let mut token = String::new();
    push_string(&mut token, &clean.text);
    Some((token, clean.count))
}

/// What a string token means.
pub fn meaning(token: &str) -> Option<Cow<'_, str>> {
    let plain = token.get(1..token.len().checked_sub(1)?)?;
    if plain.contains('\\') { serde_json::from_str(token).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(plain)) }
}

/// What a string token without an end means, but for an escape that it ends in.
fn beginning(token: &str) -> Cow<'_, str> {
    let plain = token.get(1..).unwrap_or_default();
    let without = |bytes: usize| {
        let whole = token.get(..token.len().checked_sub(bytes)?)?;
        serde_json::from_str(&format!("{whole}\"")).ok().map(Cow::Owned)
    };
    let meant = if plain.contains('\\') { (0..ESCAPE_BYTES_MAX).find_map(without) } else { None };
    meant.unwrap_or(Cow::Borrowed(plain))
}

/// What the key `token` means, if its value is secret.
fn secret_key(token: &str) -> Option<Cow<'_, str>> {
    meaning(token).filter(|key| is_secret(key))
}

impl Reader {
    /// What goes of `text`, in order, without overlaps. `under` is the key whose secret value it is.
    fn finds(self, text: &str, is_key: bool, under: Option<&str>) -> Vec<Hidden> {
        let mut found = match self {
            Self::Program => shapes::find(text),
            Self::Record => private::find(text),
            // A key says what happens to its value.
            Self::People if is_key => return narrow::formats(text),
            Self::People => return narrow::find(text, under),
        };
        // A shape that takes in as much says more about what it was.
        private::add(&mut found, under.and_then(|key| member(key, text, Width::Wide)).into_iter().collect());
        found.into_iter().map(|found| Hidden { found, known: true }).collect()
    }
}

/// `text`, which a string means, with its credentials replaced, if it has any. Those of a key are numbered from `first_of_key`, so that
/// two keys stay two. `under` is the key whose secret value it is.
fn clean(text: &str, first_of_key: Option<u64>, under: Option<&str>, reader: Reader) -> Option<Masked> {
    let (mut out, mut at) = (Masked::default(), 0);
    for Hidden { found: Found { kind, start, end }, known } in reader.finds(text, first_of_key.is_some(), under) {
        out.count += 1;
        out.unverified += u64::from(!known);
        // Finds do not overlap; if they did, what is between them would be nothing, and never all of the text.
        out.text.push_str(text.get(at..start).unwrap_or_default());
        out.text.push_str("[redacted: ");
        out.text.push_str(kind);
        if let Some(number) = first_of_key.map(|first| first + out.count).filter(|number| *number > 1) {
            out.text.push_str(&format!(" {number}"));
        }
        if reader == Reader::People {
            out.text.push_str(&format!(", {} characters", end - start));
        }
        out.text.push(']');
        at = at.max(end);
    }
    if out.count == 0 {
        return None;
    }
    out.text.push_str(text.get(at..).unwrap_or_default());
    Some(out)
}

/// Of two escapes that are one character together: they may be cut anywhere but behind the last byte.
const ESCAPE_BYTES_MAX: usize = 12;
