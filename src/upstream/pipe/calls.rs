//! Who waits for what the other side says.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::mcp::{Incoming, RawId};
use crate::vocab::FaultKind;
use crate::vocab::limits::{
    ASK_TURN_MS_MAX, CALL_QUESTIONS_MAX, CALL_QUEUE_MESSAGES_MAX, HELD_QUESTION_MS_MAX, WATCH_EVENT_BYTES_MAX,
};

/// The calls in flight of one conversation.
pub(in crate::upstream) struct Calls {
    /// Size of all that one call may be handed.
    bytes_max: usize,
    table: Mutex<Table>,
    /// Why all of them were given up, if not because the other side ended.
    abandoned_as: Mutex<Option<FaultKind>>,
}

/// Why somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Role {
    /// For the answer to a call.
    Call,
    /// As [`Self::Call`], and the other side may ask the client something meanwhile.
    Askable,
    /// For announcements.
    Listener,
}

#[derive(Default)]
struct Table {
    waiting: HashMap<u64, Waiting>,
    /// Calls that were given up and may ask all the same, oldest first.
    gone: Vec<Gone>,
    held: Vec<Held>,
    /// Questions that nobody is asked, until the other side is told.
    refused: Vec<Unasked>,
}

/// A question that could be of several calls: questions name no call. It waits until all but one of them are answered.
struct Held {
    question: Delivery,
    of: Vec<u64>,
    since: Instant,
}

/// A call that nobody waits for any more. The other side knows that a moment later, and may have asked before.
struct Gone {
    id: u64,
    since: Instant,
    /// Its turn: whoever comes after it is asked when it is clear that it asks nothing more.
    _turn: Option<OwnedSemaphorePermit>,
}

/// A question that nobody is asked: its id and its method.
pub(in crate::upstream) type Unasked = (RawId, String);

struct Waiting {
    queue: mpsc::Sender<Delivery>,
    role: Role,
    /// What it was handed so far.
    bytes: usize,
}

pub(in crate::upstream) struct Delivery {
    pub(in crate::upstream) message: Incoming,
    pub(in crate::upstream) bytes: usize,
}

impl Calls {
    pub(in crate::upstream) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, table: Mutex::default(), abandoned_as: Mutex::default() }
    }

    pub(in crate::upstream) fn is_empty(&self) -> bool {
        self.table.lock().waiting.is_empty()
    }

    /// The other side is gone: nobody gets anything more.
    pub(in crate::upstream) fn abandon(&self) {
        *self.table.lock() = Table::default();
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

    pub(in crate::upstream) fn enter(&self, id: u64, role: Role) -> mpsc::Receiver<Delivery> {
        let (queue, messages) = mpsc::channel(CALL_QUEUE_MESSAGES_MAX);
        self.table.lock().waiting.insert(id, Waiting { queue, role, bytes: 0 });
        messages
    }

    /// Call `id` was answered elsewhere than in this conversation.
    pub(in crate::upstream) fn over(&self, id: u64) {
        let mut table = self.table.lock();
        if table.waiting.remove(&id).is_some() {
            table.answered(id, self.bytes_max);
        }
    }

    /// True while a question is held.
    pub(in crate::upstream) fn is_holding(&self) -> bool {
        !self.table.lock().held.is_empty()
    }

    /// Nobody waits for call `id` any more. What it asks nevertheless is nobody's.
    pub(in crate::upstream) fn leave(&self, id: u64, turn: Option<OwnedSemaphorePermit>) {
        let mut table = self.table.lock();
        table.forget_gone(Instant::now());
        if let Some(call) = table.waiting.remove(&id) {
            table.given_up(id, call.role, turn);
        }
    }

    /// Gives back the turns of calls that were given up a while ago.
    pub(super) fn forget_gone(&self, now: Instant) {
        self.table.lock().forget_gone(now);
    }

    /// Hands `message` to call `id`. A call that does not read its messages, or whose answer is over the limit, loses its place: it
    /// must not hold up the others.
    pub(super) fn deliver(&self, id: Option<u64>, message: Incoming, bytes: usize) -> bool {
        let Some(id) = id else { return false };
        let mut table = self.table.lock();
        if matches!(message, Incoming::Response { .. }) {
            table.gone.retain(|gone| gone.id != id);
        }
        table.hand(id, Delivery { message, bytes }, self.bytes_max)
    }

    /// Hands `message` to call `id`, if that has room: nothing is lost with it.
    pub(in crate::upstream) fn offer(&self, id: Option<u64>, message: Incoming, bytes: usize) -> bool {
        let mut table = self.table.lock();
        let Some(call) = id.and_then(|id| table.waiting.get_mut(&id)) else { return false };
        let after = call.bytes.saturating_add(bytes);
        // Half of the queue is for questions.
        if after > self.bytes_max || call.queue.capacity() <= CALL_QUEUE_MESSAGES_MAX / 2 {
            return false;
        }
        call.bytes = after;
        call.queue.try_send(Delivery { message, bytes }).is_ok()
    }

    /// Takes a question of the other side to the call that it must be of, or holds it while it could be of several. Where every one
    /// of those may wait for an answer, none would ever be over: then nobody is asked. Nor is anybody while it could be of a call that
    /// was given up. False if there is no call that it could be of.
    pub(in crate::upstream) fn ask(&self, message: Incoming, bytes: usize) -> bool {
        let mut table = self.table.lock();
        table.forget_gone(Instant::now());
        let of: Vec<u64> = table.waiting.iter().filter(|(_, call)| call.role == Role::Askable).map(|(id, _)| *id).collect();
        let question = Delivery { message, bytes };
        match of.as_slice() {
            _ if !table.gone.is_empty() => table.refuse(question),
            [] => table.refuse(question),
            [only] => table.put(*only, question, self.bytes_max),
            several => {
                let concerned = |held: &Held| held.of.iter().any(|id| several.contains(id));
                let waiting = table.held.iter().filter(|held| concerned(held)).count();
                if waiting.saturating_add(1) < several.len().min(CALL_QUESTIONS_MAX) {
                    table.held.push(Held { question, of, since: Instant::now() });
                    return true;
                }
                let hopeless: Vec<Held> = table.held.extract_if(.., |held| concerned(held)).collect();
                hopeless.into_iter().for_each(|held| table.refuse(held.question));
                table.refuse(question);
            }
        }
        !of.is_empty()
    }

    /// The other side wants no answer any more to its question `id`. One that a call was handed is the call's.
    pub(in crate::upstream) fn withdraw(&self, id: &RawId) {
        let is_it = |held: &Held| matches!(&held.question.message, Incoming::Request { id: of, .. } if of == id);
        self.table.lock().held.retain(|held| !is_it(held));
    }

    /// What has to be refused by `now`. What was held too long is: whoever asked wants to know.
    pub(in crate::upstream) fn take_refused(&self, now: Instant) -> Vec<Unasked> {
        let mut table = self.table.lock();
        let late = |held: &mut Held| now.saturating_duration_since(held.since) >= Duration::from_millis(HELD_QUESTION_MS_MAX);
        let late: Vec<Held> = table.held.extract_if(.., late).collect();
        late.into_iter().for_each(|held| table.refuse(held.question));
        std::mem::take(&mut table.refused)
    }

    /// The only call in flight. Log messages name no call; with several, nobody knows whose they are.
    pub(super) fn only(&self) -> Option<u64> {
        let table = self.table.lock();
        let mut ids = table.waiting.iter().filter(|(_, call)| call.role != Role::Listener).map(|(id, _)| *id);
        ids.next().filter(|_| ids.next().is_none())
    }

    /// `id`, if it is a listener's.
    pub(super) fn listener(&self, id: Option<u64>) -> Option<u64> {
        id.filter(|id| self.table.lock().waiting.get(id).is_some_and(|waiting| waiting.role == Role::Listener))
    }
}

