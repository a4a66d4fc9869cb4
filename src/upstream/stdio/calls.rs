//! Who waits for what a process says.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout_at;

use super::process::{Process, ended};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Incoming, Lowered, Notification, RawId, Reply};
use crate::upstream::answer::{Event, QuestionReply};
use crate::upstream::breaker::Ticket;
use crate::upstream::inbox::{Inbox, Meaning};
use crate::upstream::wire::{self, STATELESS};
use crate::vocab::limits::CALL_QUEUE_MESSAGES_MAX;
use crate::vocab::{Deadline, Fault, FaultKind};

/// The calls in flight of one process.
#[derive(Default)]
pub(super) struct Calls {
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// Why all of them were given up, if not because the process ended.
    abandoned_as: Mutex<Option<FaultKind>>,
}

/// A call in flight.
struct Waiting {
    queue: mpsc::Sender<Delivery>,
    /// The process may ask the client something meanwhile.
    askable: bool,
}

struct Delivery {
    message: Incoming,
    bytes: usize,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }

    /// The process is gone: nobody gets anything more.
    pub(super) fn abandon(&self) {
        self.waiting.lock().clear();
    }

    /// As [`Self::abandon`], for another reason.
    pub(super) fn abandon_as(&self, kind: FaultKind) {
        *self.abandoned_as.lock() = Some(kind);
        self.abandon();
    }

    /// Hands `message` to call `id`. A call that does not read its messages loses its place: it must not hold up the others.
    fn deliver(&self, id: Option<u64>, message: Incoming, bytes: usize) -> bool {
        let last = matches!(message, Incoming::Response { .. });
        let mut waiting = self.waiting.lock();
        let Some((id, queue)) = id.and_then(|id| waiting.get(&id).map(|call| (id, &call.queue))) else { return false };
        let outcome = queue.try_send(Delivery { message, bytes });
        if last || matches!(outcome, Err(TrySendError::Full(_))) {
            waiting.remove(&id);
        }
        outcome.is_ok()
    }

    /// The only call in flight. Log messages name no call; with several, nobody knows whose they are.
    fn only(&self) -> Option<u64> {
        let waiting = self.waiting.lock();
        let mut ids = waiting.keys();
        ids.next().copied().filter(|_| ids.next().is_none())
    }

    /// The only call in flight during which the process may ask. Questions name no call either.
    fn only_askable(&self) -> Option<u64> {
        let waiting = self.waiting.lock();
        let mut ids = waiting.iter().filter(|(_, call)| call.askable).map(|(id, _)| *id);
        ids.next().filter(|_| ids.next().is_none())
    }
}

impl Process {
    /// Gives one message of the process to whom it is for.
    pub(super) fn dispatch(&self, message: Incoming, bytes: usize) {
        let call = match &message {
            Incoming::Response { id, .. } => id.as_u64(),
            Incoming::Notification(Notification::Progress { token, .. }) => token.as_u64(),
            Incoming::Notification(Notification::Log { .. }) => self.owner.as_ref().and_then(|_| self.calls.only()),
            Incoming::Notification(Notification::ListChanged(listing)) => {
                (self.shared.hook)(&self.upstream, self.owner.as_ref(), *listing);
                return;
            }
            Incoming::Request { id, method, .. } => {
                let (id, method) = (id.clone(), method.clone());
                let call = self.calls.only_askable().filter(|_| method != "ping");
                if !self.calls.deliver(call, message, bytes) {
                    self.send_if_room(wire::answer(self.revision(), &id, &method));
                }
                return;
            }
            Incoming::Orphan(_) | Incoming::Notification(_) => None,
        };
        if !self.calls.deliver(call, message, bytes) {
            self.shared.count_dropped();
        }
    }

    /// Sends a request and says who waits for its answer. `ticket` comes with a user's call; what comes without is part of the
    /// handshake, which cannot be cancelled (2025-11-25, cancellation).
    pub(super) async fn begin(
        self: &Arc<Self>,
        id: u64,
        message: Lowered,
        askable: ClientCaps,
        ticket: Option<Ticket>,
    ) -> Result<StdioCall, Fault> {
        let (queue, messages) = mpsc::channel(CALL_QUEUE_MESSAGES_MAX);
        self.calls.waiting.lock().insert(id, Waiting { queue, askable: !askable.is_empty() });
        let call = StdioCall {
            process: Arc::clone(self),
            id,
            messages,
            inbox: Inbox::new(id, askable),
            cancel: ticket.is_some(),
            ticket,
            bytes_read: 0,
        };
        // Looked at after the insertion: either this sees the end, or the end sees the insertion.
        if self.has_ended() {
            return Err(ended());
        }
        self.send(message).await?;
        Ok(call)
    }
}

/// A request to a process. Dropped unanswered, it is cancelled with `notifications/cancelled`.
pub(in crate::upstream) struct StdioCall {
    process: Arc<Process>,
    id: u64,
    messages: mpsc::Receiver<Delivery>,
    inbox: Inbox,
    ticket: Option<Ticket>,
    /// The process is to be told if nobody waits for the answer any more.
    cancel: bool,
    bytes_read: usize,
}

impl StdioCall {
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
        let process = Arc::clone(&self.process);
        let message = wire::question_reply(process.revision(), id, reply);
        async move { process.send(message).await }.boxed()
    }

    /// Reads on until the reply.
    pub(super) async fn reply(&mut self) -> Result<Reply, Fault> {
        loop {
            if let Event::Reply(reply) = self.receive().await? {
                return Ok(reply);
            }
        }
    }

    async fn receive(&mut self) -> Result<Event, Fault> {
        loop {
            let Some(Delivery { message, bytes }) = self.messages.recv().await else {
                return Err(self.lost());
            };
            self.bytes_read = self.bytes_read.saturating_add(bytes);
            let process = &self.process;
            match self.inbox.sort(message, &process.upstream, process.owner.as_ref(), &process.shared)? {
                Meaning::Event(event) => {
                    self.cancel &= !matches!(event, Event::Reply(_));
                    return Ok(event);
                }
                Meaning::Question { id, method } => process.send_if_room(wire::answer(process.revision(), &id, &method)),
                Meaning::Nothing => {}
            }
        }
    }

    fn lost(&self) -> Fault {
        if let Some(kind) = *self.process.calls.abandoned_as.lock() {
            return Fault::upstream(kind, "the process was stopped for what it sent");
        }
        if self.process.has_ended() { ended() } else { Fault::upstream(FaultKind::Exhausted, "sent more than was read") }
    }
}

impl Drop for StdioCall {
    fn drop(&mut self) {
        self.process.calls.waiting.lock().remove(&self.id);
        if self.cancel && !self.process.has_ended() {
            let revision = self.process.facts().map_or(STATELESS, |facts| facts.revision);
            self.process.send_if_room(wire::cancelled(revision, self.id));
        }
    }
}

impl fmt::Debug for StdioCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdioCall").field("upstream", &self.process.upstream).field("id", &self.id).finish_non_exhaustive()
    }
}
