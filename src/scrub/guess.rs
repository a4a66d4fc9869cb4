//! What looks drawn at random: tokens without a shape of their own. Wrong at times, so it is for texts that mean nothing anyway.

use super::shapes::Found;

/// Runs of letters, digits, `_` and `-` of which hardly two neighbours are of a kind, and long runs of hexadecimal digits.
pub(super) fn find(text: &str) -> Vec<Found> {
    let (bytes, mut found, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let run: &[u8] = bytes.get(at..).unwrap_or_default();
        let length = run.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
        let run = run.get(..length).unwrap_or_default();
        // Names are put together with `__`.
        let (before, mut start) = (found.len(), at);
        for part in run.split_inclusive(|b| *b == b'_').collect::<Vec<_>>().chunk_by(|a, _| a.len() > 1) {
            let length: usize = part.iter().map(|piece| piece.len()).sum();
            let text = bytes.get(start..start + length).unwrap_or_default();
            let name = text.get(..text.iter().rposition(|b| *b != b'_').map_or(0, |last| last + 1)).unwrap_or_default();
            if random(name) {
                found.push(Found { kind: "random", start, end: start + name.len() });
            }
            start += length;
        }
        if found.len() == before && random(run) {
            found.push(Found { kind: "random", start: at, end: at + length });
        }
        at += length + 1;
    }
    found
}

fn random(run: &[u8]) -> bool {
    hexadecimal(run) || mixed(run)
}

fn mixed(run: &[u8]) -> bool {
    if run.len() < MIXED_BYTES_MIN {
        return false;
    }
    let all = [u8::is_ascii_uppercase, u8::is_ascii_lowercase, u8::is_ascii_digit].iter().all(|kind| run.iter().any(kind));
    let changes = run.windows(2).filter(|pair| matches!(pair, [a, b] if kind(*a) != kind(*b))).count();
    all && changes * 100 >= (run.len() - 1) * CHANGES_PERCENT_MIN
}

/// Whether `run` is a long number in hexadecimal digits.
pub(super) fn hexadecimal(run: &[u8]) -> bool {
    let digits = run.iter().filter(|b| b.is_ascii_digit()).count();
    run.len() >= HEX_BYTES_MIN && run.iter().all(u8::is_ascii_hexdigit) && digits >= 4 && run.len() - digits >= 4
}

fn kind(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    }
}

const MIXED_BYTES_MIN: usize = 20;
/// Of 64 letters at random 63 percent of the neighbours differ in kind, of words in camel case about 35.
const CHANGES_PERCENT_MIN: usize = 45;
const HEX_BYTES_MIN: usize = 32;
