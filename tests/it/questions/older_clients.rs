//! Clients of 2025-11-25 and older before an upstream that asks in results (2026-07-28).

mod apart;

use serde_json::{Value, json};

use super::asker::state_of;
use super::{Session, World, all, said, willing};
use crate::gate::{POLICY, soon};
use crate::peer::{Peer, Seen, modern};

fn param(seen: &Seen, pointer: &str) -> Value {
    seen.json()["params"].pointer(pointer).cloned().unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_asked_on_the_stream_of_their_call_and_the_upstream_is_called_again() {
    let world = World::start().await;
    let caps = json!({"elicitation": {}, "sampling": {}, "roots": {}});
    let urls = json!({"elicitation": {"url": {}}});
    let form = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": []});
    let titled =
        json!({"type": "object", "properties": {"name": {"type": "string", "enum": ["a"], "enumNames": ["A"]}}, "required": []});
    let sent = "io.modelcontextprotocol~1clientCapabilities";
    for (at, (revision, kind, caps, told, params)) in (1..).zip([
        (
            "2025-11-25",
            "form",
            &caps,
            json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}}),
            json!({"message": "[up] Who?"}),
        ),
        (
            "2025-06-18",
            "form",
            &caps,
            json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}}),
            json!({"requestedSchema": form}),
        ),
        (
            "2025-06-18",
            "titled",
            &caps,
            json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}}),
            json!({"requestedSchema": titled}),
        ),
        (
            "2025-11-25",
            "url",
            &urls,
            json!({"elicitation": {"url": {}}}),
            json!({"mode": "url", "message": "[up] Go", "url": "https://pay.example/1"}),
        ),
        (
            "2025-11-25",
            "sample",
            &caps,
            json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}}),
            json!({"maxTokens": 10}),
        ),
        ("2025-03-26", "sample", &caps, json!({"sampling": {}, "roots": {}}), json!({"maxTokens": 10})),
        ("2025-03-26", "roots", &caps, json!({"sampling": {}, "roots": {}}), Value::Null),
    ]) {
        let session = world.session(&world.alice, revision, caps).await;
        let before = world.gate.up.calls().len();
        let mut conn = session.call(at, "up__echo", &json!({"ask": [[kind]]})).await;
        let (asked, last) = session.oblige(&mut conn, at).await;
        assert_eq!(conn.message().await, None, "nothing comes after the answer");
        let [question] = asked.as_slice() else { panic!("{asked:?}") };
        for (name, value) in params.as_object().into_iter().flatten() {
            assert_eq!(&question["params"][name], value, "{revision} {kind}: {question}");
        }
        let id = question["id"].as_str().unwrap();
        assert!(id.starts_with("pq-"), "{question}");
        assert_eq!(question["params"]["elicitationId"].as_str(), (kind == "url").then_some(id), "{question}");
        let answer = willing(question["method"].as_str().unwrap(), &question["params"]);
        let answers = json!({ format!("k-{kind}"): answer });
        assert_eq!(said(&last), (answers.to_string(), false), "{revision} {kind}: {last}");
        let calls = world.gate.up.calls();
        let [first, second] = &calls[before..] else { panic!("{calls:?}") };
        assert_eq!(param(first, &format!("/_meta/{sent}")), told, "{revision} {kind}");
        assert_eq!(param(second, &format!("/_meta/{sent}")), told, "{revision} {kind}");
        assert_ne!(first.json()["id"], second.json()["id"]);
        assert_eq!((param(first, "/requestState"), param(first, "/inputResponses")), (Value::Null, Value::Null));
        assert_eq!((param(second, "/requestState"), param(second, "/inputResponses")), (json!(state_of(0)), answers));
        assert_eq!(param(first, "/arguments"), param(second, "/arguments"));
    }
}

