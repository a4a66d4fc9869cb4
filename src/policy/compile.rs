//! From texts to a policy set: everything or nothing, and every mistake at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::bounds::RULES_MAX;
use super::obligation::Limit;
use super::origin::{ClassOrigin, Origin, Origins};
use super::read::{RawFile, read_file, tidy};
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
            rules.push(finish(report, raw, &groups));
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

fn gather_groups(read: &mut [(Report<'_>, RawFile)], origins: &mut Origins) -> HashMap<Box<str>, Arc<Group>> {
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
fn finish(report: &mut Report<'_>, raw: RawRule, groups: &HashMap<Box<str>, Arc<Group>>) -> Rule {
    let mut who = Vec::with_capacity(raw.who.len());
    for entry in raw.who {
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
    let RawRule { id, effect, targets, classes, arguments, scopes, .. } = raw;
    let numbered = (0_u16..).zip(raw.limits);
    let limits = numbered.map(|(index, (quota, by))| Arc::new(Limit { rule: id.clone(), index, quota, by })).collect();
    Rule { id, effect, who: tidy(who), targets, classes, arguments, scopes, limits }
}

/// What a rule says twice over: arguments close it to the resources it names beside other things.
fn warn(report: &mut Report<'_>, rule: &RawRule) {
    let targets = &rule.targets;
    let others = !targets.tools.is_empty() || !targets.prompts.is_empty();
    if !rule.arguments.is_empty() && !targets.resources.is_empty() && others {
        let hint = "give the resources a rule of their own";
        report.warn(rule.place, &rule.path, "", "a resource has no arguments, so this rule never matches one", hint);
    }
}
