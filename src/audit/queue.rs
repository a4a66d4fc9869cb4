//! The bounded queue between requests and the writer.
//!
//! Room is counted before a record exists, so pushing one never waits and never fails. Pushing does not wake the writer
//! while it is at work or about to look again: under load no request thread pays for a wake-up.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::digest::Digester;
use super::draft::{Draft, IntentSeq};
use super::facts::Facts;
use super::recent::Recent;
use super::settings::Settings;
use crate::vocab::limits::{AUDIT_BATCH_RECORDS_MAX, AUDIT_COALESCE_MS_MAX};
use crate::vocab::{Clock, RecordId};

/// Something to write.
pub(super) enum Item {
    /// The record of a request that ended.
    Record(Box<Draft>),
    /// An intent; somebody may be waiting for it.
    Intent(Box<Draft>, IntentSeq, Option<oneshot::Sender<()>>),
}

impl Item {
    /// True for an intent whose request waits, or has waited, for it.
    pub(super) fn awaited(&self) -> bool {
        matches!(self, Self::Intent(_, _, Some(_)))
    }

    /// True for an intent whose request gave up: it was refused, and the record must not say that it was about to leave.
    pub(super) fn abandoned(&self) -> bool {
        matches!(self, Self::Intent(_, _, Some(reply)) if reply.is_closed())
    }
}

/// Shared by the requests, the writer and the owner.
pub(super) struct Queue {
    clock: Clock,
    digester: Arc<Digester>,
    room_max: usize,
    /// A write that takes longer hangs.
    pub(super) intent_timeout: Duration,
    /// Slots held, records queued, and records being written.
    room_used: AtomicUsize,
    depth: AtomicUsize,
    sound: AtomicBool,
    closed: AtomicBool,
    epoch: Instant,
    /// When the write going on began, in ms since `epoch`; 0 when none is.
    writing_since_ms: AtomicU64,
    state: Mutex<State>,
    wake: Condvar,
    ended: Condvar,
    /// Where written records are kept too, once somebody wants to look at them.
    pub(super) recent: OnceLock<Arc<Recent>>,
    /// What the writer says of the log.
    pub(super) facts: Facts,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// The writer waits without a limit and must be woken.
    asleep: bool,
    /// Somebody waits for an item in the queue.
    urgent: bool,
    closing: bool,
    ended: bool,
}

impl State {
    /// Nobody is hurt if the writer waits for more records to write at once.
    fn may_wait(&self) -> bool {
        !self.urgent && !self.closing && self.items.len() < AUDIT_BATCH_RECORDS_MAX
    }
}

impl Queue {
    pub(super) fn new(clock: Clock, digester: Arc<Digester>, settings: &Settings, sound: bool) -> Self {
        Self {
            clock,
            digester,
            room_max: settings.queue_max,
            intent_timeout: settings.intent_timeout,
            room_used: AtomicUsize::new(0),
            depth: AtomicUsize::new(0),
            sound: AtomicBool::new(sound),
            closed: AtomicBool::new(false),
            epoch: Instant::now(),
            writing_since_ms: AtomicU64::new(0),
            state: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            recent: OnceLock::new(),
            facts: Facts::default(),
        }
    }

    pub(super) fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    pub(super) fn draft(&self) -> Box<Draft> {
        let unix_ms = self.clock.unix_ms();
        Box::new(Draft::new(RecordId::mint(unix_ms), unix_ms, self.digester.clone()))
    }

    /// True if there was room for the record of a new request; it is then held until the record is written.
    pub(super) fn reserve(&self) -> bool {
        let fits = self.reserve_intent();
        // Sequentially consistent with `close` and the writer's last look: the writer sees this room, or this sees the end.
        if fits && self.closed.load(Ordering::SeqCst) {
            self.release(1);
            return false;
        }
        fits
    }

    /// The same for an intent, whose request has its room already and may still be served while the queue closes.
    pub(super) fn reserve_intent(&self) -> bool {
        let fits = self.room_used.fetch_add(1, Ordering::SeqCst) < self.room_max;
        if !fits {
            self.release(1);
        }
        fits
    }

    pub(super) fn release(&self, records: usize) {
        self.room_used.fetch_sub(records, Ordering::SeqCst);
    }

