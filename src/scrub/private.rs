//! What nobody wants in a record or a log, though an answer may have it: card numbers, and who somebody is in a URL.

use memchr::memmem;

use super::shapes::{self, Found, run, userinfo};

/// Everything that is not kept, in order, without overlaps; also what is percent-encoded.
pub(super) fn find(text: &str) -> Vec<Found> {
    let mut found = plain(text);
    for plus in [b'+', b' '] {
        if let Some((decoded, places)) = decoded(text, plus) {
            let place = |at: usize| places.get(at).copied().unwrap_or(text.len());
            let encoded = |one: Found| Found { start: place(one.start), end: place(one.end), ..one };
            add(&mut found, plain(&decoded).into_iter().map(encoded).collect());
        }
    }
    found
}

/// `text` without percent-encoding (RFC 3986 section 2.1), and where each byte of it begins; `None` where nothing is encoded as text.
fn decoded(text: &str, plus: u8) -> Option<(String, Vec<usize>)> {
    let bytes = text.as_bytes();
    memchr::memchr(b'%', bytes)?;
    let (mut out, mut places, mut at) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        places.push(at);
        let code = bytes.get(at + 1..at + 3).filter(|code| *byte == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let byte_of = |code| std::str::from_utf8(code).ok().and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.and_then(byte_of) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if *byte == b'+' { plus } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok().map(|out| (out, places))
}

fn plain(text: &str) -> Vec<Found> {
    let mut found = shapes::find(text);
    add(&mut found, cards(text));
    if text.contains("://") {
        add(&mut found, users(text));
    }
    found
}

/// Adds `more`; those that overlap become one, of the kind of the wider. As fast as sorting, however many there are.
pub(super) fn add(found: &mut Vec<Found>, more: Vec<Found>) {
    if more.is_empty() {
        return;
    }
    found.extend(more);
    found.sort_by_key(|one| one.start);
    found.dedup_by(|next, last| {
        let over = next.start < last.end;
        if over && next.end - next.start > last.end - last.start {
            last.kind = next.kind;
        }
        if over {
            last.end = last.end.max(next.end);
        }
        over
    });
}

/// Numbers of payment cards (ISO/IEC 7812), in one piece or in groups.
pub(super) fn cards(text: &str) -> Vec<Found> {
    let (bytes, mut found, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let start = at + next;
        let part = |b: &u8| b.is_ascii_digit() || matches!(b, b' ' | b'-');
        let mut end = start + bytes.get(start..).unwrap_or_default().iter().take_while(|b| part(b)).count();
        while end > start && !bytes.get(end - 1).is_some_and(u8::is_ascii_digit) {
            end -= 1;
        }
        at = end.max(start + 1);
        if end - start < CARD_DIGITS_MIN {
            continue;
        }
        let beside = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.');
        let digits: Vec<u8> =
            bytes.get(start..end).unwrap_or_default().iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0').collect();
        let separators = end - start - digits.len();
        if separators <= CARD_GROUPS_MAX
            && !beside(start.checked_sub(1))
            && !beside(Some(end))
            && issued(&digits)
            && luhn(&digits)
        {
            found.push(Found { kind: "card-number", start, end });
        }
    }
    found
}

/// Whether the number begins and is as long as those that the large networks issue.
fn issued(digits: &[u8]) -> bool {
    let first = |count: usize| digits.iter().take(count).fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    match digits.len() {
        15 => matches!(first(2), 34 | 37),
        16 => first(1) == 4 || matches!(first(2), 51..=55 | 65) || matches!(first(4), 2221..=2720 | 6011),
        _ => false,
    }
}

/// The check digit (ISO/IEC 7812-1, annex B).
fn luhn(digits: &[u8]) -> bool {
    let double = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(at, digit)| u32::from(if at % 2 == 1 { double(*digit) } else { *digit })).sum();
    sum.is_multiple_of(10)
}

/// What stands before the `@` of `scheme://user@host`: it may be a token. Where a password follows, that is what is secret.
fn users(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let user = |at: usize| {
        let start = at + "://".len();
        let length = run(bytes, start, userinfo, USER_BYTES_MAX);
        (length > 0 && bytes.get(start + length) == Some(&b'@')).then_some(Found { kind: "userinfo", start, end: start + length })
    };
    memmem::find_iter(bytes, b"://").filter_map(user).collect()
}

/// Of the shortest number of a card. No other secret is as short, unless it stands behind a sign that says so.
pub(super) const CARD_DIGITS_MIN: usize = 15;
const CARD_GROUPS_MAX: usize = 4;
const USER_BYTES_MAX: usize = 1024;
