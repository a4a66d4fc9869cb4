//! How whoever calls is told: a question with a page or a form, a call that is held, words. Nothing passes for want of a capability.

use portcullis::approval::State;
use serde_json::{Value, json};

use super::{World, denial, denial_of, did, did_say, text};
use crate::gate::soon;
use crate::wire::{Conn, Req, Resp};

const KEY: &str = "dev.portcullis/approval";
/// Who calls confirms this one.
const MINE: &str = "up__two__parts";

async fn world() -> World {
    World::with(|files| files.config.push_str("approvals: { wait: 2s }\n")).await
}

async fn impatient() -> World {
    World::with(|files| files.config.push_str("approvals: { wait: 100ms }\n")).await
}

fn url() -> Value {
    json!({"elicitation": {"url": {}}})
}

fn form() -> Value {
    json!({"elicitation": {}})
}

/// The one question of a result that asks, and its state.
fn question(answer: &Resp) -> (Value, String) {
    let result = answer.json()["result"].clone();
    assert_eq!(result["resultType"], "input_required", "{}", answer.whole());
    let requests = result["inputRequests"].as_object().unwrap().clone();
    assert_eq!(requests.keys().collect::<Vec<_>>(), [KEY]);
    (requests[KEY].clone(), result["requestState"].as_str().unwrap().to_owned())
}

