//! Rules, and entries of rules, that can never match.

use std::collections::HashSet;

use super::Cx;
use super::arguments::contradictions;
use super::entry::Entry;
use super::pattern::Pattern;
use crate::policy::asked::Family;
use crate::policy::glob::Glob;
use crate::policy::set::Hints;
use crate::policy::tri::Tri;
use crate::policy::who::{ANONYMOUS, KEY_PREFIX, Who};
use crate::vocab::Class;
use crate::vocab::principal::KEY_ISSUER;

/// Why something never matches, and what would mend it.
pub(super) struct Why {
    value: String,
    pub(super) message: String,
    hint: String,
}

/// Adds what it finds; returns the ids of rules that can never match, about which nothing more needs saying.
pub(super) fn find(cx: &mut Cx<'_>) -> HashSet<String> {
    let mut dead = HashSet::new();
    for entry in cx.rules {
        let found = [targets(cx, entry), principals(cx, entry), criteria(entry)];
        let all = found.iter().any(|(_, all)| *all);
        if all {
            dead.insert(entry.rule.id.to_string());
        }
        for (why, whole) in found {
            for Why { value, message, hint } in why {
                let (kind, message) = match whole {
                    true => ("dead_rule", format!("rule `{}` can never match: {message}", entry.rule.id)),
                    false => ("dead_entry", format!("an entry of rule `{}` can never match: {message}", entry.rule.id)),
                };
                cx.warn(kind, entry, &value, message, hint);
            }
        }
    }
    dead
}

/// Targets that nothing can be, and whether that is all of them.
fn targets(cx: &Cx<'_>, entry: &Entry<'_>) -> (Vec<Why>, bool) {
    let targets = &entry.rule.targets;
    let mut found = Vec::new();
    let mut alive = targets.capabilities.len();
    for (family, globs) in
        [(Family::Tool, &targets.tools), (Family::Resource, &targets.resources), (Family::Prompt, &targets.prompts)]
    {
        for (glob, pattern) in globs.iter().zip(entry.of(family)) {
            let why = match family {
                Family::Tool => no_name(pattern, "tool").or_else(|| no_class(cx, entry, glob, pattern)),
                Family::Resource => not_reading(entry, "resources").or_else(|| no_arguments(entry)),
                Family::Prompt | Family::Lists => not_reading(entry, "prompts").or_else(|| no_name(pattern, "prompt")),
            };
            match why {
                Some((message, hint)) => found.push(Why { value: glob.canonical(), message, hint }),
                None => alive += 1,
            }
        }
    }
    let all = alive == 0 && !found.is_empty();
    (found, all)
}

type Said = (String, String);

/// Names of tools and prompts are letters, digits and `_ - .`; the catalog shows no others.
fn no_name(pattern: &Pattern, what: &str) -> Option<Said> {
    let strange = pattern.characters().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'))?;
    let message = format!("no {what} has `{}` in its name", strange.escape_default());
    Some((message, "letters, digits, `_`, `-` and `.` only".to_owned()))
}

fn not_reading(entry: &Entry<'_>, what: &str) -> Option<Said> {
    let message = || format!("{what} are class read, and the rule is about {} only", entry.class_words());
    (!entry.rule.classes.has(Class::Read)).then(|| (message(), format!("give {what} a rule of their own, without `classes`")))
}

/// A rule that is about other things too is told so when it is read.
fn no_arguments(entry: &Entry<'_>) -> Option<Said> {
    let never = entry.tools.is_empty() && entry.prompts.is_empty() && entry.rule.accepts(None) == Tri::False;
    let message = "a resource has no arguments, so this rule never matches one".to_owned();
    never.then(|| (message, "give the resources a rule of their own, without `arguments`".to_owned()))
}

