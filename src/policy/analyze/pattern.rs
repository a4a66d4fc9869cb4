//! Patterns held against each other: is all of one inside the other, and have they a text in common?

use std::fmt::{self, Write as _};

use crate::policy::glob::Glob;

/// A glob taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Box<[Unit]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// `*`
    Run,
    /// `?`
    One,
    Char(char),
}

/// Steps spent on one comparison; longer ones are given up, and claim nothing.
const STEPS_MAX: usize = 65_536;

impl Pattern {
    pub(super) fn of(glob: &Glob) -> Self {
        Self::read(&glob.canonical())
    }

    /// Everything of one upstream.
    pub(super) fn upstream(name: &str) -> Self {
        Self(name.chars().chain("__".chars()).map(Unit::Char).chain([Unit::Run]).collect())
    }

    fn read(spelling: &str) -> Self {
        let mut chars = spelling.chars();
        let mut units = Vec::new();
        while let Some(c) = chars.next() {
            units.push(match c {
                '*' => Unit::Run,
                '?' => Unit::One,
                '\\' => Unit::Char(chars.next().unwrap_or('\\')),
                other => Unit::Char(other),
            });
        }
        Self(units.into())
    }

    /// The characters that every match has.
    pub(super) fn characters(&self) -> impl Iterator<Item = char> + '_ {
        self.0.iter().filter_map(|unit| match unit {
            Unit::Char(c) => Some(*c),
            Unit::Run | Unit::One => None,
        })
    }

    /// All of one upstream, whichever: `NAME__*`, or `*`.
    pub(super) fn is_whole_upstream(&self) -> bool {
        matches!(&*self.0, [Unit::Run] | [.., Unit::Char('_'), Unit::Char('_'), Unit::Run])
    }

    /// Whether all of `text` matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.covers(&Self(text.chars().map(Unit::Char).collect()))
    }

    /// Whether every text that `narrow` matches is matched by this. False where telling would cost too much or need more than
    /// looking at the patterns side by side.
    pub(super) fn covers(&self, narrow: &Self) -> bool {
        if self == narrow {
            return true;
        }
        if self.0.len().saturating_mul(narrow.0.len()) > STEPS_MAX {
            return false;
        }
        // Where in this pattern one can stand after the units of `narrow` so far.
        let mut here = vec![false; self.0.len() + 1];
        enter(&mut here, &self.0, 0);
        for unit in &narrow.0 {
            let mut next = vec![false; self.0.len() + 1];
            for (at, own) in self.0.iter().enumerate().filter(|(at, _)| here.get(*at).copied().unwrap_or_default()) {
                match (own, unit) {
                    (Unit::Run, _) => enter(&mut next, &self.0, at),
                    (Unit::One, Unit::One | Unit::Char(_)) => enter(&mut next, &self.0, at + 1),
                    (Unit::Char(own), Unit::Char(c)) if own == c => enter(&mut next, &self.0, at + 1),
                    _ => {}
                }
            }
            here = next;
        }
        here.last().copied().unwrap_or_default()
    }

    /// Whether some text matches both. True where telling would cost too much.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        if self.0.len().saturating_mul(other.0.len()) > STEPS_MAX {
            return true;
        }
        let at = |row: &[bool], j: usize| row.get(j).copied().unwrap_or_default();
        // Rows from the end: whether what is left of both, from here, has a text in common.
        let mut below = vec![false; other.0.len() + 1];
        for i in (0..=self.0.len()).rev() {
            let mut row = vec![false; other.0.len() + 1];
            for j in (0..=other.0.len()).rev() {
                let common = match (self.0.get(i), other.0.get(j)) {
                    (None, None) => true,
                    // A run matches nothing more, or one unit more of the other.
                    (Some(Unit::Run), _) | (_, Some(Unit::Run)) => at(&below, j) || at(&row, j + 1),
                    (Some(Unit::Char(a)), Some(Unit::Char(b))) => a == b && at(&below, j + 1),
                    (Some(_), Some(_)) => at(&below, j + 1),
                    (None, Some(_)) | (Some(_), None) => false,
                };
                if let Some(cell) = row.get_mut(j) {
                    *cell = common;
                }
            }
            below = row;
        }
        at(&below, 0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|unit| match unit {
            Unit::Run => f.write_char('*'),
            Unit::One => f.write_char('?'),
            Unit::Char(c @ ('*' | '?' | '\\')) => write!(f, "\\{c}"),
            Unit::Char(c) => f.write_char(*c),
        })
    }
}

/// Stands at `at`, and behind every run that begins there, for a run may be empty.
fn enter(places: &mut [bool], units: &[Unit], at: usize) {
    let mut at = at;
    loop {
        if let Some(place) = places.get_mut(at) {
            *place = true;
        }
        if !matches!(units.get(at), Some(Unit::Run)) {
            return;
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::of(&Glob::parse(text).unwrap())
    }

    #[test]
    fn covering() {
        for (wide, narrow, expected) in [
            ("*", "files__*", true),
            ("files__*", "files__read_*", true),
            ("files__*", "files__*", true),
            ("files__read_*", "files__*", false),
            ("a?c", "abc", true),
            ("a*c", "a?c", true),
            ("a?c", "a*c", false),
            ("*__read_*", "files__read_x*", true),
            ("*a*", "b*a", true),
            (r"a\*", "a*", false),
            (r"a*", r"a\*", true),
            ("a*b*", "a*", false),
        ] {
            assert_eq!(pattern(wide).covers(&pattern(narrow)), expected, "{wide} {narrow}");
        }
        assert!(pattern("files__*").covers(&Pattern::upstream("files")));
    }

    #[test]
    fn overlapping() {
        for (a, b, expected) in [
            ("*", "x", true),
            ("files__*", "*__read", true),
            ("files__*", "github__*", false),
            ("a*b", "a*c", false),
            ("a?", "*b", true),
            ("a?", "b*", false),
            ("ab", "abc", false),
            ("*", "*", true),
            ("a**", "a", true),
        ] {
            assert_eq!(pattern(a).overlaps(&pattern(b)), expected, "{a} {b}");
            assert_eq!(pattern(b).overlaps(&pattern(a)), expected, "{b} {a}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn agrees_with_what_globs_match(a in "[ab*?]{1,6}", b in "[ab*?]{1,6}", text in "[ab]{0,6}") {
            let (ga, gb) = (Glob::parse(&a).unwrap(), Glob::parse(&b).unwrap());
            let (pa, pb) = (Pattern::of(&ga), Pattern::of(&gb));
            if ga.matches(&text) && gb.matches(&text) {
                prop_assert!(pa.overlaps(&pb));
            }
            if pa.covers(&pb) && gb.matches(&text) {
                prop_assert!(ga.matches(&text));
            }
        }
    }

    #[test]
    fn what_overlaps_has_a_text_in_common() {
        let word = |bits: u32, len: u32| (0..len).map(|i| if bits >> i & 1 == 1 { 'a' } else { 'b' }).collect::<String>();
        let texts: Vec<String> = (0..=6).flat_map(|len| (0..1_u32 << len).map(move |bits| word(bits, len))).collect();
        let units = ["a", "b", "?", "*"];
        let globs = (0..64).map(|n| [units[n % 4], units[n / 4 % 4], units[n / 16]].concat());
        let globs: Vec<Glob> = globs.map(|text| Glob::parse(&text).unwrap()).collect();
        for a in &globs {
            for b in &globs {
                let common = texts.iter().any(|text| a.matches(text) && b.matches(text));
                assert_eq!(Pattern::of(a).overlaps(&Pattern::of(b)), common, "{a:?} {b:?}");
            }
        }
    }
}
