//! Proofs that were used. Bounded: when there is no room to remember one more, it is refused.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::super::crypto::{CryptoError, random, sha256_of};

/// Parts of the memory, each with a lock of its own.
const SHARDS: usize = 64;
/// Proofs remembered by one part: a million in all, about 32 MiB when all are there.
const SHARD_ENTRIES_MAX: usize = 16 * 1024;

pub(in super::super) struct Replays {
    shards: Box<[Mutex<Shard>]>,
    /// Nobody outside can choose which part a proof falls into.
    salt: [u8; 32],
    next: AtomicUsize,
    entries_max: usize,
}

#[derive(Default)]
struct Shard {
    /// Digest of key and id -> the second from which the proof is refused anyway.
    used: HashMap<u128, u64>,
    /// When a full part was last swept, so that being full costs no more than a look.
    swept_s: u64,
}

impl Replays {
    pub(in super::super) fn new() -> Result<Self, CryptoError> {
        Self::of(SHARDS, SHARD_ENTRIES_MAX)
    }

    pub(in super::super) fn of(shards: usize, entries_max: usize) -> Result<Self, CryptoError> {
        let shards = (0..shards).map(|_| Mutex::default()).collect();
        Ok(Self { shards, salt: random()?, next: AtomicUsize::new(0), entries_max })
    }

    /// Remembers the proof `id` of the key with `thumbprint` until `ends_s`.
    ///
    /// # Errors
    /// It was used before, or cannot be remembered.
    pub(in super::super) fn first(&self, thumbprint: &[u8; 32], id: &str, ends_s: u64, now_s: u64) -> Result<(), &'static str> {
        let digest = sha256_of(&[&self.salt, thumbprint, id.as_bytes()]);
        let (head, _) = digest.split_first_chunk::<16>().ok_or("no digest")?;
        let key = u128::from_be_bytes(*head);
        let at = usize::from(digest.last().copied().unwrap_or_default()) % self.shards.len().max(1);
        let mut shard = self.shards.get(at).ok_or("no memory for proofs")?.lock();
        if shard.used.get(&key).is_some_and(|ends_s| *ends_s > now_s) {
            return Err("the proof was used before");
        }
        if shard.used.len() >= self.entries_max {
            if shard.swept_s == now_s {
                return Err("too many proofs at once");
            }
            shard.sweep(now_s);
            if shard.used.len() >= self.entries_max {
                return Err("too many proofs at once");
            }
        }
        // A proof holds through the last second, so it is remembered beyond it.
        shard.used.insert(key, ends_s.saturating_add(1));
        Ok(())
    }

    /// Sweeps the next part.
    pub(super) fn sweep(&self, now_s: u64) {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len().max(1);
        if let Some(shard) = self.shards.get(at) {
            shard.lock().sweep(now_s);
        }
    }
}

impl Shard {
    fn sweep(&mut self, now_s: u64) {
        self.swept_s = now_s;
        self.used.retain(|_, ends_s| *ends_s > now_s);
        self.used.shrink_to(self.used.len().saturating_mul(2));
    }
}
