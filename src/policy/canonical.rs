//! What a policy set means, as one text, and the digest of it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::address::Block;
use super::glob::Glob;
use super::literal::Literal;
use super::matcher::{Criterion, Matcher};
use super::obligation::{Approval, Approver, Demands};
use super::path::Directory;
use super::pattern::Pattern;
use super::rule::Rule;
use super::who::{Group, Who};
use crate::vocab::Class;

/// `sha256:` and the hex digest of what a set means. Rules and classes are sorted.
pub(super) fn digest(rules: &[Rule], groups: &[Arc<Group>], classes: &[(Glob, Class)]) -> String {
    let text = canonical(rules, groups, classes);
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut out = String::from("sha256:");
    for byte in hash.as_ref() {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// The set as one text. Every variable part is printed with its quotes and escapes, so no two sets print alike.
fn canonical(rules: &[Rule], groups: &[Arc<Group>], classes: &[(Glob, Class)]) -> String {
    let mut out = String::from("portcullis policy 1\n");
    let mut groups: Vec<&Arc<Group>> = groups.iter().collect();
    groups.sort();
    for group in groups {
        let Group { name, issuers, claim, clients } = &**group;
        let _ = writeln!(out, "group {name:?} {issuers:?} {claim:?} {:?}", globs(clients));
    }
    for (glob, class) in classes {
        let _ = writeln!(out, "class {:?} {}", glob.canonical(), class.as_str());
    }
    for rule in rules {
        let Rule { id, effect, who, targets, classes, arguments, schedule, when, scopes, limits, demands, shadow } = rule;
        let _ = writeln!(out, "rule {id:?} {}", effect.as_str());
        if *shadow {
            let _ = writeln!(out, " shadow");
        }
        who.iter().for_each(|entry| who_text(&mut out, entry));
        let _ = writeln!(out, " tools {:?}", globs(&targets.tools));
        let _ = writeln!(out, " resources {:?}", globs(&targets.resources));
        let _ = writeln!(out, " prompts {:?}", globs(&targets.prompts));
        for (glob, capability) in &targets.capabilities {
            let _ = writeln!(out, " capability {:?} {capability:?}", glob.canonical());
        }
        let _ = writeln!(out, " classes {classes:?}");
        arguments.iter().for_each(|criterion| criterion_text(&mut out, criterion));
        if !schedule.is_always() {
            let _ = writeln!(out, " schedule {:?}", schedule.canonical());
        }
        if let Some(when) = when {
            let _ = writeln!(out, " when {:?}", when.canonical());
        }
        let _ = writeln!(out, " scopes {scopes:?}");
        for limit in limits {
            let _ = writeln!(out, " limit {} {:?} {:?}", limit.index, limit.quota, limit.by);
        }
        demands_text(&mut out, demands, &who_text);
    }
    out
}

/// An entry of `principals`, and the end of its line.
pub(super) fn who_text(out: &mut String, entry: &Who) {
    let _ = match entry {
        Who::Any => writeln!(out, " any"),
        Who::Group(group) => writeln!(out, " group {:?}", group.name),
        Who::Sub { issuer, glob } => writeln!(out, " sub {issuer:?} {:?}", glob.canonical()),
        Who::Client(glob) => writeln!(out, " client {:?}", glob.canonical()),
        Who::Scope(scope) => writeln!(out, " scope {scope:?}"),
    };
}

/// What a rule demands, a line for each. `spell` spells an approver and ends the line.
pub(super) fn demands_text(out: &mut String, demands: &Demands, spell: &dyn Fn(&mut String, &Who)) {
    let Demands { approval, redact, deadline, audit } = demands;
    if let Some(approval) = approval {
        let Approval { rule: _, from, quorum, requester, expires } = &**approval;
        let _ = writeln!(out, " approval {quorum} {requester} {expires:?}");
        for entry in from.iter() {
            match entry {
                Approver::Caller => out.push_str("  caller\n"),
                Approver::Who(who) => {
                    out.push_str("  from");
                    spell(out, who);
                }
            }
        }
    }
    if *redact {
        out.push_str(" redact secrets\n");
    }
    if let Some(deadline) = deadline {
        let _ = writeln!(out, " deadline {deadline:?}");
    }
    if !audit.is_empty() {
        let _ = writeln!(out, " audit {audit:?}");
    }
}

/// A criterion in its one canonical spelling, a line for the pointer and one for each matcher.
pub(super) fn criterion_text(out: &mut String, criterion: &Criterion) {
    let _ = writeln!(out, " argument {:?}", criterion.pointer.canonical());
    for matcher in &criterion.matchers {
        let _ = match matcher {
            Matcher::OneOf(values) => {
                writeln!(out, "  one_of {:?}", values.iter().map(Literal::to_json).collect::<Vec<_>>())
            }
            Matcher::Glob(patterns) => writeln!(out, "  glob {:?}", globs(patterns)),
            Matcher::PathUnder(directories) => {
                writeln!(out, "  path_under {:?}", directories.iter().map(Directory::as_str).collect::<Vec<_>>())
            }
            Matcher::Matches(patterns) => {
                writeln!(out, "  matches {:?}", patterns.iter().map(Pattern::as_str).collect::<Vec<_>>())
            }
            Matcher::Url(test) => writeln!(out, "  url {}", test.canonical()),
            Matcher::Cidr(blocks) => writeln!(out, "  cidr {:?}", blocks.iter().map(Block::canonical).collect::<Vec<_>>()),
            Matcher::Min(bound) => writeln!(out, "  min {bound}"),
            Matcher::Max(bound) => writeln!(out, "  max {bound}"),
            Matcher::MaxLength(most) => writeln!(out, "  max_length {most}"),
            Matcher::Type(shapes) => writeln!(out, "  type {:?}", shapes.canonical()),
            Matcher::Present => writeln!(out, "  present"),
            Matcher::Absent => writeln!(out, "  absent"),
        };
    }
}

fn globs(globs: &[Glob]) -> Vec<String> {
    globs.iter().map(Glob::canonical).collect()
}
