//! What a rule demands besides its conditions.

use std::sync::Arc;
use std::time::Duration;

/// What a limit is counted by. One counter exists per distinct combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// The (issuer, subject) who asks.
    Principal,
    /// The OAuth client.
    Client,
    /// The tenant claim.
    Tenant,
    /// The full name of the tool, prompt or resource.
    Tool,
    /// The class of the operation.
    Class,
    /// The server asked.
    Upstream,
    /// The route the request came by.
    Route,
    /// The groups of the principal.
    Group,
}

impl By {
    /// Every word a policy may use, with its meaning.
    pub(super) const WORDS: [(&'static str, Self); 8] = [
        ("principal", Self::Principal),
        ("client", Self::Client),
        ("tenant", Self::Tenant),
        ("tool", Self::Tool),
        ("class", Self::Class),
        ("upstream", Self::Upstream),
        ("route", Self::Route),
        ("group", Self::Group),
    ];
}

/// How much a limit lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quota {
    /// This many calls in any window of this length.
    Calls {
        /// Calls, from 1.
        calls: u32,
        /// The window, from one millisecond to 31 days.
        per: Duration,
    },
    /// This many calls at one time, from 1.
    Concurrent(u32),
}

/// One limit of one rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit {
    /// Id of the rule.
    pub rule: Arc<str>,
    /// Which limit of the rule: its position in canonical order, the same however the file orders them.
    pub index: u16,
    /// How much.
    pub quota: Quota,
    /// Counted by these together; empty for one counter for everybody. Sorted.
    pub by: Box<[By]>,
}
