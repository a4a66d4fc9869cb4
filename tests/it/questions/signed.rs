//! Who asks stands before what is asked, and nothing in the question takes it away.

use portcullis::telemetry::escape::is_unsafe;
use serde_json::{Value, json};

use super::asker::VEILED;
use super::{Asked, World, all};

/// What `[NAME]` and a text that would hide it are on a terminal.
fn shown(upstream: &str) -> String {
    format!("[{upstream}] \\u001b[2K\\u000d[bank] Who?\n\tPIN\\u0008\\u009b\\u202e\\u200b\\udb40\\udc41")
}

#[track_caller]
fn holds(upstream: &str, message: &Value) {
    let message = message.as_str().unwrap();
    assert_eq!(message, shown(upstream));
    assert!(!message.chars().any(|c| !"\n\t".contains(c) && is_unsafe(c)), "{message:?}");
}

/// Whichever way an upstream asks and a client is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_question_hides_who_asks() {
    let world = World::start().await;
    let arguments = json!({"ask": [["veiled"]]});
    for upstream in ["up", "old"] {
        let tool = format!("{upstream}__echo");
        let asked = world.asked(&world.alice, &tool, &arguments).await;
        holds(upstream, &asked.requests[0].1["params"]["message"]);
        for revision in ["2025-11-25", "2025-06-18"] {
            let session = world.session(&world.alice, revision, &json!({"elicitation": {}})).await;
            let mut conn = session.call(1, &tool, &arguments).await;
            let (asked, _) = session.oblige(&mut conn, 1).await;
            holds(upstream, &asked[0]["params"]["message"]);
        }
    }
}

/// A page to visit (-32042) is a question too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_hides_who_wants_it_visited() {
    let world = World::start().await;
    let page = json!({"mode": "url", "message": VEILED, "url": "https://pay.example/1", "elicitationId": "theirs"});
    let arguments = json!({"ask": [], "visit": [page]});
    let answer = world.gate.reach.send(&world.call(&world.alice, "old__echo", &arguments, &all(), &json!({}))).await;
    holds("old", &Asked::of(&answer).requests[0].1["params"]["message"]);
    let session = world.session(&world.alice, "2025-11-25", &json!({"elicitation": {"url": {}}})).await;
    let error = world.gate.reach.send(&session.calling(1, "old__echo", &arguments)).await.json();
    holds("old", &error["error"]["data"]["elicitations"][0]["message"]);
}
