//! The decision. Total: whatever cannot be evaluated refuses.

use std::sync::Arc;

use super::asked::{Asked, Family, Kind, Moment, Subject as Operation};
use super::decision::{Decision, Effect, Shadow};
use super::index::{About, Few};
use super::obligation::Duties;
use super::rule::Arguments;
use super::set::{PolicySet, Subject};
use super::tri::Tri;
use super::visible::{any_visible, visible_to};
use super::when::Scene;
use crate::vocab::{Class, Principal, Reason};

/// Decides whether `who` may do what is `asked`.
pub fn decide(set: &PolicySet, who: &Principal, asked: &Asked<'_>) -> Decision {
    let about = About::Who(who);
    tried(evaluate(set, about, who, asked), set, (about, about), who, asked)
}

/// As [`decide`], with the principal's rules worked out before by [`PolicySet::subject`]; a subject of another set is ignored.
pub fn decide_for(set: &PolicySet, subject: &Subject, who: &Principal, asked: &Asked<'_>) -> Decision {
    if !subject.is_of(set) {
        return decide(set, who, asked);
    }
    let about_trial = subject.about_trial().unwrap_or((About::Who(who), About::Who(who)));
    tried(evaluate(set, subject.about(), who, asked), set, about_trial, who, asked)
}

/// `decision` with what shadow rules would have made of it. Where no rule is in shadow this is one look at a pointer.
fn tried(
    decision: Decision,
    set: &PolicySet,
    (only, whole): (About<'_>, About<'_>),
    who: &Principal,
    asked: &Asked<'_>,
) -> Decision {
    let Some(trial) = &set.trial else { return decision };
    if !asked.known || asked.kind.is_hostile() {
        return decision;
    }
    let arguments = asked.kind.arguments().map(|raw| Arguments::new(raw.as_str()));
    let scene = Scene::new(who, asked.moment(), Some(&asked.kind), arguments.as_ref());
    if Found::by(&trial.only, only, &asked.kind, arguments.as_ref(), &scene).is_silent() {
        return decision;
    }
    let Decision { reason, rules, .. } = evaluate(&trial.whole, whole, who, asked);
    Decision { shadow: Some(Box::new(Shadow { reason, rules: rules.into_vec() })), ..decision }
}

/// Decides whether `who` may have the lists of `upstream` read: only if something there could be allowed.
pub fn decide_list(set: &PolicySet, who: &Principal, upstream: &str, moment: Moment<'_>) -> Decision {
    list(set, About::Who(who), who, upstream, moment)
}

/// As [`decide_list`], in the way of [`decide_for`].
pub fn decide_list_for(set: &PolicySet, subject: &Subject, who: &Principal, upstream: &str, moment: Moment<'_>) -> Decision {
    let about = if subject.is_of(set) { subject.about() } else { About::Who(who) };
    list(set, about, who, upstream, moment)
}

fn list(set: &PolicySet, about: About<'_>, who: &Principal, upstream: &str, moment: Moment<'_>) -> Decision {
    let operation = Operation { family: Family::Lists, name: upstream.into(), class: Class::Read, task: false };
    let allowed = any_visible(set, about, who, &format!("{upstream}__"), moment);
    let reason = if allowed { Reason::Allowed } else { Reason::NotVisible };
    of_rules(set, operation, reason, Few::new())
}

