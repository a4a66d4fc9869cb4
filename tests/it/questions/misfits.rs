//! Answers are held against what was asked: by key, and each of the kind of its question.

use serde_json::{Value, json};

use super::{Asked, World, all, said, willing};
use crate::peer::{Peer, Seen};

fn heard(peer: &Peer) -> Vec<Value> {
    peer.seen().iter().filter(|seen| seen.verb == "POST" && seen.rpc().is_empty()).map(Seen::json).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_answers_what_was_asked_in_its_kind() {
    let world = World::start().await;
    for (tool, peer) in [("up__echo", &world.gate.up), ("old__echo", &world.gate.old)] {
        let arguments = json!({"ask": [["form", "roots", "sample"]]});
        let asked = world.asked(&world.alice, tool, &arguments).await;
        let reach = peer.seen().len();
        for (key, request) in &asked.requests {
            for other in ["elicitation/create", "sampling/createMessage", "roots/list", "none"] {
                let mut answers = asked.answers();
                answers[key] = if other == "none" { json!({"answer": true}) } else { willing(other, &json!({})) };
                if request["method"] == other {
                    continue;
                }
                let answer = world.gate.reach.send(&world.retry(&world.alice, tool, &arguments, &asked, &answers)).await;
                let error = &answer.json()["error"];
                assert_eq!(
                    (answer.code(), error["message"].as_str()),
                    (-32602, Some("An answer is of another kind than its question")),
                    "{tool} {request} {other}: {}",
                    answer.whole()
                );
            }
        }
        assert_eq!(peer.seen().len(), reach, "{tool}: nothing of it leaves");
        // What nobody asked is left aside, whatever it is; the rest counts, with the same state.
        let mut answers = asked.answers();
        answers["unasked"] = json!({"action": "accept", "content": {"x": "unasked-canary"}});
        let answer = world.gate.reach.send(&world.retry(&world.alice, tool, &arguments, &asked, &answers)).await;
        let (text, failed) = said(&answer.json());
        assert!(!failed && text.contains("Ada") && text.contains("sampled"), "{tool}: {}", answer.whole());
        assert!(!peer.seen().iter().any(|seen| seen.whole().contains("unasked-canary")), "{tool}");
    }
}

/// An upstream without a state of its own keeps its questions in their keys: only it knows what it asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_state_answers_are_of_a_kind_that_may_be_asked() {
    let world = World::start().await;
    let answers = json!({
        "p": {"action": "accept"}, "m": willing("sampling/createMessage", &json!({})), "r": {"roots": []}, "x": {"other": 1}
    });
    for (caps, kept) in [(all(), &["m", "p", "r"][..]), (json!({"roots": {}}), &["r"]), (json!({}), &[])] {
        let more = json!({ "inputResponses": answers });
        let answer = world.gate.reach.send(&world.call(&world.alice, "up__echo", &json!({}), &caps, &more)).await;
        assert_eq!(answer.status, 200, "{}", answer.whole());
        let passed = world.gate.up.calls().pop().unwrap().json()["params"]["inputResponses"].clone();
        let keys: Vec<_> = passed.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, kept, "{caps}");
    }
    let more = json!({"inputResponses": {"p": 1}});
    let answer = world.gate.reach.send(&world.call(&world.alice, "up__echo", &json!({}), &all(), &more)).await;
    assert_eq!(answer.code(), -32602, "{}", answer.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_answers_something_else_has_not_answered() {
    let world = World::start().await;
    let session = world.session(&world.alice, "2025-11-25", &all()).await;
    let mut conn = session.call(1, "up__echo", &json!({"ask": [["form"]]})).await;
    let question = conn.message().await.unwrap();
    assert_eq!(session.answer(&question, &json!({"roots": [{"uri": "file:///answer-canary"}]})).await, 202);
    assert_eq!(said(&conn.message().await.unwrap()), (json!({"k-form": {"action": "cancel"}}).to_string(), false));
    let mut conn = session.call(2, "old__echo", &json!({"ask": [["roots"]]})).await;
    let question = conn.message().await.unwrap();
    assert_eq!(session.answer(&question, &json!({"action": "accept", "content": {"x": "answer-canary"}})).await, 202);
    conn.message().await.unwrap();
    let heard = heard(&world.gate.old).pop().unwrap();
    assert_eq!((&heard["error"]["code"], heard.get("result")), (&json!(-32603), None), "{heard}");
    for peer in [&world.gate.up, &world.gate.old] {
        assert!(!peer.seen().iter().any(|seen| seen.whole().contains("answer-canary")), "nothing of it leaves");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_calls_of_one_principal_ask_at_once() {
    let world = World::start().await;
    let ask = json!({"ask": [["form"]]});
    let (session, bob) = (world.session(&world.alice, "2025-11-25", &all()).await, world.gate.token("bob", &["eng"]));
    let mut waiting = Vec::new();
    for id in 1..=16 {
        let mut conn = session.call(id, "up__echo", &ask).await;
        waiting.push((conn.message().await.unwrap(), conn));
    }
    let other = world.session(&world.alice, "2025-06-18", &json!({"elicitation": {}})).await;
    let mut conn = other.call(1, "up__echo", &ask).await;
    let (text, failed) = said(&conn.message().await.unwrap());
    assert!(failed && text.contains("wait for an answer already"), "{text}");
    // What is nobody's question takes no place, and others have places of their own.
    let plain = world.gate.reach.send(&session.calling(20, "up__echo", &json!({}))).await;
    assert!(plain.text().contains("did"), "{}", plain.whole());
    let bobs = world.session(&bob, "2025-11-25", &all()).await;
    assert_eq!(bobs.call(1, "up__echo", &ask).await.message().await.unwrap()["method"], "elicitation/create");
    let (question, mut first) = waiting.remove(0);
    assert_eq!(session.answer(&question, &willing("elicitation/create", &json!({}))).await, 202);
    assert!(said(&first.message().await.unwrap()).0.contains("Ada"));
    assert_eq!(first.message().await, None);
    let mut again = session.call(30, "up__echo", &ask).await;
    assert_eq!(again.message().await.unwrap()["method"], "elicitation/create");
}

/// A state serves the questions that it came with, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_round_has_its_own_keys() {
    let world = World::start().await;
    let arguments = json!({"ask": [["form"], ["roots"]]});
    let first = world.asked(&world.alice, "up__echo", &arguments).await;
    let second =
        Asked::of(&world.gate.reach.send(&world.retry(&world.alice, "up__echo", &arguments, &first, &first.answers())).await);
    let both = json!({"k-form": first.answers()["k-form"], "k-roots": second.answers()["k-roots"]});
    world.gate.reach.send(&world.retry(&world.alice, "up__echo", &arguments, &second, &both)).await;
    let passed = world.gate.up.calls().pop().unwrap().json()["params"]["inputResponses"].clone();
    assert_eq!(passed, json!({"k-roots": second.answers()["k-roots"]}));
}
