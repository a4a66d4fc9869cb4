//! OTLP over HTTP, as protobuf. A status of 2xx means that the batch was taken; what the receiver says it refused for good it would
//! refuse again, so that is said loudly and left.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::HeaderValue;
use http::header::ACCEPT;

use super::Trouble;
use super::http::{patient, policy, taken};
use crate::audit::Stretch;
use crate::config::OtlpSink;
use crate::export::limits::SINK_ANSWER_BYTES_MAX;
use crate::export::shape::otlp::{rejected, request};
use crate::net::{Fetch, Payload};
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

    pub(super) async fn send(&self, stretch: &Stretch) -> Result<(), Trouble> {
        let body = Bytes::from(request(stretch.lines(), env!("CARGO_PKG_VERSION"), self.clock.unix_ms()));
        let mut headers = self.sink.headers.clone();
        headers.push((ACCEPT, HeaderValue::from_static(PROTOBUF)));
        let policy = policy(&self.sink.url, self.sink.allow_private_addresses);
        let payload = Payload::Typed(PROTOBUF, &body);
        let got = self.fetch.send(&self.sink.url, policy, &headers, payload, SINK_ANSWER_BYTES_MAX).await;
        let got = taken(got.map_err(|error| Trouble::new(error.to_string()))?)?;
        let records = rejected(&got.body).unwrap_or(0);
        if self.refuses.swap(records > 0, Ordering::Relaxed) != (records > 0) && records > 0 {
            let (first, last) = (stretch.first, stretch.end.seq);
            tracing::error!(
                records,
                first,
                last,
                "a receiver of OTLP refused records of the audit for good: they are in the files only"
            );
        }
        Ok(())
    }
}

const PROTOBUF: &str = "application/x-protobuf";
