//! Words of others, made fit for comments and terminals.

use crate::vocab::escape::is_unsafe;
use crate::vocab::limits::INIT_ABOUT_CHARS_MAX;

/// Letters, digits, spaces and ASCII signs, on one line, bounded. Nothing that controls, hides or turns text around is left.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut count = 0;
    for c in text.chars() {
        let c = if c.is_whitespace() { ' ' } else { c };
        if !(c == ' ' || c.is_ascii_graphic() || (c.is_alphanumeric() && !is_unsafe(c))) || (c == ' ' && out.ends_with([' '])) {
            continue;
        }
        if count == INIT_ABOUT_CHARS_MAX {
            out.push_str("...");
            break;
        }
        count += 1;
        out.push(c);
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_deceives_is_left() {
        for (text, expected) in [
            ("Reads a file.", "Reads a file."),
            ("a\u{202e}b\u{200b}c\u{7}d\u{e0041}\u{3164}", "abcd"),
            ("a \n\t b\u{2028}c\u{85}d", "a b c d"),
            ("\u{1b}[31mred", "[31mred"),
            ("Größe 大", "Größe 大"),
            ("", ""),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
        assert_eq!(plain(&"x".repeat(1_000)).len(), INIT_ABOUT_CHARS_MAX + 3);
    }
}
