//! The end of the chain: what the next record follows, and the tree over all before it.

use std::time::Instant;

use super::chain::{self, Link};
use super::checkpoint::{Checkpoint, CheckpointKey, LogId};
use super::draft::Draft;
use super::merkle::Frontier;
use super::record;
use super::tail::Tail;
use crate::vocab::RecordId;

/// Changes with every record. What is being written has a copy, so that a write that fails changes nothing.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) log: LogId,
    /// The last record; 0 before the first.
    pub(super) seq: u64,
    pub(super) link: Link,
    tree: Frontier,
    /// Of records that no checkpoint covers: how many, how many bytes, and when the first came.
    pub(super) records: u64,
    pub(super) bytes: usize,
    pub(super) since: Option<Instant>,
    pub(super) checkpoint: Option<Stamp>,
}

/// The last checkpoint.
#[derive(Clone)]
pub(super) struct Stamp {
    pub(super) seq: u64,
    pub(super) unix_ms: u64,
    pub(super) checkpoint: std::sync::Arc<Checkpoint>,
}

impl Head {
    /// Of a log without a record.
    pub(super) fn born(log: LogId) -> Self {
        let (tree, link) = (Frontier::new(), Link::ZERO);
        Self { log, seq: 0, link, tree, records: 0, bytes: 0, since: None, checkpoint: None }
    }

    /// Of the log that ends like that.
    pub(super) fn after(tail: &Tail) -> Self {
        let time = humantime::parse_rfc3339(&tail.checkpoint.statement.time).ok();
        let since_epoch = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let stamp = Stamp {
            seq: tail.checkpoint.statement.size.saturating_add(1),
            unix_ms: since_epoch.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0),
            checkpoint: std::sync::Arc::new(tail.checkpoint.clone()),
        };
        Self {
            log: tail.log,
            seq: tail.seq,
            link: tail.link,
            tree: tail.tree.clone(),
            records: tail.records_since,
            bytes: tail.bytes_since,
            since: (tail.records_since > 0).then(Instant::now),
            checkpoint: Some(stamp),
        }
    }

    /// Becomes what `other` is. Keeps its own memory, so that a batch allocates nothing for it.
    pub(super) fn become_like(&mut self, other: &Self) {
        self.tree.clone_from(&other.tree);
        (self.log, self.seq, self.link) = (other.log, other.seq, other.link);
        (self.records, self.bytes, self.since) = (other.records, other.bytes, other.since);
        self.checkpoint.clone_from(&other.checkpoint);
    }

    /// Appends the record of `draft`; its number.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, draft: &Draft) -> u64 {
        let start = out.len();
        record::write(out, self.seq.saturating_add(1), draft);
        self.seal(out, start);
        self.records += 1;
        self.bytes += out.len() - start;
        self.since.get_or_insert_with(Instant::now);
        self.seq
    }

    /// Appends a checkpoint over everything before it.
    pub(super) fn push_checkpoint(&mut self, out: &mut Vec<u8>, key: &CheckpointKey, unix_ms: u64) {
        let start = out.len();
        let seq = self.seq.saturating_add(1);
        let checkpoint = Checkpoint::sign(key, self.log, &self.tree, self.link, record::time(unix_ms));
        record::write_checkpoint(out, seq, unix_ms, RecordId::mint(unix_ms), |out| checkpoint.push_member(&self.tree, out));
        self.seal(out, start);
        (self.records, self.bytes, self.since) = (0, 0, None);
        self.checkpoint = Some(Stamp { seq, unix_ms, checkpoint: std::sync::Arc::new(checkpoint) });
    }

    fn seal(&mut self, out: &mut Vec<u8>, start: usize) {
        self.link = chain::seal(out, start, self.link);
        self.tree.push(self.link);
        self.seq = self.seq.saturating_add(1);
    }
}
