//! The outcome of asking a policy set.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::asked::Subject as Operation;
use super::obligation::{Approval, Duties, Limit, WORDS};
use crate::vocab::{Class, Reason};

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Allowed, once every obligation is met.
    Allow,
    /// Refused.
    Deny,
}

impl Effect {
    /// The word used in records and cases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// What the set would have decided if its shadow rules counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Why; [`Reason::Allowed`] for a yes.
    pub reason: Reason,
    /// Ids of the rules that would have decided, sorted.
    pub rules: Vec<Arc<str>>,
}

impl Shadow {
    /// Yes or no.
    pub fn effect(&self) -> Effect {
        if self.reason == Reason::Allowed { Effect::Allow } else { Effect::Deny }
    }
}

/// What a policy set says about one operation, and why. Made by the `decide` functions only.
#[derive(Clone, Debug)]
#[must_use]
pub struct Decision {
    pub(super) reason: Reason,
    /// Mostly one or two, which need no heap.
    pub(super) rules: SmallVec<[Arc<str>; 2]>,
    pub(super) limits: Vec<Arc<Limit>>,
    /// What the matching allow rules demand besides; absent where they demand nothing. Those of a refusal show only where policy is
    /// merely observed.
    pub(super) duties: Option<Box<Duties>>,
    pub(super) shadow: Option<Box<Shadow>>,
    pub(super) scopes_missing: Vec<Arc<str>>,
    pub(super) policy: Arc<str>,
    pub(super) operation: Operation,
}

impl Decision {
    /// Yes or no. A yes may still have obligations.
    pub fn effect(&self) -> Effect {
        if self.reason == Reason::Allowed { Effect::Allow } else { Effect::Deny }
    }

    /// Why; [`Reason::Allowed`] for a yes.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Ids of the rules that decided, sorted.
    pub fn rules(&self) -> &[Arc<str>] {
        &self.rules
    }

    /// Limits that must be taken before the operation leaves.
    pub fn limits(&self) -> &[Arc<Limit>] {
        &self.limits
    }

    /// Scopes that would help, for [`Reason::ScopeRequired`]. Sorted.
    pub fn scopes_missing(&self) -> &[Arc<str>] {
        &self.scopes_missing
    }

    /// What a yes owes.
    fn owed(&self) -> Option<&Duties> {
        self.duties.as_deref().filter(|_| self.effect() == Effect::Allow)
    }

    /// Approvals that must be given before the operation leaves, each on its own.
    pub fn approvals(&self) -> &[Arc<Approval>] {
        self.owed().map_or(&[], |duties| &duties.approvals)
    }

    /// Whether secrets in the answer must be replaced.
    pub fn redacts(&self) -> bool {
        self.owed().is_some_and(|duties| duties.redact)
    }

    /// The longest that the call may take.
    pub fn deadline(&self) -> Option<Duration> {
        self.owed()?.deadline
    }

    /// JSON pointers into the arguments whose values the record shows.
    pub fn shown_arguments(&self) -> &[Arc<str>] {
        self.owed().map_or(&[], |duties| &duties.audit)
    }

    /// What shadow rules would have changed. Present only where one of them matched or could not be evaluated.
    pub fn shadow(&self) -> Option<&Shadow> {
        self.shadow.as_deref()
    }

    /// Kinds of obligations of a yes, as words for records and cases, in the order of [`WORDS`].
    pub fn obligations(&self) -> Vec<&'static str> {
        let holds = [
            !self.approvals().is_empty(),
            !self.limits.is_empty(),
            self.redacts(),
            self.deadline().is_some(),
            !self.shown_arguments().is_empty(),
        ];
        WORDS.into_iter().zip(holds).filter(|(_, holds)| *holds).map(|(word, _)| word).collect()
    }

    /// Digest of the policy set that decided.
    pub fn policy_digest(&self) -> &Arc<str> {
        &self.policy
    }

    /// The class the operation was decided as.
    pub fn class(&self) -> Class {
        self.operation.class
    }

    /// The server the operation is for.
    pub fn upstream(&self) -> &str {
        self.operation.upstream()
    }
}
