//! Replacing credentials in JSON.
//!
//! One pass over the bytes as they came. A string without escapes is searched where it lies, one with escapes is searched as what it
//! means, so that no spelling hides a secret. Nothing is written unless something is found.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::names::{is_secret, member};
use super::private;
use super::shapes::{self, Found, run_back};

/// What is looked for, and where.
#[derive(Clone, Copy)]
struct Search {
    find: fn(&str) -> Vec<Found>,
    /// In numbers too.
    numbers: bool,
}

/// `json`, which is valid or the start of what is, with every credential replaced by `[redacted: KIND]`, and how many there were; `None`
/// if there are none. If it is the value of a member, `key` is the token of that.
pub fn redact(json: &str, key: Option<&str>) -> Option<(String, u64)> {
    redact_with(json, key, Search { find: shapes::find, numbers: false })
}

/// As [`redact`], for what is kept or shown: numbers of payment cards go too, JSON numbers among them, and who somebody is in a URL.
pub fn redact_kept(json: &str, key: Option<&str>) -> Option<(String, u64)> {
    redact_with(json, key, Search { find: private::find, numbers: true })
}

fn redact_with(text: &str, key: Option<&str>, search: Search) -> Option<(String, u64)> {
    let (mut out, mut at, mut written, mut count) = (String::new(), 0, 0, 0_u64);
    // The last key whose value is secret, and where a value of it would be looked for.
    let mut secret = key.and_then(|key| Some((secret_key(key)?, 0)));
    loop {
        let next = next_string(text, at);
        let (start, end, closed) = next.unwrap_or((text.len(), text.len(), true));
        if search.numbers {
            for Found { kind, start, end } in private::cards(text.get(at..start).unwrap_or_default()) {
                count = count.saturating_add(1);
                // All of the number goes, or what stands instead would be no JSON.
                let start = at + start;
                let start = start - run_back(text.as_bytes(), start, of_number, start.saturating_sub(written));
                out.push_str(text.get(written..start).unwrap_or_default());
                push_string(&mut out, &format!("[redacted: {kind}]"));
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
        let Some((clean, found)) = clean(&said, is_key.then_some(count), under.as_deref(), search) else { continue };
        count = count.saturating_add(found);
        out.push_str(text.get(written..start).unwrap_or_default());
        push_string(&mut out, &clean);
        written = end;
    }
    if count == 0 {
        return None;
    }
    out.push_str(text.get(written..).unwrap_or_default());
    Some((out, count))
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
    let (clean, found) = clean(&said, Some(first), None, Search { find: shapes::find, numbers: false })?;
    let mut token = String::new();
    push_string(&mut token, &clean);
    Some((token, found))
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

/// The credentials of the value of the secret member `key`.
fn find_under(key: &str, text: &str, search: Search) -> Vec<Found> {
    let mut found = (search.find)(text);
    let Some(all) = member(key, text) else { return found };
    // A shape that takes in as much says more about what it was.
    private::add(&mut found, vec![all]);
    found
}

/// `text`, which a string means, with its credentials replaced, if it has any. Those of a key are numbered from `first_of_key`, so that
/// two keys stay two. `under` is the key whose secret value it is.
fn clean(text: &str, first_of_key: Option<u64>, under: Option<&str>, search: Search) -> Option<(String, u64)> {
    let all = under.map_or_else(|| (search.find)(text), |key| find_under(key, text, search));
    let (mut out, mut at, mut count) = (String::new(), 0, 0_u64);
    for Found { kind, start, end } in all {
        count += 1;
        // Finds do not overlap; if they did, what is between them would be nothing, and never all of the text.
        out.push_str(text.get(at..start).unwrap_or_default());
        out.push_str("[redacted: ");
        out.push_str(kind);
        if let Some(number) = first_of_key.map(|first| first + count).filter(|number| *number > 1) {
            out.push_str(&format!(" {number}"));
        }
        out.push(']');
        at = at.max(end);
    }
    if count == 0 {
        return None;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Some((out, count))
}

/// Of two escapes that are one character together: they may be cut anywhere but behind the last byte.
const ESCAPE_BYTES_MAX: usize = 12;
