//! Regular expressions: compiled once, searched in time linear in the text (finite automata, no backtracking), bounded in size.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};

use super::bounds::{REGEX_BYTES_MAX, REGEX_CACHE_BYTES_MAX, REGEX_DEPTH_MAX, REGEX_PROGRAM_BYTES_MAX};

/// A compiled regular expression, equal to those of the same spelling.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`. Unicode is on; the expression is not anchored.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty expression matches everything".to_owned());
        }
        if text.len() > REGEX_BYTES_MAX {
            return Err(format!("longer than {REGEX_BYTES_MAX} bytes"));
        }
        let regex = RegexBuilder::new(text)
            .size_limit(REGEX_PROGRAM_BYTES_MAX)
            .dfa_size_limit(REGEX_CACHE_BYTES_MAX)
            .nest_limit(REGEX_DEPTH_MAX)
            .build();
        regex.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!("compiles to more than {REGEX_PROGRAM_BYTES_MAX} bytes"),
            other => reason(&other.to_string()),
        })
    }

    /// Whether the expression occurs in `text`.
    pub(super) fn finds(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The expression as written.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The last line of a message that draws the place in the lines before.
fn reason(message: &str) -> String {
    let last = message.lines().last().unwrap_or_default();
    let reason = last.trim().trim_start_matches("error: ");
    format!("not a regular expression: {reason}")
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_anywhere_and_in_unicode() {
        for (pattern, yes, no) in [
            ("AKIA[0-9A-Z]{16}", "x AKIAABCDEFGHIJKLMNOP y", "AKIAshort"),
            (r"^\d+$", "٣", "3a"),
            ("(?i)größe", "GRÖSSE Größe", "grosse"),
            (r"(?x) a # comment", "xax", "b"),
            (r"\bkey\b", "the key", "monkey"),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert!(pattern.finds(yes) && !pattern.finds(no), "{pattern:?}");
        }
    }

    #[test]
    fn refuses_what_is_none_or_too_big() {
        for (text, says) in [
            ("", "empty"),
            ("(", "unclosed group"),
            (r"(a)\1", "backreferences are not supported"),
            ("a(?=b)", "look-around"),
            ("[z-a]", "range"),
            (r"\w{100}{100}", "compiles to more"),
            ("((a{100}){100}){100}", "compiles to more"),
        ] {
            let message = Pattern::parse(text).unwrap_err();
            assert!(message.contains(says) && !message.contains('\n'), "{text}: {message}");
        }
        assert!(Pattern::parse(&"a".repeat(REGEX_BYTES_MAX + 1)).is_err());
        assert!(Pattern::parse(&format!("{}a{}", "(".repeat(40), ")".repeat(40))).is_err());
        assert!(Pattern::parse(r"^[\w.+-]+@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,8}$").is_ok());
    }

    /// Expressions that take a backtracking matcher longer than the sun has left.
    #[test]
    fn is_linear() {
        let text = "a".repeat(20_000);
        for pattern in
            ["(a+)+$", "(a|aa)+$", "(a*)*b", "a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?b", "(.*)(.*)(.*)(.*)(.*)c", "([a-z]+)*X"]
        {
            let ends = pattern.ends_with('$');
            assert!(!Pattern::parse(pattern).unwrap().finds(&format!("{text}!")), "{pattern}");
            assert_eq!(Pattern::parse(pattern).unwrap().finds(&text), ends, "{pattern}");
        }
    }
}
