//! Leases: a yes for some calls instead of one, when an approver says so.
//!
//! A lease is a request that was approved on terms: for so long, so many calls, with these arguments or with some of them bounded by
//! constraints. Everything else that an approval is bound to stays bound. It ends with its time, its last use or whoever revokes it, and
//! finds no call any more once anything that is bound has changed. It never goes to what callers confirm themselves.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ask::Case;
use super::bound::Gate;
use super::request::{Request, State};
use super::shown::Shown;
use crate::mcp::{RawJson, canonical};
use crate::policy::Constraints;
use crate::vocab::Digest;
use crate::vocab::limits::LEASE_USES_MAX;

/// Nesting of arguments and constraints; the decoder's own limit is lower.
const DEPTH_MAX: usize = 512;

/// What an approver asks for instead of one call. There is no default.
#[derive(Clone, Debug)]
pub struct Terms {
    /// From the last vote on, in minutes: from one to [`Request::lease_minutes_max`].
    pub minutes: u64,
    /// How many calls, from one to 100.
    pub uses: u32,
    /// Which arguments may differ from those of the call, and how; without it none.
    pub within: Option<RawJson>,
}

/// Terms that fit a request, and how often they were used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// From the last vote on, in minutes.
    pub minutes: u64,
    /// Calls that it lets through, all together.
    pub uses: u32,
    /// Calls that it let through.
    pub used: u32,
    /// The constraints, as the canonical text of a JSON object; without them the arguments are exactly those of the request.
    pub within: Option<Box<str>>,
    /// Digest of what no constraint covers, which every call has in common with the one that was looked at.
    pub(super) rest: Digest,
}

/// Why a yes cannot be a lease.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Shorter than a minute, or longer than the rules let one approval be used.
    #[error("a lease lasts from one minute to the time in which the rules let an approval be used, here {0} minutes")]
    Time(u64),
    /// No use, or too many.
    #[error("a lease is for 1 to {LEASE_USES_MAX} calls")]
    Uses,
    /// `from: [caller]`.
    #[error("what whoever calls confirms is confirmed one call at a time")]
    Caller,
    /// The constraints are none.
    #[error("the constraints are not understood: {0}")]
    Constraints(String),
    /// Some of the arguments cannot be seen.
    #[error(
        "the arguments are not shown in full, so that only this very call, or calls with exactly its arguments, can be approved"
    )]
    Unseen,
    /// What was looked at would not be among the calls that it lets through.
    #[error("the constraints do not hold for the arguments of this very call")]
    Outside,
    /// There is one that differs in nothing but the arguments.
    #[error("a lease of this tool for the same person and client is in force: revoke it first, or approve this very call")]
    Taken,
    /// Somebody said yes before, to one call or to another lease.
    #[error("others said yes to something else: one call, or a lease on other terms")]
    Differs,
}

impl Lease {
    /// What `terms` come to for `request`, whose arguments people are shown as `shown`.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub(super) fn of(request: &Request, shown: &Shown, terms: &Terms) -> Result<Self, LeaseError> {
        let most = request.lease_minutes_max();
        if most == 0 {
            return Err(LeaseError::Caller);
        }
        if !(1..=most).contains(&terms.minutes) {
            return Err(LeaseError::Time(most));
        }
        if !(1..=LEASE_USES_MAX).contains(&terms.uses) {
            return Err(LeaseError::Uses);
        }
        let (within, rest) = match &terms.within {
            None => (None, request.bound.arguments),
            Some(raw) => {
                let constraints = Constraints::read(raw).map_err(LeaseError::Constraints)?;
                let seen = seen(request, shown).ok_or(LeaseError::Unseen)?;
                let rest = constraints.rest(&seen).ok_or(LeaseError::Outside)?;
                (Some(constraints.as_str().into()), Digest::of(&rest))
            }
        };
        Ok(Self { minutes: terms.minutes, uses: terms.uses, used: 0, within, rest })
    }

    /// Whether calls with these arguments, whose digest is `digest`, are among those that it lets through.
    pub(super) fn covers(&self, arguments: Option<&RawJson>, digest: Digest) -> bool {
        let Some(within) = &self.within else { return digest == self.rest };
        let raw = RawJson::parse(Bytes::copy_from_slice(within.as_bytes()), DEPTH_MAX);
        let constraints = raw.ok().and_then(|raw| Constraints::read(&raw).ok());
        let rest = constraints.zip(arguments).and_then(|(constraints, arguments)| constraints.rest(arguments));
        rest.is_some_and(|rest| Digest::of(&rest) == self.rest)
    }

    /// Whether `other` says the same, however often either was used.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Self { used: 0, ..self.clone() } == Self { used: 0, ..other.clone() }
    }
}

/// The arguments that people see, if that is all of them: the rendering reads back as what the digest is of.
fn seen(request: &Request, shown: &Shown) -> Option<RawJson> {
    if shown.masked > 0 || shown.left_out_bytes > 0 {
        return None;
    }
    let read = RawJson::parse(Bytes::copy_from_slice(shown.text.as_bytes()), DEPTH_MAX).ok()?;
    (canonical::digest(Some(&read)) == request.bound.arguments).then_some(read)
}

impl Request {
    /// The longest lease that can be made of it, in minutes: the shortest time in which the rules let an approval be used. None where
    /// whoever calls confirms.
    pub fn lease_minutes_max(&self) -> u64 {
        let of_caller = |gate: &Gate| gate.from.iter().any(|word| word == "caller");
        let asked_s = self.asked_unix_ms / 1_000;
        let pending = self.state == State::Pending && !self.bound.gates.iter().any(of_caller);
        if pending { self.expires_unix_s.saturating_sub(asked_s) / 60 } else { 0 }
    }

    /// The lease that it is, while calls can be made under it.
    pub fn lease_in_force(&self) -> Option<&Lease> {
        self.lease.as_ref().filter(|_| self.state == State::Approved)
    }

    /// Whether it approves the call of `case`, whose digest is `call`.
    pub(super) fn is_for(&self, case: &Case, call: &Digest) -> bool {
        match &self.lease {
            None => self.digest == *call,
            Some(lease) => {
                let bound = &case.bound;
                self.bound.scope() == bound.scope() && lease.covers(case.arguments.as_ref(), bound.arguments)
            }
        }
    }
}
