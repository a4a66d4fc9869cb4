//! A bounded table of counts.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::count::Count;

/// One limit for one key.
pub(super) struct Entry {
    /// Unique in the table; also the order in which several entries are locked.
    pub(super) key: u128,
    pub(super) count: Mutex<Count>,
}

/// Entries by key. When a shard is full, unused entries go first, then the least used ones; an exhausted or held one
/// never goes, so that flooding the table with keys does not buy a caller a fresh quota.
pub(super) struct Table {
    shards: Vec<Mutex<Shard>>,
    shard_keys_max: usize,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<u128, Arc<Entry>>,
    /// Until then a full shard is not searched again.
    full_until_ns: u64,
}

impl Table {
    pub(super) fn new(keys_max: usize) -> Self {
        let shards = if keys_max >= SHARDS * SWEEP_DIVISOR { SHARDS } else { 1 };
        Self { shards: (0..shards).map(|_| Mutex::default()).collect(), shard_keys_max: (keys_max / shards).max(1) }
    }

    /// The entry of `key`, made by `make` if there is none; `None` if there is no room for it.
    pub(super) fn entry(&self, key: u128, now_ns: u64, make: impl FnOnce() -> Count) -> Option<Arc<Entry>> {
        let at = usize::try_from(key % self.shards.len() as u128).ok()?;
        let mut shard = self.shards.get(at)?.lock();
        if let Some(entry) = shard.entries.get(&key) {
            return Some(entry.clone());
        }
        if shard.entries.len() >= self.shard_keys_max && !shard.make_room(now_ns) {
            return None;
        }
        let entry = Arc::new(Entry { key, count: Mutex::new(make()) });
        shard.entries.insert(key, entry.clone());
        Some(entry)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().entries.len()).sum()
    }
}

impl Shard {
    fn make_room(&mut self, now_ns: u64) -> bool {
        if now_ns < self.full_until_ns {
            return false;
        }
        let mut candidates: Vec<(u64, u128)> = Vec::new();
        for (key, entry) in &self.entries {
            // Clones are made under this shard's lock only: a count of one means that nobody else holds the entry.
            if Arc::strong_count(entry) == 1
                && let Some(pressure) = entry.count.lock().pressure(now_ns)
            {
                candidates.push((pressure, *key));
            }
        }
        candidates.sort_unstable();
        let unused = candidates.iter().take_while(|(pressure, _)| *pressure == 0).count();
        let gone = unused.max(candidates.len().min((self.entries.len() / SWEEP_DIVISOR).max(1)));
        for (_, key) in candidates.iter().take(gone) {
            self.entries.remove(key);
        }
        if gone == 0 {
            self.full_until_ns = now_ns.saturating_add(SWEEP_PAUSE_NS);
        }
        gone > 0
    }
}

const SHARDS: usize = 64;
/// A sweep without unused entries drops this fraction, so that the next insertions need none.
const SWEEP_DIVISOR: usize = 16;
const SWEEP_PAUSE_NS: u64 = 10_000_000;
