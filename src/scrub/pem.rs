//! Private keys in PEM (RFC 7468) as people are shown them: their lines of base64 are hidden, and whatever else stands between the marks
//! is shown, for nobody but who wrote it says that it is a key.

use memchr::memmem;

use super::narrow::{Hidden, MASK_CHARS_MAX, drawn, is_short_line};
use super::plain::reads;
use super::shapes::{Found, pem_begin, run};

/// Adds the lines of base64 of every private key in `text`, with an end or without.
pub(super) fn find(text: &str, hidden: &mut Vec<Hidden>) {
    let bytes = text.as_bytes();
    for begin in memmem::find_iter(bytes, b"-----BEGIN ") {
        let Some(length) = bytes.get(begin..).and_then(pem_begin) else { continue };
        let start = begin + length;
        let end = memmem::find(bytes.get(start..).unwrap_or_default(), b"-----").map_or(bytes.len(), |rest| start + rest);
        lines(bytes, (start, end), hidden);
    }
}

/// Adds the lines from `start` to `end`. A key may also be all in one line, its lines apart by spaces or the `\n` of a string.
fn lines(bytes: &[u8], (start, end): (usize, usize), hidden: &mut Vec<Hidden>) {
    let closed = bytes.get(end..).is_some_and(|mark| mark.starts_with(b"-----END "));
    let (mut at, mut behind_key) = (start, true);
    while at < end {
        let to = at + run(bytes, at, of_line, end - at);
        // The letter of an escape is none of the line behind it.
        let escape = matches!(bytes.get(at - 1..=at), Some([b'\\', b'n' | b'r' | b't'])) && at < to;
        let from = at + usize::from(escape);
        at = to + 1;
        let Some(line) = bytes.get(from..to).filter(|line| line.iter().any(u8::is_ascii_alphanumeric)) else { continue };
        let unpadded = line.strip_suffix(b"==").or_else(|| line.strip_suffix(b"=")).unwrap_or(line);
        let before = if escape || from == start { Some(&b'\n') } else { bytes.get(from - 1) };
        let after = if to == end { Some(&b'\n') } else { bytes.get(to) };
        let apart = |before: Option<&u8>, after: Option<&u8>, by: &[u8]| {
            [before, after].iter().all(|edge| edge.is_some_and(|edge| by.contains(edge)))
        };
        // A short one stands on a line of its own, however far in.
        let alone = || {
            let indented = bytes.get(start..from).and_then(|front| front.iter().rfind(|b| !is_blank(b)));
            let before = if escape || indented.is_none() { Some(&b'\n') } else { indented };
            apart(before, after, SIGNS_AROUND)
        };
        let is_last = || closed && run(bytes, to, |b| b"\r\n\\nrt \t\"',+".contains(&b), end - to) == end - to;
        let is_key = if line.len() < LINE_CHARS_MIN {
            behind_key && alone() && is_short_line(unpadded) && is_last()
        } else {
            line.len() <= MASK_CHARS_MAX && apart(before, after, BETWEEN_LINES) && drawn(unpadded) && !reads(unpadded)
        };
        if is_key {
            hidden.push(Hidden { found: Found { kind: "private-key", start: from, end: to }, known: false });
        }
        behind_key = is_key;
    }
}

fn is_blank(b: &u8) -> bool {
    matches!(b, b' ' | b'\t')
}

fn of_line(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"+/=".contains(&b)
}

/// What stands around the lines of a key: ends of lines, and the signs of a text in a program.
const SIGNS_AROUND: &[u8] = b"\r\n\\\"',";
/// The same where they may be indented, or all in one line.
const BETWEEN_LINES: &[u8] = b"\r\n\\\"', \t";
/// Of a line that is not the last: they have 64 characters, some 70 or 76.
const LINE_CHARS_MIN: usize = 60;
