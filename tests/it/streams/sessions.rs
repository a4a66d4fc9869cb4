//! The stream that a session opens by GET.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Feed, PUBLIC, fed, get, method, streamed};
use crate::gate::{Files, Gate, soon};
use crate::peer::{Answer, Seen, legacy};
use crate::wire::Req;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_opens_one_stream_of_its_own() {
    let (gate, up, old) = fed(|_| {}).await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let revision = "2025-11-25";
    let session = gate.session("/mcp", &alice, revision).await;
    let good = get(&gate, "/mcp", &alice, &session);
    for (what, request, status) in [
        ("no session", good.clone().without("Mcp-Session-Id"), 400),
        ("unknown", good.clone().set("Mcp-Session-Id", "x"), 404),
        ("another's", get(&gate, "/mcp", &bob, &session), 404),
        ("another route", get(&gate, "/legacy", &alice, &session), 404),
        ("a route without sessions", get(&gate, "/new", &alice, &session), 405),
        ("no credential", good.clone().without("Authorization"), 401),
        ("another revision", good.clone().add("MCP-Protocol-Version", "2025-06-18"), 400),
        ("a newer revision", good.clone().add("MCP-Protocol-Version", "2026-07-28"), 400),
        ("no stream taken", good.clone().set("Accept", "application/json"), 406),
        ("no event of ours", good.clone().add("Last-Event-ID", "7"), 405),
        ("content", good.clone().body("x"), 400),
        ("a query", Req { target: "/mcp?x".into(), ..good.clone() }, 400),
        ("another origin", good.clone().add("Origin", "https://evil.example"), 403),
        ("another host", good.clone().set("Host", "evil.example"), 403),
    ] {
        let answer = gate.reach.send(&request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.whole());
    }
    let mut first = streamed(&gate, &good).await;
    let priming = first.event().await.unwrap();
    assert!(priming.id.is_some() && priming.data.is_empty(), "{priming:?}");
    soon("both are watched", || up.streams() == 1 && old.streams() == 1).await;
    old.list_changed("tools");
    let changed = first.event().await.unwrap();
    assert_eq!(changed.json(), json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    assert!(changed.id.is_some() && changed.id != priming.id);
    // Resources that the session subscribed to, at upstreams of either era.
    let subscribe = |word: &str, uri: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":3,"method":"resources/{word}","params":{{"uri":"{uri}"}}}}"#);
        gate.legacy("/mcp", &alice, revision, &session, &body)
    };
    for (uri, code) in [
        ("up+file:///srv/public/a.txt", 0),
        ("old+file:///srv/public/b", 0),
        ("up+file:///etc/shadow", -32002),
        ("nobody+a:b", -32002),
    ] {
        let answer = gate.reach.send(&subscribe("subscribe", uri)).await;
        assert_eq!((answer.status, answer.code()), (200, code), "{uri}: {}", answer.whole());
    }
    let told = |peer: &crate::peer::Peer, rpc: &str, text: &str| {
        peer.seen().iter().any(|seen| seen.rpc() == rpc && seen.body.contains(text))
    };
    // Else what happens next would be heard by nobody.
    assert!(told(&gate.up, "subscriptions/listen", PUBLIC), "it is answered when it is heard of");
    assert!(told(&gate.old, "resources/subscribe", "file:///srv/public/b"), "it is answered when it is heard of");
    soon("one watch each", || up.streams() == 1).await;
    let mut updated = async |feed: &Feed, uri: &str, public: &str| {
        feed.updated(uri);
        loop {
            let said = first.event().await.unwrap().json();
            if said["method"] == "notifications/resources/updated" && said["params"]["uri"] == public {
                break;
            }
            assert_ne!(said["params"]["uri"], "up+file:///etc/shadow");
        }
    };
    updated(&up, PUBLIC, "up+file:///srv/public/a.txt").await;
    updated(&old, "file:///srv/public/b", "old+file:///srv/public/b").await;
    assert_eq!(gate.reach.send(&subscribe("unsubscribe", "old+file:///srv/public/b")).await.json()["result"], json!({}));
    soon("it is unsubscribed from", || told(&gate.old, "resources/unsubscribe", "file:///srv/public/b")).await;
    // Another takes the place of the first, and the end of the session ends it.
    let mut second = streamed(&gate, &good.clone().add("Last-Event-ID", priming.id.as_deref().unwrap())).await;
    while first.event().await.is_some() {}
    assert!(second.event().await.unwrap().data.is_empty());
    let mut announced = Vec::new();
    while announced.len() < 4 {
        announced.push(method(&second.event().await.unwrap()));
    }
    for expected in ["tools/list_changed", "prompts/list_changed", "resources/list_changed", "resources/updated"] {
        assert!(announced.contains(&format!("notifications/{expected}")), "it may have missed anything: {announced:?}");
    }
    let end = Req { verb: "DELETE".into(), ..good.clone() };
    assert_eq!(gate.reach.send(&end).await.status, 204);
    while second.event().await.is_some() {}
    assert_eq!(gate.reach.send(&good).await.status, 404);
}

