//! A legacy session belongs to one principal on one route until it is over, and is no credential (2025-03-26 to 2025-11-25).

use std::collections::BTreeSet;

use serde_json::json;

use crate::gate::Gate;
use crate::keys::{self, ED, claims, header, now_s};
use crate::wire::Req;

const REVISIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
const PING: &str = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;

fn call(id: u32, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_settles_on_a_revision_with_sessions() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    for (asked, agreed) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
    ] {
        let answer = gate.reach.send(&gate.initialize("/mcp", &token, asked)).await;
        assert_eq!(
            (answer.status, &answer.json()["result"]["protocolVersion"]),
            (200, &json!(agreed)),
            "{asked}: {}",
            answer.whole()
        );
        let id = answer.header("mcp-session-id").unwrap();
        assert!(id.len() >= 32 && id.bytes().all(|b| (0x21..=0x7e).contains(&b)), "{id}");
    }
    let mut ids = BTreeSet::new();
    for revision in REVISIONS {
        let session = gate.session("/mcp", &token, revision).await;
        let list = gate
            .reach
            .send(&gate.legacy("/mcp", &token, revision, &session, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#))
            .await;
        assert!(list.text().contains("up__echo") && list.text().contains("old__echo"), "{}", list.whole());
        assert!(!list.text().contains("resultType"), "{}", list.whole());
        for tool in ["up__echo", "old__echo"] {
            let answer = gate.reach.send(&gate.legacy("/mcp", &token, revision, &session, &call(2, tool))).await;
            assert!(answer.status == 200 && answer.text().contains("did"), "{revision} {tool}: {}", answer.whole());
            assert!(
                !answer.whole().contains("upstream-session-canary")
                    && answer.header("mcp-session-id").is_none_or(|id| id == session)
            );
        }
        let seen = gate.seen();
        let pong = gate.reach.send(&gate.legacy("/mcp", &token, revision, &session, PING)).await;
        assert_eq!((pong.json(), gate.seen()), (json!({"jsonrpc": "2.0", "id": "p", "result": {}}), seen));
        ids.insert(session);
    }
    assert_eq!(ids.len(), 3);
    // A stateless client's requests make no session, whatever id they carry.
    let modern = gate.call("/mcp", &token, "up__echo", "{}").add("Mcp-Session-Id", "whatever");
    let answer = gate.reach.send(&modern).await;
    assert_eq!((answer.status, answer.header("mcp-session-id")), (200, None), "{}", answer.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_its_owners_alone() {
    let gate = Gate::start().await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let revision = "2025-11-25";
    let session = gate.session("/mcp", &alice, revision).await;
    let bobs = gate.session("/mcp", &bob, revision).await;
    let on = |route: &str, token: &str, session: &str| gate.legacy(route, token, revision, session, &call(1, "old__echo"));
    let tampered = |at: usize| {
        let mut bytes = session.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let mut rows: Vec<(String, Req, u16)> = vec![
        ("another's".into(), on("/mcp", &bob, &session), 404),
        ("the other way".into(), on("/mcp", &alice, &bobs), 404),
        ("another route".into(), on("/legacy", &alice, &session), 404),
        ("garbage".into(), on("/mcp", &alice, "garbage"), 404),
        ("empty".into(), on("/mcp", &alice, ""), 404),
        ("an upstream's own".into(), on("/mcp", &alice, "upstream-session-canary"), 404),
        ("longer".into(), on("/mcp", &alice, &format!("{session}A")), 404),
        ("shorter".into(), on("/mcp", &alice, &session[1..]), 404),
        ("two".into(), on("/mcp", &alice, &session).add("Mcp-Session-Id", &bobs), 400),
        ("not plain".into(), on("/mcp", &alice, "caf\u{e9}"), 400),
        ("two headers".into(), on("/mcp", &alice, &session).add("MCP-Protocol-Version", "2025-06-18"), 400),
        ("a list".into(), on("/mcp", &alice, &format!("{session}, {bobs}")), 404),
        ("none".into(), on("/mcp", &alice, "x").without("Mcp-Session-Id"), 400),
        ("without a token".into(), on("/mcp", &alice, &session).without("Authorization"), 401),
        ("older header".into(), on("/mcp", &alice, &session).set("MCP-Protocol-Version", "2025-06-18"), 400),
        ("oldest header".into(), on("/mcp", &alice, &session).set("MCP-Protocol-Version", "2025-03-26"), 400),
        ("unknown header".into(), on("/mcp", &alice, &session).set("MCP-Protocol-Version", "1999-01-01"), 400),
        ("newer header".into(), on("/mcp", &alice, &session).set("MCP-Protocol-Version", "2026-07-28"), 400),
    ];
    for at in [0, 1, session.len() / 2, session.len() - 2] {
        rows.push((format!("changed at {at}"), on("/mcp", &alice, &tampered(at)), 404));
    }
    for (what, request, status) in rows {
        let seen = gate.seen();
        let answer = gate.reach.send(&request).await;
        assert_eq!((answer.status, gate.seen()), (status, seen), "{what}: {}", answer.whole());
        assert!(!(-32099..=-32000).contains(&answer.code()) || what == "newer header", "{what}: {}", answer.whole());
    }
    // A refreshed token is the same principal: nothing of its bytes is in the session.
    let later = keys::claims(&json!([gate.url("/mcp")]), "alice", &["eng"]);
    let mut later = later;
    later["exp"] = json!(now_s() + 900);
    later["jti"] = json!("another");
    let refreshed = ED.token(&header(), &later);
    let answer = gate.reach.send(&on("/mcp", &refreshed, &session)).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
    // The same name at another issuer, or nobody's, is not.
    let other = ED.token(&header(), &claims(&json!(gate.url("/mcp")), "Alice", &["eng"]));
    assert_eq!(gate.reach.send(&on("/mcp", &other, &session)).await.status, 404);
    let initialized = |peer: &crate::peer::Peer| peer.seen().iter().filter(|seen| seen.rpc() == "initialize").count();
    assert_eq!(initialized(&gate.old), 2, "each principal has a session of its own behind the gateway");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ended_stays_ended() {
    let gate = Gate::start().await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let session = gate.session("/mcp", &alice, "2025-06-18").await;
    let end =
        |token: &str| Req::new("DELETE", "/mcp").add("Host", &gate.authority()).add("Authorization", &format!("Bearer {token}"));
    let ping = gate.legacy("/mcp", &alice, "2025-06-18", &session, PING);
    let good = end(&alice).add("Mcp-Session-Id", &session);
    let of = |version: &str| good.clone().add("MCP-Protocol-Version", version);
    for (request, status) in [
        (end(&bob).add("Mcp-Session-Id", &session), 404),
        (end(&alice), 400),
        (end(&alice).add("Mcp-Session-Id", "x"), 404),
        (end("x").add("Mcp-Session-Id", &session), 401),
        (of("2025-11-25"), 400),
        (of("2025-03-26"), 400),
        (of("2026-07-28"), 400),
        (of("1999-01-01"), 400),
        (of(""), 400),
        (of("2025-06-18").add("MCP-Protocol-Version", "2025-06-18"), 400),
        (Req { target: "/mcp?x".into(), ..good.clone() }, 400),
        (good.clone().body("x"), 400),
        (ping.clone(), 200),
        (of("2025-06-18"), 204),
        (ping, 404),
        (good, 404),
    ] {
        let answer = gate.reach.send(&request).await;
        assert_eq!(answer.status, status, "{}", answer.whole());
    }
}

/// What a connection remembers of its last request opens nothing to the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_several_share_keeps_their_sessions_apart() {
    let gate = Gate::start().await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let revision = "2025-11-25";
    let session = gate.session("/mcp", &alice, revision).await;
    let bobs = gate.session("/mcp", &bob, revision).await;
    let on = |route: &str, token: &str, session: &str| gate.legacy(route, token, revision, session, PING);
    let end = Req::new("DELETE", "/mcp").add("Host", &gate.authority()).add("Authorization", &format!("Bearer {alice}"));
    let mut conn = gate.reach.open().await;
    for (at, (request, status)) in [
        (on("/mcp", &alice, &session), 200),
        (on("/mcp", &alice, &session), 200),
        (on("/mcp", &bob, &session), 404),
        (on("/legacy", &alice, &session), 404),
        (on("/mcp", &alice, &session[1..]), 404),
        (on("/mcp", &bob, &bobs), 200),
        (on("/mcp", &alice, &bobs), 404),
        (on("/mcp", &alice, &session), 200),
        (end.add("Mcp-Session-Id", &session), 204),
        (on("/mcp", &alice, &session), 404),
        (on("/mcp", &bob, &bobs), 200),
    ]
    .into_iter()
    .enumerate()
    {
        conn.write(&request.bytes()).await;
        let answer = conn.response().await;
        assert_eq!(answer.status, status, "{at}: {}", answer.whole());
    }
}
