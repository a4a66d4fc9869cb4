//! What people may know of the log.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, LogId};
use super::settings::Durability;

/// How the log is doing.
#[derive(Clone, Debug)]
pub struct AuditState {
    /// Which log; `None` until it is open.
    pub log: Option<LogId>,
    /// The number of the last record that is written.
    pub seq: u64,
    /// Records written by this process, checkpoints among them.
    pub written: u64,
    /// The last checkpoint that is on disk; `None` before the first, and for what is no file.
    pub checkpoint: Option<CheckpointState>,
    /// What intents wait for.
    pub durability: Durability,
    /// Records that are written and not known to be on disk. 0 for what is no file.
    pub unsynced: u64,
    /// Since when records cannot be written or not be made durable, in milliseconds since the Unix epoch.
    pub failing_since_unix_ms: Option<u64>,
}

/// A checkpoint that is on disk.
#[derive(Clone, Debug)]
pub struct CheckpointState {
    /// The number of its record.
    pub seq: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// What is signed, and by which key.
    pub checkpoint: Arc<Checkpoint>,
}
