//! Time that never runs backwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nanoseconds since this value was made. Limits are counted against it and not against the wall clock, so that a step
/// of the wall clock neither stalls nor frees a caller. Clones share one offset.
#[derive(Clone, Debug)]
pub struct Monotonic {
    /// `None` for a clock that only moves when told to.
    start: Option<Instant>,
    offset_ns: Arc<AtomicU64>,
}

impl Monotonic {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Some(Instant::now()), offset_ns: Arc::default() }
    }

    /// A clock that only [`Self::advance`] moves, for tests.
    pub fn stopped() -> Self {
        Self { start: None, offset_ns: Arc::default() }
    }

    /// Moves this clock and its clones forward.
    pub fn advance(&self, by: Duration) {
        self.offset_ns.fetch_add(nanos(by), Ordering::Relaxed);
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.start.map_or(0, |start| nanos(start.elapsed())).saturating_add(self.offset_ns.load(Ordering::Relaxed))
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
