//! Calls that wait for people: they meet what was decided, ask for nothing else by themselves, and do not take all the room.

use portcullis::approval::State;
use serde_json::{Value, json};

use super::{World, denial_of, did_say};
use crate::wire::Conn;

/// As many calls of one person are held at one time.
const HELD: usize = 32;

/// A call of a client that is told of progress, once it is held.
async fn held(world: &World) -> (Conn, Value) {
    let mut conn = world.gate.reach.open().await;
    let request = world.calling("up__write", &json!({"a": 1}), &json!({}), &json!({}));
    conn.stream(&request.edit(r#""_meta":{"#, r#""_meta":{"progressToken":"mine","#)).await;
    let first = conn.message().await.unwrap();
    (conn, first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_wait_for_a_request_meet_its_end_and_make_no_other() {
    for end in ["deny", "withdraw", "approve", "expire"] {
        let world = World::start().await;
        let mut waiting = vec![held(&world).await.0, held(&world).await.0, held(&world).await.0];
        let request = world.requests()[0].clone();
        match end {
            "deny" => drop(world.vote(&request, "sven", &["sre"], false).await.unwrap()),
            "approve" => world.approve(&request).await,
            "expire" => world.gate.running().clock().advance_ms(301_000),
            _ => drop(world.desk().withdraw(&request.id, &super::person("alice", &["eng"])).await.unwrap()),
        }
        let mut reasons = Vec::new();
        for conn in &mut waiting {
            let last = conn.message().await.unwrap();
            reasons.push(match did_say(&last) {
                true => "ran".to_owned(),
                false => denial_of(&last)["reason"].as_str().unwrap_or_default().to_owned(),
            });
        }
        reasons.sort_unstable();
        let (expect, ran): ([&str; 3], usize) = match end {
            "deny" => (["approval_denied"; 3], 0),
            "expire" => (["approval_expired"; 3], 0),
            "approve" => (["approval_required", "approval_required", "ran"], 1),
            _ => (["approval_required"; 3], 0),
        };
        assert_eq!((reasons, world.ran()), (expect.map(str::to_owned).to_vec(), ran), "{end}");
        assert_eq!(world.requests().len(), 1, "{end}: nobody asked anew");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_holds_more_calls_than_their_share() {
    let world = World::start().await;
    let mut waiting = Vec::new();
    for _ in 0..HELD {
        let (conn, first) = held(&world).await;
        assert_eq!(first["method"], "notifications/progress", "{first}");
        waiting.push(conn);
    }
    // One more is told in words, and others have their own share.
    let more = world.calling("up__write", &json!({"a": 1}), &json!({}), &json!({}));
    let more = more.edit(r#""_meta":{"#, r#""_meta":{"progressToken":"mine","#);
    let told = world.gate.reach.send(&more).await;
    assert_eq!(denial_of(&told.json())["reason"], "approval_required", "{}", told.whole());
    let bob = World { alice: world.gate.token("bob", &["eng"]), gate: world.gate };
    assert_eq!(held(&bob).await.1["method"], "notifications/progress");
    // Who is gone has left the room.
    let world = World::of(bob.gate);
    waiting.pop();
    let again = async { while held(&world).await.1["method"] != "notifications/progress" {} };
    tokio::time::timeout(crate::wire::SOON, again).await.unwrap();
    assert!(world.requests().iter().all(|request| request.state == State::Pending));
}
