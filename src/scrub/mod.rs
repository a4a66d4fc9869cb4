//! Finding secrets in texts, and putting `[redacted: KIND]` in their place.
//!
//! Layer 1, pure. What is kept or shown outside of an answer (records, logs, traces, requests for approval) is looked through here by
//! whoever writes it; answers of upstreams are, where a permit obliges to it. Precise rather than complete in answers, which programs go
//! on with; what is only kept or shown also loses card numbers, names in URLs, and what looks drawn at random where a name should be.
//! What people decide by loses tokens and nothing else ([`redact_for_people`]), for what a mask hides is the choice of who asks them.

mod guess;
mod json;
mod lines;
mod names;
mod narrow;
mod pem;
mod plain;
mod private;
mod shapes;
mod width;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use json::{Masked, meaning, redact, redact_for_people, redact_kept, redact_key};
pub use lines::Lines;
use shapes::Found;

/// How many bytes are looked at behind the place where a text is cut, so that a secret which begins before it is seen whole. One that is
/// longer is told by its beginning.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;

/// `text` as it may be kept or shown.
///
/// A text without a secret is borrowed. Linear in the length of the text.
pub fn text(text: &str) -> Cow<'_, str> {
    if is_short_word(text) { Cow::Borrowed(text) } else { replaced(text, private::find(text)) }
}

/// As [`text`], for what should be a name that somebody knows and is none: runs of characters that look drawn at random go too.
pub fn unknown_name(text: &str) -> Cow<'_, str> {
    if is_short_word(text) {
        return Cow::Borrowed(text);
    }
    let mut found = private::find(text);
    private::add(&mut found, guess::find(text));
    replaced(text, found)
}

/// Whether `text` is a word too short for any secret there is: most names of tools are, and each call has one.
fn is_short_word(text: &str) -> bool {
    text.len() < private::CARD_DIGITS_MIN && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn replaced(text: &str, found: Vec<Found>) -> Cow<'_, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for Found { kind, start, end } in found {
        out.push_str(text.get(at..start).unwrap_or_default());
        out.push_str("[redacted: ");
        out.push_str(kind);
        out.push(']');
        at = at.max(end);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(out)
}
