//! Clients of 2026-07-28 before an upstream that asks by requests (2025-11-25).

use serde_json::{Value, json};

use super::{Asked, World, all, said};
use crate::gate::{POLICY, soon};
use crate::peer::Peer;

fn answers(old: &Peer) -> Vec<Value> {
    let answers = old.seen().into_iter().filter(|seen| seen.verb == "POST" && seen.rpc().is_empty());
    answers.map(|seen| seen.json()).collect()
}

fn heard(old: &Peer, method: &str) -> usize {
    old.seen().iter().filter(|seen| seen.rpc() == method).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_asked_in_results_and_their_retry_takes_the_call_over() {
    let world = World::start().await;
    for (round, kinds) in
        [vec!["form"], vec!["url"], vec!["sample"], vec!["roots"], vec!["form", "sample", "roots"]].into_iter().enumerate()
    {
        let (before, said_before) = (world.gate.old.calls().len(), answers(&world.gate.old).len());
        let arguments = json!({"ask": [kinds]});
        let asked = world.asked(&world.alice, "old__echo", &arguments).await;
        assert_eq!(asked.requests.len(), kinds.len(), "{:?}", asked.requests);
        for (key, request) in &asked.requests {
            assert!(key.starts_with("pq-") && request.get("id").is_none(), "{key} {request}");
            assert!(request["params"].get("elicitationId").is_none(), "{request}");
            if request["method"] == "elicitation/create" {
                assert!(request["params"]["message"].as_str().unwrap().starts_with("[old] "), "{request}");
            }
        }
        let answer = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers())).await;
        let (text, failed) = said(&answer.json());
        assert!(!failed && answer.json()["result"]["resultType"] == "complete", "{}", answer.whole());
        for value in asked.answers().as_object().unwrap().values() {
            assert!(text.contains(&value.to_string()), "{text} lacks {value}");
        }
        assert_eq!(world.gate.old.calls().len(), before + 1, "the call was made once");
        assert_eq!(answers(&world.gate.old).len(), said_before + kinds.len());
        assert_eq!(heard(&world.gate.old, "notifications/cancelled"), 0);
        if round == 0 {
            let opened = world.gate.old.seen().into_iter().rfind(|seen| seen.rpc() == "initialize").unwrap().json();
            let told = json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}});
            assert!(opened["params"]["capabilities"]["elicitation"] == told["elicitation"], "{opened}");
        }
    }
    // One record for every request: two for each pair.
    let records = world.gate.settled(10).await;
    assert!(records.iter().all(|record| record["outcome"]["status"] == "completed"), "{records:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_through_rounds_and_are_asked_again_what_they_left_out() {
    let world = World::start().await;
    let arguments = json!({"ask": [["form", "roots"], ["sample"]]});
    let first = world.asked(&world.alice, "old__echo", &arguments).await;
    // Only one is answered, and one that nobody asked.
    let answered = first.requests.iter().find(|(_, request)| request["method"] == "roots/list").unwrap().0.clone();
    let partly = json!({answered.as_str(): first.answers()[&answered], "pq-unknown": {"action": "accept"}});
    let again = Asked::of(&world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &first, &partly)).await);
    assert_eq!(again.requests.len(), 1, "{:?}", again.requests);
    assert_eq!(again.requests[0].1["method"], "elicitation/create");
    // What was answered is on its way, whoever waits.
    soon("the answer", || answers(&world.gate.old).len() == 1).await;
    assert!(again.requests[0].1["params"]["message"] == "[old] Who?", "{:?}", again.requests);
    // None is answered.
    let still = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &again, &json!({}))).await;
    let still = Asked::of(&still);
    assert_eq!((still.requests.len(), answers(&world.gate.old).len()), (1, 1));
    let second = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &still, &still.answers())).await;
    let second = Asked::of(&second);
    assert_eq!(second.requests[0].1["method"], "sampling/createMessage");
    let last = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &second, &second.answers())).await;
    assert!(said(&last.json()).0.contains("sampled"), "{}", last.whole());
    assert_eq!((world.gate.old.calls().len(), answers(&world.gate.old).len()), (1, 3));
}

