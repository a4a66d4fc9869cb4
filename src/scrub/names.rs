//! Secrets that only their name tells: `password=VALUE`, `x-api-key: VALUE`, `Authorization: Bearer VALUE`, and members of objects.
//!
//! Precise rather than complete: a value has letters and digits, and nothing of what code, templates and placeholders are made of.

use base64::Engine as _;

use super::shapes::{ANY, Found, parted, run, value};
use super::width::Width;

/// Names whose values are secret, without regard to case, `_` and `-`. Other words may stand before them.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secretkey",
    "secretaccesskey",
    "clientsecret",
    "clientassertion",
    "codeverifier",
    "apikey",
    "privatekey",
    "accountkey",
    "sharedaccesskey",
    "accesstoken",
    "apitoken",
    "authtoken",
    "bearertoken",
    "bottoken",
    "deploytoken",
    "githubtoken",
    "gitlabtoken",
    "npmtoken",
    "oauthtoken",
    "privatetoken",
    "refreshtoken",
    "securitytoken",
    "sessiontoken",
    "slacktoken",
    "vaulttoken",
];
/// Secret only where nothing stands before it: tokens of pages and of progress are none.
const TOKEN: &[u8] = b"token";
/// Of a registry in the configuration of Docker: its value is `USER:PASSWORD` in base64.
const AUTH: &[u8] = b"auth";
pub(super) const COOKIE: &str = "cookie";
/// Secret as parameters of a query or a form only.
const PARAMETERS: &[&str] = &["code", "sig", "x-amz-signature", "x-goog-signature"];
pub(super) const AUTHORIZATION: &str = "authorization";
/// What credentials in that header begin with (RFC 9110 section 11.4).
const SCHEMES: &[&[u8]] = &[b"bearer", b"basic", b"token", b"apikey"];

const NAME_WINDOW_BYTES: usize = 32;
const LINE_WINDOW_BYTES: usize = 64;
const VALUE_BYTES_MIN: usize = 8;
const PARAMETER_BYTES_MIN: usize = 16;
const VALUE_SAMPLE_BYTES: usize = 128;
/// A value without quotes that is longer is one, whatever follows it: no word of prose is as long.
const BARE_BYTES_MAX: usize = 256;
const VALUE_SPACES_MAX: usize = 2;
const BACKSLASHES_MAX: usize = 7;

/// The value of `NAME=VALUE`, of `NAME: "VALUE"`, and of `NAME: VALUE` where that is all of a line or of an item.
pub(super) fn assignment(bytes: &[u8], sign: usize, free: usize, width: Width) -> Option<Found> {
    let window = bytes.get(sign.saturating_sub(NAME_WINDOW_BYTES).max(free)..sign)?.trim_ascii_end();
    let name = unquoted(window);
    if ends_with(name, AUTHORIZATION) {
        return credentials(bytes, opened(bytes, sign + 1).0);
    }
    if bytes.get(sign) == Some(&b':') && ends_with(name, COOKIE) {
        return cookies(bytes, opened(bytes, sign + 1).0, width);
    }
    if is_word(name, AUTH) {
        let start = opened(bytes, sign + 1).0;
        return login(bytes.get(start..start + run(bytes, start, value, VALUE_SAMPLE_BYTES))?, start);
    }
    if !named(name) {
        return None;
    }
    let (start, quoted) = opened(bytes, sign + 1);
    let sample = bytes.get(start..start + run(bytes, start, value, VALUE_SAMPLE_BYTES))?;
    // A call or a template goes on where a value would end.
    let goes_on = matches!(bytes.get(start + sample.len()), Some(b'(' | b'{' | b'[' | b'$' | b'<'));
    if sample.len() < VALUE_BYTES_MIN || !telling(sample) || goes_on {
        return None;
    }
    let bare = bytes.get(sign) == Some(&b':') && !quoted;
    let name_at = sign.saturating_sub(NAME_WINDOW_BYTES).max(free) + name.len();
    if bare && !begins_item(bytes, name_at) {
        return None;
    }
    let end = start + run(bytes, start, value, if bare { BARE_BYTES_MAX } else { ANY });
    let holds = !bare || end - start == BARE_BYTES_MAX || ends_item(bytes, end);
    holds.then(|| Found { kind: "password", start, end: end + run(bytes, end, value, ANY) })
}

