//! Whose turn it is among the calls of a conversation whose questions name no call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::calls::Calls;
use crate::vocab::limits::ASK_TURN_MS_MAX;

/// Lets one after the other go that may be asked something.
pub(in crate::upstream) struct Turns {
    /// The other side asked something once.
    asks: AtomicBool,
    turn: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { asks: AtomicBool::new(false), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Turns {
    /// The other side asks.
    pub(in crate::upstream) fn asked(&self) {
        self.asks.store(true, Ordering::Relaxed);
    }

    /// The turn of a call of `calls` that may be asked something. Where the other side is known to ask, such calls go one after the
    /// other, so that it is clear which of them asks; one that waited too long goes beside the other, without a turn. The turn of one
    /// that was given up is free once it is known to be over, or a while later.
    pub(in crate::upstream) async fn take(&self, calls: &Calls) -> Option<OwnedSemaphorePermit> {
        calls.forget_gone(Instant::now());
        let turn = Arc::clone(&self.turn);
        if !self.asks.load(Ordering::Relaxed) {
            return turn.try_acquire_owned().ok();
        }
        let patience = Duration::from_millis(ASK_TURN_MS_MAX);
        timeout(patience, turn.acquire_owned()).await.ok().and_then(Result::ok)
    }
}
