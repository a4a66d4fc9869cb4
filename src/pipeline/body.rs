//! Response bodies. The audit record rides in them: it is sent when the body was taken, failed or was dropped.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::audit::AuditHandle;
use crate::telemetry::current;

/// A response body of the gateway.
pub struct ReplyBody {
    content: Content,
    /// Dropped with the body; only that sends the record.
    _audit: Option<AuditHandle>,
}

enum Content {
    Whole(Option<Bytes>),
    Events(mpsc::Receiver<Bytes>),
    /// With the trace that its making belongs to.
    Pieces(BoxStream<'static, Bytes>, Option<[u8; 16]>),
}

impl ReplyBody {
    /// A body known in full.
    pub(super) fn whole(bytes: Bytes, audit: Option<AuditHandle>) -> Self {
        Self { content: Content::Whole(Some(bytes).filter(|b| !b.is_empty())), _audit: audit }
    }

    /// A body that a task writes. The task keeps the record.
    pub(super) fn events(events: mpsc::Receiver<Bytes>) -> Self {
        Self { content: Content::Events(events), _audit: None }
    }

    /// A body that is made as it is taken, and that keeps the record itself.
    pub(super) fn pieces(pieces: BoxStream<'static, Bytes>) -> Self {
        Self { content: Content::Pieces(pieces, current::trace_id()), _audit: None }
    }

    /// Whether the body comes in pieces, as server-sent events.
    pub(super) fn is_stream(&self) -> bool {
        match &self.content {
            Content::Whole(_) => false,
            // One that ended before it began has nothing to show.
            Content::Events(events) => !(events.is_closed() && events.is_empty()),
            Content::Pieces(..) => true,
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Content::Events(events) => events.poll_recv(cx).map(|event| event.map(|b| Ok(Frame::data(b)))),
            Content::Pieces(pieces, trace_id) => {
                let _trace = current::within(*trace_id);
                pieces.poll_next_unpin(cx).map(|piece| piece.map(|b| Ok(Frame::data(b))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Content::Events(_) | Content::Pieces(..) => SizeHint::default(),
        }
    }
}
