//! The words of a condition: enough to bound it before it is parsed, and to tell spelling from meaning.

use super::super::bounds::{WHEN_BRACKETS_MAX, WHEN_TOKENS_MAX};
use super::Flaw;

/// The text without blanks and remarks, except where a blank parts two words. Texts in quotes stay as they are.
///
/// # Errors
/// More words, or deeper brackets, than the parser is to be trusted with.
pub(super) fn canonical(text: &str) -> Result<String, Flaw> {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut tokens, mut depth) = (0, 0_usize, 0_usize);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let token = rest.get(..length(rest, &out)).unwrap_or(rest);
        if token.starts_with("//") || token.trim().is_empty() {
            at += token.len();
            continue;
        }
        let begins_word = token.starts_with(word);
        // A word that stood apart from the one before it stays apart.
        if begins_word && out.ends_with(word) {
            out.push(' ');
        }
        tokens += 1;
        match token {
            "(" | "[" | "{" | "?" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if tokens > WHEN_TOKENS_MAX {
            let message = format!("more than {WHEN_TOKENS_MAX} words and signs");
            return Err(Flaw::new(Some(at), "", message, "give each part a rule of its own"));
        }
        if depth > WHEN_BRACKETS_MAX {
            let message = format!("brackets and `?` nested more than {WHEN_BRACKETS_MAX} deep");
            return Err(Flaw::new(Some(at), token, message, "give each part a rule of its own"));
        }
        out.push_str(token);
        at += token.len();
    }
    Ok(out)
}

/// Bytes of the token at the start of `rest`; `before` ends with the prefix of a text, if it has one.
fn length(rest: &str, before: &str) -> usize {
    let Some(first) = rest.chars().next() else { return 0 };
    let run = |pick: fn(char) -> bool| rest.find(|c| !pick(c)).unwrap_or(rest.len());
    match first {
        c if c.is_whitespace() => run(char::is_whitespace),
        c if word(c) => run(word),
        '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
        '"' | '\'' => {
            let prefix = before.rsplit(|c| !word(c)).next().unwrap_or_default();
            let raw = prefix.len() <= 2 && prefix.contains(['r', 'R']);
            quoted(rest, first, raw)
        }
        other => other.len_utf8(),
    }
}

fn quoted(rest: &str, quote: char, raw: bool) -> usize {
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let mark = if rest.starts_with(&triple) { triple } else { quote.to_string() };
    let mut at = mark.len();
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with(&mark) {
            return at + mark.len();
        }
        let mut chars = tail.chars();
        at +=
            chars.next().map_or(1, |c| if c == '\\' && !raw { 1 + chars.next().map_or(0, char::len_utf8) } else { c.len_utf8() });
    }
    rest.len()
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
