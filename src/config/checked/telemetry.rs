//! Logs, traces and metrics.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

/// Logs, and where traces and metrics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// Level, or comma-separated `target=level` directives.
    pub log: String,
    /// Form of a line.
    pub log_format: LogFormat,
    /// The receiver of traces and metrics, if there is one.
    pub otlp: Option<Otlp>,
    /// Traces that are sent, of a million.
    pub trace_parts_per_million: u32,
    /// From when a request is slow, and its trace sent whatever the ratio.
    pub trace_slow: Duration,
    /// Whose trace context is gone on with.
    pub trust_trace_context: TraceTrust,
}

/// A receiver of OTLP.
#[derive(Clone, PartialEq, Eq)]
pub struct Otlp {
    /// Where it is.
    pub endpoint: Url,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Sent with everything; marked as secret.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// CAs to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
    /// How often metrics are sent.
    pub metrics_every: Duration,
}

/// The path of an endpoint may be a key, and values of headers are.
impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Otlp").field("host", &self.endpoint.host_str()).field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the word in the config")]
pub enum OtlpProtocol {
    Http,
    Grpc,
}

/// Whose trace context is gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the word in the config")]
pub enum TraceTrust {
    None,
    Authenticated,
    All,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the word in the config")]
pub enum LogFormat {
    Json,
    Text,
}
