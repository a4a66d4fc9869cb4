//! A rule as the list of its conditions: what explanations, coverage and replays walk over. A rule matches when all of them hold.
//!
//! A new kind of condition is a variant of [`Aspect`] and an arm in each function here and in `words`.

use std::sync::Arc;

use super::asked::Family;
use super::known::Known;
use super::matcher::Criterion;
use super::obligation::{Demands, WORDS};
use super::possible::{Missing, Possible};
use super::report::key_path;
use super::rule::Rule;
use super::schedule::Schedule;
use super::tri::Tri;
use super::when::When;
use super::who::{Group, Who};

/// One condition of a rule.
#[derive(Clone, Copy)]
pub(super) enum Aspect<'r> {
    /// Whom it is about.
    Principals,
    /// What it is about: tools, resources or prompts.
    Targets,
    /// The classes it is about.
    Classes,
    /// What it demands of the arguments.
    Argument(&'r Criterion),
    /// The hours in which it speaks.
    Schedule(&'r Schedule),
    /// Its condition.
    When(&'r When),
}

/// Every condition of a rule, cheapest first.
pub(super) fn aspects(rule: &Rule) -> impl Iterator<Item = Aspect<'_>> {
    // Named one by one, so that a new field cannot be passed over.
    let Rule {
        id: _,
        effect: _,
        who: _,
        targets: _,
        classes: _,
        arguments,
        schedule,
        when,
        scopes: _,
        limits: _,
        demands: _,
        shadow: _,
    } = rule;
    let head = [Aspect::Principals, Aspect::Targets, Aspect::Classes].into_iter();
    let hours = (!schedule.is_always()).then_some(Aspect::Schedule(schedule));
    head.chain(arguments.iter().map(Aspect::Argument)).chain(hours).chain(when.as_deref().map(Aspect::When))
}

/// Whether a rule can match.
pub(super) fn possible(rule: &Rule, known: &Known<'_>) -> Possible {
    let mut sum = Possible::just(Tri::True);
    for aspect in aspects(rule) {
        sum = Possible::all([sum, aspect.possible(rule, known)]);
        if sum.known() == Some(Tri::False) {
            break;
        }
    }
    sum
}

/// Words of the obligations that an allow rule brings, in the order of records and cases.
pub(super) fn obligations(rule: &Rule) -> Vec<&'static str> {
    let Demands { approval, redact, deadline, audit } = &rule.demands;
    let brought = [approval.is_some(), !rule.limits.is_empty(), *redact, deadline.is_some(), !audit.is_empty()];
    WORDS.into_iter().zip(brought).filter_map(|(word, brought)| brought.then_some(word)).collect()
}

impl Aspect<'_> {
    /// Where it stands in the rule.
    pub(super) fn key(self, known: &Known<'_>) -> String {
        match self {
            Self::Principals => "principals".to_owned(),
            Self::Targets => match known.family {
                Family::Resource => "resources".to_owned(),
                Family::Prompt => "prompts".to_owned(),
                Family::Tool | Family::Lists => "tools".to_owned(),
            },
            Self::Classes => "classes".to_owned(),
            Self::Argument(criterion) => key_path("arguments", &criterion.pointer.canonical()),
            Self::Schedule(_) => "schedule".to_owned(),
            Self::When(_) => "when".to_owned(),
        }
    }

    /// Whether it can hold.
    pub(super) fn possible(self, rule: &Rule, known: &Known<'_>) -> Possible {
        match self {
            Self::Principals => Possible::any(rule.who.iter().map(|entry| entry_possible(entry, known))),
            Self::Targets => {
                let named = || rule.targets.of(known.family).iter().any(|glob| glob.matches(known.name));
                Possible::just(Tri::from(rule.names_everything() || named()))
            }
            Self::Classes => Possible::just(Tri::from(rule.classes.has(known.class))),
            Self::Argument(criterion) => known.criterion(criterion, rule.quantifier()),
            Self::Schedule(schedule) => known.schedule(schedule),
            Self::When(when) => known.when(when),
        }
    }
}

/// Whether one entry of `principals` can mean who is asking.
pub(super) fn entry_possible(entry: &Who, known: &Known<'_>) -> Possible {
    let who = known.who;
    if entry.is(who) || who.anonymous {
        return Possible::just(Tri::from(entry.is(who)));
    }
    match entry {
        Who::Group(group) => match &group.claim {
            Some((claim, _)) if !known.claims.know(claim) => {
                let Group { name, issuers, clients, .. } = &**group;
                let rest = Group { name: name.clone(), issuers: issuers.clone(), claim: None, clients: clients.clone() };
                if Who::Group(Arc::new(rest)).is(who) {
                    Possible::one_of(&[Tri::True, Tri::False], Missing::Claim(claim.to_string()))
                } else {
                    Possible::just(Tri::False)
                }
            }
            _ => Possible::just(Tri::False),
        },
        Who::Scope(_) if !known.claims.know_scopes() => {
            Possible::one_of(&[Tri::True, Tri::False], Missing::Claim("scope".to_owned()))
        }
        Who::Any | Who::Sub { .. } | Who::Client(_) | Who::Scope(_) => Possible::just(Tri::False),
    }
}
