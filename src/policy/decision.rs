//! The outcome of asking a policy set.

use std::sync::Arc;

use super::asked::Subject as Operation;
use super::obligation::Limit;
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

/// What a policy set says about one operation, and why. Made by the `decide` functions only.
#[derive(Clone, Debug)]
#[must_use]
pub struct Decision {
    pub(super) reason: Reason,
    pub(super) rules: Vec<Arc<str>>,
    pub(super) limits: Vec<Arc<Limit>>,
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

    /// Kinds of obligations of a yes, as words for records and cases.
    pub fn obligations(&self) -> Vec<&'static str> {
        if self.limits.is_empty() { Vec::new() } else { vec!["limit"] }
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
