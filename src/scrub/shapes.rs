//! The shapes of well-known credentials, found in linear time: every position is looked at once, a look that fails costs a constant,
//! and one that succeeds continues behind what it found.

use std::sync::LazyLock;

use memchr::memmem;

use super::names::{assignment, in_query};
use super::width::Width;

/// A credential in a text, as byte positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: &'static str,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What a credential that begins in a known way goes on with.
struct Shape {
    kind: &'static str,
    prefix: &'static str,
    rest: fn(u8) -> bool,
    /// Bytes of the rest.
    least: usize,
    /// More than that is something else. `usize::MAX` where length tells nothing.
    most: usize,
    /// The prefix may also be the end of a word, so it counts only where a word begins.
    apart: bool,
}

pub(super) const ANY: usize = usize::MAX;

const fn shape(kind: &'static str, prefix: &'static str, rest: fn(u8) -> bool, least: usize, most: usize) -> Shape {
    Shape { kind, prefix, rest, least, most, apart: false }
}

const fn apart(kind: &'static str, prefix: &'static str, rest: fn(u8) -> bool, least: usize, most: usize) -> Shape {
    Shape { kind, prefix, rest, least, most, apart: true }
}

/// Longer prefixes stand before those that begin them.
const SHAPES: &[Shape] = &[
    apart("aws-key", "AKIA", upper, 16, 16),
    apart("aws-key", "ASIA", upper, 16, 16),
    apart("aws-key", "ABIA", upper, 16, 16),
    apart("aws-key", "ACCA", upper, 16, 16),
    shape("github-token", "github_pat_", word, 22, ANY),
    shape("github-token", "ghp_", alnum, 36, ANY),
    shape("github-token", "gho_", alnum, 36, ANY),
    shape("github-token", "ghu_", alnum, 36, ANY),
    shape("github-token", "ghs_", alnum, 36, ANY),
    shape("github-token", "ghr_", alnum, 36, ANY),
    shape("gitlab-token", "glpat-", url, 20, ANY),
    shape("gitlab-token", "gldt-", url, 20, ANY),
    shape("gitlab-token", "glrt-", url, 20, ANY),
    shape("gitlab-token", "glptt-", url, 20, ANY),
    shape("gitlab-token", "glcbt-", url, 20, ANY),
    shape("gitlab-token", "glft-", url, 20, ANY),
    shape("gitlab-token", "gloas-", url, 20, ANY),
    shape("slack-token", "xoxb-", dashed, 20, ANY),
    shape("slack-token", "xoxp-", dashed, 20, ANY),
    shape("slack-token", "xoxa-", dashed, 20, ANY),
    shape("slack-token", "xoxr-", dashed, 20, ANY),
    shape("slack-token", "xoxs-", dashed, 20, ANY),
    shape("slack-token", "xoxe-", dashed, 20, ANY),
    shape("slack-token", "xoxe.xoxp-", dashed, 20, ANY),
    apart("slack-token", "xapp-", dashed, 20, ANY),
    shape("slack-webhook", "hooks.slack.com/services/T", pathed, 20, ANY),
    shape("stripe-key", "sk_live_", alnum, 16, ANY),
    apart("stripe-key", "sk_test_", alnum, 16, ANY),
    shape("stripe-key", "rk_live_", alnum, 16, ANY),
    apart("stripe-key", "rk_test_", alnum, 16, ANY),
    apart("stripe-key", "whsec_", alnum, 24, ANY),
    shape("google-key", "AIza", url, 35, 35),
    apart("google-token", "ya29.", url, 20, ANY),
    shape("google-secret", "GOCSPX-", url, 28, 28),
    apart("npm-token", "npm_", alnum, 36, 36),
    shape("pypi-token", "pypi-AgEIcHlwaS5vcmc", url, 50, ANY),
    shape("anthropic-key", "sk-ant-", url, 24, ANY),
    apart("openai-key", "sk-proj-", url, 24, ANY),
    apart("huggingface-token", "hf_", alnum, 34, 34),
    apart("sendgrid-key", "SG.", dotted, 66, 66),
    apart("twilio-key", "SK", hex, 32, 32),
    apart("databricks-token", "dapi", hex, 32, 32),
    shape("digitalocean-token", "dop_v1_", hex, 64, 64),
    shape("digitalocean-token", "doo_v1_", hex, 64, 64),
    shape("digitalocean-token", "dor_v1_", hex, 64, 64),
    apart("vault-token", "hvs.", url, 24, ANY),
    apart("vault-token", "hvb.", url, 24, ANY),
    apart("vault-token", "hvr.", url, 24, ANY),
    shape("private-key", "AGE-SECRET-KEY-1", upper, 58, 58),
];

