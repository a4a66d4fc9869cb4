//! Conversations in which one stream carries the messages of many calls, told apart by their ids: with processes, and with
//! servers of 2024-11-05.

mod announce;
mod call;
mod calls;
mod listen;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

pub(super) use self::announce::OverPipe;
pub(super) use self::call::PipeCall;
pub(super) use self::calls::{Calls, Delivery, Role};
pub(super) use self::listen::PipeListen;
pub(super) use self::turns::Turns;
use super::feed::{Feed, News};
use super::shared::Shared;
use super::wire::{self, Facts, STATELESS};
use crate::mcp::{Incoming, Lowered, Notification};
use crate::vocab::{Fault, FaultKind, PrincipalKey, Revision};

/// The way to the other side.
pub(super) trait Pipe: Send + Sync + 'static {
    /// What is said over it.
    fn talk(&self) -> &Talk;

    /// Sends a message; waits until it is on its way.
    fn send(&self, message: Lowered) -> BoxFuture<'_, Result<(), Fault>>;

    /// Sends a message, unless too many are on their way: then nobody reads them.
    fn send_if_room(&self, message: Lowered);

    /// True once the other side is gone.
    fn has_ended(&self) -> bool;

    /// The fault that its end is.
    fn lost(&self) -> Fault;
}

/// One conversation.
pub(super) struct Talk {
    pub(super) calls: Calls,
    /// What the other side announces.
    pub(super) feed: Feed,
    pub(super) shared: Arc<Shared>,
    pub(super) owner: Option<PrincipalKey>,
    pub(super) upstream: Arc<str>,
    ids: AtomicU64,
    turns: Turns,
    /// What its messages are read as: what it was last asked in.
    revision: Mutex<Revision>,
    facts: Mutex<Option<Facts>>,
}

impl Talk {
    pub(super) fn new(
        shared: &Arc<Shared>,
        upstream: &Arc<str>,
        owner: Option<PrincipalKey>,
        revision: Revision,
        answer_bytes_max: usize,
    ) -> Self {
        Self {
            calls: Calls::new(answer_bytes_max),
            feed: Feed::default(),
            shared: Arc::clone(shared),
            owner,
            upstream: Arc::clone(upstream),
            ids: AtomicU64::new(1),
            turns: Turns::default(),
            revision: Mutex::new(revision),
            facts: Mutex::new(None),
        }
    }

    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn read_as(&self, revision: Revision) {
        *self.revision.lock() = revision;
    }

    pub(super) fn revision(&self) -> Revision {
        *self.revision.lock()
    }

    /// The handshake is over.
    pub(super) fn settle(&self, facts: Facts) {
        self.read_as(facts.revision);
        *self.facts.lock() = Some(facts);
    }

    /// What the handshake found.
    pub(super) fn facts(&self) -> Result<Facts, Fault> {
        self.facts.lock().clone().ok_or_else(|| Fault::internal(FaultKind::Internal, "a conversation before its handshake"))
    }

    /// True while anybody waits for anything.
    pub(super) fn is_busy(&self) -> bool {
        !self.calls.is_empty() || self.feed.is_watched()
    }
}

/// Gives one message of the other side to whom it is for.
pub(super) fn dispatch(pipe: &dyn Pipe, message: Incoming, bytes: usize) {
    let Talk { calls, feed, shared, owner, upstream, .. } = pipe.talk();
    let call = match &message {
        Incoming::Response { id, .. } => id.as_u64(),
        Incoming::Notification(Notification::Progress { token, .. }) => token.as_u64(),
        Incoming::Notification(Notification::Subscribed { subscription, .. }) => subscription.as_u64(),
        // A server cancels a subscription (2026-07-28, cancellation), or what it asked itself.
        Incoming::Notification(Notification::Cancelled(id)) => {
            calls.withdraw(id);
            calls.listener(id.as_u64())
        }
        Incoming::Notification(Notification::Log { .. }) => owner.as_ref().and_then(|_| calls.only()),
        Incoming::Notification(Notification::ListChanged(listing)) => {
            (shared.hook)(upstream, owner.as_ref(), *listing);
            feed.publish(News::ListChanged(*listing));
            return;
        }
        Incoming::Notification(Notification::Updated { uri }) if pipe.talk().revision() < STATELESS => {
            feed.publish(News::Updated(Arc::from(uri.as_str())));
            return;
        }
        Incoming::Notification(Notification::Task { id }) => {
            feed.publish(News::Task(Arc::from(id.as_str())));
            return;
        }
        Incoming::Request { id, method, .. } => {
            if method == "ping" {
                return pipe.send_if_room(wire::answer(pipe.talk().revision(), id, method));
            }
            if calls.ask(message, bytes) {
                pipe.talk().turns.asked();
            }
            return refuse(pipe);
        }
        Incoming::Orphan(_) | Incoming::Notification(_) => None,
    };
    if !calls.deliver(call, message, bytes) {
        shared.count_dropped();
    }
    refuse(pipe);
}

/// Tells the other side which of its questions nobody is asked.
fn refuse(pipe: &dyn Pipe) {
    for (id, method) in pipe.talk().calls.take_refused(Instant::now()) {
        pipe.send_if_room(wire::answer(pipe.talk().revision(), &id, &method));
    }
}
