//! How a request fails: expected refusals and faults. Neither knows HTTP.

use std::sync::Arc;
use std::time::Duration;

use super::Reason;

/// A refusal that policy or a limit decided. Expected, explained, never an accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// The rule that decided, where one did.
    pub rule: Option<Arc<str>>,
    /// When the same call could pass, where that is known.
    pub retry_after: Option<Duration>,
    /// Scopes that would help, for [`Reason::ScopeRequired`].
    pub scopes: Vec<Arc<str>>,
    /// The request for approval that it waits for, or that was denied or expired.
    pub approval_id: Option<Arc<str>>,
}

impl Denial {
    /// A denial that only has a reason.
    pub fn new(reason: Reason) -> Self {
        Self { reason, rule: None, retry_after: None, scopes: Vec::new(), approval_id: None }
    }
}

/// Which side a fault lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Downstream,
    /// A server behind the gateway.
    Upstream,
    /// The gateway itself.
    Internal,
}

/// What went wrong, as a closed list; the words are the record's `error_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No connection, refused, reset, or ended before an answer.
    Unreachable,
    /// No answer within the deadline.
    Timeout,
    /// The answer is not what the protocol allows.
    Malformed,
    /// The answer exceeds a size limit.
    TooLarge,
    /// The upstream refused our credential (401, 403).
    Unauthorized,
    /// There is nothing to show the upstream: its authorization server refused, or did not answer.
    Credential,
    /// The person has to link an account at the upstream first.
    Unlinked,
    /// The upstream's own failure (HTTP 4xx or 5xx without a protocol error).
    Failed,
    /// A limit of ours on upstream resources is reached.
    Exhausted,
    /// The audit could not take the record.
    Audit,
    /// The gateway is stopping.
    ShuttingDown,
    /// Our bug.
    Internal,
}

impl FaultKind {
    /// The word used in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Credential => "credential",
            Self::Unlinked => "unlinked",
            Self::Failed => "failed",
            Self::Exhausted => "exhausted",
            Self::Audit => "audit",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }

    /// The stable reason a client and a record see.
    pub fn reason(self) -> Reason {
        match self {
            Self::Unreachable
            | Self::Malformed
            | Self::Unauthorized
            | Self::Credential
            | Self::Unlinked
            | Self::Failed
            | Self::Exhausted => Reason::UpstreamUnavailable,
            Self::Timeout => Reason::UpstreamTimeout,
            Self::TooLarge => Reason::ResponseTooLarge,
            Self::Audit => Reason::AuditUnavailable,
            Self::ShuttingDown => Reason::ShuttingDown,
            Self::Internal => Reason::Internal,
        }
    }
}

/// Something failed that nobody decided. `detail` is private: it goes to the log, never to a client or another upstream.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Where.
    pub side: Side,
    /// Private text for the operator's log; holds no secret and no client byte.
    pub detail: String,
}

impl Fault {
    /// A fault of an upstream.
    pub fn upstream(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, side: Side::Upstream, detail: detail.into() }
    }

    /// A fault of ours.
    pub fn internal(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, side: Side::Internal, detail: detail.into() }
    }
}
