//! A POST of a batch, one line per record, signed like webhooks. A complete answer with a status of 2xx means that all of it was taken.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

use super::Trouble;
use crate::audit::Stretch;
use crate::config::{HttpSink, SinkFormat};
use crate::export::limits::{SINK_ANSWER_BYTES_MAX, SINK_SEND_MS_MAX};
use crate::export::shape;
use crate::net::{DialPolicy, Fetch, FetchError, Origin, Payload, Replied};
use crate::notice;
use crate::vocab::Clock;

pub(in crate::export) struct Http {
    sink: HttpSink,
    fetch: Fetch,
    clock: Clock,
}

impl Http {
    pub(super) fn new(sink: HttpSink, fetch: Fetch, clock: Clock) -> Self {
        Self { sink, fetch: patient(fetch), clock }
    }

    pub(super) async fn send(&self, stretch: &Stretch) -> Result<(), Trouble> {
        let sink = &self.sink;
        let mut body = Vec::new();
        shape::lines(&mut body, sink.format, stretch);
        if sink.gzip {
            body = gzip(&body)?;
        }
        let body = Bytes::from(body);
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Trouble::new("a header cannot be written"));
        let id = format!("{}-{}-{}", stretch.end.log, stretch.first, stretch.end.seq);
        let signature = notice::signature(&sink.secret, self.clock.unix_s(), &body);
        let mut headers = vec![
            (HeaderName::from_static("portcullis-event"), HeaderValue::from_static("audit")),
            (HeaderName::from_static("portcullis-delivery"), value(&id)?),
            (HeaderName::from_static("portcullis-signature"), value(&signature)?),
        ];
        if sink.gzip {
            headers.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        let media_type = match sink.format {
            SinkFormat::Json | SinkFormat::Ocsf => "application/x-ndjson",
            SinkFormat::Cef => "text/plain; charset=utf-8",
        };
        let payload = Payload::Typed(media_type, &body);
        let policy = policy(&sink.url, sink.allow_private_addresses);
        let got = self.fetch.send(&sink.url, policy, &headers, payload, SINK_ANSWER_BYTES_MAX).await;
        taken(got).map(drop)
    }
}

/// A client that gives a batch its time.
pub(super) fn patient(fetch: Fetch) -> Fetch {
    fetch.with_time_max(Duration::from_millis(SINK_SEND_MS_MAX))
}

/// A loopback address written in the config is its own consent.
pub(super) fn policy(url: &Url, allow_private: bool) -> DialPolicy {
    DialPolicy { allow_private, allow_loopback: Origin::of(url).is_some_and(|origin| origin.names_loopback()) }
}

/// The answer of who took the batch.
pub(super) fn taken(got: Result<Replied, FetchError>) -> Result<Replied, Trouble> {
    let got = got.map_err(|error| {
        // Who finds a batch too large may just as well stop reading, or be too slow for it.
        let too_much = matches!(error, FetchError::Timeout | FetchError::Exchange(_));
        Trouble { too_much, ..Trouble::new(error.to_string()) }
    })?;
    if got.status.is_success() {
        return Ok(got);
    }
    let too_much = got.status == StatusCode::PAYLOAD_TOO_LARGE;
    let asks_for_time = matches!(got.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let after_s = retry_after(&got.headers).filter(|_| asks_for_time).unwrap_or(0);
    Err(Trouble { words: format!("answered {}", got.status.as_u16()), after: Duration::from_secs(after_s), too_much })
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zipped = encoder.write_all(bytes).and_then(|()| encoder.finish());
    zipped.map_err(|error| Trouble::new(format!("a batch cannot be compressed: {error}")))
}
