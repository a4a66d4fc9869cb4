//! A store that fails, at every step at which it is needed: whoever calls is told so, and nothing runs that was not approved, or twice.

use portcullis::approval::{ChangeError, State, VoteError};
use rusqlite::Connection;
use serde_json::json;

use super::{World, denial, did};
use crate::wire::Resp;

/// Writes for one call that is approved: what people see, the request, the yes, the use.
const WRITES: usize = 4;
/// Spaces of the store that approvals are in.
const SPACES: &str = "(14, 15)";

fn store(world: &World) -> Connection {
    Connection::open(world.gate.dir.path().join("data/state.db")).unwrap()
}

/// From now on, `good` more writes of approvals succeed.
fn breaks_after(store: &Connection, good: usize) {
    let script = format!(
        "DROP TRIGGER IF EXISTS breaks; DROP TABLE IF EXISTS good;
         CREATE TABLE good (left INTEGER); INSERT INTO good VALUES ({good});
         CREATE TRIGGER breaks BEFORE INSERT ON entry WHEN NEW.space IN {SPACES} BEGIN
             UPDATE good SET left = left - 1;
             SELECT RAISE(ABORT, 'disk I/O canary') FROM good WHERE left < 0;
         END;"
    );
    store.execute_batch(&script).unwrap();
}

fn mends(store: &Connection) {
    store.execute_batch("DROP TRIGGER breaks; DROP TABLE good;").unwrap();
}

/// Whoever calls is told that it failed, and nothing of how.
fn says_so(answer: &Resp, what: &str) {
    let (told, denial) = (answer.json(), denial(answer));
    assert_eq!((&told["result"]["isError"], &denial["reason"]), (&json!(true), &json!("internal")), "{what}: {}", answer.whole());
    assert!(denial["record"].is_string(), "{what}: {}", answer.whole());
    for canary in ["canary", "entry", "sqlite", "state.db"] {
        assert!(!answer.text().to_lowercase().contains(canary), "{what}: {}", answer.whole());
    }
}

/// Asks, has it approved, and calls, as far as that goes; the steps that failed.
async fn go(world: &World, arguments: &str) -> Vec<&'static str> {
    let mut failed = Vec::new();
    let ran = world.ran();
    let first = world.call("up__write", arguments).await;
    if did(&first) {
        return failed;
    }
    if denial(&first)["reason"] == "approval_required" {
        let request = world.pending(&first);
        match world.vote(&request, "sven", &["sre"], true).await {
            Ok(state) => assert_eq!(state, State::Approved),
            Err(VoteError::Change(ChangeError::Store(_))) => failed.push("vote"),
            Err(VoteError::Change(ChangeError::Over(State::Approved))) => {}
            Err(error) => panic!("{arguments}: {error}"),
        }
    } else {
        says_so(&first, arguments);
        failed.push("ask");
    }
    assert_eq!(world.ran(), ran, "{arguments}: nobody used an approval");
    let second = world.call("up__write", arguments).await;
    if !did(&second) {
        if denial(&second)["reason"] != "approval_required" {
            says_so(&second, arguments);
            failed.push("call");
        }
        assert_eq!(world.ran(), ran, "{arguments}");
    }
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_write_fails_nothing_runs_without_an_approval_or_twice() {
    let world = World::start().await;
    let store = store(&world);
    let expected: [&[&str]; WRITES + 1] = [&["ask", "call"], &["ask", "call"], &["vote"], &["call"], &[]];
    for (good, expected) in expected.into_iter().enumerate() {
        let (arguments, ran) = (format!("{{\"good\":{good}}}"), world.ran());
        breaks_after(&store, good);
        assert_eq!(go(&world, &arguments).await, expected, "{good}");
        assert_eq!(world.ran() - ran, usize::from(good == WRITES), "{good}");
        mends(&store);
        if good < WRITES {
            // What went wrong cost nothing but time: the same call, approved, runs, once.
            assert!(go(&world, &arguments).await.is_empty(), "{good}");
        }
        assert_eq!(world.ran() - ran, 1, "{good}");
        let anew = world.asked("up__write", &arguments).await;
        assert_eq!((anew.state, world.ran() - ran), (State::Pending, 1), "{good}");
    }
    // Every call has its record, and what ran its intent.
    let records = world.gate.records();
    let intents = records.iter().filter(|record| record["kind"] == "intent").count();
    let uses = records.iter().filter(|record| record["method"] == "approval/use").count();
    assert_eq!((intents, uses), (world.ran(), world.ran()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_read_approves_nothing() {
    let world = World::start().await;
    let store = store(&world);
    let hide = || store.execute_batch("ALTER TABLE entry RENAME TO hidden").unwrap();
    let show = || store.execute_batch("ALTER TABLE hidden RENAME TO entry").unwrap();
    hide();
    says_so(&world.call("up__write", "{}").await, "ask");
    show();
    let request = world.asked("up__write", "{}").await;
    hide();
    let unread = world.vote(&request, "sven", &["sre"], true).await;
    assert!(matches!(unread, Err(VoteError::Change(ChangeError::Store(_)))), "{unread:?}");
    show();
    world.approve(&request).await;
    hide();
    says_so(&world.call("up__write", "{}").await, "use");
    assert_eq!(world.ran(), 0);
    show();
    assert!(did(&world.call("up__write", "{}").await));
    assert_eq!(denial(&world.call("up__write", "{}").await)["reason"], "approval_required");
    assert_eq!(world.ran(), 1);
}
