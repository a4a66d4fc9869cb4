//! The tasks that send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::trace::SpanExporter;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::data::spans;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::spans::Finished;
use crate::vocab::limits::{TELEMETRY_FLUSH_MS_MAX, TELEMETRY_SEND_MS_MAX, TRACE_BATCH_MS_MAX, TRACE_BATCH_REQUESTS_MAX};

/// Sends what comes out of `finished`, in batches, until `stopping`; what is there then is sent once more, within
/// [`TELEMETRY_FLUSH_MS_MAX`]. What a receiver does not take is counted and gone.
pub async fn run_traces(
    mut finished: mpsc::Receiver<Box<Finished>>,
    exporter: impl SpanExporter,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
) {
    let mut batch = Vec::with_capacity(TRACE_BATCH_REQUESTS_MAX);
    let mut said = Said::default();
    loop {
        let ends = tokio::select! {
            biased;
            () = stopping.cancelled() => true,
            got = finished.recv_many(&mut batch, TRACE_BATCH_REQUESTS_MAX) => got == 0,
        };
        if ends {
            break;
        }
        let until = Instant::now() + Duration::from_millis(TRACE_BATCH_MS_MAX);
        while batch.len() < TRACE_BATCH_REQUESTS_MAX {
            let room = TRACE_BATCH_REQUESTS_MAX - batch.len();
            let more = tokio::select! {
                biased;
                () = stopping.cancelled() => 0,
                more = timeout_at(until, finished.recv_many(&mut batch, room)) => more.unwrap_or(0),
            };
            if more == 0 {
                break;
            }
        }
        let cut = async {
            stopping.cancelled().await;
            tokio::time::sleep(Duration::from_millis(TELEMETRY_FLUSH_MS_MAX)).await;
        };
        let time_max = Duration::from_millis(TELEMETRY_SEND_MS_MAX);
        send(&exporter, &mut batch, &metrics, &mut said, time_max, cut).await;
    }
    finished.close();
    let deadline = Instant::now() + Duration::from_millis(TELEMETRY_FLUSH_MS_MAX);
    while let Ok(one) = finished.try_recv() {
        batch.push(one);
        if batch.len() == TRACE_BATCH_REQUESTS_MAX {
            let left = deadline.saturating_duration_since(Instant::now());
            send(&exporter, &mut batch, &metrics, &mut said, left, std::future::pending()).await;
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    send(&exporter, &mut batch, &metrics, &mut said, left, std::future::pending()).await;
}

#[expect(clippy::vec_box, reason = "boxes come out of the queue, and are moved as such")]
async fn send(
    exporter: &impl SpanExporter,
    batch: &mut Vec<Box<Finished>>,
    metrics: &Metrics,
    said: &mut Said,
    time_max: Duration,
    cut: impl Future<Output = ()>,
) {
    if batch.is_empty() {
        return;
    }
    let requests = batch.len() as u64;
    let data = batch.drain(..).flat_map(|finished| spans(&finished)).collect();
    let sent = tokio::select! {
        biased;
        sent = timeout(time_max, exporter.export(data)) => sent.ok(),
        () = cut => None,
    };
    let failure = match sent {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(error.to_string()),
        None => Some("no answer in time".to_owned()),
    };
    if failure.is_some() {
        metrics.telemetry_dropped("traces", "export_failed", requests);
    }
    said.say("traces", failure);
}

/// Sends what `gather` says every `every`, until `stopping`, and once more then. What is under way at that time has
/// [`TELEMETRY_FLUSH_MS_MAX`]; a receiver that lets it pass is sent nothing more.
pub async fn run_metrics<F, S, R>(mut gather: F, send: S, every: Duration, metrics: Arc<Metrics>, stopping: CancellationToken)
where
    F: FnMut() -> ExportMetricsServiceRequest,
    S: Fn(ExportMetricsServiceRequest) -> R,
    R: Future<Output = Result<(), String>>,
{
    let mut said = Said::default();
    loop {
        let ends = timeout(every, stopping.cancelled()).await.is_ok();
        let time_max = Duration::from_millis(if ends { TELEMETRY_FLUSH_MS_MAX } else { TELEMETRY_SEND_MS_MAX });
        let cut = async {
            stopping.cancelled().await;
            tokio::time::sleep(Duration::from_millis(TELEMETRY_FLUSH_MS_MAX)).await;
        };
        let sent = tokio::select! {
            biased;
            sent = timeout(time_max, send(gather())) => sent.ok(),
            () = cut => None,
        };
        let cut = sent.is_none() && stopping.is_cancelled();
        let failure = sent.map_or_else(|| Some("no answer in time".to_owned()), Result::err);
        if failure.is_some() {
            metrics.telemetry_dropped("metrics", "export_failed", 1);
        }
        said.say("metrics", failure);
        if ends || cut {
            return;
        }
    }
}

/// A receiver that is away is said once, and once more when it is back.
#[derive(Default)]
struct Said(bool);

impl Said {
    fn say(&mut self, signal: &'static str, failure: Option<String>) {
        match (failure, self.0) {
            (Some(detail), false) => {
                self.0 = true;
                tracing::warn!(signal, detail, "the receiver of telemetry takes nothing; what comes meanwhile is dropped");
            }
            (None, true) => {
                self.0 = false;
                tracing::info!(signal, "the receiver of telemetry takes everything again");
            }
            _ => {}
        }
    }
}

/// What a receiver takes and refuses for good (`partial_success` of OTLP): sent again it would be refused again.
pub struct Refusals {
    signal: &'static str,
    metrics: Arc<Metrics>,
    refuses: AtomicBool,
}

impl Refusals {
    /// Counts there.
    pub fn new(signal: &'static str, metrics: Arc<Metrics>) -> Self {
        Self { signal, metrics, refuses: AtomicBool::new(false) }
    }

    /// So many spans, or points, of what was sent last were refused; a receiver that begins with it is said once.
    pub fn note(&self, pieces: i64) {
        let pieces = u64::try_from(pieces).unwrap_or(0);
        if !self.refuses.swap(pieces > 0, Ordering::Relaxed) && pieces > 0 {
            let signal = self.signal;
            tracing::warn!(signal, pieces, "the receiver of telemetry refuses some of what it is sent for good");
        }
        if pieces > 0 {
            self.metrics.telemetry_dropped(self.signal, "rejected", pieces);
        }
    }
}
