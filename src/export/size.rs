//! How much is sent at once: less after what was too much, and more again with care.

use super::limits::{SINK_BATCH_BYTES_MAX, SINK_BATCH_RECORDS_MAX, SINK_GROWTH_BATCHES_MAX, SINK_HALVINGS_MAX};

/// See the module. It begins with the most.
pub(super) struct Size {
    halvings: u32,
    /// Batches that were taken since it changed, or since it is the most.
    taken: u32,
    /// As many must be before more is tried.
    wanted: u32,
    /// The last change was to more.
    grew: bool,
}

impl Size {
    pub(super) fn new() -> Self {
        Self { halvings: 0, taken: 0, wanted: 1, grew: false }
    }

    /// Records and bytes.
    pub(super) fn now(&self) -> (u64, usize) {
        ((SINK_BATCH_RECORDS_MAX >> self.halvings).max(1), SINK_BATCH_BYTES_MAX >> self.halvings)
    }

    /// That was too much, or may have been: half of it from now on, down to one record. Whoever shows again and again where the bound
    /// is has larger batches tried less and less often. False if there is no less.
    pub(super) fn too_much(&mut self) -> bool {
        let before = self.halvings;
        if self.grew {
            self.wanted = (self.wanted * 2).min(SINK_GROWTH_BATCHES_MAX);
        }
        (self.halvings, self.taken, self.grew) = ((before + 1).min(SINK_HALVINGS_MAX), 0, false);
        self.halvings > before
    }

    /// Whether it is more now than what was taken last: where that fails, the bound was met and nothing else is wrong.
    pub(super) fn probes(&self) -> bool {
        self.grew && self.taken == 0
    }

    /// That was taken.
    pub(super) fn taken(&mut self) {
        self.taken = self.taken.saturating_add(1);
        if self.halvings == 0 {
            self.wanted = 1;
            return;
        }
        if self.taken >= self.wanted {
            (self.halvings, self.taken, self.grew) = (self.halvings - 1, 0, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_comes_down_to_one_record_and_back() {
        let mut size = Size::new();
        assert_eq!(size.now(), (SINK_BATCH_RECORDS_MAX, SINK_BATCH_BYTES_MAX));
        assert!(size.too_much());
        assert_eq!(size.now(), (SINK_BATCH_RECORDS_MAX / 2, SINK_BATCH_BYTES_MAX / 2));
        assert_eq!((0..100).filter(|_| size.too_much()).count(), 9);
        assert_eq!(size.now().0, 1);
        assert!(size.now().1 > 0);
        for _ in 0..SINK_HALVINGS_MAX {
            size.taken();
        }
        assert_eq!(size.now(), (SINK_BATCH_RECORDS_MAX, SINK_BATCH_BYTES_MAX), "twice as much after each");
    }

    #[test]
    fn a_bound_is_met_again_less_and_less_often() {
        let (mut size, mut refused, mut sent) = (Size::new(), 0_u32, 0_u64);
        for _ in 0..10_000 {
            let (records, bytes) = size.now();
            if bytes > 64 * 1024 {
                refused += 1;
                assert_eq!(size.probes(), sent > 0, "but for the first time, less was taken before");
                assert!(size.too_much() && !size.probes());
            } else {
                sent += records;
                size.taken();
            }
        }
        assert!(refused < 40, "{refused}");
        assert!(sent > 9_900 * (SINK_BATCH_RECORDS_MAX / 16));
    }
}
