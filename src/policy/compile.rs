//! From texts to a policy set: everything or nothing, and every mistake at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::bounds::RULES_MAX;
use super::matcher::Criterion;
use super::obligation::{Approval, Approver, Demands, Limit};
use super::origin::{ClassOrigin, Origin, Origins};
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
    compile_with_origins(files, facts).map(|(set, _)| set)
}

/// As [`compile`], with where everything came from.
pub(super) fn compile_with_origins(files: &[(String, String)], facts: &Facts<'_>) -> Result<(PolicySet, Origins), Vec<Problem>> {
    let mut read: Vec<(Report<'_>, RawFile)> = Vec::with_capacity(files.len());
    for (name, text) in files {
        let mut report = Report::new(name, text);
        let file = read_file(&mut report, text, facts);
        read.push((report, file));
    }
    let mut origins = Origins::default();
    let groups = gather_groups(&mut read, &mut origins);
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
            let origin = Origin { file: report.file().into(), place: raw.place, path: raw.path.as_str().into() };
            origins.rules.insert(raw.id.clone(), origin);
            warn(report, &raw);
            rules.push(finish(report, raw, &groups, file.shadow));
        }
        for entry in file.classes.drain(..) {
            classes.extend(entry.globs.iter().map(|glob| (glob.clone(), entry.class)));
            let origin = Origin { file: report.file().into(), place: entry.place, path: entry.path.into() };
            origins.classes.push(ClassOrigin { globs: entry.globs, class: entry.class, origin });
        }
        warnings.append(&mut report.take_warnings());
    }
    let problems: Vec<Problem> = read.into_iter().flat_map(|(report, _)| report.into_problems()).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let groups: Vec<Arc<Group>> = groups.into_values().collect();
    Ok((PolicySet::new(rules, &groups, classes, facts.issuers, warnings), origins))
}

type Groups = HashMap<Box<str>, Arc<Group>>;

fn gather_groups(read: &mut [(Report<'_>, RawFile)], origins: &mut Origins) -> Groups {
    let mut groups = HashMap::new();
    for (report, file) in read {
        for (group, place, path) in file.groups.drain(..) {
            let name = group.name.clone();
            origins.groups.push((name.clone(), Origin { file: report.file().into(), place, path: path.as_str().into() }));
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

/// What a rule says twice over: arguments close it to the resources it names beside other things.
fn warn(report: &mut Report<'_>, rule: &RawRule) {
    let targets = &rule.targets;
    let others = !targets.tools.is_empty() || !targets.prompts.is_empty();
    if !rule.arguments.iter().all(Criterion::is_absent) && !targets.resources.is_empty() && others {
        let hint = "give the resources a rule of their own";
        report.warn(rule.place, &rule.path, "", "a resource has no arguments, so this rule never matches one", hint);
    }
}
