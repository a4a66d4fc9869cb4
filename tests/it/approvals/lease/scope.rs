//! Who and what a lease is for: with any part of it changed, people are asked.

use super::*;

/// The call waits for an approval of its own, and nothing ran.
fn asks(world: &World, what: &str, lease: &Request, answer: &Resp) -> Arc<Request> {
    assert_eq!(denial(answer)["reason"], "approval_required", "{what}: {}", answer.whole());
    let asked = world.pending(answer);
    assert_eq!((asked.id != lease.id, asked.state, world.ran()), (true, State::Pending, 0), "{what}");
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_caller_route_server_or_tool_asks() {
    let world = World::start().await;
    let lease = world.leased(9, Some(UNDER)).await;
    let audience = json!([world.gate.url("/mcp"), world.gate.url("/bare")]);
    let claims = keys::claims(&audience, "alice", &["eng"]);
    let token = |member: &str, value: Value| {
        let mut claims = claims.clone();
        claims[member] = value;
        keys::ED.token(&keys::header(), &claims)
    };
    let call = |token: &str, route: &str, tool: &str| world.gate.call(route, token, tool, SIMILAR);
    for (what, request) in [
        ("person", call(&token("sub", json!("bob")), "/mcp", "up__write")),
        ("issuer's spelling", call(&token("sub", json!("Alice")), "/mcp", "up__write")),
        ("client", call(&token("client_id", json!("https://other.example/client")), "/mcp", "up__write")),
        ("actor", call(&token("act", json!({"sub": "robot"})), "/mcp", "up__write")),
        ("route", call(&world.alice, "/bare", "write")),
        ("upstream", call(&world.alice, "/mcp", "old__write")),
        ("tool", call(&world.alice, "/mcp", "up__limited")),
        ("rule", call(&world.alice, "/mcp", "up__delete")),
    ] {
        asks(&world, what, &lease, &world.gate.reach.send(&request).await);
    }
    assert!(did(&world.call("up__write", SIMILAR).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_of_the_same_name_asks() {
    let world = World::start().await;
    let lease = world.leased(9, Some(UNDER)).await;
    let before = world.gate.running().policy().digest().clone();
    let other = moved(&world).await;
    asks(&world, "server", &lease, &world.call("up__write", SIMILAR).await);
    assert!(other.calls().is_empty());
    assert_eq!(*world.gate.running().policy().digest(), before, "it was the server that made the difference");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_definition_asks() {
    let world = World::start().await;
    let lease = world.leased(9, Some(UNDER)).await;
    let mut changed = tools();
    let write = changed.as_array_mut().unwrap().iter_mut().find(|tool| tool["name"] == "write").unwrap();
    write["description"] = json!("now it does something else");
    world.gate.up.behave(move |seen| modern_with(seen, &changed));
    // What is known of the list is read again once the call could run under the lease; then it is another call.
    assert_eq!(denial(&world.call("up__write", SIMILAR).await)["reason"], "approval_required");
    assert_eq!(world.ran(), 0);
    let anew = asks(&world, "definition", &lease, &world.call("up__write", SIMILAR).await);
    assert_eq!(world.used(&lease), (State::Approved, 0));
    // The new tool can have a lease of its own.
    world.lease(&anew, "sven", &["sre"], &terms(1, 1, None)).await.unwrap();
    assert!(did(&world.call("up__write", SIMILAR).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_policy_class_or_gate_asks() {
    for (what, from, to) in [
        ("another rule", "rules:\n", "rules:\n  - { id: new, effect: deny, tools: [nothing__at_all] }\n"),
        ("the class", "[\"*__write\", \"*__raised\"], class: write", "[\"*__write\", \"*__raised\"], class: read"),
        ("who approves", "from: [\"group:sre\"]", "from: [\"group:sec\"]"),
        ("the rule's name", "id: gated", "id: gated-anew"),
    ] {
        let world = World::start().await;
        let lease = world.leased(9, Some(UNDER)).await;
        let before = world.gate.running().policy().digest().clone();
        world.gate.reload("policy.yaml", &RULES.replace(from, to));
        soon("the reload", || *world.gate.running().policy().digest() != before).await;
        asks(&world, what, &lease, &world.call("up__write", SIMILAR).await);
        assert!(world.desk().get(&lease.id).unwrap().is_void(world.gate.running().policy().digest()), "{what}");
    }
}
