//! Ids of the events that sessions get (2025-03-26 to 2025-11-25, transports, resumability): which stream, which event of it.

use std::fmt;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The name of a stream: random, so that nobody comes upon another's, and the names of all streams differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct StreamId([u8; STREAM_BYTES]);

/// The name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) stream: StreamId,
    pub(super) seq: u64,
}

const STREAM_BYTES: usize = 12;
/// Set in the first byte for a stream that tells what happens, not set for one that answers a call.
const PUSH_BIT: u8 = 0x80;

impl StreamId {
    /// A new name; `None` when the system has no randomness.
    pub(super) fn mint(push: bool) -> Option<Self> {
        let mut bytes = [0; STREAM_BYTES];
        rand::fill(&mut bytes).ok()?;
        let [first, ..] = &mut bytes;
        *first = if push { *first | PUSH_BIT } else { *first & !PUSH_BIT };
        Some(Self(bytes))
    }

    /// Whether it is the stream that a session opened to hear what happens.
    pub(super) fn is_push(self) -> bool {
        let [first, ..] = self.0;
        first & PUSH_BIT != 0
    }
}

impl EventId {
    /// Reads what a client sends as `Last-Event-ID`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stream, seq) = text.split_once('.')?;
        let stream = URL_SAFE_NO_PAD.decode(stream).ok()?.try_into().ok()?;
        let seq = seq.parse().ok().filter(|_| seq.bytes().all(|b| b.is_ascii_digit()))?;
        Some(Self { stream: StreamId(stream), seq })
    }

    /// `event`, which is one written by [`crate::mcp::sse::encode`], with this id.
    pub(super) fn put_on(self, event: &[u8]) -> Vec<u8> {
        let mut out = format!("id: {self}\n").into_bytes();
        out.extend_from_slice(event);
        out
    }

    /// The event that begins a stream of 2025-11-25: it says nothing, but from it on the stream can be resumed.
    pub(super) fn priming(self) -> Vec<u8> {
        format!("id: {self}\nretry: {RETRY_MS}\ndata: \n\n").into_bytes()
    }
}

/// How long a client is asked to wait before it comes back to a stream.
const RETRY_MS: u64 = 1_000;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", URL_SAFE_NO_PAD.encode(self.stream.0), self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for push in [false, true] {
            let stream = StreamId::mint(push).unwrap();
            let id = EventId { stream, seq: 7 };
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
            assert_eq!((stream.is_push(), StreamId::mint(push) == Some(stream)), (push, false));
            let name = id.to_string();
            let (short, cut) = (name.get(1..).unwrap(), name.get(..16).unwrap());
            for wrong in ["", ".", "7", short, cut, &format!("{name}x"), &name.replace('.', ".+"), &name.replace('.', "")] {
                assert_eq!(EventId::parse(wrong), None, "{wrong}");
            }
            assert_eq!(id.put_on(b"data: {}\n\n"), format!("id: {name}\ndata: {{}}\n\n").into_bytes());
            assert!(id.priming().ends_with(b"\ndata: \n\n"));
        }
    }
}
