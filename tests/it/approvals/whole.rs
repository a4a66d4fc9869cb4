//! What the store was told is known and on record, also when whoever waited for it went away.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use portcullis::approval::{Case, Shown, State};

use super::{World, person};
use crate::gate::soon;

/// Works on `work` until it has waited `times` times, and goes away.
async fn begun<T>(times: usize, work: impl Future<Output = T>) {
    let (mut work, mut waited) = (pin!(work), 0);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Pending if waited + 1 < times => {
            waited += 1;
            Poll::Pending
        }
        _ => Poll::Ready(()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_a_withdrawal_and_a_use() {
    let world = World::start().await;
    let (desk, alice) = (world.desk(), person("alice", &["eng"]));
    let (voted, withdrawn) = (world.asked("up__write", r#"{"n":1}"#).await, world.asked("up__write", r#"{"n":2}"#).await);
    let used = world.asked("up__write", r#"{"n":3}"#).await;
    world.approve(&used).await;
    let (bound, shown, expires) = (used.bound.clone(), Shown::default(), std::time::Duration::ZERO);
    let case = Case {
        start: bound.digest(),
        bound,
        arguments: None,
        principal: alice.clone(),
        shown,
        expires,
        record: String::new(),
        open_max: 1,
    };
    let mut times = 1;
    // The store does things in the order they are asked for: what it was told of the last try is done when it answers.
    let is = async |request: &portcullis::approval::Request, state: State| {
        desk.shown(&request.id).await.unwrap();
        desk.get(&request.id).unwrap().state == state
    };
    while is(&voted, State::Pending).await || is(&withdrawn, State::Pending).await || is(&used, State::Approved).await {
        begun(times, world.vote(&voted, "sven", &["sre"], true)).await;
        begun(times, desk.withdraw(&withdrawn.id, &alice)).await;
        begun(times, desk.claim(&used.id, &case)).await;
        times += 1;
    }
    for (what, times) in [("approval/approve", 2), ("approval/withdraw", 1), ("approval/use", 1)] {
        soon(what, || world.gate.records().iter().filter(|record| record["method"] == what).count() == times).await;
    }
}
