//! `audit.sinks` as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Sink {
    /// What it is called in logs, metrics and the name of its saved position. Default: its kind. Not for the file.
    pub(in crate::config) name: Option<String>,
    /// Directory of record files, under `data_dir` unless absolute. The first sink is this one, and no other.
    pub(in crate::config) file: Option<String>,
    /// Standard output, one line per record.
    pub(in crate::config) stdout: Option<Stdout>,
    /// A syslog server, RFC 5424 over TLS or TCP.
    pub(in crate::config) syslog: Option<Syslog>,
    /// Batches of lines, POSTed to a URL.
    pub(in crate::config) http: Option<Http>,
    /// Logs of OpenTelemetry, by OTLP over HTTP.
    pub(in crate::config) otlp: Option<Otlp>,
    /// A topic of Kafka. Only in builds with the feature `kafka`; TLS and SCRAM only in those with `kafka-tls`.
    pub(in crate::config) kafka: Option<Kafka>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Stdout {
    /// Default json: the record as it is in the file.
    #[schemars(extend("enum" = ["json", "ocsf", "cef"]))]
    pub(in crate::config) format: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["address"]))]
pub(in crate::config) struct Syslog {
    /// `tls://host:port`, or `tcp://host:port` on loopback. Default port of tls: 6514.
    pub(in crate::config) address: Option<String>,
    /// Default json: the record as it is in the file.
    #[schemars(extend("enum" = ["json", "ocsf", "cef"]))]
    pub(in crate::config) format: Option<String>,
    /// PEM file with CAs to trust beside those of the system.
    pub(in crate::config) ca: Option<String>,
    /// Lets it be reached without TLS at more than loopback.
    pub(in crate::config) danger_plaintext: Option<bool>,
    /// Lets it be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url", "secret"]))]
pub(in crate::config) struct Http {
    /// Where to. https, or http on loopback.
    pub(in crate::config) url: Option<String>,
    /// Signs every batch: at least 16 characters.
    pub(in crate::config) secret: Option<String>,
    /// Default json: the record as it is in the file.
    #[schemars(extend("enum" = ["json", "ocsf", "cef"]))]
    pub(in crate::config) format: Option<String>,
    /// How batches are compressed. Default none.
    #[schemars(extend("enum" = ["none", "gzip"]))]
    pub(in crate::config) compress: Option<String>,
    /// PEM file with CAs to trust beside those of the system.
    pub(in crate::config) ca: Option<String>,
    /// Lets it be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["endpoint"]))]
pub(in crate::config) struct Otlp {
    /// Where to. https, or http on loopback. Without a path, /v1/logs.
    pub(in crate::config) endpoint: Option<String>,
    /// Headers of every request, such as one with a token.
    pub(in crate::config) headers: Option<BTreeMap<String, String>>,
    /// PEM file with CAs to trust beside those of the system.
    pub(in crate::config) ca: Option<String>,
    /// Lets it be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["brokers", "topic"]))]
pub(in crate::config) struct Kafka {
    /// Brokers to begin with, each `host:port`. Default port 9092.
    #[schemars(length(min = 1, max = 16))]
    pub(in crate::config) brokers: Option<Vec<String>>,
    /// The topic.
    pub(in crate::config) topic: Option<String>,
    /// The partition. Default: by the id of the log, which is the key of every message.
    pub(in crate::config) partition: Option<u64>,
    /// Default json: the record as it is in the file.
    #[schemars(extend("enum" = ["json", "ocsf", "cef"]))]
    pub(in crate::config) format: Option<String>,
    /// How batches are compressed. Default none.
    #[schemars(extend("enum" = ["none", "lz4"]))]
    pub(in crate::config) compress: Option<String>,
    /// TLS to every broker.
    pub(in crate::config) tls: Option<KafkaTls>,
    /// Who the gateway is to the brokers.
    pub(in crate::config) sasl: Option<KafkaSasl>,
    /// Lets it be reached without TLS at more than loopback, and sends a password without TLS.
    pub(in crate::config) danger_plaintext: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct KafkaTls {
    /// PEM file with the CAs to trust instead of those of the system.
    pub(in crate::config) ca: Option<String>,
    /// PEM file with the gateway's own certificate, then those of its issuers. Needs `key`.
    pub(in crate::config) cert: Option<String>,
    /// PEM file with its private key, not encrypted.
    pub(in crate::config) key: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["mechanism", "username", "password"]))]
pub(in crate::config) struct KafkaSasl {
    /// How the password is shown.
    #[schemars(extend("enum" = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]))]
    pub(in crate::config) mechanism: Option<String>,
    /// Whose it is.
    pub(in crate::config) username: Option<String>,
    /// The password.
    pub(in crate::config) password: Option<String>,
}
