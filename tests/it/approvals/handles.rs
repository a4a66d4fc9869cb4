//! Clients of the tasks extension: a handle at once, the call when it is approved.

use std::sync::Arc;

use portcullis::approval::State;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::lease::terms;
use super::{RULES, World, denial_of, did};
use crate::gate::{META, soon};
use crate::keys;
use crate::peer::{Answer, modern};
use crate::wire::SOON;

pub(super) fn tasks() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

pub(super) async fn begun(world: &World, tool: &str, arguments: &Value) -> Value {
    let answer = world.gate.reach.send(&world.calling(tool, arguments, &tasks(), &json!({}))).await;
    let result = answer.json()["result"].clone();
    assert_eq!((&result["resultType"], &result["status"]), (&json!("task"), &json!("working")), "{}", answer.whole());
    assert!(
        result["createdAt"].is_string() && result["ttlMs"].as_u64() > Some(0) && result["pollIntervalMs"].is_u64(),
        "{result}"
    );
    result
}

pub(super) async fn ask(world: &World, token: &str, method: &str, task: &Value, caps: &Value) -> Value {
    let id = task["taskId"].as_str().unwrap();
    let request = world.gate.modern("/mcp", token, method, &format!(r#""taskId":"{id}","#)).add("Mcp-Name", id);
    let request = request.edit(
        META,
        &META.replace(
            r#""io.modelcontextprotocol/clientCapabilities":{}"#,
            &format!(r#""io.modelcontextprotocol/clientCapabilities":{caps}"#),
        ),
    );
    world.gate.reach.send(&request).await.json()
}

async fn get(world: &World, task: &Value) -> Value {
    ask(world, &world.alice, "tasks/get", task, &tasks()).await["result"].clone()
}

pub(super) async fn over(world: &World, task: &Value) -> Value {
    for _ in 0..500 {
        let seen = get(world, task).await;
        if seen["status"] != "working" {
            return seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("still working")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_call_runs_when_it_is_approved_and_its_result_is_read() {
    let world = World::start().await;
    let task = begun(&world, "up__write", &json!({"a": 1})).await;
    let request = world.requests()[0].clone();
    let seen = get(&world, &task).await;
    assert_eq!((&seen["status"], &seen["resultType"]), (&json!("working"), &json!("complete")), "{seen}");
    assert!(seen["statusMessage"].as_str().unwrap().contains(request.id.as_str()), "{seen}");
    assert_eq!(world.ran(), 0);
    world.approve(&request).await;
    let seen = over(&world, &task).await;
    assert_eq!(seen["status"], "completed", "{seen}");
    assert!(seen["result"]["content"][0]["text"].as_str().unwrap().starts_with("did "), "{seen}");
    assert_eq!((world.ran(), world.desk().get(&request.id).unwrap().state), (1, State::Used));
    assert_eq!(get(&world, &task).await["status"], "completed", "it can be read again");
    // It has a record and an intent of its own.
    let records = world.gate.records();
    let made: Vec<_> =
        records.iter().filter(|record| record["approval"]["state"] == "used").map(|record| record["kind"].clone()).collect();
    assert_eq!(made, [json!("approval"), json!("intent"), json!("outcome")], "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_and_an_expired_call_never_run() {
    let world = World::start().await;
    let (denied, expired) = (json!({"a": "denied"}), json!({"a": "expired"}));
    let task = begun(&world, "up__write", &denied).await;
    world.vote(&world.requests()[0].clone(), "sven", &["sre"], false).await.unwrap();
    let seen = over(&world, &task).await;
    assert_eq!((&seen["status"], &seen["result"]["isError"]), (&json!("completed"), &json!(true)), "{seen}");
    assert_eq!(seen["result"]["_meta"]["dev.portcullis/denial"]["reason"], "approval_denied", "{seen}");
    let task = begun(&world, "up__write", &expired).await;
    world.gate.running().clock().advance_ms(301_000);
    let seen = over(&world, &task).await;
    assert_eq!(seen["result"]["_meta"]["dev.portcullis/denial"]["reason"], "approval_expired", "{seen}");
    assert_eq!(world.ran(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_cancelled_never_runs() {
    let world = World::start().await;
    let task = begun(&world, "up__write", &json!({"a": 1})).await;
    let request = world.requests()[0].clone();
    let done = ask(&world, &world.alice, "tasks/cancel", &task, &tasks()).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
    assert_eq!(over(&world, &task).await["status"], "cancelled");
    assert_eq!(world.desk().get(&request.id).unwrap().state, State::Withdrawn);
    assert!(world.vote(&request, "sven", &["sre"], true).await.is_err());
    assert_eq!(world.ran(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_is_its_makers_alone() {
    let world = World::start().await;
    let task = begun(&world, "up__write", &json!({"a": 1})).await;
    let bob = world.gate.token("bob", &["eng"]);
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let answer = ask(&world, &bob, method, &task, &tasks()).await;
        assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
        let undeclared = ask(&world, &world.alice, method, &task, &json!({})).await;
        assert_eq!(undeclared["error"]["code"], -32021, "{method}: {undeclared}");
    }
    assert_eq!(get(&world, &task).await["status"], "working");
}

/// What came of a call is for who may make it, by the rules in force when it is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_read_by_a_decision_and_by_the_client_that_asked() {
    let world = World::start().await;
    let task = begun(&world, "up__write", &json!({"a": 1})).await;
    world.approve(&world.requests()[0].clone()).await;
    assert_eq!(over(&world, &task).await["status"], "completed");
    let mut claims = keys::claims(&json!([world.gate.url("/mcp")]), "alice", &["eng"]);
    claims["client_id"] = json!("https://other.example/client");
    let other = keys::ED.token(&keys::header(), &claims);
    let answer = ask(&world, &other, "tasks/get", &task, &tasks()).await;
    assert_eq!(answer["error"]["code"], -32602, "another client of the same person: {answer}");
    assert_eq!(get(&world, &task).await["status"], "completed");
    let before = world.gate.running().policy().digest().clone();
    let denied = format!("{RULES}  - {{ id: no-more, effect: deny, tools: [\"up__write\"] }}\n");
    world.gate.reload("policy.yaml", &denied);
    soon("the policy", || *world.gate.running().policy().digest() != before).await;
    let answer = ask(&world, &world.alice, "tasks/get", &task, &tasks()).await;
    assert!(answer["result"].is_null() && !answer.to_string().contains("did "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_nothing_runs_and_the_handle_says_so() {
    let world = World::start().await;
    let task = begun(&world, "up__write", &json!({"a": 1})).await;
    let world = world.again().await;
    let request = world.requests()[0].clone();
    assert_eq!(request.state, State::Pending);
    world.approve(&request).await;
    let seen = get(&world, &task).await;
    assert_eq!(seen["status"], "failed", "{seen}");
    assert!(seen["error"]["message"].as_str().unwrap().contains("restarted"), "{seen}");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!((world.ran(), world.desk().get(&request.id).unwrap().state), (0, State::Approved));
    // Made anew it finds what was approved.
    let ran = world.gate.reach.send(&world.calling("up__write", &json!({"a": 1}), &tasks(), &json!({}))).await.json();
    assert!(denial_of(&ran).is_null(), "{ran}");
    soon("the call", || world.ran() == 1).await;
}

/// Other calls are made under a lease, also when nobody waits any more for the one that led to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_one_call_ends_no_lease() {
    let world = World::start().await;
    let slow = Arc::new(Notify::new());
    world.gate.up.behave(move |seen| match seen.rpc().as_str() {
        "tools/call" => Answer::Once(slow.clone(), Box::new(modern(seen))),
        _ => modern(seen),
    });
    let task = begun(&world, "up__write", &json!({"a": 1})).await;
    let request = world.requests()[0].clone();
    world.lease(&request, "sven", &["sre"], &terms(5, 3, None)).await.unwrap();
    soon("the call", || world.ran() == 1).await;
    let done = ask(&world, &world.alice, "tasks/cancel", &task, &tasks()).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
    assert_eq!(over(&world, &task).await["status"], "cancelled");
    assert_eq!(world.used(&request), (State::Approved, 1));
    world.gate.up.behave(modern);
    assert!(did(&world.call("up__write", r#"{"a":1}"#).await));
    assert_eq!((world.used(&request), world.ran()), ((State::Approved, 2), 2));
}

/// What one person leaves lying is nobody else's loss, and what came last can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_kept_within_the_share_of_whoever_asked() {
    let world = World::start().await;
    world.gate.up.behave(|seen| match seen.rpc().as_str() {
        "tools/call" => {
            let text = "x".repeat(seen.json()["params"]["arguments"]["size"].as_u64().unwrap().try_into().unwrap());
            let result = json!({"resultType": "complete", "content": [{"type": "text", "text": text}]});
            Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}).to_string())
        }
        _ => modern(seen),
    });
    let made = async |world: &World, at: usize, size: usize| {
        let task = begun(world, "up__write", &json!({"at": at, "size": size})).await;
        world.approve(&world.requests()[0].clone()).await;
        // That much takes its time.
        let over = async {
            while get(world, &task).await["status"] != "completed" {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(SOON, over).await.unwrap();
        task
    };
    let bob = World { alice: world.gate.token("bob", &["eng"]), gate: world.gate };
    let of_bob = made(&bob, 0, 1).await;
    let world = World { alice: bob.gate.token("alice", &["eng"]), gate: bob.gate };
    let mut of_alice = Vec::new();
    for at in 1..=3 {
        of_alice.push(made(&world, at, 9 * 1024 * 1024).await);
    }
    let first = get(&world, &of_alice[0]).await;
    assert_eq!((first["status"].as_str(), first["result"].is_null()), (Some("failed"), true), "her oldest made room");
    for task in &of_alice[1..] {
        assert_eq!(get(&world, task).await["status"], "completed");
    }
    let bob = World { alice: world.gate.token("bob", &["eng"]), gate: world.gate };
    assert_eq!(get(&bob, &of_bob).await["status"], "completed");
}
