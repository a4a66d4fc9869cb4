//! OTLP over the gateway's own guarded connections: over HTTP as protobuf, or by gRPC. What is sent beside the body is what the config
//! says: no variable of the environment adds anything.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;
use rustls::ClientConfig;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use url::Url;

use crate::config::{Otlp, OtlpProtocol};
use crate::net::backoff::pause;
use crate::net::{DialPolicy, Fetch, FetchError, Origin, Payload, Stream, client_config, connect as dial};
use crate::telemetry::export::Refusals;
use crate::vocab::Deadline;
use crate::vocab::limits::{
    TELEMETRY_ANSWER_BYTES_MAX, TELEMETRY_ATTEMPTS_MAX, TELEMETRY_CONNECT_MS_MAX, TELEMETRY_PAUSE_MS_MAX, TELEMETRY_PAUSE_MS_MIN,
    TELEMETRY_SEND_MS_MAX,
};

#[cfg(test)]
mod tests;

/// The receiver. Nothing is opened before something is sent.
#[derive(Clone)]
pub(super) enum Sender {
    Http(Arc<Http>),
    Grpc(Channel, MetadataMap),
}

pub(super) struct Http {
    fetch: Fetch,
    policy: DialPolicy,
    headers: Vec<(HeaderName, HeaderValue)>,
    endpoint: Url,
}

/// Why it took nothing: for the operator, without anything that it wrote.
struct Failed {
    words: String,
    /// It may take it yet.
    passes: bool,
}

impl Sender {
    /// # Errors
    /// A sentence for the operator.
    pub(super) fn new(otlp: &Otlp) -> Result<Self, String> {
        let tls = client_config(otlp.ca.as_deref()).map_err(|error| format!("telemetry.otlp.ca: {error}"))?;
        let origin = Origin::of(&otlp.endpoint).ok_or("telemetry.otlp: neither https nor http")?;
        let policy = origin.policy(otlp.allow_private_addresses);
        match otlp.protocol {
            OtlpProtocol::Http => {
                let fetch = Fetch::new(tls).with_time_max(Duration::from_millis(TELEMETRY_SEND_MS_MAX));
                let (headers, endpoint) = (otlp.headers.clone(), otlp.endpoint.clone());
                Ok(Self::Http(Arc::new(Http { fetch, policy, headers, endpoint })))
            }
            OtlpProtocol::Grpc => {
                let mut tls = ClientConfig::clone(&tls);
                tls.alpn_protocols = vec![b"h2".to_vec()];
                let connector = Connector { origin, policy, tls: Arc::new(tls) };
                // What is between us and the receiver is the connector's business; to the channel it is plain.
                let uri = Uri::try_from(format!("http://{}", connector.origin.authority()));
                let uri = uri.map_err(|error| format!("telemetry.otlp: {error}"))?;
                let channel = Endpoint::from(uri).connect_with_connector_lazy(connector);
                Ok(Self::Grpc(channel, MetadataMap::from_headers(otlp.headers.iter().cloned().collect::<HeaderMap>())))
            }
        }
    }

    /// Sends metrics once: the next ones say as much. Gives the points that were refused for good.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(super) async fn metrics(&self, request: &ExportMetricsServiceRequest) -> Result<i64, String> {
        let answer: Result<ExportMetricsServiceResponse, Failed> = match self {
            Self::Http(http) => http.post("v1/metrics", request).await,
            Self::Grpc(channel, metadata) => {
                let sent = MetricsServiceClient::new(channel.clone()).export(with(request.clone(), metadata)).await;
                sent.map(tonic::Response::into_inner).map_err(|status| refused(&status))
            }
        };
        let partial = answer.map_err(|failed| failed.words)?.partial_success;
        Ok(partial.map_or(0, |partial| partial.rejected_data_points))
    }

    /// Sends traces, again if that may help, at most [`TELEMETRY_ATTEMPTS_MAX`] times. Gives the spans that were refused for good.
    async fn traces(&self, request: &ExportTraceServiceRequest) -> Result<i64, String> {
        let mut failed = 0;
        loop {
            match self.traces_once(request).await {
                Ok(answer) => return Ok(answer.partial_success.map_or(0, |partial| partial.rejected_spans)),
                Err(Failed { passes: true, .. }) if failed + 1 < TELEMETRY_ATTEMPTS_MAX => failed += 1,
                Err(Failed { words, .. }) => return Err(words),
            }
            tokio::time::sleep(pause(failed, TELEMETRY_PAUSE_MS_MIN..=TELEMETRY_PAUSE_MS_MAX)).await;
        }
    }

    async fn traces_once(&self, request: &ExportTraceServiceRequest) -> Result<ExportTraceServiceResponse, Failed> {
        match self {
            Self::Http(http) => http.post("v1/traces", request).await,
            Self::Grpc(channel, metadata) => {
                let sent = TraceServiceClient::new(channel.clone()).export(with(request.clone(), metadata)).await;
                sent.map(tonic::Response::into_inner).map_err(|status| refused(&status))
            }
        }
    }
}

impl Http {
    /// What cannot be read of the answer to a success says nothing.
    async fn post<A: Message + Default>(&self, path: &str, request: &impl Message) -> Result<A, Failed> {
        // The endpoint is a base; paths of signals follow (OTLP 1.x, "OTLP/HTTP Request").
        let mut url = self.endpoint.clone();
        url.set_path(&format!("{}/{path}", self.endpoint.path().trim_end_matches('/')));
        let body = Bytes::from(request.encode_to_vec());
        let payload = Payload::Typed("application/x-protobuf", &body);
        let sent = self.fetch.send(&url, self.policy, &self.headers, payload, TELEMETRY_ANSWER_BYTES_MAX).await;
        // An answer that is of no use was given all the same: what it answers was had, or is not taken the next time either.
        let got = sent.map_err(|error| Failed {
            passes: matches!(error, FetchError::Dial(_) | FetchError::Exchange(_) | FetchError::Timeout),
            words: error.to_string(),
        })?;
        if !got.status.is_success() {
            let passes = matches!(
                got.status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            return Err(Failed { words: format!("answered {}", got.status), passes });
        }
        Ok(A::decode(got.body).unwrap_or_default())
    }
}

fn with<T>(message: T, metadata: &MetadataMap) -> Request<T> {
    let mut request = Request::new(message);
    *request.metadata_mut() = metadata.clone();
    request.set_timeout(Duration::from_millis(TELEMETRY_SEND_MS_MAX));
    request
}

/// What passes is that of OTLP 1.x, "OTLP/gRPC Response".
fn refused(status: &Status) -> Failed {
    let passes = matches!(
        status.code(),
        Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::OutOfRange | Code::Unavailable | Code::DataLoss
    );
    Failed { words: format!("answered {:?}", status.code()), passes }
}

/// Sends traces.
pub(super) struct Traces {
    sender: Sender,
    resource: ResourceAttributesWithSchema,
    refusals: Refusals,
}

impl Traces {
    pub(super) fn new(sender: Sender, refusals: Refusals) -> Self {
        Self { sender, resource: ResourceAttributesWithSchema::default(), refusals }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl SpanExporter for Traces {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let request = ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(batch, &self.resource) };
        let spans = self.sender.traces(&request).await.map_err(OTelSdkError::InternalFailure)?;
        self.refusals.note(spans);
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
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
