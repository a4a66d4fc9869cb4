//! Deadlines and caps of a listener, and its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::net::Workers;
use crate::vocab::limits::TLS_HANDSHAKE_MS_MAX;

/// Every deadline and cap of one listener.
#[derive(Clone)]
pub struct DoorSettings {
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Time from the first byte of a request (for the first one: from the handshake) to the end of its head.
    pub header_timeout: Duration,
    /// Time that a connection may stay open between two requests.
    pub idle_timeout: Duration,
    /// Time that a peer may take nothing of what is waiting for it. It is cut between one and three times this long.
    pub write_timeout: Duration,
    /// Age at which a connection is asked to end: GOAWAY, or `Connection: close` with the next answer.
    pub age_max: Duration,
    /// Connections open at once; more are closed unanswered.
    pub connections: usize,
    /// Connections open at once from one address (IPv6: one /64).
    pub per_ip: usize,
    /// Counters of the listener.
    pub stats: Arc<DoorStats>,
    /// Where connections live; on the runtime of the listener if there are none.
    pub workers: Option<Arc<Workers>>,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_millis(TLS_HANDSHAKE_MS_MAX),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(10),
            age_max: Duration::from_secs(3_600),
            connections: 10_000,
            // The clients of a proxy or of one host share an address, so that only the operator can say what is too many.
            per_ip: 10_000,
            stats: Arc::default(),
            workers: None,
        }
    }
}

/// What a listener has seen since the start.
#[derive(Debug, Default)]
pub struct DoorStats {
    opened: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
}

impl DoorStats {
    /// Connections open now.
    pub fn open(&self) -> u64 {
        let closed = self.closed.load(Ordering::Relaxed);
        self.opened.load(Ordering::Relaxed).saturating_sub(closed)
    }

    /// Connections accepted within the caps.
    pub fn accepted(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Connections closed at once because a cap was reached.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections ended because a deadline passed.
    pub fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    pub(super) fn opened(self: &Arc<Self>) -> Opened {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Opened(self.clone())
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }
}

/// One open connection in the counters.
pub(super) struct Opened(Arc<DoorStats>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Relaxed);
    }
}
