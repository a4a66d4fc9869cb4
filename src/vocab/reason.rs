//! Why a request ended as it did: two closed, stable lists.

use serde::{Deserialize, Serialize};

/// Reason of a decision or of an outcome. The order of the variants is the order in which they apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the documentation; they are listed in the user's reference")]
pub enum Reason {
    // decisions
    UnknownName,
    NotVisible,
    ScopeRequired,
    RuleDenied,
    Indeterminate,
    NoRule,
    // obligations
    ApprovalRequired,
    ApprovalDenied,
    ApprovalExpired,
    RateLimited,
    ConcurrencyLimited,
    // after the decision
    Quarantined,
    ArgumentsInvalid,
    ContentBlocked,
    ResponseTooLarge,
    UpstreamUnavailable,
    UpstreamTimeout,
    AuditUnavailable,
    ShuttingDown,
    Allowed,
    // outcomes without a decision
    Unauthenticated,
    BadRequest,
    OriginRefused,
    HostRefused,
    NotFound,
    Overloaded,
    Cancelled,
    Internal,
}

impl Reason {
    /// The word used in denials, records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownName => "unknown_name",
            Self::NotVisible => "not_visible",
            Self::ScopeRequired => "scope_required",
            Self::RuleDenied => "rule_denied",
            Self::Indeterminate => "indeterminate",
            Self::NoRule => "no_rule",
            Self::ApprovalRequired => "approval_required",
            Self::ApprovalDenied => "approval_denied",
            Self::ApprovalExpired => "approval_expired",
            Self::RateLimited => "rate_limited",
            Self::ConcurrencyLimited => "concurrency_limited",
            Self::Quarantined => "quarantined",
            Self::ArgumentsInvalid => "arguments_invalid",
            Self::ContentBlocked => "content_blocked",
            Self::ResponseTooLarge => "response_too_large",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::AuditUnavailable => "audit_unavailable",
            Self::ShuttingDown => "shutting_down",
            Self::Allowed => "allowed",
            Self::Unauthenticated => "unauthenticated",
            Self::BadRequest => "bad_request",
            Self::OriginRefused => "origin_refused",
            Self::HostRefused => "host_refused",
            Self::NotFound => "not_found",
            Self::Overloaded => "overloaded",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}
