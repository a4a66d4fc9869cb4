//! Streams on which an upstream only announces. They may last for days, so what bounds them is their pace.

use std::collections::VecDeque;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, timeout_at};

use super::exchange::Exchange;
use crate::mcp::Incoming;
use crate::mcp::sse::{SseDecoder, SseEvent};
use crate::upstream::pause::Pace;
use crate::upstream::wire;
use crate::vocab::limits::{
    EVENT_ID_BYTES_MAX, RESUME_MS, RESUME_MS_MAX, RESUME_MS_MIN, WATCH_EVENT_BYTES_MAX, WATCH_SILENCE_MS_MAX,
};
use crate::vocab::{Fault, FaultKind, Revision};

/// Where to go on with a stream that broke (2025-11-25, transports: resumability). Concerns the hop to one upstream only.
#[derive(Clone, Debug, Default)]
pub(super) struct Resumption {
    last_event: Option<HeaderValue>,
    retry: Option<Duration>,
}

impl Resumption {
    /// Takes note of an event's id and of the wait it asks for, as far as they can be kept to.
    pub(super) fn note(&mut self, event: &SseEvent) {
        if let Some(id) = &event.id {
            // An empty id means that there is nothing to go on from, and so does one that cannot be said again.
            let sayable = !id.is_empty() && id.len() <= EVENT_ID_BYTES_MAX;
            self.last_event = if sayable { HeaderValue::try_from(id.as_str()).ok() } else { None };
        }
        if let Some(ms) = event.retry {
            self.retry = Some(Duration::from_millis(ms.clamp(RESUME_MS_MIN, RESUME_MS_MAX)));
        }
    }

    pub(super) fn last_event(&self) -> Option<&HeaderValue> {
        self.last_event.as_ref()
    }

    /// The upstream does not go on from there.
    pub(super) fn forget(&mut self) {
        self.last_event = None;
    }

    /// How long to wait first.
    pub(super) fn wait(&self) -> Duration {
        self.retry.unwrap_or(Duration::from_millis(RESUME_MS))
    }
}

/// Messages of a stream of announcements.
pub(super) struct Events {
    exchange: Exchange,
    decoder: SseDecoder,
    messages: VecDeque<Incoming>,
    pace: Pace,
    heard: Instant,
    revision: Revision,
    depth_max: usize,
}

impl Events {
    pub(super) fn new(exchange: Exchange, event_bytes_max: usize, revision: Revision, depth_max: usize) -> Self {
        Self {
            exchange: exchange.limited_to(usize::MAX),
            decoder: SseDecoder::new(event_bytes_max.min(WATCH_EVENT_BYTES_MAX)),
            messages: VecDeque::new(),
            pace: Pace::default(),
            heard: Instant::now(),
            revision,
            depth_max,
        }
    }

    /// The next message; `None` when the stream ended. Safe to drop and call again.
    ///
    /// # Errors
    /// What cannot be read on: it broke, fell silent, or is no stream of messages.
    pub(super) async fn next(&mut self, resumption: &mut Resumption) -> Result<Option<Incoming>, Fault> {
        loop {
            if !self.messages.is_empty() {
                self.pace.room().await;
                self.pace.took(1, 0);
                return Ok(self.messages.pop_front());
            }
            match self.decoder.next_event() {
                Some(event) => {
                    resumption.note(&event);
                    if event.is_message() {
                        self.messages.extend(wire::parse(&event.data, self.revision, self.depth_max)?);
                    }
                }
                None => {
                    if !self.read().await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    async fn read(&mut self) -> Result<bool, Fault> {
        self.pace.room().await;
        let until = self.heard + Duration::from_millis(WATCH_SILENCE_MS_MAX);
        let silent = |_| Fault::upstream(FaultKind::Unreachable, "a stream of announcements fell silent");
        let Some(chunk) = timeout_at(until, self.exchange.chunk()).await.map_err(silent)?? else { return Ok(false) };
        self.heard = Instant::now();
        self.pace.took(0, chunk.len());
        self.decoder.push(&chunk).map_err(|e| Fault::upstream(FaultKind::TooLarge, e.to_string()))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_only_from_what_can_be_said_again_and_never_at_once() {
        let event = |id: Option<&str>, retry: Option<u64>| SseEvent { id: id.map(str::to_owned), retry, ..SseEvent::default() };
        let long = "x".repeat(EVENT_ID_BYTES_MAX + 1);
        let mut resumption = Resumption::default();
        assert_eq!((resumption.last_event(), resumption.wait()), (None, Duration::from_millis(RESUME_MS)));
        for (id, retry, from, wait_ms) in [
            (Some("e-1"), None, Some("e-1"), RESUME_MS),
            (None, Some(0), Some("e-1"), RESUME_MS_MIN),
            (Some("e-2"), Some(500), Some("e-2"), 500),
            (Some(""), Some(u64::MAX), None, RESUME_MS_MAX),
            (Some("e-3"), None, Some("e-3"), RESUME_MS_MAX),
            (Some("a\u{1}b"), None, None, RESUME_MS_MAX),
            (Some("e-4"), None, Some("e-4"), RESUME_MS_MAX),
            (Some(&long), None, None, RESUME_MS_MAX),
        ] {
            resumption.note(&event(id, retry));
            let last = resumption.last_event().map(|id| id.to_str().unwrap());
            assert_eq!((last, resumption.wait()), (from, Duration::from_millis(wait_ms)), "{id:?} {retry:?}");
        }
    }
}
