//! The server's side of a line: events, each a message.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{timeout, timeout_at};

use crate::mcp::sse::{SseDecoder, SseEvent};
use crate::upstream::http::exchange::Exchange;
use crate::upstream::wire::malformed;
use crate::vocab::limits::{SSE_EVENT_BYTES_MAX, URI_BYTES_MAX, WATCH_SILENCE_MS_MAX};
use crate::vocab::{Deadline, Fault, FaultKind};

/// Events of a line. Each is bounded, all together are not: it is read by whoever waits for an answer.
pub(super) struct LineStream {
    exchange: Exchange,
    decoder: SseDecoder,
}

impl LineStream {
    pub(super) fn new(exchange: Exchange, event_bytes_max: usize) -> Self {
        let decoder = SseDecoder::new(event_bytes_max.min(SSE_EVENT_BYTES_MAX));
        Self { exchange: exchange.limited_to(usize::MAX), decoder }
    }

    /// What the first event says: where messages go (2024-11-05, transports). What only sets an id or a retry time is no event yet.
    pub(super) async fn endpoint(&mut self, deadline: Deadline) -> Result<String, Fault> {
        let late = |_| Fault::upstream(FaultKind::Timeout, "its stream does not say where messages go");
        let first = timeout_at(deadline.instant().into(), self.first()).await.map_err(late)??;
        let named = first.filter(|event| event.event.as_deref() == Some("endpoint") && event.data.len() <= URI_BYTES_MAX);
        let named = named.and_then(|event| String::from_utf8(event.data.to_vec()).ok());
        named.ok_or_else(|| malformed("its stream does not say where messages go"))
    }

    async fn first(&mut self) -> Result<Option<SseEvent>, Fault> {
        for _ in 0..BARE_EVENTS_MAX {
            match self.event().await? {
                Some(event) if event.data.is_empty() && event.event.is_none() => {}
                first => return Ok(first),
            }
        }
        Ok(None)
    }

    /// The next message, not yet parsed; `None` at the end.
    pub(super) async fn message(&mut self) -> Result<Option<Bytes>, Fault> {
        let silent = |_| Fault::upstream(FaultKind::Unreachable, "its stream fell silent");
        let silence = Duration::from_millis(WATCH_SILENCE_MS_MAX);
        loop {
            match timeout(silence, self.event()).await.map_err(silent)?? {
                Some(event) if event.is_message() => return Ok(Some(event.data)),
                // Nothing else was promised; another endpoint in the middle of a session is not followed.
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    async fn event(&mut self) -> Result<Option<SseEvent>, Fault> {
        loop {
            if let Some(event) = self.decoder.next_event() {
                return Ok(Some(event));
            }
            let Some(chunk) = self.exchange.chunk().await? else { return Ok(None) };
            self.decoder.push(&chunk).map_err(|e| Fault::upstream(FaultKind::TooLarge, e.to_string()))?;
        }
    }
}

/// Events without data before the first with some.
const BARE_EVENTS_MAX: usize = 64;
