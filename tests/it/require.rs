//! What rules require of a call that they allow, seen from both ends.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::gate::{Files, Gate, soon};
use crate::peer::{Answer, Seen, modern};
use crate::wire::Resp;

/// A gateway whose only rule lets everybody read and write and requires this.
async fn requiring(require: &str) -> Gate {
    Gate::with(|files: &mut Files| {
        files.policy = format!(
            "version: 1\ntools:\n  - {{ match: ['*__echo', '*__limited', '*__mirror'], class: read }}\n  - {{ match: ['*__write'], class: write }}\n\
             rules:\n  - id: r\n    effect: allow\n    principals: [any]\n    tools: ['*']\n    classes: [read, write]\n    \
             resources: ['*__file:///srv/*']\n    prompts: ['*__greet']\n    require: {{ {require} }}\n"
        );
    })
    .await
}

fn reason(answer: &Resp) -> String {
    answer.json()["result"]["_meta"]["dev.portcullis/denial"]["reason"].as_str().unwrap_or("-").to_owned()
}

fn result(seen: &Seen, result: &Value) -> Answer {
    let mut result = result.clone();
    result["resultType"] = "complete".into();
    Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}).to_string())
}

/// An event stream: a log message with `data`, then the result.
fn stream(seen: &Seen, data: &str, result: &Value) -> Answer {
    let mut result = result.clone();
    result["resultType"] = "complete".into();
    let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": data}});
    let reply = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    Answer::Raw(format!("{head}data: {log}\n\ndata: {reply}\n\n").into_bytes())
}

