//! Cases, run against a policy set.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::{Asked, Coverage, Decision, Hints, Kind, Moment, PolicySet, decide, visible};
use super::read::{Ask, Case, Expect, Listed, Operation, read_cases};
use crate::vocab::{Principal, Problem};

/// What exists, where that is known. Without any (the default) every name asked for exists, and the names to list are those of
/// the cases and those the policy spells out.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatalogFacts<'a> {
    /// Full names of tools, with the hints of their upstreams.
    pub tools: Option<&'a [(&'a str, Hints)]>,
    /// Resources as `upstream__URI`.
    pub resources: Option<&'a [&'a str]>,
    /// Full names of prompts.
    pub prompts: Option<&'a [&'a str]>,
}

/// How one case went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseOutcome {
    /// Its name.
    pub name: String,
    /// Its line in the file, from 1.
    pub line: u64,
    /// What was promised and what came instead; `None` for a promise that holds.
    pub failure: Option<Broken>,
}

/// A promise that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// What the case says.
    pub expected: String,
    /// What the policy says.
    pub got: String,
}

/// Runs the cases of `text`, which stands in `file`. `now_unix_ms` is when those happen that do not say when, in milliseconds since
/// the Unix epoch.
///
/// # Errors
/// Every mistake in the file, unknown keys among them.
pub fn run(
    set: &PolicySet,
    file: &str,
    text: &str,
    catalog: &CatalogFacts<'_>,
    now_unix_ms: i64,
) -> Result<Vec<CaseOutcome>, Vec<Problem>> {
    run_covered(set, file, text, catalog, now_unix_ms, &mut Coverage::default())
}

/// As [`run`], and notes what the cases exercise.
///
/// # Errors
/// As [`run`].
pub fn run_covered(
    set: &PolicySet,
    file: &str,
    text: &str,
    catalog: &CatalogFacts<'_>,
    now_unix_ms: i64,
    coverage: &mut Coverage,
) -> Result<Vec<CaseOutcome>, Vec<Problem>> {
    let cases = read_cases(file, text, set)?;
    let names = Names::of(set, &cases, catalog);
    let mut outcome = |case: &Case| {
        let moment = Moment { now_unix_ms: case.at_unix_ms.unwrap_or(now_unix_ms), route: &case.route };
        let failure = match &case.ask {
            Ask::Operation { operation, expect } => {
                let asked = asked(set, operation, catalog, moment);
                coverage.record(set, &case.who, &asked);
                differs(expect, &decide(set, &case.who, &asked))
            }
            Ask::List { what, visible } => names.differ(set, &case.who, *what, visible, catalog, moment),
        };
        CaseOutcome { name: case.name.clone(), line: case.place.line, failure }
    };
    Ok(cases.iter().map(&mut outcome).collect())
}

fn asked<'c>(set: &PolicySet, operation: &'c Operation, catalog: &CatalogFacts<'_>, moment: Moment<'c>) -> Asked<'c> {
    let (kind, known) = match operation {
        Operation::Call { name, args } => {
            let listed = catalog.tools.map(|tools| tools.iter().find(|(tool, _)| tool == name));
            let class = set.class_of(name, hints(name, catalog));
            (Kind::Tool { name, class, arguments: args.as_ref() }, listed.is_none_or(|found| found.is_some()))
        }
        Operation::Read { uri } => (Kind::Resource { uri }, catalog.resources.is_none_or(|all| all.contains(&uri.as_str()))),
        Operation::Get { name, args } => {
            let known = catalog.prompts.is_none_or(|all| all.contains(&name.as_str()));
            (Kind::Prompt { name, arguments: args.as_ref() }, known)
        }
    };
    let Moment { now_unix_ms, route } = moment;
    Asked { kind, known, now_unix_ms, route }
}

fn hints(name: &str, catalog: &CatalogFacts<'_>) -> Hints {
    let tools = catalog.tools.unwrap_or_default();
    tools.iter().find(|(tool, _)| *tool == name).map_or_else(Hints::default, |(_, hints)| *hints)
}

