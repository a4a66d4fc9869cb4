//! Sinks beside the file: records of the audit, carried to where others look at them.
//!
//! Layer 6. Each sink has a task of its own that reads the files of the log, and a position on disk. Nothing here is waited for by a
//! call, and nothing is kept in memory but one batch for each sink: what a receiver does not take stays in the files. Records come in
//! order and at least once; `seq` tells which they are.

mod courier;
mod limits;
mod position;
mod shape;
mod size;
mod way;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::config::AuditSink;
use crate::net::Fetch;
use crate::telemetry::metrics::Metrics;
use crate::vocab::Clock;
use courier::Courier;
use limits::SINK_FINISH_MS_MAX;
use way::Way;

/// The tasks. They end when they are told to, or with the process: what was not taken then is sent by the next one.
pub struct Sinks {
    tasks: TaskTracker,
    last: CancellationToken,
    /// Nobody else writes to standard output any more.
    announced: CancellationToken,
}

impl Sinks {
    /// Starts a task for each of `sinks`.
    ///
    /// # Errors
    /// A position or a file of CAs cannot be read; the audit is written to something that nobody can read from.
    pub fn start(
        sinks: &[AuditSink],
        audit: &Arc<Audit>,
        fetch: &Fetch,
        metrics: &Arc<Metrics>,
        clock: &Clock,
    ) -> io::Result<Self> {
        let (tasks, last, announced) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let no_file = std::fs::metadata(audit.path()).is_ok_and(|metadata| !metadata.is_file());
        if no_file && !sinks.is_empty() {
            return Err(io::Error::other(format!(
                "{} is no file: other sinks have nothing to read from",
                audit.path().display()
            )));
        }
        let opened = sinks.iter().map(|sink| {
            let way = Way::open(&sink.way, fetch, clock, announced.clone())?;
            Courier::open(sink, way, audit, metrics.clone(), clock.clone())
        });
        for courier in opened.collect::<io::Result<Vec<_>>>()? {
            drop(tasks.spawn(courier.run(audit.checkpoints(), last.clone())));
        }
        Ok(Self { tasks, last, announced })
    }

    /// From now on standard output belongs to the sink that writes there.
    pub fn announced(&self) {
        self.announced.cancel();
    }

    /// Sends what is left, which has to be on disk by now, as far as there is time.
    pub async fn finish(&self) {
        self.announced();
        self.last.cancel();
        self.tasks.close();
        if tokio::time::timeout(Duration::from_millis(SINK_FINISH_MS_MAX), self.tasks.wait()).await.is_err() {
            tracing::warn!("some sinks of the audit did not take everything in time: the rest is sent after the next start");
        }
    }
}
