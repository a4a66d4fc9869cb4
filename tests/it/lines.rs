//! HTTP+SSE (2024-11-05), where a route serves it: a stream that says where messages go, and answers on it.

use serde_json::{Value, json};

use crate::gate::{Gate, soon};
use crate::peer::{Answer, modern};
use crate::wire::{Conn, Req};

async fn gate() -> Gate {
    Gate::with(|files| {
        files.config = files.config.replace("upstreams: [up, old] }", "upstreams: [up, old], min_version: 2024-11-05 }");
    })
    .await
}

fn get(gate: &Gate, route: &str, token: &str) -> Req {
    Req::new("GET", route)
        .add("Host", &gate.authority())
        .add("Authorization", &format!("Bearer {token}"))
        .add("Accept", "text/event-stream")
}

/// A line, and where its messages go.
async fn line(gate: &Gate, token: &str) -> (Conn, String) {
    let mut conn = gate.reach.open().await;
    conn.write(&get(gate, "/mcp", token).bytes()).await;
    let head = conn.head().await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{}", head.whole());
    assert_eq!(head.header("mcp-session-id"), None);
    let first = conn.event().await.unwrap();
    assert!(first.data.starts_with("/mcp?session=") && first.id.is_none(), "{first:?}");
    (conn, first.data)
}

fn post(gate: &Gate, to: &str, token: &str, body: &str) -> Req {
    gate.post(to, token).set("Accept", "application/json").body(body)
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;

fn call(id: u32, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_on_the_stream_that_said_where_to_ask() {
    let gate = gate().await;
    let token = gate.token("alice", &["eng"]);
    let (mut conn, to) = line(&gate, &token).await;
    let mut ask = async |body: &str| -> Value {
        let accepted = gate.reach.send(&post(&gate, &to, &token, body)).await;
        assert_eq!((accepted.status, accepted.body.len()), (202, 0), "{}", accepted.whole());
        let event = conn.event().await.unwrap();
        assert_eq!(event.id, None);
        event.json()
    };
    let opened = ask(INITIALIZE).await;
    assert_eq!((&opened["id"], &opened["result"]["protocolVersion"]), (&json!(0), &json!("2024-11-05")), "{opened}");
    assert_eq!(opened["result"]["capabilities"]["tools"], json!({"listChanged": true}));
    let listed = ask(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    assert!(listed["result"]["tools"].to_string().contains("old__echo"), "{listed}");
    for (id, tool) in [(2, "up__echo"), (3, "old__echo")] {
        let done = ask(&call(id, tool)).await;
        assert!(done["id"] == id && done["result"]["content"].to_string().contains("did"), "{done}");
    }
    assert_eq!(ask(&call(4, "up__hidden")).await["error"]["code"], -32602);
    let noted = gate.reach.send(&post(&gate, &to, &token, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)).await;
    assert_eq!(noted.status, 202);
    drop(conn);
    let records = || gate.records().into_iter().filter(|r| r["method"] == "tools/call").collect::<Vec<_>>();
    soon("a record for each", || records().len() == 3 && gate.records().iter().any(|r| r["method"] == "GET")).await;
    let reasons: Vec<Value> = records().iter().map(|r| r["decision"]["reason"].clone()).collect();
    assert_eq!(reasons, [json!("allowed"), json!("allowed"), json!("not_visible")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_its_owners_alone_and_ends_with_its_stream() {
    let gate = gate().await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let (conn, to) = line(&gate, &alice).await;
    for (what, request, status) in [
        ("another's", post(&gate, &to, &bob, &call(1, "up__echo")), 404),
        ("no credential", post(&gate, &to, &alice, &call(1, "up__echo")).without("Authorization"), 401),
        ("unknown", post(&gate, "/mcp?session=x", &alice, &call(1, "up__echo")), 404),
        ("more than a name", post(&gate, &format!("{to}&x=1"), &alice, &call(1, "up__echo")), 404),
        ("another query", post(&gate, "/mcp?x=1", &alice, &call(1, "up__echo")), 400),
        ("another route", post(&gate, &to.replace("/mcp", "/bare"), &alice, &call(1, "echo")), 400),
        ("a session beside it", post(&gate, &to, &alice, &call(1, "up__echo")).add("Mcp-Session-Id", "x"), 400),
        ("another origin", post(&gate, &to, &alice, &call(1, "up__echo")).add("Origin", "https://evil.example"), 403),
        ("a route without lines", get(&gate, "/bare", &alice), 400),
        ("no credential for the stream", get(&gate, "/mcp", &alice).without("Authorization"), 401),
        ("no stream taken", get(&gate, "/mcp", &alice).set("Accept", "application/json"), 406),
    ] {
        let answer = gate.reach.send(&request).await;
        assert_eq!((answer.status, gate.up.calls().len()), (status, 0), "{what}: {}", answer.whole());
    }
    let name = to.split_once('=').unwrap().1.to_owned();
    drop(conn);
    soon("the record of the stream", || {
        gate.records().iter().any(|r| r["method"] == "GET" && r["outcome"]["status"] == "cancelled")
    })
    .await;
    for request in
        [post(&gate, &to, &alice, &call(1, "up__echo")), gate.legacy("/mcp", &alice, "2024-11-05", &name, &call(1, "up__echo"))]
    {
        let answer = gate.reach.send(&request).await;
        assert_eq!(answer.status, 404, "{}", answer.whole());
    }
}

/// Whoever does not wait for answers gets no more of them made, and takes nothing from others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_has_a_bound_of_its_own() {
    let gate = gate().await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let (_conn, to) = line(&gate, &alice).await;
    gate.up.behave(|seen| if seen.rpc() == "tools/call" { Answer::Hang } else { modern(seen) });
    let mut statuses = Vec::new();
    for id in 0..40 {
        statuses.push(gate.reach.send(&post(&gate, &to, &alice, &call(id, "up__echo"))).await.status);
    }
    let taken = statuses.iter().filter(|status| **status == 202).count();
    assert_eq!((taken, &statuses[taken..]), (portcullis::vocab::limits::LINE_CALLS_MAX, vec![429; 40 - taken].as_slice()));
    let (mut other, to) = line(&gate, &bob).await;
    assert_eq!(gate.reach.send(&post(&gate, &to, &bob, INITIALIZE)).await.status, 202);
    assert_eq!(other.event().await.unwrap().json()["id"], 0);
}
