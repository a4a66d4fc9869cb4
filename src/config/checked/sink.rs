//! Where records go beside the file.

use std::fmt;
use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use secrecy::SecretString;
use url::Url;

/// A sink beside the file, which reads from it.
#[derive(Clone, Debug)]
pub struct AuditSink {
    /// Its name: unique, and fit for a file's.
    pub name: String,
    /// How it takes records.
    pub way: SinkWay,
}

/// How a sink takes records.
#[derive(Clone, Debug)]
pub enum SinkWay {
    /// Lines on standard output.
    Stdout(SinkFormat),
    /// RFC 5424.
    Syslog(SyslogSink),
    /// Batches by POST.
    Http(HttpSink),
    /// OTLP over HTTP.
    Otlp(OtlpSink),
    /// A topic of Kafka.
    Kafka(KafkaSink),
}

/// What a record looks like there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFormat {
    /// As in the file.
    Json,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
    /// Common Event Format.
    Cef,
}

/// A syslog server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogSink {
    /// Over TLS, else over TCP.
    pub tls: bool,
    /// A name, or an IP literal without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What a message says.
    pub format: SinkFormat,
    /// CAs beside those of the system.
    pub ca: Option<PathBuf>,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
}

/// A POST of every batch, signed.
#[derive(Clone)]
pub struct HttpSink {
    /// Where to.
    pub url: Url,
    /// Signs what is sent.
    pub secret: SecretString,
    /// What a line says.
    pub format: SinkFormat,
    /// Batches are compressed with gzip.
    pub gzip: bool,
    /// CAs beside those of the system.
    pub ca: Option<PathBuf>,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
}

/// A receiver of OTLP.
#[derive(Clone)]
pub struct OtlpSink {
    /// Where logs go.
    pub url: Url,
    /// Sent with every request. The values do not print.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// CAs beside those of the system.
    pub ca: Option<PathBuf>,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
}

/// A topic of Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSink {
    /// Brokers to begin with, each `host:port`.
    pub brokers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// The partition; by the key if there is none.
    pub partition: Option<i32>,
    /// What a message says.
    pub format: SinkFormat,
    /// Batches are compressed with lz4.
    pub lz4: bool,
    /// TLS to every broker.
    pub tls: Option<KafkaTls>,
    /// Who we are to the brokers.
    pub sasl: Option<KafkaSasl>,
    /// Brokers beyond loopback may be reached without TLS.
    pub danger_plaintext: bool,
}

/// TLS to the brokers of Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTls {
    /// CAs instead of those of the system.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its private key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Who we are to the brokers of Kafka.
#[derive(Clone)]
pub struct KafkaSasl {
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    pub mechanism: &'static str,
    /// Whose the password is.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

impl SinkWay {
    /// The word in the config.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stdout(_) => "stdout",
            Self::Syslog(_) => "syslog",
            Self::Http(_) => "http",
            Self::Otlp(_) => "otlp",
            Self::Kafka(_) => "kafka",
        }
    }
}

// Secrets count where two configs are compared, and never print.
impl PartialEq for HttpSink {
    fn eq(&self, other: &Self) -> bool {
        use secrecy::ExposeSecret as _;
        let rest = |sink: &Self| (sink.url.clone(), sink.format, sink.gzip, sink.ca.clone(), sink.allow_private_addresses);
        rest(self) == rest(other) && self.secret.expose_secret() == other.secret.expose_secret()
    }
}

impl PartialEq for OtlpSink {
    fn eq(&self, other: &Self) -> bool {
        let rest = |sink: &Self| (sink.url.clone(), sink.headers.clone(), sink.ca.clone(), sink.allow_private_addresses);
        rest(self) == rest(other)
    }
}

impl PartialEq for KafkaSasl {
    fn eq(&self, other: &Self) -> bool {
        use secrecy::ExposeSecret as _;
        let same = self.mechanism == other.mechanism && self.username == other.username;
        same && self.password.expose_secret() == other.password.expose_secret()
    }
}

impl Eq for KafkaSasl {}

impl PartialEq for AuditSink {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && match (&self.way, &other.way) {
                (SinkWay::Stdout(one), SinkWay::Stdout(two)) => one == two,
                (SinkWay::Syslog(one), SinkWay::Syslog(two)) => one == two,
                (SinkWay::Http(one), SinkWay::Http(two)) => one == two,
                (SinkWay::Otlp(one), SinkWay::Otlp(two)) => one == two,
                (SinkWay::Kafka(one), SinkWay::Kafka(two)) => one == two,
                _ => false,
            }
    }
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSink").field("origin", &self.url.origin().ascii_serialization()).finish_non_exhaustive()
    }
}

impl fmt::Debug for OtlpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSink").field("origin", &self.url.origin().ascii_serialization()).finish_non_exhaustive()
    }
}

impl fmt::Debug for KafkaSasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSasl").field("mechanism", &self.mechanism).field("username", &self.username).finish_non_exhaustive()
    }
}
