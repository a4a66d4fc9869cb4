//! Access tokens that ended before their time. Remembered until they would have ended anyway, in memory for every request to ask,
//! and in the store for the next start.

use std::collections::HashMap;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::store::{Space, Store, StoreError};
use crate::vocab::Clock;

/// Tokens remembered; beyond, what would end soonest is forgotten first only when it has ended: further revocations are refused.
const ENDED_MAX: usize = 100_000;

/// The set. Ids are `jti` values of our own tokens.
pub struct EndedTokens {
    ended: RwLock<HashMap<String, u64>>,
    changed: watch::Sender<()>,
    store: Store,
    clock: Clock,
}

impl EndedTokens {
    /// Reads what the store remembers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(store: Store, clock: Clock) -> Result<Self, StoreError> {
        let limit = u32::try_from(ENDED_MAX).unwrap_or(u32::MAX);
        let listed = store.list(Space::RevokedToken, b"", limit).await?;
        let read = |(key, value): (Vec<u8>, Vec<u8>)| {
            let ends_s = u64::from_be_bytes(value.try_into().ok()?);
            Some((String::from_utf8(key).ok()?, ends_s))
        };
        let ended = listed.into_iter().filter_map(read).collect();
        Ok(Self { ended: RwLock::new(ended), changed: watch::Sender::new(()), store, clock })
    }

    /// Whether the token `jti` was ended. Runs for every request.
    pub fn holds(&self, jti: &str) -> bool {
        let ended = self.ended.read();
        !ended.is_empty() && ended.contains_key(jti)
    }

    /// Changes when a token ends: answers that are still being given look again.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Ends the tokens `(jti, ends_s)`, each of which would hold until then; at once here, and in the store before this returns.
    ///
    /// # Errors
    /// The first [`StoreError`]. All of them are ended here all the same, as far as there is room, and every one was tried.
    pub async fn add(&self, tokens: &[(&str, u64)]) -> Result<(), StoreError> {
        let now_s = self.clock.unix_s();
        // Verifiers tolerate a difference of clocks.
        let until = tokens.iter().map(|(jti, ends_s)| (*jti, ends_s.saturating_add(LEEWAY_S)));
        let until: Vec<(&str, u64)> = until.filter(|(_, until_s)| *until_s > now_s).collect();
        if until.is_empty() {
            return Ok(());
        }
        let mut done = self.remember(&until, now_s);
        self.changed.send_replace(());
        for (jti, until_s) in until {
            let put = self.store.put(Space::RevokedToken, jti.as_bytes(), &until_s.to_be_bytes(), Some(until_s)).await;
            done = done.and(put);
        }
        done
    }

    fn remember(&self, until: &[(&str, u64)], now_s: u64) -> Result<(), StoreError> {
        let mut ended = self.ended.write();
        if ended.len().saturating_add(until.len()) > ENDED_MAX {
            ended.retain(|_, until_s| *until_s > now_s);
        }
        for (jti, until_s) in until {
            if ended.len() >= ENDED_MAX && !ended.contains_key(*jti) {
                return Err(StoreError::Busy);
            }
            ended.insert((*jti).to_owned(), *until_s);
        }
        Ok(())
    }
}

/// More than the largest difference of clocks that can be configured.
const LEEWAY_S: u64 = 120;
