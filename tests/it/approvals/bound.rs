//! Every part of a call that an approval is bound to: with any of them changed afterwards, nothing runs.

use portcullis::approval::VoteError;
use serde_json::{Value, json};

use super::{RULES, World, denial, did, person};
use crate::gate::soon;
use crate::keys;
use crate::peer::{Answer, Peer, Seen, modern, modern_with, tools};
use crate::wire::{Req, Resp, SOON};

const ARGUMENTS: &str = r#"{"path":"/srv/a","n":1,"list":[1,2],"deep":{"x":null}}"#;

/// A world in which `up__write` with [`ARGUMENTS`] is approved.
async fn approved() -> World {
    let world = World::start().await;
    let request = world.asked("up__write", ARGUMENTS).await;
    world.approve(&request).await;
    world
}

/// It does not run, and what was approved still does.
async fn refused(world: &World, what: &str, answer: Resp) {
    assert!(!did(&answer), "{what}: {}", answer.whole());
    assert_eq!(world.ran(), 0, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_arguments() {
    let world = approved().await;
    let others = [
        r#"{"path":"/srv/b","n":1,"list":[1,2],"deep":{"x":null}}"#,
        r#"{"path":"/srv/a","n":1.0,"list":[1,2],"deep":{"x":null}}"#,
        r#"{"path":"/srv/a","n":1e0,"list":[1,2],"deep":{"x":null}}"#,
        r#"{"path":"/srv/a","n":"1","list":[1,2],"deep":{"x":null}}"#,
        r#"{"path":"/srv/a","n":1,"list":[2,1],"deep":{"x":null}}"#,
        r#"{"path":"/srv/a","n":1,"list":[1,2],"deep":{"x":null,"y":0}}"#,
        r#"{"path":"/srv/a","n":1,"list":[1,2],"deep":{}}"#,
        r#"{"path":"/srv/a","n":1,"list":[1,2]}"#,
        r#"{"path":"/srv/\u0430","n":1,"list":[1,2],"deep":{"x":null}}"#,
        r#"{"path":"/srv/a\u200b","n":1,"list":[1,2],"deep":{"x":null}}"#,
        r#"{"Path":"/srv/a","n":1,"list":[1,2],"deep":{"x":null}}"#,
        "{}",
    ];
    for other in others {
        refused(&world, other, world.call("up__write", other).await).await;
    }
    let params = r#""name":"up__write","#;
    let without = world.gate.modern("/mcp", &world.alice, "tools/call", params).add("Mcp-Name", "up__write");
    refused(&world, "no arguments", world.gate.reach.send(&without).await).await;
    assert!(did(&world.call("up__write", ARGUMENTS).await), "what was approved runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_and_what_acts_for_them() {
    let world = approved().await;
    let audience = json!([world.gate.url("/mcp"), world.gate.url("/bare")]);
    let claims = keys::claims(&audience, "alice", &["eng"]);
    let token = |member: &str, value: serde_json::Value| {
        let mut claims = claims.clone();
        claims[member] = value;
        keys::ED.token(&keys::header(), &claims)
    };
    let call = |token: &str| world.gate.call("/mcp", token, "up__write", ARGUMENTS);
    for (what, token) in [
        ("another person", token("sub", json!("bob"))),
        ("another spelling", token("sub", json!("Alice"))),
        ("another client", token("client_id", json!("https://other.example/client"))),
        ("an actor", token("act", json!({"sub": "robot"}))),
    ] {
        refused(&world, what, world.gate.reach.send(&call(&token)).await).await;
    }
    // A refreshed token of the same person and client is no other.
    assert!(did(&world.gate.reach.send(&call(&token("exp", json!(keys::now_s() + 500)))).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_route_the_server_and_the_tool() {
    let world = approved().await;
    let send = async |request: Req| world.gate.reach.send(&request).await;
    let call = |route: &str, tool: &str| world.gate.call(route, &world.alice, tool, ARGUMENTS);
    refused(&world, "route", send(call("/bare", "write")).await).await;
    refused(&world, "upstream", send(call("/mcp", "old__write")).await).await;
    refused(&world, "tool", send(call("/mcp", "up__limited")).await).await;
    refused(&world, "tool", send(call("/mcp", "up__delete")).await).await;
    assert!(did(&send(call("/mcp", "up__write")).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_definition() {
    let world = approved().await;
    let mut changed = tools();
    let write = changed.as_array_mut().unwrap().iter_mut().find(|tool| tool["name"] == "write").unwrap();
    write["description"] = json!("now it does something else");
    world.gate.up.behave(move |seen| modern_with(seen, &changed));
    // The list that is known is young; what was approved is looked up again all the same.
    let told = world.call("up__write", ARGUMENTS).await;
    assert_eq!(denial(&told)["reason"], "approval_required", "{}", told.whole());
    refused(&world, "definition", told).await;
    let anew = world.asked("up__write", ARGUMENTS).await;
    assert_eq!(world.ran(), 0);
    world.approve(&anew).await;
    assert!(did(&world.call("up__write", ARGUMENTS).await));
}

/// What people saw is confirmed by the server when it is used: neither a list that is kept at the server's own word stands in for what
/// it says now, nor the last one known while it says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_cannot_be_confirmed() {
    let world = World::with(|files| files.config = files.config.replacen("timeout: 9s", "timeout: 2s", 1)).await;
    world.gate.up.behave(|seen| listed(seen, &tools()));
    let request = world.asked("up__write", ARGUMENTS).await;
    world.approve(&request).await;
    type Fails = fn() -> Answer;
    let silent: [Fails; 3] =
        [|| Answer::Json(500, "", String::new()), || Answer::Json(200, "", "garbage".to_owned()), || Answer::Hang];
    for fails in silent {
        world.gate.up.behave(move |seen| if seen.rpc() == "tools/list" { fails() } else { modern(seen) });
        refused(&world, "unconfirmed", world.call("up__write", ARGUMENTS).await).await;
    }
    world.gate.up.behave(|seen| listed(seen, &tools()));
    assert!(did(&world.call("up__write", ARGUMENTS).await), "nothing of it was used up");
    let request = world.asked("up__write", ARGUMENTS).await;
    world.approve(&request).await;
    let mut changed = tools();
    let write = changed.as_array_mut().unwrap().iter_mut().find(|tool| tool["name"] == "write").unwrap();
    write["description"] = json!("now it does something else");
    world.gate.up.behave(move |seen| listed(seen, &changed));
    let told = world.call("up__write", ARGUMENTS).await;
    assert_eq!(denial(&told)["reason"], "approval_required", "{}", told.whole());
    assert_eq!(world.ran(), 1, "changed behind a hint");
}

/// A good answer; lists hold for an hour, by the server's word.
pub(super) fn listed(seen: &Seen, tools: &Value) -> Answer {
    match modern_with(seen, tools) {
        Answer::Json(status, head, body) if seen.rpc() == "tools/list" => {
            let mut body: Value = serde_json::from_str(&body).unwrap();
            (body["result"]["ttlMs"], body["result"]["cacheScope"]) = (json!(3_600_000), json!("private"));
            Answer::Json(status, head, body.to_string())
        }
        other => other,
    }
}

/// Puts another server behind the name `up`.
pub(super) async fn moved(world: &World) -> Peer {
    let other = Peer::start(modern).await;
    let config = std::fs::read_to_string(world.gate.dir.path().join("portcullis.yaml")).unwrap();
    let moved = config.replace(&world.gate.up.addr.to_string(), &other.addr.to_string());
    // With the same reload a route appears, by which it is seen.
    let moved = moved.replace("routes:\n", "routes:\n  - { path: /moved, upstreams: [up] }\n");
    world.gate.reload("portcullis.yaml", &moved);
    let seen = async {
        while world.gate.reach.send(&world.gate.modern("/moved", &world.alice, "tools/list", "")).await.status == 404 {}
    };
    tokio::time::timeout(SOON, seen).await.unwrap();
    other
}

/// The name of a server is not the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_server_is() {
    let world = approved().await;
    let other = moved(&world).await;
    let told = world.call("up__write", ARGUMENTS).await;
    assert_eq!(denial(&told)["reason"], "approval_required", "{}", told.whole());
    refused(&world, "server", told).await;
    assert!(other.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_the_class_and_the_gates() {
    for (what, from, to) in [
        ("another rule", "rules:\n", "rules:\n  - { id: new, effect: deny, tools: [nothing__at_all] }\n"),
        ("the class", "[\"*__write\", \"*__raised\"], class: write", "[\"*__write\", \"*__raised\"], class: read"),
        ("who approves", "from: [\"group:sre\"]", "from: [\"group:sec\"]"),
        ("the quorum", "from: [\"group:sre\"], expires", "from: [\"group:sre\"], quorum: 2, expires"),
        ("the time", "from: [\"group:sre\"], expires: 5m", "from: [\"group:sre\"], expires: 6m"),
        ("the rule's name", "id: gated", "id: gated-anew"),
    ] {
        let world = approved().await;
        let waits = world.asked("up__write", "{}").await;
        let before = world.gate.running().policy().digest().clone();
        let changed = RULES.replace(from, to);
        assert_ne!(changed, RULES, "{what}");
        world.gate.reload("policy.yaml", &changed);
        soon("the reload", || *world.gate.running().policy().digest() != before).await;
        let now = world.gate.running().policy();
        assert!(waits.is_void(now.digest()), "{what}");
        assert_eq!(world.vote(&waits, "sven", &["sre", "sec"], true).await, Err(VoteError::Void), "{what}");
        assert_eq!(world.desk().may_decide(&waits, &person("sven", &["sre"]), &now), Err(VoteError::Void), "{what}");
        let told = world.call("up__write", ARGUMENTS).await;
        assert_eq!(denial(&told)["reason"], "approval_required", "{what}: {}", told.whole());
        refused(&world, what, told).await;
    }
}
