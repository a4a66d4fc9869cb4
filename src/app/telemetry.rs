//! Sending traces and metrics, in the background, as the config says.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admin;
use super::otlp::{Sender, Traces};
use crate::config::Config;
use crate::pipeline::Gateway;
use crate::telemetry::export::{Refusals, Tracer, metrics_request, resource, run_metrics, run_traces};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sampler::Sampler;
use crate::telemetry::spans::Finished;
use crate::upstream::Registry;

/// Everything there is to send, and how.
pub(super) struct Sending {
    tracer: Arc<Tracer>,
    finished: mpsc::Receiver<Box<Finished>>,
    traces: Traces,
    metrics: Sender,
    every: Duration,
    instance: String,
}

/// Where the config says that traces and metrics go; nothing is opened yet.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn connect(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Sending>, String> {
    let Some(otlp) = &config.telemetry.otlp else { return Ok(None) };
    let instance = uuid::Uuid::now_v7().to_string();
    let sender = Sender::new(otlp)?;
    let mut traces = Traces::new(sender.clone(), Refusals::new("traces", metrics.clone()));
    traces.set_resource(&resource(&instance));
    let sampler = Sampler::new(config.telemetry.trace_parts_per_million, config.telemetry.trace_slow);
    let (tracer, finished) = Tracer::new(sampler, metrics.clone());
    Ok(Some(Sending { tracer, finished, traces, metrics: sender, every: otlp.metrics_every, instance }))
}

/// What sends.
pub(super) struct Observing {
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// Sends in the background from now on, if there is where to.
pub(super) fn start(sending: Option<Sending>, gateway: &Arc<Gateway>, registry: &Arc<Registry>) -> Observing {
    let observing = Observing { tasks: TaskTracker::new(), stopping: CancellationToken::new() };
    if let Some(sending) = sending {
        sending.start(&observing, gateway, registry);
    }
    observing
}

impl Observing {
    /// Sends what there is, and ends, within seconds.
    pub(super) async fn end(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Sending {
    /// Where requests leave their traces.
    pub(super) fn tracer(&self) -> Arc<Tracer> {
        self.tracer.clone()
    }

    fn start(self, observing: &Observing, gateway: &Arc<Gateway>, registry: &Arc<Registry>) {
        let Observing { tasks, stopping } = observing;
        let since = SystemTime::UNIX_EPOCH + Duration::from_millis(gateway.clock.unix_ms());
        let Self { tracer: _, finished, traces, metrics, every, instance } = self;
        drop(tasks.spawn(run_traces(finished, traces, gateway.metrics.clone(), stopping.clone())));
        let (counted, gateway, registry, since) = (gateway.metrics.clone(), gateway.clone(), registry.clone(), since);
        let gather = move || {
            admin::gather(&gateway, &registry);
            metrics_request(gateway.metrics.families(), &instance, since)
        };
        let refusals = Arc::new(Refusals::new("metrics", counted.clone()));
        let send = move |request| {
            let (metrics, refusals) = (metrics.clone(), refusals.clone());
            async move { metrics.metrics(&request).await.map(|points| refusals.note(points)) }
        };
        drop(tasks.spawn(run_metrics(gather, send, every, counted, stopping.clone())));
    }
}
