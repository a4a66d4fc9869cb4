//! Traces and metrics on their way to a receiver, by OTLP.
//!
//! Requests hand over what is kept of them to a bounded queue and never wait; one task makes spans of it and sends them in batches.
//! Whoever opens connections is handed in: nothing here dials.

mod batch;
mod data;
mod metrics;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use batch::{Refusals, run_metrics, run_traces};
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::metrics::Metrics;
use super::sampler::Sampler;
use super::spans::Finished;
use crate::vocab::limits::{TRACE_QUEUE_REQUESTS_MAX, TRACE_STRANGERS_PER_S_MAX};

pub use metrics::request as metrics_request;

/// Where requests leave their traces.
pub struct Tracer {
    sampler: Sampler,
    queue: mpsc::Sender<Box<Finished>>,
    /// Since when a second lasts, and the strangers in it.
    strangers: Mutex<(Instant, u32)>,
    metrics: Arc<Metrics>,
}

impl Tracer {
    /// A tracer, and where what is kept comes out. What is not taken out in time is dropped and counted in `metrics`.
    pub fn new(sampler: Sampler, metrics: Arc<Metrics>) -> (Arc<Self>, mpsc::Receiver<Box<Finished>>) {
        let (queue, finished) = mpsc::channel(TRACE_QUEUE_REQUESTS_MAX);
        let strangers = Mutex::new((Instant::now(), 0));
        (Arc::new(Self { sampler, queue, strangers, metrics }), finished)
    }

    /// Who is kept.
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Whether one more is kept of those that ended before anybody knew whose they are: [`TRACE_STRANGERS_PER_S_MAX`] in a second.
    /// Others are counted.
    pub(super) fn has_room_for_a_stranger(&self) -> bool {
        let mut strangers = self.strangers.lock();
        if strangers.0.elapsed() >= Duration::from_secs(1) {
            *strangers = (Instant::now(), 0);
        }
        strangers.1 = strangers.1.saturating_add(1);
        let has_room = strangers.1 <= TRACE_STRANGERS_PER_S_MAX;
        drop(strangers);
        if !has_room {
            self.metrics.telemetry_dropped("traces", "anonymous", 1);
        }
        has_room
    }

    pub(super) fn send(&self, finished: Box<Finished>) {
        if self.queue.try_send(finished).is_err() {
            self.metrics.telemetry_dropped("traces", "queue_full", 1);
        }
    }
}

/// Who sends: service `portcullis`, of this version. `instance` is another one with every start.
pub fn resource(instance: &str) -> Resource {
    let attributes = [
        KeyValue::new("service.name", "portcullis"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.to_owned()),
    ];
    Resource::builder_empty().with_attributes(attributes).build()
}
