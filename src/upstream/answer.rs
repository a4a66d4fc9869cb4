//! What a call yields: its events in order, the reply last.

use std::collections::VecDeque;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::http::HttpStream;
use super::pipe::PipeCall;
use crate::mcp::{LogLevel, RawId, RawJson, Reply};
use crate::policy::permit::Permit;
use crate::vocab::{Deadline, Fault, FaultKind, Revision};

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
    /// A request of the upstream to the client, which it may ask (2025-11-25 and older). It waits for [`Answer::answer`].
    Question {
        /// Its id, as token.
        id: RawId,
        /// Its method.
        method: String,
        /// Its params.
        params: Option<RawJson>,
    },
}

/// What becomes of a question.
#[derive(Debug)]
pub enum QuestionReply {
    /// The client's `result`: an object.
    Result(RawJson),
    /// The client's error, or why it could not be asked.
    Error {
        /// `code`
        code: i64,
        /// `message`
        message: String,
    },
    /// It is not asked: there is no such method.
    Refused,
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
    Pipe(Box<PipeCall>),
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

    /// Answers the question `id` of the upstream. The future does not hold the call: events go on meanwhile. Sent at most once
    /// more, and only if the first connection broke.
    ///
    /// # Errors
    /// The future's: a [`Fault`] when the upstream did not take the answer by `deadline`, or the call is over.
    pub fn answer(&self, id: &RawId, reply: QuestionReply) -> BoxFuture<'static, Result<(), Fault>> {
        let sent = match &self.source {
            Source::Http(stream) => stream.answer(id, reply, self.deadline),
            Source::Pipe(call) => Some(call.answer(id, reply)),
            _ => None,
        };
        let over = || Fault::internal(FaultKind::Internal, "an answer after the call");
        let until = self.deadline.instant();
        match sent {
            Some(sent) => async move {
                let late = |_| Fault::upstream(FaultKind::Timeout, "an answer was not taken in time");
                tokio::time::timeout_at(until.into(), sent).await.map_err(late)?
            }
            .boxed(),
            None => std::future::ready(Err(over())).boxed(),
        }
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
            Source::Pipe(call) => (call.next(self.deadline).await, call.bytes_read()),
            Source::Over => return None,
        };
        self.bytes_in = bytes_in;
        if matches!(event, Ok(Event::Reply(_)) | Err(_)) {
            self.source = Source::Over;
        }
        Some(event)
    }
}
