//! What readers make of the letters of a path: escapes, look-alikes, and names that stand for other names.

use std::borrow::Cow;

use crate::policy::bounds::DECODE_ROUNDS_MAX;
use crate::vocab::escape::is_invisible;

/// Dots with something that some file system or server drops: more dots, spaces, `;` parameters, a query, a stream.
pub(super) fn disguised(segment: &str) -> bool {
    if matches!(segment, "" | "." | "..") {
        return false;
    }
    let name = segment.split([';', '?', '#', ':']).next().unwrap_or_default();
    if name.is_empty() { segment.starts_with(';') } else { dots(name) }
}

/// A drive (`C:`, `C|`), alone or with dots behind it.
pub(super) fn drive(segment: &str) -> bool {
    let mut chars = segment.chars();
    let letter = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
    letter && matches!(chars.next(), Some(':' | '|')) && dots(chars.as_str())
}

fn dots(name: &str) -> bool {
    name.chars().all(|c| c == '.' || c.is_whitespace())
}

/// Characters that are, or that some reader turns into, a separator, a dot, a home directory, an escape or nothing.
pub(in crate::policy) fn misleading(c: char) -> bool {
    if c.is_ascii() {
        return c == '\\' || c.is_ascii_control();
    }
    matches!(
        c,
        // dots
        '\u{2024}' | '\u{2025}' | '\u{2026}' | '\u{3002}' | '\u{fe19}' | '\u{fe30}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff61}'
            // slashes
            | '\u{2044}' | '\u{2215}' | '\u{2571}' | '\u{27cb}' | '\u{29f8}' | '\u{2afb}' | '\u{2afd}' | '\u{ff0f}'
            | '\u{2100}' | '\u{2101}' | '\u{2105}' | '\u{2106}'
            // backslashes, and the currencies that old code pages have in their place
            | '\u{2216}' | '\u{2572}' | '\u{27cd}' | '\u{29f5}' | '\u{29f9}' | '\u{244a}' | '\u{fe68}' | '\u{ff3c}'
            | '\u{a5}' | '\u{20a9}' | '\u{ffe5}' | '\u{ffe6}'
            // percent signs, tildes, colons, bars
            | '\u{fe6a}' | '\u{ff05}' | '\u{ff5e}' | '\u{223c}' | '\u{02dc}' | '\u{ff1a}' | '\u{fe55}' | '\u{ff5c}'
    ) || is_invisible(c)
}

/// Whether any number of percent-decodings brings forth a dot, a separator, a `~` or anything misleading.
pub(super) fn encoded(text: &str) -> bool {
    !readings(text, &mut |_| true)
}

/// Shows `each` the text as written and after every round of percent-decoding, until nothing is left to decode. False as soon as
/// a decoding is hostile, `each` says so, or there are too many of them.
pub(super) fn readings(text: &str, each: &mut dyn FnMut(&str) -> bool) -> bool {
    if !each(text) {
        return false;
    }
    let mut text = Cow::Borrowed(text);
    for _ in 0..DECODE_ROUNDS_MAX {
        if !text.contains('%') {
            return true;
        }
        match decode(&text) {
            Decoded::Same => return true,
            Decoded::Hostile => return false,
            Decoded::Other(next) => {
                let odd = next.chars().any(misleading) || next.split('/').any(|s| disguised(s) || drive(s));
                if odd || !each(&next) {
                    return false;
                }
                text = Cow::Owned(next);
            }
        }
    }
    false
}

/// Whether any round of percent-decoding meets an escaped letter or digit: RFC 3986 section 6.2.2.2 has them mean the plain ones,
/// so such a URI is a second spelling of one that a rule may name.
pub(super) fn needlessly_encoded(text: &str) -> bool {
    let found = std::cell::Cell::new(false);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let escapes = |text: &str| {
        let mut pieces = text.as_bytes().split(|b| *b == b'%');
        pieces.next();
        pieces.any(|piece| matches!(piece, [high, low, ..] if byte(*high, *low).is_some_and(plain)))
    };
    readings(text, &mut |reading| {
        found.set(found.get() || escapes(reading));
        true
    });
    found.get()
}

enum Decoded {
    Same,
    Other(String),
    Hostile,
}

/// One round of percent-decoding. Bytes that are no UTF-8 (overlong forms among them) and `%uXXXX` are hostile.
fn decode(text: &str) -> Decoded {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    let mut changed = false;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            out.push(first);
            continue;
        }
        if let [b'u' | b'U', a, b, c, d, ..] = after
            && [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit())
        {
            return Decoded::Hostile;
        }
        let escape = match after {
            [high, low, after @ ..] => byte(*high, *low).map(|byte| (byte, after)),
            _ => None,
        };
        match escape {
            Some((b'.' | b'/' | b'\\' | b'~', _)) => return Decoded::Hostile,
            Some((byte, after)) => {
                out.push(byte);
                rest = after;
                changed = true;
            }
            None => out.push(b'%'),
        }
    }
    match String::from_utf8(out) {
        Ok(text) if changed => Decoded::Other(text),
        Ok(_) => Decoded::Same,
        Err(_) => Decoded::Hostile,
    }
}

/// The byte that two hex digits stand for.
fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|n| u8::try_from(n).ok());
    Some((digit(high)? << 4) | digit(low)?)
}
