//! Parts of a record that stages hand over whole.

use std::sync::Arc;

use super::draft::Status;
use crate::vocab::{Digest, FaultKind, Reason};

/// What policy decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionNote {
    /// Allow or deny.
    pub allowed: bool,
    /// True when the decision was only observed, not enforced.
    pub observed: bool,
    /// Why.
    pub reason: Reason,
    /// Ids of the rules that decided.
    pub rules: Vec<Arc<str>>,
    /// Names of the obligations that came with an allow.
    pub obligations: Vec<&'static str>,
    /// Digest of the policy set.
    pub policy: Arc<str>,
    /// What shadow rules would have made of it, where they had anything to say.
    pub shadow: Option<Box<ShadowNote>>,
}

/// What policy would have decided if its shadow rules counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowNote {
    /// Allow or deny.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// Ids of the rules that would have decided.
    pub rules: Vec<Arc<str>>,
}

/// Which approval an operation waits for, has or is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalNote {
    /// Id of the request for approval.
    pub id: Arc<str>,
    /// Where it stands then, in one word.
    pub state: &'static str,
    /// Who said yes, as `ISSUER#SUBJECT`.
    pub by: Vec<String>,
    /// When the last of them did, in milliseconds since the Unix epoch.
    pub at_unix_ms: Option<u64>,
    /// SHA-256 of the canonical text of the arguments: as the approvers were shown it, and for a call as it is made.
    pub arguments: Digest,
    /// The terms, where it is a lease.
    pub lease: Option<LeaseNote>,
}

/// The terms of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseNote {
    /// How long, from the last vote on.
    pub minutes: u64,
    /// How many calls.
    pub uses: u32,
    /// How many of them were made, this one included.
    pub used: u32,
    /// Constraints on arguments, as JSON; without them the arguments are those that the approvers were shown.
    pub within: Option<Box<str>>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeNote {
    /// In one word.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// What failed, for a fault.
    pub error_kind: Option<FaultKind>,
}

impl OutcomeNote {
    /// An ending without a fault.
    pub fn new(status: Status, reason: Reason) -> Self {
        Self { status, reason, error_kind: None }
    }

    /// An ending by a fault.
    pub fn fault(kind: FaultKind) -> Self {
        let status = if kind == FaultKind::Timeout { Status::TimedOut } else { Status::Faulted };
        Self { status, reason: kind.reason(), error_kind: Some(kind) }
    }
}
