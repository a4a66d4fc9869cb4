//! Conditions that are none, conditions that ordinary calls cannot be held against, and sets that only try to allow.

use super::Cx;
use super::entry::Entry;
use crate::policy::arguments::Tree;
use crate::policy::matcher::Quantifier;
use crate::policy::tri::Tri;

pub(super) fn find(cx: &mut Cx<'_>) {
    for entry in cx.rules {
        constant(cx, entry);
        if entry.rule.schedule.is_never_closed() {
            let message = format!("the `schedule` of rule `{}` is open all day on every day", entry.rule.id);
            cx.warn("idle_schedule", entry, "", message, "leave it out, or name the days and hours that are meant");
        }
        doubtful(cx, entry);
    }
    only_tried(cx);
}

/// A `when` that reads nothing.
fn constant(cx: &mut Cx<'_>, entry: &Entry<'_>) {
    let Some(when) = &entry.rule.when else { return };
    let Some(truth) = when.constant() else { return };
    let never = truth == Tri::False || (truth == Tri::Unknown && entry.is_allow());
    let (word, id) = (if truth == Tri::True { "true" } else { "false" }, &entry.rule.id);
    let message = match truth {
        Tri::Unknown if never => format!("rule `{id}` can never match: its `when` cannot be evaluated, whatever is asked"),
        Tri::Unknown => {
            format!("the `when` of rule `{id}` cannot be evaluated, whatever is asked, so it denies all the rule is about")
        }
        _ if never => format!("rule `{id}` can never match: its `when` is always {word}"),
        _ => format!("the `when` of rule `{id}` is always {word}, so it restricts nothing"),
    };
    let hint = "a condition speaks of principal, tool, args, time or route; leave out one that does not";
    cx.warn("constant_when", entry, when.canonical(), message, hint);
}

/// Arguments as most calls have some of.
const ORDINARY: [&str; 3] = [r#"{"name":"some text"}"#, r#"{"count":3}"#, r#"{"done":true}"#];

/// A deny rule that searches everything for what few values can be held against. Doubt denies, so it denies nearly every call.
fn doubtful(cx: &mut Cx<'_>, entry: &Entry<'_>) {
    if entry.is_allow() {
        return;
    }
    let ordinary: Vec<Tree<'_>> = ORDINARY.into_iter().filter_map(Tree::read).collect();
    for criterion in &entry.rule.arguments {
        let pointer = criterion.pointer.canonical();
        if !pointer.ends_with("/**") || !ordinary.iter().any(|tree| criterion.holds(tree, Quantifier::Some) == Tri::Unknown) {
            continue;
        }
        let message = format!(
            "rule `{}` searches every value and key, and what it looks for cannot be told of ordinary ones: doubt denies",
            entry.rule.id
        );
        let hint =
            "name the argument, or keep it to the values that are meant: `type: number`, or a `matches` of what they look like";
        cx.warn("search_in_doubt", entry, &pointer, message, hint);
    }
}

/// Rules that allow, and all of them in shadow.
fn only_tried(cx: &mut Cx<'_>) {
    let mut allows = cx.rules.iter().filter(|entry| entry.is_allow());
    let Some(first) = allows.next().filter(|first| first.is_shadow && allows.all(|entry| entry.is_shadow)) else { return };
    let message = "every rule that allows something is in shadow, so nothing is allowed".to_owned();
    cx.warn("shadow_only", first, "shadow", message, "`mode: enforce` in the file or in a rule makes rules count");
}
