//! The state of one limit for one key.
//!
//! Every count answers a check without changing, and changes only when told to: several limits can be tried together
//! and taken together.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{RateLimiter, clock};

use super::monotonic::nanos;
use super::volume::Volume;
use crate::policy::obligation::Quota;
use crate::vocab::limits::LIMITER_EXACT_CALLS_MAX;

/// What a count would say to one more call.
pub(super) enum Room {
    /// It fits.
    Free,
    /// It does not; the time until it would, where that is known.
    Full(Option<Duration>),
}

/// A count by one quota.
pub(super) enum Count {
    /// The instants of the calls of the last `per_ns`, oldest first: exact.
    Log { calls: usize, per_ns: u64, taken_ns: VecDeque<u64> },
    /// The generic cell rate algorithm: constant space.
    Smooth(Smooth),
    /// Calls going on.
    Slots { most: u32, used: u32 },
    /// What answers delivered.
    Volume(Volume),
}

impl Count {
    pub(super) fn new(quota: Quota) -> Self {
        match quota {
            Quota::Concurrent(most) => Self::Slots { most, used: 0 },
            Quota::Bytes { bytes: most, per } | Quota::ResponseTokens { tokens: most, per } => {
                Self::Volume(Volume::new(most, nanos(per)))
            }
            Quota::Calls { calls, per } => match Smooth::new(calls, per) {
                Some(smooth) => Self::Smooth(smooth),
                None => Self::Log {
                    calls: usize::try_from(calls).unwrap_or(usize::MAX),
                    per_ns: nanos(per),
                    taken_ns: VecDeque::new(),
                },
            },
        }
    }

    /// Whether one more call fits at `now_ns`. Takes nothing.
    pub(super) fn check(&mut self, now_ns: u64) -> Room {
        match self {
            Self::Log { calls, per_ns, taken_ns } => {
                forget(taken_ns, *per_ns, now_ns);
                if taken_ns.len() < *calls {
                    return Room::Free;
                }
                let wait = taken_ns.front().map(|first| first.saturating_add(*per_ns).saturating_sub(now_ns));
                Room::Full(wait.map(Duration::from_nanos))
            }
            Self::Smooth(smooth) => smooth.check(now_ns),
            Self::Slots { most, used } if *used < *most => Room::Free,
            Self::Slots { .. } => Room::Full(None),
            Self::Volume(volume) => volume.wait(now_ns).map_or(Room::Free, |wait| Room::Full(Some(wait))),
        }
    }

    /// Takes the call that [`Count::check`] just allowed at the same instant.
    pub(super) fn take(&mut self, now_ns: u64) {
        match self {
            Self::Log { taken_ns, .. } => taken_ns.push_back(now_ns),
            Self::Smooth(smooth) => smooth.cell.commit(),
            Self::Slots { used, .. } => *used = used.saturating_add(1),
            // What the call will deliver is not known yet.
            Self::Volume(_) => {}
        }
    }

    /// Counts what a call delivered, if that is what is counted.
    pub(super) fn charge(&mut self, amount: u64, now_ns: u64) {
        if let Self::Volume(volume) = self {
            volume.add(amount, now_ns);
        }
    }

    /// Gives a slot back; what was called stays called.
    pub(super) fn give_back(&mut self) {
        if let Self::Slots { used, .. } = self {
            *used = used.saturating_sub(1);
        }
    }

    /// How much of the quota is used, in thousandths. `None`: nothing may be forgotten, the quota is exhausted or held.
    pub(super) fn pressure(&mut self, now_ns: u64) -> Option<u64> {
        if let Self::Slots { used, .. } = self {
            return (*used == 0).then_some(0);
        }
        if let Self::Volume(volume) = self {
            return volume.pressure(now_ns);
        }
        if matches!(self.check(now_ns), Room::Full(_)) {
            return None;
        }
        Some(match self {
            Self::Log { calls, taken_ns, .. } => taken_ns.len().saturating_mul(1000).checked_div(*calls).unwrap_or(0) as u64,
            Self::Smooth(smooth) => smooth.pressure(now_ns),
            Self::Slots { .. } | Self::Volume(_) => 0,
        })
    }
}

fn forget(taken_ns: &mut VecDeque<u64>, per_ns: u64, now_ns: u64) {
    while taken_ns.front().is_some_and(|first| first.saturating_add(per_ns) <= now_ns) {
        taken_ns.pop_front();
    }
}

/// A governor limiter whose decisions are only proposals until they are committed.
pub(super) struct Smooth {
    limiter: RateLimiter<NotKeyed, Proposal, Proposal, NoOpMiddleware<Nanos>>,
    cell: Arc<Cell>,
    whole_ns: u64,
}

#[derive(Default)]
struct Cell {
    now_ns: AtomicU64,
    /// Theoretical arrival time; 0 before the first call.
    current_ns: AtomicU64,
    proposed_ns: AtomicU64,
}

impl Cell {
    fn commit(&self) {
        self.current_ns.store(self.proposed_ns.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// The limiter's store and its clock: both read the cell that the caller holds under its lock.
struct Proposal(Arc<Cell>);

impl Smooth {
    /// `None` for quotas small enough to be counted exactly.
    fn new(calls: u32, per: Duration) -> Option<Self> {
        if calls <= LIMITER_EXACT_CALLS_MAX {
            return None;
        }
        let each_ns = nanos(per).div_ceil(u64::from(calls)).max(1);
        let burst = NonZeroU32::new(calls / BURST_DIVISOR)?;
        let quota = governor::Quota::with_period(Duration::from_nanos(each_ns))?.allow_burst(burst);
        let cell = Arc::<Cell>::default();
        let limiter = RateLimiter::new(quota, Proposal(cell.clone()), Proposal(cell.clone()));
        Some(Self { limiter, cell, whole_ns: each_ns.saturating_mul(u64::from(burst.get())) })
    }

    fn check(&self, now_ns: u64) -> Room {
        self.cell.now_ns.store(now_ns, Ordering::Relaxed);
        match self.limiter.check() {
            Ok(()) => Room::Free,
            Err(until) => Room::Full(Some(until.wait_time_from(Nanos::from(now_ns)))),
        }
    }

    fn pressure(&self, now_ns: u64) -> u64 {
        let owed_ns = self.cell.current_ns.load(Ordering::Relaxed).saturating_sub(now_ns);
        owed_ns.saturating_mul(1000).div_ceil(self.whole_ns)
    }
}

impl StateStore for Proposal {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let current_ns = self.0.current_ns.load(Ordering::Relaxed);
        let (outcome, next) = decide((current_ns > 0).then(|| Nanos::from(current_ns)))?;
        self.0.proposed_ns.store(next.into(), Ordering::Relaxed);
        Ok(outcome)
    }
}

impl clock::Clock for Proposal {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.now_ns.load(Ordering::Relaxed))
    }
}

/// A smoothed limit may be used this fraction of it at once, and exceeds itself by no more in any window.
const BURST_DIVISOR: u32 = 20;
