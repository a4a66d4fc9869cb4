//! Globs: `*` any run of characters including `/`, `?` one character, `\` takes the next literally.
//!
//! Whole string, case-sensitive. A pattern is cut at its stars once, at load; matching looks for the pieces from left to
//! right and never goes back, so a hostile name costs its length, not a power of it.

use memchr::memmem;

use super::bounds::GLOB_BYTES_MAX;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob {
    /// What stands before the first star, anchored at the start.
    head: Piece,
    /// The pieces between and after the stars; `None` for a pattern without a star. The last is anchored at the end.
    rest: Option<Box<[Piece]>>,
}

/// A run without stars.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Literal(Box<str>),
    /// `None` is any one character.
    Mixed(Box<[Option<char>]>),
}

impl Glob {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(pattern: &str) -> Result<Self, &'static str> {
        if pattern.is_empty() {
            return Err("an empty pattern matches nothing");
        }
        if pattern.len() > GLOB_BYTES_MAX {
            return Err("the pattern is too long");
        }
        let mut pieces: Vec<Vec<Option<char>>> = vec![Vec::new()];
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            let unit = match c {
                '*' => {
                    pieces.push(Vec::new());
                    continue;
                }
                '?' => None,
                '\\' => Some(chars.next().ok_or("a `\\` at the end escapes nothing")?),
                other => Some(other),
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(unit);
            }
        }
        let mut pieces = pieces.into_iter().map(Piece::of);
        let head = pieces.next().unwrap_or_else(|| Piece::of(Vec::new()));
        let rest: Vec<Piece> = pieces.collect();
        let Some((last, middle)) = rest.split_last() else { return Ok(Self { head, rest: None }) };
        let mut kept: Vec<Piece> = middle.iter().filter(|piece| !piece.is_empty()).cloned().collect();
        kept.push(last.clone());
        Ok(Self { head, rest: Some(kept.into()) })
    }

    /// Whether all of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some(mut text) = self.head.strip_start(text) else { return false };
        let Some(rest) = &self.rest else { return text.is_empty() };
        let Some((last, middle)) = rest.split_last() else { return false };
        for piece in middle {
            match piece.find(text) {
                Some(after) => text = after,
                None => return false,
            }
        }
        last.ends(text)
    }

    /// The characters every match begins with.
    pub(super) fn literal_prefix(&self) -> &str {
        match &self.head {
            Piece::Literal(text) => text,
            Piece::Mixed(_) => "",
        }
    }

    /// The characters every match ends with.
    pub(super) fn literal_suffix(&self) -> &str {
        match self.rest.as_ref().map_or(Some(&self.head), |rest| rest.last()) {
            Some(Piece::Literal(text)) => text,
            Some(Piece::Mixed(_)) | None => "",
        }
    }

    /// Whether every text that begins with [`Self::literal_prefix`] matches, and there is more than one.
    pub(super) fn is_prefix(&self) -> bool {
        let open = self.rest.as_ref().is_some_and(|rest| rest.iter().all(Piece::is_empty));
        open && matches!(self.head, Piece::Literal(_))
    }

    /// Whether every text that ends with [`Self::literal_suffix`] matches, and there is more than one.
    pub(super) fn is_suffix(&self) -> bool {
        self.head.is_empty() && matches!(self.rest.as_deref(), Some([Piece::Literal(_)]))
    }

    /// The only text that matches, if there is only one.
    pub(super) fn literal(&self) -> Option<&str> {
        match (&self.head, &self.rest) {
            (Piece::Literal(text), None) => Some(text),
            _ => None,
        }
    }

    /// Whether some text that begins with `prefix` matches.
    pub(super) fn may_start_with(&self, prefix: &str) -> bool {
        let mut prefix = prefix.chars();
        for unit in self.head.units() {
            match (unit, prefix.next()) {
                (_, None) => return true,
                (Some(want), Some(c)) if want != c => return false,
                _ => {}
            }
        }
        self.rest.is_some() || prefix.next().is_none()
    }

    /// Whether every text that begins with `prefix` matches.
    pub(super) fn covers(&self, prefix: &str) -> bool {
        let open = self.rest.as_ref().is_some_and(|rest| rest.iter().all(Piece::is_empty));
        open && self.head.strip_start(prefix).is_some()
    }

    /// The pattern in canonical spelling.
    pub(super) fn canonical(&self) -> String {
        let mut out = String::new();
        self.head.spell(&mut out);
        for piece in self.rest.iter().flatten() {
            out.push('*');
            piece.spell(&mut out);
        }
        out
    }
}