/// The value of `&NAME=VALUE` of a query or a form, whose name is too common to tell anywhere else.
pub(super) fn in_query(bytes: &[u8], sign: usize) -> Option<Found> {
    let named = |name: &&&str| {
        let before = sign.checked_sub(name.len() + 1);
        let text = before.and_then(|from| bytes.get(from..sign));
        text.is_some_and(|text| {
            text.split_first().is_some_and(|(mark, text)| b"?&".contains(mark) && text.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    PARAMETERS.iter().find(named)?;
    let start = sign + 1;
    let sample = bytes.get(start..start + run(bytes, start, value, VALUE_SAMPLE_BYTES))?;
    let holds = sample.len() >= PARAMETER_BYTES_MIN && telling(sample);
    holds.then(|| Found { kind: "query-secret", start, end: start + run(bytes, start, value, ANY) })
}

/// `NAME=VALUE; NAME=VALUE` at `at`: to the end of the line or string, or to that of the last pair.
fn cookies(bytes: &[u8], at: usize, width: Width) -> Option<Found> {
    if width == Width::Narrow {
        let end = cookie_pairs(bytes, at).last()?.1;
        return Some(Found { kind: COOKIE, start: at, end });
    }
    let line = |b: u8| b >= b' ' && !b"\"'\\".contains(&b);
    let sample = bytes.get(at..at + run(bytes, at, line, VALUE_SAMPLE_BYTES))?;
    let name = run(bytes, at, |b| b.is_ascii_alphanumeric() || b"_-.".contains(&b), NAME_WINDOW_BYTES * 2);
    let holds = name > 0 && bytes.get(at + name) == Some(&b'=') && sample.len() >= VALUE_BYTES_MIN && telling(sample);
    holds.then(|| Found { kind: COOKIE, start: at, end: at + run(bytes, at, line, ANY) })
}

/// Where the value begins and ends of each of the `NAME=VALUE` from `at` on that hold together by `;` and at most one space.
pub(super) fn cookie_pairs(bytes: &[u8], mut at: usize) -> impl Iterator<Item = (usize, usize)> {
    std::iter::from_fn(move || {
        let name = run(bytes, at, |b| b.is_ascii_alphanumeric() || b"_-.".contains(&b), NAME_WINDOW_BYTES * 2);
        if name == 0 || bytes.get(at + name) != Some(&b'=') {
            return None;
        }
        let start = at + name + 1;
        let end = start + run(bytes, start, value, ANY);
        at = match bytes.get(end..) {
            Some([b';', b' ', ..]) => end + 2,
            Some([b';', ..]) => end + 1,
            // What stands here is no name.
            _ => end,
        };
        Some((start, end))
    })
}

/// `sample`, which stands at `start`, if it is base64 of `USER:PASSWORD`.
fn login(sample: &[u8], start: usize) -> Option<Found> {
    let text = base64::engine::general_purpose::STANDARD.decode(sample).ok()?;
    let parts = memchr::memchr(b':', &text).is_some_and(|at| at > 0 && at + 1 < text.len());
    let holds = parts && text.iter().all(|b| (b' '..=b'~').contains(b));
    holds.then_some(Found { kind: "password", start, end: start + sample.len() })
}

/// What is secret of the text `text` under the key `key` of an object.
pub(super) fn member(key: &str, text: &str, width: Width) -> Option<Found> {
    let bytes = text.as_bytes();
    if is_word(key.as_bytes(), AUTH) {
        return login(bytes, 0);
    }
    if ends_with(key.as_bytes(), COOKIE) {
        return cookies(bytes, 0, width);
    }
    let header = ends_with(key.as_bytes(), AUTHORIZATION);
    let in_header = || credentials(bytes, 0).filter(|_| header);
    let all = || (whole(text)).then_some(Found { kind: "password", start: 0, end: text.len() });
    in_header().or_else(all)
}

/// Whether a member of an object with this key is secret.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.as_bytes();
    named(key) || ends_with(key, AUTHORIZATION) || ends_with(key, COOKIE) || is_word(key, AUTH)
}

/// `SCHEME VALUE` at `at`: the value.
fn credentials(bytes: &[u8], at: usize) -> Option<Found> {
    let here = bytes.get(at..)?;
    let same = |scheme: &&&[u8]| here.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme));
    let scheme_end = at + SCHEMES.iter().find(same)?.len();
    let spaces = run(bytes, scheme_end, |b| b == b' ', VALUE_SPACES_MAX);
    let start = scheme_end + spaces;
    let sample = bytes.get(start..start + run(bytes, start, value, VALUE_SAMPLE_BYTES))?;
    // Base64 of a short word may have no digit, but it does not write like prose.
    let mixed = sample.iter().skip(1).any(u8::is_ascii_uppercase) && sample.iter().any(u8::is_ascii_lowercase);
    let holds = spaces > 0 && sample.len() >= VALUE_BYTES_MIN && (mixed || telling(sample));
    holds.then(|| Found { kind: AUTHORIZATION, start, end: start + run(bytes, start, value, ANY) })
}

/// Where a value begins behind spaces and a quote, and whether there is a quote. It may be escaped: text may be JSON in JSON.
fn opened(bytes: &[u8], after_sign: usize) -> (usize, bool) {
    let at = after_sign + run(bytes, after_sign, |b| b == b' ', VALUE_SPACES_MAX);
    let quote_at = at + run(bytes, at, |b| b == b'\\', BACKSLASHES_MAX);
    if matches!(bytes.get(quote_at), Some(b'"' | b'\'')) { (quote_at + 1, true) } else { (at, false) }
}

fn unquoted(name: &[u8]) -> &[u8] {
    let Some(mut inner) = name.strip_suffix(b"\"").or_else(|| name.strip_suffix(b"'")) else { return name };
    while let Some(shorter) = inner.strip_suffix(b"\\") {
        inner = shorter;
    }
    inner
}

fn named(name: &[u8]) -> bool {
    NAMES.iter().any(|known| ends_with(name, known)) || is_word(name, TOKEN)
}

/// Whether `name` ends with `wanted` as a word of its own.
fn is_word(name: &[u8], wanted: &[u8]) -> bool {
    let Some(before) = name.len().checked_sub(wanted.len()) else { return false };
    let (left, word) = name.split_at_checked(before).unwrap_or_default();
    let alone = match left.last() {
        None => true,
        Some(b'_' | b'-') => left.ends_with(b"--"),
        Some(_) => parted(name, before),
    };
    alone && word.eq_ignore_ascii_case(wanted)
}

/// Whether `text` ends with `name`, apart from case, `_` and `-`.
fn ends_with(text: &[u8], name: &str) -> bool {
    let mut letters = text.iter().rev().filter(|b| !matches!(b, b'_' | b'-'));
    name.bytes().rev().all(|wanted| letters.next().is_some_and(|b| b.to_ascii_lowercase() == wanted))
}

/// Whether the name that ends at `name_end` is the first of its line or item: words before it make it prose.
fn begins_item(bytes: &[u8], name_end: usize) -> bool {
    let from = name_end.saturating_sub(LINE_WINDOW_BYTES);
    let window = bytes.get(from..name_end).unwrap_or_default();
    let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let Some(last) = window.iter().rposition(|b| !part(b)) else { return from == 0 };
    let first = window.get(last + 1).copied().unwrap_or_default();
    let mut before = window.get(..=last).unwrap_or_default();
    if before.last() == Some(&b'\\') && matches!(first, b'n' | b'r' | b't') {
        return true;
    }
    while let Some((b' ' | b'\t' | b'-', rest)) = before.split_last() {
        before = rest;
    }
    match before.last() {
        None => from == 0,
        Some(b'n' | b'r' | b't') => matches!(before.iter().nth_back(1), Some(b'\\')),
        Some(last) => b"\n\r\"'{,;(+#<>|".contains(last),
    }
}

/// Whether nothing follows at `end` in the line or item.
fn ends_item(bytes: &[u8], end: usize) -> bool {
    let spaces = run(bytes, end, |b| matches!(b, b' ' | b'\t'), LINE_WINDOW_BYTES);
    bytes.get(end + spaces).is_none_or(|b| b"\n\r,;}\"'\\)]|".contains(b) || (spaces > 0 && *b == b'#'))
}

pub(super) fn telling(sample: &[u8]) -> bool {
    sample.iter().any(u8::is_ascii_digit) && sample.iter().any(u8::is_ascii_alphabetic)
}

/// Whether all of a string is a value: one word, and no template, reference or call.
fn whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    let word = text.len() >= VALUE_BYTES_MIN && !bytes.iter().any(|b| *b <= b' ' || *b == 0x7f) && telling(bytes);
    let variable = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let refers = text.starts_with(['<', '[', '{'])
        || text.strip_prefix('$').is_some_and(variable)
        || text.ends_with("()")
        || ["${", "$(", "{{", "%("].iter().any(|opening| text.contains(opening));
    word && !refers
}
