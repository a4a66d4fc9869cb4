//! `audit.sinks`: the file, and what reads from it. URLs and headers may hold secrets, and none of them is shown.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use url::{Host, Url};

use super::Cx;
use super::address::{host_is_loopback, host_may_be, outward_url};
use super::channels::signing_secret;
use super::files::readable;
use super::kafka;
use crate::config::checked::{AuditSink, HttpSink, OtlpSink, SinkFormat, SinkWay, SyslogSink};
use crate::config::limits::{AUDIT_SINKS_MAX, SINK_HEADERS_MAX};
use crate::config::raw::sink as raw;
use crate::config::report::item_path;

/// Length of a sink's name.
const NAME_BYTES_MAX: usize = 32;
/// The port of syslog over TLS (RFC 5425 section 4.1).
const SYSLOG_TLS_PORT: u16 = 6514;
const KINDS: &str = "file, stdout, syslog, http, otlp or kafka";

/// The directory of the file, and the others.
pub(super) fn check(sinks: Vec<raw::Sink>, cx: &mut Cx<'_>) -> Option<(String, Vec<AuditSink>)> {
    if sinks.len() > AUDIT_SINKS_MAX {
        return cx.refuse("audit.sinks", "has too many entries", format!("at most {AUDIT_SINKS_MAX}"));
    }
    let mut sinks = sinks.into_iter().enumerate();
    let Some((_, first)) = sinks.next() else {
        return cx.refuse("audit.sinks", "is empty: nothing would be recorded", "leave it out for [{ file: audit }]");
    };
    let file = match first.file {
        Some(_) if first.name.is_some() || count(&first) != 0 => {
            cx.refuse("audit.sinks[0]", "has more than `file`", "write { file: audit }, and an entry for each of the others")
        }
        Some(file) if !file.is_empty() && !file.contains('\0') => Some(file),
        Some(_) => cx.refuse("audit.sinks[0].file", "is not a path", "such as audit"),
        None if cx.report.any_below("audit.sinks[0]") => None,
        None => cx.missing("audit.sinks[0].file", "the first is the file, such as { file: audit }; others read from it"),
    };
    let mut names = HashSet::new();
    let others = sinks.map(|(at, raw)| sink(&item_path("audit.sinks", at), raw, &mut names, cx));
    // Every one is looked at, so that every mistake is reported.
    let others: Option<Vec<AuditSink>> = others.collect::<Vec<_>>().into_iter().collect();
    Some((file?, others?))
}

fn count(raw: &raw::Sink) -> usize {
    let given = [raw.stdout.is_some(), raw.syslog.is_some(), raw.http.is_some(), raw.otlp.is_some(), raw.kafka.is_some()];
    given.into_iter().filter(|given| *given).count()
}

fn sink(path: &str, raw: raw::Sink, names: &mut HashSet<String>, cx: &mut Cx<'_>) -> Option<AuditSink> {
    if raw.file.is_some() {
        return cx.refuse(path, "is a second file", "one file is written; what else is to have the records reads from it");
    }
    if count(&raw) != 1 && cx.report.any_below(path) {
        return None;
    }
    if count(&raw) != 1 {
        return cx.refuse(path, "is not one sink", format!("one of {KINDS}"));
    }
    let (kind, way) = if let Some(raw) = raw.stdout {
        ("stdout", format(&format!("{path}.stdout.format"), raw.format.as_deref(), cx).map(SinkWay::Stdout))
    } else if let Some(raw) = raw.syslog {
        ("syslog", syslog(&format!("{path}.syslog"), raw, cx).map(SinkWay::Syslog))
    } else if let Some(raw) = raw.http {
        ("http", http(&format!("{path}.http"), raw, cx).map(SinkWay::Http))
    } else if let Some(raw) = raw.kafka {
        ("kafka", kafka::check(&format!("{path}.kafka"), raw, cx).map(SinkWay::Kafka))
    } else {
        ("otlp", otlp(&format!("{path}.otlp"), raw.otlp.unwrap_or_default(), cx).map(SinkWay::Otlp))
    };
    let given = raw.name.is_some();
    let (name, path) = (raw.name.unwrap_or_else(|| kind.to_owned()), format!("{path}.name"));
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.len() > NAME_BYTES_MAX || !name.bytes().all(legal) {
        return cx.refuse(&path, "is not a name", "a lower-case letter, then up to 31 lower-case letters, digits and `-`");
    }
    if !names.insert(name.clone()) {
        let hint = if given { "names are unique" } else { "there are several of the kind: give each a `name`" };
        return cx.refuse(&path, format!("`{name}` is the name of another sink"), hint);
    }
    Some(AuditSink { name, way: way? })
}

pub(super) fn format(path: &str, text: Option<&str>, cx: &mut Cx<'_>) -> Option<SinkFormat> {
    match text {
        None | Some("json") => Some(SinkFormat::Json),
        Some("ocsf") => Some(SinkFormat::Ocsf),
        Some("cef") => Some(SinkFormat::Cef),
        Some(_) => cx.refuse(path, "is not a format", "json, ocsf or cef"),
    }
}

