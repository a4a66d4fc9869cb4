//! One HTTP/1.1 connection, driven by whoever waits for its answer.
//!
//! No task of its own: the caller polls the connection and the answer together, so a call costs no wake-up of another task.
//! All progress comes from polling the connection, therefore answer and body are polled with a waker that does nothing.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::net::Stream;
use crate::vocab::limits::HEADER_BYTES_MAX;

/// A connection that carries one exchange at a time.
pub(super) struct Lane {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: Pin<Box<http1::Connection<TokioIo<Stream>, Full<Bytes>>>>,
    ended: bool,
}

/// Why there is no answer.
pub(super) enum SendFailure {
    /// The connection was dead before a byte of the request was written: it can go over another.
    Unsent(Box<Request<Full<Bytes>>>),
    /// The request may have arrived.
    Broken(String),
}

impl Lane {
    pub(super) async fn open(stream: Stream) -> Result<Self, hyper::Error> {
        // The number of fields has hyper's own bound, which is HEADER_COUNT_MAX: setting it would clear room for as many per head.
        let (sender, connection) = http1::Builder::new().max_buf_size(HEADER_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: Box::pin(connection), ended: false })
    }

    /// Moves bytes as far as they go. The task of `cx` is woken when they can go further.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended && self.connection.as_mut().poll(cx).is_ready() {
            self.ended = true;
        }
    }

    /// True if another request can go out.
    pub(super) fn is_ready(&self) -> bool {
        !self.ended && self.sender.is_ready()
    }

    /// Sends `request` and waits for the head of its answer. Dropping the future ends the connection.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, SendFailure> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            if !self.ended && self.connection.as_mut().poll(cx).is_ready() {
                self.ended = true;
            }
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut failure)) => Poll::Ready(Err(match failure.take_message() {
                    Some(request) => SendFailure::Unsent(Box::new(request)),
                    None => SendFailure::Broken(failure.into_error().to_string()),
                })),
                Poll::Pending if self.ended => Poll::Ready(Err(SendFailure::Broken("connection closed".to_owned()))),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// The next bytes of `body`, or `None` at its end.
    pub(super) fn poll_chunk(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        // Once to take what is there, and once more after driving: bytes, or the end, may have come out of the connection.
        for driven in [false, true] {
            if driven {
                self.drive(cx);
            }
            while let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                match frame {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    // Trailers carry nothing of ours.
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                }
            }
        }
        if self.ended { Poll::Ready(None) } else { Poll::Pending }
    }
}
