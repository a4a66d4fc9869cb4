//! A compiled policy set: immutable, the same whatever the order and spelling of its files.

use std::fmt::Write as _;
use std::sync::Arc;

use super::decision::Effect;
use super::glob::Glob;
use super::index::Index;
use super::matcher::{Criterion, Matcher};
use super::rule::{Capability, Rule};
use super::who::{Group, Who};
use crate::vocab::{Class, Principal, Problem};

/// Everything an operator's policy files say. Made by [`super::compile`].
pub struct PolicySet {
    /// Sorted by id.
    pub(super) rules: Box<[Rule]>,
    /// Operator classes of tools. Sorted.
    pub(super) classes: Box<[(Glob, Class)]>,
    pub(super) index: Index,
    /// Rules that speak about capabilities.
    capable: Box<[usize]>,
    digest: Arc<str>,
    pub(super) issuers: Box<[Box<str>]>,
    warnings: Box<[Problem]>,
}

/// What an upstream says about its own tool. Absent differs from false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `readOnlyHint`.
    pub read_only: Option<bool>,
    /// `destructiveHint`.
    pub destructive: Option<bool>,
}

/// What an upstream may ask of a principal's client. Nothing, unless rules say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// Elicitation with a form.
    pub elicitation_form: bool,
    /// Elicitation with a URL.
    pub elicitation_url: bool,
    /// Sampling.
    pub sampling: bool,
    /// Roots.
    pub roots: bool,
}

/// Which rules are about a principal, worked out once. Of use with the set that made it only.
#[derive(Clone, Debug)]
pub struct Subject {
    digest: Arc<str>,
    about: Box<[u64]>,
}

impl PolicySet {
    pub(super) fn new(
        mut rules: Vec<Rule>,
        groups: &[Arc<Group>],
        mut classes: Vec<(Glob, Class)>,
        issuers: &[String],
        warnings: Vec<Problem>,
    ) -> Self {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        classes.sort();
        classes.dedup();
        let digest = digest(&canonical(&rules, groups, &classes)).into();
        let speaks = |rule: &Rule| rule.names_everything() || !rule.targets.capabilities.is_empty();
        let capable = rules.iter().enumerate().filter(|(_, rule)| speaks(rule)).map(|(at, _)| at).collect();
        let index = Index::new(&rules);
        let issuers = issuers.iter().map(|issuer| issuer.as_str().into()).collect();
        Self { rules: rules.into(), classes: classes.into(), index, capable, digest, issuers, warnings: warnings.into() }
    }

    /// `sha256:` and the hex digest of what the set means: neither bytes, order nor comments of the files count.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// What looks like a mistake but is none for certain.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Number of rules.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// The class of a tool: the highest that any entry of the operator gives it, destructive if none does. The upstream's own
    /// hints can raise it and never lower it.
    pub fn class_of(&self, full_name: &str, hints: Hints) -> Class {
        let given = self.classes.iter().filter(|(glob, _)| glob.matches(full_name)).map(|(_, class)| *class).max();
        let by_operator = given.unwrap_or(Class::Destructive);
        let by_read_only = if hints.read_only == Some(false) { Class::Write } else { Class::Read };
        let by_destructive = if hints.destructive == Some(true) { Class::Destructive } else { Class::Read };
        by_operator.max(by_read_only).max(by_destructive)
    }

    /// Whether any entry of the operator classifies the tool.
    pub fn is_classified(&self, full_name: &str) -> bool {
        self.classes.iter().any(|(glob, _)| glob.matches(full_name))
    }

