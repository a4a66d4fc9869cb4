//! Tasks of 2025-11-25, between clients and upstreams of that revision.

use serde_json::{Value, json};

use super::{POLICY, Workshop, is_unknown};
use crate::peer::Answer;
use crate::wire::Resp;

const REVISION: &str = "2025-11-25";

/// A session of alice's, and one of bob's.
struct Rooms<'s> {
    shop: &'s Workshop,
    token: String,
    session: String,
}

impl<'s> Rooms<'s> {
    async fn of(shop: &'s Workshop, sub: &str) -> Self {
        let token = shop.gate.token(sub, &["eng"]);
        let session = shop.gate.session("/mcp", &token, REVISION).await;
        Self { shop, token, session }
    }

    async fn send(&self, method: &str, params: &Value) -> Resp {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        self.shop.send(&self.shop.gate.legacy("/mcp", &self.token, REVISION, &self.session, &body)).await
    }

    async fn call(&self, tool: &str, task: &Value) -> Resp {
        self.send("tools/call", &json!({"name": tool, "arguments": {}, "task": task})).await
    }

    async fn about(&self, method: &str, id: &str) -> Resp {
        self.send(method, &json!({"taskId": id})).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_capability_is_that_of_the_revision_and_lists_nothing() {
    let shop = Workshop::open().await;
    let token = shop.gate.token("alice", &["eng"]);
    for (route, revision, expect) in [
        ("/mcp", REVISION, json!({"cancel": {}, "requests": {"tools": {"call": {}}}})),
        ("/mcp", "2025-06-18", Value::Null),
        // Upstreams of the newest revision have no such tasks, whatever they say.
        ("/bare", REVISION, Value::Null),
    ] {
        let opened = shop.send(&shop.gate.initialize(route, &token, revision)).await.json();
        let capabilities = &opened["result"]["capabilities"];
        assert_eq!((&capabilities["tasks"], &capabilities["extensions"]), (&expect, &Value::Null), "{route} {revision}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_relayed_like_for_like() {
    let shop = Workshop::open().await;
    let (alice, bob) = (Rooms::of(&shop, "alice").await, Rooms::of(&shop, "bob").await);
    let answer = alice.call("old__optional", &json!({"ttl": 5_000, "x": 1})).await;
    let task = answer.json()["result"]["task"].clone();
    let id = task["taskId"].as_str().unwrap().to_owned();
    assert_eq!((&task["status"], &task["ttl"], &task["pollInterval"]), (&json!("working"), &json!(5_000), &json!(200)));
    assert!(!answer.whole().contains("own-1") && answer.json()["result"].get("_meta").is_none(), "{}", answer.whole());
    assert_eq!(shop.gate.old.calls()[0].json()["params"]["task"], json!({"ttl": 5_000}));

    let got = alice.about("tasks/get", &id).await.json()["result"].clone();
    assert_eq!((&got["taskId"], &got["status"], &got["ttl"]), (&json!(id), &json!("working"), &json!(60_000)));
    let seen = shop.seen_tasks().pop().unwrap();
    assert_eq!(seen.json()["params"], json!({"taskId": "own-1", "_meta": seen.json()["params"]["_meta"]}));

    let link = json!({"type": "resource_link", "name": "a", "uri": "file:///a"});
    shop.old.set("own-1", &json!({"status": "completed", "result": {"content": [link]}}));
    let result = alice.about("tasks/result", &id).await;
    let meta = json!({"kept": 1, "io.modelcontextprotocol/related-task": {"taskId": id}});
    assert_eq!(result.json()["result"]["_meta"], meta, "{}", result.whole());
    assert_eq!(result.json()["result"]["content"][0]["uri"], "old+file:///a");
    assert!(!result.whole().contains("own-1"));

    let seen = shop.seen_tasks().len();
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        for (room, id) in [(&bob, id.as_str()), (&alice, "own-1"), (&alice, "")] {
            let refused = room.about(method, id).await;
            assert!(is_unknown(&refused), "{method}: {}", refused.whole());
        }
    }
    let list = alice.send("tasks/list", &json!({})).await;
    let update = alice.send("tasks/update", &json!({"taskId": id, "inputResponses": {}})).await;
    assert_eq!((list.code(), update.code(), shop.seen_tasks().len()), (-32601, -32601, seen));
    // Another session of hers is hers as well.
    let again = Rooms::of(&shop, "alice").await;
    assert_eq!(again.about("tasks/cancel", &id).await.json()["result"]["status"], "cancelled");
    assert_eq!(again.about("tasks/get", &id).await.json()["result"]["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_asks_while_its_result_is_waited_for() {
    let asks = POLICY.replace("\"up:elicitation.form\"", "\"*:elicitation.form\"");
    let shop = Workshop::with(|files| files.policy = asks).await;
    let opened = |token: &str| {
        shop.gate.initialize("/mcp", token, REVISION).edit(r#""capabilities":{}"#, r#""capabilities":{"elicitation":{}}"#)
    };
    let old = shop.old.clone();
    shop.gate.old.behave(move |seen| match seen.rpc().as_str() {
        "tasks/result" => {
            let meta = json!({"io.modelcontextprotocol/related-task": {"taskId": "own-1"}});
            let params = json!({"message": "name?", "requestedSchema": {"type": "object"}, "_meta": meta});
            let question = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params});
            let result = json!({"content": [{"type": "text", "text": "done"}]});
            let reply = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            Answer::Raw(format!("{head}data: {question}\n\ndata: {reply}\n\n").into_bytes())
        }
        _ => old.legacy(seen),
    });
    // Who may be asked is: on the stream of the result, and of a call whose task the gateway waits for.
    for (groups, told) in [(&["eng", "asked"][..], true), (&["eng"][..], false)] {
        let token = shop.gate.token("alice", groups);
        let session = shop.send(&opened(&token)).await.header("mcp-session-id").unwrap().to_owned();
        let alice = Rooms { shop: &shop, token, session };
        let task = alice.call("old__optional", &json!({})).await.json()["result"]["task"].clone();
        let id = task["taskId"].as_str().unwrap();
        for own in shop.old.ids() {
            shop.old.set(&own, &json!({"status": "input_required"}));
        }
        let events = events(&alice.about("tasks/result", id).await);
        let question = events.iter().find(|event| event["method"] == "elicitation/create");
        assert_eq!(question.is_some(), told, "{events:?}");
        let related =
            question.map(|question| question["params"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"].clone());
        assert_eq!(related, told.then(|| json!(id)), "{events:?}");
        assert_eq!(events.last().unwrap()["result"]["content"][0]["text"], "done");
        assert!(!json!(events).to_string().contains("own-1"), "{events:?}");
    }
}

/// The messages of an answer, whole or in pieces.
fn events(answer: &Resp) -> Vec<Value> {
    let text = answer.text();
    let pieces: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: ").filter(|data| !data.is_empty()))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    if pieces.is_empty() { vec![answer.json()] } else { pieces }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_is_called_as_it_says_it_can_be() {
    let shop = Workshop::open().await;
    let alice = Rooms::of(&shop, "alice").await;
    let forbidden = alice.call("old__plain", &json!({})).await;
    assert_eq!((forbidden.code(), shop.gate.old.calls().len()), (-32601, 0), "{}", forbidden.whole());
    let made = alice.call("old__required", &json!({})).await;
    assert!(made.json()["result"]["task"]["taskId"].is_string(), "{}", made.whole());
    assert_eq!(shop.gate.old.calls()[0].json()["params"]["task"], json!({}));
    // Where there are no tasks, the wish for one is ignored; so it is in revisions that have none.
    let plain = alice.call("up__plain", &json!({})).await;
    assert!(plain.text().contains("at once") && shop.gate.up.calls()[0].json()["params"].get("task").is_none());
    let session = shop.gate.session("/mcp", &alice.token, "2025-06-18").await;
    let call = json!({"name": "old__optional", "arguments": {}, "task": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).to_string();
    let plain = shop.send(&shop.gate.legacy("/mcp", &alice.token, "2025-06-18", &session, &body)).await;
    assert!(plain.text().contains("at once"), "{}", plain.whole());
    assert!(shop.gate.old.calls().pop().unwrap().json()["params"].get("task").is_none());
}