/// A file of CAs that is there, where one is named.
fn ca(path: &str, named: Option<&str>, cx: &mut Cx<'_>) -> Option<Option<PathBuf>> {
    match named {
        None => Some(None),
        Some(text) => readable(path, text, cx).map(Some),
    }
}

fn syslog(path: &str, raw: raw::Syslog, cx: &mut Cx<'_>) -> Option<SyslogSink> {
    let at = |key: &str| format!("{path}.{key}");
    let format = format(&at("format"), raw.format.as_deref(), cx);
    let ca = ca(&at("ca"), raw.ca.as_deref(), cx);
    let allow_private_addresses = raw.allow_private_addresses.unwrap_or(false);
    let (tls, host, port) = match raw.address {
        Some(text) => address(&at("address"), &text, allow_private_addresses, raw.danger_plaintext.unwrap_or(false), cx),
        None => cx.missing(&at("address"), "such as tls://syslog.example.com:6514"),
    }?;
    Some(SyslogSink { tls, host, port, format: format?, ca: ca?, allow_private_addresses })
}

fn address(path: &str, text: &str, private: bool, plaintext: bool, cx: &mut Cx<'_>) -> Option<(bool, String, u16)> {
    const HINT: &str = "tls://host:port, or tcp://host:port on loopback";
    let tls = match text.split_once("://") {
        Some(("tls", _)) => true,
        Some(("tcp", _)) => false,
        _ => return cx.refuse(path, "is not the address of a syslog server", HINT),
    };
    // Hosts of http URLs are read as they are dialled: names in lower case, numbers as addresses.
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let url = Url::parse(&format!("http://{rest}")).ok();
    let plain = |url: &Url| {
        matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none() && url.username().is_empty()
    };
    let Some(url) = url.filter(|url| plain(url) && url.password().is_none()) else {
        cx.report.problem_unshown(path, "is not the address of a syslog server", HINT);
        return None;
    };
    let host = url.host()?;
    if !host_may_be(path, &host, private, cx) {
        return None;
    }
    if !tls && !host_is_loopback(&host) && !plaintext {
        let hint = "use tls://, or say `danger_plaintext: true` beside it";
        return cx.refuse(path, "is without TLS to more than loopback", hint);
    }
    // The default port of http URLs is left out of them, and may be meant all the same.
    let named = if rest.trim_end_matches('/').ends_with(":80") { Some(80) } else { url.port() };
    let port = match named {
        Some(0) => return cx.refuse(path, "has port 0", "name the port of the server"),
        Some(port) => port,
        None if tls => SYSLOG_TLS_PORT,
        None => return cx.refuse(path, "names no port", "syslog over TCP has no port of its own: write tcp://host:port"),
    };
    let host = match host {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
    };
    Some((tls, host, port))
}

fn http(path: &str, raw: raw::Http, cx: &mut Cx<'_>) -> Option<HttpSink> {
    let at = |key: &str| format!("{path}.{key}");
    let allow_private_addresses = raw.allow_private_addresses.unwrap_or(false);
    let url = outward_url(&at("url"), raw.url.as_deref(), allow_private_addresses, cx);
    let why = "it signs batches: without, a receiver cannot know whose they are";
    let secret = signing_secret(&at("secret"), raw.secret, why, cx);
    let format = format(&at("format"), raw.format.as_deref(), cx);
    let gzip = match raw.compress.as_deref() {
        None | Some("none") => Some(false),
        Some("gzip") => Some(true),
        Some(_) => cx.refuse(&at("compress"), "is not a way to compress", "none or gzip"),
    };
    let ca = ca(&at("ca"), raw.ca.as_deref(), cx);
    Some(HttpSink { url: url?, secret: secret?, format: format?, gzip: gzip?, ca: ca?, allow_private_addresses })
}

fn otlp(path: &str, raw: raw::Otlp, cx: &mut Cx<'_>) -> Option<OtlpSink> {
    let at = |key: &str| format!("{path}.{key}");
    let allow_private_addresses = raw.allow_private_addresses.unwrap_or(false);
    let url = outward_url(&at("endpoint"), raw.endpoint.as_deref(), allow_private_addresses, cx);
    let headers = headers(&at("headers"), raw.headers.unwrap_or_default(), cx);
    let ca = ca(&at("ca"), raw.ca.as_deref(), cx);
    let mut url = url?;
    if matches!(url.path(), "" | "/") {
        url.set_path("/v1/logs");
    }
    Some(OtlpSink { url, headers: headers?, ca: ca?, allow_private_addresses })
}

fn headers(path: &str, raw: BTreeMap<String, String>, cx: &mut Cx<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    if raw.len() > SINK_HEADERS_MAX {
        return cx.refuse(path, "has too many entries", format!("at most {SINK_HEADERS_MAX}"));
    }
    let mut headers = Vec::new();
    for (name, value) in raw {
        let ours =
            ["host", "content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "user-agent"];
        let read = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !ours.contains(&name.as_str()));
        let Some(name) = read else {
            return cx.refuse(path, "holds a name that is no header, or one that is the gateway's", "such as authorization");
        };
        let Ok(mut value) = HeaderValue::from_str(&value) else {
            cx.report.problem_unshown(path, format!("holds a value for {name} that cannot be sent"), "visible ASCII only");
            return None;
        };
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Some(headers)
}