fn differs(expect: &Expect, got: &Decision) -> Option<Broken> {
    let sorted = |items: &[String]| items.iter().cloned().collect::<BTreeSet<_>>();
    let rules: BTreeSet<String> = got.rules().iter().map(|id| id.to_string()).collect();
    let obligations: BTreeSet<String> = got.obligations().into_iter().map(str::to_owned).collect();
    let holds = expect.effect == got.effect()
        && expect.reason.is_none_or(|reason| reason == got.reason())
        && expect.rules.as_deref().is_none_or(|want| sorted(want) == rules)
        && expect.obligations.as_deref().is_none_or(|want| sorted(want) == obligations);
    if holds {
        return None;
    }
    let mut want = expect.effect.as_str().to_owned();
    if let Some(reason) = expect.reason {
        want = format!("{want}, {}", reason.as_str());
    }
    if let Some(rules) = &expect.rules {
        want = format!("{want}, rules {rules:?}");
    }
    if let Some(obligations) = &expect.obligations {
        want = format!("{want}, obligations {obligations:?}");
    }
    let (effect, reason) = (got.effect().as_str(), got.reason().as_str());
    Some(Broken { expected: want, got: format!("{effect}, {reason}, rules {rules:?}, obligations {obligations:?}") })
}

/// Every name a list could show.
struct Names {
    tools: BTreeSet<String>,
    resources: BTreeSet<String>,
    prompts: BTreeSet<String>,
}

impl Names {
    fn of(set: &PolicySet, cases: &[Case], catalog: &CatalogFacts<'_>) -> Self {
        let mut names = Self { tools: BTreeSet::new(), resources: BTreeSet::new(), prompts: BTreeSet::new() };
        for case in cases {
            match &case.ask {
                Ask::Operation { operation: Operation::Call { name, .. }, .. } => names.tools.insert(name.clone()),
                Ask::Operation { operation: Operation::Read { uri }, .. } => names.resources.insert(uri.clone()),
                Ask::Operation { operation: Operation::Get { name, .. }, .. } => names.prompts.insert(name.clone()),
                Ask::List { what, visible } => {
                    names.all_mut(*what).extend(visible.iter().cloned());
                    continue;
                }
            };
        }
        let literal = |globs: &[super::super::glob::Glob]| -> Vec<String> {
            globs.iter().filter_map(|glob| glob.literal().map(str::to_owned)).collect()
        };
        for rule in &set.rules {
            names.tools.extend(literal(&rule.targets.tools));
            names.resources.extend(literal(&rule.targets.resources));
            names.prompts.extend(literal(&rule.targets.prompts));
        }
        names.tools.extend(set.classes.iter().filter_map(|(glob, _)| glob.literal().map(str::to_owned)));
        if let Some(tools) = catalog.tools {
            names.tools = tools.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        if let Some(resources) = catalog.resources {
            names.resources = resources.iter().map(|uri| (*uri).to_owned()).collect();
        }
        if let Some(prompts) = catalog.prompts {
            names.prompts = prompts.iter().map(|name| (*name).to_owned()).collect();
        }
        names
    }

    fn all_mut(&mut self, what: Listed) -> &mut BTreeSet<String> {
        match what {
            Listed::Tools => &mut self.tools,
            Listed::Resources => &mut self.resources,
            Listed::Prompts => &mut self.prompts,
        }
    }

    fn differ(
        &self,
        set: &PolicySet,
        who: &Principal,
        what: Listed,
        want: &[String],
        catalog: &CatalogFacts<'_>,
        moment: Moment<'_>,
    ) -> Option<Broken> {
        let shown = |name: &&String| {
            let kind = match what {
                Listed::Tools => Kind::Tool { name, class: set.class_of(name, hints(name, catalog)), arguments: None },
                Listed::Resources => Kind::Resource { uri: name },
                Listed::Prompts => Kind::Prompt { name, arguments: None },
            };
            visible(set, who, &kind, moment)
        };
        let all = match what {
            Listed::Tools => &self.tools,
            Listed::Resources => &self.resources,
            Listed::Prompts => &self.prompts,
        };
        let got: BTreeSet<&String> = all.iter().filter(shown).collect();
        let want: BTreeSet<&String> = want.iter().collect();
        (got != want).then(|| Broken { expected: format!("to see {want:?}"), got: format!("{got:?}") })
    }
}
