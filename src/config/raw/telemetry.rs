//! `telemetry` as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::shape::WordOr;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Telemetry {
    /// Level, or comma-separated `target=level` directives. Default info.
    pub(in crate::config) log: Option<String>,
    /// Default json.
    #[schemars(extend("enum" = ["json", "text"]))]
    pub(in crate::config) log_format: Option<String>,
    /// Where traces and metrics are sent: the URL of a receiver of OTLP over HTTP, or a table. Default: nowhere.
    pub(in crate::config) otlp: Option<WordOr<Otlp>>,
    /// Part of all traces that is sent, 0 to 1. Refusals, failures and slow requests always are. Default 0.1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(in crate::config) trace_sample: Option<f64>,
    /// From when a request is slow. Default 2s.
    pub(in crate::config) trace_slow: Option<String>,
    /// Whose `traceparent` is gone on with. Default authenticated.
    #[schemars(extend("enum" = ["none", "authenticated", "all"]))]
    pub(in crate::config) trust_trace_context: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["endpoint"]))]
pub(in crate::config) struct Otlp {
    /// https, or http on loopback. With `protocol: http` the paths v1/traces and v1/metrics follow.
    pub(in crate::config) endpoint: Option<String>,
    /// Default http: protobuf over HTTP/1.1.
    #[schemars(extend("enum" = ["http", "grpc"]))]
    pub(in crate::config) protocol: Option<String>,
    /// Sent with everything. Their values may be secret.
    pub(in crate::config) headers: Option<BTreeMap<String, String>>,
    /// PEM file of CAs to trust beside the system's.
    pub(in crate::config) ca: Option<String>,
    /// Lets the receiver be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
    /// How often metrics are sent. Default 60s.
    pub(in crate::config) metrics_every: Option<String>,
}
