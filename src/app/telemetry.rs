//! Sending traces and metrics: OTLP over the gateway's own guarded connections.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_sdk::trace::SpanExporter as _;
use prost::Message as _;
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use url::Url;

use super::admin;
use crate::config::{Config, Otlp, OtlpProtocol};
use crate::net::{DialPolicy, Fetch, Origin, Payload, Stream, client_config, connect as dial};
use crate::pipeline::Gateway;
use crate::telemetry::export::{Tracer, metrics_request, resource, run_metrics, run_traces};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sampler::Sampler;
use crate::telemetry::spans::Finished;
use crate::upstream::Registry;
use crate::vocab::Deadline;
use crate::vocab::limits::{TELEMETRY_ANSWER_BYTES_MAX, TELEMETRY_CONNECT_MS_MAX, TELEMETRY_SEND_MS_MAX};

/// Everything there is to send, and how.
pub(super) struct Sending {
    tracer: Arc<Tracer>,
    finished: mpsc::Receiver<Box<Finished>>,
    traces: SpanExporter,
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
    let tls = client_config(otlp.ca.as_deref()).map_err(|error| format!("telemetry.otlp.ca: {error}"))?;
    let instance = uuid::Uuid::now_v7().to_string();
    let (mut traces, sender) = match otlp.protocol {
        OtlpProtocol::Http => over_http(otlp, tls)?,
        OtlpProtocol::Grpc => over_grpc(otlp, &tls)?,
    };
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
        let send = move |request| metrics.clone().send(request);
        drop(tasks.spawn(run_metrics(gather, send, every, counted, stopping.clone())));
    }
}

/// Sends metrics.
#[derive(Clone)]
enum Sender {
    Http(Courier, Url),
    Grpc(Channel, MetadataMap),
}

impl Sender {
    async fn send(self, request: ExportMetricsServiceRequest) -> Result<(), String> {
        match self {
            Self::Http(courier, url) => {
                let body = Bytes::from(request.encode_to_vec());
                let replied = courier.post(&url, &body).await?;
                if replied.status().is_success() { Ok(()) } else { Err(format!("answered {}", replied.status())) }
            }
            Self::Grpc(channel, metadata) => {
                let mut request = tonic::Request::new(request);
                *request.metadata_mut() = metadata;
                request.set_timeout(Duration::from_millis(TELEMETRY_SEND_MS_MAX));
                let sent = MetricsServiceClient::new(channel).export(request).await;
                sent.map(drop).map_err(|status| format!("answered {:?}", status.code()))
            }
        }
    }
}

fn over_http(otlp: &Otlp, tls: Arc<ClientConfig>) -> Result<(SpanExporter, Sender), String> {
    let policy = policy(otlp)?;
    let fetch = Fetch::new(tls);
    let courier = Courier { fetch, policy, headers: otlp.headers.clone() };
    let (traces, metrics) = (signal(&otlp.endpoint, "v1/traces")?, signal(&otlp.endpoint, "v1/metrics")?);
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(courier.clone())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces.as_str())
        .with_timeout(Duration::from_millis(TELEMETRY_SEND_MS_MAX))
        .build();
    Ok((exporter.map_err(|error| format!("telemetry.otlp: {error}"))?, Sender::Http(courier, metrics)))
}

/// The endpoint is a base; paths of signals follow (OTLP 1.x, "OTLP/HTTP Request").
fn signal(endpoint: &Url, path: &str) -> Result<Url, String> {
    let mut url = endpoint.clone();
    url.set_path(&format!("{}/{path}", endpoint.path().trim_end_matches('/')));
    Ok(url)
}

fn policy(otlp: &Otlp) -> Result<DialPolicy, String> {
    let origin = Origin::of(&otlp.endpoint).ok_or("telemetry.otlp: neither https nor http")?;
    Ok(DialPolicy { allow_private: otlp.allow_private_addresses, allow_loopback: origin.names_loopback() })
}

/// The exporter's client. What it sends beside the body is ours: variables of the environment add nothing.
#[derive(Clone)]
struct Courier {
    fetch: Fetch,
    policy: DialPolicy,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Courier {
    async fn post(&self, url: &Url, body: &Bytes) -> Result<Response<Bytes>, String> {
        let sent = self
            .fetch
            .send(url, self.policy, &self.headers, Payload::Typed("application/x-protobuf", body), TELEMETRY_ANSWER_BYTES_MAX)
            .await;
        let replied = sent.map_err(|error| error.to_string())?;
        let mut response = Response::new(replied.body);
        (*response.status_mut(), *response.headers_mut()) = (replied.status, replied.headers);
        Ok(response)
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").finish_non_exhaustive()
    }
}

impl HttpClient for Courier {
    fn send_bytes<'life, 'made>(
        &'life self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'made>>
    where
        'life: 'made,
        Self: 'made,
    {
        Box::pin(async move {
            let url = Url::parse(&request.uri().to_string())?;
            Ok(self.post(&url, request.body()).await?)
        })
    }
}

fn over_grpc(otlp: &Otlp, tls: &ClientConfig) -> Result<(SpanExporter, Sender), String> {
    let wrong = |error: &dyn fmt::Display| format!("telemetry.otlp: {error}");
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let origin = Origin::of(&otlp.endpoint).ok_or("telemetry.otlp: neither https nor http")?;
    let connector = Connector { origin, policy: policy(otlp)?, tls: Arc::new(tls) };
    // What is between us and the receiver is the connector's business; to the channel it is plain.
    let uri = Uri::try_from(format!("http://{}", connector.origin.authority())).map_err(|error| wrong(&error))?;
    let channel = Endpoint::from(uri).connect_with_connector_lazy(connector);
    let metadata = MetadataMap::from_headers(otlp.headers.iter().cloned().collect::<HeaderMap>());
    let ours = metadata.clone();
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel.clone())
        // Last to touch a request: variables of the environment add nothing.
        .with_interceptor(move |mut request: tonic::Request<()>| {
            *request.metadata_mut() = ours.clone();
            Ok(request)
        })
        .with_timeout(Duration::from_millis(TELEMETRY_SEND_MS_MAX))
        .build();
    Ok((exporter.map_err(|error| wrong(&error))?, Sender::Grpc(channel, metadata)))
}

/// Opens the guarded connection that a channel asks for.
#[derive(Clone)]
struct Connector {
    origin: Origin,
    policy: DialPolicy,
    tls: Arc<ClientConfig>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = crate::net::DialError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { origin, policy, tls } = self.clone();
        Box::pin(async move {
            let deadline = Deadline::after(Duration::from_millis(TELEMETRY_CONNECT_MS_MAX));
            dial(&origin, policy, &tls, deadline).await.map(TokioIo::new)
        })
    }
}
