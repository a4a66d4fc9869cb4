//! Halves of surrogate pairs that stand alone: legal in the grammar (RFC 8259 section 8.2), without a meaning as text.

use std::borrow::Cow;

use super::text::{lone_half, means};

/// `text` with U+FFFD in place of each lone half of a surrogate pair in a string value. What else is wrong with it stays so, and so do
/// keys and the ids of messages: of these two that differ must not become one.
pub fn without_halves(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut place = Place { depth: 0, message_depth: 1 + usize::from(text.trim_start().starts_with('[')), of_id: false };
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                let is_key = bytes.get(at..).unwrap_or_default().iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
                let token = text.get(start..at).unwrap_or_default();
                if is_key {
                    place.of_id = place.depth == place.message_depth && means(token, "id");
                } else if !place.of_id {
                    replace(bytes, start..at, &mut out);
                }
            }
            b'{' | b'[' => place.depth += 1,
            b'}' | b']' => place.depth = place.depth.saturating_sub(1),
            b',' => place.of_id = false,
            _ => {}
        }
    }
    match String::from_utf8(out) {
        Ok(out) if !out.is_empty() => Cow::Owned(out),
        _ => Cow::Borrowed(text),
    }
}

/// Where in a message a token stands.
struct Place {
    depth: usize,
    /// How deep the members of a message are: deeper in a batch.
    message_depth: usize,
    /// In the value of a message's `id`.
    of_id: bool,
}

/// The end of a string whose opening quote stands before `at`; that of the text where it has none.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

/// Replaces in `out`, which becomes a copy of `bytes` when there is something to replace: the replacement is as long as what it replaces.
fn replace(bytes: &[u8], token: std::ops::Range<usize>, out: &mut Vec<u8>) {
    let mut at = token.start;
    while let Some(found) = bytes.get(at..token.end).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += found;
        match lone_half(bytes, at) {
            Some(true) => {
                if out.is_empty() {
                    out.extend_from_slice(bytes);
                }
                if let Some(escape) = out.get_mut(at..at + REPLACEMENT.len()) {
                    escape.copy_from_slice(REPLACEMENT);
                }
                at += REPLACEMENT.len();
            }
            Some(false) => at += 2 * REPLACEMENT.len(),
            None => at += 2,
        }
    }
}

/// U+FFFD, as an escape.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";

#[cfg(test)]
mod tests {
    use super::super::validate;
    use super::*;

    #[test]
    fn only_lone_halves_in_values_become_another_character() {
        for (text, expect) in [
            (r#"{"a":"x\ud83d"}"#, r#"{"a":"x\ufffd"}"#),
            (r#"{"a":["\uDE00\ud83d\ude00\ud83d\ud83d\ude00"]}"#, r#"{"a":["\ufffd\ud83d\ude00\ufffd\ud83d\ude00"]}"#),
            (r#"{"a":"\\\ud83d \\ud83d","b":"\ud83d\n\ude00"}"#, r#"{"a":"\\\ufffd \\ud83d","b":"\ufffd\n\ufffd"}"#),
            (r#"{"id":"\ud83d","a":{"id":"\ud83d"},"b":"\ud83d"}"#, r#"{"id":"\ud83d","a":{"id":"\ufffd"},"b":"\ufffd"}"#),
            (r#"{"i\u0064":"\ud83d"}"#, r#"{"i\u0064":"\ud83d"}"#),
            (r#" [{"id":"\ud83d"},{"x":{"id":"\ud83d"}}]"#, r#" [{"id":"\ud83d"},{"x":{"id":"\ufffd"}}]"#),
            (r#"{"\ud83d" : "\ud83d"}"#, r#"{"\ud83d" : "\ufffd"}"#),
            (r#"{"a":"\ud83"#, r#"{"a":"\ud83"#),
            (r#"{"a":"\ud83d"#, r#"{"a":"\ufffd"#),
            (r#"{"a":"\"#, r#"{"a":"\"#),
            ("", ""),
            ("{}", "{}"),
        ] {
            assert_eq!(without_halves(text), expect, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_acceptable_stays_as_it_is(text in r#"\[("(\\u(d83d|de00|0041)|\\\\|\\"|[a-z])*",)*"(\\u(d83d|de00|0041)|\\\\|\\")*"\]"#) {
            let mended = without_halves(&text);
            proptest::prop_assert!(validate(mended.as_bytes(), 8).is_ok(), "{text} {mended}");
            if validate(text.as_bytes(), 8).is_ok() {
                proptest::prop_assert_eq!(&*mended, &*text);
            }
        }
    }
}
