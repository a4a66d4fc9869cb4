//! Every decision that what is known leaves open. Sound: the true decision is always among them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Kind;
use super::asked::Family;
use super::aspect::{Aspect, obligations, possible};
use super::decision::Effect;
use super::index::{About, Few};
use super::known::Known;
use super::obligation::WORDS;
use super::possible::{Missing, Possible};
use super::rule::Rule;
use super::set::PolicySet;
use super::tri::Tri;
use super::visible::visible_among;
use crate::vocab::Reason;

/// A decision, without the rules that made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ruling {
    /// Why; [`Reason::Allowed`] for a yes.
    pub reason: Reason,
    /// Kinds of obligations of a yes.
    pub obligations: Vec<&'static str>,
}

impl Ruling {
    /// Yes or no.
    pub fn effect(&self) -> Effect {
        if self.reason == Reason::Allowed { Effect::Allow } else { Effect::Deny }
    }
}

/// What can be decided.
#[derive(Clone, Debug)]
pub(super) struct Outlook {
    /// Never empty.
    pub(super) rulings: BTreeSet<Ruling>,
    /// What would tell which of them it is.
    pub(super) missing: BTreeSet<Missing>,
    /// Rules that match for certain, and doubts that are certain.
    pub(super) rules: Vec<Arc<str>>,
}

/// One rule, and whether it can match.
struct Open<'s> {
    rule: &'s Rule,
    truth: Possible,
    /// Whether it asks for a scope that the principal lacks.
    lacks: Possible,
}

/// Everything that `set` can decide about what is known. The name is taken to exist.
pub(super) fn outlook(set: &PolicySet, known: &Known<'_>) -> Outlook {
    if kind(known).is_hostile() {
        let unknown = Ruling { reason: Reason::UnknownName, obligations: Vec::new() };
        return Outlook { rulings: BTreeSet::from([unknown]), missing: BTreeSet::new(), rules: Vec::new() };
    }
    let open =
        covering(set, known).into_iter().map(|rule| Open { rule, truth: possible(rule, known), lacks: lacks(rule, known) });
    let open: Vec<Open<'_>> = open.filter(|open| open.truth.known() != Some(Tri::False)).collect();
    let visible = visibility(set, known);
    let rulings = rulings(&open, None, &visible);
    let missing = if rulings.len() > 1 { what_matters(&open, &visible) } else { BTreeSet::new() };
    let certain = open.iter().filter(|open| matches!(open.truth.known(), Some(Tri::True | Tri::Unknown)));
    Outlook { rulings, missing, rules: certain.map(|open| open.rule.id.clone()).collect() }
}

/// The rules about the operation, whoever asks.
pub(super) fn covering<'s>(set: &'s PolicySet, known: &Known<'_>) -> Few<'s> {
    set.index.covering(&set.rules, About::Those(&|_| true), (known.family, known.name, known.class))
}

fn lacks(rule: &Rule, known: &Known<'_>) -> Possible {
    match rule.scopes.iter().all(|scope| known.who.has_scope(scope)) {
        true => Possible::just(Tri::False),
        false if known.claims.know_scopes() => Possible::just(Tri::True),
        false => Possible::one_of(&[Tri::True, Tri::False], Missing::Claim("scope".to_owned())),
    }
}

// What the rules looked at so far come to, as a set of bits.
const ALLOW: u16 = 1;
const LACKS_SCOPE: u16 = 1 << 1;
const DENY: u16 = 1 << 2;
const DENY_DOUBT: u16 = 1 << 3;
const ALLOW_DOUBT: u16 = 1 << 4;
/// The first obligation.
const OBLIGED: u16 = 1 << 5;

