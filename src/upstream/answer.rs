//! What a call yields: its events in order, the reply last.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::http::HttpStream;
use super::patience::Patience;
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
/// the stream is closed (HTTP, 2026-07-28), or `notifications/cancelled` is sent. Holds a permit to the end. While a question is
/// open neither the call's own time nor the silence of its stream counts, up to `QUESTION_MS_MAX`.
#[derive(Debug)]
pub struct Answer {
    /// The revision the upstream was spoken to in.
    pub revision: Revision,
    source: Source,
    patience: Patience,
    bytes_in: usize,
    permit: Permit,
}

#[derive(Debug)]
pub(super) enum Source {
    /// All of it is here.
    Here(VecDeque<Event>),
    /// The usual case of the above, without a queue.
    Reply(Reply),
    Http(Box<HttpStream>),
    Pipe(Box<PipeCall>),
    /// The reply was given, and what was asked before is still open.
    Asking(Box<Source>),
    Over,
}

impl Answer {
    pub(super) fn new(permit: Permit, revision: Revision, source: Source, deadline: Deadline, bytes_in: usize) -> Self {
        Self { revision, source, patience: Patience::new(deadline), bytes_in, permit }
    }

    /// Gives back what the permit holds, because nothing is done for the call until it has another one.
    pub fn rest(&mut self) {
        self.permit.rest();
    }

    /// Goes on with `permit` in place of the one so far.
    ///
    /// # Errors
    /// A [`Fault`] when it is for another operation; the call is as before.
    pub fn renew(&mut self, permit: Permit) -> Result<(), Fault> {
        if !permit.is_for_what(&self.permit) {
            return Err(Fault::internal(FaultKind::Internal, "a permit for another operation"));
        }
        self.permit = permit;
        Ok(())
    }

    /// How long a question may wait for its answer.
    pub fn longest_question(&self) -> Duration {
        self.patience.longest()
    }

    /// Bytes of the upstream's answer so far, transfer framing not counted.
    pub fn bytes_in(&self) -> usize {
        self.bytes_in
    }

    /// Answers the question `id` of the upstream, also where that gave its reply before. The future does not hold the call: events go
    /// on meanwhile. Sent at most once more, and only if the first connection broke.
    ///
    /// # Errors
    /// The future's: a [`Fault`] when the upstream did not take the answer by `deadline`, or the call is over.
    pub fn answer(&mut self, id: &RawId, reply: QuestionReply) -> BoxFuture<'static, Result<(), Fault>> {
        self.patience.answered();
        let deadline = self.patience.deadline();
        let line = match &self.source {
            Source::Asking(line) => line,
            line => line,
        };
        let sent = match line {
            Source::Http(stream) => stream.answer(id, reply, deadline),
            Source::Pipe(call) => Some(call.answer(id, reply)),
            _ => None,
        };
        if matches!(self.source, Source::Asking(_)) && !self.patience.is_asking() {
            self.source = Source::Over;
        }
        let over = || Fault::internal(FaultKind::Internal, "an answer after the call");
        let until = deadline.instant();
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
        let (deadline, asking) = (self.patience.deadline(), self.patience.is_asking());
        let (event, bytes_in) = match &mut self.source {
            Source::Here(events) => match events.pop_front() {
                Some(event) => return Some(Ok(event)),
                None => return None,
            },
            Source::Reply(_) => {
                let Source::Reply(reply) = std::mem::replace(&mut self.source, Source::Over) else { return None };
                return Some(Ok(Event::Reply(reply)));
            }
            Source::Http(stream) => (stream.next(deadline, asking).await, stream.bytes_read()),
            Source::Pipe(call) => (call.next(deadline).await, call.bytes_read()),
            Source::Asking(_) | Source::Over => return None,
        };
        self.bytes_in = bytes_in;
        match &event {
            Ok(Event::Reply(_)) if asking => {
                let line = std::mem::replace(&mut self.source, Source::Over);
                self.source = Source::Asking(Box::new(line));
            }
            Ok(Event::Reply(_)) | Err(_) => self.source = Source::Over,
            Ok(Event::Question { .. }) => self.patience.asked(),
            Ok(_) => {}
        }
        Some(event)
    }
}
