//! Obligations.
use std::sync::Arc;
use std::time::Duration;

/// What a limit is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "stub")]
pub enum By {
    Principal,
    Client,
    Tenant,
    Tool,
    Class,
    Upstream,
    Route,
    Group,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Calls in any window of `per`.
    Calls {
        /// How many.
        calls: u32,
        /// In what time.
        per: Duration,
    },
    /// Calls at one time.
    Concurrent(u32),
}

/// One limit of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The rule's id.
    pub rule: Arc<str>,
    /// Position within the rule.
    pub index: u16,
    /// How much.
    pub quota: Quota,
    /// Counted by.
    pub by: Box<[By]>,
}
