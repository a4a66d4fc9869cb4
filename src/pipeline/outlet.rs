//! The end of a stream to a client from which messages leave.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::mcp::sse;
use crate::vocab::limits::REPLY_EVENTS_MAX;

/// Sends events to one client, and counts them.
pub(super) struct Outlet {
    events: mpsc::Sender<Bytes>,
    bytes_out: u64,
}

impl Outlet {
    /// A stream, and what its client reads of it.
    pub(super) fn open() -> (Self, mpsc::Receiver<Bytes>) {
        let (events, receiver) = mpsc::channel(REPLY_EVENTS_MAX);
        (Self { events, bytes_out: 0 }, receiver)
    }

    /// By which others notice that the client is gone.
    pub(super) fn events(&self) -> &mpsc::Sender<Bytes> {
        &self.events
    }

    /// Returns when nobody reads any more.
    pub(super) async fn closed(&self) {
        self.events.closed().await;
    }

    /// Bytes that were sent so far.
    pub(super) fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// Sends a message as an event.
    pub(super) async fn send_message(&mut self, json: &[u8]) {
        let mut event = Vec::with_capacity(json.len() + 32);
        sse::encode(&mut event, json);
        self.send(event.into()).await;
    }

    /// Waits for a slow reader; a gone one is no error here.
    pub(super) async fn send(&mut self, bytes: Bytes) {
        let length = bytes.len() as u64;
        if self.events.send(bytes).await.is_ok() {
            self.bytes_out += length;
        }
    }
}
