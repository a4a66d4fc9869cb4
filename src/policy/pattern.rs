//! Regular expressions: compiled once, searched in time linear in the text (finite automata, no backtracking), bounded in size.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use regex_automata::Input;
use regex_automata::dfa::{Automaton as _, dense};

use super::bounds::{
    REGEX_BYTES_MAX, REGEX_CACHE_BYTES_MAX, REGEX_DEPTH_MAX, REGEX_PROGRAM_BYTES_MAX, REGEX_TABLE_BYTES_MAX,
    REGEX_TABLE_MAKING_BYTES_MAX, REGEX_TEXT_BYTES_MAX, REGEX_UNTABLED_STEPS,
};
use super::tri::Tri;

/// A compiled regular expression, equal to those of the same spelling.
#[derive(Clone)]
pub(super) struct Pattern {
    regex: Regex,
    /// Reads each byte of a text once, whatever the text. Without one, a text can be made that costs the whole program at every byte.
    table: Option<Arc<dense::DFA<Vec<u32>>>>,
}

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
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!("compiles to more than {REGEX_PROGRAM_BYTES_MAX} bytes"),
            other => reason(&other.to_string()),
        })?;
        Ok(Self { regex, table: table(text) })
    }

    /// Whether the expression occurs in `text`. Unknown for a text of more than [`REGEX_TEXT_BYTES_MAX`] bytes, if the expression has
    /// too many states for a table: searching that could hold up a thread for seconds.
    pub(super) fn finds(&self, text: &str) -> Tri {
        if text.len() <= REGEX_TEXT_BYTES_MAX {
            return self.regex.is_match(text).into();
        }
        let found = self.table.as_ref().map(|table| table.try_search_fwd(&Input::new(text).earliest(true)));
        found.and_then(Result::ok).map_or(Tri::Unknown, |end| end.is_some().into())
    }

    /// What a search costs at most, in steps for each [`ARGUMENT_STEP_BYTES`](super::bounds::ARGUMENT_STEP_BYTES) of the text.
    pub(super) fn steps(&self) -> usize {
        if self.table.is_some() { 1 } else { REGEX_UNTABLED_STEPS }
    }

    /// The expression as written.
    pub(super) fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.as_str()).finish()
    }
}

/// The whole automaton of an expression, if it is small.
fn table(text: &str) -> Option<Arc<dense::DFA<Vec<u32>>>> {
    let config = dense::Config::new()
        .dfa_size_limit(Some(REGEX_TABLE_BYTES_MAX))
        .determinize_size_limit(Some(REGEX_TABLE_MAKING_BYTES_MAX));
    dense::Builder::new().configure(config).build(text).ok().map(Arc::new)
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
            assert_eq!((pattern.finds(yes), pattern.finds(no)), (Tri::True, Tri::False), "{pattern:?}");
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

    /// A secret is found in the longest text; where that could take seconds, nothing is claimed.
    #[test]
    fn long_texts_are_read_once_or_not_at_all() {
        let long = "x".repeat(REGEX_TEXT_BYTES_MAX * 8);
        let small = Pattern::parse("AKIA[0-9A-Z]{16}").unwrap();
        assert_eq!(small.finds(&long), Tri::False);
        assert_eq!(small.finds(&format!("{long}AKIAABCDEFGHIJKLMNOP{long}")), Tri::True);
        for text in ["a[ab]{200}c", r"(?i)(union|select).{1,80}(from|into)\b"] {
            let large = Pattern::parse(text).unwrap();
            assert_eq!(large.finds(&long), Tri::Unknown, "{text}");
            assert_eq!(large.finds("x"), Tri::False, "{text}");
        }
    }

    /// Expressions that take a backtracking matcher longer than the sun has left.
    #[test]
    fn is_linear() {
        let text = "a".repeat(20_000);
        for pattern in
            ["(a+)+$", "(a|aa)+$", "(a*)*b", "a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?b", "(.*)(.*)(.*)(.*)(.*)c", "([a-z]+)*X"]
        {
            let ends = pattern.ends_with('$');
            let pattern = Pattern::parse(pattern).unwrap();
            assert_ne!(pattern.finds(&format!("{text}!")), Tri::True, "{pattern:?}");
            assert_eq!(pattern.finds(&text), ends.into(), "{pattern:?}");
        }
    }
}
