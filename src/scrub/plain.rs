//! Texts in another spelling: what looks like a token, and reads when somebody decodes it.
//!
//! A script in base64 is as harmful as the script. It cannot be told from a token if it is also compressed or encrypted; what is to be
//! done with it stands beside it then, where it is not hidden.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};

use super::narrow::of_token;
use super::shapes::value;

const LOOSE: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LOOSE);

/// Whether `word`, which is without padding, is base64 or hexadecimal of a text that is no token, however often it was encoded.
pub(super) fn reads(word: &[u8]) -> bool {
    let mut layer = decoded(word);
    for _ in 0..LAYERS_MAX {
        if layer.iter().any(|text| text.iter().any(|b| !of_token(*b)) && !is_pair(text)) {
            return true;
        }
        layer = layer.iter().flat_map(|text| decoded(text)).collect();
    }
    false
}

/// Whether `word` is base64 of `USER:PASSWORD`.
pub(super) fn is_login(word: &[u8]) -> bool {
    is_pair(&unwrapped(word))
}

/// Whether it is `USER:PASSWORD`, and nothing that a shell or a browser would do something with.
fn is_pair(text: &[u8]) -> bool {
    let colon = memchr::memchr(b':', text).unwrap_or_default();
    colon > 0 && colon + 1 < text.len() && text.iter().all(|b| value(*b) && b.is_ascii() && *b != b'/')
}

/// The texts that `word` is base64 or hexadecimal of, also behind up to three characters that are none of it.
fn decoded(word: &[u8]) -> Vec<Vec<u8>> {
    let offsets = (0..4).filter_map(|skipped| word.get(skipped..)).map(unwrapped);
    offsets.chain([unhexed(word)]).map(narrowed).filter(|bytes| is_text(bytes)).collect()
}

/// What `word` is base64 or base64url of; nothing if it is neither.
fn unwrapped(word: &[u8]) -> Vec<u8> {
    let standard = |b: &u8| match b {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    let mut word: Vec<u8> = word.iter().map(standard).collect();
    if word.len() % 4 == 1 {
        word.pop();
    }
    BASE64.decode(word).unwrap_or_default()
}

fn unhexed(word: &[u8]) -> Vec<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = word.iter().map(digit).collect();
    let (pairs, _) = digits.as_deref().unwrap_or_default().as_chunks::<2>();
    pairs.iter().map(|[high, low]| (high << 4) | low).collect()
}

/// UTF-16 of ASCII as ASCII: so some shells want their scripts.
fn narrowed(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().filter(|b| **b == 0).count();
    if zeros * 100 >= bytes.len() * ZEROS_PERCENT_MIN {
        bytes.retain(|b| *b != 0);
    }
    bytes
}

/// Whether somebody could read it: all of it, most of what is longer, or a command or an address in it. Bytes at random are read to
/// three eighths.
fn is_text(bytes: &[u8]) -> bool {
    let read = |b: &u8| matches!(b, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    let all = bytes.iter().filter(|b| read(b)).count();
    let most = bytes.len() >= LONG_BYTES_MIN && all * 4 >= bytes.len() * 3;
    // Keys have names of algorithms and of people in them, which have no such signs.
    let command = |part: &[u8]| part.len() >= COMMAND_BYTES_MIN && part.iter().any(|b| !value(*b) || *b == b'/');
    bytes.len() >= TEXT_BYTES_MIN && (all == bytes.len() || most || bytes.split(|b| !read(b)).any(command))
}

/// How often a text is decoded.
const LAYERS_MAX: usize = 3;
const TEXT_BYTES_MIN: usize = 6;
const LONG_BYTES_MIN: usize = 18;
const COMMAND_BYTES_MIN: usize = 16;
const ZEROS_PERCENT_MIN: usize = 45;
