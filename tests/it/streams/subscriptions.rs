//! What a subscription (2026-07-28) promises, and that it is told.

use serde_json::{Value, json};

use super::{PUBLIC, TOOLS, acknowledged, fed, listen, method, streamed};
use crate::gate::soon;
use crate::peer::{Seen, legacy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_acknowledged_first_and_tells_what_may_be_told() {
    let (gate, up, old) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let uris = r#"["up+file:///srv/public/a.txt","up+file:///etc/shadow","nobody+a:b","old+file:///srv/public/b","up+file:///srv/public/../x","a:b"]"#;
    let filter = format!(r#"{TOOLS},"promptsListChanged":false,"resourceSubscriptions":{uris},"x":1"#);
    let request = listen(&gate, "/mcp", &token, &filter).edit("\"id\":7", "\"id\":\"seven\"");
    let mut conn = streamed(&gate, &request).await;
    let honoured = acknowledged(&mut conn).await;
    let told =
        json!({"toolsListChanged": true, "resourceSubscriptions": ["up+file:///srv/public/a.txt", "old+file:///srv/public/b"]});
    assert_eq!(honoured, told);
    soon("both upstreams are watched", || up.streams() == 1 && old.streams() == 1).await;
    let asked = |peer: &crate::peer::Peer, rpc: &str| {
        peer.seen().iter().filter(|seen| seen.rpc() == rpc).map(Seen::json).collect::<Vec<Value>>()
    };
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": [PUBLIC]});
    assert_eq!(asked(&gate.up, "subscriptions/listen")[0]["params"]["notifications"], wanted);
    soon("the subscription", || !asked(&gate.old, "resources/subscribe").is_empty()).await;
    assert_eq!(asked(&gate.old, "resources/subscribe")[0]["params"]["uri"], "file:///srv/public/b");
    // What was not asked for, and what may not be read, is not told.
    up.list_changed("prompts");
    up.updated("file:///etc/shadow");
    up.updated("file:///srv/public/../../etc/shadow");
    old.list_changed("resources");
    up.list_changed("tools");
    let mut heard = vec![conn.event().await.unwrap()];
    assert_eq!(method(&heard[0]), "notifications/tools/list_changed");
    up.updated(PUBLIC);
    heard.push(conn.event().await.unwrap());
    assert_eq!(heard[1].json()["params"]["uri"], "up+file:///srv/public/a.txt");
    up.updated("file:///srv/public/a.txt#part");
    heard.push(conn.event().await.unwrap());
    assert_eq!(heard[2].json()["params"]["uri"], "up+file:///srv/public/a.txt#part");
    old.updated("file:///srv/public/b");
    heard.push(conn.event().await.unwrap());
    assert_eq!(heard[3].json()["params"]["uri"], "old+file:///srv/public/b");
    for event in &heard {
        let meta = &event.json()["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!((meta, &event.id), (&json!("seven"), &None), "{event:?}");
    }
    drop(conn);
    soon("the end of the watches", || up.streams() == 0).await;
    soon("the record", || gate.records().iter().any(|r| r["method"] == "subscriptions/listen")).await;
    let record = gate.records().into_iter().find(|r| r["method"] == "subscriptions/listen").unwrap();
    assert_eq!((&record["outcome"]["status"], &record["decision"]["effect"]), (&json!("cancelled"), &json!("allow")));
}

/// Events of other types than `message` are for others (HTML Living Standard, 9.2.6).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_does_not_end_what_upstreams_announce() {
    let (gate, up, old) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let mut conn = streamed(&gate, &listen(&gate, "/mcp", &token, TOOLS)).await;
    acknowledged(&mut conn).await;
    soon("both upstreams are watched", || up.streams() == 1 && old.streams() == 1).await;
    let opened = || {
        gate.up
            .seen()
            .iter()
            .chain(&gate.old.seen())
            .filter(|seen| seen.rpc().is_empty() || seen.rpc().contains("listen"))
            .count()
    };
    let before = opened();
    for feed in [&up, &old] {
        feed.noise("event: ping\ndata: now\n\nevent: heartbeat\nid: 9\ndata: {\n\n");
        feed.list_changed("tools");
        assert_eq!(method(&conn.event().await.unwrap()), "notifications/tools/list_changed");
    }
    assert_eq!((opened(), up.streams(), old.streams()), (before, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_changed_is_read_anew_by_whoever_was_told() {
    let (gate, up, _) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let reads = || gate.up.seen().iter().filter(|seen| seen.rpc() == "tools/list").count();
    let list = gate.modern("/bare", &token, "tools/list", "");
    for _ in 0..2 {
        assert_eq!(gate.reach.send(&list).await.status, 200);
    }
    assert_eq!(reads(), 1, "the upstream says that it holds");
    let mut conn = streamed(&gate, &listen(&gate, "/bare", &token, TOOLS)).await;
    assert_eq!(acknowledged(&mut conn).await, json!({"toolsListChanged": true}));
    soon("the watch", || up.streams() == 1).await;
    for _ in 0..20 {
        up.list_changed("tools");
    }
    assert_eq!(method(&conn.event().await.unwrap()), "notifications/tools/list_changed");
    assert_eq!(gate.reach.send(&list).await.status, 200);
    assert!(reads() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_promised_is_declared() {
    let (gate, ..) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let discovered = gate.reach.send(&gate.modern("/mcp", &token, "server/discover", "")).await.json();
    let opened = gate.reach.send(&gate.initialize("/mcp", &token, "2025-06-18")).await.json();
    for capabilities in [&discovered["result"]["capabilities"], &opened["result"]["capabilities"]] {
        assert_eq!(capabilities["tools"], json!({"listChanged": true}), "{capabilities}");
        assert_eq!(capabilities["resources"], json!({"listChanged": true, "subscribe": true}), "{capabilities}");
    }
    // An upstream that cannot tell of updates is not subscribed to.
    gate.old.behave(legacy);
    let token = gate.token("carol", &["eng"]);
    let session = gate.session("/legacy", &token, "2025-11-25").await;
    let body = format!(r#"{{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{{"uri":"{PUBLIC}"}}}}"#);
    let refused = gate.reach.send(&gate.legacy("/legacy", &token, "2025-11-25", &session, &body)).await;
    assert_eq!((refused.status, refused.code()), (200, -32601), "{}", refused.whole());
}