    /// Queues an item for which room was reserved.
    pub(super) fn push(&self, item: Item) {
        let urgent = item.awaited();
        self.depth.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.items.push_back(item);
        let wake = state.asleep || (urgent && !state.urgent);
        state.urgent |= urgent;
        state.asleep = false;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
    }

    /// False while writes fail, or hang for longer than an intent may take.
    pub(super) fn healthy(&self) -> bool {
        let since_ms = self.writing_since_ms.load(Ordering::Relaxed);
        let hangs = since_ms > 0 && u128::from(self.elapsed_ms().saturating_sub(since_ms)) > self.intent_timeout.as_millis();
        self.sound.load(Ordering::Relaxed) && !hangs
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes no more records from now on; the writer ends when every slot is gone and everything is written.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.state.lock().closing = true;
        self.wake.notify_one();
    }

    pub(super) fn room_used(&self) -> usize {
        self.room_used.load(Ordering::SeqCst)
    }

    /// Waits until the writer has ended; false if it has not within `patience`.
    pub(super) fn wait_ended(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.state.lock();
        while !state.ended {
            if self.ended.wait_until(&mut state, until).timed_out() {
                return state.ended;
            }
        }
        true
    }
}

/// The writer's side.
impl Queue {
    /// Moves items to `batch`, waiting until there are some, or until `until`; false when closed and nothing can come any more.
    pub(super) fn next_batch(&self, batch: &mut Vec<Item>, until: Option<Instant>) -> bool {
        let coalesce = Duration::from_millis(AUDIT_COALESCE_MS_MAX);
        let mut state = self.state.lock();
        if state.may_wait() {
            self.wake.wait_for(&mut state, coalesce);
        }
        while state.items.is_empty() {
            if state.closing && self.room_used.load(Ordering::SeqCst) == 0 {
                return false;
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return true;
            }
            state.asleep = true;
            match until {
                // A slot that was refused room may have held the count up for a moment: look again.
                _ if state.closing => drop(self.wake.wait_for(&mut state, CLOSING_POLL)),
                Some(until) => drop(self.wake.wait_until(&mut state, until)),
                None => self.wake.wait(&mut state),
            }
            state.asleep = false;
            if state.may_wait() {
                self.wake.wait_for(&mut state, coalesce);
            }
        }
        let count = state.items.len().min(AUDIT_BATCH_RECORDS_MAX);
        batch.extend(state.items.drain(..count));
        state.urgent = state.items.iter().any(Item::awaited);
        true
    }

    /// `records` are in the file, or given up by those who waited for them.
    pub(super) fn written(&self, records: usize) {
        self.depth.fetch_sub(records, Ordering::Relaxed);
        self.release(records);
    }

    /// Drops every intent that is waited for: the sink fails, and those who wait shall know at once.
    pub(super) fn refuse_intents(&self) {
        let mut state = self.state.lock();
        let before = state.items.len();
        state.items.retain(|item| !item.awaited());
        let refused = before - state.items.len();
        state.urgent = false;
        drop(state);
        self.written(refused);
    }

    /// Waits before the next attempt; ends early when something urgent happens.
    pub(super) fn pause(&self, pause: Duration) {
        let mut state = self.state.lock();
        self.wake.wait_for(&mut state, pause);
    }

    /// Whether records can be written, and be made as durable as configured; what was so before.
    pub(super) fn set_sound(&self, sound: bool) -> bool {
        let was = self.sound.swap(sound, Ordering::Relaxed);
        if was != sound {
            self.facts.set_failing((!sound).then(|| self.clock.unix_ms()));
        }
        was
    }

    pub(super) fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Relaxed)
    }

    pub(super) fn set_writing(&self, writing: bool) {
        let since_ms = if writing { self.elapsed_ms().max(1) } else { 0 };
        self.writing_since_ms.store(since_ms, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn is_writing(&self) -> bool {
        self.writing_since_ms.load(Ordering::Relaxed) > 0
    }

    /// The writer is gone, in peace or by a bug.
    pub(super) fn end(&self, clean: bool) {
        if !clean {
            self.set_sound(false);
        }
        self.state.lock().ended = true;
        self.ended.notify_all();
    }
}

const CLOSING_POLL: Duration = Duration::from_millis(10);
