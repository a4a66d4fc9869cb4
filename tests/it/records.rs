//! Every request that HTTP hands over leaves exactly one record that is no intent, however it ends; a write leaves its intent
//! before it leaves itself.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::gate::{Gate, soon};
use crate::peer::{Answer, modern};
use crate::wire::Req;

fn outcome(record: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let http = &record["outcome"]["http"];
    format!("{} {} {} {http}", word(&record["kind"]), word(&record["outcome"]["status"]), word(&record["outcome"]["reason"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exit_has_one_record() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let good = gate.call("/mcp", &token, "up__echo", "{}");
    let legacy = |body: &str| gate.legacy("/mcp", &token, "2025-11-25", &session, body);
    let get = |path: &str| Req::new("GET", path).add("Host", &gate.authority());
    let preflight = Req::new("OPTIONS", "/mcp").add("Host", &gate.authority()).add("Access-Control-Request-Method", "POST");
    let delete = Req::new("DELETE", "/mcp").add("Host", &gate.authority()).add("Authorization", &format!("Bearer {token}"));
    let rows: Vec<(Req, &str)> = vec![
        (good.clone(), "outcome completed allowed 200"),
        (gate.call("/mcp", &token, "up__write", "{}"), "outcome completed allowed 200"),
        (gate.call("/mcp", &token, "old__echo", "{}"), "outcome completed allowed 200"),
        (gate.call("/mcp", &token, "up__echo", r#"{"path":"/etc/x"}"#), "outcome denied rule_denied 200"),
        (gate.call("/mcp", &token, "up__hidden", "{}"), "outcome denied not_visible 200"),
        (gate.call("/mcp", &token, "up__nothing", "{}"), "outcome denied unknown_name 200"),
        (gate.call("/mcp", &token, "up__limited", "{}"), "outcome completed allowed 200"),
        (gate.call("/mcp", &token, "up__limited", "{}"), "outcome completed allowed 200"),
        (gate.call("/mcp", &token, "up__limited", "{}"), "outcome denied rate_limited 200"),
        (gate.modern("/mcp", &token, "tools/list", ""), "list completed allowed 200"),
        (gate.modern("/mcp", &token, "resources/templates/list", ""), "list completed allowed 200"),
        (gate.modern("/mcp", &token, "server/discover", ""), "outcome completed allowed 200"),
        (gate.modern("/mcp", &token, "tools/undo", ""), "outcome refused bad_request 404"),
        (good.clone().set("Mcp-Name", "x"), "outcome refused bad_request 400"),
        (good.clone().body("{"), "outcome refused bad_request 400"),
        (good.clone().set("Host", "evil.example"), "outcome refused host_refused 403"),
        (good.clone().add("Origin", "null"), "outcome refused origin_refused 403"),
        (good.clone().set("Content-Type", "text/plain"), "outcome refused bad_request 415"),
        (good.clone().without("Authorization"), "auth refused unauthenticated 401"),
        (gate.call("/scoped", &token, "echo", "{}"), "auth refused unauthenticated 403"),
        (gate.call("/nowhere", &token, "echo", "{}"), "outcome refused not_found 404"),
        (get("/mcp"), "auth refused unauthenticated 401"),
        (get("/.well-known/oauth-protected-resource/mcp"), "outcome completed allowed 200"),
        (preflight.clone().add("Origin", "https://app.example.com"), "outcome completed allowed 204"),
        (preflight, "outcome refused bad_request 405"),
        (legacy(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), "outcome completed allowed 200"),
        (legacy(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#), "outcome completed allowed 202"),
        (legacy(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), "outcome refused not_found 202"),
        (gate.legacy("/mcp", &token, "2025-11-25", "x", "{}"), "outcome refused bad_request 400"),
        (delete.clone(), "outcome refused bad_request 400"),
        (delete.add("Mcp-Session-Id", &session), "outcome completed allowed 204"),
    ];
    let before = gate.settled(2).await.len();
    let mut wrong = Vec::new();
    for (sent, (request, expected)) in rows.iter().enumerate() {
        let answer = gate.reach.send(request).await;
        let records = gate.settled(2 + sent + 1).await;
        let got = outcome(records.iter().rev().find(|record| record["kind"] != "intent").unwrap());
        if got != *expected || !got.ends_with(&answer.status.to_string()) {
            wrong.push(format!("{expected}: recorded {got}: {}", answer.whole()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let records = gate.settled(2 + rows.len()).await;
    assert_eq!(records.len(), before + rows.len() + 1, "one intent");
    let seqs: Vec<u64> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] > pair[0]), "{seqs:?}");
    let ids: std::collections::BTreeSet<&str> =
        records.iter().filter(|r| r["kind"] != "intent").map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2 + rows.len());
    // Without a decision there is none on record, with one it names the policy.
    for record in records.iter().filter(|record| record["outcome"]["status"] == "denied") {
        assert_eq!(record["decision"]["effect"], "deny");
        assert!(record["decision"]["policy"].is_string() && record["args"]["digest"].is_string(), "{record}");
        assert_eq!(record["principal"]["sub"], "alice");
    }
    // What ends before there is a decision says why with one of a few words.
    let why =
        ["unauthenticated", "bad_request", "origin_refused", "host_refused", "not_found", "overloaded", "cancelled", "internal"];
    for record in records.iter().filter(|record| record["outcome"]["status"] != "completed" && record.get("decision").is_none()) {
        assert!(record["kind"] == "intent" || why.contains(&record["outcome"]["reason"].as_str().unwrap()), "{record}");
    }
    // Who lacks a scope is known; who has no credential that holds is not.
    let auth = |http: u64| records.iter().filter(move |record| record["kind"] == "auth" && record["outcome"]["http"] == http);
    assert!(auth(401).count() == 2 && auth(401).all(|record| record.get("principal").is_none()), "{records:?}");
    let lacking: Vec<_> = auth(403).map(|record| (&record["principal"]["sub"], &record["principal"]["iss"])).collect();
    assert_eq!(lacking, [(&json!("alice"), &json!(crate::keys::ISSUER))]);
}

/// The client is gone: before the body, within it, while its call is under way, within its answer.
#[tokio::test]
async fn a_list_that_no_upstream_gives_is_decided_and_fails() {
    let gate = Gate::start().await;
    for peer in [&gate.up, &gate.old] {
        peer.behave(|_| Answer::Raw(Vec::new()));
    }
    let list = gate.reach.send(&gate.modern("/mcp", &gate.token("alice", &["eng"]), "tools/list", "")).await;
    assert_eq!(list.json()["error"]["code"], -32603, "{}", list.whole());
    let record = gate.settled(1).await.pop().unwrap();
    assert_eq!(outcome(&record), "list faulted upstream_unavailable 200");
    assert_eq!(record["decision"]["effect"], "allow", "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_has_its_record() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let request = gate.call("/mcp", &token, "up__echo", "{}");
    assert_eq!(gate.reach.send(&request).await.status, 200);
    gate.settled(1).await;
    let bytes = request.bytes();
    let body = bytes.len() - request.body.len();
    for (sent, cut) in [body, body + 10, bytes.len() - 1].into_iter().enumerate() {
        let mut conn = gate.reach.open().await;
        conn.write(&bytes[..cut]).await;
        // The door has handed it over once it waits for the rest.
        let done = gate.records().len();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(gate.records().len(), done);
        drop(conn);
        let records = gate.settled(2 + sent).await;
        let last = records.last().unwrap();
        assert!(last["outcome"]["reason"] == "bad_request" || last["outcome"]["reason"] == "cancelled", "{last}");
    }
    assert_eq!(gate.up.calls().len(), 1);

    // While the upstream works. A client without a session ends its call by leaving; one with a session does not.
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    gate.settled(6).await;
    let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up__write","arguments":{}}}"#;
    let legacy = gate.legacy("/mcp", &token, "2025-11-25", &session, legacy);
    let modern_call = gate.call("/mcp", &token, "up__write", "{}");
    for (count, request, status, reason) in [(7, modern_call, "cancelled", "cancelled"), (8, legacy, "completed", "allowed")] {
        let told = Arc::new(Notify::new());
        let tell = told.clone();
        gate.up.behave(move |seen| match seen.rpc().as_str() {
            "tools/call" => Answer::Once(told.clone(), Box::new(modern(seen))),
            _ => modern(seen),
        });
        let calls = gate.up.calls().len();
        let mut conn = gate.reach.open().await;
        conn.write(&request.bytes()).await;
        soon("the call", || gate.up.calls().len() > calls).await;
        drop(conn);
        if status == "cancelled" {
            gate.settled(count).await;
        } else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        tell.notify_one();
        let records = gate.settled(count).await;
        let last = records.last().unwrap();
        assert_eq!((&last["outcome"]["status"], &last["outcome"]["reason"]), (&status.into(), &reason.into()), "{last}");
        assert!(last["intent"].is_u64());
    }

    // Within a streamed answer.
    gate.up.behave(|seen| match seen.rpc().as_str() {
        "tools/call" => Answer::Endless(progress_event(seen)),
        _ => modern(seen),
    });
    let params = r#""name":"up__echo","arguments":{},"#;
    let streamed = gate.modern("/mcp", &token, "tools/call", params).add("Mcp-Name", "up__echo");
    let streamed = streamed.edit("\"_meta\":{", "\"_meta\":{\"progressToken\":1,");
    let mut conn = gate.reach.open().await;
    conn.write(&streamed.bytes()).await;
    soon("the call", || gate.up.calls().last().is_some_and(|call| call.body.contains("progressToken"))).await;
    drop(conn);
    let records = gate.settled(9).await;
    assert_eq!(records.last().unwrap()["outcome"]["reason"], "cancelled");
}

fn progress_event(seen: &crate::peer::Seen) -> String {
    let token = seen.json()["params"]["_meta"]["progressToken"].to_string();
    format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{token},\"progress\":1}}}}\n\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_intent_is_in_the_file_before_the_call_is_out() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng", "ops"]);
    let file = gate.dir.path().join("data/audit/audit.jsonl");
    let found = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let looked = found.clone();
    gate.up.behave(move |seen| {
        if seen.rpc() == "tools/call" {
            // What a reader of the file knows while the upstream has not answered yet.
            let text = fs::read_to_string(&file).unwrap();
            let name = format!("up__{}", seen.json()["params"]["name"].as_str().unwrap());
            let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let intents = records.iter().filter(|record| record["kind"] == "intent" && record["name"] == name.as_str()).count();
            looked.lock().push((name, intents));
        }
        modern(seen)
    });
    let mut expected = Vec::new();
    for round in 1..=3 {
        for (tool, intents) in [("up__write", round), ("up__delete", round), ("up__echo", 0)] {
            let answer = gate.reach.send(&gate.call("/mcp", &token, tool, r#"{"secret":"canary"}"#)).await;
            assert!(answer.text().contains("did"), "{}", answer.whole());
            expected.push((tool.to_owned(), intents));
        }
    }
    assert_eq!(*found.lock(), expected);
    let records = gate.settled(9).await;
    for record in records.iter().filter(|record| record["intent"].is_u64()) {
        let intent = records.iter().find(|other| other["seq"] == record["intent"]).unwrap();
        assert_eq!((&intent["kind"], &intent["id"], &intent["name"]), (&"intent".into(), &record["id"], &record["name"]));
        assert!(intent.get("outcome").is_none() && intent["decision"]["effect"] == "allow", "{intent}");
    }
    assert!(!gate.audit_text().contains("canary"));
    // A refused write leaves nothing to intend.
    let refused = gate.reach.send(&gate.call("/mcp", &token, "up__write", r#"{"path":"/etc/x"}"#)).await;
    assert!(refused.text().contains("rule_denied"));
    assert_eq!(gate.settled(10).await.iter().filter(|record| record["kind"] == "intent").count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_recorded_is_not_done() {
    let pipe = tempfile::tempdir().unwrap();
    let pipe = pipe.path().join("nobody-reads");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for sink in ["/dev/full", pipe.to_str().unwrap()] {
        let audit = format!("audit: {{ durability: write, sinks: [{{ file: {sink} }}] }}\n");
        let gate = Gate::with(|files| files.config.push_str(&audit)).await;
        let token = gate.token("alice", &["eng", "ops"]);
        for tool in ["up__write", "up__delete", "old__write"] {
            let answer = gate.reach.send(&gate.call("/mcp", &token, tool, "{}")).await;
            let result = &answer.json()["result"];
            assert_eq!(result["isError"], true, "{sink} {tool}: {}", answer.whole());
            assert_eq!(result["_meta"]["dev.portcullis/denial"]["reason"], "audit_unavailable");
        }
        assert_eq!((gate.up.calls().len(), gate.old.calls().len()), (0, 0), "{sink}");
        let read = gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await;
        assert!(read.text().contains("did"), "{sink}: reads go on: {}", read.whole());
        assert_eq!(gate.admin("/readyz").await.status, 503, "{sink}");
        assert_eq!(gate.admin("/healthz").await.status, 200, "{sink}");
    }
}
