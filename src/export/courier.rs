//! One sink: reads on, sends, notes how far it got; and again. What fails is tried again, without end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::limits::{SINK_BATCH_BYTES_MAX, SINK_BATCH_RECORDS_MAX, SINK_PAUSE_MS_MAX, SINK_PAUSE_MS_MIN, SINK_SEND_MS_MAX};
use super::position::Place;
use super::shape;
use super::way::{Trouble, Way};
use crate::audit::{Audit, Checkpoint, Exporter, Follower, LogId, Position, Stretch};
use crate::config::AuditSink;
use crate::telemetry::metrics::Metrics;
use crate::vocab::Clock;

/// See the module.
pub(super) struct Courier {
    name: Arc<str>,
    way: Way,
    place: Place,
    position: Option<Position>,
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
        let seq = position.as_ref().map_or(0, |position| position.seq);
        let exporter = audit.exporter(&sink.name, sink.way.kind(), seq);
        metrics.audit.sink(&sink.name);
        Ok(Self { name: sink.name.as_str().into(), way, place, position, follower: Some(follower), exporter, metrics, clock })
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
                    failed = failed.saturating_add(1);
                    Some(pause(failed).max(trouble.after.min(Duration::from_millis(SINK_PAUSE_MS_MAX))))
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
        let after = match &self.position {
            Some(position) if position.log == log => position.clone(),
            other => {
                if let Some(other) = other {
                    let (sink, seq) = (&*self.name, other.seq);
                    tracing::error!(sink, was = %other.log, is = %log, seq, "the audit is another log: its sink begins with its first record, and what it had not had of the other is not sent");
                }
                Position::start(log)
            }
        };
        let Some(stretch) = self.read(after, upto).await? else {
            self.exporter.waits(None);
            return Ok(false);
        };
        self.exporter.waits(stretch.lines().next().map(shape::unix_ms));
        if stretch.skipped > 0 {
            let (sink, first) = (&*self.name, stretch.first);
            tracing::error!(
                sink,
                records = stretch.skipped,
                next = first,
                "records were deleted before a sink of the audit had them"
            );
        }
        let sent = timeout(Duration::from_millis(SINK_SEND_MS_MAX), self.way.send(&stretch)).await;
        sent.unwrap_or_else(|_| Err(Trouble::new("it was not taken in time")))?;
        self.note(stretch.end).await?;
        Ok(true)
    }

    async fn read(&mut self, after: Position, upto: u64) -> Result<Option<Stretch>, Trouble> {
        let cut_off = || Trouble::new("reading was cut off");
        let mut follower = self.follower.take().ok_or_else(cut_off)?;
        let reading = spawn_blocking(move || {
            let read = follower.read(&after, upto, SINK_BATCH_RECORDS_MAX, SINK_BATCH_BYTES_MAX);
            (follower, read)
        });
        let (follower, read) = reading.await.map_err(|_| cut_off())?;
        self.follower = Some(follower);
        read.map_err(|error| Trouble::new(error.to_string()))
    }

    /// Everything up to `position` was taken.
    async fn note(&mut self, position: Position) -> Result<(), Trouble> {
        self.position = Some(position.clone());
        let place = self.place.clone();
        let saved = spawn_blocking(move || place.save(&position).map(|()| position.seq)).await;
        let saved = saved.unwrap_or_else(|_| Err(io::Error::other("it was cut off")));
        let seq = saved.map_err(|error| Trouble::new(format!("how far it got cannot be noted: {error}")))?;
        let failing = self.exporter.state().trouble.is_some();
        self.exporter.took(seq);
        if failing {
            tracing::info!(sink = &*self.name, seq, "a sink of the audit takes records again");
        }
        Ok(())
    }

    fn fails(&self, trouble: &Trouble) {
        self.metrics.audit.sink_failed(&self.name);
        if self.exporter.failed(self.clock.unix_ms(), &trouble.words) {
            let (sink, why) = (&*self.name, &*trouble.words);
            tracing::error!(sink, why, "a sink of the audit does not take records: they are kept, and it is tried again");
        }
    }
}

/// The pause after `failed` attempts, not the same for everybody.
fn pause(failed: u32) -> Duration {
    let longest = Duration::from_millis(SINK_PAUSE_MS_MAX);
    let pause = Duration::from_millis(SINK_PAUSE_MS_MIN).saturating_mul(1 << failed.saturating_sub(1).min(16)).min(longest);
    let mut byte = [0; 1];
    // Without randomness all go at once, which is what the bound is for.
    let chance = aws_lc_rs::rand::fill(&mut byte).map_or(1.0, |()| f64::from(byte[0]) / 255.0);
    pause / 2 + (pause / 2).mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        for failed in 1..100 {
            let longest = SINK_PAUSE_MS_MIN.saturating_mul(1 << (failed - 1).min(20)).min(SINK_PAUSE_MS_MAX);
            let longest = Duration::from_millis(longest);
            assert!((longest / 2..=longest).contains(&pause(failed)), "{failed}");
        }
    }
}
