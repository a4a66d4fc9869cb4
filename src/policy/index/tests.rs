use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::policy::{Facts, PolicySet, compile};

const GLOBS: &[&str] = &[
    "*", "x__*", "x__a", "x__a*", "x__ab*", "x__*b", "*__ab", "*b", "x*", "?__ab", "x__?b", "x_*", "y__*", "y__a*b", "*a*",
    "xx__*",
];
const NAMES: &[&str] = &["x__a", "x__ab", "x__abb", "x__b", "y__ab", "y__b", "xx__ab", "x_a", "x", "y__", "z__ab", ""];
const PEOPLE: &[&str] = &["any", "sub:alice", "sub:al*", "sub:bob", "scope:s"];
const CLASSES: &[&str] = &["read", "write", "destructive"];

#[derive(Clone, Debug)]
struct Choice {
    is_deny: bool,
    globs: Vec<&'static str>,
    family: &'static str,
    people: Vec<&'static str>,
    classes: Vec<&'static str>,
}

prop_compose! {
    fn choice()(
        is_deny in any::<bool>(),
        globs in subsequence(GLOBS, 0..4),
        family in select(vec!["tools", "tools", "resources", "prompts"]),
        people in subsequence(PEOPLE, 1..3),
        classes in subsequence(CLASSES, 1..=3),
    ) -> Choice {
        Choice { is_deny, globs, family, people, classes }
    }
}

fn set(choices: &[Choice]) -> PolicySet {
    let mut text = String::from("version: 1\nrules:\n");
    for (n, Choice { is_deny, globs, family, people, classes }) in choices.iter().enumerate() {
        let effect = if *is_deny { "deny" } else { "allow" };
        let people = serde_json::to_string(people).unwrap();
        let _ = write!(text, "- {{ id: r{n:03}, effect: {effect}, principals: {people}, classes: [{}]", classes.join(", "));
        // An allow rule names something.
        if !globs.is_empty() || !is_deny {
            let globs = if globs.is_empty() { vec!["x__*"] } else { globs.clone() };
            let _ = write!(text, ", {family}: {}", serde_json::to_string(&globs).unwrap());
        }
        text.push_str(" }\n");
    }
    let upstreams = ["x", "y", "xx", "z"].map(str::to_owned);
    let files = [("p.yaml".to_owned(), text.clone())];
    compile(&files, &Facts { upstreams: &upstreams, issuers: &[] }).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

fn alice() -> Principal {
    Principal { sub: "alice".into(), iss: "https://idp.example".into(), anonymous: false, ..Principal::anonymous() }
}

fn covers(rule: &Rule, family: Family, name: &str, class: Class) -> bool {
    let names_it = rule.names_everything() || rule.targets.of(family).iter().any(|glob| glob.matches(name));
    rule.classes.has(class) && names_it
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The index finds what asking every rule finds, in the same order.
    #[test]
    fn nothing_is_missed_and_nothing_is_added(choices in proptest::collection::vec(choice(), 1..150)) {
        let (set, who) = (set(&choices), alice());
        let subject = set.subject(&who);
        for family in [Family::Tool, Family::Resource, Family::Prompt] {
            for (name, class) in NAMES.iter().flat_map(|name| [Class::Read, Class::Write, Class::Destructive].map(|class| (name, class))) {
                let expect: Vec<&str> =
                    set.rules.iter().filter(|rule| rule.is_about(&who) && covers(rule, family, name, class)).map(|rule| &*rule.id).collect();
                for about in [About::Who(&who), subject.about()] {
                    let found = set.index.covering(&set.rules, about, (family, name, class));
                    let found: Vec<&str> = found.iter().map(|rule| &*rule.id).collect();
                    prop_assert_eq!(&found, &expect, "{:?} {}", family, name);
                    for (id, prefix) in expect.iter().zip(std::iter::repeat(["x__", "y__", "xx__", "x__a"])).flat_map(|(id, all)| all.map(|prefix| (id, prefix))) {
                        let is_it = |rule: &Rule| *rule.id == **id;
                        let reached = set.index.any_within(&set.rules, about, (family, prefix), &is_it);
                        prop_assert!(reached || !name.starts_with(prefix), "{} of {}", id, prefix);
                    }
                }
            }
        }
    }
}
