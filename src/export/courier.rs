//! One sink: reads on, sends, notes how far it got; and again. What fails is tried again, without end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::limits::{SINK_PAUSE_MS_MAX, SINK_PAUSE_MS_MIN, SINK_SEND_MS_MAX};
use super::position::Place;
use super::shape;
use super::size::Size;
use super::way::{TooMuch, Trouble, Way};
use crate::audit::{Ask, Audit, Checkpoint, Exporter, FollowError, Follower, LogId, Position, Stretch};
use crate::config::AuditSink;
use crate::net::backoff::pause;
use crate::telemetry::metrics::Metrics;
use crate::vocab::Clock;

/// See the module.
pub(super) struct Courier {
    name: Arc<str>,
    way: Way,
    place: Place,
    /// As it was found, until it is known whether it is of this log.
    position: Option<Position>,
    settled: bool,
    /// What was taken last is not noted on disk.
    unsaved: bool,
    size: Size,
    /// The first record after those that were deleted, once that was said.
    said_skipped: Option<u64>,
    follower: Option<Follower>,
    exporter: Arc<Exporter>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

type Checkpoints = watch::Receiver<Option<Arc<Checkpoint>>>;

impl Courier {
    /// # Errors
    /// Where it got to cannot be read.
    pub(super) fn open(sink: &AuditSink, way: Way, audit: &Audit, metrics: Arc<Metrics>, clock: Clock) -> io::Result<Self> {
        let follower = audit.follower();
        let place = Place::of(follower.dir(), &sink.name);
        let position = place.load()?;
        // How far it got in another log is no progress in this one.
        let log = audit.state().log;
        let seq = position.as_ref().filter(|position| Some(position.log) == log).map_or(0, |position| position.seq);
        let exporter = audit.exporter(&sink.name, sink.way.kind(), seq);
        metrics.audit.sink(&sink.name);
        Ok(Self {
            name: sink.name.as_str().into(),
            way,
            place,
            position,
            settled: false,
            unsaved: false,
            size: Size::new(),
            said_skipped: None,
            follower: Some(follower),
            exporter,
            metrics,
            clock,
        })
    }