impl Table {
    /// False when the call did not take it.
    fn hand(&mut self, id: u64, delivery: Delivery, bytes_max: usize) -> bool {
        let last = matches!(delivery.message, Incoming::Response { .. });
        let Some(call) = self.waiting.get_mut(&id) else { return false };
        call.bytes = call.bytes.saturating_add(delivery.bytes);
        let over = match call.role {
            Role::Listener => delivery.bytes > WATCH_EVENT_BYTES_MAX,
            _ => call.bytes > bytes_max,
        };
        let outcome = if over { None } else { Some(call.queue.try_send(delivery)) };
        let taken = matches!(outcome, Some(Ok(())));
        let role = call.role;
        if last || matches!(outcome, None | Some(Err(TrySendError::Full(_)))) {
            self.waiting.remove(&id);
            match (taken, last) {
                (true, _) => self.answered(id, bytes_max),
                // What has answered asks nothing more.
                (false, true) => self.given_up(id, Role::Call, None),
                (false, false) => self.given_up(id, role, None),
            }
        }
        taken
    }

    /// Hands a question on, or refuses it.
    fn put(&mut self, id: u64, question: Delivery, bytes_max: usize) {
        let name = name(&question.message);
        if !self.hand(id, question, bytes_max) {
            self.refused.extend(name);
        }
    }

    fn refuse(&mut self, question: Delivery) {
        self.refused.extend(name(&question.message));
    }

    /// Call `id` was answered: what it could have asked is not its question.
    fn answered(&mut self, id: u64, bytes_max: usize) {
        self.held.iter_mut().for_each(|held| held.of.retain(|of| *of != id));
        let known: Vec<Held> = self.held.extract_if(.., |held| held.of.len() < 2).collect();
        for Held { question, of, .. } in known {
            match of.first() {
                Some(only) => self.put(*only, question, bytes_max),
                None => self.refuse(question),
            }
        }
    }

    /// Nobody waits for call `id`, which may well be the one that asked, or will be.
    fn given_up(&mut self, id: u64, role: Role, turn: Option<OwnedSemaphorePermit>) {
        if role == Role::Askable {
            let gone = Gone { id, since: Instant::now(), _turn: turn };
            // Of very many the last stands for those after it too: it is known to be over when time is, whoever answers.
            if self.gone.len() >= CALLS_GONE_MAX {
                self.gone.truncate(CALLS_GONE_MAX.saturating_sub(1));
                self.gone.push(Gone { id: NOBODY, ..gone });
            } else {
                self.gone.push(gone);
            }
        }
        let its: Vec<Held> = self.held.extract_if(.., |held| held.of.contains(&id)).collect();
        its.into_iter().for_each(|held| self.refuse(held.question));
    }
}

impl Table {
    fn forget_gone(&mut self, now: Instant) {
        let patience = Duration::from_millis(ASK_TURN_MS_MAX);
        self.gone.retain(|gone| now.saturating_duration_since(gone.since) < patience);
    }
}

/// Calls given up that are told apart by their ids.
const CALLS_GONE_MAX: usize = 64;
/// An id that no call has: they are counted from one.
const NOBODY: u64 = 0;

fn name(message: &Incoming) -> Option<Unasked> {
    match message {
        Incoming::Request { id, method, .. } => Some((id.clone(), method.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
