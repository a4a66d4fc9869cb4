//! Which of several calls a question is of.

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
fn what_the_other_side_takes_back_nobody_is_asked() {
    let calls = Calls::new(1_000);
    let (_a, mut b) = (calls.enter(1, Role::Askable), calls.enter(2, Role::Askable));
    calls.ask(question(1), 1);
    calls.withdraw(&RawId::number(2));
    assert!(calls.is_holding());
    calls.withdraw(&RawId::number(1));
    assert!(!calls.is_holding());
    assert!(calls.deliver(Some(1), reply(1), 1));
    assert_eq!((asked(&mut b).len(), refused(&calls).len()), (0, 0));
}

#[test]
fn a_question_waits_until_it_can_be_of_one_call_only() {
    let calls = Calls::new(1_000);
    calls.ask(question(1), 1);
    assert_eq!(refused(&calls), [1], "there is nobody to ask");
    let (mut a, mut plain, mut b) = (calls.enter(1, Role::Askable), calls.enter(2, Role::Call), calls.enter(3, Role::Askable));
    calls.ask(question(2), 1);
    assert!(asked(&mut a).is_empty() && asked(&mut b).is_empty() && refused(&calls).is_empty());
    // Who comes later cannot have asked, and who may not ask did not.
    let mut c = calls.enter(4, Role::Askable);
    assert!(calls.deliver(Some(2), reply(2), 1) && asked(&mut a).is_empty());
    assert!(calls.deliver(Some(3), reply(3), 1));
    assert_eq!((asked(&mut a), asked(&mut c).len(), refused(&calls).len()), (vec![2], 0, 0));
    assert!(asked(&mut plain).is_empty());
    // The only one that is left is asked at once.
    assert!(calls.deliver(Some(4), reply(4), 1));
    calls.ask(question(3), 1);
    assert_eq!((asked(&mut a), refused(&calls).len()), (vec![3], 0));
}

#[test]
fn those_given_up_are_remembered_in_bounded_number_and_none_is_forgotten_early() {
    let calls = Calls::new(1_000);
    let mut stays = calls.enter(1, Role::Askable);
    let many = 3 * CALLS_GONE_MAX as u64;
    for id in 2..many {
        drop(calls.enter(id, Role::Askable));
        calls.leave(id, None);
    }
    assert_eq!(calls.table.lock().gone.len(), CALLS_GONE_MAX);
    for id in 2..many {
        calls.deliver(Some(id), reply(id), 1);
    }
    calls.ask(question(1), 1);
    assert_eq!((refused(&calls), asked(&mut stays).len()), (vec![1], 0));
    calls.forget_gone(Instant::now() + Duration::from_millis(ASK_TURN_MS_MAX));
    calls.ask(question(2), 1);
    assert_eq!((refused(&calls).len(), asked(&mut stays)), (0, vec![2]));
}

#[test]
fn a_question_of_a_call_that_was_given_up_or_of_all_at_once_is_refused() {
    let calls = Calls::new(1_000);
    let (mut a, mut b, mut c) = (calls.enter(1, Role::Askable), calls.enter(2, Role::Askable), calls.enter(3, Role::Askable));
    calls.ask(question(1), 1);
    calls.leave(2, None);
    assert_eq!(refused(&calls), [1], "it may have been the one that asked");
    calls.ask(question(7), 1);
    assert_eq!(refused(&calls), [7], "or is the one that asks now");
    // An answer to nobody says that it is over, and so does time.
    assert!(!calls.deliver(Some(2), reply(2), 1));
    let mut d = calls.enter(4, Role::Askable);
    calls.leave(4, None);
    calls.forget_gone(Instant::now() + Duration::from_millis(ASK_TURN_MS_MAX));
    assert!(asked(&mut d).is_empty());
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