/// Upstreams and calls have more time than a test takes.
fn patient(files: &mut Files) {
    files.config = files.config.replace("timeout: 9s }", "timeout: 60s }").replace("call_timeout: 10s", "call_timeout: 60s");
}

fn listened(gate: &Gate) -> Vec<Seen> {
    gate.up.seen().into_iter().filter(|seen| seen.rpc() == "subscriptions/listen").collect()
}

/// The watch that is open is listened to until the one in its place is, however often the session wants to hear of more meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_another_watch_is_opened() {
    let (gate, up, _) = fed(patient).await;
    let (token, revision) = (gate.token("alice", &["eng"]), "2025-11-25");
    let session = gate.session("/bare", &token, revision).await;
    let mut conn = streamed(&gate, &get(&gate, "/bare", &token, &session)).await;
    assert!(conn.event().await.unwrap().data.is_empty());
    soon("the watch", || up.streams() == 1).await;
    // From now on a watch is acknowledged when the test says so.
    let (held, released) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (hold, open, quick) = (held.clone(), released.clone(), up.modern());
    gate.up.behave(move |seen| match seen.rpc().as_str() {
        "subscriptions/listen" if !open.load(Ordering::SeqCst) => Answer::Once(hold.clone(), Box::new(quick(seen))),
        _ => quick(seen),
    });
    let uri = |n: usize| format!("file:///srv/public/{n}");
    let mut subscribing = Vec::new();
    for n in 0..4 {
        let body = json!({"jsonrpc": "2.0", "id": 3 + n, "method": "resources/subscribe", "params": {"uri": uri(n)}});
        let (reach, request) = (gate.reach.clone(), gate.legacy("/bare", &token, revision, &session, &body.to_string()));
        subscribing.push(tokio::spawn(async move { reach.send(&request).await }));
        soon("another watch is asked for", || listened(&gate).len() > 1).await;
        up.list_changed("tools");
        assert_eq!(method(&conn.event().await.unwrap()), "notifications/tools/list_changed", "after {n} others");
    }
    for answer in subscribing {
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.code()), (200, 0), "nobody waits for ever: {}", answer.whole());
    }
    released.store(true, Ordering::SeqCst);
    held.notify_one();
    let wanted = || listened(&gate).pop().unwrap().json()["params"]["notifications"]["resourceSubscriptions"].to_string();
    soon("all of it is watched", || (0..4).all(|n| wanted().contains(&uri(n)))).await;
    soon("the watches before it end", || up.streams() == 1).await;
    assert_eq!(listened(&gate).len(), 3, "one for all that was wanted while another was opened");
    up.updated(&uri(3));
    while conn.event().await.unwrap().json()["params"]["uri"] != uri(3) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_ends_with_its_session() {
    let gate = Gate::with(patient).await;
    let (token, revision) = (gate.token("alice", &["eng"]), "2025-06-18");
    gate.old.behave(|seen| if seen.rpc() == "tools/call" { Answer::Hang } else { legacy(seen) });
    let (ends, stays) = (gate.session("/legacy", &token, revision).await, gate.session("/legacy", &token, revision).await);
    let call = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
    let mut conns = Vec::new();
    for session in [&ends, &stays] {
        let mut conn = gate.reach.open().await;
        conn.write(&gate.legacy("/legacy", &token, revision, session, call).bytes()).await;
        conns.push(conn);
    }
    soon("both calls", || gate.old.calls().len() == 2).await;
    let end = Req { verb: "DELETE".into(), ..get(&gate, "/legacy", &token, &ends) };
    assert_eq!(gate.reach.send(&end).await.status, 204);
    let outcomes = || {
        let calls = gate.records().into_iter().filter(|record| record["method"] == "tools/call");
        calls.map(|record| record["outcome"]["status"].clone()).collect::<Vec<Value>>()
    };
    soon("the record", || outcomes() == [json!("cancelled")]).await;
    let taken_back = || gate.old.seen().iter().filter(|seen| seen.rpc() == "notifications/cancelled").count();
    soon("the upstream is told", || taken_back() == 1).await;
}
