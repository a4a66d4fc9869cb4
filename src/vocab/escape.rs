//! Characters that must not reach a terminal or a line-based log as they are.

use super::ascii::is_plain;

/// True for characters that move a cursor, break a line, reorder or hide text: C0 and C1 controls, DEL, line and
/// paragraph separators, bidirectional and zero-width marks, tags, variation selectors but for that of emoji and whatever else is not
/// shown (Default_Ignorable_Code_Point of Unicode), and code points that are no characters.
pub fn is_unsafe(c: char) -> bool {
    let code = u32::from(c);
    match code {
        0x20..=0x7e => false,
        0x00..=0x1f | 0x7f..=0x9f => true,
        0x061c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff => true,
        0xad | 0x034f | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x3164 | 0xffa0 => true,
        0xfe00..=0xfe0e | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff => true,
        0xfdd0..=0xfdef | 0xfff0..=0xfffb => true,
        _ => code & 0xfffe == 0xfffe,
    }
}

/// True for what a key, a name or a path can have in it without anybody seeing it: besides what is [unsafe](is_unsafe) what makes emoji of
/// other signs, and what stands where something could not be read or shown.
pub fn is_invisible(c: char) -> bool {
    is_unsafe(c) || matches!(c, '\u{fe0f}' | '\u{fffc}' | '\u{fffd}')
}

/// `text` with everything that hides, turns around, moves a cursor or ends what stands beside it as an escape.
pub fn visible(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push_safe(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// As [`visible`], of a text of several lines for people to read: newlines and tabs stay, and the joiners inside words of other scripts
/// and inside emoji. `None` if there is nothing to escape.
pub fn visible_lines(text: &str) -> Option<String> {
    let stays = |at: usize, c: char| matches!(c, '\n' | '\t') || !is_unsafe(c) || joins(text, at, c);
    if text.char_indices().all(|(at, c)| stays(at, c)) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if stays(at, c) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            push_code(&mut out, c);
        }
    }
    Some(String::from_utf8(out).unwrap_or_default())
}

/// Whether the character at `at` is a joiner (Persian and Indic words have them, and emoji) between two that are shown and not of ASCII:
/// of joiners alone nothing can be made that nobody sees.
fn joins(text: &str, at: usize, c: char) -> bool {
    let shown = |c: char| !c.is_ascii() && !c.is_whitespace() && !is_invisible(c);
    let mut before = text.get(..at).unwrap_or_default().chars().rev();
    let left = match before.next() {
        // What makes an emoji of the sign before.
        Some('\u{fe0f}') if c == '\u{200d}' => before.next(),
        left => left,
    };
    let right = text.get(at + c.len_utf8()..).and_then(|behind| behind.chars().next());
    matches!(c, '\u{200c}' | '\u{200d}') && left.is_some_and(shown) && right.is_some_and(shown)
}

/// Appends `text` with every unsafe character as a JSON escape (`\u001b`). Everything else stays, quotes included.
pub fn push_safe(out: &mut Vec<u8>, text: &str) {
    push_with(out, text, false);
}

/// Appends `text` as a JSON string (RFC 8259, section 7) on one line, quotes included, unsafe characters escaped.
pub fn push_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_with(out, text, true);
    out.push(b'"');
}

