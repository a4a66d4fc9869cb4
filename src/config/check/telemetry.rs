//! `telemetry`: logs, and where traces and metrics go. Whatever is below `otlp` may be a secret, and none of it is shown.

use std::time::Duration;

use http::{HeaderName, HeaderValue, header};
use url::Url;

use super::Cx;
use super::address::{Consent, outward};
use super::files::readable;
use super::settings::duration;
use crate::config::checked::{LogFormat, Otlp, OtlpProtocol, Telemetry, TraceTrust};
use crate::config::limits::{METRICS_EVERY, OTLP_HEADERS_MAX, TRACE_SLOW};
use crate::config::raw::telemetry as raw;
use crate::config::shape::WordOr;

pub(super) fn check(raw: raw::Telemetry, cx: &mut Cx<'_>) -> Option<Telemetry> {
    let log = raw.log.unwrap_or_else(|| "info".to_owned());
    let log = if log.split(',').all(is_directive) {
        Some(log)
    } else {
        cx.refuse("telemetry.log", "is not a log level", "off, error, warn, info, debug or trace, or target=level,target=level")
    };
    let log_format = match raw.log_format.as_deref() {
        None | Some("json") => Some(LogFormat::Json),
        Some("text") => Some(LogFormat::Text),
        Some(_) => cx.refuse("telemetry.log_format", "is not a log format", "json or text"),
    };
    let otlp = match raw.otlp {
        None => Some(None),
        Some(WordOr::Word(url)) => {
            otlp(raw::Otlp { endpoint: Some(url), ..raw::Otlp::default() }, "telemetry.otlp", cx).map(Some)
        }
        Some(WordOr::Table(table)) => otlp(table, "telemetry.otlp.endpoint", cx).map(Some),
    };
    let sample = raw.trace_sample.unwrap_or(TRACE_SAMPLE);
    let trace_slow = duration("telemetry.trace_slow", raw.trace_slow.as_deref(), Duration::from_secs(2), TRACE_SLOW, cx);
    let trust_trace_context = match raw.trust_trace_context.as_deref() {
        None | Some("authenticated") => Some(TraceTrust::Authenticated),
        Some("none") => Some(TraceTrust::None),
        Some("all") => Some(TraceTrust::All),
        Some(_) => cx.refuse("telemetry.trust_trace_context", "is nobody to trust", "none, authenticated or all"),
    };
    Some(Telemetry {
        log: log?,
        log_format: log_format?,
        otlp: otlp?,
        // Between 0 and a million: the reader gives nothing else.
        trace_parts_per_million: (sample.clamp(0.0, 1.0) * 1e6).round() as u32,
        trace_slow: trace_slow?,
        trust_trace_context: trust_trace_context?,
    })
}

fn otlp(raw: raw::Otlp, at: &str, cx: &mut Cx<'_>) -> Option<Otlp> {
    let allow_private_addresses = raw.allow_private_addresses.unwrap_or(false);
    let consent = Consent { private: allow_private_addresses, plaintext: false, plaintext_key: "" };
    let endpoint = match raw.endpoint {
        Some(text) => endpoint(at, &text, &consent, cx),
        None => cx.missing(at, "the URL of the receiver, such as https://collector.example.com:4318"),
    };
    let protocol = match raw.protocol.as_deref() {
        None | Some("http") => Some(OtlpProtocol::Http),
        Some("grpc") => Some(OtlpProtocol::Grpc),
        Some(_) => cx.refuse("telemetry.otlp.protocol", "is not a protocol", "http or grpc"),
    };
    if let (Some(url), Some(OtlpProtocol::Grpc)) = (&endpoint, protocol)
        && url.path() != "/"
    {
        cx.report.problem_unshown(at, "has a path, which gRPC has no room for", "leave it out");
    }
    let mut headers = Vec::new();
    let given = raw.headers.unwrap_or_default();
    if given.len() > OTLP_HEADERS_MAX {
        cx.report.problem_unshown("telemetry.otlp.headers", "has too many entries", format!("at most {OTLP_HEADERS_MAX}"));
    }
    for (name, value) in given {
        let read = (HeaderName::try_from(&name), HeaderValue::try_from(value));
        match read {
            (Ok(name), Ok(mut value)) if !is_ours(&name) => {
                value.set_sensitive(true);
                headers.push((name, value));
            }
            _ => {
                let hint = "a name and a value of HTTP; content-type, content-length, host, te and grpc-* are ours";
                cx.report.problem_unshown("telemetry.otlp.headers", "holds what is no header to set", hint);
            }
        }
    }
    let ca = match raw.ca {
        None => Some(None),
        Some(file) => readable("telemetry.otlp.ca", &file, cx).map(Some),
    };
    let every = raw.metrics_every.as_deref();
    let metrics_every = duration("telemetry.otlp.metrics_every", every, Duration::from_secs(60), METRICS_EVERY, cx);
    Some(Otlp {
        endpoint: endpoint?,
        protocol: protocol?,
        headers,
        ca: ca?,
        allow_private_addresses,
        metrics_every: metrics_every?,
    })
}

fn endpoint(at: &str, text: &str, consent: &Consent<'_>, cx: &mut Cx<'_>) -> Option<Url> {
    let url = outward(at, text, consent, cx)?;
    if url.query().is_some() {
        cx.report.problem_unshown(at, "has a query", "keys go into `headers`");
        return None;
    }
    Some(url)
}

fn is_ours(name: &HeaderName) -> bool {
    let ours = [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::HOST,
        header::TE,
        header::USER_AGENT,
    ];
    ours.contains(name) || name.as_str().starts_with("grpc-") || name.as_str().ends_with("-bin")
}

fn is_directive(text: &str) -> bool {
    let (target, level) = text.split_once('=').map_or(("all", text), |(target, level)| (target, level));
    let is_target = !target.is_empty() && target.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    is_target && matches!(level, "off" | "error" | "warn" | "info" | "debug" | "trace")
}

/// Of all traces.
const TRACE_SAMPLE: f64 = 0.1;
