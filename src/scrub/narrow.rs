//! What of a secret is hidden from people who decide by the text around it.
//!
//! Whoever asks them wrote that text, and so chose what a mask hides. Only what can be nothing but a token goes: letters, digits and
//! `-_~+/`, padding, and the dots and colons of known formats; never white space, quotes, or signs that a shell or a URL knows. What a
//! name calls a password can be anything, so it must also look like one: no flag, path, host, word, or text in another spelling.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::guess::hexadecimal;
use super::names::{AUTHORIZATION, COOKIE, cookie_pairs, member, telling};
use super::private::{self, CARD, CODE_BYTES, code};
use super::shapes::{self, Found};
use super::width::Width;
use super::{pem, plain};

/// What is hidden, and whether the format alone tells what it is: what only a name or a place calls a secret may be anything, and so may
/// hundreds of characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden {
    pub(super) found: Found,
    pub(super) known: bool,
}

/// What is hidden of `text`, in order, without overlaps. `under` is the key of the member whose value it is, if that is a secret one.
pub(super) fn find(text: &str, under: Option<&str>) -> Vec<Hidden> {
    let mut hidden = formats(text);
    let mut found = private::find_in(text, Width::Narrow);
    private::add(&mut found, under.and_then(|key| member(key, text, Width::Narrow)).into_iter().collect());
    for one in found {
        tokens(text, one, &mut hidden);
    }
    pem::find(text, &mut hidden);
    hidden.sort_by_key(|one| (one.found.start, std::cmp::Reverse(one.found.end), !one.known));
    hidden.dedup_by(|next, last| {
        let over = next.found.start < last.found.end;
        if over && next.found.end > last.found.end {
            (last.found.end, last.known) = (next.found.end, false);
        }
        over
    });
    hidden
}

/// What of `text` is hidden because of its format alone.
pub(super) fn formats(text: &str) -> Vec<Hidden> {
    let held = shapes::find_in(text, Width::Formats).into_iter().filter(|found| holds(text, found));
    held.map(|found| {
        let token = text.get(found.start..found.end).unwrap_or_default().as_bytes();
        let known = token.len() <= KNOWN_CHARS_MAX && (found.kind == "jwt" || !is_worded(token));
        Hidden { found, known }
    })
    .collect()
}

/// Whether there are words behind the prefix of a format, or what reads when somebody decodes it: then it is chosen, and no token.
fn is_worded(token: &[u8]) -> bool {
    let prefix = token.iter().position(|b| !b.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
    let rest = token.get(prefix..).unwrap_or_default();
    plain::reads(rest) || rest.split(|b| !b.is_ascii_alphanumeric()).any(|part| part.len() > SYLLABLE_CHARS && is_name(part))
}

/// Whether it is a token of its format and no more than that: names of hosts begin like some.
fn holds(text: &str, found: &Found) -> bool {
    let goes_on = match text.as_bytes().get(found.end..) {
        Some([b'.', next, ..]) => next.is_ascii_alphanumeric(),
        _ => false,
    };
    let token = text.get(found.start..found.end).unwrap_or_default();
    !goes_on && token.len() <= MASK_CHARS_MAX && (found.kind != "jwt" || is_jwt(token))
}

/// Whether it is a JSON Web Token with a signature (RFC 7515) or an encrypted one (RFC 7516), and no name of a host that looks like it:
/// its first part is a header, and its last is longer than any top-level domain.
fn is_jwt(token: &str) -> bool {
    let object = |part: &str| {
        let text = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&text).is_ok()
    };
    let mut parts = token.split('.');
    match [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()] {
        [Some(header), Some(claims), Some(signature), None, None] => {
            signature.len() >= SIGNATURE_CHARS_MIN && object(header) && object(claims)
        }
        [Some(header), Some(_), Some(iv), Some(_), Some(tag)] => {
            iv.len() >= IV_CHARS_MIN && tag.len() >= TAG_CHARS_MIN && object(header)
        }
        _ => false,
    }
}

/// What makes a word a token where a name or a place says that one stands there.
struct Rule {
    chars_min: usize,
    /// Of one part, where others are words. Then they are shown.
    part_chars_min: usize,
    tells: fn(&[u8]) -> bool,
}