fn retry(world: &World, tool: &str, caps: &Value, state: &str, answer: &Value) -> Req {
    world.calling(tool, &json!({"a": 1}), caps, &json!({"requestState": state, "inputResponses": {KEY: answer}}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_asked_for_in_a_result_and_the_retry_runs() {
    let world = world().await;
    let send = async |request: Req| world.gate.reach.send(&request).await;
    let asking = world.calling("up__write", &json!({"a": 1}), &url(), &json!({}));
    let (asked, state) = question(&send(asking.clone()).await);
    let request = world.requests()[0].clone();
    let page = format!("http://{}/console/approvals/{}", world.gate.admin.addr, request.id);
    assert_eq!((&asked["method"], &asked["params"]["mode"]), (&json!("elicitation/create"), &json!("url")));
    assert_eq!(asked["params"]["url"], page.as_str());
    assert!(asked["params"]["message"].as_str().unwrap().starts_with("[portcullis] up__write waits for a yes from group:sre"));
    // Held while people decide.
    let accept = json!({"action": "accept"});
    let held = send(retry(&world, "up__write", &url(), &state, &accept));
    let (answer, ()) = tokio::join!(held, async {
        while world.gate.metric("portcullis_in_flight").await != "1" {}
        world.approve(&request).await;
    });
    assert!(did(&answer), "{}", answer.whole());
    assert_eq!(world.ran(), 1);
    let call = &world.gate.up.calls()[0];
    assert!(!call.body.contains("requestState") && !call.body.contains("inputResponses"), "{}", call.body);
    // The page is no vote, and a state is no approval.
    let again = send(retry(&world, "up__write", &url(), &state, &accept)).await;
    assert_eq!(denial(&again)["reason"], "approval_required", "{}", again.whole());
    for action in ["decline", "cancel"] {
        let (_, state) = question(&send(asking.clone()).await);
        let told = send(retry(&world, "up__write", &url(), &state, &json!({"action": action}))).await;
        assert_eq!(denial(&told)["reason"], "approval_required", "{action}: {}", told.whole());
    }
    assert_eq!(world.ran(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_is_for_who_calls_and_counts_as_their_word() {
    let world = impatient().await;
    let send = async |request: Req| world.gate.reach.send(&request).await;
    let asking = world.calling(MINE, &json!({"a": 1}), &form(), &json!({}));
    let (asked, state) = question(&send(asking.clone()).await);
    let request = world.requests()[0].clone();
    let params = &asked["params"];
    assert_eq!((&params["mode"], &params["requestedSchema"]["required"]), (&json!("form"), &json!(["approve"])));
    let message = params["message"].as_str().unwrap();
    for part in ["[portcullis] Run up__two__parts", "destructive", "\"a\": 1", &request.bound.arguments.to_string()] {
        assert!(message.contains(part), "{part} in {message}");
    }
    let yes = json!({"action": "accept", "content": {"approve": true}});
    // What is no yes in so many words is none.
    for answer in [
        json!({"action": "accept"}),
        json!({"action": "accept", "content": {}}),
        json!({"action": "accept", "content": {"approve": "true"}}),
        json!({"action": "accept", "content": {"approve": 1}}),
        json!({"action": "cancel", "content": {"approve": true}}),
        json!({"content": {"approve": true}}),
    ] {
        let told = send(retry(&world, MINE, &form(), &state, &answer)).await;
        assert_eq!(denial(&told)["reason"], "approval_required", "{answer}: {}", told.whole());
        assert_eq!(world.desk().get(&request.id).unwrap().state, State::Pending);
    }
    // Nor is a yes without the state of its question, or to another call, or of somebody else.
    let bare = world.calling(MINE, &json!({"a": 1}), &form(), &json!({"inputResponses": {KEY: yes}}));
    question(&send(bare).await);
    let other = world.calling(MINE, &json!({"a": 2}), &form(), &json!({"requestState": state, "inputResponses": {KEY: yes}}));
    assert!(!did(&send(other).await));
    let bob = World { gate: world.gate, alice: String::new() };
    let bob = World { alice: bob.gate.token("bob", &["eng"]), ..bob };
    assert!(!did(&bob.gate.reach.send(&retry(&bob, MINE, &form(), &state, &yes)).await));
    let world = World::of(bob.gate);
    let send = async |request: Req| world.gate.reach.send(&request).await;
    assert_eq!((world.desk().get(&request.id).unwrap().state, world.ran()), (State::Pending, 0));

    let ran = send(retry(&world, MINE, &form(), &state, &yes)).await;
    assert!(did(&ran), "{}", ran.whole());
    assert_eq!((world.desk().get(&request.id).unwrap().state, world.ran()), (State::Used, 1));
    let again = send(retry(&world, MINE, &form(), &state, &yes)).await;
    assert!(!did(&again), "{}", again.whole());
    assert_eq!(world.ran(), 1, "one yes, one call");

    for no in [json!({"action": "accept", "content": {"approve": false}}), json!({"action": "decline"})] {
        let (_, state) = question(&send(asking.clone()).await);
        let told = send(retry(&world, MINE, &form(), &state, &no)).await;
        assert_eq!(denial(&told)["reason"], "approval_denied", "{no}: {}", told.whole());
    }
    assert_eq!(world.ran(), 1);
}

/// Where others have to approve a form is no way to do it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_forms_only_gets_words_where_others_decide() {
    let world = impatient().await;
    for caps in [form(), json!({}), json!({"sampling": {}, "roots": {}})] {
        let told = world.gate.reach.send(&world.calling("up__write", &json!({"a": 1}), &caps, &json!({}))).await;
        assert_eq!(denial(&told)["reason"], "approval_required", "{caps}: {}", told.whole());
        assert!(text(&told).starts_with("Approval pending"));
    }
    let told = world.gate.reach.send(&world.calling(MINE, &json!({"a": 1}), &json!({}), &json!({}))).await;
    assert!(text(&told).contains("a yes from you"), "{}", told.whole());
    assert_eq!(world.ran(), 0);
}

fn watching(request: Req) -> Req {
    request.edit(r#""_meta":{"#, r#""_meta":{"progressToken":"mine","#)
}

async fn waits(conn: &mut Conn) -> Value {
    let progress = conn.message().await.unwrap();
    assert_eq!(progress["method"], "notifications/progress", "{progress}");
    assert_eq!((&progress["params"]["progressToken"], &progress["params"]["progress"]), (&json!("mine"), &json!(1)));
    assert!(progress["params"]["message"].as_str().unwrap().starts_with("waiting for approval by group:sre (apr_"));
    progress
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_told_of_progress_is_held() {
    let world = World::start().await;
    for (at, (yes, reason)) in [(true, ""), (false, "approval_denied")].into_iter().enumerate() {
        let mut conn = world.gate.reach.open().await;
        conn.stream(&watching(world.calling("up__write", &json!({"at": at}), &json!({}), &json!({})))).await;
        waits(&mut conn).await;
        let request = world.requests()[0].clone();
        assert_eq!((request.state, world.ran()), (State::Pending, at.min(1)));
        world.vote(&request, "sven", &["sre"], yes).await.unwrap();
        let last = conn.message().await.unwrap();
        assert_eq!((did_say(&last), denial_of(&last)["reason"].as_str().unwrap_or_default()), (yes, reason), "{last}");
        assert_eq!((conn.message().await, world.ran()), (None, 1));
    }
    // ask, decide, of both; one use; and the two calls.
    world.gate.settled(7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_not_held_without_end_and_ends_with_its_client() {
    let world = impatient().await;
    let mut conn = world.gate.reach.open().await;
    conn.stream(&watching(world.calling("up__write", &json!({"a": 1}), &json!({}), &json!({})))).await;
    waits(&mut conn).await;
    let last = conn.message().await.unwrap();
    assert_eq!(denial_of(&last)["reason"], "approval_required", "{last}");
    let world = World::start().await;
    let mut conn = world.gate.reach.open().await;
    conn.stream(&watching(world.calling("up__write", &json!({"a": 1}), &json!({}), &json!({})))).await;
    waits(&mut conn).await;
    drop(conn);
    let cancelled = |world: &World| world.gate.records().iter().any(|record| record["outcome"]["status"] == "cancelled");
    soon("the end of the call", || cancelled(&world)).await;
    let request = world.requests()[0].clone();
    world.approve(&request).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!((world.ran(), world.desk().get(&request.id).unwrap().state), (0, State::Approved), "nothing runs for who is gone");
}

/// A session of a client that can be asked this.
async fn session(world: &World, revision: &str, caps: &Value) -> String {
    let opening = world.gate.initialize("/mcp", &world.alice, revision);
    let opening = opening.edit(r#""capabilities":{}"#, &format!(r#""capabilities":{caps}"#));
    let opened = world.gate.reach.send(&opening).await;
    opened.header("mcp-session-id").unwrap().to_owned()
}

fn message(world: &World, revision: &str, session: &str, body: &Value) -> Req {
    world.gate.legacy("/mcp", &world.alice, revision, session, &body.to_string())
}

fn calling(id: u32, tool: &str, meta: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": {"id": id}, "_meta": meta}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_clients_are_asked_on_the_stream_of_their_call() {
    let world = World::start().await;
    let mut ran = 0;
    for (id, (revision, tool, caps, yes)) in [
        ("2025-11-25", MINE, form(), true),
        ("2025-11-25", MINE, form(), false),
        ("2025-06-18", MINE, form(), true),
        ("2025-11-25", "up__write", url(), true),
        ("2025-11-25", "old__write", url(), true),
        ("2025-11-25", "up__write", url(), false),
    ]
    .into_iter()
    .enumerate()
    {
        let session = session(&world, revision, &caps).await;
        let mut conn = world.gate.reach.open().await;
        let id = u32::try_from(id).unwrap();
        conn.stream(&message(&world, revision, &session, &calling(id, tool, &json!({})))).await;
        let asked = conn.message().await.unwrap();
        assert_eq!(asked["method"], "elicitation/create", "{asked}");
        let request = world.requests()[0].clone();
        let is_form = tool == MINE;
        let params = &asked["params"];
        assert_eq!(params["url"].as_str().is_some_and(|url| url.ends_with(request.id.as_str())), !is_form, "{asked}");
        assert_eq!(params["requestedSchema"].is_object(), is_form, "{asked}");
        let answer = if is_form { json!({"action": "accept", "content": {"approve": yes}}) } else { json!({"action": "accept"}) };
        let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": answer});
        assert_eq!(world.gate.reach.send(&message(&world, revision, &session, &answer)).await.status, 202);
        if !is_form {
            assert_eq!(world.desk().get(&request.id).unwrap().state, State::Pending, "a page that was opened is no vote");
            world.vote(&request, "sven", &["sre"], yes).await.unwrap();
        }
        let last = conn.message().await.unwrap();
        assert_eq!((last["id"].as_u64(), did_say(&last)), (Some(u64::from(id)), yes), "{last}");
        if !yes {
            assert_eq!(denial_of(&last)["reason"], "approval_denied", "{last}");
        }
        ran += usize::from(yes);
        assert_eq!(world.ran(), ran);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_clients_without_any_of_it_repeat_the_call() {
    let world = World::start().await;
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = session(&world, revision, &json!({})).await;
        let before = world.ran();
        let call = async |id: u32| {
            let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "up__write", "arguments": {"r": revision}}});
            world.gate.reach.send(&message(&world, revision, &session, &body)).await
        };
        let told = call(1).await;
        assert_eq!(denial(&told)["reason"], "approval_required", "{revision}: {}", told.whole());
        world.approve(&world.pending(&told)).await;
        let ran = call(2).await;
        assert!(did(&ran), "{revision}: {}", ran.whole());
        assert_eq!(world.ran(), before + 1);
        assert_eq!(denial(&call(3).await)["reason"], "approval_required");
    }
}

/// A batch has no stream to be asked or held on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_a_batch_get_words() {
    let world = World::start().await;
    let session = session(&world, "2025-03-26", &json!({})).await;
    let batch = json!([calling(1, "up__write", &json!({"progressToken": 1})), calling(2, "up__echo", &json!({}))]);
    let answers = world.gate.reach.send(&message(&world, "2025-03-26", &session, &batch)).await.json();
    let of = |id: u64| answers.as_array().unwrap().iter().find(|answer| answer["id"] == id).unwrap().clone();
    assert_eq!(denial_of(&of(1))["reason"], "approval_required", "{answers}");
    assert!(did_say(&of(2)), "{answers}");
}
