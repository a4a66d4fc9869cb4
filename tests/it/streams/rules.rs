//! Streams under rules and credentials that change meanwhile.

use serde_json::{Value, json};

use super::{Feed, PUBLIC, TOOLS, acknowledged, fed, get, listen, method, streamed};
use crate::gate::{Gate, POLICY, Run, soon};
use crate::wire::Conn;

/// A subscription to tools and to a resource, and that its upstream is watched.
async fn watching() -> (Gate, Feed, Conn) {
    let (gate, up, _) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let filter = format!(r#"{TOOLS},"resourceSubscriptions":["{PUBLIC}"]"#);
    let mut conn = streamed(&gate, &listen(&gate, "/bare", &token, &filter)).await;
    acknowledged(&mut conn).await;
    soon("the watch", || up.streams() == 1).await;
    (gate, up, conn)
}

/// It hears nothing of the resource any more, even if the upstream goes on telling it.
async fn hears_of_tools_only(up: &Feed, conn: &mut Conn) {
    for _ in 0..3 {
        up.updated(PUBLIC);
        up.list_changed("tools");
        let event = conn.event().await.unwrap();
        assert_eq!(method(&event), "notifications/tools/list_changed", "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_policy_is_a_change_of_lists() {
    let (gate, up, mut conn) = watching().await;
    gate.reload("policy.yaml", &POLICY.replace("file:///srv/public/*", "file:///srv/other/*"));
    let changed = conn.event().await.unwrap();
    assert_eq!(method(&changed), "notifications/tools/list_changed");
    soon("another watch", || {
        let asked = gate.up.seen().into_iter().rfind(|seen| seen.rpc() == "subscriptions/listen").unwrap();
        asked.json()["params"]["notifications"] == json!({"toolsListChanged": true})
    })
    .await;
    // Even if the upstream goes on telling it.
    soon("the old watch ends", || up.streams() == 1).await;
    hears_of_tools_only(&up, &mut conn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_an_approval_is_not_told() {
    let (gate, up, mut conn) = watching().await;
    up.updated(PUBLIC);
    assert_eq!(method(&conn.event().await.unwrap()), "notifications/resources/updated");
    let approved = "    prompts: [\"*__greet\"]\n    require: { approval: { from: [\"group:ops\"] } }\n";
    let policy = POLICY.replace("    prompts: [\"*__greet\"]\n", approved);
    assert_ne!(policy, POLICY);
    gate.reload("policy.yaml", &policy);
    assert_eq!(method(&conn.event().await.unwrap()), "notifications/tools/list_changed");
    hears_of_tools_only(&up, &mut conn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_ends_with_its_credential_and_with_the_gateway() {
    let (gate, ..) = fed(|files| {
        let line = crate::gate::ISSUER_LINE;
        files.config = files.config.replace(line, &format!("  revocations: revoked.yaml\n{line}"));
        files.more = vec![("revoked.yaml".into(), "[]".into())];
    })
    .await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let mut cut = streamed(&gate, &listen(&gate, "/mcp", &alice, TOOLS)).await;
    let mut lasting = streamed(&gate, &listen(&gate, "/mcp", &bob, TOOLS)).await;
    let session = gate.session("/mcp", &bob, "2025-11-25").await;
    let mut push = streamed(&gate, &get(&gate, "/mcp", &bob, &session)).await;
    acknowledged(&mut cut).await;
    acknowledged(&mut lasting).await;
    assert!(push.event().await.unwrap().id.is_some());
    let end = async |conn: &mut Conn| {
        let result = json!({"jsonrpc": "2.0", "id": 7, "result": {
            "resultType": "complete",
            "_meta": {
                "io.modelcontextprotocol/subscriptionId": 7,
                "io.modelcontextprotocol/serverInfo": {"name": "portcullis", "version": env!("CARGO_PKG_VERSION")}
            }
        }});
        assert_eq!(conn.event().await.unwrap().json(), result);
        assert_eq!(conn.event().await, None);
    };
    gate.reload("revoked.yaml", "- { iss: \"https://idp.example.com\", sub: alice }\n");
    end(&mut cut).await;
    let Run::Here(running) = gate.run else { panic!("runs elsewhere") };
    let stopping = tokio::spawn(running.stop());
    end(&mut lasting).await;
    while push.event().await.is_some() {}
    drop((lasting, push));
    stopping.await.unwrap();
    let text = std::fs::read_to_string(gate.dir.path().join("data/audit/audit.jsonl")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |sub: &str, method: &str| {
        let mut of = records.iter().filter(|r| r["principal"]["sub"] == sub && r["method"] == method);
        let record = of.next().unwrap_or_else(|| panic!("no record of {sub}: {text}"));
        assert!(of.next().is_none(), "{text}");
        (record["outcome"]["status"].clone(), record["outcome"]["reason"].clone())
    };
    assert_eq!(of("alice", "subscriptions/listen"), (json!("completed"), json!("unauthenticated")));
    assert_eq!(of("bob", "subscriptions/listen"), (json!("completed"), json!("shutting_down")));
    assert_eq!(of("bob", "GET"), (json!("completed"), json!("shutting_down")));
}
