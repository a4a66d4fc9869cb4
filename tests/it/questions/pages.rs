//! Upstreams of 2025-11-25 that want a page visited first (-32042).

use serde_json::{Value, json};

use super::{Asked, World, all, said};
use crate::gate::POLICY;

fn page(url: &str) -> Value {
    json!({"mode": "url", "message": "Pay", "url": url, "elicitationId": "theirs", "canary": "data-canary"})
}

fn visiting(pages: &[Value]) -> Value {
    json!({"ask": [], "visit": pages})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_questions_to_newer_clients_whose_retry_calls_anew() {
    let world = World::start().await;
    let arguments = visiting(&[page("https://pay.example/1"), page("https://pay.example/2")]);
    let mut asked = world.asked(&world.alice, "old__echo", &arguments).await;
    assert_eq!(asked.requests.len(), 2);
    for ((key, request), url) in asked.requests.iter().zip(["https://pay.example/1", "https://pay.example/2"]) {
        let params = json!({"mode": "url", "message": "[old] Pay", "url": url});
        assert_eq!(*request, json!({"method": "elicitation/create", "params": params}), "{key}");
    }
    // A person who says no is not asked again, and nothing is called.
    let (key, _) = &asked.requests[0];
    let no = world.retry(&world.alice, "old__echo", &arguments, &asked, &json!({key: {"action": "decline"}}));
    let refused = world.gate.reach.send(&no).await;
    assert!(said(&refused.json()).1 && refused.text().contains("declined"), "{}", refused.whole());
    assert_eq!(world.gate.old.calls().len(), 1);
    // The page was visited, and that did not help: there is an end to it.
    for round in 2..=8 {
        let retry = world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers());
        let again = Asked::of(&world.gate.reach.send(&retry).await);
        assert_eq!(world.gate.old.calls().len(), round);
        let replayed = world.gate.reach.send(&retry).await;
        assert_eq!((replayed.code(), world.gate.old.calls().len()), (-32602, round), "{}", replayed.whole());
        asked = again;
    }
    let last = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers())).await;
    assert!(said(&last.json()).1 && !last.text().contains("canary"), "{}", last.whole());
    // It did help.
    let asked = world.asked(&world.alice, "old__echo", &arguments).await;
    world.gate.old.behave(crate::peer::legacy);
    let last = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers())).await;
    assert_eq!(said(&last.json()).0, "did \"echo\"", "{}", last.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_the_same_error_to_clients_of_the_same_revision_and_a_failure_to_others() {
    let world = World::start().await;
    let urls = json!({"elicitation": {"url": {}}});
    let session = world.session(&world.alice, "2025-11-25", &urls).await;
    let answer = world.gate.reach.send(&session.calling(1, "old__echo", &visiting(&[page("https://pay.example/1")]))).await;
    assert_eq!(answer.code(), -32042, "{}", answer.whole());
    let told = answer.json()["error"]["data"]["elicitations"].clone();
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    let told = &told[0];
    assert_eq!((&told["message"], &told["url"]), (&json!("[old] Pay"), &json!("https://pay.example/1")));
    assert!(told["elicitationId"].as_str().is_some_and(|id| id != "theirs"), "{told}");
    assert!(!answer.text().contains("canary"), "{}", answer.whole());

    let unruled = World::with(|files| files.policy = POLICY.to_owned()).await;
    let form = json!({"elicitation": {}});
    let ok = || page("https://pay.example/1");
    for (world, revision, caps, pages) in [
        (&unruled, "2025-11-25", &urls, vec![ok()]),
        (&world, "2025-11-25", &form, vec![ok()]),
        (&world, "2025-06-18", &urls, vec![ok()]),
        (&world, "2025-11-25", &urls, vec![ok(), page("http://pay.example/1")]),
        (&world, "2025-11-25", &urls, vec![json!({"mode": "form", "message": "m"})]),
        (&world, "2025-11-25", &urls, vec![json!("x")]),
        (&world, "2025-11-25", &urls, vec![]),
        (&world, "2025-11-25", &urls, vec![ok(); 9]),
    ] {
        let session = world.session(&world.alice, revision, caps).await;
        let answer = world.gate.reach.send(&session.calling(1, "old__echo", &visiting(&pages))).await;
        let (text, failed) = said(&answer.json());
        assert!(failed && text.contains("failed at this") && !answer.text().contains("pay.example"), "{}", answer.whole());
    }
    for (world, caps, pages) in
        [(&unruled, &all(), vec![ok()]), (&world, &form, vec![ok()]), (&world, &all(), vec![page("http://pay.example/1")])]
    {
        let request = world.call(&world.alice, "old__echo", &visiting(&pages), caps, &json!({}));
        let answer = world.gate.reach.send(&request).await;
        assert!(said(&answer.json()).1 && !answer.text().contains("pay.example"), "{}", answer.whole());
    }
}
