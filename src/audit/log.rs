//! The log: numbered, chained and signed records, in files of which each begins with a checkpoint.
//!
//! A file whose fdatasync(2) failed is never written again: what it may not have is kept in memory, and is written with the same
//! bytes to a new file, which is on disk before anybody is told anything.

mod open;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint::{CheckpointKey, LogId};
use super::digest::make_dir;
use super::draft::Draft;
use super::head::{Head, Stamp};
use super::held::Held;
use super::medium::{Medium, Named, Segment};
use super::place::{Form, Place};
use super::settings::{Durability, Pace, Rotate, Settings};
use crate::vocab::Clock;
use crate::vocab::limits::{AUDIT_UNSYNCED_BYTES_MAX, AUDIT_UNSYNCED_RECORDS_MAX};

/// Owned by the writer.
pub(super) struct Log {
    place: Place,
    durability: Durability,
    pace: Pace,
    key: Arc<CheckpointKey>,
    clock: Clock,
    lock: Option<Lock>,
    medium: Option<Medium>,
    /// The path may name another file by now.
    doubtful: bool,
    /// A file that the disk failed, or somebody cut: it must be out of the way before anything is written.
    condemned: Option<Medium>,
    /// What is held must be written to a new file.
    rewrite: bool,
    head: Head,
    /// With the records of `batch`.
    next: Head,
    batch: Vec<u8>,
    /// The last checkpoint in `batch`.
    checkpoint_at: Option<usize>,
    held: Held,
    torn: Option<Torn>,
    rotate: Rotate,
    /// When rotation is tried again that did not work.
    not_before: Option<Instant>,
}

/// Whoever has it writes the log. It is given back when it is dropped: closing the file is not enough while a process that is being
/// started has a copy of it.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Should it fail, the lock goes with the last copy of the file.
        let _ = self.0.unlock();
    }
}

/// The end of a record that was cut off, and put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    pub(super) bytes: usize,
}

