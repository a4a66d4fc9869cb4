//! What is legal in a policy but most likely not meant. For `check` only: nothing decides by this.
//!
//! A finding is made where it can be proved from the patterns side by side; where that would need more, there is none. So what is
//! said is true, and what is not said may still be wrong.

mod approvals;
mod arguments;
mod classes;
mod conditions;
mod cover;
mod dead;
mod entry;
mod finding;
mod limits;
mod names;
mod open;
mod pattern;
mod propose;
mod shadow;
mod tools;

pub use finding::{Finding, Severity};
pub use propose::propose;
pub use tools::{KnownTool, Tools};

use std::collections::HashMap;

use self::entry::Entry;
use self::pattern::Pattern;
use super::compile::{Facts, compile_with_origins};
use super::origin::{Origin, Origins};
use super::set::PolicySet;
use crate::vocab::{Class, Principal, Problem};

/// What is known beside the policy. The more is known, the more can be found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The tools that exist, and the file that says so.
    pub tools: Option<(&'a str, &'a Tools)>,
    /// Whether callers without a credential are let in.
    pub anonymous: bool,
    /// A principal for each configured API key.
    pub keys: &'a [Principal],
}

/// Compiles policy files as [`super::compile`] does, and looks for what was most likely not meant.
///
/// # Errors
/// Every mistake in every file.
pub fn check(
    files: &[(String, String)],
    facts: &Facts<'_>,
    known: &Known<'_>,
) -> Result<(PolicySet, Vec<Finding>), Vec<Problem>> {
    let (set, origins) = compile_with_origins(files, facts)?;
    let mut findings = analyze(&set, &origins, facts, known);
    findings.extend(set.warnings().iter().cloned().map(|problem| Finding::warning("slip", None, problem)));
    finding::tidy(&mut findings);
    Ok((set, findings))
}

fn analyze(set: &PolicySet, origins: &Origins, facts: &Facts<'_>, known: &Known<'_>) -> Vec<Finding> {
    // Rules in shadow are wrong in the same ways.
    let rules = set.trial.as_ref().map_or(&set.rules, |trial| &trial.whole.rules);
    let rules = rules.iter().filter_map(|rule| Some(Entry::new(rule, origins.rules.get(&rule.id)?)));
    let classes = origins.classes.iter().flat_map(|entry| {
        entry.globs.iter().map(move |glob| Classified { pattern: Pattern::of(glob), class: entry.class, origin: &entry.origin })
    });
    let (mut rules, classes): (Vec<Entry<'_>>, Vec<Classified<'_>>) = (rules.collect(), classes.collect());
    // In the order of the files, so that of two rules the later one is the one too many.
    rules.sort_by_key(|entry| (entry.origin.file.clone(), entry.origin.place));
    let tools = known.tools.map(|(_, tools)| by_upstream(tools)).unwrap_or_default();
    let mut cx = Cx { set, origins, facts, known, rules: &rules, classes: &classes, tools, findings: Vec::new() };
    let dead = dead::find(&mut cx);
    names::find(&mut cx);
    shadow::find(&mut cx, &dead);
    open::find(&mut cx);
    limits::find(&mut cx);
    approvals::find(&mut cx);
    conditions::find(&mut cx);
    classes::find(&mut cx);
    cx.findings
}

/// What the finders see, and where their findings go.
struct Cx<'a> {
    set: &'a PolicySet,
    origins: &'a Origins,
    facts: &'a Facts<'a>,
    known: &'a Known<'a>,
    /// In the order of the files.
    rules: &'a [Entry<'a>],
    classes: &'a [Classified<'a>],
    /// The known tools of each upstream.
    tools: HashMap<&'a str, Vec<&'a KnownTool>>,
    findings: Vec<Finding>,
}

/// One pattern of an entry of `tools`.
struct Classified<'a> {
    pattern: Pattern,
    class: Class,
    origin: &'a Origin,
}

impl Cx<'_> {
    /// Adds a warning about a rule.
    fn warn(&mut self, kind: &'static str, entry: &Entry<'_>, value: &str, message: String, hint: impl Into<String>) {
        let problem = finding::problem(entry.origin, value, message, hint.into());
        self.findings.push(Finding::warning(kind, Some(entry.rule.id.to_string()), problem));
    }

    /// Adds a warning about something that is no rule.
    fn warn_at(&mut self, kind: &'static str, origin: &Origin, value: &str, message: String, hint: impl Into<String>) {
        self.findings.push(Finding::warning(kind, None, finding::problem(origin, value, message, hint.into())));
    }
}

fn by_upstream(tools: &Tools) -> HashMap<&str, Vec<&KnownTool>> {
    let mut map: HashMap<&str, Vec<&KnownTool>> = HashMap::new();
    for tool in tools.iter() {
        map.entry(super::asked::upstream_of(&tool.name)).or_default().push(tool);
    }
    map
}

#[cfg(test)]
mod tests;