fn push_with(out: &mut Vec<u8>, text: &str, quoted: bool) {
    if is_plain(text.as_bytes()) {
        return out.extend_from_slice(text.as_bytes());
    }
    let plain = |byte: u8| matches!(byte, 0x20..=0x7e) && !(quoted && matches!(byte, b'"' | b'\\'));
    let mut buffer = [0; 4];
    for c in text.chars() {
        match u8::try_from(c) {
            Ok(byte) if plain(byte) => out.push(byte),
            Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
            _ if is_unsafe(c) => push_code(out, c),
            _ => out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
}

fn push_code(out: &mut Vec<u8>, c: char) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        out.extend_from_slice(b"\\u");
        for shift in [12, 8, 4, 0] {
            let digit = u32::from(*unit >> shift) & 0xf;
            out.push(char::from_digit(digit, 16).map_or(b'0', |d| d as u8));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unsafe_characters_become_escapes() {
        let table = [
            ("plain \"quoted\" \\ text", "plain \"quoted\" \\ text"),
            ("a\x1b[31mred", "a\\u001b[31mred"),
            ("two\r\nlines\t", "two\\u000d\\u000alines\\u0009"),
            ("\u{7f}\u{9b}\u{85}", "\\u007f\\u009b\\u0085"),
            ("\u{202e}\u{2066}\u{2028}\u{feff}\u{200b}", "\\u202e\\u2066\\u2028\\ufeff\\u200b"),
            ("\u{ad}\u{3164}\u{fe00}", "\\u00ad\\u3164\\ufe00"),
            ("\u{e0041}\u{1ffff}\u{fdd0}", "\\udb40\\udc41\\ud83f\\udfff\\ufdd0"),
            ("grüße 日本 🦀", "grüße 日本 🦀"),
        ];
        for (text, expect) in table {
            let mut out = Vec::new();
            push_safe(&mut out, text);
            assert_eq!(String::from_utf8_lossy(&out), expect);
        }
    }

    #[test]
    fn lines_stay_lines_and_nothing_else_of_controls_stays() {
        for (text, expect) in [
            ("a\n\tb\r\u{1b}[2K", Some("a\n\tb\\u000d\\u001b[2K")),
            ("\u{202e}\u{200b}\"\\", Some("\\u202e\\u200b\"\\")),
            ("a\n\t\"\\ \u{e4}\u{1f600}", None),
            ("\u{645}\u{6cc}\u{200c}\u{62e}\u{648} \u{1f469}\u{200d}\u{1f4bb} \u{2764}\u{fe0f}\u{200d}\u{1f525}", None),
            ("\u{645}\u{200c}", Some("\u{645}\\u200c")),
            ("a\u{200d}\u{e4}\u{200d}b", Some("a\\u200d\u{e4}\\u200db")),
            ("\u{fe0f}\u{200d}\u{fe0f}\u{200c}\u{fe0f}", Some("\u{fe0f}\\u200d\u{fe0f}\\u200c\u{fe0f}")),
            ("\u{2764}\u{fe0f}\u{200c}\u{2764}", Some("\u{2764}\u{fe0f}\\u200c\u{2764}")),
            ("\u{e4}\u{200d}\u{200d}\u{e4}", Some("\u{e4}\\u200d\\u200d\u{e4}")),
            ("", None),
        ] {
            assert_eq!(visible_lines(text).as_deref(), expect, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_shown_is_unsafe_and_what_stands_beside_it_is_not() {
        for (first, last) in [
            ('\u{ad}', '\u{ad}'),
            ('\u{34f}', '\u{34f}'),
            ('\u{61c}', '\u{61c}'),
            ('\u{115f}', '\u{1160}'),
            ('\u{17b4}', '\u{17b5}'),
            ('\u{180b}', '\u{180f}'),
            ('\u{200b}', '\u{200f}'),
            ('\u{2028}', '\u{202e}'),
            ('\u{2060}', '\u{206f}'),
            ('\u{3164}', '\u{3164}'),
            ('\u{fdd0}', '\u{fdef}'),
            ('\u{fe00}', '\u{fe0e}'),
            ('\u{feff}', '\u{feff}'),
            ('\u{ffa0}', '\u{ffa0}'),
            ('\u{fff0}', '\u{fffb}'),
            ('\u{1bca0}', '\u{1bca3}'),
            ('\u{1d173}', '\u{1d17a}'),
            ('\u{1fffe}', '\u{1ffff}'),
            // No characters, and what is not shown.
            ('\u{dfffe}', '\u{e0fff}'),
            ('\u{10fffe}', '\u{10ffff}'),
        ] {
            assert!((first..=last).all(is_unsafe), "{first:?} {last:?}");
            let beside = [char::from_u32(u32::from(first) - 1), char::from_u32(u32::from(last) + 1)];
            assert!(!beside.into_iter().flatten().any(is_unsafe), "beside {first:?} {last:?}");
        }
        // What emoji are made of.
        assert!(!"\u{fe0f}\u{1f3fb}\u{1f1e6}".chars().any(is_unsafe));
    }

    proptest! {
        #[test]
        fn json_strings_read_back_and_stay_on_one_line(text in ".*|[\u{0}-\u{a0}\u{2000}-\u{2070}\u{e0000}-\u{e0080}\\\\\"]*") {
            let mut out = Vec::new();
            push_json_string(&mut out, &text);
            let written = std::str::from_utf8(&out)?;
            prop_assert!(!written.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(written)?, text);
        }
    }
}