impl Piece {
    fn of(units: Vec<Option<char>>) -> Self {
        let literal: Option<String> = units.iter().copied().collect();
        literal.map_or_else(|| Self::Mixed(units.into()), |text| Self::Literal(text.into()))
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Literal(text) if text.is_empty())
    }

    fn units(&self) -> impl Iterator<Item = Option<char>> + '_ {
        let (text, mixed) = match self {
            Self::Literal(text) => (&**text, &[][..]),
            Self::Mixed(units) => ("", &**units),
        };
        text.chars().map(Some).chain(mixed.iter().copied())
    }

    /// What follows this piece at the start of `text`.
    fn strip_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Literal(literal) => text.strip_prefix(&**literal),
            Self::Mixed(units) => {
                let mut chars = text.chars();
                for unit in units {
                    let c = chars.next()?;
                    if unit.is_some_and(|want| want != c) {
                        return None;
                    }
                }
                Some(chars.as_str())
            }
        }
    }

    /// What follows the first place in `text` where this piece stands.
    fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Literal(literal) => {
                let at = memmem::find(text.as_bytes(), literal.as_bytes())?;
                text.get(at + literal.len()..)
            }
            Self::Mixed(_) => text.char_indices().find_map(|(at, _)| self.strip_start(text.get(at..)?)),
        }
    }

    /// Whether `text` ends with this piece.
    fn ends(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => text.ends_with(&**literal),
            Self::Mixed(units) => {
                let mut chars = text.chars().rev();
                units.iter().rev().all(|unit| chars.next().is_some_and(|c| unit.is_none_or(|want| want == c)))
            }
        }
    }

    fn spell(&self, out: &mut String) {
        for unit in self.units() {
            match unit {
                None => out.push('?'),
                Some(c @ ('*' | '?' | '\\')) => out.extend(['\\', c]),
                Some(c) => out.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|n| naive(rest, &text[n..])),
            Some(('?', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some(('\\', rest)) => text.first() == rest.first() && naive(&rest[1..], &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && naive(rest, &text[1..]),
        }
    }

    #[test]
    fn matches_whole_names() {
        for (pattern, yes, no) in [
            ("files__*", vec!["files__", "files__read/x"], vec!["file__x", "Files__x", "xfiles__a"]),
            ("a?c", vec!["abc", "aéc", "a/c"], vec!["ac", "abbc"]),
            ("*", vec!["", "anything\n"], vec![]),
            (r"a\*b\\", vec![r"a*b\"], vec!["axb\\"]),
            ("*a*b*", vec!["xaxbx", "ab"], vec!["ba"]),
            ("a*a", vec!["aa", "aba"], vec!["a"]),
            ("*ab", vec!["abab", "ab"], vec!["aba"]),
            ("a*?b", vec!["axb", "axxb"], vec!["ab"]),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            for text in yes {
                assert!(glob.matches(text), "{pattern} should match {text}");
            }
            for text in no {
                assert!(!glob.matches(text), "{pattern} should not match {text}");
            }
        }
        assert!(Glob::parse("").is_err());
        assert!(Glob::parse("a\\").is_err());
        assert!(Glob::parse(&"a".repeat(GLOB_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn knows_prefixes() {
        let glob = |p| Glob::parse(p).unwrap();
        for (pattern, may, covers) in [
            ("files__*", true, true),
            ("*", true, true),
            ("f*", true, true),
            ("files__read", true, false),
            ("files__r*", true, false),
            ("*__x", true, false),
            ("files", false, false),
            ("github__*", false, false),
            ("?iles__*", true, true),
            ("files_?*", true, true),
        ] {
            assert_eq!(glob(pattern).may_start_with("files__"), may, "{pattern}");
            assert_eq!(glob(pattern).covers("files__"), covers, "{pattern}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn agrees_with_the_obvious_matcher(pattern in r"([ab*?é]|\\[*?\\a]){1,8}", text in r"[abé*?\\]{0,10}") {
            let expect = naive(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            let glob = Glob::parse(&pattern).unwrap();
            prop_assert_eq!(glob.matches(&text), expect);
            prop_assert_eq!(Glob::parse(&glob.canonical()).unwrap(), glob);
        }
    }
}
