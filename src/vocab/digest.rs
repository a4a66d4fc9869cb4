//! A SHA-256 as a value: what it is of, its maker says.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest as hash};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 32 bytes, written `sha256:` and 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(
    /// The bytes.
    pub [u8; 32],
);

const PREFIX: &str = "sha256:";

impl Digest {
    /// SHA-256 (FIPS 180-4) of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        out.iter_mut().zip(hash(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
        Self(out)
    }

    /// Reads what [`fmt::Display`] writes; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix(PREFIX)?.as_bytes();
        let mut bytes = [0_u8; 32];
        if hex.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("no digest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sha_256() {
        // The first example of FIPS 180-2, appendix B.1.
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
    }

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let digest = Digest(std::array::from_fn(|at| u8::try_from(at * 7 % 256).unwrap_or(0)));
        let text = digest.to_string();
        assert_eq!(Digest::parse(&text), Some(digest));
        for wrong in [
            "",
            "sha256:",
            "sha1:00",
            &text.to_uppercase(),
            &format!("{text}0"),
            text.trim_end_matches(|c: char| c.is_ascii_hexdigit()),
            &text.replace('a', "g"),
        ] {
            assert_eq!(Digest::parse(wrong).filter(|_| wrong != text), None, "{wrong}");
        }
    }
}
