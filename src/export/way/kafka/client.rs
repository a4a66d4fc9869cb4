//! The producer: its settings, and what it reports.

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, ProducerContext};
use secrecy::ExposeSecret as _;

use super::super::Trouble;
use super::limits::{
    BATCH_BYTES_MAX, CONNECT_MS_MAX, MESSAGE_MS_MAX, QUEUE_KIB_MAX, QUEUE_MESSAGES_MAX, RECONNECT_MS_MAX, REQUESTS_MAX,
};
use crate::config::KafkaSink;

pub(super) type Client = BaseProducer<Tally>;

/// What became of a batch so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    /// Messages that were acknowledged.
    pub(super) taken: usize,
    /// Why the first one was not, by the reports so far. What it took with it may be reported before it.
    pub(super) refused: Option<RDKafkaErrorCode>,
    /// What troubles the client as such; it goes on trying.
    pub(super) trouble: Option<RDKafkaErrorCode>,
}

impl Count {
    /// Another message was refused, for `code`.
    pub(super) fn refuse(&mut self, code: RDKafkaErrorCode) {
        if self.refused.is_none_or(follows) {
            self.refused = Some(code);
        }
    }
}

/// Counts the reports of one producer.
#[derive(Default)]
pub(super) struct Tally(Mutex<Count>);

impl Tally {
    /// Another batch.
    pub(super) fn begin(&self) {
        *self.0.lock() = Count::default();
    }

    pub(super) fn count(&self) -> Count {
        *self.0.lock()
    }
}

impl ClientContext for Tally {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        // It says things again and again. That a sink fails is said once, by its courier; this is for who wants to know more.
        tracing::debug!(facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, _: &str) {
        let mut count = self.0.lock();
        // That everybody is down is said after why.
        if count.trouble.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            count.trouble = error.rdkafka_error_code();
        }
    }
}

impl ProducerContext for Tally {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        let mut count = self.0.lock();
        match report {
            Ok(_) => count.taken = count.taken.saturating_add(1),
            Err((error, _)) => {
                count.refuse(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail));
            }
        }
    }
}

/// Whether a message was refused only because another one was.
pub(super) fn follows(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
}

/// An error without what a broker wrote, and without the values of settings.
pub(super) fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, words, key, _) => format!("{key}: {words}"),
        KafkaError::ClientCreation(words) => words.clone(),
        error => error.rdkafka_error_code().map_or_else(|| "it failed".to_owned(), |code| code.to_string()),
    }
}

/// A new producer. It connects by itself.
pub(super) fn open(sink: &KafkaSink) -> Result<Client, Trouble> {
    let opened = settings(sink).create_with_context(Tally::default());
    opened.map_err(|error| Trouble::new(words(&error)))
}

fn settings(sink: &KafkaSink) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set_log_level(RDKafkaLogLevel::Info);
    for (key, value) in [
        ("client.id", "portcullis"),
        // An acknowledgement is that of all replicas in sync; what is tried again is neither doubled nor out of order, and where one
        // message fails none of those behind it is written.
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("enable.gapless.guarantee", "true"),
        // As the clients in Java choose a partition by the key.
        ("partitioner", "murmur2"),
        ("compression.type", if sink.lz4 { "lz4" } else { "none" }),
        ("socket.keepalive.enable", "true"),
        // Brokers may ask clients for their metrics. Not this one.
        ("enable.metrics.push", "false"),
    ] {
        settings.set(key, value);
    }
    for (key, most) in [
        ("max.in.flight.requests.per.connection", REQUESTS_MAX),
        ("queue.buffering.max.messages", QUEUE_MESSAGES_MAX),
        ("queue.buffering.max.kbytes", QUEUE_KIB_MAX),
        ("batch.size", BATCH_BYTES_MAX),
        ("message.timeout.ms", MESSAGE_MS_MAX),
        ("socket.connection.setup.timeout.ms", CONNECT_MS_MAX),
        ("reconnect.backoff.max.ms", RECONNECT_MS_MAX),
    ] {
        settings.set(key, most.to_string());
    }
    settings.set("bootstrap.servers", sink.brokers.join(","));
    settings.set(
        "security.protocol",
        match (&sink.tls, &sink.sasl) {
            (None, None) => "plaintext",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), None) => "ssl",
            (Some(_), Some(_)) => "sasl_ssl",
        },
    );
    if let Some(tls) = &sink.tls {
        settings.set("enable.ssl.certificate.verification", "true");
        settings.set("ssl.endpoint.identification.algorithm", "https");
        let own = tls.own.iter().flat_map(|(cert, key)| [("ssl.certificate.location", cert), ("ssl.key.location", key)]);
        for (key, file) in tls.ca.iter().map(|ca| ("ssl.ca.location", ca)).chain(own) {
            settings.set(key, file.to_string_lossy());
        }
    }
    if let Some(sasl) = &sink.sasl {
        settings.set("sasl.mechanism", sasl.mechanism);
        settings.set("sasl.username", &sasl.username);
        settings.set("sasl.password", sasl.password.expose_secret());
    }
    settings
}