/// An answer that has begun as a stream ends with the questions, and the retry's may be a stream again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_asked_at_the_end_of_a_stream() {
    let world = World::start().await;
    let arguments = json!({"ask": [["progress", "form"], ["progress", "roots"], ["progress"]]});
    let mut conn = world.gate.reach.open().await;
    let watching = |request: crate::wire::Req| request.edit(r#""_meta":{"#, r#""_meta":{"progressToken":"mine","#);
    let mut request = world.call(&world.alice, "old__echo", &arguments, &all(), &json!({}));
    for method in ["elicitation/create", "roots/list"] {
        conn.stream(&watching(request)).await;
        let progress = conn.message().await.unwrap();
        assert_eq!(progress["params"], json!({"progressToken": "mine", "progress": 1}), "{progress}");
        let last = conn.message().await.unwrap();
        assert_eq!((conn.message().await, &last["result"]["resultType"]), (None, &json!("input_required")), "{last}");
        let asked = Asked::of_message(&last);
        assert_eq!(asked.requests[0].1["method"], method);
        request = world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers());
    }
    let answer = world.gate.reach.send(&watching(request)).await;
    assert!(answer.text().contains("file:///home/ada") && answer.json()["id"] == 7, "{}", answer.whole());
    assert_eq!(world.gate.old.calls().len(), 1);
    world.gate.settled(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_cannot_be_asked_let_the_upstream_know() {
    let world = World::start().await;
    let (none, form) = (json!({}), json!({"elicitation": {}}));
    for (caps, kind) in [(&none, "form"), (&form, "url"), (&form, "sample"), (&all(), "plain"), (&all(), "mute")] {
        let before = answers(&world.gate.old).len();
        let request = world.call(&world.alice, "old__echo", &json!({"ask": [[kind]]}), caps, &json!({}));
        let answer = world.gate.reach.send(&request).await;
        assert!(said(&answer.json()).0.contains("-32601"), "{caps} {kind}: {}", answer.whole());
        assert_eq!(answers(&world.gate.old).len(), before + 1);
    }
    let unruled = World::with(|files| files.policy = POLICY.to_owned()).await;
    let request = unruled.call(&unruled.alice, "old__echo", &json!({"ask": [["form"]]}), &all(), &json!({}));
    let answer = unruled.gate.reach.send(&request).await;
    assert!(said(&answer.json()).0.contains("-32601"), "{}", answer.whole());
    let opened = unruled.gate.old.seen().into_iter().rfind(|seen| seen.rpc() == "initialize").unwrap().json();
    assert_eq!(opened["params"]["capabilities"], json!({}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn take_their_time_and_an_impatient_upstream_is_heard() {
    let world = World::with(|files| {
        files.config = files.config.replace("timeout: 9s", "timeout: 500ms").replace("call_timeout: 10s", "call_timeout: 700ms")
    })
    .await;
    let arguments = json!({"ask": [["form"]]});
    let asked = world.asked(&world.alice, "old__echo", &arguments).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let answer = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers())).await;
    assert!(said(&answer.json()).0.contains("Ada"), "{}", answer.whole());
    // It answers without waiting: the retry gets that answer.
    let asked = world.asked(&world.alice, "old__echo", &arguments).await;
    world.asker.answer_all();
    let answer = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers())).await;
    assert!(said(&answer.json()).0.contains("impatient"), "{}", answer.whole());
    // It breaks off: there is nothing left to take over.
    let asked = world.asked(&world.alice, "old__echo", &arguments).await;
    world.asker.break_off();
    let retry = world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers());
    let until = tokio::time::Instant::now() + crate::wire::SOON;
    loop {
        let answer = world.gate.reach.send(&retry).await;
        if answer.code() == -32602 {
            break;
        }
        assert!(answer.status == 200 && tokio::time::Instant::now() < until, "{}", answer.whole());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_so_many_calls_waiting_and_no_more() {
    let world = World::start().await;
    let bob = world.gate.token("bob", &["eng"]);
    let arguments = json!({"ask": [["form"]]});
    let mut waiting = Vec::new();
    for _ in 0..16 {
        waiting.push(world.asked(&world.alice, "old__echo", &arguments).await);
    }
    let one_more = world.call(&world.alice, "old__echo", &arguments, &all(), &json!({}));
    let answer = world.gate.reach.send(&one_more).await;
    assert!(said(&answer.json()).0.contains("-32601"), "{}", answer.whole());
    world.asked(&bob, "old__echo", &arguments).await;
    let first = waiting.remove(0);
    let answer = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &first, &first.answers())).await;
    assert!(said(&answer.json()).0.contains("Ada"), "{}", answer.whole());
    world.asked(&world.alice, "old__echo", &arguments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_decided_about_anew_when_they_come_back() {
    let world = World::with(|files| {
        files.policy.push_str(
            "  - { id: one, effect: allow, principals: ['group:eng'], tools: ['old__limited'], require: { limit: [{ concurrent: 1, by: [principal] }] } }\n",
        );
    })
    .await;
    // What a waiting call held is held by nobody, and by its retry again.
    let arguments = json!({"ask": [["form"]]});
    let asked = world.asked(&world.alice, "old__limited", &arguments).await;
    let answer = world.gate.reach.send(&world.retry(&world.alice, "old__limited", &arguments, &asked, &asked.answers())).await;
    assert!(said(&answer.json()).0.contains("Ada"), "{}", answer.whole());
    // Each is announced before it leaves.
    let asked = world.asked(&world.alice, "old__write", &arguments).await;
    let answer = world.gate.reach.send(&world.retry(&world.alice, "old__write", &arguments, &asked, &asked.answers())).await;
    assert!(said(&answer.json()).0.contains("Ada"), "{}", answer.whole());
    let records = world.gate.settled(4).await;
    assert_eq!(records.iter().filter(|record| record["kind"] == "intent").count(), 2, "{records:#?}");

    let asked = world.asked(&world.alice, "old__echo", &arguments).await;
    let before = answers(&world.gate.old).len();
    world
        .gate
        .reload("policy.yaml", &format!("{POLICY}{}  - {{ id: no-echo, effect: deny, tools: [old__echo] }}\n", super::MAY_ASK));
    let mut last = String::new();
    let until = tokio::time::Instant::now() + crate::wire::SOON;
    while !last.contains("-32602") {
        // A call that is not denied yet would wait; this one asks nothing.
        last = world.gate.reach.send(&world.call(&world.alice, "old__echo", &json!({}), &all(), &json!({}))).await.text();
        assert!(tokio::time::Instant::now() < until, "the new policy: {last}");
    }
    let answer = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers())).await;
    assert_eq!((answer.code(), answers(&world.gate.old).len()), (-32602, before), "{}", answer.whole());
    assert!(!answer.text().contains("requestState"), "{}", answer.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leave_nothing_behind_when_the_gateway_stops() {
    let world = World::start().await;
    world.asked(&world.alice, "old__echo", &json!({"ask": [["form"]]})).await;
    let World { gate, .. } = world;
    let crate::gate::Run::Here(running) = gate.run else { panic!() };
    let began = tokio::time::Instant::now();
    running.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "a waiting call holds up a stop");
    soon("the cancellation", || heard(&gate.old, "notifications/cancelled") == 1).await;
}