const NAMED: Rule = Rule { chars_min: 8, part_chars_min: 6, tells: telling };
/// Behind the scheme of an `Authorization`: base64 of a short word may have no digit.
const CREDENTIALS: Rule = Rule { chars_min: 8, part_chars_min: 6, tells: |part| telling(part) || is_mixed(part) };
/// Of a pair of cookies.
const CRUMB: Rule = Rule { chars_min: 5, part_chars_min: 5, tells: |part| part.iter().any(u8::is_ascii_digit) };
/// Between `://USER:` and `@` stands a password, short as it may be.
const IN_URL: Rule = Rule { chars_min: 4, part_chars_min: 4, tells: |_| true };

/// Adds the tokens of what was found, which may be more than these.
fn tokens(text: &str, found: Found, hidden: &mut Vec<Hidden>) {
    let Found { kind, start, end } = found;
    let Some(bytes) = text.as_bytes().get(..end) else { return };
    let ends_user = text.as_bytes().get(end) == Some(&b'@');
    match kind {
        CARD => digits(bytes, start, hidden),
        COOKIE => cookie_pairs(bytes, start).for_each(|(from, to)| {
            words(bytes.get(..to).unwrap_or_default(), from, (kind, &CRUMB), hidden);
        }),
        AUTHORIZATION => words(bytes, start, (kind, &CREDENTIALS), hidden),
        "password" if ends_user && start > 0 && bytes.get(start - 1) == Some(&b':') => {
            words(bytes, start, (kind, &IN_URL), hidden)
        }
        _ => words(bytes, start, (kind, &NAMED), hidden),
    }
}

/// Adds the digits of the number of a card from `start` on, but for the last four: who is paid is something to decide about.
fn digits(bytes: &[u8], start: usize, hidden: &mut Vec<Hidden>) {
    let all: Vec<usize> = (start..bytes.len()).filter(|at| bytes.get(*at).is_some_and(u8::is_ascii_digit)).collect();
    let (gone, _) = all.split_at_checked(all.len().saturating_sub(CARD_DIGITS_SHOWN)).unwrap_or_default();
    for group in gone.chunk_by(|a, b| a + 1 == *b) {
        if let [first, ..] = group {
            let found = Found { kind: CARD, start: *first, end: first + group.len() };
            hidden.push(Hidden { found, known: false });
        }
    }
}

/// A run of characters of tokens without percent-encoding and padding, and where each of them stands.
#[derive(Default)]
struct Word {
    said: Vec<u8>,
    at: Vec<usize>,
    end: usize,
}

impl Word {
    /// Where what is from `start` to `end` of it stands in the text, padding included.
    fn place(&self, (start, end): (usize, usize)) -> (usize, usize) {
        let place = |at: usize| self.at.get(at).copied().unwrap_or(self.end);
        (place(start), place(end))
    }
}

/// Adds the tokens by `rule` from `start` to the end of `bytes`. Beside the signs of hosts, paths, assignments and shells they must look
/// drawn at random.
fn words(bytes: &[u8], start: usize, (kind, rule): (&'static str, &Rule), hidden: &mut Vec<Hidden>) {
    let (mut words, mut word, mut at, mut bare) = (Vec::new(), Word::default(), start, true);
    while let Some(byte) = bytes.get(at) {
        let code = code(bytes, at);
        let (said, next) = (code.unwrap_or(*byte), at + if code.is_some() { CODE_BYTES } else { 1 });
        if of_token(said) {
            word.said.push(said);
            word.at.push(at);
            word.end = next;
            bare &= said != b'/';
        } else if said == b'=' && !word.said.is_empty() && is_padding(bytes, at) {
            word.end = bytes.len();
            break;
        } else {
            bare &= HARMLESS.contains(&said);
            words.push(std::mem::take(&mut word));
        }
        at = next;
    }
    words.push(word);
    for word in words {
        let places = rule.tokens(&word.said, bare).into_iter().map(|token| word.place(token));
        for (start, end) in places.filter(|(start, end)| end - start <= MASK_CHARS_MAX) {
            hidden.push(Hidden { found: Found { kind, start, end }, known: false });
        }
    }
}

/// Whether nothing but one or two `=` stand from `at` on.
fn is_padding(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at..), Some(b"=" | b"==" | b"%3D" | b"%3d" | b"%3D%3D" | b"%3d%3d"))
}

