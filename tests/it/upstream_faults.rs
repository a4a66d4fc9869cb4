//! Whatever an upstream does, the caller gets a clear error in time, the others go on, and nothing it said in anger is shown.

use serde_json::json;

use crate::gate::Gate;
use crate::peer::{Answer, Peer, Seen, legacy, modern, modern_with};

const SECRET: &str = "sk-upstream-secret-text";

fn raw(head: &str, body: &str) -> Answer {
    Answer::Raw(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn json(status: &str, body: &str) -> Answer {
    raw(&format!("{status}\r\ncontent-type: application/json"), body)
}

type Misdeed = Box<dyn Fn(&crate::peer::Seen) -> Answer + Send + Sync>;

/// What it does wrong with a call, and the reason the caller is given.
fn misdeeds(elsewhere: &str) -> Vec<(&'static str, Misdeed, &'static str)> {
    let redirect = format!("302 Found\r\nlocation: http://{elsewhere}/{SECRET}\r\ncontent-type: application/json");
    let moved = redirect.replace("302 Found", "307 Temporary Redirect");
    let progress =
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":99,\"progress\":1}}\n\n";
    let line = format!("data: {SECRET}");
    vec![
        ("hangs", Box::new(|_| Answer::Hang), "upstream_timeout"),
        ("closes", Box::new(|_| Answer::Raw(Vec::new())), "upstream_unavailable"),
        ("closes within the head", Box::new(|_| Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-".to_vec())), "upstream_unavailable"),
        (
            "closes within the body",
            Box::new(|_| {
                Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"js".to_vec())
            }),
            "upstream_unavailable",
        ),
        ("no HTTP", Box::new(|_| Answer::Raw(format!("SSH-2.0-{SECRET}\r\n\r\n").into_bytes())), "upstream_unavailable"),
        ("no JSON", Box::new(|_| json("200 OK", &format!("{{{SECRET}"))), "upstream_unavailable"),
        ("a page", Box::new(|_| raw("200 OK\r\ncontent-type: text/html", SECRET)), "upstream_unavailable"),
        (
            "another's answer",
            Box::new(|_| json("200 OK", "{\"jsonrpc\":\"2.0\",\"id\":424242,\"result\":{}}")),
            "upstream_unavailable",
        ),
        (
            "a key twice",
            Box::new(|seen| {
                json(
                    "200 OK",
                    &format!(
                        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{\"resultType\":\"complete\",\"content\":[],\"content\":[]}}}}",
                        seen.json()["id"]
                    ),
                )
            }),
            "upstream_unavailable",
        ),
        ("empty", Box::new(|_| json("200 OK", "")), "upstream_unavailable"),
        (
            "compressed",
            Box::new(|_| raw("200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip", SECRET)),
            "upstream_unavailable",
        ),
        ("endless events", Box::new(|_| Answer::Endless(progress.into())), "upstream_timeout response_too_large"),
        ("endless comments", Box::new(|_| Answer::Endless(":\n\n".into())), "upstream_timeout response_too_large"),
        ("one endless event", Box::new(move |_| Answer::Endless(line.clone())), "response_too_large"),
        ("100 MiB", Box::new(|_| Answer::Huge(100 << 20)), "response_too_large"),
        ("a redirect", Box::new(move |_| raw(&redirect, "{}")), "upstream_unavailable"),
        ("a redirect with the body", Box::new(move |_| raw(&moved, "{}")), "upstream_unavailable"),
        (
            "401",
            Box::new(|_| {
                raw(
                    &format!(
                        "401 X\r\nwww-authenticate: Bearer realm=\"{SECRET}\"\r\nset-cookie: a={SECRET}\r\ncontent-type: application/json"
                    ),
                    &format!("{{\"error\":\"{SECRET}\"}}"),
                )
            }),
            "upstream_unavailable",
        ),
        ("403", Box::new(|_| json("403 X", &format!("{{\"error\":\"{SECRET}\"}}"))), "upstream_unavailable"),
        ("500", Box::new(|_| raw("500 X\r\ncontent-type: text/plain", &format!("at {SECRET}.rs:1"))), "upstream_unavailable"),
        (
            "an error with text",
            Box::new(|seen| {
                json(
                    "200 OK",
                    &format!(
                        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{{\"code\":-32603,\"message\":\"{SECRET}\",\"data\":\"{SECRET}\"}}}}",
                        seen.json()["id"]
                    ),
                )
            }),
            "upstream_unavailable",
        ),
        (
            // The client of these calls declared that it answers no questions.
            "asks what nobody can answer",
            Box::new(|seen| {
                json(
                    "200 OK",
                    &format!(
                        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{\"resultType\":\"input_required\",\"inputRequests\":{{\"k\":{{\"method\":\"elicitation/create\",\"params\":{{\"mode\":\"form\",\"message\":\"{SECRET}\",\"requestedSchema\":{{\"type\":\"object\",\"properties\":{{}}}}}}}}}}}}}}",
                        seen.json()["id"]
                    ),
                )
            }),
            "upstream_unavailable",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_misdeed_is_a_clear_error() {
    let mut gate = Gate::program(|files| {
        files.config = files.config.replacen("timeout: 9s", "timeout: 1s", 1);
        files.config.push_str("telemetry: { log: debug }\n");
    })
    .await;
    let elsewhere = Peer::start(modern).await;
    let token = gate.token("alice", &["eng"]);
    let call = |tool: &str| gate.call("/mcp", &token, tool, "{}");
    let works = async |what: &str| {
        for tool in ["old__echo", "up__echo"] {
            let answer = gate.reach.send(&call(tool)).await;
            assert!(answer.text().contains("did"), "{tool} after {what}: {}", answer.whole());
        }
    };
    works("nothing").await;
    let before_kib = gate.rss_kib();
    let mut shown = String::new();
    let (mut wrong, mut requests) = (Vec::new(), 2);
    for (what, misdeed, reason) in misdeeds(&elsewhere.addr.to_string()) {
        gate.up.behave(move |seen| if seen.rpc() == "tools/call" { misdeed(seen) } else { modern(seen) });
        let calls = gate.up.calls().len();
        let (bad, other) = tokio::join!(async { gate.reach.send(&call("up__write")).await }, async {
            gate.reach.send(&call("old__echo")).await
        });
        let denial = bad.json()["result"]["_meta"]["dev.portcullis/denial"].clone();
        let once = gate.up.calls().len() == calls + 1;
        if bad.status != 200
            || bad.json()["result"]["isError"] != true
            || !reason.contains(denial["reason"].as_str().unwrap_or("?"))
            || !once
        {
            wrong.push(format!("{what}, once: {once}: {}", bad.whole()));
        }
        assert!(other.text().contains("did"), "meanwhile {what}: {}", other.whole());
        shown += &bad.whole();
        requests += 2;
        gate.up.behave(modern);
        works(what).await;
        requests += 2;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(elsewhere.connections(), 0, "no redirect is followed");
    let grown_kib = gate.rss_kib().saturating_sub(before_kib);
    assert!(grown_kib < 96 * 1024, "grew by {grown_kib} KiB");
    gate.settled(requests).await;
    let metrics = gate.admin("/metrics").await.text();
    assert_eq!(gate.terminate().await, Some(0));
    for (place, text) in [("answers", &shown), ("metrics", &metrics), ("log", &gate.log()), ("records", &gate.audit_text())] {
        assert!(text.len() > 100, "the test looks: {place}");
        assert_eq!(text.lines().find(|line| line.contains(SECRET)), None, "in the {place}");
    }
}

/// A stream that always has something to read meets its deadline all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_outrun_the_deadline() {
    let gate = Gate::with(|files| {
        files.config = files.config.replacen("timeout: 9s", "timeout: 1s", 1).replace("depth: 64", "depth: 64, response: 1GiB");
    })
    .await;
    gate.up.behave(|seen| if seen.rpc() == "tools/call" { Answer::Endless(":\n\n".repeat(999)) } else { modern(seen) });
    let answer = gate.reach.send(&gate.call("/mcp", &gate.token("alice", &["eng"]), "up__echo", "{}")).await;
    assert!(answer.text().contains("upstream_timeout"), "{}", answer.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_upstream_hides_nobody_else() {
    let gate = Gate::with(|files| files.config = files.config.replacen("timeout: 9s", "timeout: 1s", 1)).await;
    gate.up.behave(|_| Answer::Hang);
    let token = gate.token("alice", &["eng"]);
    let list = gate.reach.send(&gate.modern("/mcp", &token, "tools/list", "")).await;
    assert!(list.text().contains("old__echo") && !list.text().contains("up__echo"), "{}", list.whole());
    let answer = gate.reach.send(&gate.call("/mcp", &token, "old__echo", "{}")).await;
    assert!(answer.text().contains("did"), "{}", answer.whole());
    gate.up.behave(modern);
    let mut whole = false;
    for _ in 0..40 {
        whole = gate.reach.send(&gate.modern("/mcp", &token, "tools/list", "")).await.text().contains("up__echo");
        if whole {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    assert!(whole, "it comes back");
}

/// What is known of it is no answer of it: calls fail one after the other, and it is left alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_upstream_is_left_alone_though_all_is_known_of_it() {
    for with_sessions in [false, true] {
        let gate = Gate::start().await;
        let (peer, tool) = if with_sessions { (&gate.old, "old__echo") } else { (&gate.up, "up__echo") };
        let token = gate.token("alice", &["eng"]);
        let call = gate.call("/mcp", &token, tool, "{}");
        assert!(gate.reach.send(&call).await.text().contains("did"));
        peer.behave(|_| Answer::Raw(Vec::new()));
        let before = peer.calls().len();
        for _ in 0..20 {
            // Answered from what is known.
            let known = gate.reach.send(&gate.modern("/mcp", &token, "server/discover", "")).await;
            assert!(known.json()["result"]["capabilities"]["tools"].is_object(), "{}", known.whole());
            assert!(gate.reach.send(&call).await.text().contains("upstream_unavailable"));
        }
        let sent = peer.calls().len() - before;
        // With a probe, should the test be slow.
        assert!((5..12).contains(&sent), "{tool}: {sent} of 20 went out");
        peer.behave(if with_sessions { crate::peer::legacy } else { modern });
        let mut back = false;
        for _ in 0..40 {
            back = gate.reach.send(&call).await.text().contains("did");
            if back {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
        assert!(back, "{tool}: it comes back");
    }
}

#[tokio::test]
async fn a_tool_that_wants_other_headers_is_read_anew_and_called_once_more() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up__echo","arguments":{"zone":"eu"}}}"#;
    let send = |id: u32| {
        let call = call.replace("\"id\":1", &format!("\"id\":{id}"));
        gate.legacy("/mcp", &token, "2025-11-25", &session, &call)
    };
    let done = gate.reach.send(&send(1)).await;
    assert_eq!(done.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", done.whole());
    // The definition changes, and nobody says so.
    let schema = json!({"type": "object", "properties": {"zone": {"type": "string", "x-mcp-header": "Zone"}}});
    let tools = json!([{"name": "echo", "inputSchema": schema}]);
    let mismatch = |seen: &Seen| {
        let id = seen.json()["id"].clone();
        Answer::Json(400, "", json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32020, "message": SECRET}}).to_string())
    };
    gate.up.behave(move |seen| match (seen.rpc().as_str(), seen.header("mcp-param-zone")) {
        ("tools/call", None) => mismatch(seen),
        _ => modern_with(seen, &tools),
    });
    let before = gate.up.calls().len();
    let done = gate.reach.send(&send(2)).await;
    assert_eq!(done.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", done.whole());
    let calls = gate.up.calls();
    assert_eq!(calls[before..].iter().map(|seen| seen.header("mcp-param-zone")).collect::<Vec<_>>(), [None, Some("eu")]);
    // Once more, not for ever; and what it said stays here.
    gate.up.behave(move |seen| if seen.rpc() == "tools/call" { mismatch(seen) } else { modern(seen) });
    let failed = gate.reach.send(&send(3)).await;
    assert_eq!(failed.json()["result"]["isError"], true, "{}", failed.whole());
    assert!(!failed.whole().contains(SECRET));
    assert_eq!(gate.up.calls().len(), calls.len() + 2);
}

/// The code is one of the newest revision over HTTP. From whoever speaks another it says nothing of whether the call was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_another_revision_sends_nothing_twice() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    for status in [200, 400] {
        gate.old.behave(move |seen| {
            let refused = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": {"code": -32020, "message": SECRET}});
            if seen.rpc() == "tools/call" { Answer::Json(status, "", refused.to_string()) } else { legacy(seen) }
        });
        let before = gate.old.calls().len();
        let failed = gate.reach.send(&gate.call("/mcp", &token, "old__write", r#"{"a":1}"#)).await;
        assert_eq!(failed.json()["result"]["isError"], true, "{status}: {}", failed.whole());
        assert_eq!(gate.old.calls().len(), before + 1, "{status}");
    }
}
