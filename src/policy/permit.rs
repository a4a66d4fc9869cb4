//! Evidence, and the permit it buys. A permit is the only thing an upstream call accepts, and this file the only one that makes it.

use std::fmt;

use super::asked::{Family, Subject as Operation};
use super::decision::{Decision, Effect};
use crate::vocab::{Class, Reason};

/// A bounded right that a limiter gave out. Dropping it gives it back.
#[must_use]
pub struct Lease {
    release: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Lease {
    /// Asserts that every limit of a decision was taken. `release` runs once, when the lease is dropped.
    pub(crate) fn assertion(release: Option<Box<dyn FnOnce() + Send + Sync>>) -> Self {
        Self { release }
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
    /// For operations of class write or destructive.
    pub receipt: Option<Receipt>,
}

/// A decision cannot become a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingEvidence {
    /// The decision is a refusal.
    #[error("refused: {}", .0.as_str())]
    Refused(Reason),
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
        if !self.limits().is_empty() && evidence.lease.is_none() {
            return Err(MissingEvidence::Lease);
        }
        let gated = matches!(self.class(), Class::Write | Class::Destructive);
        if gated && evidence.receipt.is_none() {
            return Err(MissingEvidence::Receipt);
        }
        let intent_seq = evidence.receipt.and_then(|receipt| receipt.intent_seq);
        Ok(Permit { operation: self.operation, intent_seq, lease: evidence.lease })
    }
}

impl Permit {
    /// The only server this may go to.
    pub fn upstream(&self) -> &str {
        self.operation.upstream()
    }

    /// The full name (`upstream__name`, `upstream__URI`) of what may be asked; the upstream's name for its lists.
    pub fn name(&self) -> &str {
        &self.operation.name
    }

    /// Whether this is for reading the upstream's lists.
    pub fn is_for_lists(&self) -> bool {
        self.operation.family == Family::Lists
    }

    /// Whether this is for calling the tool of its name.
    pub fn is_for_tool(&self) -> bool {
        self.operation.family == Family::Tool
    }

    /// Whether this is for reading the resource of its name.
    pub fn is_for_resource(&self) -> bool {
        self.operation.family == Family::Resource
    }

    /// Whether this is for getting the prompt of its name.
    pub fn is_for_prompt(&self) -> bool {
        self.operation.family == Family::Prompt
    }

    /// The class it was decided as.
    pub fn class(&self) -> Class {
        self.operation.class
    }

    /// Sequence number of the intent record, where there is one.
    pub fn intent_seq(&self) -> Option<u64> {
        self.intent_seq
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, intent_seq, lease } = self;
        f.debug_struct("Permit").field("name", &operation.name).field("intent", intent_seq).field("lease", lease).finish()
    }
}
