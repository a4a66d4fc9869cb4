//! From texts to a policy set: everything or nothing, and every mistake at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::bounds::RULES_MAX;
use super::glob::Glob;
use super::matcher::Criterion;
use super::obligation::{Approval, Approver, Demands, Limit};
use super::read::{RawFile, read_file, tidy};
use super::read_require::{RawApproval, RawRequire};
use super::read_rule::{RawRule, RawWho};
use super::report::{Report, nearest};
use super::rule::Rule;
use super::set::PolicySet;
use super::who::{Group, Who};
use crate::vocab::Problem;

/// What the config says that policies depend on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Names of the upstreams.
    pub upstreams: &'a [String],
    /// Issuers of tokens. With more than one, groups and subjects must say whose they are.
    pub issuers: &'a [String],
}

/// Compiles policy files, given as (name, text), into one set. Their order does not matter.
///
/// # Errors
/// Every mistake in every file. A set with a mistake never exists.
pub fn compile(files: &[(String, String)], facts: &Facts<'_>) -> Result<PolicySet, Vec<Problem>> {
    let mut read: Vec<(Report<'_>, RawFile)> = Vec::with_capacity(files.len());
    for (name, text) in files {
        let mut report = Report::new(name, text);
        let file = read_file(&mut report, text, facts);
        read.push((report, file));
    }
    let groups = gather_groups(&mut read);
    let mut ids: HashSet<Arc<str>> = HashSet::new();
    let mut rules = Vec::new();
    let mut classes = Vec::new();
    let mut warnings = Vec::new();
    for (report, file) in &mut read {
        for raw in file.rules.drain(..) {
            if !ids.insert(raw.id.clone()) {
                let path = format!("{}.id", raw.path);
                report.at(raw.place, &path, &raw.id, "another rule has this id", "ids are unique, all files together");
            }
            if ids.len() > RULES_MAX {
                report.at(raw.place, &raw.path, "", format!("more than {RULES_MAX} rules"), "");
                break;
            }
            warn(report, &raw, facts);
            rules.push(finish(report, raw, &groups, file.shadow));
        }
        classes.append(&mut file.classes);
        warnings.append(&mut report.take_warnings());
    }
    let problems: Vec<Problem> = read.into_iter().flat_map(|(report, _)| report.into_problems()).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let groups: Vec<Arc<Group>> = groups.into_values().collect();
    Ok(PolicySet::new(rules, &groups, classes, facts.issuers, warnings))
}

type Groups = HashMap<Box<str>, Arc<Group>>;

fn gather_groups(read: &mut [(Report<'_>, RawFile)]) -> Groups {
    let mut groups = HashMap::new();
    for (report, file) in read {
        for (group, place, path) in file.groups.drain(..) {
            let name = group.name.clone();
            if groups.insert(name.clone(), Arc::new(group)).is_some() {
                report.at(place, &path, &name, "another group has this name", "names are unique, all files together");
            }
        }
    }
    groups
}

/// Looks up the groups of a rule and numbers its limits.
fn finish(report: &mut Report<'_>, raw: RawRule, groups: &Groups, file_shadow: bool) -> Rule {
    let RawRule { id, effect, who, targets, classes, arguments, schedule, when, require, shadow, .. } = raw;
    let who = tidy(look_up(report, who, groups));
    let RawRequire { scopes, limits, approval, redact, deadline, audit } = require;
    let limits = (0_u16..).zip(limits);
    let limits = limits.map(|(index, (quota, by))| Arc::new(Limit { rule: id.clone(), index, quota, by })).collect();
    let approval = approval.map(|approval| {
        let RawApproval { caller, from, quorum, requester, expires } = approval;
        let from = look_up(report, from, groups).into_iter().map(Approver::Who);
        let from = tidy(caller.then_some(Approver::Caller).into_iter().chain(from).collect()).into();
        Arc::new(Approval { rule: id.clone(), from, quorum, requester, expires })
    });
    let demands = Demands { approval, redact, deadline, audit };
    let shadow = shadow.unwrap_or(file_shadow);
    Rule { id, effect, who, targets, classes, arguments, schedule, when, scopes, limits, demands, shadow }
}

fn look_up(report: &mut Report<'_>, entries: Vec<RawWho>, groups: &Groups) -> Vec<Who> {
    let mut who = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry {
            RawWho::Ready(ready) => who.push(ready),
            RawWho::Group { name, place, path } => match groups.get(name.as_str()) {
                Some(group) => who.push(Who::Group(group.clone())),
                None => {
                    let known: Vec<&str> = groups.keys().map(|name| &**name).collect();
                    let hint = nearest(&name, &known).map_or_else(
                        || "define it under `groups`: rules name no groups of tokens".to_owned(),
                        |near| format!("did you mean `group:{near}`?"),
                    );
                    report.at(place, &path, &name, "no such group", hint);
                }
            },
        }
    }
    who
}

/// A rule may speak of upstreams that come later, but more often the name is a slip; and arguments close a rule to resources.
fn warn(report: &mut Report<'_>, rule: &RawRule, facts: &Facts<'_>) {
    let known: Vec<&str> = facts.upstreams.iter().map(String::as_str).collect();
    let targets = &rule.targets;
    let named = targets.tools.iter().chain(&targets.resources).chain(&targets.prompts);
    let strangers: BTreeSet<&str> = named.filter_map(upstream).filter(|name| !known.contains(name)).collect();
    for name in strangers {
        let hint = nearest(name, &known).map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        report.warn(rule.place, &rule.path, name, "no upstream of this name is configured", hint);
    }
    if rule.require.approval.is_some() {
        let hint = "nobody can approve on this gateway, so every call that this rule matches is refused";
        report.warn(rule.place, &format!("{}.require.approval", rule.path), "", "nobody can approve yet", hint);
    }
    if !rule.arguments.iter().all(Criterion::is_absent) && !targets.resources.is_empty() {
        let hint = "give the resources a rule of their own";
        report.warn(rule.place, &rule.path, "", "a resource has no arguments, so this rule never matches one", hint);
    }
}

fn upstream(glob: &Glob) -> Option<&str> {
    glob.literal_prefix().split_once("__").map(|(upstream, _)| upstream)
}
