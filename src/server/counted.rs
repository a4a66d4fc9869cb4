//! The service and its answers, counted for the meter.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use pin_project_lite::pin_project;

use super::meter::{InFlight, Meter};

/// `inner`, with each request noted in `meter` until its answer is complete. In HTTP/1.1 answers close the connection once the
/// drain has begun; in HTTP/2 they never name the connection (RFC 9113 section 8.2.2).
pub(super) fn counted<S, B>(
    inner: S,
    meter: Arc<Meter>,
    multiplexed: bool,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Counted<B>>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Counted<B>>, Infallible>> + Send + use<S, B>,
> + use<S, B>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    service_fn(move |request| {
        let mut in_flight = InFlight::begin(meter.clone());
        // Not an async block: that would hold the answer's future twice, once as it was given and once as it is awaited.
        inner.call(request).map(move |answer| {
            let mut response = answer?;
            if multiplexed {
                response.headers_mut().remove(CONNECTION);
            } else if in_flight.stopping() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            in_flight.waits_for_peer();
            Ok(response.map(|inner| Counted { inner, rest: Bytes::new(), in_flight }))
        })
    })
}

pin_project! {
    /// An answer's body in pieces that a peer can be seen to take.
    pub(super) struct Counted<B> {
        #[pin]
        inner: B,
        rest: Bytes,
        in_flight: InFlight,
    }
}

impl<B> Body for Counted<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        this.in_flight.moves();
        if this.rest.is_empty() {
            let Some(frame) = ready!(this.inner.as_mut().poll_frame(cx)) else { return Poll::Ready(None) };
            match frame?.into_data() {
                Ok(data) => *this.rest = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES_MAX));
        this.in_flight.waits_for_peer();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}

/// What is handed to HTTP at once. A peer that takes nothing holds no more than this in its buffers.
const PIECE_BYTES_MAX: usize = 64 * 1024;
