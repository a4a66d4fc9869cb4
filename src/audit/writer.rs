//! The thread that writes records.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::keeper::Keeping;
use super::log::Log;
use super::queue::{Item, Queue};
use super::settings::Durability;

/// Owns the log. Numbers records in the order they come, writes a batch with one write(2), has it on disk with one fdatasync(2) if
/// somebody waits for that, and keeps what could not be written until it can.
pub(super) struct Writer {
    queue: Arc<Queue>,
    /// Told when a file was closed. Ends before the log, which has the lock.
    keeper: Option<Keeping>,
    log: Log,
    durability: Durability,
    batch: Vec<Item>,
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>, log: Log, durability: Durability, keeper: Option<Keeping>) -> Self {
        Self { queue, keeper, log, durability, batch: Vec::new() }
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut ended = Ended { queue: self.queue.clone(), clean: false };
        let mut pause = PAUSE_MIN;
        self.queue.facts.note(&self.log);
        while self.log.ails() || !self.batch.is_empty() || self.queue.next_batch(&mut self.batch, self.log.checkpoint_due()) {
            self.forget(Item::abandoned);
            self.queue.set_writing(true);
            let result = self.write_batch();
            self.queue.set_writing(false);
            self.log.shrink();
            match result {
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
                }
            }
            self.queue.facts.note(&self.log);
            if !self.queue.is_sound() {
                self.queue.pause(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        if let Err(error) = self.log.end() {
            tracing::error!(%error, "the audit file could not be synced at the end");
        }
        self.queue.facts.note(&self.log);
        // The file is closed and unlocked before anybody hears that this is the end.
        drop(self);
        ended.clean = true;
    }

    /// What is left in `self.batch` when this fails was not written, or is waited for.
    fn write_batch(&mut self) -> io::Result<()> {
        self.log.ready()?;
        self.log.begin();
        for item in &self.batch {
            match item {
                Item::Record(draft) => drop(self.log.push(draft)),
                // A batch that failed is numbered again.
                Item::Intent(draft, number, _) => number.set(self.log.push(draft)),
            }
        }
        self.log.push_checkpoint_if_due(Instant::now());
        if self.log.batch().is_empty() {
            return Ok(());
        }
        self.log.commit()?;
        if let Some(recent) = self.queue.recent.get() {
            recent.push(self.log.committed_from(), self.log.batch());
        }
        // Nobody waits for these, and they are never written again: their bytes are held until they are on disk.
        self.forget(|item| !item.awaited());
        if self.durability != Durability::Sync && !self.batch.is_empty() {
            self.log.stay()?;
            self.acknowledge();
        }
        if !self.batch.is_empty() || self.log.wants_sync() {
            let start = Instant::now();
            self.log.sync()?;
            self.queue.facts.synced(start.elapsed());
        }
        self.acknowledge();
        if self.log.rotate_if_due(Instant::now())?
            && let Some(keeper) = &self.keeper
        {
            keeper.tell();
        }
        Ok(())
    }

    /// Tells those who wait that their intents are as durable as configured.
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
