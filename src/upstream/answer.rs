//! What a call yields: its events in order, the reply last.

use std::collections::VecDeque;

use super::http::HttpStream;
use super::stdio::StdioCall;
use crate::mcp::{LogLevel, RawId, RawJson, Reply};
use crate::policy::permit::Permit;
use crate::vocab::{Deadline, Fault, Revision};

/// Something an upstream said during a call.
#[derive(Debug)]
pub enum Event {
    /// The answer. Nothing comes after it.
    Reply(Reply),
    /// `notifications/progress` of this very call: `params` members other than the token.
    Progress {
        /// Key as its JSON token, value.
        members: Vec<(RawJson, RawJson)>,
    },
    /// `notifications/message` on this call's stream.
    Log {
        /// Severity.
        level: LogLevel,
        /// All of `params`.
        params: RawJson,
    },
    /// A request of the upstream to the client. Not relayed in this build: the upstream is answered that there is no such
    /// method, so this is never yielded.
    Question {
        /// Its id, as token.
        id: RawId,
        /// Its method.
        method: String,
        /// Its params.
        params: Option<RawJson>,
    },
}

/// A call under way. Dropping it before the reply cancels the call in the way the upstream's revision and transport have:
/// the stream is closed (HTTP, 2026-07-28), or `notifications/cancelled` is sent. Holds the permit to the end.
#[derive(Debug)]
pub struct Answer {
    /// The revision the upstream was spoken to in.
    pub revision: Revision,
    source: Source,
    deadline: Deadline,
    bytes_in: usize,
    _permit: Permit,
}

#[derive(Debug)]
pub(super) enum Source {
    /// All of it is here.
    Here(VecDeque<Event>),
    /// The usual case of the above, without a queue.
    Reply(Reply),
    Http(Box<HttpStream>),
    Stdio(Box<StdioCall>),
    Over,
}

impl Answer {
    pub(super) fn new(permit: Permit, revision: Revision, source: Source, deadline: Deadline, bytes_in: usize) -> Self {
        Self { revision, source, deadline, bytes_in, _permit: permit }
    }

    /// Bytes of the upstream's answer so far, transfer framing not counted.
    pub fn bytes_in(&self) -> usize {
        self.bytes_in
    }

    /// The next event; `None` once the reply, or a fault, was yielded.
    ///
    /// Safe to drop and call again.
    pub async fn next(&mut self) -> Option<Result<Event, Fault>> {
        let (event, bytes_in) = match &mut self.source {
            Source::Here(events) => match events.pop_front() {
                Some(event) => return Some(Ok(event)),
                None => return None,
            },
            Source::Reply(_) => {
                let Source::Reply(reply) = std::mem::replace(&mut self.source, Source::Over) else { return None };
                return Some(Ok(Event::Reply(reply)));
            }
            Source::Http(stream) => (stream.next(self.deadline).await, stream.bytes_read()),
            Source::Stdio(call) => (call.next(self.deadline).await, call.bytes_read()),
            Source::Over => return None,
        };
        self.bytes_in = bytes_in;
        if matches!(event, Ok(Event::Reply(_)) | Err(_)) {
            self.source = Source::Over;
        }
        Some(event)
    }
}
