//! `kafka` among `audit.sinks`. What this build lacks for it is said beside every other mistake.

use secrecy::SecretString;
use url::{Host, Url};

use super::Cx;
use super::address::{host_is_loopback, host_may_be};
use super::files::{certificates, private_key};
use super::sinks::format;
use crate::config::checked::{KafkaSasl, KafkaSink, KafkaTls};
use crate::config::limits::{KAFKA_BROKERS_MAX, KAFKA_TOPIC_BYTES_MAX};
use crate::config::raw::sink as raw;
use crate::config::report::item_path;

/// The port that brokers listen at if none is named.
const PORT: u16 = 9092;
const BUILD: &str = "build the gateway with `cargo build --features kafka`, or `kafka-tls` for TLS and SCRAM";
const BUILD_TLS: &str = "build the gateway with `cargo build --features kafka-tls`, which links OpenSSL";

pub(super) fn check(path: &str, raw: raw::Kafka, cx: &mut Cx<'_>) -> Option<KafkaSink> {
    let at = |key: &str| format!("{path}.{key}");
    if !cfg!(feature = "kafka") {
        cx.report.problem(path, "is not in this build", BUILD);
    }
    let danger_plaintext = raw.danger_plaintext.unwrap_or(false);
    let without_tls = raw.tls.is_none() && !danger_plaintext;
    let brokers = match raw.brokers {
        Some(brokers) => brokers_of(&at("brokers"), &brokers, without_tls, cx),
        None => cx.missing(&at("brokers"), "such as [\"kafka-1.example.com:9093\"]"),
    };
    let topic = topic(&at("topic"), raw.topic, cx);
    let partition = match raw.partition.map(i32::try_from) {
        None => Some(None),
        Some(Ok(number)) => Some(Some(number)),
        Some(Err(_)) => cx.refuse(&at("partition"), "is not the number of a partition", "0 is the first"),
    };
    let format = format(&at("format"), raw.format.as_deref(), cx);
    let lz4 = match raw.compress.as_deref() {
        None | Some("none") => Some(false),
        Some("lz4") => Some(true),
        Some(_) => cx.refuse(&at("compress"), "is not a way to compress", "none or lz4"),
    };
    let tls = raw.tls.map_or(Some(None), |raw| tls(&at("tls"), raw, cx).map(Some));
    let sasl = raw.sasl.map_or(Some(None), |raw| sasl(&at("sasl"), raw, without_tls, cx).map(Some));
    Some(KafkaSink {
        brokers: brokers?,
        topic: topic?,
        partition: partition?,
        format: format?,
        lz4: lz4?,
        tls: tls?,
        sasl: sasl?,
        danger_plaintext,
    })
}

fn brokers_of(path: &str, named: &[String], without_tls: bool, cx: &mut Cx<'_>) -> Option<Vec<String>> {
    if named.is_empty() || named.len() > KAFKA_BROKERS_MAX {
        return cx.refuse(path, "is not a list of brokers", format!("1 to {KAFKA_BROKERS_MAX} of them, each host:port"));
    }
    let brokers = named.iter().enumerate().map(|(at, text)| broker(&item_path(path, at), text, without_tls, cx));
    // Every one is looked at, so that every mistake is reported.
    brokers.collect::<Vec<_>>().into_iter().collect()
}

fn broker(path: &str, text: &str, without_tls: bool, cx: &mut Cx<'_>) -> Option<String> {
    // Hosts of http URLs are read as they are dialled: names in lower case, numbers as addresses.
    let url = Url::parse(&format!("http://{text}")).ok().filter(|_| !text.contains(['/', '@', '?', '#', ',', '\\']));
    let Some(host) = url.as_ref().and_then(Url::host) else {
        cx.report.problem_unshown(path, "is not the address of a broker", "host:port, without a scheme");
        return None;
    };
    // Private addresses are what brokers have.
    if !host_may_be(path, &host, true, cx) {
        return None;
    }
    if without_tls && !host_is_loopback(&host) {
        let hint = "add `tls: {}`, or say `danger_plaintext: true` beside `brokers`";
        return cx.refuse(path, "is without TLS to more than loopback", hint);
    }
    // The default port of http URLs is left out of them, and may be meant all the same.
    let named = if text.ends_with(":80") { Some(80) } else { url.as_ref().and_then(Url::port) };
    let port = match named {
        Some(0) => return cx.refuse(path, "has port 0", "name the port of the broker"),
        named => named.unwrap_or(PORT),
    };
    Some(match host {
        Host::Ipv6(ip) => format!("[{ip}]:{port}"),
        host => format!("{host}:{port}"),
    })
}

