//! Who waits for what the other side says.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::mcp::Incoming;
use crate::vocab::FaultKind;
use crate::vocab::limits::{CALL_QUEUE_MESSAGES_MAX, WATCH_EVENT_BYTES_MAX};

/// The calls in flight of one conversation.
pub(in crate::upstream) struct Calls {
    /// Size of all that one call may be handed.
    bytes_max: usize,
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
    /// What it was handed so far.
    bytes: usize,
}

pub(super) struct Delivery {
    pub(super) message: Incoming,
    pub(super) bytes: usize,
}

impl Calls {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, waiting: Mutex::default(), abandoned_as: Mutex::default() }
    }

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
        self.waiting.lock().insert(id, Waiting { queue, role, bytes: 0 });
        messages
    }

    pub(super) fn leave(&self, id: u64) {
        self.waiting.lock().remove(&id);
    }

    /// Hands `message` to call `id`. A call that does not read its messages, or whose answer is over the limit, loses its place: it
    /// must not hold up the others.
    pub(super) fn deliver(&self, id: Option<u64>, message: Incoming, bytes: usize) -> bool {
        let last = matches!(message, Incoming::Response { .. });
        let mut waiting = self.waiting.lock();
        let Some((id, call)) = id.and_then(|id| waiting.get_mut(&id).map(|call| (id, call))) else { return false };
        call.bytes = call.bytes.saturating_add(bytes);
        let over = match call.role {
            Role::Listener => bytes > WATCH_EVENT_BYTES_MAX,
            _ => call.bytes > self.bytes_max,
        };
        let outcome = if over { None } else { Some(call.queue.try_send(Delivery { message, bytes })) };
        if last || matches!(outcome, None | Some(Err(TrySendError::Full(_)))) {
            waiting.remove(&id);
        }
        matches!(outcome, Some(Ok(())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::Notification;

    #[test]
    fn a_call_is_handed_no_more_than_the_limit_and_a_listener_no_larger_event() {
        let calls = Calls::new(100);
        let message = || Incoming::Notification(Notification::Other("x".to_owned()));
        let mut call = calls.enter(1, Role::Call);
        let mut listener = calls.enter(2, Role::Listener);
        assert!(calls.deliver(Some(1), message(), 60) && calls.deliver(Some(1), message(), 40));
        assert!(!calls.deliver(Some(1), message(), 1), "over the limit in all");
        assert!(!calls.deliver(Some(1), message(), 1), "and out of the table");
        for _ in 0..3 {
            assert!(calls.deliver(Some(2), message(), WATCH_EVENT_BYTES_MAX));
        }
        assert!(!calls.deliver(Some(2), message(), WATCH_EVENT_BYTES_MAX + 1));
        let taken = |queue: &mut mpsc::Receiver<Delivery>| std::iter::from_fn(|| queue.try_recv().ok()).count();
        assert_eq!((taken(&mut call), taken(&mut listener)), (2, 3));
        assert!(calls.is_empty());
    }
}
