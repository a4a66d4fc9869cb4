//! How fast an upstream's streams are read, and how soon they are opened anew.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::net::backoff::pause;
use crate::vocab::limits::{
    WATCH_BYTES_PER_S_MAX, WATCH_MESSAGES_PER_S_MAX, WATCH_PAUSE_MS_MAX, WATCH_PAUSE_MS_MIN, WATCH_STEADY_MS,
};

/// Counts what is read, second by second. What is over the bound waits, and with it whoever sends.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    messages: u32,
    bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { since: Instant::now(), messages: 0, bytes: 0 }
    }
}

impl Pace {
    /// Waits until more may be read. Safe to drop and call again.
    pub(super) async fn room(&mut self) {
        if let Some(until) = self.full_until() {
            sleep_until(until).await;
        }
        if self.since.elapsed() >= SECOND {
            *self = Self::default();
        }
    }

    fn full_until(&self) -> Option<Instant> {
        let full = self.messages >= WATCH_MESSAGES_PER_S_MAX || self.bytes >= WATCH_BYTES_PER_S_MAX;
        full.then(|| self.since + SECOND)
    }

    /// Counts what was read.
    pub(super) fn took(&mut self, messages: u32, bytes: usize) {
        self.messages = self.messages.saturating_add(messages);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Pauses between attempts ([`pause`]), which start over after a steady time.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    failures: u32,
}

impl Pauses {
    /// The pause after something that lived for `lived`.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= Duration::from_millis(WATCH_STEADY_MS) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        pause(self.failures, WATCH_PAUSE_MS_MIN..=WATCH_PAUSE_MS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_over_after_a_steady_time() {
        let mut pauses = Pauses::default();
        let mut longest = Duration::from_millis(WATCH_PAUSE_MS_MIN);
        for _ in 0..40 {
            let pause = pauses.after(Duration::ZERO);
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?} {longest:?}");
            longest = (longest * 2).min(Duration::from_millis(WATCH_PAUSE_MS_MAX));
        }
        let first = pauses.after(Duration::from_millis(WATCH_STEADY_MS));
        assert!(first <= Duration::from_millis(WATCH_PAUSE_MS_MIN));
    }

    #[test]
    fn what_is_over_the_bound_waits_for_the_next_second() {
        for (messages, bytes, waits) in [
            (WATCH_MESSAGES_PER_S_MAX, 0, true),
            (0, WATCH_BYTES_PER_S_MAX, true),
            (WATCH_MESSAGES_PER_S_MAX - 1, WATCH_BYTES_PER_S_MAX - 1, false),
        ] {
            let mut pace = Pace::default();
            pace.took(messages, bytes);
            assert_eq!(pace.full_until().is_some(), waits, "{messages} {bytes}");
            pace.took(1, 1);
            assert!(pace.full_until().is_some());
        }
    }
}
