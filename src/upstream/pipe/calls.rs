//! Who waits for what the other side says.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::mcp::{Incoming, RawId};
use crate::vocab::FaultKind;
use crate::vocab::limits::{CALL_QUESTIONS_MAX, CALL_QUEUE_MESSAGES_MAX, HELD_QUESTION_MS_MAX, WATCH_EVENT_BYTES_MAX};

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
pub(super) enum Role {
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

/// A question that nobody is asked: its id and its method.
pub(super) type Unasked = (RawId, String);

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

    pub(super) fn enter(&self, id: u64, role: Role) -> mpsc::Receiver<Delivery> {
        let (queue, messages) = mpsc::channel(CALL_QUEUE_MESSAGES_MAX);
        self.table.lock().waiting.insert(id, Waiting { queue, role, bytes: 0 });
        messages
    }

    /// Nobody waits for call `id` any more.
    pub(super) fn leave(&self, id: u64) {
        let mut table = self.table.lock();
        if table.waiting.remove(&id).is_some() {
            table.given_up(id);
        }
    }

    /// Hands `message` to call `id`. A call that does not read its messages, or whose answer is over the limit, loses its place: it
    /// must not hold up the others.
    pub(super) fn deliver(&self, id: Option<u64>, message: Incoming, bytes: usize) -> bool {
        let Some(id) = id else { return false };
        self.table.lock().hand(id, Delivery { message, bytes }, self.bytes_max)
    }

    /// Takes a question of the other side to the call that it must be of, or holds it while it could be of several. Where every one
    /// of those may wait for an answer, none would ever be over: then nobody is asked.
    pub(super) fn ask(&self, message: Incoming, bytes: usize) {
        let mut table = self.table.lock();
        let of: Vec<u64> = table.waiting.iter().filter(|(_, call)| call.role == Role::Askable).map(|(id, _)| *id).collect();
        let question = Delivery { message, bytes };
        match of.as_slice() {
            [] => table.refuse(question),
            [only] => table.put(*only, question, self.bytes_max),
            several => {
                let concerned = |held: &Held| held.of.iter().any(|id| several.contains(id));
                let waiting = table.held.iter().filter(|held| concerned(held)).count();
                if waiting.saturating_add(1) < several.len().min(CALL_QUESTIONS_MAX) {
                    return table.held.push(Held { question, of, since: Instant::now() });
                }
                let hopeless: Vec<Held> = table.held.extract_if(.., |held| concerned(held)).collect();
                hopeless.into_iter().for_each(|held| table.refuse(held.question));
                table.refuse(question);
            }
        }
    }

    /// What has to be refused by `now`. What was held too long is: whoever asked wants to know.
    pub(super) fn take_refused(&self, now: Instant) -> Vec<Unasked> {
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
        if last || matches!(outcome, None | Some(Err(TrySendError::Full(_)))) {
            self.waiting.remove(&id);
            if taken { self.answered(id, bytes_max) } else { self.given_up(id) }
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

    /// Nobody waits for call `id`, which may well be the one that asked.
    fn given_up(&mut self, id: u64) {
        let its: Vec<Held> = self.held.extract_if(.., |held| held.of.contains(&id)).collect();
        its.into_iter().for_each(|held| self.refuse(held.question));
    }
}

fn name(message: &Incoming) -> Option<Unasked> {
    match message {
        Incoming::Request { id, method, .. } => Some((id.clone(), method.clone())),
        _ => None,
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

    fn question(id: u64) -> Incoming {
        Incoming::Request { id: RawId::number(id), method: "roots/list".to_owned(), params: None }
    }

    fn reply(id: u64) -> Incoming {
        Incoming::Response { id: RawId::number(id), reply: crate::mcp::Reply::Result(crate::mcp::ResultBody::default()) }
    }

    fn asked(queue: &mut mpsc::Receiver<Delivery>) -> Vec<u64> {
        let questions = std::iter::from_fn(|| queue.try_recv().ok()).filter_map(|it| name(&it.message)?.0.as_u64());
        questions.collect()
    }

    fn refused(calls: &Calls) -> Vec<u64> {
        calls.take_refused(Instant::now()).iter().filter_map(|(id, _)| id.as_u64()).collect()
    }

    #[test]
    fn a_question_waits_until_it_can_be_of_one_call_only() {
        let calls = Calls::new(1_000);
        calls.ask(question(1), 1);
        assert_eq!(refused(&calls), [1], "there is nobody to ask");
        let (mut a, mut plain, mut b) =
            (calls.enter(1, Role::Askable), calls.enter(2, Role::Call), calls.enter(3, Role::Askable));
        calls.ask(question(2), 1);
        assert!(asked(&mut a).is_empty() && asked(&mut b).is_empty() && refused(&calls).is_empty());
        // Who comes later cannot have asked, and who may not ask did not.
        let mut c = calls.enter(4, Role::Askable);
        assert!(calls.deliver(Some(2), reply(2), 1) && asked(&mut a).is_empty());
        assert!(calls.deliver(Some(3), reply(3), 1));
        assert_eq!((asked(&mut a), asked(&mut c).len(), refused(&calls).len()), (vec![2], 0, 0));
        assert!(asked(&mut plain).is_empty());
        // The only one that is left is asked at once.
        calls.leave(4);
        calls.ask(question(3), 1);
        assert_eq!((asked(&mut a), refused(&calls).len()), (vec![3], 0));
    }

    #[test]
    fn a_question_of_a_call_that_was_given_up_or_of_all_at_once_is_refused() {
        let calls = Calls::new(1_000);
        let (mut a, mut b, mut c) = (calls.enter(1, Role::Askable), calls.enter(2, Role::Askable), calls.enter(3, Role::Askable));
        calls.ask(question(1), 1);
        calls.leave(2);
        assert_eq!(refused(&calls), [1], "it may have been the one that asked");
        calls.ask(question(2), 1);
        assert!(refused(&calls).is_empty());
        calls.ask(question(3), 1);
        assert_eq!(refused(&calls), [2, 3], "both may wait for each other");
        assert!(asked(&mut a).is_empty() && asked(&mut b).is_empty() && asked(&mut c).is_empty());
        calls.ask(question(6), 1);
        let later = |ms| Instant::now() + Duration::from_millis(ms);
        assert!(calls.take_refused(later(HELD_QUESTION_MS_MAX - 1_000)).is_empty());
        assert_eq!(calls.take_refused(later(HELD_QUESTION_MS_MAX)).len(), 1, "it was held long enough");
        // What the last call does not take is refused as well.
        calls.ask(question(4), 999);
        assert!(calls.deliver(Some(1), reply(1), 1) && calls.deliver(Some(3), reply(3), 1));
        assert_eq!((asked(&mut c), refused(&calls).len()), (vec![4], 0));
        let calls = Calls::new(10);
        let (_a, _b) = (calls.enter(1, Role::Askable), calls.enter(2, Role::Askable));
        calls.ask(question(5), 11);
        assert!(calls.deliver(Some(1), reply(1), 1));
        assert_eq!((refused(&calls), calls.is_empty()), (vec![5], true));
    }
}