/// Nobody goes on looking at a question whose answer nobody waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_told_when_a_question_is_open_no_more() {
    let world = World::start().await;
    let session = world.session(&world.alice, "2025-11-25", &all()).await;
    let mut conn = session.call(1, "up__echo", &json!({"ask": [["form", "sample"]]})).await;
    let asked = [conn.message().await.unwrap(), conn.message().await.unwrap()];
    let of = |method: &str| asked.iter().find(|question| question["method"] == method).unwrap();
    // Without a model there is no call, whatever the person says.
    assert_eq!(session.fail(of("sampling/createMessage")).await, 202);
    let withdrawn = conn.message().await.unwrap();
    assert_eq!(withdrawn["method"], "notifications/cancelled", "{withdrawn}");
    assert_eq!(withdrawn["params"]["requestId"], of("elicitation/create")["id"], "{withdrawn}");
    let last = conn.message().await.unwrap();
    assert!(last["id"] == 1 && said(&last).1, "{last}");
    assert_eq!(conn.message().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_through_rounds_in_bounded_number_each_with_its_own_answers() {
    let world = World::start().await;
    let session = world.session(&world.alice, "2025-11-25", &all()).await;
    let ask = |rounds: &Value| json!({ "ask": rounds });
    let mut conn = session.call(1, "up__echo", &ask(&json!([["form"], [], ["sample", "roots"]]))).await;
    let (asked, last) = session.oblige(&mut conn, 1).await;
    assert_eq!(asked.len(), 3);
    assert!(!said(&last).1, "{last}");
    let calls = world.gate.up.calls();
    let keys = |seen: &Seen| -> Vec<String> {
        param(seen, "/inputResponses").as_object().map(|answers| answers.keys().cloned().collect()).unwrap_or_default()
    };
    assert_eq!(
        calls.iter().map(keys).collect::<Vec<_>>(),
        [vec![], vec!["k-form".to_owned()], vec![], vec!["k-roots".to_owned(), "k-sample".to_owned()]]
    );
    let states: Vec<Value> = calls.iter().map(|seen| param(seen, "/requestState")).collect();
    assert_eq!(states, [Value::Null, json!(state_of(0)), json!(state_of(1)), json!(state_of(2))]);

    let mut conn = session.call(2, "up__echo", &ask(&json!(vec![["form"]; 8]))).await;
    let (asked, last) = session.oblige(&mut conn, 2).await;
    assert_eq!((asked.len(), said(&last).1), (8, false), "{last}");
    let mut conn = session.call(3, "up__echo", &ask(&json!(vec![["form"]; 9]))).await;
    let (asked, last) = session.oblige(&mut conn, 3).await;
    assert_eq!((asked.len(), said(&last).1), (8, true), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn may_say_no() {
    let world = World::start().await;
    let session = world.session(&world.alice, "2025-11-25", &all()).await;
    let declined = json!({"action": "decline"});
    for (at, (kind, answer, expect)) in (1..).zip([
        ("form", Some(&declined), Some(json!({"k-form": {"action": "decline"}}))),
        ("form", None, Some(json!({"k-form": {"action": "cancel"}}))),
        ("sample", None, None),
        ("roots", None, None),
    ]) {
        let before = world.gate.up.calls().len();
        let mut conn = session.call(at, "up__echo", &json!({"ask": [[kind]]})).await;
        let question = conn.message().await.unwrap();
        let status = match answer {
            Some(answer) => session.answer(&question, answer).await,
            None => session.fail(&question).await,
        };
        assert_eq!(status, 202);
        let last = conn.message().await.unwrap();
        let calls = world.gate.up.calls().len() - before;
        match expect {
            Some(heard) => assert_eq!((said(&last), calls), ((heard.to_string(), false), 2), "{kind}"),
            None => assert!(said(&last).0.contains("declined") && said(&last).1 && calls == 1, "{kind}: {last}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_cannot_be_asked_are_told_in_plain_words() {
    let world = World::start().await;
    let guest = world.gate.token("guest", &["guests"]);
    let none = json!({});
    let all = all();
    let form = json!({"elicitation": {}});
    for (token, revision, caps, kind, streams) in [
        (&world.alice, "2025-11-25", &none, "form", true),
        (&guest, "2025-11-25", &all, "form", true),
        (&world.alice, "2025-11-25", &all, "form", false),
        (&world.alice, "2025-11-25", &form, "url", true),
        (&world.alice, "2025-11-25", &form, "sample", true),
        (&world.alice, "2025-11-25", &all, "plain", true),
        (&world.alice, "2025-11-25", &all, "mute", true),
        (&world.alice, "2025-06-18", &all, "url", true),
        (&world.alice, "2025-06-18", &all, "several", true),
        (&world.alice, "2025-03-26", &all, "form", true),
    ] {
        let session = world.session(token, revision, caps).await;
        let before = world.gate.up.calls().len();
        let mut request = session.calling(1, "up__echo", &json!({"ask": [[kind]], "path": "/srv/x"}));
        if !streams {
            request = request.set("Accept", "application/json");
        }
        let answer = world.gate.reach.send(&request).await;
        let (text, failed) = said(&answer.json());
        let case = format!("{revision} {caps} {kind}: {}", answer.whole());
        assert!(answer.status == 200 && failed && text.contains("this client cannot give"), "{case}");
        assert!(!answer.text().contains("pq-") && !answer.text().contains("Who?"), "{case}");
        assert_eq!(world.gate.up.calls().len(), before + 1, "{case}");
    }
    // What is no tool call fails as such calls do, and with no code that this client does not know.
    world.gate.up.behave(|seen| match seen.rpc().as_str() {
        "prompts/get" => {
            let error = json!({"code": -32021, "message": "m", "data": {"requiredCapabilities": {"sampling": {}}}});
            let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error});
            crate::peer::Answer::Json(400, "", body.to_string())
        }
        _ => crate::peer::modern(seen),
    });
    let session = world.session(&world.alice, "2025-11-25", &none).await;
    let prompt = json!({"jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": {"name": "up__greet"}});
    let answer = world.gate.reach.send(&session.message(&prompt)).await;
    assert!(answer.code() == -32603 && answer.text().contains("this client cannot give"), "{}", answer.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_decided_about_anew_in_every_round() {
    let world = World::start().await;
    let session = world.session(&world.alice, "2025-11-25", &all()).await;
    // Each round takes of the limit.
    let mut conn = session.call(1, "up__limited", &json!({"ask": [["form"], ["form"]]})).await;
    let (asked, last) = session.oblige(&mut conn, 1).await;
    let denial = &last["result"]["_meta"]["dev.portcullis/denial"];
    assert_eq!((asked.len(), &denial["reason"], world.gate.up.calls().len()), (2, &json!("rate_limited"), 2), "{last}");
    // Each round of a write is announced, and all of them are one request.
    let mut conn = session.call(2, "up__write", &json!({"ask": [["form"]]})).await;
    assert_eq!(session.oblige(&mut conn, 2).await.0.len(), 1);
    soon("the record of the write", || {
        world.gate.records().iter().any(|record| record["kind"] == "outcome" && record["rpc_id"] == "2")
    })
    .await;
    let records = world.gate.records();
    let of = |kind: &str| records.iter().filter(|r| r["kind"] == kind && r["rpc_id"] == "2").count();
    assert_eq!((of("intent"), of("outcome")), (2, 1), "{records:#?}");
    // What is forbidden meanwhile does not leave.
    let mut conn = session.call(3, "up__echo", &json!({"ask": [["form"]]})).await;
    let question = conn.message().await.unwrap();
    let before = world.gate.up.calls().len();
    world
        .gate
        .reload("policy.yaml", &format!("{POLICY}{}  - {{ id: no-echo, effect: deny, tools: [up__echo] }}\n", super::MAY_ASK));
    let denied = || async {
        let probe = world.gate.reach.send(&session.calling(9, "up__echo", &json!({"path": "/x"}))).await;
        !probe.text().contains("did")
    };
    let until = tokio::time::Instant::now() + crate::wire::SOON;
    let mut probes = 0;
    while !denied().await {
        probes += 1;
        assert!(tokio::time::Instant::now() < until, "the new policy");
    }
    assert_eq!(session.answer(&question, &willing("elicitation/create", &question["params"])).await, 202);
    let last = conn.message().await.unwrap();
    assert!(!last.to_string().contains("Ada") && last.to_string().len() > 20, "{last}");
    assert_eq!(world.gate.up.calls().len(), before + probes, "the round reached the upstream: {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn have_time_of_their_own_and_can_cancel() {
    let world = World::with(|files| {
        files.config = files.config.replace("timeout: 9s", "timeout: 500ms").replace("call_timeout: 10s", "call_timeout: 700ms")
    })
    .await;
    let session = world.session(&world.alice, "2025-11-25", &all()).await;
    for (at, tool) in [(1, "up__echo"), (2, "old__echo")] {
        let mut conn = session.call(at, tool, &json!({"ask": [["form"]]})).await;
        let question = conn.message().await.unwrap();
        assert_eq!(question["params"]["message"], format!("[{}] Who?", &tool[..tool.len() - 6]));
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        assert_eq!(session.answer(&question, &willing("elicitation/create", &question["params"])).await, 202);
        let last = conn.message().await.unwrap();
        assert!(said(&last).0.contains("Ada") && !said(&last).1, "{tool}: {last}");

        let mut conn = session.call(at + 10, tool, &json!({"ask": [["form"]]})).await;
        let question = conn.message().await.unwrap();
        let before = world.gate.up.calls().len();
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": at + 10}});
        assert_eq!(world.gate.reach.send(&session.message(&cancel)).await.status, 202);
        let withdrawn = conn.message().await.unwrap();
        assert_eq!(
            (&withdrawn["method"], &withdrawn["params"]["requestId"]),
            (&json!("notifications/cancelled"), &question["id"])
        );
        assert_eq!(conn.message().await, None, "a cancelled call has no answer");
        assert_eq!(session.answer(&question, &json!({"action": "accept"})).await, 202);
        assert_eq!(world.gate.up.calls().len(), before);
    }
}