impl Rule {
    /// What of `word` is a token, and no flag, path or name. It is `bare` if nothing that stands beside it makes it part of something.
    fn tokens(&self, word: &[u8], bare: bool) -> Vec<(usize, usize)> {
        let begins = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let fits = (self.chars_min..=MASK_CHARS_MAX).contains(&word.len()) && word.first().is_some_and(begins);
        if !fits || plain::reads(word) {
            return Vec::new();
        }
        let parts = || word.split(|b| !b.is_ascii_alphanumeric());
        let random = is_number(word) || (drawn(word) && !parts().any(is_name));
        let worded = || parts().any(|part| part.len() > 1 && part.iter().all(u8::is_ascii_alphabetic));
        if random || plain::is_login(word) || (bare && (self.tells)(word) && !worded()) {
            return vec![(0, word.len())];
        }
        let (mut at, mut tokens) = (0, Vec::new());
        for part in parts().filter(|_| bare) {
            if part.len() >= self.part_chars_min && (self.tells)(part) && !plain::reads(part) {
                tokens.push((at, at + part.len()));
            }
            at += part.len() + 1;
        }
        tokens
    }
}

/// Whether a line of a private key between its marks is one, if it is shorter than they are.
pub(super) fn is_short_line(line: &[u8]) -> bool {
    CREDENTIALS.tokens(line, !line.contains(&b'/')) == [(0, line.len())]
}

/// Whether `word` looks drawn at random: it has letters of both cases and digits, and at most half of it is words.
pub(super) fn drawn(word: &[u8]) -> bool {
    let plain = word.iter().filter(|b| b.is_ascii_alphanumeric()).count();
    let all = [u8::is_ascii_uppercase, u8::is_ascii_lowercase, u8::is_ascii_digit].iter().all(|kind| word.iter().any(kind));
    all && plain >= DRAWN_CHARS_MIN && spoken(word) * 2 <= plain
}

/// Whether `word` is a long number in hexadecimal digits, in one piece or in groups.
fn is_number(word: &[u8]) -> bool {
    hexadecimal(&word.iter().copied().filter(u8::is_ascii_alphanumeric).collect::<Vec<_>>())
}

/// Whether nearly all letters of `part` are words.
fn is_name(part: &[u8]) -> bool {
    spoken(part) * 4 > 3 * part.iter().filter(|b| b.is_ascii_alphabetic()).count()
}

/// Letters of words: small ones in a row, behind a capital or none.
fn spoken(word: &[u8]) -> usize {
    let rows = word.chunk_by(|_, next| next.is_ascii_lowercase());
    let long = rows.filter(|row| row.iter().filter(|b| b.is_ascii_lowercase()).count() >= SYLLABLE_CHARS);
    long.map(|row| row.iter().filter(|b| b.is_ascii_alphabetic()).count()).sum()
}

/// Whether it has small letters, and capitals behind its first letter: no word of prose has.
fn is_mixed(part: &[u8]) -> bool {
    part.iter().skip(1).any(u8::is_ascii_uppercase) && part.iter().any(u8::is_ascii_lowercase)
}

/// What tokens are made of. Dots and colons part hosts, and so they part tokens, unless a format has them.
pub(super) fn of_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-_~+/".contains(&b)
}

/// Of one mask; what is longer is shown.
pub(super) const MASK_CHARS_MAX: usize = 4096;
/// Of one mask whose format tells what it is. In more than that anything can be hidden.
const KNOWN_CHARS_MAX: usize = 256;
/// Signs of passwords that join a word to nothing.
const HARMLESS: &[u8] = b"!#^*,?%";
const CARD_DIGITS_SHOWN: usize = 4;
const DRAWN_CHARS_MIN: usize = 20;
/// So many small letters in a row are part of a word; one in six characters drawn at random is in such a row.
const SYLLABLE_CHARS: usize = 3;
/// Of 32 bytes, the shortest signature there is.
const SIGNATURE_CHARS_MIN: usize = 43;
/// Of 12 bytes.
const IV_CHARS_MIN: usize = 16;
/// Of 16 bytes.
const TAG_CHARS_MIN: usize = 22;