/// For every byte that a prefix can begin with, the bytes (all ASCII) that can come next. Without this every letter of a text would be
/// compared with every prefix.
static PAIRS: LazyLock<[u128; 256]> = LazyLock::new(|| {
    let mut pairs = [0; 256];
    for prefix in SHAPES.iter().map(|shape| shape.prefix).chain([KEY_PREFIX]) {
        if let [first, second, ..] = prefix.as_bytes()
            && let Some(next) = pairs.get_mut(usize::from(*first))
        {
            *next |= 1 << (second & 0x7f);
        }
    }
    pairs
});

/// Every credential in `text`, in order, without overlaps.
pub(super) fn find(text: &str) -> Vec<Found> {
    find_in(text, Width::Wide)
}

/// As [`find`], as far as `width` says.
pub(super) fn find_in(text: &str, width: Width) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut found: Vec<Found> = Vec::new();
    let pairs = &*PAIRS;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let free = found.last().map_or(0, |last| last.end);
        let hit = match byte {
            b'-' if width == Width::Wide => pem(bytes, at),
            b'.' => jwt(bytes, at, free),
            b':' if width == Width::Formats => telegram(bytes, at, free),
            b'=' if width != Width::Formats => assignment(bytes, at, free, width).or_else(|| in_query(bytes, at)),
            b':' => in_url(bytes, at).or_else(|| telegram(bytes, at, free)).or_else(|| assignment(bytes, at, free, width)),
            _ => {
                let next = pairs.get(usize::from(*byte)).copied().unwrap_or_default();
                let second = bytes.get(at + 1).copied().unwrap_or_default();
                if next >> (second & 0x7f) & 1 == 1 { portcullis(bytes, at).or_else(|| prefixed(bytes, at)) } else { None }
            }
        };
        match hit {
            Some(hit) => {
                at = hit.end.max(at + 1);
                found.push(hit);
            }
            None => at += 1,
        }
    }
    found
}

/// Whether a word can begin at `at`: behind anything but a letter or digit, and behind what an encoding has made of something else:
/// `\n`, `\u003d` and `\x3d` of JSON and code, `%3D` of URLs, `ESC[32m` of terminals.
pub(super) fn parted(bytes: &[u8], at: usize) -> bool {
    let from = at.saturating_sub(ESCAPE_BYTES_MAX);
    let before = bytes.get(from..at).unwrap_or_default();
    let hex = |length: usize| before.iter().rev().take(length).all(u8::is_ascii_hexdigit);
    let behind = |length: usize, mark: &[u8]| {
        before.len().checked_sub(length).and_then(|end| before.get(..end)).is_some_and(|b| b.ends_with(mark))
    };
    match before.last() {
        Some(last) if last.is_ascii_alphanumeric() => {
            (b"nrtbf".contains(last) && behind(1, b"\\"))
                || (hex(4) && behind(4, b"\\u"))
                || (hex(2) && (behind(2, b"%") || behind(2, b"\\x")))
                || (b"mK".contains(last) && styled(before))
        }
        _ => true,
    }
}

