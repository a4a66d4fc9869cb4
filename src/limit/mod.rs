//! Keyed limits: calls in a window of time, and calls at one time.
//!
//! Layer 4. State lives here and outside of any snapshot, keyed by stable ids: reloading a policy resets nothing, unless
//! the quota itself changed.
//!
//! # How calls are counted
//! `calls: N, per: T`, for N up to [`LIMITER_EXACT_CALLS_MAX`], is a log of the last N calls: N may come at once, and no
//! window of length T ever sees more than N. A token bucket of the same burst and rate would let 2N pass in one window.
//! For a larger N the log would cost too much memory, and governor's GCRA takes its place: N/20 may come at once, then
//! one call each T/N, so that no window of length T sees more than 105 % of N.
//!
//! `bytes` and `response_tokens` count what answers delivered, when they end ([`Lease`]): a call passes while less than the quota
//! was delivered in the window before it. A window can be exceeded by the answers that are under way, each of which is bounded.
//!
//! # Counted by what
//! By (rule, position in the rule, quota, values of `by`). A limit counted by group counts in each group of the
//! principal (its `groups` claim) and refuses when one of them is full. A principal without a client, tenant or group
//! shares one count with others of its issuer who have none.

mod count;
mod key;
mod monotonic;
mod table;
mod volume;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use count::{Count, Room};
use key::Fingerprints;
pub use key::Subject;
pub use monotonic::Monotonic;
use table::{Entry, Table};

use crate::policy::obligation::{Limit, Quota};
use crate::policy::permit::{Lease, Used};
use crate::vocab::limits::LIMITER_KEYS_MAX;
use crate::vocab::{Denial, Reason};

#[cfg(doc)]
use crate::vocab::limits::LIMITER_EXACT_CALLS_MAX;

/// All limits of the process. Bounded by [`LIMITER_KEYS_MAX`] keys; when these are all in use to their limit, a new key
/// is refused rather than an exhausted one forgotten.
pub struct Limiter {
    table: Table,
    fingerprints: Fingerprints,
    time: Monotonic,
}

impl Limiter {
    /// A limiter that has counted nothing yet.
    pub fn new(time: Monotonic) -> Self {
        Self::with_keys_max(time, usize::try_from(LIMITER_KEYS_MAX).unwrap_or(usize::MAX))
    }

    fn with_keys_max(time: Monotonic, keys_max: usize) -> Self {
        Self { table: Table::new(keys_max), fingerprints: Fingerprints::default(), time }
    }

    /// Takes one call from every limit, or nothing from any. The lease returns what is held for the length of the call
    /// when it drops; calls per time stay taken.
    ///
    /// # Errors
    /// [`Reason::RateLimited`] or, if only those refuse, [`Reason::ConcurrencyLimited`], with the rule. `retry_after`
    /// is the longest wait among the limits that refused, absent where nobody can know it.
    pub fn take(&self, limits: &[Arc<Limit>], subject: &Subject<'_>) -> Result<Lease, Denial> {
        let now_ns = if limits.is_empty() { 0 } else { self.time.now_ns() };
        let mut counted = Vec::new();
        for limit in limits {
            self.entries(limit, subject, now_ns, &mut counted)?;
        }
        // One order for everybody, so that two calls never wait for each other's locks; one limit named twice counts once.
        counted.sort_unstable_by_key(|(entry, _)| entry.key);
        counted.dedup_by_key(|(entry, _)| entry.key);
        take_all(&counted, now_ns)?;
        Ok(self.lease(counted))
    }

    fn lease(&self, counted: Vec<(Arc<Entry>, &Arc<Limit>)>) -> Lease {
        let mut held = Vec::new();
        let mut charged: Vec<(Arc<Entry>, Amount)> = Vec::new();
        for (entry, limit) in counted {
            match limit.quota {
                Quota::Calls { .. } => {}
                Quota::Concurrent(_) => held.push(entry),
                Quota::Bytes { .. } => charged.push((entry, |used| used.bytes)),
                Quota::ResponseTokens { .. } => charged.push((entry, Used::tokens)),
            }
        }
        let release = (!held.is_empty()).then(|| -> Box<dyn FnOnce() + Send + Sync> {
            Box::new(move || {
                for entry in &held {
                    entry.count.lock().give_back();
                }
            })
        });
        let time = self.time.clone();
        let charge = (!charged.is_empty()).then(|| -> Box<dyn FnOnce(Used) + Send + Sync> {
            Box::new(move |used| {
                let now_ns = time.now_ns();
                for (entry, amount) in &charged {
                    entry.count.lock().charge(amount(used), now_ns);
                }
            })
        });
        Lease::assertion(release, charge)
    }

    fn entries<'a>(
        &self,
        limit: &'a Arc<Limit>,
        subject: &Subject<'_>,
        now_ns: u64,
        into: &mut Vec<(Arc<Entry>, &'a Arc<Limit>)>,
    ) -> Result<(), Denial> {
        let mut fits = true;
        let known =
            self.fingerprints.each(limit, subject, |key| match self.table.entry(key, now_ns, || Count::new(limit.quota)) {
                Some(entry) => into.push((entry, limit)),
                None => fits = false,
            });
        if known.is_ok() && fits { Ok(()) } else { Err(denial(limit, None)) }
    }
}

/// What of an answer a limit counts.
type Amount = fn(Used) -> u64;

fn take_all(counted: &[(Arc<Entry>, &Arc<Limit>)], now_ns: u64) -> Result<(), Denial> {
    let mut refused: Option<Denial> = None;
    let mut counts = Vec::with_capacity(counted.len());
    for (entry, limit) in counted {
        let mut count = entry.count.lock();
        if let Room::Full(wait) = count.check(now_ns) {
            let next = denial(limit, wait);
            let rank = |d: &Denial| (d.reason == Reason::RateLimited, d.retry_after);
            if refused.as_ref().is_none_or(|best| rank(&next) > rank(best)) {
                refused = Some(next);
            }
        }
        counts.push(count);
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    for count in &mut counts {
        count.take(now_ns);
    }
    Ok(())
}

fn denial(limit: &Limit, retry_after: Option<Duration>) -> Denial {
    let reason = match limit.quota {
        Quota::Calls { .. } | Quota::Bytes { .. } | Quota::ResponseTokens { .. } => Reason::RateLimited,
        Quota::Concurrent(_) => Reason::ConcurrencyLimited,
    };
    Denial { rule: Some(limit.rule.clone()), retry_after, ..Denial::new(reason) }
}