impl Log {
    /// Opens what `settings` name, and finds where it goes on. A named pipe is not opened here, since that would wait for its reader.
    ///
    /// # Errors
    /// It cannot be opened, is not what was left there, or another process writes it.
    pub(super) fn open(settings: &Settings, key: Arc<CheckpointKey>, clock: Clock) -> io::Result<Self> {
        let place = Place::of(&settings.path);
        make_dir(place.dir())?;
        let head = Head::born(LogId::random()?);
        let mut log = Self {
            place,
            durability: settings.durability,
            pace: settings.checkpoints,
            key,
            clock,
            lock: None,
            medium: None,
            doubtful: false,
            condemned: None,
            rewrite: false,
            next: head.clone(),
            head,
            batch: Vec::new(),
            checkpoint_at: None,
            held: Held::default(),
            torn: None,
            rotate: settings.rotate,
            not_before: None,
        };
        let is_pipe = fs::metadata(log.place.active()).is_ok_and(|metadata| metadata.file_type().is_fifo());
        if is_pipe {
            log.stream_may_be()?;
        } else {
            log.reopen()?;
        }
        Ok(log)
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Records that are not known to be on disk.
    pub(super) fn unsynced(&self) -> u64 {
        self.held.records()
    }

    /// What was cut off from the file and put aside when it was opened.
    pub(super) fn torn(&self) -> Option<Torn> {
        self.torn
    }

    pub(super) fn segment(&self) -> Option<Segment> {
        self.medium.as_ref().and_then(Medium::segment)
    }

    /// The last checkpoint, where it is on disk.
    pub(super) fn published(&self) -> Option<&Stamp> {
        self.head.checkpoint.as_ref().filter(|_| !self.held.has_checkpoint() && self.segment().is_some())
    }

    /// There is something to mend, also if no record comes.
    pub(super) fn ails(&self) -> bool {
        self.medium.is_none() || self.rewrite
    }

    /// Mends what can be mended: from then on records can be appended.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        if let Some(condemned) = &self.condemned {
            // Another file in its place is none that failed.
            if let Some(segment) = condemned.segment()
                && condemned.named(self.place.active())? != Named::Other
            {
                fs::rename(self.place.active(), self.place.old(segment.first, Form::Failed))?;
            }
            (self.condemned, self.rewrite) = (None, true);
        }
        if self.rewrite {
            let bytes = self.held.bytes();
            let first = super::chain::seq_of(bytes).unwrap_or(self.head.seq);
            self.medium = Some(open::begin(&self.place, bytes, first, self.clock.unix_ms())?);
            self.rewrite = false;
            self.held.settle();
            self.remember();
        } else if self.is_lost()? {
            // A file that was moved away keeps what it has; whether that is on disk only it can say. Of one that was deleted nothing is
            // left, and what nobody was told of yet is written again.
            let moved = self.medium.take();
            if moved.as_ref().map_or(Ok(false), Medium::is_deleted)? {
                tracing::error!("the audit file was deleted, and what it had is gone with it: a new one is begun");
                self.rewrite = true;
                return self.ready();
            }
            match moved.map_or(Ok(()), |medium| medium.sync()) {
                Ok(()) => self.held.settle(),
                Err(error) => {
                    self.rewrite = true;
                    return Err(error);
                }
            }
            self.reopen()?;
        }
        self.doubtful = false;
        Ok(())
    }

    fn is_lost(&self) -> io::Result<bool> {
        match &self.medium {
            Some(medium) if self.doubtful => Ok(medium.named(self.place.active())? == Named::Other),
            medium => Ok(medium.is_none()),
        }
    }

    /// What was committed is in the file that has the name. One that was moved away, deleted or cut meanwhile takes records as if
    /// nothing had happened: then a new one is begun, and has what the other may not have.
    pub(super) fn stay(&mut self) -> io::Result<()> {
        let Some(medium) = self.medium.as_ref().filter(|medium| medium.segment().is_some()) else { return Ok(()) };
        match medium.named(self.place.active()) {
            Ok(Named::This) => Ok(()),
            Ok(Named::Other) => {
                tracing::warn!("another file is in the place of the audit file, or none: leave rotation to the gateway");
                self.doubtful = true;
                self.ready()
            }
            Ok(Named::Cut) => {
                tracing::error!("the audit file was cut: it is put aside, and a new one is begun");
                self.condemned = self.medium.take();
                self.ready()
            }
            Err(error) => {
                // Opening it anew shows whether it has what was written.
                self.medium = None;
                Err(error)
            }
        }
    }

    /// Begins a batch of records.
    pub(super) fn begin(&mut self) {
        self.next.become_like(&self.head);
        self.batch.clear();
        self.checkpoint_at = None;
    }

    /// Adds a record to the batch; its number.
    pub(super) fn push(&mut self, draft: &Draft) -> u64 {
        let next = &self.next;
        if next.seq == 0 || next.records >= self.pace.records || next.bytes >= AUDIT_UNSYNCED_BYTES_MAX {
            self.push_checkpoint();
        }
        self.next.push(&mut self.batch, draft)
    }

    /// When the next checkpoint is to be made, if there is anything to sign.
    pub(super) fn checkpoint_due(&self) -> Option<Instant> {
        self.head.since.map(|since| since + self.pace.every)
    }

    /// Adds a checkpoint to the batch if it is time.
    pub(super) fn push_checkpoint_if_due(&mut self, now: Instant) {
        if self.next.since.is_some_and(|since| since + self.pace.every <= now) {
            self.push_checkpoint();
        }
    }

    /// Adds a checkpoint to the batch.
    pub(super) fn push_checkpoint(&mut self) {
        self.checkpoint_at = Some(self.batch.len());
        self.next.push_checkpoint(&mut self.batch, &self.key, self.clock.unix_ms());
    }

    /// The lines of the batch.
    pub(super) fn batch(&self) -> &[u8] {
        &self.batch
    }

    /// The number of the first line of the batch that was committed last.
    pub(super) fn committed_from(&self) -> u64 {
        self.next.seq.saturating_add(1)
    }

    /// Writes the batch. When this fails, nothing has changed but the numbers that were given.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        let medium = self.medium.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        if let Err(error) = medium.append(&self.batch) {
            self.doubtful = true;
            return Err(error);
        }
        if medium.segment().is_some() {
            self.held.push(&self.batch, self.next.seq - self.head.seq, self.checkpoint_at);
        }
        std::mem::swap(&mut self.head, &mut self.next);
        Ok(())
    }

    /// Gives memory back that a large batch took.
    pub(super) fn shrink(&mut self) {
        self.batch.shrink_to(BATCH_KEPT_BYTES_MAX);
    }

    /// Whether what is written must be on disk by now, even if nobody waits for it.
    pub(super) fn wants_sync(&self) -> bool {
        let held = &self.held;
        held.has_checkpoint() || held.records() >= AUDIT_UNSYNCED_RECORDS_MAX || self.head.bytes >= AUDIT_UNSYNCED_BYTES_MAX
    }

    /// Hands everything to the disk.
    ///
    /// # Errors
    /// The disk failed the file. It is not written again.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(medium) = &self.medium else { return Err(io::ErrorKind::NotConnected.into()) };
        if self.held.records() == 0 {
            return Ok(());
        }
        if let Err(error) = medium.sync() {
            self.condemned = self.medium.take();
            return Err(error);
        }
        self.stay()?;
        self.held.settle();
        Ok(())
    }

    /// Closes the file if it is long or old enough, and begins a new one; whether it did. The last record of the one is a checkpoint,
    /// and so is the first of the other.
    pub(super) fn rotate_if_due(&mut self, now: Instant) -> io::Result<bool> {
        let Some(segment) = self.segment() else { return Ok(false) };
        let age = Duration::from_millis(self.clock.unix_ms().saturating_sub(segment.first_unix_ms));
        let due = segment.length >= self.rotate.bytes || self.rotate.every.is_some_and(|every| age >= every);
        if !due || self.not_before.is_some_and(|not_before| now < not_before) {
            return Ok(false);
        }
        self.not_before = Some(now + ROTATE_PAUSE);
        self.begin();
        self.push_checkpoint();
        self.commit()?;
        self.sync()?;
        if self.segment().is_none_or(|now| now.first != segment.first) {
            // It was not there any more, and the next is begun already.
            return Ok(true);
        }
        if let Err(error) = fs::rename(self.place.active(), self.place.old(segment.first, Form::Sealed)) {
            tracing::warn!(%error, "the audit file cannot be renamed: it grows on");
            return Ok(false);
        }
        (self.medium, self.not_before) = (None, None);
        self.begin_file()?;
        Ok(true)
    }

    /// Signs and syncs what is there.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if self.head.records > 0 && self.segment().is_some() {
            self.begin();
            self.push_checkpoint();
            self.commit()?;
        }
        self.sync()
    }
}

const BATCH_KEPT_BYTES_MAX: usize = 1024 * 1024;
const ROTATE_PAUSE: Duration = Duration::from_secs(60);