/// Whether `before`, but for its last byte, ends with the `[1;32` of a control sequence of terminals (ECMA-48 section 5.4).
fn styled(before: &[u8]) -> bool {
    let parameters = before.iter().rev().skip(1);
    parameters.into_iter().find(|b| !b.is_ascii_digit() && **b != b';') == Some(&b'[')
}

fn prefixed(bytes: &[u8], at: usize) -> Option<Found> {
    let here = bytes.get(at..)?;
    let shape = SHAPES.iter().find(|shape| here.starts_with(shape.prefix.as_bytes()))?;
    if shape.apart && !parted(bytes, at) {
        return None;
    }
    let start = at + shape.prefix.len();
    // A rest that is too long is not walked to its end: that it is too long is enough.
    let least = run(bytes, start, shape.rest, shape.most.saturating_add(1).min(shape.least));
    if least < shape.least {
        return None;
    }
    let length = run(bytes, start, shape.rest, shape.most.saturating_add(1));
    (length <= shape.most).then_some(Found { kind: shape.kind, start: at, end: start + length })
}

/// Our own API keys: `pck_`, an id, `_`, 43 characters.
fn portcullis(bytes: &[u8], at: usize) -> Option<Found> {
    let id_at = at + KEY_PREFIX.len();
    bytes.get(at..)?.starts_with(KEY_PREFIX.as_bytes()).then_some(())?;
    let secret_at = id_at + run(bytes, id_at, dashed, KEY_ID_BYTES_MAX) + 1;
    let holds = secret_at > id_at + 1 && bytes.get(secret_at - 1) == Some(&b'_');
    let length = run(bytes, secret_at, url, KEY_SECRET_BYTES + 1);
    (holds && length == KEY_SECRET_BYTES).then_some(Found { kind: "portcullis-key", start: at, end: secret_at + length })
}

/// A PEM private key (RFC 7468), to its end line or, where that is missing, to the end of the text.
fn pem(bytes: &[u8], at: usize) -> Option<Found> {
    let here = bytes.get(at..)?;
    let body = pem_begin(here)?;
    let end = memmem::find(here.get(body..)?, b"-----END ").map_or(here.len(), |end_line| {
        let tail = body + end_line + b"-----END ".len();
        let close = memmem::find(here.get(tail..).unwrap_or_default(), b"-----");
        close.map_or(here.len(), |close| tail + close + 5)
    });
    Some(Found { kind: "private-key", start: at, end: at + end })
}

/// How long the line is that `here` begins with, if a PEM private key begins there.
pub(super) fn pem_begin(here: &[u8]) -> Option<usize> {
    let label = here.strip_prefix(b"-----BEGIN ")?;
    let label = label.get(..label.len().min(PEM_LABEL_BYTES_MAX))?;
    let label_end = memmem::find(label, b"-----")?;
    let label = label.get(..label_end)?;
    let private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
    private.then_some(b"-----BEGIN ".len() + label_end + b"-----".len())
}

/// A JSON Web Token in compact form (RFC 7519): told by the dot between its header and its claims or encrypted key. It begins with
/// the first `{"` in base64url of the run of characters before the dot.
fn jwt(bytes: &[u8], dot: usize, free: usize) -> Option<Found> {
    let run_start = dot - run_back(bytes, dot, url, dot.checked_sub(free)?);
    let start = run_start + memmem::find(bytes.get(run_start..dot)?, b"eyJ")?;
    if dot - start < JWT_PART_BYTES_MIN {
        return None;
    }
    let signed = bytes.get(dot + 1..).is_some_and(|claims| claims.starts_with(b"eyJ"));
    let wanted = if signed { JWS_PARTS } else { JWE_PARTS };
    let (mut end, mut parts) = (dot, 1);
    while parts < wanted && bytes.get(end) == Some(&b'.') {
        end += 1 + run(bytes, end + 1, url, ANY);
        parts += 1;
    }
    (parts == wanted && end - dot > JWT_PART_BYTES_MIN).then_some(Found { kind: "jwt", start, end })
}

