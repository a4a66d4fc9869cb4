//! The record: exactly one per request, whatever ends it, and an intent before anything is changed.
//!
//! Layer 3. A request first reserves a [`Slot`]; without room there is no request. Stages fill in the [`Draft`]; when the
//! last handle drops, the draft moves to a queue and one thread writes it. `Drop` neither waits nor computes: records are
//! numbered, digested and formatted by the writer.

mod chain;
mod checkpoint;
mod digest;
mod draft;
mod exporters;
mod facts;
mod follow;
mod head;
mod held;
pub mod index;
mod keeper;
mod log;
mod medium;
mod merkle;
mod note;
mod place;
mod queue;
mod recent;
mod record;
mod recorded;
mod schema;
mod settings;
mod slot;
mod state;
mod tail;
mod traced;
pub mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use chain::{Link, Sealed, Unsound};
pub use checkpoint::{Checkpoint, CheckpointKey, KeyId, LogId, PublicKey, Signature, Statement};
use digest::Digester;
pub use draft::{Draft, IntentSeq, Kind, Status};
use exporters::Exporters;
pub use exporters::{Exporter, ExporterState};
pub use follow::{Ask, FollowError, Follower, Position, Stretch};
use keeper::Keeper;
use log::Log;
pub use note::{ApprovalNote, DecisionNote, LeaseNote, OutcomeNote, ShadowNote};
use queue::{Item, Queue};
pub use recent::{Glance, GlanceApproval, GlanceDecision, GlanceOutcome, GlancePrincipal, GlanceShadow, Kept, Recent};
pub use recorded::{Recorded, RecordedDecision, RecordedPrincipal, is_cut};
pub use schema::schema;
pub use settings::{Durability, Pace, Retain, Rotate, Settings};
pub use slot::{AuditHandle, Room, Slot};
pub use state::{AuditState, CheckpointState};
use tokio::sync::{oneshot, watch};
use writer::Writer;

use crate::policy::permit::Receipt;
use crate::telemetry::metrics::Metrics;
use crate::vocab::{Clock, Deadline, Fault, FaultKind};

/// There is no room for another record, so there can be no other request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit queue is full or closed")]
pub struct Full;

/// Records that could not be written before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{records} audit records were not written")]
pub struct Unwritten {
    /// Records queued, and requests that had not ended.
    pub records: usize,
}

/// What is kept of a checkpoint elsewhere than in the log: one line of JSON with its line feed.
pub fn exported(checkpoint: &Checkpoint) -> String {
    let mut line = Vec::new();
    checkpoint.push_exported(&mut line);
    // Digits and names of ours are text.
    String::from_utf8(line).unwrap_or_default()
}

/// The audit of the process. Dropping it closes it without waiting.
pub struct Audit {
    queue: Arc<Queue>,
    durability: Durability,
    reads_wait: bool,
    path: PathBuf,
    exporters: Arc<Exporters>,
    /// Who keeps checkpoints elsewhere.
    witnesses: Exporters,
}

impl Audit {
    /// Opens the log, taking a torn end out of its file (it is kept beside, as `.torn`), and starts the writer. Numbers and chain go
    /// on from the last record.
    ///
    /// # Errors
    /// The file or a key cannot be opened or is not ours; the file is not as it was left; another process has it open.
    pub fn open(settings: &Settings, clock: Clock) -> io::Result<Self> {
        let digester = Arc::new(Digester::open(&settings.digest_key)?);
        let key = Arc::new(CheckpointKey::open_or_make(&settings.checkpoint_key)?);
        let log = Log::open(settings, key, clock.clone())?;
        let queue = Arc::new(Queue::new(clock, digester, settings, !log.ails()));
        let (path, torn) = (log.place().active().to_owned(), log.torn());
        let exporters = Arc::new(Exporters::expecting(settings.exporters));
        let audit = Self {
            queue: queue.clone(),
            durability: settings.durability,
            reads_wait: settings.reads_wait,
            path,
            exporters,
            witnesses: Exporters::default(),
        };
        let keeper = Keeper::start(log.place().clone(), settings, queue.clone(), audit.exporters.clone())?;
        let writer = Writer::new(queue, log, settings.durability, keeper);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        if let Some(torn) = torn {
            audit.note("audit/recover", &format!("{} bytes put aside", torn.bytes));
        }
        Ok(audit)
    }

    /// Records something that the audit did itself.
    fn note(&self, method: &'static str, name: &str) {
        if let Ok(mut slot) = self.reserve() {
            slot::note(slot.draft(), method, name);
        }
    }

    /// Holds room for the record of one request. To be called before anything else can fail.
    ///
    /// # Errors
    /// [`Full`]: shed the request.
    pub fn reserve(&self) -> Result<Slot, Full> {
        if self.queue.reserve() { Ok(Slot::new(self.queue.clone())) } else { Err(Full) }
    }

    /// As [`Self::reserve`], for what is recorded only if it comes to happen.
    ///
    /// # Errors
    /// [`Full`].
    pub fn room(&self) -> Result<Room, Full> {
        if self.queue.reserve() { Ok(Room::new(self.queue.clone())) } else { Err(Full) }
    }

