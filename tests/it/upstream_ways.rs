//! Servers as they are met: how each wants to be spoken to is found out, and found out anew when it changes.

use serde_json::{Value, json};

use crate::gate::Gate;
use crate::peer::{Answer, Seen, legacy, modern};

/// A refusal of 2025-11-25 and older, under an id that is not the request's.
pub(crate) fn refused(status: u16, id: &Value, code: i64) -> Answer {
    let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "Bad Request"}});
    Answer::Json(status, "", error.to_string())
}

pub(crate) async fn called(gate: &Gate, tool: &str) -> Value {
    gate.reach.send(&gate.call("/mcp", &gate.token("alice", &["eng"]), tool, "{}")).await.json()["result"].clone()
}

pub(crate) fn did(result: &Value) -> bool {
    result["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("did"))
}

/// Refuses what stands in no session it knows, as servers do that read no id before they refuse.
pub(crate) fn strict(seen: &Seen, session: &str, refusal: impl Fn() -> Answer) -> Answer {
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

type Refusal = fn() -> Answer;

/// How servers refuse a session that they do not know, with 400.
fn refusals() -> Vec<(&'static str, Refusal)> {
    vec![
        ("no id", || refused(400, &Value::Null, -32_000)),
        ("a foreign id", || refused(400, &json!("server-error"), -32_600)),
        ("words", || Answer::Json(400, "", "no such session".to_owned())),
        ("nothing", || Answer::Json(400, "", String::new())),
    ]
}

pub(crate) fn sent(gate: &Gate, rpc: &str) -> usize {
    gate.old.seen().iter().filter(|seen| seen.rpc() == rpc).count()
}

#[tokio::test]
async fn a_session_refused_with_400_is_replaced_and_no_call_is_repeated() {
    for (what, refusal) in refusals() {
        let gate = Gate::start().await;
        gate.old.behave(move |seen| strict(seen, "one", refusal));
        assert!(did(&called(&gate, "old__echo").await), "{what}");
        // It is started anew, and knows nothing.
        gate.old.behave(move |seen| strict(seen, "two", refusal));
        let calls = gate.old.calls().len();
        called(&gate, "old__echo").await;
        assert_eq!(gate.old.calls().len(), calls + 1, "{what}");
        assert!(did(&called(&gate, "old__echo").await), "{what}: {:?}", gate.old.seen());
        assert_eq!(gate.old.calls().len(), calls + 2, "{what}");
        // A list may go out again at once.
        gate.old.behave(move |seen| strict(seen, "three", refusal));
        let list = gate.reach.send(&gate.modern("/legacy", &gate.token("alice", &["eng"]), "tools/list", "")).await;
        assert!(list.json()["result"]["tools"].as_array().is_some_and(|tools| !tools.is_empty()), "{what}: {}", list.whole());
        let opened = sent(&gate, "initialize");
        assert_eq!(opened, 3, "{what}");
        // One that refuses a call so, and the session is there, keeps it.
        gate.old.behave(move |seen| if seen.rpc() == "tools/call" { refusal() } else { strict(seen, "three", refusal) });
        for _ in 0..3 {
            assert!(!did(&called(&gate, "old__echo").await), "{what}");
        }
        assert_eq!(sent(&gate, "initialize"), opened, "{what}");
    }
}

#[tokio::test]
async fn one_that_refuses_every_session_is_not_asked_without_end() {
    for (what, refusal) in refusals() {
        let gate = Gate::start().await;
        gate.old.behave(move |seen| match seen.rpc().as_str() {
            "initialize" | "notifications/initialized" | "tools/list" => legacy(seen),
            _ => refusal(),
        });
        for calls in 1..=3 {
            assert!(!did(&called(&gate, "old__echo").await), "{what}");
            assert_eq!(gate.old.calls().len(), calls, "{what}: {:?}", gate.old.seen());
        }
        assert!(sent(&gate, "initialize") <= 4 && gate.old.seen().len() < 40, "{what}: {:?}", gate.old.seen());
    }
}

/// As an upstream without sessions that once had some.
fn upgraded(seen: &Seen) -> Answer {
    if seen.header("mcp-protocol-version").is_none_or(|version| version != "2026-07-28") {
        let data = json!({"supported": ["2026-07-28"], "requested": "2025-11-25"});
        let error = json!({"code": -32_022, "message": "Unsupported protocol version", "data": data});
        return Answer::Json(400, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error}).to_string());
    }
    modern(seen)
}

