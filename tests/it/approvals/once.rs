//! One approval, one call, however many ask for it at one time.

use futures_util::future::join_all;
use portcullis::approval::State;

use super::{World, denial, did};

/// Calls at one time.
const CALLS: usize = 64;

fn rounds() -> usize {
    std::env::var("PORTCULLIS_APPROVAL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_identical_calls_one_runs() {
    let world = World::start().await;
    let mut conns = Vec::new();
    for _ in 0..CALLS {
        conns.push(world.gate.reach.open().await);
    }
    for round in 0..rounds() {
        let arguments = format!(r#"{{"round":{round}}}"#);
        let request = world.asked("up__write", &arguments).await;
        world.approve(&request).await;
        let call = world.gate.call("/mcp", &world.alice, "up__write", &arguments).bytes();
        let answers = join_all(conns.iter_mut().map(async |conn| {
            conn.write(&call).await;
            conn.response().await
        }))
        .await;
        let ran = answers.iter().filter(|answer| did(answer)).count();
        assert_eq!((ran, world.ran()), (1, round + 1), "round {round}");
        // Whoever came too late asked anew, all of them together.
        let others: std::collections::HashSet<String> =
            answers.iter().filter(|answer| !did(answer)).map(|answer| denial(answer)["approval_id"].to_string()).collect();
        assert_eq!(others.len(), 1, "round {round}: {others:?}");
        assert!(!others.contains(&format!("\"{}\"", request.id)));
        assert_eq!(world.desk().get(&request.id).unwrap().state, State::Used);
        let late = world.asked("up__write", &arguments).await;
        world.desk().withdraw(&late.id, &super::person("alice", &[])).await.unwrap();
    }
}

/// Asked for many times at once it is one request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_identical_calls_are_one_request() {
    let world = World::start().await;
    let calls = (0..CALLS).map(|_| world.asked("up__write", "{}"));
    let ids: std::collections::HashSet<_> = join_all(calls).await.into_iter().map(|request| request.id.clone()).collect();
    assert_eq!((ids.len(), world.requests().len(), world.ran()), (1, 1, 0));
}
