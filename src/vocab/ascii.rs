//! Plain text, eight bytes at a time: names and words are over before a wider search gets going.

/// How many bytes come before the first control character, `"` or `\`.
pub fn plain_run(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = breaks(u64::from_le_bytes(*word));
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let ends = |b: &u8| *b < b' ' || matches!(b, b'"' | b'\\');
    words.len() * 8 + rest.iter().position(ends).unwrap_or(rest.len())
}

/// Whether all of it is visible ASCII and spaces without `"` and `\`: what stands in a JSON string and on a terminal as it is.
pub fn is_plain(text: &[u8]) -> bool {
    let plain = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        // DEL becomes the first byte that is no ASCII.
        breaks(word) | (word | word.wrapping_add(ONES)) & HIGH_BITS == 0
    };
    match text.last_chunk::<8>() {
        // The last eight bytes may be looked at twice, for there is no rest then.
        Some(last) => text.as_chunks::<8>().0.iter().all(plain) && plain(last),
        None => text.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')),
    }
}

/// The high bit of the first byte, from the lowest on, that is a control character, `"` or `\`; none if there is no such byte.
/// Bits above it may be set in error.
fn breaks(word: u64) -> u64 {
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * b' ' as u64) & !word;
    (control | is_zero(word ^ (ONES * b'"' as u64)) | is_zero(word ^ (ONES * b'\\' as u64))) & HIGH_BITS
}

/// Each byte is one.
const ONES: u64 = u64::MAX / 255;
const HIGH_BITS: u64 = ONES << 7;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of texts of many lengths, beside neighbours that a wrong carry would reach.
    #[test]
    fn every_byte_is_seen_wherever_it_stands() {
        for neighbour in [b' ', b'~', b'!', b'#', b'[', b']', 0x80, 0xff] {
            for length in 0..28 {
                for at in 0..length {
                    for byte in 0..=u8::MAX {
                        let mut text = vec![neighbour; length];
                        text[at] = byte;
                        let run = text.iter().position(|b| *b < b' ' || *b == b'"' || *b == b'\\').unwrap_or(length);
                        assert_eq!(plain_run(&text), run, "{text:?}");
                        let plain = text.iter().all(|b| (b' '..=b'~').contains(b) && *b != b'"' && *b != b'\\');
                        assert_eq!(is_plain(&text), plain, "{text:?}");
                    }
                }
            }
        }
        assert!(is_plain(b"") && plain_run(b"") == 0);
    }
}
