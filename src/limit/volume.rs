//! What was delivered in a window of time, counted when it was delivered.

use std::collections::VecDeque;
use std::time::Duration;

use crate::vocab::limits::LIMITER_VOLUME_SLICES_MAX;

/// Amounts of the last `per_ns`. Amounts that came close together share a slice, which is as old as the youngest of them: a window
/// never counts less than was delivered in it, and memory does not grow with use.
pub(super) struct Volume {
    most: u64,
    per_ns: u64,
    slice_ns: u64,
    used: u64,
    /// Oldest first.
    slices: VecDeque<Slice>,
}

struct Slice {
    began_ns: u64,
    last_ns: u64,
    amount: u64,
}

impl Volume {
    pub(super) fn new(most: u64, per_ns: u64) -> Self {
        let slice_ns = per_ns.div_ceil(LIMITER_VOLUME_SLICES_MAX);
        Self { most, per_ns, slice_ns, used: 0, slices: VecDeque::new() }
    }

    /// `None` while less than the quota is used; else the time until less will be.
    pub(super) fn wait(&mut self, now_ns: u64) -> Option<Duration> {
        self.forget(now_ns);
        if self.used < self.most {
            return None;
        }
        let mut left = self.used;
        let freeing = self.slices.iter().find(|slice| {
            left = left.saturating_sub(slice.amount);
            left < self.most
        });
        let until_ns = freeing.map_or(self.per_ns, |slice| slice.last_ns.saturating_add(self.per_ns).saturating_sub(now_ns));
        Some(Duration::from_nanos(until_ns))
    }

    /// Counts what was delivered.
    pub(super) fn add(&mut self, amount: u64, now_ns: u64) {
        self.forget(now_ns);
        if amount == 0 {
            return;
        }
        self.used = self.used.saturating_add(amount);
        match self.slices.back_mut() {
            Some(slice) if now_ns < slice.began_ns.saturating_add(self.slice_ns) => {
                slice.last_ns = slice.last_ns.max(now_ns);
                slice.amount = slice.amount.saturating_add(amount);
            }
            _ => self.slices.push_back(Slice { began_ns: now_ns, last_ns: now_ns, amount }),
        }
    }

    /// How much of the quota is used, in thousandths; `None` once it is used up.
    pub(super) fn pressure(&mut self, now_ns: u64) -> Option<u64> {
        self.forget(now_ns);
        (self.used < self.most).then(|| self.used.saturating_mul(1000).div_ceil(self.most))
    }

    fn forget(&mut self, now_ns: u64) {
        while let Some(slice) = self.slices.pop_front() {
            if slice.last_ns.saturating_add(self.per_ns) > now_ns {
                self.slices.push_front(slice);
                return;
            }
            self.used = self.used.saturating_sub(slice.amount);
        }
        // Whatever saturated is over too.
        self.used = 0;
    }

    #[cfg(test)]
    pub(super) fn slices(&self) -> usize {
        self.slices.len()
    }
}