/// Every ruling the rules can come to, rule `fixed` held at one value.
fn rulings(open: &[Open<'_>], fixed: Option<(usize, Tri)>, visible: &Possible) -> BTreeSet<Ruling> {
    let mut states = BTreeSet::from([0_u16]);
    for (at, open) in open.iter().enumerate() {
        let truths: Vec<Tri> = match fixed {
            Some((place, truth)) if place == at => vec![truth],
            _ => open.truth.truths().collect(),
        };
        let marks: BTreeSet<u16> = truths.into_iter().flat_map(|truth| marks(open, truth)).collect();
        states = states.iter().flat_map(|state| marks.iter().map(move |mark| state | mark)).collect();
    }
    states.into_iter().flat_map(|state| conclude(state, visible)).collect()
}

fn marks(open: &Open<'_>, truth: Tri) -> Vec<u16> {
    match (open.rule.effect, truth) {
        (_, Tri::False) => vec![0],
        (Effect::Allow, Tri::Unknown) => vec![ALLOW_DOUBT],
        (Effect::Deny, Tri::Unknown) => vec![DENY_DOUBT],
        (Effect::Deny, Tri::True) => vec![DENY],
        (Effect::Allow, Tri::True) => {
            let words = obligations(open.rule);
            let obliged = (0..).zip(WORDS).filter(|(_, word)| words.contains(word));
            let mark = obliged.fold(ALLOW, |mark, (n, _)| mark | OBLIGED << n);
            let lacking = |lacks| if lacks == Tri::True { mark | LACKS_SCOPE } else { mark };
            open.lacks.truths().map(lacking).collect()
        }
    }
}

/// As `decide` concludes.
fn conclude(state: u16, visible: &Possible) -> Vec<Ruling> {
    let has = |mark: u16| state & mark != 0;
    let no = |reason| Ruling { reason, obligations: Vec::new() };
    if visible.known() == Some(Tri::False) {
        return vec![no(Reason::NotVisible)];
    }
    if has(ALLOW) && !has(DENY) && !has(DENY_DOUBT) && !has(LACKS_SCOPE) {
        let obliged = (0..).zip(WORDS).filter(|(n, _)| has(OBLIGED << n)).map(|(_, word)| word);
        return vec![Ruling { reason: Reason::Allowed, obligations: obliged.collect() }];
    }
    let shown = if has(LACKS_SCOPE) {
        Reason::ScopeRequired
    } else if has(DENY) {
        Reason::RuleDenied
    } else if has(DENY_DOUBT) || has(ALLOW_DOUBT) {
        Reason::Indeterminate
    } else {
        Reason::NoRule
    };
    visible.truths().map(|seen| no(if seen == Tri::True { shown } else { Reason::NotVisible })).collect()
}

/// Whether the name is visible: more allow rules show more, more deny rules hide more.
fn visibility(set: &PolicySet, known: &Known<'_>) -> Possible {
    let kind = kind(known);
    let voices = covering(set, known).into_iter();
    let voices = voices.map(|rule| (rule, Possible::all([Aspect::Principals.possible(rule, known), speaks(rule, known)])));
    let voices: Vec<(&Rule, Possible)> = voices.filter(|(_, speaks)| speaks.may_be(Tri::True)).collect();
    let shown = |generous: bool| {
        let counts = |(rule, speaks): &&(&Rule, Possible)| {
            let lenient = generous == (rule.effect == Effect::Allow);
            lenient || speaks.known() == Some(Tri::True)
        };
        visible_among(&kind, voices.iter().filter(counts).map(|(rule, _)| *rule))
    };
    match (shown(true), shown(false)) {
        (most, least) if most == least => Possible::just(Tri::from(most)),
        _ => {
            let missing: BTreeSet<Missing> = voices.iter().flat_map(|(_, speaks)| speaks.missing().clone()).collect();
            Possible::all(missing.into_iter().map(|missing| Possible::one_of(&[Tri::True, Tri::False], missing)))
        }
    }
}

/// As [`Rule::could_speak`], for what is known.
pub(super) fn speaks(rule: &Rule, known: &Known<'_>) -> Possible {
    let hours = if rule.schedule.is_always() { Possible::just(Tri::True) } else { known.schedule(&rule.schedule) };
    let condition = match &rule.when {
        None => Possible::just(Tri::True),
        Some(when) if when.reads.args && known.family != Family::Resource => {
            Possible::just(Tri::from(rule.effect == Effect::Allow))
        }
        Some(when) => known.when(when),
    };
    let doubt = if rule.effect == Effect::Allow { Tri::False } else { Tri::True };
    Possible::all([hours, condition]).with_doubt_as(doubt)
}

/// The operation without its arguments.
fn kind<'a>(known: &Known<'a>) -> Kind<'a> {
    match known.family {
        Family::Resource => Kind::Resource { uri: known.name },
        Family::Prompt => Kind::Prompt { name: known.name, arguments: None },
        Family::Tool | Family::Lists => Kind::Tool { name: known.name, class: known.class, arguments: None },
    }
}

/// What is missing of the rules whose own truth makes a difference.
fn what_matters(open: &[Open<'_>], visible: &Possible) -> BTreeSet<Missing> {
    let mut matters: BTreeSet<Missing> = visible.missing().clone();
    for (at, one) in open.iter().enumerate() {
        let mut outcomes = one.truth.truths().map(|truth| rulings(open, Some((at, truth)), visible));
        let first = outcomes.next();
        if outcomes.any(|other| Some(&other) != first.as_ref()) {
            matters.extend(one.truth.missing().iter().cloned());
        }
        matters.extend(one.lacks.missing().iter().cloned());
    }
    if matters.is_empty() {
        matters.extend(open.iter().flat_map(|one| one.truth.missing().iter().cloned()));
    }
    matters
}
