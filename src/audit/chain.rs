//! The hash chain: every line names the line before it and its own SHA-256 (docs/audit-format.md).
//!
//! A line ends with `,"prev":"<64 hex>","hash":"<64 hex>"}`, always, so that both are found by counting from its end. `hash` is over
//! the bytes before `,"hash":` and one `}`: the line without its last member.

use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::vocab::digits::push_hex;

/// Size of a SHA-256 (FIPS 180-4), in bytes.
pub(super) const HASH_BYTES: usize = 32;
/// A SHA-256 in hexadecimal.
pub(super) const HEX_BYTES: usize = 2 * HASH_BYTES;

const PREV: &[u8] = br#","prev":""#;
const HASH: &[u8] = br#","hash":""#;
const SEQ: &[u8] = br#","seq":"#;
/// What `hash` does not cover: the last member and the brace.
const LAST_BYTES: usize = HASH.len() + HEX_BYTES + 2;
/// Both members that [`seal`] adds, and the brace.
const SUFFIX_BYTES: usize = PREV.len() + HEX_BYTES + 1 + LAST_BYTES;
/// Digits of a `seq`, the largest of which is [`u64::MAX`].
const SEQ_DIGITS_MAX: usize = 20;
/// Digits of `v`.
const VERSION_DIGITS_MAX: usize = 3;

/// The `hash` of a record: what the next one names as its `prev`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link([u8; HASH_BYTES]);

impl Link {
    /// What the first record of a log has for its `prev`.
    pub const ZERO: Self = Self([0; HASH_BYTES]);

    /// The link of these bytes.
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes: what the Merkle tree has for a leaf.
    pub const fn bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// From 64 digits, lower case only: there is one way to write a link.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        from_hex(digits).map(Self)
    }

    /// Appends its 64 digits.
    pub fn push_hex(&self, out: &mut Vec<u8>) {
        push_hex(out, &self.0);
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({self})")
    }
}

/// Bytes from lower-case hexadecimal of exactly that length.
pub(super) fn from_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

/// Ends the record that `out` holds from `start` on, an object still open (no `}`): appends `prev`, `hash`, the brace and the line
/// feed. What it returns is the `prev` of the next record.
pub(super) fn seal(out: &mut Vec<u8>, start: usize, prev: Link) -> Link {
    out.extend_from_slice(PREV);
    prev.push_hex(out);
    // The brace is there while the hash is made, which then is of one piece.
    out.extend_from_slice(b"\"}");
    let link = Link(array(digest(&SHA256, out.get(start..).unwrap_or_default()).as_ref()));
    out.pop();
    out.extend_from_slice(HASH);
    link.push_hex(out);
    out.extend_from_slice(b"\"}\n");
    link
}

/// What a line that is sound in itself says of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its number in the log.
    pub seq: u64,
    /// The `hash` of the record before.
    pub prev: Link,
    /// Its own.
    pub hash: Link,
}

/// Why a line is not sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// It does not begin or end as records do.
    #[error("is no record")]
    NoRecord,
    /// Its bytes do not have the hash that it names.
    #[error("does not have the hash that it names")]
    Altered(Sealed),
}

/// Looks at one line without its line feed: its shape, and whether it has the hash that it names. Reads no JSON.
///
/// # Errors
/// [`Unsound`]. Whether `seq` and `prev` follow from the record before is the caller's to compare.
pub(super) fn check(line: &[u8]) -> Result<Sealed, Unsound> {
    let sealed = places(line).ok_or(Unsound::NoRecord)?;
    let covered = line.get(..line.len() - LAST_BYTES).ok_or(Unsound::NoRecord)?;
    if hash_of(covered) == sealed.hash { Ok(sealed) } else { Err(Unsound::Altered(sealed)) }
}

/// `seq`, `prev` and `hash` of a line, unchecked; `None` unless it begins and ends as records do.
pub(super) fn places(line: &[u8]) -> Option<Sealed> {
    let (front, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX_BYTES)?)?;
    let (prev, last) = suffix.strip_prefix(PREV)?.split_at_checked(HEX_BYTES)?;
    let (hash, end) = last.strip_prefix(b"\"")?.strip_prefix(HASH)?.split_at_checked(HEX_BYTES)?;
    if end != b"\"}" {
        return None;
    }
    Some(Sealed { seq: seq_of(front)?, prev: Link::from_hex(prev)?, hash: Link::from_hex(hash)? })
}

