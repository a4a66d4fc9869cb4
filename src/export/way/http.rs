//! A POST of a batch, one line per record, signed like webhooks. A complete answer with a status of 2xx means that all of it was taken.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderValue, StatusCode};

use super::{TooMuch, Trouble};
use crate::audit::Stretch;
use crate::config::{HttpSink, SinkFormat};
use crate::export::limits::{SINK_ANSWER_BYTES_MAX, SINK_SEND_MS_MAX};
use crate::export::shape;
use crate::net::{DialPolicy, Fetch, FetchError, Payload, Replied};
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
        let id = format!("{}-{}-{}", stretch.end.log, stretch.first, stretch.end.seq);
        let headers = notice::headers("audit", &id, Some(&sink.secret), self.clock.unix_s(), &body);
        let mut headers = headers.ok_or_else(|| Trouble::new("a header cannot be written"))?;
        if sink.gzip {
            headers.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        let media_type = match sink.format {
            SinkFormat::Json | SinkFormat::Ocsf => "application/x-ndjson",
            SinkFormat::Cef => "text/plain; charset=utf-8",
        };
        let payload = Payload::Typed(media_type, &body);
        let policy = DialPolicy::written(&sink.url, sink.allow_private_addresses);
        let got = self.fetch.send(&sink.url, policy, &headers, payload, SINK_ANSWER_BYTES_MAX).await;
        taken(got).map(drop)
    }
}

/// A client that gives a batch its time.
pub(super) fn patient(fetch: Fetch) -> Fetch {
    fetch.with_time_max(Duration::from_millis(SINK_SEND_MS_MAX))
}

/// The answer of who took the batch.
pub(super) fn taken(got: Result<Replied, FetchError>) -> Result<Replied, Trouble> {
    let got = got.map_err(|error| match error {
        FetchError::Timeout | FetchError::Exchange(_) => Trouble::perhaps_too_much(error.to_string()),
        error => Trouble::new(error.to_string()),
    })?;
    if got.status.is_success() {
        return Ok(got);
    }
    let too_much = if got.status == StatusCode::PAYLOAD_TOO_LARGE { TooMuch::Yes } else { TooMuch::No };
    let after = Duration::from_secs(got.asks_for_s().unwrap_or(0));
    Err(Trouble { words: format!("answered {}", got.status.as_u16()), after, too_much })
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zipped = encoder.write_all(bytes).and_then(|()| encoder.finish());
    zipped.map_err(|error| Trouble::new(format!("a batch cannot be compressed: {error}")))
}
