//! Names of upstreams, tools and groups that lead nowhere.

use std::collections::{BTreeSet, HashSet};

use super::Cx;
use super::entry::Entry;
use super::pattern::Pattern;
use crate::policy::glob::Glob;
use crate::policy::obligation::Approver;
use crate::policy::report::nearest;
use crate::policy::who::Who;

pub(super) fn find(cx: &mut Cx<'_>) {
    for entry in cx.rules {
        upstreams(cx, entry);
        tools(cx, entry);
    }
    groups(cx);
}

/// A rule may speak of upstreams that come later, but more often the name is a slip.
fn upstreams(cx: &mut Cx<'_>, entry: &Entry<'_>) {
    let known: Vec<&str> = cx.facts.upstreams.iter().map(String::as_str).collect();
    let targets = &entry.rule.targets;
    let named = targets.tools.iter().chain(&targets.resources).chain(&targets.prompts);
    let everything: Vec<Pattern> = known.iter().map(|name| Pattern::upstream(name)).collect();
    let mut strangers = BTreeSet::new();
    for glob in named {
        match glob.literal_prefix().split_once("__") {
            Some((upstream, _)) if !known.contains(&upstream) => strangers.insert(upstream.to_owned()),
            None if !known.is_empty() && !everything.iter().any(|all| all.overlaps(&Pattern::of(glob))) => {
                strangers.insert(glob.canonical())
            }
            _ => false,
        };
    }
    for (glob, _) in &targets.capabilities {
        if !known.is_empty() && !known.iter().any(|name| glob.matches(name)) {
            strangers.insert(glob.canonical());
        }
    }
    for name in strangers {
        let hint = nearest(&name, &known).map_or_else(|| configured(&known), |near| format!("did you mean `{near}`?"));
        cx.warn("unknown_upstream", entry, &name, "no upstream of this name is configured".to_owned(), hint);
    }
}

fn configured(known: &[&str]) -> String {
    format!("names are UPSTREAM__NAME; configured: {}", known.join(", "))
}

/// Only where the list has tools of that upstream: a list may be of one route, or taken while a server was away.
fn tools(cx: &mut Cx<'_>, entry: &Entry<'_>) {
    let mut strangers = Vec::new();
    for glob in &entry.rule.targets.tools {
        let Some(tools) = glob.literal_prefix().split_once("__").and_then(|(upstream, _)| cx.tools.get(upstream)) else {
            continue;
        };
        if !tools.iter().any(|tool| glob.matches(&tool.name)) {
            let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
            strangers.push((glob.canonical(), hint(glob, &names)));
        }
    }
    for (name, hint) in strangers {
        let message = format!("rule `{}` names a tool that does not exist", entry.rule.id);
        cx.warn("unknown_tool", entry, &name, message, hint);
    }
}

fn hint(glob: &Glob, names: &[&str]) -> String {
    match nearest(&glob.canonical(), names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("that upstream has {} other tools", names.len()),
    }
}

fn groups(cx: &mut Cx<'_>) {
    let approvers = cx.rules.iter().filter_map(|entry| entry.rule.demands.approval.as_ref()).flat_map(|approval| &*approval.from);
    let approvers = approvers.filter_map(|entry| match entry {
        Approver::Who(who) => group(who),
        Approver::Caller => None,
    });
    let used: HashSet<&str> = cx.rules.iter().flat_map(|entry| &entry.rule.who).filter_map(group).chain(approvers).collect();
    let unused: Vec<_> = cx.origins.groups.iter().filter(|(name, _)| !used.contains(&**name)).collect();
    for (name, origin) in unused {
        let message = format!("no rule uses the group `{name}`");
        cx.warn_at(
            "unused_group",
            origin,
            name,
            message,
            format!("name it in a rule, principals: [\"group:{name}\"], or leave it out"),
        );
    }
}

fn group(who: &Who) -> Option<&str> {
    match who {
        Who::Group(group) => Some(&group.name),
        Who::Any | Who::Sub { .. } | Who::Client(_) | Who::Scope(_) => None,
    }
}
