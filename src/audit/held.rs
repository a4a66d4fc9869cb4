//! What is written and may not be on disk yet, so that a file that the disk fails can be written again.

/// Bytes from a checkpoint on that is on disk: a new file can begin with them.
#[derive(Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// The last checkpoint among them.
    checkpoint_at: usize,
    /// Records that are not known to be on disk.
    records: u64,
    /// A checkpoint is among those.
    checkpoint: bool,
}

impl Held {
    /// Bytes that begin with a checkpoint, and have the last one there. Whether they are on disk is not known.
    pub(super) fn of(bytes: Vec<u8>, checkpoint_at: usize) -> Self {
        Self { bytes, checkpoint_at, records: 0, checkpoint: false }
    }

    /// As many records more, with the last checkpoint among them there.
    pub(super) fn push(&mut self, lines: &[u8], records: u64, checkpoint_at: Option<usize>) {
        if let Some(at) = checkpoint_at {
            (self.checkpoint, self.checkpoint_at) = (true, self.bytes.len() + at);
        }
        self.bytes.extend_from_slice(lines);
        self.records += records;
    }

    /// Everything is on disk.
    pub(super) fn settle(&mut self) {
        self.bytes.drain(..self.checkpoint_at.min(self.bytes.len()));
        (self.checkpoint_at, self.records, self.checkpoint) = (0, 0, false);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Records that are not known to be on disk.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// A checkpoint is among those.
    pub(super) fn has_checkpoint(&self) -> bool {
        self.checkpoint
    }
}
