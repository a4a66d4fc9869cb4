//! What the writer says of the log, for whoever asks meanwhile.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::checkpoint::{Checkpoint, LogId};
use super::log::Log;
use super::settings::Durability;
use super::state::{AuditState, CheckpointState};
use crate::telemetry::metrics::Metrics;

/// Written once per batch.
pub(super) struct Facts {
    now: Mutex<Now>,
    /// The last checkpoint that is on disk.
    checkpoints: watch::Sender<Option<Arc<Checkpoint>>>,
    metrics: OnceLock<Arc<Metrics>>,
}

#[derive(Clone, Default)]
struct Now {
    log: Option<LogId>,
    seq: u64,
    /// Of the last record of before this process.
    first: Option<u64>,
    unsynced: u64,
    checkpoint: Option<CheckpointState>,
    failing_since_unix_ms: Option<u64>,
}

impl Default for Facts {
    fn default() -> Self {
        Self { now: Mutex::default(), checkpoints: watch::Sender::new(None), metrics: OnceLock::new() }
    }
}

impl Facts {
    /// What the log is now.
    pub(super) fn note(&self, log: &Log) {
        let (head, stamp) = (log.head(), log.published());
        let mut now = self.now.lock();
        let before = if now.first.is_some() { now.seq } else { head.seq };
        now.first.get_or_insert(head.seq);
        let newer = stamp.filter(|stamp| now.checkpoint.as_ref().is_none_or(|known| known.seq < stamp.seq));
        now.log = Some(head.log);
        let written = head.seq.saturating_sub(before);
        (now.seq, now.unsynced) = (head.seq, log.unsynced());
        if let Some(stamp) = newer {
            let checkpoint = stamp.checkpoint.clone();
            now.checkpoint = Some(CheckpointState { seq: stamp.seq, unix_ms: stamp.unix_ms, checkpoint });
        }
        drop(now);
        if let Some(stamp) = newer {
            self.checkpoints.send_replace(Some(stamp.checkpoint.clone()));
        }
        if let Some(metrics) = self.metrics.get() {
            metrics.audit.written(written);
        }
    }

    /// Records were handed to the disk, which took as long.
    pub(super) fn synced(&self, took: Duration) {
        if let Some(metrics) = self.metrics.get() {
            metrics.audit.synced(took);
        }
    }

    /// Since when records cannot be written.
    pub(super) fn set_failing(&self, since_unix_ms: Option<u64>) {
        self.now.lock().failing_since_unix_ms = since_unix_ms;
    }

    /// Counts there from now on.
    pub(super) fn observe(&self, metrics: Arc<Metrics>) {
        // The first one stays.
        let _ = self.metrics.set(metrics);
    }

    /// The last checkpoint that is on disk, now and from now on.
    pub(super) fn checkpoints(&self) -> watch::Receiver<Option<Arc<Checkpoint>>> {
        self.checkpoints.subscribe()
    }

    pub(super) fn state(&self, durability: Durability) -> AuditState {
        let now = self.now.lock().clone();
        AuditState {
            log: now.log,
            seq: now.seq,
            written: now.seq.saturating_sub(now.first.unwrap_or(now.seq)),
            checkpoint: now.checkpoint,
            durability,
            unsynced: now.unsynced,
            failing_since_unix_ms: now.failing_since_unix_ms,
        }
    }
}
