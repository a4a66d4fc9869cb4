//! Why a decision is as it is: every rule that could speak about it, and each of its conditions.

use std::sync::Arc;

use serde::Serialize;

use super::asked::Asked;
use super::aspect::{aspects, obligations};
use super::decide::decide;
use super::decision::{Decision, Effect};
use super::known::Known;
use super::rule::Rule;
use super::set::PolicySet;
use super::tri::Tri;
use super::visible::visible;
use super::words::why;
use crate::vocab::Principal;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It does.
    Pass,
    /// It does not.
    Fail,
    /// It cannot be told: an allow does not match then, a deny does.
    Unknown,
}

/// One condition of a rule.
#[derive(Clone, Debug, Serialize)]
pub struct Condition {
    /// Where it stands in the rule: `principals`, `arguments["/path"]`.
    pub key: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Why, in words. Holds values of the arguments, shortened.
    pub why: String,
}

/// What one rule says about the operation.
#[derive(Clone, Debug)]
pub struct RuleAccount {
    /// Its id.
    pub id: Arc<str>,
    /// What it does where it matches.
    pub effect: Effect,
    /// It is only tried, and decides nothing.
    pub shadow: bool,
    /// Whether it matches.
    pub verdict: Verdict,
    /// Whether it is among the rules that decided.
    pub decided: bool,
    /// Its conditions, all of which must hold.
    pub conditions: Vec<Condition>,
    /// Words of the obligations it brings.
    pub obligations: Vec<&'static str>,
    /// Scopes it asks for that the principal lacks.
    pub scopes_missing: Vec<Arc<str>>,
}

impl RuleAccount {
    /// The condition that keeps the rule from matching: the first that fails, else the first that cannot be told.
    pub fn obstacle(&self) -> Option<&Condition> {
        let first = |verdict| self.conditions.iter().find(|condition| condition.verdict == verdict);
        first(Verdict::Fail).or_else(|| first(Verdict::Unknown))
    }
}

/// A decision and how every rule stands to it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// As [`decide`] made it.
    pub decision: Decision,
    /// Whether the principal may know that the name exists.
    pub visible: bool,
    /// Every rule of the set, in order of their ids.
    pub rules: Vec<RuleAccount>,
}

/// Decides and explains. The decision is that of [`decide`].
pub fn explain(set: &PolicySet, who: &Principal, asked: &Asked<'_>) -> Explanation {
    let decision = decide(set, who, asked);
    let known = Known::whole(who, asked);
    let tried = set.trial.iter().flat_map(|trial| trial.only.rules.iter());
    let mut rules: Vec<RuleAccount> =
        set.rules.iter().chain(tried).map(|rule| account(set, rule, &known, decision.rules())).collect();
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    Explanation { visible: visible(set, who, &asked.kind, asked.moment()), decision, rules }
}

fn account(set: &PolicySet, rule: &Rule, known: &Known<'_>, decided: &[Arc<str>]) -> RuleAccount {
    let conditions: Vec<Condition> = aspects(rule)
        .map(|aspect| Condition {
            key: aspect.key(known),
            verdict: aspect.possible(rule, known).known().into(),
            why: why(set, rule, aspect, known),
        })
        .collect();
    let any = |verdict| conditions.iter().any(|condition| condition.verdict == verdict);
    let verdict = match (any(Verdict::Fail), any(Verdict::Unknown)) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Unknown,
        (false, false) => Verdict::Pass,
    };
    RuleAccount {
        id: rule.id.clone(),
        effect: rule.effect,
        shadow: rule.shadow,
        verdict,
        decided: decided.contains(&rule.id),
        conditions,
        obligations: obligations(rule),
        scopes_missing: rule.scopes.iter().filter(|scope| !known.who.has_scope(scope)).cloned().collect(),
    }
}

impl From<Option<Tri>> for Verdict {
    fn from(truth: Option<Tri>) -> Self {
        match truth {
            Some(Tri::True) => Self::Pass,
            Some(Tri::False) => Self::Fail,
            Some(Tri::Unknown) | None => Self::Unknown,
        }
    }
}
