use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::policy::posting::Mask;

fn text(parts: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(select(parts), 1..6).prop_map(|parts| parts.concat())
}

const GLOB_PARTS: &[&str] = &["a", "b", "ab", "ä", "up__", "__", "*", "*", "?", "\\*"];
const NAME_PARTS: &[&str] = &["a", "b", "ab", "ä", "up__", "__", "*", "c"];

/// The numbers found for `name`: all, and those that need not be asked.
fn find(names: &Names, name: &str) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let (mut all, mut sure) = (BTreeSet::new(), BTreeSet::new());
    names.find(name, &mut |posting, is_sure| {
        posting.each(Mask::default(), &mut |number| {
            all.insert(number);
            if is_sure {
                sure.insert(number);
            }
            true
        });
    });
    (all, sure)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_glob_that_matches_is_missed(
        patterns in proptest::collection::vec(text(GLOB_PARTS), 0..120),
        asked in proptest::collection::vec(text(NAME_PARTS), 1..30),
    ) {
        let globs: Vec<Glob> = patterns.iter().map(|pattern| Glob::parse(pattern).unwrap()).collect();
        let names = Names::new(globs.iter().zip(0..), globs.len());
        for name in asked.iter().chain(&patterns) {
            let (all, sure) = find(&names, name);
            let matching: BTreeSet<usize> = globs.iter().enumerate().filter(|(_, glob)| glob.matches(name)).map(|(n, _)| n).collect();
            prop_assert!(all.is_superset(&matching), "{name} of {patterns:?}: {all:?}, not {matching:?}");
            prop_assert!(sure.is_subset(&matching), "{name} of {patterns:?}: {sure:?} for certain, not {matching:?}");
        }
    }
}

#[test]
fn few_globs_are_asked_about_a_name() {
    let patterns =
        |n: usize| [format!("f__t{n}_*"), format!("*_x{n}"), format!("f__get{n}"), format!("f__*_y{n}"), format!("u{n}__*a?")];
    let globs: Vec<Glob> = (0..2_000).flat_map(patterns).map(|pattern| Glob::parse(&pattern).unwrap()).collect();
    let names = Names::new(globs.iter().zip(0..), globs.len());
    for name in ["f__t77_read", "g__read_x77", "f__get77", "f__read_y77", "u77__bay", "f__t77_read_x77", "f__other"] {
        let (all, _) = find(&names, name);
        assert!(all.len() <= 2, "{name}: {}", all.len());
        assert_eq!(all.is_empty(), name == "f__other", "{name}");
    }
}