/// The number of a line that begins as records do: `{"v":1,"seq":N,`.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    let (_, rest) = decimal(line.strip_prefix(br#"{"v":"#)?, VERSION_DIGITS_MAX)?;
    let (seq, rest) = decimal(rest.strip_prefix(SEQ)?, SEQ_DIGITS_MAX)?;
    (rest.first() == Some(&b',')).then_some(seq)
}

/// A number as we write them, without zeros before it, and what follows.
fn decimal(text: &[u8], digits_max: usize) -> Option<(u64, &[u8])> {
    let digits = text.iter().take(digits_max).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    if number.is_empty() || (number.len() > 1 && number.first() == Some(&b'0')) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    Some((number.iter().try_fold(0, add)?, rest))
}

/// Of the bytes and one `}`.
fn hash_of(open: &[u8]) -> Link {
    let mut context = Context::new(&SHA256);
    context.update(open);
    context.update(b"}");
    Link(array(context.finish().as_ref()))
}

/// The bytes of a SHA-256, of which there are always as many.
pub(super) fn array(digest: &[u8]) -> [u8; HASH_BYTES] {
    digest.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(text: &str, prev: Link) -> (Vec<u8>, Link) {
        let mut out = b"before\n".to_vec();
        out.extend_from_slice(text.as_bytes());
        let link = seal(&mut out, 7, prev);
        (out[7..].to_vec(), link)
    }

    #[test]
    fn a_sealed_line_is_what_the_format_says() {
        let (line, link) = sealed(r#"{"v":1,"seq":1,"kind":"list""#, Link::ZERO);
        let zeros = "0".repeat(64);
        // printf '{"v":1,"seq":1,"kind":"list","prev":"%064d"}' 0 | sha256sum
        let hash = "fe0b981c23962a1e9967f2c7da8532b43142d1571a6ad187b0b8a2203c991094";
        let expected = format!("{{\"v\":1,\"seq\":1,\"kind\":\"list\",\"prev\":\"{zeros}\",\"hash\":\"{link}\"}}\n");
        assert_eq!(String::from_utf8(line.clone()).unwrap(), expected);
        assert_eq!(link.to_string(), hash);
        assert_eq!(check(line.trim_ascii_end()), Ok(Sealed { seq: 1, prev: Link::ZERO, hash: link }));
    }

    #[test]
    fn links_have_one_spelling() {
        let link = Link::from_bytes([0xaf; 32]);
        assert_eq!(Link::from_hex("af".repeat(32).as_bytes()), Some(link));
        for digits in ["AF".repeat(32), "af".repeat(31), "af".repeat(33), format!("{}a", "af".repeat(32)), "ag".repeat(32)] {
            assert_eq!(Link::from_hex(digits.as_bytes()), None, "{digits}");
        }
    }

    #[test]
    fn every_change_of_a_byte_is_noticed() {
        let (line, _) = sealed(r#"{"v":1,"seq":18446744073709551615,"id":"x\"},\"hash\":\"y""#, Link::from_bytes([9; 32]));
        let line = line.trim_ascii_end();
        assert_eq!(check(line).unwrap().seq, u64::MAX);
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.to_vec();
                changed[at] ^= 1 << bit;
                check(&changed).unwrap_err();
            }
            check(&line[..at]).unwrap_err();
            let mut longer = line.to_vec();
            longer.insert(at, line[at]);
            check(&longer).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_record() {
        let (line, _) = sealed(r#"{"v":1,"seq":7,"a":1"#, Link::ZERO);
        let line = String::from_utf8(line).unwrap();
        let line = line.trim_end();
        for (from, to) in [
            (r#""seq":7"#, r#""seq":07"#),
            (r#""seq":7"#, r#""seq":-7"#),
            (r#""seq":7"#, r#""seq":18446744073709551616"#),
            (r#""seq":7"#, r#""seq":999999999999999999999"#),
            (r#""seq":7,"#, r#""seq":7e1,"#),
            (r#"{"v":1,"#, r#" {"v":1,"#),
            (r#"{"v":1,"#, r#"{"w":1,"#),
            ("\"}", "\"} "),
        ] {
            assert_eq!(check(line.replace(from, to).as_bytes()), Err(Unsound::NoRecord), "{to}");
        }
        for line in ["", "{}", "\0", &"x".repeat(SUFFIX_BYTES)] {
            assert_eq!(check(line.as_bytes()), Err(Unsound::NoRecord), "{line}");
        }
    }
}