const LOGS: &str = r#""_meta":{"io.modelcontextprotocol/logLevel":"debug","#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_needs_an_approval_is_refused_before_anything_is_taken() {
    let gate = requiring("approval: { from: [caller] }, limit: [{ calls: 1, per: 1h, by: [principal] }]").await;
    let token = gate.token("alice", &[]);
    for _ in 0..3 {
        let answer = gate.reach.send(&gate.call("/mcp", &token, "up__write", "{}")).await;
        assert_eq!((answer.status, &*reason(&answer)), (200, "approval_required"), "{}", answer.whole());
        let text = answer.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("Approval pending") && text.contains("a yes from you"), "{text}");
    }
    assert_eq!(gate.up.calls().len(), 0);
    let records = gate.settled(4).await;
    assert_eq!(records.len(), 4, "no intent: {records:#?}");
    for record in records.iter().filter(|record| record["kind"] != "approval") {
        let decision = &record["decision"];
        assert_eq!(
            (&decision["effect"], &decision["reason"], &decision["mode"]),
            (&json!("deny"), &json!("approval_required"), &json!("enforce"))
        );
        assert_eq!((&decision["obligations"], &decision["rules"]), (&json!(["approval", "limit"]), &json!(["r"])));
    }
    // The limit is whole: without the approval one call passes.
    let policy = std::fs::read_to_string(gate.dir.path().join("policy.yaml")).unwrap();
    gate.reload("policy.yaml", &policy.replace("approval: { from: [caller] }, ", ""));
    let mut last = String::new();
    for _ in 0..200 {
        last = reason(&gate.reach.send(&gate.call("/mcp", &token, "up__write", "{}")).await);
        if last != "approval_required" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(last, "-");
    assert_eq!(reason(&gate.reach.send(&gate.call("/mcp", &token, "up__write", "{}")).await), "rate_limited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_replaced_in_everything_an_answer_says() {
    let key = format!("AKIA{}", "Q".repeat(16));
    for (require, hidden) in [("redact: [secrets]", true), ("scope: mcp:read", false)] {
        let gate = requiring(require).await;
        let token = gate.token("alice", &[]);
        let secret = key.clone();
        gate.up.behave(move |seen| {
            let text = json!({"type": "text", "text": format!("key {secret}\n")});
            match seen.rpc().as_str() {
                "tools/call" if seen.json()["params"]["arguments"]["stream"] == true => {
                    stream(seen, &format!("log {secret}"), &json!({"content": [text]}))
                }
                "tools/call" => result(seen, &json!({"content": [text], "structuredContent": {"deep": [{"k": secret}]}})),
                "prompts/get" => result(seen, &json!({"messages": [{"role": "user", "content": text}]})),
                "resources/read" => result(seen, &json!({"contents": [{"uri": seen.json()["params"]["uri"], "text": secret}]})),
                _ => modern(seen),
            }
        });
        let streamed = gate.call("/mcp", &token, "up__echo", r#"{"stream":true}"#).edit("\"_meta\":{", LOGS);
        let rows = [
            (gate.call("/mcp", &token, "up__echo", "{}"), 2),
            (streamed, 2),
            (gate.modern("/mcp", &token, "prompts/get", r#""name":"up__greet","#).add("Mcp-Name", "up__greet"), 1),
            (
                gate.modern("/mcp", &token, "resources/read", r#""uri":"up+file:///srv/a","#).add("Mcp-Name", "up+file:///srv/a"),
                1,
            ),
        ];
        for (n, (request, count)) in rows.into_iter().enumerate() {
            let answer = gate.reach.send(&request).await;
            let text = answer.text();
            assert_eq!(answer.status, 200, "{text}");
            let (kept, gone) = (text.matches(&key).count(), text.matches("[redacted: aws-key]").count());
            assert_eq!((kept, gone), if hidden { (0, count) } else { (count, 0) }, "{n}: {text}");
        }
        let records = gate.settled(4).await;
        let redacted: Vec<u64> = records.iter().filter_map(|r| r["outcome"]["redacted"].as_u64()).collect();
        assert_eq!(redacted, if hidden { vec![2, 2, 1, 1] } else { vec![] });
        assert!(!gate.audit_text().contains(&key));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_of_the_rules_ends_a_call() {
    let gate = requiring("deadline: 200ms").await;
    gate.up.behave(|seen| if seen.rpc() == "tools/call" { Answer::Hang } else { modern(seen) });
    let answer = gate.reach.send(&gate.call("/mcp", &gate.token("alice", &[]), "up__echo", "{}")).await;
    assert_eq!(reason(&answer), "upstream_timeout", "{}", answer.whole());
    let record = gate.settled(1).await.remove(0);
    assert_eq!((&record["decision"]["obligations"], &record["outcome"]["status"]), (&json!(["deadline"]), &json!("timed_out")));
    // Well before what the upstream itself is given, which is 9 s.
    assert!(record["outcome"]["total_ms"].as_f64().unwrap() < 8_900.0, "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_rules_list_are_on_record() {
    let gate = requiring("audit: [/path, /options/mode]").await;
    let arguments = r#"{"path":"/srv/a","options":{"mode":7,"token":"hidden"},"other":"hidden"}"#;
    let answer = gate.reach.send(&gate.call("/mcp", &gate.token("alice", &[]), "up__write", arguments)).await;
    assert_eq!(reason(&answer), "-", "{}", answer.whole());
    let records = gate.settled(1).await;
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(record["args"]["fields"], json!({"/path": "/srv/a", "/options/mode": 7}), "{record}");
        assert_eq!(record["decision"]["obligations"], json!(["audit"]));
    }
    assert!(!gate.audit_text().contains("hidden"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_answers_deliver_is_counted_when_they_end() {
    let text = "t".repeat(4000);
    for (quota, streamed) in
        [("bytes: 10000", false), ("bytes: 10000", true), ("response_tokens: 2500", false), ("response_tokens: 2500", true)]
    {
        let gate = requiring(&format!("limit: [{{ {quota}, per: 1h, by: [principal] }}]")).await;
        let body = json!({"content": [{"type": "text", "text": text}]});
        gate.up.behave(move |seen| match seen.rpc().as_str() {
            "tools/call" if streamed => stream(seen, "log", &body),
            "tools/call" => result(seen, &body),
            _ => modern(seen),
        });
        let (alice, bob) = (gate.token("alice", &[]), gate.token("bob", &[]));
        let mut reasons = Vec::new();
        for _ in 0..4 {
            let call = gate.call("/mcp", &alice, "up__echo", "{}").edit("\"_meta\":{", LOGS);
            let answer = gate.reach.send(&call).await;
            reasons.push(reason(&answer));
            if reasons.last().is_some_and(|reason| reason == "rate_limited") {
                let wait = answer.json()["result"]["_meta"]["dev.portcullis/denial"]["retry_after_ms"].as_u64().unwrap();
                assert!(wait > 3_500_000 && wait <= 3_600_000, "{wait}");
            }
        }
        assert_eq!(reasons, ["-", "-", "-", "rate_limited"], "{quota} {streamed}");
        assert_eq!(reason(&gate.reach.send(&gate.call("/mcp", &bob, "up__echo", "{}")).await), "-", "nobody else pays");
        let metrics = gate.admin("/metrics").await.text();
        assert!(metrics.contains("portcullis_tool_response_tokens{tool=\"up__echo\"} 4000"), "{metrics}");
    }
}

/// A client that goes away in the middle of a stream pays for what had come by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_answer_is_charged_for_what_it_delivered() {
    let gate = requiring("limit: [{ bytes: 1000, per: 1h, by: [principal] }]").await;
    let never = Arc::new(Notify::new());
    let log =
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": "x".repeat(2000)}});
    gate.up.behave(move |seen| match seen.rpc().as_str() {
        "tools/call" if seen.json()["params"]["arguments"]["cut"] == true => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            Answer::Raw(format!("{head}data: {log}\n\n").into_bytes())
        }
        "tools/call" => Answer::Once(never.clone(), Box::new(modern(seen))),
        _ => modern(seen),
    });
    let token = gate.token("alice", &[]);
    let cut = gate.call("/mcp", &token, "up__echo", r#"{"cut":true}"#).edit("\"_meta\":{", LOGS);
    let answer = gate.reach.send(&cut).await;
    assert_eq!(reason(&answer), "upstream_unavailable", "{}", answer.whole());
    assert_eq!(reason(&gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await), "rate_limited");
    soon("the records", || gate.records().len() >= 2).await;
}

/// Decisions as they are counted: the labels of a counter and what it stands at.
async fn counted(gate: &Gate) -> Vec<String> {
    let text = gate.admin("/metrics").await.text();
    let mut lines: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("portcullis_decisions_total")).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A refusal that comes of a limit or an approval is no allow as well, and has the class that the call has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_counted_once_as_what_it_comes_to() {
    let gate = requiring("limit: [{ calls: 1, per: 1h, by: [principal] }]").await;
    let token = gate.token("alice", &[]);
    for expected in ["-", "rate_limited", "rate_limited"] {
        assert_eq!(reason(&gate.reach.send(&gate.call("/mcp", &token, "up__write", "{}")).await), expected);
    }
    let line = |effect: &str, reason: &str, count: u32| {
        format!("{{effect=\"{effect}\",reason=\"{reason}\",tool=\"up__write\",class=\"write\"}} {count}")
    };
    assert_eq!(counted(&gate).await, [line("allow", "allowed", 1), line("deny", "rate_limited", 2)]);
    let gate = requiring("approval: { from: [caller] }, limit: [{ calls: 1, per: 1h, by: [principal] }]").await;
    let token = gate.token("alice", &[]);
    for _ in 0..2 {
        assert_eq!(reason(&gate.reach.send(&gate.call("/mcp", &token, "up__write", "{}")).await), "approval_required");
    }
    assert_eq!(counted(&gate).await, [line("deny", "approval_required", 2)]);
}