fn topic(path: &str, topic: Option<String>, cx: &mut Cx<'_>) -> Option<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match topic {
        Some(topic) if topic.is_empty() || topic.len() > KAFKA_TOPIC_BYTES_MAX || !topic.bytes().all(legal) => {
            cx.refuse(path, "is not the name of a topic", "up to 249 letters, digits, `.`, `_` and `-`")
        }
        Some(topic) if matches!(topic.as_str(), "." | "..") => cx.refuse(path, "is not the name of a topic", "such as audit"),
        Some(topic) => Some(topic),
        None => cx.missing(path, "such as audit"),
    }
}

fn tls(path: &str, raw: raw::KafkaTls, cx: &mut Cx<'_>) -> Option<KafkaTls> {
    let at = |key: &str| format!("{path}.{key}");
    if cfg!(feature = "kafka") && !cfg!(feature = "kafka-tls") {
        cx.report.problem(path, "is not in this build", BUILD_TLS);
    }
    let ca = match raw.ca {
        Some(file) => certificates(&at("ca"), &file, cx).map(Some),
        None => Some(None),
    };
    let own = match (raw.cert, raw.key) {
        (None, None) => Some(None),
        (Some(cert), Some(key)) => {
            let (cert, key) = (certificates(&at("cert"), &cert, cx), private_key(&at("key"), &key, cx));
            cert.zip(key).map(Some)
        }
        (Some(_), None) => cx.missing(&at("key"), "the private key of `cert`"),
        (None, Some(_)) => cx.missing(&at("cert"), "the certificate of `key`"),
    };
    Some(KafkaTls { ca: ca?, own: own? })
}

fn sasl(path: &str, raw: raw::KafkaSasl, without_tls: bool, cx: &mut Cx<'_>) -> Option<KafkaSasl> {
    let at = |key: &str| format!("{path}.{key}");
    if without_tls {
        // At loopback too: the brokers there say where the others are, and each is shown the password.
        cx.report.problem(path, "sends a password without TLS", "add `tls: {}`, or say `danger_plaintext: true` beside it");
    }
    let mechanism = match raw.mechanism.as_deref() {
        Some("PLAIN") => Some("PLAIN"),
        Some(name @ ("SCRAM-SHA-256" | "SCRAM-SHA-512")) => {
            if cfg!(feature = "kafka") && !cfg!(feature = "kafka-tls") {
                cx.report.problem(&at("mechanism"), format!("{name} is not in this build"), BUILD_TLS);
            }
            Some(if name == "SCRAM-SHA-256" { "SCRAM-SHA-256" } else { "SCRAM-SHA-512" })
        }
        Some(_) => cx.refuse(&at("mechanism"), "is not a mechanism of this build", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        None => cx.missing(&at("mechanism"), "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
    };
    let mut word = |key: &str, text: Option<String>| match text {
        Some(text) if text.is_empty() || text.contains(char::is_control) => {
            cx.report.problem_unshown(&at(key), "is empty or holds a control character", "leave out `sasl` if there is none");
            None
        }
        Some(text) => Some(text),
        None => cx.missing(&at(key), "leave out `sasl` if there is none"),
    };
    let (username, password) = (word("username", raw.username), word("password", raw.password));
    Some(KafkaSasl { mechanism: mechanism?, username: username?, password: SecretString::from(password?) })
}
