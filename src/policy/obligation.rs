//! What a rule demands besides its conditions.

use std::sync::Arc;
use std::time::Duration;

use super::rule::Rule;
use super::who::Who;
use crate::vocab::{Principal, PrincipalKey};

/// Every word for an obligation, in the order in which records and cases list them.
pub const WORDS: [&str; 5] = ["approval", "limit", "redact", "deadline", "audit"];

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
    /// This many bytes of results, as upstreams send them, in any window of this length. Counted when an answer ends: what is
    /// under way can exceed the window.
    Bytes {
        /// Bytes, from 1.
        bytes: u64,
        /// The window, from one millisecond to 31 days.
        per: Duration,
    },
    /// This many tokens of results, a quarter of the bytes of their text rounded up, in any window of this length. Counted as bytes
    /// are.
    ResponseTokens {
        /// Tokens, from 1.
        tokens: u64,
        /// The window, from one millisecond to 31 days.
        per: Duration,
    },
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

/// A call that must be approved by people before it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Id of the rule.
    pub rule: Arc<str>,
    pub(super) from: Arc<[Approver]>,
    /// How many different people must say yes, from 1.
    pub quorum: u8,
    /// Whether who asks may be one of them. Does not concern `from: [caller]`, which is nobody but who asks.
    pub requester: bool,
    /// How long the approval may be waited for, and used once it is given; from one minute to a day.
    pub expires: Duration,
}

/// An entry of `from`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Approver {
    /// Who asks.
    Caller,
    Who(Who),
}

impl Approval {
    /// Whether `person` counts as an approver of what `requester` asked. Persons are told apart by (issuer, subject).
    pub fn counts(&self, person: &Principal, requester: &PrincipalKey) -> bool {
        let same = (&person.iss, &person.sub) == (&requester.iss, &requester.sub);
        self.from.iter().any(|entry| match entry {
            Approver::Caller => same,
            Approver::Who(who) => (self.requester || !same) && who.is(person),
        })
    }

    /// Whether nobody but who asks can give it: `from: [caller]`.
    pub fn is_of_caller(&self) -> bool {
        self.from.iter().all(|entry| *entry == Approver::Caller)
    }

    /// The entries of `from`, as a policy file says them.
    pub fn words(&self) -> Vec<String> {
        let word = |entry: &Approver| match entry {
            Approver::Caller => "caller".to_owned(),
            Approver::Who(who) => who.word(),
        };
        self.from.iter().map(word).collect()
    }
}

/// What a rule demands besides scopes and limits.
#[derive(Clone, Debug, Default)]
pub(super) struct Demands {
    pub(super) approval: Option<Arc<Approval>>,
    pub(super) redact: bool,
    pub(super) deadline: Option<Duration>,
    /// Pointers to arguments whose values are recorded. Sorted.
    pub(super) audit: Box<[Arc<str>]>,
}

impl Demands {
    fn is_empty(&self) -> bool {
        let Self { approval, redact, deadline, audit } = self;
        approval.is_none() && !redact && deadline.is_none() && audit.is_empty()
    }
}

/// The demands of every rule that allows, joined: the strictest wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Duties {
    pub(super) approvals: Vec<Arc<Approval>>,
    pub(super) redact: bool,
    pub(super) deadline: Option<Duration>,
    pub(super) audit: Vec<Arc<str>>,
}

impl Duties {
    /// `None` if the rules demand nothing, which costs nothing.
    pub(super) fn join(rules: &[&Rule]) -> Option<Box<Self>> {
        if rules.iter().all(|rule| rule.demands.is_empty()) {
            return None;
        }
        let mut duties = Self::default();
        for Demands { approval, redact, deadline, audit } in rules.iter().map(|rule| &rule.demands) {
            duties.approvals.extend(approval.clone());
            duties.redact |= redact;
            duties.deadline = [duties.deadline, *deadline].into_iter().flatten().min();
            duties.audit.extend(audit.iter().cloned());
        }
        duties.audit.sort();
        duties.audit.dedup();
        strictest(&mut duties.approvals);
        Some(Box::new(duties))
    }
}

/// Each approval is met separately; the shortest expiry and `requester: false` hold for all of them.
fn strictest(approvals: &mut [Arc<Approval>]) {
    let Some(expires) = approvals.iter().map(|approval| approval.expires).min() else { return };
    let requester = approvals.iter().all(|approval| approval.requester);
    for approval in approvals {
        if (approval.expires, approval.requester) != (expires, requester) {
            *approval = Arc::new(Approval { expires, requester, ..Approval::clone(approval) });
        }
    }
}
