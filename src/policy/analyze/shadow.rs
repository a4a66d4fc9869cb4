//! Rules that another rule makes pointless, and obligations that reach further than they look.

use std::collections::HashSet;

use super::Cx;
use super::cover::{always_trips, covers, excludes, is_as_open, shares_targets, shares_who};
use super::entry::Entry;
use super::finding::{Finding, Severity, problem};
use crate::policy::obligation::Demands;
use crate::policy::rule::Rule;

/// Pairs of rules that are compared; a set of more than about 1,400 rules is compared in part.
const PAIRS_MAX: usize = 2_000_000;

pub(super) fn find(cx: &mut Cx<'_>, dead: &HashSet<String>) {
    let rules: Vec<&Entry<'_>> = cx.rules.iter().filter(|entry| !entry.is_shadow && !dead.contains(&*entry.rule.id)).collect();
    let each = PAIRS_MAX / rules.len().max(1);
    for (at, entry) in rules.iter().enumerate() {
        let others =
            || rules.iter().enumerate().filter(|(other, _)| *other != at).take(each).map(|(other, rule)| (other < at, *rule));
        if denied(cx, entry, others()) || repeated(cx, entry, others()) {
            continue;
        }
        joined(cx, entry, others().map(|(_, rule)| rule));
    }
    if rules.len() > each {
        let message =
            format!("{} rules are too many to compare each with each: what is said of pairs is not complete", rules.len());
        if let Some(first) = rules.first() {
            cx.warn_at("too_many_rules", first.origin, "", message, "split the set, or use groups and patterns");
        }
    }
}

/// An allow rule whose calls are all denied.
fn denied<'a>(cx: &mut Cx<'_>, entry: &Entry<'_>, others: impl Iterator<Item = (bool, &'a Entry<'a>)>) -> bool {
    let by = others
        .map(|(_, other)| other)
        .find(|other| !other.is_allow() && covers(other, entry) && (other.is_unconditional() || always_trips(other, entry)));
    let Some(deny) = by.filter(|_| entry.is_allow()) else { return false };
    let message = format!(
        "rule `{}` never allows anything: deny rule `{}` ({}) covers all of it",
        entry.rule.id, deny.rule.id, deny.origin
    );
    cx.warn(
        "shadowed_rule",
        entry,
        &deny.rule.id,
        message,
        "a deny always wins, whatever the order: narrow the deny, or leave this rule out",
    );
    true
}

/// A rule without which every decision would be the same.
fn repeated<'a>(cx: &mut Cx<'_>, entry: &Entry<'_>, others: impl Iterator<Item = (bool, &'a Entry<'a>)>) -> bool {
    let mut by = others.filter(|(_, other)| other.is_allow() == entry.is_allow()).filter_map(|(earlier, other)| {
        if same(other.rule, entry.rule) && !entry.has_other_conditions && !other.has_other_conditions {
            return earlier.then_some((other, true));
        }
        let inside = entry.obligations.is_empty() && is_as_open(other, entry) && covers(other, entry);
        // Of two that cover each other the later one is reported.
        let mutual = || other.obligations.is_empty() && is_as_open(entry, other) && covers(entry, other);
        (inside && (earlier || !mutual())).then_some((other, false))
    });
    let Some((other, duplicate)) = by.next() else { return false };
    let (id, other_id) = (&entry.rule.id, &other.rule.id);
    if duplicate {
        let message = format!("rule `{id}` says what rule `{other_id}` ({}) says", other.origin);
        cx.warn("duplicate_rule", entry, other_id, message, "leave one of them out");
    } else if !entry.is_allow() {
        let message = format!("rule `{id}` adds nothing: deny rule `{other_id}` ({}) covers all of it", other.origin);
        cx.warn("redundant_rule", entry, other_id, message, "leave it out");
    } else if !other.obligations.is_empty() {
        let message = format!(
            "rule `{id}` is no exception to rule `{other_id}` ({}): obligations of every matching allow rule join, so its {} holds here too",
            other.origin,
            other.obligation_words()
        );
        cx.warn("overlap", entry, other_id, message, format!("narrow rule `{other_id}` so that it does not match these calls"));
    } else {
        let message = format!("rule `{id}` adds nothing: rule `{other_id}` ({}) allows all of it already", other.origin);
        let hint = if entry.rule.arguments.is_empty() {
            "leave it out, or narrow the other"
        } else {
            "its `arguments` restrict nothing while the other rule is there: narrow or remove the other"
        };
        cx.warn("redundant_rule", entry, other_id, message, hint);
    }
    true
}

/// An allow rule without obligations beside one with some: both match the calls they share, and the obligations hold.
fn joined<'a>(cx: &mut Cx<'_>, entry: &Entry<'_>, others: impl Iterator<Item = &'a Entry<'a>>) {
    if !entry.is_allow() || !entry.obligations.is_empty() {
        return;
    }
    let shares = |other: &&Entry<'_>| {
        let both = other.is_allow() && !other.obligations.is_empty();
        both && shares_who(&entry.rule.who, &other.rule.who) && shares_targets(entry, other) && !excludes(entry, other)
    };
    for other in others.filter(shares) {
        let inside = covers(entry, other) && is_as_open(entry, other);
        let message = format!(
            "rule `{}` and rule `{}` ({}) both allow some calls; the {} of the latter holds for those: obligations join",
            entry.rule.id,
            other.rule.id,
            other.origin,
            other.obligation_words()
        );
        let severity = if inside { Severity::Note } else { Severity::Warning };
        let hint = "if this rule was meant as an exception, narrow the other one".to_owned();
        let problem = problem(entry.origin, &other.rule.id, message, hint);
        let finding = Finding::warning("overlap", Some(entry.rule.id.to_string()), problem);
        cx.findings.push(Finding { severity, ..finding });
    }
}

/// The same but for the id. Conditions beside `arguments` are for the caller to look at.
fn same(a: &Rule, b: &Rule) -> bool {
    let targets = |r: &Rule| (r.targets.tools.clone(), r.targets.resources.clone(), r.targets.prompts.clone());
    let limits = |r: &Rule| r.limits.iter().map(|limit| (limit.quota, limit.by.clone())).collect::<Vec<_>>();
    let demands = |r: &Rule| {
        let Demands { approval, redact, deadline, audit } = r.demands.clone();
        (approval.map(|a| (a.from.clone(), a.quorum, a.requester, a.expires)), redact, deadline, audit)
    };
    a.effect == b.effect
        && a.who == b.who
        && a.classes == b.classes
        && a.arguments == b.arguments
        && a.scopes == b.scopes
        && a.targets.capabilities == b.targets.capabilities
        && targets(a) == targets(b)
        && limits(a) == limits(b)
        && demands(a) == demands(b)
}
