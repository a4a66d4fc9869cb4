//! Evidence, and the permit it buys. A permit is the only thing an upstream call accepts, and this file the only one that makes it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::asked::{Family, Subject as Operation};
use super::decision::{Decision, Effect};
use crate::vocab::{Class, Reason};

/// What an answer delivered, for the limits that count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Bytes of the result and of the notifications before it, as the upstream sent them.
    pub bytes: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
}

impl Used {
    /// The tokens that the text is taken for: a quarter of its bytes, rounded up.
    pub fn tokens(self) -> u64 {
        self.text_bytes.div_ceil(BYTES_PER_TOKEN)
    }
}

const BYTES_PER_TOKEN: u64 = 4;

/// Gives back what was held.
type Release = Box<dyn FnOnce() + Send + Sync>;
/// Counts what an answer delivered.
type Charge = Box<dyn FnOnce(Used) + Send + Sync>;

/// A bounded right that a limiter gave out. Dropping it gives it back.
#[must_use]
pub struct Lease {
    release: Option<Release>,
    charge: Option<Charge>,
}

impl Lease {
    /// Asserts that every limit of a decision was taken. `release` runs once, when the lease is dropped; `charge` once, when the
    /// answer has ended.
    pub(crate) fn assertion(release: Option<Release>, charge: Option<Charge>) -> Self {
        Self { release, charge }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

/// Adds up what one answer delivers, and charges it when dropped: however a call ends, what came of it counts.
#[must_use]
pub struct Meter {
    used: Used,
    charge: Option<Charge>,
}

impl Meter {
    /// Adds a part of the answer.
    pub fn add(&mut self, part: Used) {
        self.used.bytes = self.used.bytes.saturating_add(part.bytes);
        self.used.text_bytes = self.used.text_bytes.saturating_add(part.text_bytes);
    }

    /// What was added so far.
    pub fn used(&self) -> Used {
        self.used
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(charge) = self.charge.take() {
            charge(self.used);
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("used", &self.used).finish_non_exhaustive()
    }
}

/// People approved one operation under one policy, and that approval was used up for it.
#[must_use]
pub struct Grant {
    name: Box<str>,
    policy: Arc<str>,
}

impl Grant {
    /// Asserts that every approval that the policy of this digest demands of the operation of this full name was given, for the very
    /// call that is about to leave or to go on, and was used for nothing else and never will be.
    pub(crate) fn assertion(name: &str, policy: Arc<str>) -> Self {
        Self { name: name.into(), policy }
    }

    fn is_for(&self, decision: &Decision) -> bool {
        *self.name == *decision.operation.name.as_str() && self.policy == decision.policy
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The operator's word that policy is only observed: `danger_observe_only` of the config.
#[derive(Clone, Copy, Debug)]
pub struct ObserveOnly(());

impl ObserveOnly {
    /// Asserts that the configuration says so.
    pub(crate) fn assertion() -> Self {
        Self(())
    }

    /// Whether a refusal for this reason passes: what policy refuses, and nothing else.
    pub fn passes(self, reason: Reason) -> bool {
        matches!(
            reason,
            Reason::NoRule
                | Reason::RuleDenied
                | Reason::Indeterminate
                | Reason::NotVisible
                | Reason::ApprovalRequired
                | Reason::RateLimited
                | Reason::ConcurrencyLimited
        )
    }
}

/// The audit accepted the intent of an operation, as durably as configured.
#[derive(Debug)]
#[must_use]
pub struct Receipt {
    intent_seq: Option<u64>,
}

impl Receipt {
    /// Asserts that the intent was recorded under this sequence number; `None` where the operator asked for no durability.
    pub(crate) fn assertion(intent_seq: Option<u64>) -> Self {
        Self { intent_seq }
    }
}

/// One piece of evidence per obligation.
#[derive(Debug, Default)]
pub struct Evidence {
    /// For decisions with limits.
    pub lease: Option<Lease>,
    /// For operations of class write or destructive, and for those that were approved.
    pub receipt: Option<Receipt>,
    /// For decisions with approvals: one for all of them together.
    pub grant: Option<Grant>,
}

/// A decision cannot become a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingEvidence {
    /// The decision is a refusal.
    #[error("refused: {}", .0.as_str())]
    Refused(Reason),
    /// People did not approve, or not this operation under this policy.
    #[error("not approved")]
    Grant,
    /// Limits were not taken.
    #[error("limits not taken")]
    Lease,
    /// The intent was not recorded.
    #[error("intent not recorded")]
    Receipt,
}

/// Proof that one operation may leave for one upstream. Not `Clone`: one permit, one call. Holds its lease until dropped.
///
/// ```compile_fail
/// fn forge() -> portcullis::policy::Permit {
///     portcullis::policy::Permit {}
/// }
/// ```
/// ```compile_fail
/// fn copy(permit: portcullis::policy::Permit) -> portcullis::policy::Permit {
///     permit.clone()
/// }
/// ```
#[must_use]
pub struct Permit {
    operation: Operation,
    intent_seq: Option<u64>,
    lease: Option<Lease>,
    redacts: bool,
    deadline: Option<Duration>,
}

impl Decision {
    /// Exchanges the decision and the evidence for a permit.
    ///
    /// # Errors
    /// What is missing. The evidence is dropped, and with it the lease returned.
    pub fn permit(self, evidence: Evidence) -> Result<Permit, MissingEvidence> {
        if self.effect() != Effect::Allow {
            return Err(MissingEvidence::Refused(self.reason()));
        }
        if !self.approvals().is_empty() && !evidence.grant.as_ref().is_some_and(|grant| grant.is_for(&self)) {
            return Err(MissingEvidence::Grant);
        }
        if !self.limits().is_empty() && evidence.lease.is_none() {
            return Err(MissingEvidence::Lease);
        }
        self.into_permit(evidence)
    }

    /// As [`Self::permit`], where the operator only observes: a refusal of policy, an approval and limits do not hold the operation
    /// back. Everything else does, and a write or destructive operation needs its intent as ever.
    ///
    /// # Errors
    /// As [`Self::permit`].
    pub fn permit_observed(self, evidence: Evidence, observe: ObserveOnly) -> Result<Permit, MissingEvidence> {
        if self.effect() != Effect::Allow && !observe.passes(self.reason()) {
            return Err(MissingEvidence::Refused(self.reason()));
        }
        self.into_permit(evidence)
    }

    /// As [`Self::permit_observed`], for reading the lists of an upstream and for nothing else.
    ///
    /// # Errors
    /// As [`Self::permit`].
    pub fn permit_lists_observed(self, observe: ObserveOnly) -> Result<Permit, MissingEvidence> {
        let reason = self.reason();
        let passes = self.operation.family == Family::Lists && (self.effect() == Effect::Allow || observe.passes(reason));
        if passes { self.into_permit(Evidence::default()) } else { Err(MissingEvidence::Refused(reason)) }
    }

    fn into_permit(self, evidence: Evidence) -> Result<Permit, MissingEvidence> {
        let gated = matches!(self.class(), Class::Write | Class::Destructive) || evidence.grant.is_some();
        if gated && evidence.receipt.is_none() {
            return Err(MissingEvidence::Receipt);
        }
        let intent_seq = evidence.receipt.and_then(|receipt| receipt.intent_seq);
        // An observed refusal keeps what the rules that would allow it ask for its answer.
        let (redacts, deadline) = self.duties.as_ref().map_or((false, None), |duties| (duties.redact, duties.deadline));
        Ok(Permit { operation: self.operation, intent_seq, lease: evidence.lease, redacts, deadline })
    }
}

impl Permit {
    /// The only server this may go to.
    pub fn upstream(&self) -> &str {
        self.operation.upstream()
    }

    /// The full name (`upstream__name`, `upstream__URI`) of what may be asked; the upstream's name for its lists.
    pub fn name(&self) -> &str {
        self.operation.name.as_str()
    }

    /// Whether this is for reading the upstream's lists.
    pub fn is_for_lists(&self) -> bool {
        self.operation.family == Family::Lists
    }

    /// Whether this is for calling the tool of its name.
    pub fn is_for_tool(&self) -> bool {
        self.operation.family == Family::Tool && !self.operation.task
    }

    /// Whether this is for a task that the tool of its name made.
    pub fn is_for_task(&self) -> bool {
        self.operation.family == Family::Tool && self.operation.task
    }

    /// Whether this is for reading the resource of its name.
    pub fn is_for_resource(&self) -> bool {
        self.operation.family == Family::Resource
    }

    /// Whether this is for getting the prompt of its name.
    pub fn is_for_prompt(&self) -> bool {
        self.operation.family == Family::Prompt
    }

    /// Whether this and `other` are for the same operation.
    pub fn is_for_what(&self, other: &Self) -> bool {
        let what = |permit: &Self| (permit.operation.family, permit.operation.task);
        (what(self), self.upstream(), self.name()) == (what(other), other.upstream(), other.name())
    }

    /// Gives the lease back. What was not charged by then is charged to nobody.
    pub fn rest(&mut self) {
        self.lease = None;
    }

    /// The class it was decided as.
    pub fn class(&self) -> Class {
        self.operation.class
    }

    /// Whether secrets in the answer must be replaced before anybody sees it.
    pub fn redacts(&self) -> bool {
        self.redacts
    }

    /// The longest that the call may take.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Counts what the answer delivers, for the limits of the lease. Handed out once; later ones count for nobody.
    pub fn meter(&mut self) -> Meter {
        Meter { used: Used::default(), charge: self.lease.as_mut().and_then(|lease| lease.charge.take()) }
    }

    /// Sequence number of the intent record, where there is one.
    pub fn intent_seq(&self) -> Option<u64> {
        self.intent_seq
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, intent_seq, lease, .. } = self;
        f.debug_struct("Permit").field("name", &operation.name).field("intent", intent_seq).field("lease", lease).finish()
    }
}
