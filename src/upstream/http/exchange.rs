//! The body of an answer, bounded, and what becomes of its connection.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};

use super::pool::{Held, Pool};
use crate::vocab::{Fault, FaultKind};

/// An answer being read. Dropped early, its connection is closed: over HTTP that tells a stateless upstream to stop.
pub(super) struct Exchange {
    held: Held,
    body: Incoming,
    pool: Arc<Pool>,
    bytes_max: usize,
    bytes_read: usize,
    ended: bool,
}

impl Exchange {
    pub(super) fn new(held: Held, body: Incoming, pool: Arc<Pool>, bytes_max: usize) -> Result<Self, Fault> {
        let announced = body.size_hint().lower();
        if usize::try_from(announced).map_or(true, |n| n > bytes_max) {
            return Err(too_large());
        }
        Ok(Self { held, body, pool, bytes_max, bytes_read: 0, ended: false })
    }

    /// The same with another limit.
    #[must_use]
    pub(super) fn limited_to(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// Bytes of the body so far.
    pub(super) fn bytes_read(&self) -> usize {
        self.bytes_read
    }

    /// The next bytes, or `None` at the end. A connection that breaks before the announced end is a fault.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let Self { held, body, .. } = self;
        match poll_fn(|cx| held.lane.poll_chunk(body, cx)).await {
            Some(Ok(bytes)) => {
                self.bytes_read = self.bytes_read.saturating_add(bytes.len());
                if self.bytes_read > self.bytes_max { Err(too_large()) } else { Ok(Some(bytes)) }
            }
            Some(Err(error)) => Err(Fault::upstream(FaultKind::Unreachable, format!("answer broke off: {error}"))),
            None => {
                self.ended = true;
                Ok(None)
            }
        }
    }

    /// All of it. A body that arrives in one piece is not copied.
    pub(super) async fn whole(mut self) -> Result<Bytes, Fault> {
        let Some(first) = self.chunk().await? else {
            self.finish();
            return Ok(Bytes::new());
        };
        if self.body.is_end_stream() {
            self.ended = true;
            self.finish();
            return Ok(first);
        }
        let announced = usize::try_from(self.body.size_hint().lower()).unwrap_or(0);
        let Some(second) = self.chunk().await? else {
            self.finish();
            return Ok(first);
        };
        let mut whole = BytesMut::with_capacity(first.len().saturating_add(announced.max(second.len())));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(more) = self.chunk().await? {
            whole.extend_from_slice(&more);
        }
        self.finish();
        Ok(whole.freeze())
    }

    /// Nothing more is wanted: the connection goes back to the pool, with the rest of the body if its end was not seen.
    pub(super) fn finish(self) {
        let tail = if self.ended { None } else { Some(self.body) };
        self.pool.put(self.held, tail);
    }
}

fn too_large() -> Fault {
    Fault::upstream(FaultKind::TooLarge, "the answer is over the response limit")
}
