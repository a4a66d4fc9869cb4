//! A compiled policy set: immutable, the same whatever the order and spelling of its files.

use std::sync::Arc;

use super::asked::Moment;
use super::canonical::digest;
use super::decision::Effect;
use super::glob::Glob;
use super::index::{About, Index};
use super::names::Names;
use super::obligation::Approval;
use super::posting::{Bits, Mask};
use super::rule::{Capability, Rule};
use super::tri::Tri;
use super::when::Scene;
use super::who::Group;
use crate::vocab::{Class, Principal, Problem};

/// Everything an operator's policy files say. Made by [`super::compile`].
pub struct PolicySet {
    /// Sorted by id.
    pub(super) rules: Box<[Rule]>,
    /// Operator classes of tools. Sorted.
    pub(super) classes: Box<[(Glob, Class)]>,
    class_names: Names,
    pub(super) index: Index,
    /// Rules that speak about capabilities.
    capable: Box<[usize]>,
    digest: Arc<str>,
    pub(super) issuers: Box<[Box<str>]>,
    warnings: Box<[Problem]>,
    /// There if some rule is in shadow; none of those is among `rules`.
    pub(super) trial: Option<Box<Trial>>,
}

/// What is needed to tell what shadow rules would change.
pub(super) struct Trial {
    /// The shadow rules alone.
    pub(super) only: PolicySet,
    /// All rules, as if none were in shadow.
    pub(super) whole: PolicySet,
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
    about: Bits,
    /// As [`PolicySet::trial`], where there is one.
    trial: Option<Box<Tried>>,
}

#[derive(Clone, Debug)]
struct Tried {
    only: Bits,
    whole: Bits,
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
        let digest: Arc<str> = digest(&rules, groups, &classes).into();
        let issuers: Box<[Box<str>]> = issuers.iter().map(|issuer| issuer.as_str().into()).collect();
        let bare = |rules: Vec<Rule>| Self::of_rules(rules, digest.clone());
        let trial = rules.iter().any(|rule| rule.shadow).then(|| {
            let only = rules.iter().filter(|rule| rule.shadow).cloned().collect();
            Box::new(Trial { only: bare(only), whole: bare(rules.clone()) })
        });
        rules.retain(|rule| !rule.shadow);
        let class_names = Names::new(classes.iter().map(|(glob, _)| glob).zip(0_u32..), classes.len());
        Self { classes: classes.into(), class_names, issuers, warnings: warnings.into(), trial, ..bare(rules) }
    }

    /// A set of sorted rules that knows nothing else.
    fn of_rules(rules: Vec<Rule>, digest: Arc<str>) -> Self {
        let speaks = |rule: &Rule| rule.names_everything() || !rule.targets.capabilities.is_empty();
        let capable = rules.iter().enumerate().filter(|(_, rule)| speaks(rule)).map(|(at, _)| at).collect();
        let index = Index::new(&rules);
        let (classes, class_names, issuers, warnings) = Default::default();
        Self { rules: rules.into(), classes, class_names, index, capable, digest, issuers, warnings, trial: None }
    }

    /// `sha256:` and the hex digest of what the set means: neither bytes, order nor comments of the files count.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// What looks like a mistake but is none for certain.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Number of rules, those in shadow included.
    pub fn rule_count(&self) -> usize {
        self.trial.as_ref().map_or(self.rules.len(), |trial| trial.whole.rules.len())
    }

    /// The id of every rule, and whether it is in shadow, in the order of the ids.
    pub fn rule_ids(&self) -> Vec<(Arc<str>, bool)> {
        let rules = self.trial.as_ref().map_or(&self.rules, |trial| &trial.whole.rules);
        let live = |id: &Arc<str>| self.rules.binary_search_by(|known| known.id.cmp(id)).is_ok();
        rules.iter().map(|rule| (rule.id.clone(), !live(&rule.id))).collect()
    }

    /// The class of a tool: the highest that any entry of the operator gives it, destructive if none does. The upstream's own
    /// hints can raise it and never lower it.
    pub fn class_of(&self, full_name: &str, hints: Hints) -> Class {
        let by_operator = self.given_class(full_name).unwrap_or(Class::Destructive);
        let by_read_only = if hints.read_only == Some(false) { Class::Write } else { Class::Read };
        let by_destructive = if hints.destructive == Some(true) { Class::Destructive } else { Class::Read };
        by_operator.max(by_read_only).max(by_destructive)
    }

    /// Whether any entry of the operator classifies the tool.
    pub fn is_classified(&self, full_name: &str) -> bool {
        self.given_class(full_name).is_some()
    }

    /// The highest class that an entry gives the tool.
    fn given_class(&self, full_name: &str) -> Option<Class> {
        let mut highest = None;
        self.class_names.find(full_name, &mut |posting, is_sure| {
            posting.each(Mask::default(), &mut |at| {
                let entry =
                    self.classes.get(at).filter(|(glob, class)| highest < Some(*class) && (is_sure || glob.matches(full_name)));
                highest = entry.map(|(_, class)| *class).or(highest);
                true
            });
        });
        highest
    }

    /// The approval that the rule of this id demands, if it is in force and demands one.
    pub fn approval(&self, rule: &str) -> Option<&Arc<Approval>> {
        let at = self.rules.binary_search_by(|known| (*known.id).cmp(rule)).ok()?;
        self.rules.get(at)?.demands.approval.as_ref()
    }

    /// Whether `who` may call a tool of `upstream` that people have to approve, whatever it is called with.
    pub fn asks_people(&self, who: &Principal, upstream: &str, moment: Moment<'_>) -> bool {
        let (scene, prefix) = (Scene::new(who, moment, None, None), format!("{upstream}__"));
        self.rules.iter().any(|rule| {
            let asks = rule.effect == Effect::Allow && rule.demands.approval.is_some();
            let covers = asks && rule.targets.tools.iter().any(|glob| glob.may_start_with(&prefix));
            covers && rule.is_about(who) && rule.could_speak(&scene)
        })
    }

    /// What `upstream` may ask of the client of `who`.
    pub fn capabilities(&self, who: &Principal, upstream: &str, moment: Moment<'_>) -> Capabilities {
        let scene = Scene::new(who, moment, None, None);
        let may = |wanted: Capability| {
            let about = |rule: &&Rule| {
                let named = rule.targets.capabilities.iter().any(|(glob, c)| *c == wanted && glob.matches(upstream));
                // Like resources and prompts, a question of an upstream counts as reading.
                let covers = (named || rule.names_everything()) && rule.classes.has(Class::Read);
                covers && rule.accepts(None) == Tri::True && rule.is_about(who) && rule.could_speak(&scene)
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
        let trial = self.trial.as_ref().map(|trial| Tried { only: trial.only.about(who), whole: trial.whole.about(who) });
        Subject { digest: self.digest.clone(), about: self.about(who), trial: trial.map(Box::new) }
    }

    fn about(&self, who: &Principal) -> Bits {
        Bits::of(self.rules.len(), |at| self.rules.get(at).is_some_and(|rule| rule.is_about(who)))
    }
}

impl Subject {
    /// Whether `set` is the set that made this.
    pub fn is_of(&self, set: &PolicySet) -> bool {
        self.digest == set.digest
    }

    pub(super) fn about(&self) -> About<'_> {
        About::Known(&self.about)
    }

    /// Of the shadow rules alone, and of all rules as if none were in shadow.
    pub(super) fn about_trial(&self) -> Option<(About<'_>, About<'_>)> {
        self.trial.as_ref().map(|trial| (About::Known(&trial.only), About::Known(&trial.whole)))
    }
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicySet").field("digest", &self.digest).field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}