/// The password of `scheme://user:password@host`.
fn in_url(bytes: &[u8], colon: usize) -> Option<Found> {
    let user_at = colon + "://".len();
    bytes.get(colon..)?.starts_with(b"://").then_some(())?;
    let start = user_at + run(bytes, user_at, userinfo, USERINFO_BYTES_MAX) + 1;
    if bytes.get(start - 1) != Some(&b':') {
        return None;
    }
    let length = run(bytes, start, userinfo, USERINFO_BYTES_MAX);
    (length > 0 && bytes.get(start + length) == Some(&b'@')).then_some(Found { kind: "password", start, end: start + length })
}

/// A token of a Telegram bot: its number, `:`, `AA` and 33 more.
fn telegram(bytes: &[u8], colon: usize, free: usize) -> Option<Found> {
    let digits = run_back(bytes, colon, digit, BOT_DIGITS_MAX + 1);
    // Digits of what was found before are no number of a bot.
    let number = (BOT_DIGITS_MIN..=BOT_DIGITS_MAX).contains(&digits) && colon - digits >= free;
    let holds = number && bytes.get(colon + 1..)?.starts_with(b"AA");
    let length = run(bytes, colon + 1, url, BOT_SECRET_BYTES + 1);
    (holds && length == BOT_SECRET_BYTES).then_some(Found {
        kind: "telegram-token",
        start: colon - digits,
        end: colon + 1 + length,
    })
}

/// How many bytes from `at` are `of` a kind, at most `most`.
pub(super) fn run(bytes: &[u8], at: usize, of: fn(u8) -> bool, most: usize) -> usize {
    let length = bytes.get(at..).unwrap_or_default().iter().take(most).take_while(|b| of(**b)).count();
    #[cfg(test)]
    super::tests::walked(length);
    length
}

/// How many bytes before `end` are `of` a kind, at most `most`.
pub(super) fn run_back(bytes: &[u8], end: usize, of: fn(u8) -> bool, most: usize) -> usize {
    let length = bytes.get(..end).unwrap_or_default().iter().rev().take(most).take_while(|b| of(**b)).count();
    #[cfg(test)]
    super::tests::walked(length);
    length
}

pub(super) fn digit(b: u8) -> bool {
    b.is_ascii_digit()
}

fn upper(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

fn hex(b: u8) -> bool {
    b.is_ascii_digit() || matches!(b, b'a'..=b'f')
}

fn dotted(b: u8) -> bool {
    url(b) || b == b'.'
}

fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn word(b: u8) -> bool {
    alnum(b) || b == b'_'
}

fn dashed(b: u8) -> bool {
    alnum(b) || b == b'-'
}

/// The alphabet of base64url (RFC 4648 section 5).
fn url(b: u8) -> bool {
    word(b) || b == b'-'
}

fn pathed(b: u8) -> bool {
    alnum(b) || b == b'/'
}

pub(super) fn value(b: u8) -> bool {
    b > b' ' && b != 0x7f && !b"\"'`&;,<>(){}[]$\\|".contains(&b)
}

pub(super) fn userinfo(b: u8) -> bool {
    value(b) && !b"/:@?#".contains(&b)
}

const USERINFO_BYTES_MAX: usize = 256;
const PEM_LABEL_BYTES_MAX: usize = 64;
const JWT_PART_BYTES_MIN: usize = 10;
const JWS_PARTS: usize = 3;
const JWE_PARTS: usize = 5;
/// Of an escape or a control sequence.
const ESCAPE_BYTES_MAX: usize = 24;
const KEY_PREFIX: &str = "pck_";
const KEY_ID_BYTES_MAX: usize = 64;
const KEY_SECRET_BYTES: usize = 43;
const BOT_DIGITS_MIN: usize = 8;
const BOT_DIGITS_MAX: usize = 10;
const BOT_SECRET_BYTES: usize = 35;
