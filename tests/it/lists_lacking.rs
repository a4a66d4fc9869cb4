//! Lists that an upstream or a route does not have, that change while they are read, or hold what cannot be named.

use serde_json::{Value, json};

use crate::gate::Gate;
use crate::lists_agree::names;
use crate::peer::{Answer, Seen, legacy, modern, modern_with};

fn no_such_method(seen: &Seen, status: u16) -> Answer {
    let error = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": {"code": -32601, "message": "Method not found"}});
    Answer::Json(status, "", error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_an_upstream_does_not_have_is_empty_and_hides_no_fault() {
    let gate = Gate::start().await;
    let prompts = async |sub: &str| {
        let token = gate.token(sub, &["eng"]);
        gate.reach.send(&gate.modern("/mcp", &token, "prompts/list", "")).await
    };
    let lacking = |seen: &Seen| if seen.rpc() == "prompts/list" { no_such_method(seen, 404) } else { modern(seen) };
    gate.up.behave(lacking);
    assert_eq!(names(&prompts("a").await, "prompts", "name"), ["old__greet"]);
    gate.old.behave(|seen| if seen.rpc() == "prompts/list" { no_such_method(seen, 200) } else { legacy(seen) });
    assert_eq!(names(&prompts("b").await, "prompts", "name"), [""; 0]);
    assert_eq!(names(&prompts("b").await, "prompts", "name"), [""; 0]);
    for upstream in ["up", "old"] {
        let stale = gate.metric(&format!("portcullis_list_stale{{upstream=\"{upstream}\"}}")).await;
        assert_eq!(stale, "0", "{upstream}: it is no fault");
    }
    // The only one that could have prompts fails.
    gate.old.behave(|seen| if seen.rpc() == "prompts/list" { Answer::Json(500, "", String::new()) } else { legacy(seen) });
    let failed = prompts("c").await;
    assert!(failed.json()["error"].is_object(), "{}", failed.whole());
    // A list that is there is shown although the other is missing.
    gate.up.behave(modern);
    assert_eq!(names(&prompts("d").await, "prompts", "name"), ["up__greet"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_says_it_has_no_prompts_is_not_asked_for_them() {
    let gate = Gate::start().await;
    gate.old.behave(|seen| {
        if seen.rpc() != "initialize" {
            return legacy(seen);
        }
        let result = json!({"protocolVersion": "2025-11-25", "serverInfo": {"name": "old", "version": "1"}, "capabilities": {"tools": {}}});
        let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
        Answer::Json(200, "mcp-session-id: upstream-session-canary\r\n", body.to_string())
    });
    let token = gate.token("alice", &["eng"]);
    let list = gate.reach.send(&gate.modern("/mcp", &token, "prompts/list", "")).await;
    assert_eq!(names(&list, "prompts", "name"), ["up__greet"]);
    assert!(gate.old.seen().iter().all(|seen| seen.rpc() != "prompts/list"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_changes_while_it_is_read_is_read_again() {
    let gate = Gate::start().await;
    let asked = std::sync::atomic::AtomicUsize::new(0);
    gate.up.behave(move |seen| {
        let tool = |name: &str| json!([{"name": name, "inputSchema": {"type": "object"}}]);
        if seen.rpc() != "tools/list" || asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
            return modern_with(seen, &tool("nnnafter"));
        }
        let Answer::Json(_, _, before) = modern_with(seen, &tool("nnnbefore")) else { unreachable!() };
        let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        Answer::Raw(format!("{head}data: {changed}\n\ndata: {before}\n\n").into_bytes())
    });
    let token = gate.token("alice", &["eng"]);
    assert!(gate.reach.send(&gate.call("/bare", &token, "nnnafter", "{}")).await.text().contains("did"));
    let list = gate.reach.send(&gate.modern("/bare", &token, "tools/list", "")).await;
    assert_eq!(names(&list, "tools", "name"), ["nnnafter"]);
}

/// A good answer of an upstream that has tools only, and says so.
fn with_tools_only(seen: &Seen) -> Answer {
    let answer = if seen.header("mcp-protocol-version").is_some_and(|v| v == "2026-07-28") { modern(seen) } else { legacy(seen) };
    match (seen.rpc().as_str(), answer) {
        ("server/discover" | "initialize", Answer::Json(status, head, body)) => {
            let mut body: Value = serde_json::from_str(&body).unwrap_or_default();
            body["result"]["capabilities"] = json!({"tools": {}});
            Answer::Json(status, head, body.to_string())
        }
        (_, answer) => answer,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_a_route_does_not_declare_is_an_unknown_method() {
    let gate = Gate::start().await;
    gate.up.behave(with_tools_only);
    gate.old.behave(|seen| if seen.rpc() == "server/discover" { legacy(seen) } else { with_tools_only(seen) });
    let token = gate.token("alice", &["eng"]);
    let lists = ["prompts/list", "resources/list", "resources/templates/list"];
    let discovered = gate.reach.send(&gate.modern("/mcp", &token, "server/discover", "")).await.json();
    let declared = &discovered["result"]["capabilities"];
    assert!(declared["tools"].is_object() && declared["prompts"].is_null() && declared["resources"].is_null(), "{discovered}");
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let in_session = async |method: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":3,"method":"{method}"}}"#);
        gate.reach.send(&gate.legacy("/mcp", &token, "2025-11-25", &session, &body)).await
    };
    for method in lists {
        let answer = gate.reach.send(&gate.modern("/mcp", &token, method, "")).await;
        assert_eq!((answer.status, answer.code(), &answer.json()["id"]), (404, -32601, &json!(7)), "{}", answer.whole());
        let answer = in_session(method).await;
        assert_eq!((answer.status, answer.code(), &answer.json()["id"]), (200, -32601, &json!(3)), "{}", answer.whole());
    }
    // One that fails may have them.
    gate.old.behave(|_| Answer::Json(503, "", String::new()));
    let other = gate.token("bob", &["eng"]);
    for method in lists {
        let answer = gate.reach.send(&gate.modern("/mcp", &other, method, "")).await;
        assert_ne!(answer.code(), -32601, "{}", answer.whole());
    }
    // One that has them is enough.
    gate.old.behave(legacy);
    let answer = gate.reach.send(&gate.modern("/mcp", &gate.token("carol", &["eng"]), "prompts/list", "")).await;
    assert!(answer.json()["result"]["prompts"].is_array(), "{}", answer.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_prompts_or_resources_has_not_the_one_asked_for() {
    let gate = Gate::start().await;
    let lacking = |seen: &Seen, status: u16| match seen.rpc().as_str() {
        "prompts/get" | "resources/read" => no_such_method(seen, status),
        _ if status == 404 => modern(seen),
        _ => legacy(seen),
    };
    gate.up.behave(move |seen| lacking(seen, 404));
    gate.old.behave(move |seen| lacking(seen, 200));
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    for upstream in ["up", "old"] {
        let (prompt, uri) = (format!("{upstream}__greet"), format!("{upstream}+file:///srv/public/a.txt"));
        for (method, member, name, message, code) in [
            ("prompts/get", "name", &prompt, "Unknown prompt", -32602),
            ("resources/read", "uri", &uri, "Resource not found", -32002),
        ] {
            let params = format!(r#""{member}":"{name}","#);
            let answer = gate.reach.send(&gate.modern("/mcp", &token, method, &params).add("Mcp-Name", name)).await;
            let error = answer.json()["error"].clone();
            assert_eq!((answer.code(), &error["message"]), (-32602, &json!(message)), "{}", answer.whole());
            if method == "resources/read" {
                assert_eq!(error["data"]["uri"], **name, "{}", answer.whole());
            }
            let body = format!(r#"{{"jsonrpc":"2.0","id":3,"method":"{method}","params":{{"{member}":"{name}"}}}}"#);
            let answer = gate.reach.send(&gate.legacy("/mcp", &token, "2025-11-25", &session, &body)).await;
            assert_eq!((answer.status, answer.code()), (200, code), "{}", answer.whole());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_without_a_usable_name_hides_no_other() {
    let gate = Gate::start().await;
    let open = json!({"type": "object"});
    let named = |name: Value| json!({"name": name, "inputSchema": open});
    let tools = json!([named(json!("")), named(json!("echo")), named(json!("x".repeat(257))), named(json!("mirror"))]);
    gate.up.behave(move |seen| modern_with(seen, &tools));
    let token = gate.token("alice", &["eng"]);
    let list = gate.reach.send(&gate.modern("/bare", &token, "tools/list", "")).await;
    assert_eq!(names(&list, "tools", "name"), ["echo", "mirror"]);
    assert!(gate.reach.send(&gate.call("/bare", &token, "mirror", "{}")).await.text().contains("did"));
}