fn evaluate(set: &PolicySet, about: About<'_>, who: &Principal, asked: &Asked<'_>) -> Decision {
    let kind = &asked.kind;
    if !asked.known || kind.is_hostile() {
        return conclude(set, kind, Reason::UnknownName, Few::new());
    }
    let arguments = kind.arguments().map(|raw| Arguments::new(raw.as_str()));
    let scene = Scene::new(who, asked.moment(), Some(kind), arguments.as_ref());
    let found = Found::by(set, about, kind, arguments.as_ref(), &scene);
    if found.is_clear_yes() && found.scopes_missing(who).next().is_none() {
        let limits = found.allows.iter().flat_map(|rule| rule.limits.iter().cloned()).collect();
        let duties = Duties::join(&found.allows);
        return Decision { limits, duties, ..conclude(set, kind, Reason::Allowed, found.allows) };
    }
    if !visible_to(set, about, who, kind, asked.moment()) {
        let duties = Duties::join(&found.allows);
        return Decision { duties, ..conclude(set, kind, Reason::NotVisible, found.denies) };
    }
    let mut scopes_missing: Vec<Arc<str>> = found.scopes_missing(who).cloned().collect();
    if !scopes_missing.is_empty() {
        scopes_missing.sort();
        scopes_missing.dedup();
        let asking = found.allows.into_iter().filter(|rule| rule.scopes.iter().any(|s| !who.has_scope(s))).collect();
        return Decision { scopes_missing, ..conclude(set, kind, Reason::ScopeRequired, asking) };
    }
    let duties = Duties::join(&found.allows);
    if !found.denies.is_empty() {
        return Decision { duties, ..conclude(set, kind, Reason::RuleDenied, found.denies) };
    }
    // Doubt about a deny decides always, doubt about an allow only where no other rule allows.
    let doubts = if found.deny_doubts.is_empty() { found.allow_doubts } else { found.deny_doubts };
    let reason = if doubts.is_empty() { Reason::NoRule } else { Reason::Indeterminate };
    Decision { duties, ..conclude(set, kind, reason, doubts) }
}

/// The rules that speak about one operation, sorted out.
#[derive(Default)]
struct Found<'s> {
    allows: Few<'s>,
    denies: Few<'s>,
    allow_doubts: Few<'s>,
    deny_doubts: Few<'s>,
}

impl<'s> Found<'s> {
    fn by(set: &'s PolicySet, about: About<'_>, kind: &Kind<'_>, arguments: Option<&Arguments<'_>>, scene: &Scene<'_>) -> Self {
        let mut found = Self::default();
        for rule in set.index.covering(&set.rules, about, (kind.family(), kind.name(), kind.class())) {
            let list = match (rule.effect, rule.holds(arguments, scene)) {
                (Effect::Allow, Tri::True) => &mut found.allows,
                (Effect::Allow, Tri::Unknown) => &mut found.allow_doubts,
                (Effect::Deny, Tri::True) => &mut found.denies,
                (Effect::Deny, Tri::Unknown) => &mut found.deny_doubts,
                (_, Tri::False) => continue,
            };
            list.push(rule);
        }
        found
    }

    /// No rule matched, and none is in doubt.
    fn is_silent(&self) -> bool {
        let Self { allows, denies, allow_doubts, deny_doubts } = self;
        [allows, denies, allow_doubts, deny_doubts].into_iter().all(|rules| rules.is_empty())
    }

    fn is_clear_yes(&self) -> bool {
        !self.allows.is_empty() && self.denies.is_empty() && self.deny_doubts.is_empty()
    }

    /// Scopes that the matching allow rules want and `who` lacks.
    fn scopes_missing<'f>(&'f self, who: &'f Principal) -> impl Iterator<Item = &'s Arc<str>> + 'f {
        self.allows.iter().flat_map(|rule| rule.scopes.iter()).filter(|scope| !who.has_scope(scope))
    }
}

fn conclude(set: &PolicySet, kind: &Kind<'_>, reason: Reason, rules: Few<'_>) -> Decision {
    let operation = Operation { family: kind.family(), name: kind.name().into(), class: kind.class(), task: false };
    of_rules(set, operation, reason, rules)
}

pub(super) fn of_rules(set: &PolicySet, operation: Operation, reason: Reason, rules: Few<'_>) -> Decision {
    Decision {
        reason,
        rules: rules.into_iter().map(|rule| rule.id.clone()).collect(),
        limits: Vec::new(),
        duties: None,
        shadow: None,
        scopes_missing: Vec::new(),
        policy: set.digest().clone(),
        operation,
    }
}
