//! A rule, made ready for comparing.

use super::pattern::Pattern;
use crate::policy::asked::Family;
use crate::policy::decision::Effect;
use crate::policy::glob::Glob;
use crate::policy::obligation::Demands;
use crate::policy::origin::Origin;
use crate::policy::rule::{Capability, Rule};
use crate::vocab::Class;

/// A rule and where it stands.
pub(super) struct Entry<'a> {
    pub(super) rule: &'a Rule,
    pub(super) origin: &'a Origin,
    pub(super) tools: Vec<Pattern>,
    pub(super) resources: Vec<Pattern>,
    pub(super) prompts: Vec<Pattern>,
    pub(super) capabilities: Vec<(Pattern, Capability)>,
    /// It has conditions beside `arguments`, about which nothing is claimed.
    pub(super) has_other_conditions: bool,
    /// It decides nothing.
    pub(super) is_shadow: bool,
    /// What it demands of the calls it allows.
    pub(super) obligations: Vec<&'static str>,
}

/// Every class.
pub(super) const CLASSES: [Class; 3] = [Class::Read, Class::Write, Class::Destructive];

impl<'a> Entry<'a> {
    pub(super) fn new(rule: &'a Rule, origin: &'a Origin) -> Self {
        // Every part is named, so that a new one is considered here: it is a target, a condition or an obligation.
        let Rule { id: _, effect: _, who: _, targets, classes: _, arguments: _, schedule, when, scopes, limits, demands, shadow } =
            rule;
        let Demands { approval, redact, deadline, audit } = demands;
        let patterns = |globs: &[Glob]| globs.iter().map(Pattern::of).collect();
        let obligations = [
            (!scopes.is_empty(), "scope"),
            (approval.is_some(), "approval"),
            (!limits.is_empty(), "limit"),
            (*redact, "redact"),
            (deadline.is_some(), "deadline"),
            (!audit.is_empty(), "audit"),
        ];
        Self {
            rule,
            origin,
            tools: patterns(&targets.tools),
            resources: patterns(&targets.resources),
            prompts: patterns(&targets.prompts),
            capabilities: targets.capabilities.iter().map(|(glob, word)| (Pattern::of(glob), *word)).collect(),
            has_other_conditions: !schedule.is_always() || when.is_some(),
            is_shadow: *shadow,
            obligations: obligations.into_iter().filter_map(|(has, word)| has.then_some(word)).collect(),
        }
    }

    pub(super) fn is_allow(&self) -> bool {
        self.rule.effect == Effect::Allow
    }

    /// It matches whatever its principals do to its targets.
    pub(super) fn is_unconditional(&self) -> bool {
        self.rule.arguments.is_empty() && !self.has_other_conditions
    }

    pub(super) fn of(&self, family: Family) -> &[Pattern] {
        match family {
            Family::Tool => &self.tools,
            Family::Resource => &self.resources,
            Family::Prompt => &self.prompts,
            Family::Lists => &[],
        }
    }

    /// The classes it is about, as words.
    pub(super) fn class_words(&self) -> String {
        let words: Vec<&str> =
            CLASSES.iter().filter(|class| self.rule.classes.has(**class)).map(|class| class.as_str()).collect();
        words.join(" or ")
    }

    pub(super) fn obligation_words(&self) -> String {
        self.obligations.join(" and ")
    }
}
