//! The word that the process is stopping, and how long unfinished work may still take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Says once, to every clone, that no new work is wanted. Cheap to ask on every request.
#[derive(Clone, Debug)]
pub struct Drain {
    begun: Signal,
    grace: Duration,
}

impl Drain {
    /// A drain that has not begun; unfinished work gets `grace` once it does.
    pub fn new(grace: Duration) -> Self {
        Self { begun: Signal::new(), grace }
    }

    /// Starts the drain. Repeating it changes nothing.
    pub fn begin(&self) {
        self.begun.raise();
    }

    /// True once the drain has begun. One atomic load.
    pub fn begun(&self) -> bool {
        self.begun.raised()
    }

    /// Waits until the drain begins.
    pub async fn wait(&self) {
        self.begun.wait().await;
    }

    /// Time that unfinished work gets after the drain began, before it is cut.
    pub fn grace(&self) -> Duration {
        self.grace
    }
}

/// A flag that can be raised once and waited for. The flag is read without a lock, unlike the token's own state.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    raised: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self { raised: Arc::default(), token: CancellationToken::new() }
    }

    pub(crate) fn raise(&self) {
        // The flag first: whoever the token wakes must find it set.
        self.raised.store(true, Ordering::Release);
        self.token.cancel();
    }

    pub(crate) fn raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    pub(crate) async fn wait(&self) {
        self.token.cancelled().await;
    }
}
