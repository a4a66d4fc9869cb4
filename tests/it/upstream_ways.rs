//! Servers as they are met: how each wants to be spoken to is found out, and found out anew when it changes.

use serde_json::{Value, json};

use crate::gate::Gate;
use crate::peer::{Answer, Seen, legacy, modern};

/// A refusal of 2025-11-25 and older, under an id that is not the request's.
fn refused(status: u16, id: &Value, code: i64) -> Answer {
    let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "Bad Request"}});
    Answer::Json(status, "", error.to_string())
}

async fn called(gate: &Gate, tool: &str) -> Value {
    gate.reach.send(&gate.call("/mcp", &gate.token("alice", &["eng"]), tool, "{}")).await.json()["result"].clone()
}

fn did(result: &Value) -> bool {
    result["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("did"))
}

/// Refuses what stands in no session it knows, as servers do that read no id before they refuse.
fn strict(seen: &Seen, session: &str, refusal: impl Fn() -> Answer) -> Answer {
    match (seen.rpc().as_str(), seen.header("mcp-session-id")) {
        ("initialize", None) => match legacy(seen) {
            Answer::Json(status, _, body) => {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nmcp-session-id: {session}\r\n");
                Answer::Raw(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
            }
            other => other,
        },
        (_, Some(named)) if named == session => legacy(seen),
        _ => refusal(),
    }
}

#[tokio::test]
async fn a_refusal_under_a_foreign_id_is_about_what_was_asked() {
    // As the SDKs for Python, C# and TypeScript write it.
    for id in [json!("server-error"), json!(""), Value::Null, json!(424_242)] {
        let gate = Gate::start().await;
        let named = id.clone();
        gate.old.behave(move |seen| strict(seen, "one", || refused(400, &named, -32_600)));
        assert!(did(&called(&gate, "old__echo").await), "{id}: {:?}", gate.old.seen());
        // The session is lost, and said to be.
        let named = id.clone();
        gate.old.behave(move |seen| strict(seen, "two", || refused(404, &named, -32_600)));
        assert!(did(&called(&gate, "old__echo").await), "{id}: {:?}", gate.old.seen());
    }
    // One that only servers without sessions send says the same under any id.
    for id in [json!("server-error"), Value::Null] {
        let gate = Gate::start().await;
        gate.old.behave(move |_| refused(400, &id, -32_020));
        assert!(!did(&called(&gate, "old__echo").await));
        assert!(gate.old.seen().iter().all(|seen| seen.rpc() == "server/discover"), "{:?}", gate.old.seen());
    }
}

#[tokio::test]
async fn events_of_other_types_are_no_messages() {
    let gate = Gate::start().await;
    let noisy = |seen: &Seen, good: fn(&Seen) -> Answer| match (seen.rpc().as_str(), good(seen)) {
        ("tools/call", Answer::Json(_, _, body)) => Answer::Raw(
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
                 event: ping\ndata: now\n\nevent: heartbeat\nid: 7\ndata: {{\n\nevent: endpoint\ndata: {body}\n\n\
                 event:\ndata: {}\n\n",
                body.replace("did", "did so")
            )
            .into_bytes(),
        ),
        (_, answer) => answer,
    };
    gate.up.behave(move |seen| noisy(seen, modern));
    gate.old.behave(move |seen| noisy(seen, legacy));
    for tool in ["up__echo", "old__echo"] {
        let result = called(&gate, tool).await;
        assert_eq!(result["content"][0]["text"], "did so \"echo\"", "{tool}: {result}");
    }
}
