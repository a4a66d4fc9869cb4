//! Entries of `tools` without effect, and tools that no entry classifies.

use std::collections::BTreeMap;

use super::{Classified, Cx, Finding, propose};
use crate::policy::asked::upstream_of;
use crate::policy::origin::Origin;
use crate::policy::report::nearest;
use crate::vocab::{Class, Problem};

pub(super) fn find(cx: &mut Cx<'_>) {
    for at in 0..cx.classes.len() {
        let Some(entry) = cx.classes.get(at) else { break };
        let origin = entry.origin;
        match lowered(cx, entry) {
            Some((message, hint)) => cx.warn_at("lowered_class", origin, entry.class.as_str(), message, hint),
            None => unknown(cx, entry, origin),
        }
    }
    unclassified(cx);
}

/// An entry that would lower what another one says.
fn lowered(cx: &Cx<'_>, entry: &Classified<'_>) -> Option<(String, &'static str)> {
    let higher = cx.classes.iter().find(|other| other.class > entry.class && other.pattern.covers(&entry.pattern))?;
    let message =
        format!("has no effect: {} says {} for all of it, and the highest class wins", higher.origin, higher.class.as_str());
    Some((message, "narrow the other entry, or leave this one out"))
}

/// An entry for tools that do not exist, as far as they are known.
fn unknown(cx: &mut Cx<'_>, entry: &Classified<'_>, origin: &Origin) {
    let spelled = entry.pattern.to_string();
    let Some((upstream, _)) = spelled.split_once("__").filter(|(upstream, _)| !upstream.contains(['*', '?', '\\'])) else {
        return;
    };
    let known: Vec<&str> = cx.facts.upstreams.iter().map(String::as_str).collect();
    if !known.is_empty() && !known.contains(&upstream) {
        let hint = nearest(upstream, &known).map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        cx.warn_at("unknown_upstream", origin, upstream, "no upstream of this name is configured".to_owned(), hint);
        return;
    }
    let Some(tools) = cx.tools.get(upstream) else { return };
    if tools.iter().any(|tool| entry.pattern.matches(&tool.name)) {
        return;
    }
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    let hint = nearest(&spelled, &names).map_or_else(String::new, |near| format!("did you mean `{near}`?"));
    cx.warn_at("unknown_tool", origin, &spelled, "classifies a tool that does not exist".to_owned(), hint);
}

/// Known tools that count as destructive because nobody classified them, with lines to paste.
fn unclassified(cx: &mut Cx<'_>) {
    let Some((file, tools)) = cx.known.tools else { return };
    let mut proposed: BTreeMap<&str, BTreeMap<Class, Vec<&str>>> = BTreeMap::new();
    for tool in tools.iter().filter(|tool| !cx.set.is_classified(&tool.name)) {
        let upstream = upstream_of(&tool.name);
        let own = tool.name.split_once("__").map_or(tool.name.as_str(), |(_, own)| own);
        proposed.entry(upstream).or_default().entry(propose(own, tool.hints)).or_default().push(&tool.name);
    }
    for (upstream, classes) in proposed {
        let count: usize = classes.values().map(Vec::len).sum();
        let (tools, are, count_as) = if count == 1 { ("tool", "is", "counts") } else { ("tools", "are", "count") };
        let lines = classes.iter().map(|(class, names)| {
            let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            format!("\n    - {{ match: [{}], class: {} }}", names.join(", "), class.as_str())
        });
        let problem = Problem {
            file: file.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            value: upstream.to_owned(),
            message: format!(
                "{count} {tools} of `{upstream}` {are} classified by no entry of `tools`, and {count_as} as destructive"
            ),
            hint: format!("look at these before you paste them under `tools`:{}", lines.collect::<String>()),
        };
        cx.findings.push(Finding::warning("unclassified_tools", None, problem));
    }
}