/// Whether every tool of this pattern is of a class that the rule is not about. An upstream's hints can raise a class, so only
/// classes below what the operator said are out of reach.
fn no_class(cx: &Cx<'_>, entry: &Entry<'_>, glob: &Glob, pattern: &Pattern) -> Option<Said> {
    let classes = entry.rule.classes;
    if classes.has(Class::Destructive) {
        return None;
    }
    let spelled = glob.canonical();
    let touching = cx.classes.iter().any(|entry| entry.pattern.overlaps(pattern));
    if !touching {
        let message =
            format!("no entry of `tools` classifies it, so it counts as destructive; the rule is about {}", entry.class_words());
        return Some((message, format!("if it only reads, say so: tools: - {{ match: [\"{spelled}\"], class: read }}")));
    }
    let least = match glob.literal() {
        Some(name) => Some(cx.set.class_of(name, Hints::default())),
        None => cx.classes.iter().filter(|entry| entry.pattern.covers(pattern)).map(|entry| entry.class).max(),
    };
    if let Some(least) =
        least.filter(|least| !classes.has(*least) && (*least == Class::Destructive || !classes.has(Class::Write)))
    {
        let message = format!("it is classified {}; the rule is about {}", least.as_str(), entry.class_words());
        return Some((message, format!("add `classes: [{}]` if that is meant", least.as_str())));
    }
    let known = cx.tools.values().flatten().filter(|tool| glob.matches(&tool.name));
    let given: Vec<Class> = known.map(|tool| cx.set.class_of(&tool.name, tool.hints)).collect();
    if given.is_empty() || given.iter().any(|class| classes.has(*class)) {
        return None;
    }
    let message = format!("none of the {} known tools it covers is {}", given.len(), entry.class_words());
    Some((message, "the upstream's own hints raise a class; see `portcullis check --tools`".to_owned()))
}

/// Principals that nobody can be, and whether that is all of them.
fn principals(cx: &Cx<'_>, entry: &Entry<'_>) -> (Vec<Why>, bool) {
    let nobody: Vec<Why> = entry.rule.who.iter().filter_map(|who| nobody(cx, who)).collect();
    let all = !nobody.is_empty() && nobody.len() == entry.rule.who.len();
    (nobody, all)
}

pub(super) fn nobody(cx: &Cx<'_>, who: &Who) -> Option<Why> {
    let said = |value: String, message: &str, hint: &str| Some(Why { value, message: message.to_owned(), hint: hint.to_owned() });
    let (value, keys_only) = match who {
        Who::Any => return None,
        Who::Sub { issuer: None, glob } if glob.literal() == Some(ANONYMOUS) => {
            let message = "callers without a credential are turned away";
            let hint = "`identity.anonymous` of the config lets them in; on loopback only";
            return if cx.known.anonymous { None } else { said("sub:anonymous".to_owned(), message, hint) };
        }
        Who::Sub { issuer, glob } => {
            let keys = issuer.as_deref().map_or(glob.literal_prefix().starts_with(KEY_PREFIX), |issuer| *issuer == *KEY_ISSUER);
            (format!("sub:{}", glob.canonical()), keys)
        }
        Who::Group(group) => (format!("group:{}", group.name), matches!(&*group.issuers, [only] if **only == *KEY_ISSUER)),
        Who::Client(glob) => (format!("client:{}", glob.canonical()), false),
        Who::Scope(scope) => (format!("scope:{scope}"), false),
    };
    let no_tokens = cx.facts.issuers.is_empty();
    if !(keys_only || no_tokens) || cx.known.keys.iter().any(|key| who.is(key)) {
        return None;
    }
    let message = if keys_only {
        "no API key of the config is meant by it"
    } else {
        "no issuer is configured, and no API key is meant by it"
    };
    said(value, message, "see `identity` in the config; `portcullis key new` makes keys")
}

fn criteria(entry: &Entry<'_>) -> (Vec<Why>, bool) {
    let found: Vec<Why> = contradictions(entry.rule)
        .into_iter()
        .map(|(value, why)| Why {
            value,
            message: why.to_owned(),
            hint: "what stands under one pointer must hold for one and the same value; alternatives go into one list".to_owned(),
        })
        .collect();
    let all = !found.is_empty();
    (found, all)
}
