//! OTLP over HTTP, as protobuf. A status of 2xx with an answer of OTLP means that the batch was taken; what the receiver says it refused
//! for good it would refuse again, so that is said loudly, counted and left.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::HeaderValue;
use http::header::ACCEPT;

use super::Trouble;
use super::http::{patient, taken};
use crate::audit::Stretch;
use crate::config::OtlpSink;
use crate::export::limits::SINK_ANSWER_BYTES_MAX;
use crate::export::shape::otlp::{rejected, rejected_in_json, request};
use crate::net::{DialPolicy, Fetch, Payload, Replied};
use crate::vocab::Clock;

pub(in crate::export) struct Otlp {
    sink: OtlpSink,
    fetch: Fetch,
    clock: Clock,
    /// It refused records the last time.
    refuses: AtomicBool,
}

impl Otlp {
    pub(super) fn new(sink: OtlpSink, fetch: Fetch, clock: Clock) -> Self {
        Self { sink, fetch: patient(fetch), clock, refuses: AtomicBool::new(false) }
    }

    /// Hands a batch over; how many of its records were refused for good.
    pub(super) async fn send(&self, stretch: &Stretch) -> Result<u64, Trouble> {
        let body = Bytes::from(request(stretch.lines(), env!("CARGO_PKG_VERSION"), self.clock.unix_ms()));
        let mut headers = self.sink.headers.clone();
        headers.push((ACCEPT, HeaderValue::from_static(PROTOBUF)));
        let policy = DialPolicy::written(&self.sink.url, self.sink.allow_private_addresses);
        let payload = Payload::Typed(PROTOBUF, &body);
        let got = self.fetch.send(&self.sink.url, policy, &headers, payload, SINK_ANSWER_BYTES_MAX).await;
        let got = taken(got)?;
        // Whatever answers in another language is not who was meant to have the batch.
        let records = refused(&got).ok_or_else(|| Trouble::new("its answer is none of OTLP"))?.min(stretch.records());
        if self.refuses.swap(records > 0, Ordering::Relaxed) != (records > 0) && records > 0 {
            let (first, last) = (stretch.first, stretch.end.seq);
            tracing::error!(
                records,
                first,
                last,
                "a receiver of OTLP refused records of the audit for good: they are in the files only"
            );
        }
        Ok(records)
    }
}

/// Records that were refused for good; `None` if the answer does not say. An empty one refuses nothing. Answers are to be in the
/// language of the request; some receivers have one language only.
fn refused(got: &Replied) -> Option<u64> {
    match got.media_type().as_deref() {
        Some("application/json") if !got.body.is_empty() => rejected_in_json(&got.body),
        _ => rejected(&got.body),
    }
}

const PROTOBUF: &str = "application/x-protobuf";
