//! Criteria that no arguments can meet.

use crate::policy::decision::Effect;
use crate::policy::matcher::{Criterion, Matcher, Quantifier};
use crate::policy::rule::Rule;
use crate::policy::tri::Tri;

/// The criteria of `rule` that nothing can meet, each with why.
pub(super) fn contradictions(rule: &Rule) -> Vec<(String, &'static str)> {
    let quantifier = match rule.effect {
        Effect::Allow => Quantifier::Every,
        Effect::Deny => Quantifier::Some,
    };
    let found = rule.arguments.iter().filter_map(|criterion| Some((criterion.pointer.canonical(), why(criterion, quantifier)?)));
    found.chain(rule.arguments.iter().filter_map(|criterion| absent_and_wanted(rule, criterion))).collect()
}

/// A criterion that wants something where another one wants nothing.
fn absent_and_wanted(rule: &Rule, wanted: &Criterion) -> Option<(String, &'static str)> {
    let pointer = wanted.pointer.canonical();
    let gone = |other: &Criterion| other.is_absent() && selects_above(&other.pointer.canonical(), &pointer);
    let clash = !wanted.is_absent() && rule.arguments.iter().any(gone);
    clash.then_some((pointer, "another criterion wants it, or what it is in, to be `absent`"))
}

/// Whether what `inner` selects is always at or below something that `outer` selects.
fn selects_above(outer: &str, inner: &str) -> bool {
    let mut inner = inner.split('/').skip(1).peekable();
    for step in outer.split('/').skip(1) {
        match (step, inner.next()) {
            // Whatever is below holds a scalar or a key, unless it is empty.
            ("**", _) | (_, None | Some("**")) => return false,
            ("*", Some(_)) => {}
            (name, Some(other)) if name != other => return false,
            _ => {}
        }
    }
    true
}

fn why(criterion: &Criterion, quantifier: Quantifier) -> Option<&'static str> {
    // A listed value that may satisfy the rest, in doubt included, keeps the rule alive.
    let listed = criterion.matchers.iter().find_map(|matcher| match matcher {
        Matcher::OneOf(values) => Some(values),
        _ => None,
    });
    if let Some(listed) = listed {
        let never = listed.iter().all(|value| criterion.holds_for(value, quantifier) == Tri::False);
        return never.then_some("none of the values it lists meets the rest of what it asks for there");
    }
    // A value that a matcher cannot read leaves a deny rule in doubt, and doubt denies; a search reads numbers as text.
    if quantifier == Quantifier::Some || criterion.pointer.searches() {
        return None;
    }
    let reads = |kind: fn(&Matcher) -> bool| criterion.matchers.iter().any(kind);
    let (text, number) = (reads(is_of_text), reads(is_of_numbers));
    (text && number).then_some("no value is both a text and a number")
}

fn is_of_text(matcher: &Matcher) -> bool {
    matches!(matcher, Matcher::Glob(_) | Matcher::PathUnder(_) | Matcher::Matches(_) | Matcher::Url(_) | Matcher::Cidr(_))
}

fn is_of_numbers(matcher: &Matcher) -> bool {
    matches!(matcher, Matcher::Min(_) | Matcher::Max(_))
}