    /// Writes an intent with what is known so far, and waits until it is as durable as configured, at most until
    /// `deadline` and [`Settings::intent_timeout`]. Keep the answer in [`Draft::intent`].
    ///
    /// # Errors
    /// A fault of kind [`FaultKind::Audit`]: the call must not leave.
    pub async fn intent(&self, draft: &Draft, deadline: Deadline) -> Result<IntentSeq, Fault> {
        self.write_intent(draft.clone(), deadline).await
    }

    /// [`Audit::intent`] for a shared draft, which keeps the intent's number. The receipt is the proof that it is as durable as configured.
    ///
    /// # Errors
    /// As [`Audit::intent`].
    pub async fn intent_for(&self, handle: &AuditHandle, deadline: Deadline) -> Result<Receipt, Fault> {
        let copy = handle.with(|draft| draft.clone());
        let seq = self.write_intent(copy, deadline).await?;
        handle.with(|draft| draft.intent = Some(seq.clone()));
        Ok(Receipt::assertion(seq.get()))
    }

    async fn write_intent(&self, mut copy: Draft, deadline: Deadline) -> Result<IntentSeq, Fault> {
        let fault = |detail: &str| Fault::internal(FaultKind::Audit, detail);
        copy.kind = Kind::Intent;
        copy.unix_ms = self.queue.unix_ms();
        let seq = IntentSeq::default();
        if self.durability == Durability::DangerNone {
            self.reserve_intent().map_err(|Full| fault("no room for the intent"))?;
            self.queue.push(Item::Intent(Box::new(copy), seq.clone(), None));
            return Ok(seq);
        }
        if !self.queue.healthy() {
            return Err(fault("the audit file takes no records"));
        }
        self.reserve_intent().map_err(|Full| fault("no room for the intent"))?;
        let (reply, written) = oneshot::channel();
        self.queue.push(Item::Intent(Box::new(copy), seq.clone(), Some(reply)));
        let until = deadline.capped(self.queue.intent_timeout).instant();
        match tokio::time::timeout_at(until.into(), written).await {
            Ok(Ok(())) => Ok(seq),
            Ok(Err(_)) => Err(fault("the intent could not be written")),
            Err(_) => Err(fault("the intent was not written in time")),
        }
    }

    fn reserve_intent(&self) -> Result<(), Full> {
        if self.queue.reserve_intent() { Ok(()) } else { Err(Full) }
    }

    /// The latest records. From the first call on they are kept, beginning with those at the end of the file: to be called before
    /// the first request.
    pub fn recent(&self) -> Arc<Recent> {
        let made = || {
            let recent = Recent::new();
            if let Err(error) = recent.seed(&self.path) {
                tracing::warn!(%error, "the records of before are not shown");
            }
            Arc::new(recent)
        };
        self.queue.recent.get_or_init(made).clone()
    }

    /// The file of the records.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Whether calls that only read wait for an intent too.
    pub fn reads_wait(&self) -> bool {
        self.reads_wait
    }

    /// How the log is doing.
    pub fn state(&self) -> AuditState {
        self.queue.facts.state(self.durability)
    }

    /// The last checkpoint that is on disk, now and from now on; `None` before the first. It ends with the writer.
    pub fn checkpoints(&self) -> watch::Receiver<Option<Arc<Checkpoint>>> {
        self.queue.facts.checkpoints()
    }

    /// Counts there from now on.
    pub fn observe(&self, metrics: Arc<Metrics>) {
        self.queue.facts.observe(metrics);
    }

    /// Somebody more who carries records elsewhere, and says that it did up to `seq`: what it has not is kept, where that is configured.
    pub fn exporter(&self, name: &str, kind: &'static str, seq: u64) -> Arc<Exporter> {
        self.exporters.join(name, kind, seq)
    }

    /// Every record up to this one was taken by all who carry records elsewhere; 0 without any, and until all of them are there.
    pub fn exported_up_to(&self) -> u64 {
        self.exporters.up_to()
    }

    /// How each of them is doing.
    pub fn exporters(&self) -> Vec<ExporterState> {
        self.exporters.states()
    }

    /// Somebody more who keeps checkpoints elsewhere. What it took is counted by the records that the checkpoint names.
    pub fn witness(&self, place: &str, kind: &'static str) -> Arc<Exporter> {
        self.witnesses.join(place, kind, 0)
    }

    /// How each of them is doing.
    pub fn witnesses(&self) -> Vec<ExporterState> {
        self.witnesses.states()
    }

    /// Reads the log as it is written.
    pub fn follower(&self) -> Follower {
        Follower::new(&self.path)
    }

    /// Records that wait to be written.
    pub fn queue_depth(&self) -> usize {
        self.queue.depth()
    }

    /// False while records cannot be written, or the file hangs.
    pub fn healthy(&self) -> bool {
        self.queue.healthy()
    }

    /// Waits until every request has ended and every record is written. Blocks the thread, for `patience` at most.
    ///
    /// # Errors
    /// What is not written by then; the writer goes on trying as long as the process lives.
    pub fn close(&self, patience: Duration) -> Result<(), Unwritten> {
        self.queue.close();
        let ended = self.queue.wait_ended(patience);
        match self.queue.room_used() {
            0 if ended => Ok(()),
            records => Err(Unwritten { records }),
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.queue.close();
    }
}