#[tokio::test]
async fn an_upstream_of_another_era_than_before_is_found_out_anew() {
    let with_sessions: fn(&Seen) -> Answer = |seen| strict(seen, "one", || refused(400, &Value::Null, -32_000));
    // Under its own id, as one that reads the message first.
    let reading: fn(&Seen) -> Answer = |seen| {
        let id = seen.json()["id"].clone();
        strict(seen, "one", move || refused(400, &id, -32_600))
    };
    for (what, before, after) in [
        ("downgraded", modern as fn(&Seen) -> Answer, with_sessions),
        ("downgraded, own id", modern, reading),
        ("upgraded", with_sessions, upgraded),
    ] {
        let gate = Gate::start().await;
        gate.old.behave(before);
        assert!(did(&called(&gate, "old__echo").await), "{what}");
        gate.old.behave(after);
        let calls = gate.old.calls().len();
        called(&gate, "old__echo").await;
        assert_eq!(gate.old.calls().len(), calls + 1, "{what}: what may have started is not sent again");
        assert!(did(&called(&gate, "old__echo").await), "{what}: {:?}", gate.old.seen());
        assert_eq!(gate.old.calls().len(), calls + 2, "{what}");
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

/// As JavaScript writes a text that was cut in the middle of a character.
#[tokio::test]
async fn half_a_character_becomes_a_sign_that_one_is_missing() {
    let gate = Gate::start().await;
    let cut = |answer: Answer| match answer {
        Answer::Json(status, head, body) => Answer::Json(status, head, body.replace("did ", r"did \ud83d \ud83d\ude00 \uDE00 ")),
        other => other,
    };
    gate.up.behave(move |seen| cut(modern(seen)));
    gate.old.behave(move |seen| match cut(legacy(seen)) {
        Answer::Json(_, _, body) if seen.rpc() == "tools/call" => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            Answer::Raw(format!("{head}data: {body}\n\n").into_bytes())
        }
        other => other,
    });
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    for tool in ["up__echo", "old__echo"] {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}});
        for request in
            [gate.call("/mcp", &token, tool, "{}"), gate.legacy("/mcp", &token, "2025-11-25", &session, &call.to_string())]
        {
            let answer = gate.reach.send(&request).await;
            let text = answer.json()["result"]["content"][0]["text"].clone();
            assert_eq!(text, "did \u{fffd} \u{1f600} \u{fffd} \"echo\"", "{}", answer.whole());
        }
    }
    // Clients are held to what all parsers agree about.
    let request = gate.call("/mcp", &token, "up__echo", r#"{"text":"\ud83d"}"#);
    assert_eq!(gate.reach.send(&request).await.code(), -32700);
}

#[tokio::test]
async fn only_during_calls_prompts_and_reads_is_anybody_asked() {
    let gate = Gate::start().await;
    gate.up.behave(|seen| match seen.rpc().as_str() {
        "completion/complete" => {
            let result = json!({"resultType": "input_required", "requestState": "s"});
            Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}).to_string())
        }
        _ => modern(seen),
    });
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let params = r#""ref":{"type":"ref/prompt","name":"up__greet"},"argument":{"name":"a","value":"b"}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{{{params}}}}}"#);
    for request in [
        gate.modern("/mcp", &token, "completion/complete", &format!("{params},")),
        gate.legacy("/mcp", &token, "2025-11-25", &session, &body),
    ] {
        let calls = gate.up.calls().len();
        let answer = gate.reach.send(&request).await;
        assert_eq!(answer.code(), -32603, "{}", answer.whole());
        assert_eq!(answer.json()["error"]["data"]["reason"], "upstream_unavailable", "{}", answer.whole());
        assert_eq!(gate.up.calls().len(), calls + 1);
    }
}
