//! The thread that writes records.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::queue::{Item, Queue};
use super::record;
use super::sink::Sink;

/// Owns the file. Numbers records in the order they come, writes a batch with one write(2), and keeps what could not be
/// written until it can.
pub(super) struct Writer {
    queue: Arc<Queue>,
    sink: Sink,
    last_seq: u64,
    batch: Vec<Item>,
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>, sink: Sink, last_seq: u64) -> Self {
        Self { queue, sink, last_seq, batch: Vec::new(), bytes: Vec::new() }
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut ended = Ended { queue: self.queue.clone(), clean: false };
        let mut pause = PAUSE_MIN;
        if self.open().is_ok() {
            self.queue.set_sound(true);
        }
        while !self.batch.is_empty() || self.queue.next_batch(&mut self.batch) {
            match self.write_batch() {
                Ok(()) => {
                    pause = PAUSE_MIN;
                    if !self.queue.set_sound(true) {
                        tracing::info!("the audit file takes records again");
                    }
                }
                Err(error) => {
                    if self.queue.set_sound(false) {
                        tracing::error!(%error, "the audit file takes no records: writes are refused");
                    }
                    self.forget(Item::awaited);
                    self.queue.refuse_intents();
                    self.queue.pause(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        if let Err(error) = self.sink.sync() {
            tracing::error!(%error, "the audit file could not be synced at the end");
        }
        // The file is closed and unlocked before anybody hears that this is the end.
        drop(self);
        ended.clean = true;
    }

    fn open(&mut self) -> io::Result<()> {
        if !self.sink.is_open() {
            self.last_seq = self.last_seq.max(self.sink.reopen()?);
        }
        Ok(())
    }

    fn write_batch(&mut self) -> io::Result<()> {
        self.forget(Item::abandoned);
        if self.batch.is_empty() {
            return Ok(());
        }
        self.open()?;
        let mut seq = self.last_seq;
        self.bytes.clear();
        for item in &self.batch {
            seq += 1;
            match item {
                Item::Record(draft) => record::write(&mut self.bytes, seq, draft),
                Item::Intent(draft, number, _) => {
                    number.set(seq);
                    record::write(&mut self.bytes, seq, draft);
                }
            }
        }
        self.queue.set_writing(true);
        let result = self.sink.append(&self.bytes);
        self.queue.set_writing(false);
        if let (Ok(()), Some(recent)) = (&result, self.queue.recent.get()) {
            recent.push(self.last_seq.saturating_add(1), &self.bytes);
        }
        self.bytes.shrink_to(BYTES_KEPT_MAX);
        result?;
        self.last_seq = seq;
        self.acknowledge();
        Ok(())
    }

    fn acknowledge(&mut self) {
        self.queue.written(self.batch.len());
        for item in self.batch.drain(..) {
            if let Item::Intent(_, _, Some(reply)) = item {
                // Whoever gave up meanwhile was refused: an intent without an effect.
                let _ = reply.send(());
            }
        }
    }

    fn forget(&mut self, gone: impl Fn(&Item) -> bool) {
        let before = self.batch.len();
        self.batch.retain(|item| !gone(item));
        self.queue.written(before - self.batch.len());
    }
}

/// Tells the queue that the writer is gone, also when a bug ended it: then nothing is healthy any more.
struct Ended {
    queue: Arc<Queue>,
    clean: bool,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.queue.end(self.clean);
    }
}

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);
const BYTES_KEPT_MAX: usize = 1024 * 1024;