    /// What `upstream` may ask of the client of `who`.
    pub fn capabilities(&self, who: &Principal, upstream: &str) -> Capabilities {
        let may = |wanted: Capability| {
            let about = |rule: &&Rule| {
                let named = rule.targets.capabilities.iter().any(|(glob, c)| *c == wanted && glob.matches(upstream));
                // Like resources and prompts, a question of an upstream counts as reading.
                let covers = (named || rule.names_everything()) && rule.classes.has(Class::Read);
                covers && rule.arguments.is_empty() && rule.is_about(who)
            };
            let mut rules = self.capable.iter().filter_map(|at| self.rules.get(*at)).filter(about).peekable();
            rules.peek().is_some() && rules.all(|rule| rule.effect == Effect::Allow)
        };
        Capabilities {
            elicitation_form: may(Capability::ElicitationForm),
            elicitation_url: may(Capability::ElicitationUrl),
            sampling: may(Capability::Sampling),
            roots: may(Capability::Roots),
        }
    }

    /// Which rules are about `who`, to be kept with the credential and used with [`super::decide_for`].
    pub fn subject(&self, who: &Principal) -> Subject {
        let mut about = vec![0_u64; self.rules.len().div_ceil(64)];
        for (word, rules) in about.iter_mut().zip(self.rules.chunks(64)) {
            for (bit, rule) in rules.iter().enumerate() {
                *word |= u64::from(rule.is_about(who)) << bit;
            }
        }
        Subject { digest: self.digest.clone(), about: about.into() }
    }
}

impl Subject {
    /// Whether `set` is the set that made this.
    pub fn is_of(&self, set: &PolicySet) -> bool {
        self.digest == set.digest
    }

    pub(super) fn has(&self, rule: usize) -> bool {
        self.about.get(rule / 64).is_some_and(|word| word >> (rule % 64) & 1 == 1)
    }
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicySet").field("digest", &self.digest).field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

fn digest(canonical: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canonical.as_bytes());
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
        let Rule { id, effect, who, targets, classes, arguments, scopes, limits } = rule;
        let _ = writeln!(out, "rule {id:?} {}", effect.as_str());
        for entry in who {
            let _ = match entry {
                Who::Any => writeln!(out, " any"),
                Who::Group(group) => writeln!(out, " group {:?}", group.name),
                Who::Sub { issuer, glob } => writeln!(out, " sub {issuer:?} {:?}", glob.canonical()),
                Who::Client(glob) => writeln!(out, " client {:?}", glob.canonical()),
                Who::Scope(scope) => writeln!(out, " scope {scope:?}"),
            };
        }
        let _ = writeln!(out, " tools {:?}", globs(&targets.tools));
        let _ = writeln!(out, " resources {:?}", globs(&targets.resources));
        let _ = writeln!(out, " prompts {:?}", globs(&targets.prompts));
        for (glob, capability) in &targets.capabilities {
            let _ = writeln!(out, " capability {:?} {capability:?}", glob.canonical());
        }
        let _ = writeln!(out, " classes {classes:?}");
        arguments.iter().for_each(|criterion| criterion_text(&mut out, criterion));
        let _ = writeln!(out, " scopes {scopes:?}");
        for limit in limits {
            let _ = writeln!(out, " limit {} {:?} {:?}", limit.index, limit.quota, limit.by);
        }
    }
    out
}

/// A criterion in its one canonical spelling, a line for the pointer and one for each matcher.
pub(super) fn criterion_text(out: &mut String, criterion: &Criterion) {
    let _ = writeln!(out, " argument {:?}", criterion.pointer.canonical());
    for matcher in &criterion.matchers {
        let _ = match matcher {
            Matcher::OneOf(values) => {
                writeln!(out, "  one_of {:?}", values.iter().map(super::literal::Literal::to_json).collect::<Vec<_>>())
            }
            Matcher::Glob(patterns) => writeln!(out, "  glob {:?}", globs(patterns)),
            Matcher::PathUnder(directories) => {
                writeln!(out, "  path_under {:?}", directories.iter().map(super::path::Directory::as_str).collect::<Vec<_>>())
            }
        };
    }
}

fn globs(globs: &[Glob]) -> Vec<String> {
    globs.iter().map(Glob::canonical).collect()
}
