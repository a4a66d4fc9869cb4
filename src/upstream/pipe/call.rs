//! A call in a conversation.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{timeout, timeout_at};

use super::calls::{Delivery, Role};
use super::{Pipe, Talk, refuse};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Lowered, RawId, Reply};
use crate::upstream::answer::{Event, QuestionReply};
use crate::upstream::breaker::Ticket;
use crate::upstream::inbox::{Inbox, Meaning};
use crate::upstream::wire::{self, STATELESS};
use crate::vocab::{Deadline, Fault, FaultKind};

/// A request over a pipe. Dropped unanswered, it is cancelled with `notifications/cancelled`.
pub(in crate::upstream) struct PipeCall {
    pipe: Arc<dyn Pipe>,
    id: u64,
    messages: mpsc::Receiver<Delivery>,
    inbox: Inbox,
    ticket: Option<Ticket>,
    /// The other side is to be told if nobody waits for the answer any more.
    cancel: bool,
    bytes_read: usize,
    turn: Option<OwnedSemaphorePermit>,
}

impl PipeCall {
    /// Sends a user's call. `ticket` is settled when the first answer comes, where there is one.
    pub(in crate::upstream) async fn begin(
        pipe: Arc<dyn Pipe>,
        id: u64,
        message: Lowered,
        askable: ClientCaps,
        ticket: Option<Ticket>,
    ) -> Result<Self, Fault> {
        Self::start(pipe, id, message, askable, ticket, true).await
    }

    /// Sends a request of the gateway's own, which is not cancelled: `initialize` must not be (2025-11-25, cancellation).
    pub(in crate::upstream) async fn ask(pipe: Arc<dyn Pipe>, id: u64, message: Lowered) -> Result<Self, Fault> {
        Self::start(pipe, id, message, ClientCaps::NONE, None, false).await
    }

    async fn start(
        pipe: Arc<dyn Pipe>,
        id: u64,
        message: Lowered,
        askable: ClientCaps,
        ticket: Option<Ticket>,
        cancel: bool,
    ) -> Result<Self, Fault> {
        let role = if askable.is_empty() { Role::Call } else { Role::Askable };
        let turn = if role == Role::Askable { pipe.talk().turns.take(&pipe.talk().calls).await } else { None };
        let messages = pipe.talk().calls.enter(id, role);
        let call = Self { pipe, id, messages, inbox: Inbox::new(id, askable), ticket, cancel, bytes_read: 0, turn };
        // Looked at after the insertion: either this sees the end, or the end sees the insertion.
        if call.pipe.has_ended() {
            return Err(call.pipe.lost());
        }
        call.pipe.send(message).await?;
        Ok(call)
    }

    pub(in crate::upstream) fn bytes_read(&self) -> usize {
        self.bytes_read
    }

    /// The next event; the reply is the last.
    pub(in crate::upstream) async fn next(&mut self, deadline: Deadline) -> Result<Event, Fault> {
        let late = || Fault::upstream(FaultKind::Timeout, "no answer in time");
        // A timer is only looked at while there is nothing to read, so a flood would never meet it.
        let event = if deadline.remaining().is_zero() {
            Err(late())
        } else {
            timeout_at(deadline.instant().into(), self.receive()).await.unwrap_or_else(|_| Err(late()))
        };
        match (&event, self.ticket.take()) {
            (Ok(_), Some(ticket)) => ticket.succeeded(),
            (Err(fault), Some(ticket)) => ticket.settle(fault),
            _ => {}
        }
        event
    }

    /// Sends an answer to a question.
    pub(in crate::upstream) fn answer(&self, id: &RawId, reply: QuestionReply) -> BoxFuture<'static, Result<(), Fault>> {
        let pipe = Arc::clone(&self.pipe);
        let message = wire::question_reply(pipe.talk().revision(), id, reply);
        async move { pipe.send(message).await }.boxed()
    }

    /// Reads on until the reply.
    pub(in crate::upstream) async fn reply(&mut self) -> Result<Reply, Fault> {
        loop {
            if let Event::Reply(reply) = self.receive().await? {
                return Ok(reply);
            }
        }
    }

    async fn receive(&mut self) -> Result<Event, Fault> {
        loop {
            let Ok(delivery) = timeout(HELD_LOOK_EVERY, self.messages.recv()).await else {
                refuse(&*self.pipe);
                continue;
            };
            let Some(Delivery { message, bytes }) = delivery else { return Err(self.lost()) };
            self.bytes_read = self.bytes_read.saturating_add(bytes);
            let Talk { upstream, owner, shared, .. } = self.pipe.talk();
            match self.inbox.sort(message, upstream, owner.as_ref(), shared)? {
                Meaning::Event(event) => {
                    self.cancel &= !matches!(event, Event::Reply(_));
                    return Ok(event);
                }
                Meaning::Question { id, method } => {
                    self.pipe.send_if_room(wire::answer(self.pipe.talk().revision(), &id, &method));
                }
                // Announcements go to the feed before they come here.
                Meaning::News(_) | Meaning::Nothing => {}
            }
        }
    }

    /// What became of a call that is handed nothing more.
    fn lost(&self) -> Fault {
        if let Some(kind) = self.pipe.talk().calls.abandoned_as() {
            return Fault::upstream(kind, "the upstream was given up for what it sent");
        }
        if self.pipe.has_ended() { self.pipe.lost() } else { Fault::upstream(FaultKind::Exhausted, "sent more than was read") }
    }
}

impl Drop for PipeCall {
    fn drop(&mut self) {
        let talk = self.pipe.talk();
        talk.calls.leave(self.id, self.turn.take());
        refuse(&*self.pipe);
        if self.cancel && !self.pipe.has_ended() {
            let revision = talk.facts().map_or(STATELESS, |facts| facts.revision);
            self.pipe.send_if_room(wire::cancelled(revision, self.id));
        }
    }
}

impl fmt::Debug for PipeCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeCall").field("upstream", &self.pipe.talk().upstream).field("id", &self.id).finish_non_exhaustive()
    }
}

/// How often a silent call looks whether a question was held too long.
const HELD_LOOK_EVERY: Duration = Duration::from_secs(1);
