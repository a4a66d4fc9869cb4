//! What nobody wants in a record or a log, though an answer may have it: card numbers, and who somebody is in a URL.

use memchr::memmem;

use super::shapes::{self, ANY, Found, digit, run, userinfo};
use super::width::Width;

/// Everything that is not kept, in order, without overlaps; also what is percent-encoded.
pub(super) fn find(text: &str) -> Vec<Found> {
    find_in(text, Width::Wide)
}

/// As [`find`], as far as `width` says.
pub(super) fn find_in(text: &str, width: Width) -> Vec<Found> {
    let mut found = plain(text, width);
    if memchr::memchr(b'%', text.as_bytes()).is_none() {
        return found;
    }
    let pluses: &[u8] = if text.contains('+') { b"+ " } else { b"+" };
    for plus in pluses {
        let more = plain(&decoded(text, *plus), width);
        add(&mut found, encoded(text, more));
    }
    found
}

/// `text` without percent-encoding (RFC 3986 section 2.1). What is not ASCII is part of no shape and stands as a mark, whatever encoding
/// it may have been in.
fn decoded(text: &str, plus: u8) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let code = code(bytes, at);
        out.push(match code {
            Some(code) if code.is_ascii() => code,
            Some(_) => b'~',
            None if *byte == b'+' => plus,
            None => *byte,
        });
        at += if code.is_some() { CODE_BYTES } else { 1 };
    }
    String::from_utf8(out).unwrap_or_default()
}

/// The byte that the percent-encoding at `at` stands for.
pub(super) fn code(bytes: &[u8], at: usize) -> Option<u8> {
    let digits = bytes.get(at..at + CODE_BYTES)?.strip_prefix(b"%")?;
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.iter().try_fold(0_u8, |code, b| Some((code << 4) | digit(b)?))
}

/// Where what was found in what `text` decodes to stands in `text`.
fn encoded(text: &str, mut found: Vec<Found>) -> Vec<Found> {
    let (bytes, mut at, mut decoded) = (text.as_bytes(), 0, 0);
    let mut place = |wanted: usize| {
        while decoded < wanted {
            at += if code(bytes, at).is_some() { CODE_BYTES } else { 1 };
            decoded += 1;
        }
        at
    };
    for one in &mut found {
        (one.start, one.end) = (place(one.start), place(one.end));
    }
    found
}

fn plain(text: &str, width: Width) -> Vec<Found> {
    let mut found = shapes::find_in(text, width);
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

/// Numbers of payment cards (ISO/IEC 7812), in one piece or in groups, also beside other numbers.
pub(super) fn cards(text: &str) -> Vec<Found> {
    let (bytes, mut found, mut at) = (text.as_bytes(), Vec::<Found>::new(), 0);
    while let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let start = at + next;
        at = start + run(bytes, start, digit, ANY);
        let Some(end) = card(bytes, start) else { continue };
        match found.last_mut().filter(|last| start < last.end) {
            Some(last) => last.end = last.end.max(end),
            None => found.push(Found { kind: CARD, start, end }),
        }
    }
    found
}

/// Where the number of a card ends whose first group of digits begins at `start`. It looks at as many bytes as the longest has.
fn card(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = bytes.get(start..)?;
    let before = start.checked_sub(1).and_then(|at| bytes.get(at));
    if !matches!(rest.first(), Some(b'2'..=b'6')) || before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.') {
        return None;
    }
    let (mut digits, mut count, mut separators) = ([0; CARD_DIGITS_MAX], 0, 0);
    let (mut number_end, mut group_end) = (None, None);
    for (at, byte) in rest.iter().copied().chain([b'\n']).enumerate() {
        if let Some(digit) = Some(byte).filter(u8::is_ascii_digit) {
            let Some(free) = digits.get_mut(count) else { break };
            *free = digit - b'0';
            count += 1;
            group_end = Some(at + 1);
            continue;
        }
        let goes_on = byte == b'.' && rest.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
        let apart = group_end == Some(at) && !byte.is_ascii_alphanumeric() && !goes_on;
        if apart && digits.get(..count).is_some_and(|digits| issued(digits) && luhn(digits)) {
            number_end = Some(start + at);
        }
        separators += 1;
        if !matches!(byte, b' ' | b'-') || separators > CARD_GROUPS_MAX {
            break;
        }
    }
    number_end
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

pub(super) const CARD: &str = "card-number";
/// Of the shortest number of a card. No other secret is as short, unless it stands behind a sign that says so.
pub(super) const CARD_DIGITS_MIN: usize = 15;
const CARD_DIGITS_MAX: usize = 16;
/// Behind the first.
const CARD_GROUPS_MAX: usize = 4;
/// Of a percent-encoded byte.
pub(super) const CODE_BYTES: usize = 3;
const USER_BYTES_MAX: usize = 1024;