    /// Runs until `last`, and then as long as everything is taken.
    pub(super) async fn run(mut self, mut checkpoints: Checkpoints, last: CancellationToken) {
        let mut failed = 0_u32;
        loop {
            // Asked before looking: what is there by the time it is told to end is still sent.
            let ending = last.is_cancelled();
            let now = checkpoints.borrow_and_update().clone();
            let bound = now.map(|last| (last.statement.log, last.statement.size.saturating_add(1)));
            let carried = match bound {
                Some((log, upto)) => self.carry(log, upto).await,
                None => Ok(false),
            };
            let pause = match carried {
                Ok(true) => {
                    failed = 0;
                    continue;
                }
                Ok(false) => None,
                Err(trouble) => {
                    self.fails(&trouble);
                    // Less at once need not wait for as long.
                    failed = if trouble.too_much == TooMuch::No { failed.saturating_add(1) } else { 1 };
                    Some(
                        pause(failed, SINK_PAUSE_MS_MIN..=SINK_PAUSE_MS_MAX)
                            .max(trouble.after.min(Duration::from_millis(SINK_PAUSE_MS_MAX))),
                    )
                }
            };
            if ending {
                return self.way.close().await;
            }
            let more = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    // Without a writer nothing comes any more.
                    None if checkpoints.changed().await.is_err() => std::future::pending().await,
                    None => {}
                }
            };
            tokio::select! {
                () = more => {}
                () = last.cancelled() => {}
            }
        }
    }

    /// Carries one batch of `log`, of which everything up to `upto` is on disk. False if there is none.
    async fn carry(&mut self, log: LogId, upto: u64) -> Result<bool, Trouble> {
        let after = self.settle(log, upto);
        if self.unsaved {
            self.save(after.clone()).await?;
        }
        let (records_max, bytes_max) = self.size.now();
        let Some(stretch) = self.read(after, Ask { upto, records_max, bytes_max }).await? else {
            self.exporter.waits(None);
            return Ok(false);
        };
        self.exporter.waits(stretch.lines().next().map(shape::unix_ms));
        let (sink, records, next) = (&*self.name, stretch.skipped, stretch.first);
        if records > 0 && self.said_skipped.replace(next) != Some(next) {
            tracing::error!(sink, records, next, "records were deleted before a sink of the audit had them");
        }
        match self.deliver(&stretch).await {
            Ok(rejected) => {
                self.size.taken();
                self.exporter.rejected(rejected);
                self.metrics.audit.sink_rejected(&self.name, rejected);
            }
            Err(trouble) => {
                return Err(self.less(trouble));
            }
        }
        self.position = Some(stretch.end.clone());
        self.save(stretch.end).await?;
        Ok(true)
    }

    /// Has less sent at once, if that may help and there is less. Then `trouble` says so, for sure if less was taken before.
    fn less(&mut self, trouble: Trouble) -> Trouble {
        let bound_met = trouble.too_much == TooMuch::Yes || self.size.probes();
        let too_much = if trouble.too_much == TooMuch::No || !self.size.too_much() {
            TooMuch::No
        } else if bound_met {
            TooMuch::Yes
        } else {
            TooMuch::Perhaps
        };
        Trouble { too_much, ..trouble }
    }

    /// Where to go on in `log`, of which everything up to `upto` is on disk: where it was, or before the first record if that was in
    /// another log.
    fn settle(&mut self, log: LogId, upto: u64) -> Position {
        let known = self.position.take().filter(|position| {
            if position.log != log {
                let (sink, seq) = (&*self.name, position.seq);
                tracing::error!(sink, was = %position.log, is = %log, seq, "the audit is another log: its sink begins with its first record, and what it had not had of the other is not sent");
            }
            position.log == log
        });
        let position = known.unwrap_or_else(|| Position::start(log));
        if !std::mem::replace(&mut self.settled, true) {
            // What is not in the log was cut off, and what comes in its place it has not had.
            self.exporter.begins(if position.seq > upto { 0 } else { position.seq });
        }
        self.position = Some(position.clone());
        position
    }

    /// Hands `stretch` over; how many of its records were refused for good.
    async fn deliver(&self, stretch: &Stretch) -> Result<u64, Trouble> {
        let mut sending = pin!(self.way.send(stretch));
        loop {
            match timeout(Duration::from_millis(SINK_SEND_MS_MAX), &mut sending).await {
                Ok(sent) => return sent,
                Err(_) if self.way.keeps_on() => self.fails(&Trouble::late()),
                Err(_) => return Err(Trouble::late()),
            }
        }
    }

    async fn read(&mut self, after: Position, ask: Ask) -> Result<Option<Stretch>, Trouble> {
        let cut_off = || Trouble::new("reading was cut off");
        let mut follower = self.follower.take().ok_or_else(cut_off)?;
        let reading = spawn_blocking(move || {
            let read = follower.read(&after, ask);
            (follower, read)
        });
        let (follower, read) = reading.await.map_err(|_| cut_off())?;
        self.follower = Some(follower);
        match &read {
            Ok(Some(_)) => self.exporter.follows(true),
            Ok(None) => {}
            Err(error) => {
                if matches!(error, FollowError::Unsound { .. }) {
                    self.exporter.follows(false);
                }
                self.exporter.waits_by(self.clock.unix_ms());
            }
        }
        read.map_err(|error| Trouble::new(error.to_string()))
    }

    /// Everything up to `position` was taken. Until that is on disk, nothing more is read.
    async fn save(&mut self, position: Position) -> Result<(), Trouble> {
        self.unsaved = true;
        let place = self.place.clone();
        let saved = spawn_blocking(move || place.save(&position).map(|()| position.seq)).await;
        let saved = saved.unwrap_or_else(|_| Err(io::Error::other("it was cut off")));
        let seq = saved.map_err(|error| Trouble::new(format!("how far it got cannot be noted: {error}")))?;
        self.unsaved = false;
        let failing = self.exporter.state().trouble.is_some();
        self.exporter.took(seq);
        if failing {
            tracing::info!(sink = &*self.name, seq, "a sink of the audit takes records again");
        }
        Ok(())
    }

    fn fails(&self, trouble: &Trouble) {
        if trouble.too_much == TooMuch::Yes {
            tracing::debug!(sink = &*self.name, why = &*trouble.words, "a sink of the audit is sent less at once");
            return;
        }
        self.metrics.audit.sink_failed(&self.name);
        if self.exporter.failed(self.clock.unix_ms(), &trouble.words) {
            let (sink, why) = (&*self.name, &*trouble.words);
            tracing::error!(sink, why, "a sink of the audit does not take records: they are kept, and it is tried again");
        }
    }
}
