//! Server-sent events (HTML Living Standard, 9.2): a bounded decoder for what upstreams send, an encoder for what clients get.
//!
//! Nothing of an upstream's framing is relayed: its ids and retry times concern the hop to it.

use std::collections::VecDeque;

use bytes::Bytes;

/// A comment that keeps a stream alive.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The data lines, joined with line feeds. Empty for an event that only sets `id` or `retry`.
    pub data: Bytes,
    /// `event`, where given.
    pub event: Option<String>,
    /// `id`, where given.
    pub id: Option<String>,
    /// `retry` in milliseconds, where given.
    pub retry: Option<u64>,
}

impl SseEvent {
    /// True if it carries a message. Other types are for whoever asked for them, and nobody here does.
    pub fn is_message(&self) -> bool {
        !self.data.is_empty() && self.event.as_deref().is_none_or(|name| matches!(name, "" | "message"))
    }
}

/// An event is larger than allowed. The stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is too large")]
pub struct TooLarge;

/// Decodes a stream in pieces of any size, in linear time.
#[derive(Debug)]
pub struct SseDecoder {
    event_bytes_max: usize,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    pending: SseEvent,
    ready: VecDeque<SseEvent>,
    /// The last piece ended in CR: an LF at the start of the next belongs to it.
    after_cr: bool,
    started: bool,
}

impl SseDecoder {
    /// A decoder that refuses events of more than `event_bytes_max` bytes, field names included.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            pending: SseEvent::default(),
            ready: VecDeque::new(),
            after_cr: false,
            started: false,
        }
    }

    /// Takes the next piece of the stream.
    ///
    /// # Errors
    /// [`TooLarge`]. Events that were complete before can still be taken.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), TooLarge> {
        if piece.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.after_cr) {
            piece = piece.strip_prefix(b"\n").unwrap_or(piece);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', piece) {
            let (line, rest) = piece.split_at(end);
            let (ending, rest) = rest.split_at_checked(1).unwrap_or_default();
            piece = rest;
            if ending == b"\r" {
                self.after_cr = piece.is_empty();
                piece = piece.strip_prefix(b"\n").unwrap_or(piece);
            }
            if self.line.is_empty() {
                self.take_line(line)?;
            } else {
                self.grow(line)?;
                let whole = std::mem::take(&mut self.line);
                self.take_line(&whole)?;
            }
        }
        self.grow(piece)
    }

    /// The next complete event.
    pub fn next_event(&mut self) -> Option<SseEvent> {
        self.ready.pop_front()
    }

    fn grow(&mut self, part: &[u8]) -> Result<(), TooLarge> {
        if self.data.len() + self.line.len() + part.len() > self.event_bytes_max {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn take_line(&mut self, mut line: &[u8]) -> Result<(), TooLarge> {
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch();
            return Ok(());
        }
        let (name, value) = match memchr::memchr(b':', line) {
            None => (line, [].as_slice()),
            Some(colon) => {
                let (name, value) = line.split_at(colon);
                let value = value.strip_prefix(b":").unwrap_or(value);
                (name, value.strip_prefix(b" ").unwrap_or(value))
            }
        };
        if self.data.len() + line.len() > self.event_bytes_max {
            return Err(TooLarge);
        }
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.pending.event = Some(text()),
            b"id" if !value.contains(&0) => self.pending.id = Some(text()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => self.pending.retry = text().parse().ok(),
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) {
        let mut event = std::mem::take(&mut self.pending);
        event.data = Bytes::from(std::mem::take(&mut self.data));
        if std::mem::take(&mut self.has_data) || event.id.is_some() || event.retry.is_some() {
            self.ready.push_back(event);
        }
    }
}

/// Appends `data` as one `message` event. Line breaks in it become separate data lines, so that no data can end the event or
/// begin another field; JSON written by this program has none.
pub fn encode(out: &mut Vec<u8>, data: &[u8]) {
    out.reserve(data.len() + 32);
    out.extend_from_slice(b"event: message\n");
    let mut rest = data;
    loop {
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = match after {
            [b'\r', b'\n', more @ ..] | [_, more @ ..] => more,
            [] => break,
        };
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
