//! A point in time after which nobody waits any more.

use std::time::{Duration, Instant};

/// The latest instant at which an answer is still wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline `after` from now.
    pub fn after(after: Duration) -> Self {
        Self(Instant::now() + after)
    }

    /// A deadline `after` from `start`.
    pub fn of(start: Instant, after: Duration) -> Self {
        Self(start + after)
    }

    /// The instant itself, for timers.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The earlier of this deadline and `after` from now.
    pub fn capped(self, after: Duration) -> Self {
        self.min(Self::after(after))
    }

    /// The deadline moved back by `more`.
    #[must_use]
    pub fn later(self, more: Duration) -> Self {
        Self(self.0 + more)
    }

    /// Time left; zero once passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}
