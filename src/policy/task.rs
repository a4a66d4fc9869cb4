//! Tasks: what a call goes on doing after it was answered. They are decided under the tool that made them, each time anew.
//!
//! The arguments of the call are not known any more, so that the question is that of visibility: could some arguments be allowed
//! now? What the answer owes is the sum of what every rule demands that could have allowed the call.

use std::sync::Arc;

use super::asked::{Asked, Family, Subject as Operation};
use super::decide::of_rules;
use super::decision::{Decision, Effect};
use super::index::{About, Few};
use super::obligation::{Duties, Quota};
use super::rule::Rule;
use super::set::{PolicySet, Subject};
use super::visible::visible_to;
use super::when::Scene;
use crate::vocab::{Class, Principal, Reason};

/// What is done with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStep {
    /// The gateway looks how it stands, on behalf of a call that is under way and met its own limits.
    Poll,
    /// The client reads how it stands, and what came of it: counted by limits on bytes and tokens.
    Read,
    /// The client answers its questions, after which the tool goes on: of the tool's class.
    Answer,
    /// It is stopped.
    Cancel,
}

/// Decides whether `who` may take `step` with a task that the tool of `asked` made. Limits on calls, and approvals, were met when
/// the tool was called.
///
/// A refusal is [`Reason::UnknownName`] or [`Reason::NotVisible`], or [`Reason::ScopeRequired`] where only scopes are missing.
pub fn decide_task_for(set: &PolicySet, subject: &Subject, who: &Principal, asked: &Asked<'_>, step: TaskStep) -> Decision {
    let about = if subject.is_of(set) { subject.about() } else { About::Who(who) };
    let kind = &asked.kind;
    let class = if step == TaskStep::Answer { kind.class() } else { Class::Read };
    let operation = Operation { family: Family::Tool, name: kind.name().into(), class, task: true };
    if !asked.known || kind.family() != Family::Tool {
        return of_rules(set, operation, Reason::UnknownName, Few::new());
    }
    if !visible_to(set, about, who, kind, asked.moment()) {
        return of_rules(set, operation, Reason::NotVisible, Few::new());
    }
    let scene = Scene::new(who, asked.moment(), Some(kind), None);
    let covering = set.index.covering(&set.rules, about, (kind.family(), kind.name(), kind.class()));
    let allows: Few<'_> = covering.into_iter().filter(|rule| rule.effect == Effect::Allow && rule.could_speak(&scene)).collect();
    let scopes_missing = scopes_missing(&allows, &scene, who);
    if !scopes_missing.is_empty() {
        return Decision { scopes_missing, ..of_rules(set, operation, Reason::ScopeRequired, allows) };
    }
    let counted = |quota: &Quota| matches!(quota, Quota::Bytes { .. } | Quota::ResponseTokens { .. }) && step == TaskStep::Read;
    let limits = allows.iter().flat_map(|rule| rule.limits.iter()).filter(|limit| counted(&limit.quota)).cloned().collect();
    let duties = Duties::join(&allows).map(|duties| Box::new(Duties { approvals: Vec::new(), audit: Vec::new(), ..*duties }));
    Decision { limits, duties, ..of_rules(set, operation, Reason::Allowed, allows) }
}

/// Scopes that `who` lacks: of rules that allow whatever the arguments are, or else of every rule, where each wants one.
fn scopes_missing(allows: &Few<'_>, scene: &Scene<'_>, who: &Principal) -> Vec<Arc<str>> {
    let lacking = |rule: &Rule| rule.scopes.iter().filter(|scope| !who.has_scope(scope)).cloned().collect::<Vec<_>>();
    let certain = |rule: &&&Rule| rule.arguments.is_empty() && rule.when.as_ref().is_none_or(|when| scene.suffices(when.reads));
    let mut missing: Vec<Arc<str>> = allows.iter().filter(certain).flat_map(|rule| lacking(rule)).collect();
    if missing.is_empty() && allows.iter().all(|rule| !lacking(rule).is_empty()) {
        missing = allows.iter().flat_map(|rule| lacking(rule)).collect();
    }
    missing.sort();
    missing.dedup();
    missing
}
