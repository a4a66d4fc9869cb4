//! Who waits for what the other side says.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::mcp::Incoming;
use crate::vocab::FaultKind;
use crate::vocab::limits::CALL_QUEUE_MESSAGES_MAX;

/// The calls in flight of one conversation.
#[derive(Default)]
pub(in crate::upstream) struct Calls {
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// Why all of them were given up, if not because the other side ended.
    abandoned_as: Mutex<Option<FaultKind>>,
}

/// Why somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// For the answer to a call.
    Call,
    /// As [`Self::Call`], and the other side may ask the client something meanwhile.
    Askable,
    /// For announcements.
    Listener,
}

struct Waiting {
    queue: mpsc::Sender<Delivery>,
    role: Role,
}

pub(super) struct Delivery {
    pub(super) message: Incoming,
    pub(super) bytes: usize,
}

impl Calls {
    pub(in crate::upstream) fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }

    /// The other side is gone: nobody gets anything more.
    pub(in crate::upstream) fn abandon(&self) {
        self.waiting.lock().clear();
    }

    /// As [`Self::abandon`], for another reason.
    pub(in crate::upstream) fn abandon_as(&self, kind: FaultKind) {
        *self.abandoned_as.lock() = Some(kind);
        self.abandon();
    }

    /// Why all were given up, if there was a reason.
    pub(super) fn abandoned_as(&self) -> Option<FaultKind> {
        *self.abandoned_as.lock()
    }

    pub(super) fn enter(&self, id: u64, role: Role) -> mpsc::Receiver<Delivery> {
        let (queue, messages) = mpsc::channel(CALL_QUEUE_MESSAGES_MAX);
        self.waiting.lock().insert(id, Waiting { queue, role });
        messages
    }

    pub(super) fn leave(&self, id: u64) {
        self.waiting.lock().remove(&id);
    }

    /// Hands `message` to call `id`. A call that does not read its messages loses its place: it must not hold up the others.
    pub(super) fn deliver(&self, id: Option<u64>, message: Incoming, bytes: usize) -> bool {
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
    pub(super) fn only(&self) -> Option<u64> {
        self.single(|role| role != Role::Listener)
    }

    /// The only call in flight during which the other side may ask. Questions name no call either.
    pub(super) fn only_askable(&self) -> Option<u64> {
        self.single(|role| role == Role::Askable)
    }

    /// `id`, if it is a listener's.
    pub(super) fn listener(&self, id: Option<u64>) -> Option<u64> {
        id.filter(|id| self.waiting.lock().get(id).is_some_and(|waiting| waiting.role == Role::Listener))
    }

    fn single(&self, is: impl Fn(Role) -> bool) -> Option<u64> {
        let waiting = self.waiting.lock();
        let mut ids = waiting.iter().filter(|(_, call)| is(call.role)).map(|(id, _)| *id);
        ids.next().filter(|_| ids.next().is_none())
    }
}
