//! The gateway waits for tasks on behalf of clients that know none, or not those of the upstream's era.

use serde_json::{Value, json};

use super::{EXTENSION, Workshop, was_declared};
use crate::gate::soon;
use crate::wire::Req;

const REVISION: &str = "2025-11-25";

fn result(text: &str) -> Value {
    json!({"status": "completed", "result": {"content": [{"type": "text", "text": text}]}})
}

async fn session_call(shop: &Workshop, token: &str, tool: &str, meta: &Value) -> Req {
    let session = shop.gate.session("/mcp", token, REVISION).await;
    let params = json!({"name": tool, "arguments": {}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    shop.gate.legacy("/mcp", token, REVISION, &session, &body)
}

/// The methods of tasks that reached an upstream, each once.
fn methods(shop: &Workshop) -> Vec<String> {
    let mut methods: Vec<String> = shop.seen_tasks().iter().map(crate::peer::Seen::rpc).collect();
    methods.dedup();
    methods
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_client_is_served_by_a_tool_that_demands_the_extension() {
    let shop = Workshop::open().await;
    let token = shop.gate.token("alice", &["eng"]);
    let request = session_call(&shop, &token, "up__demanding", &json!({})).await;
    for (round, calls) in [("own-1", 2), ("own-2", 3)] {
        let (reach, request) = (shop.gate.reach.clone(), request.clone());
        let answer = tokio::spawn(async move { reach.send(&request).await });
        soon("a look", || shop.seen_tasks().iter().any(|seen| seen.json()["params"]["taskId"] == round)).await;
        shop.up.set(round, &result(&format!("done {}", super::SECRET)));
        let answer = answer.await.unwrap();
        assert!(
            answer.text().contains("done [redacted") && answer.json()["result"].get("taskId").is_none(),
            "{}",
            answer.whole()
        );
        assert!(!answer.text().contains("resultType") && !answer.text().contains("own-"), "{}", answer.whole());
        // Asked in vain once; after that it is known.
        let seen = shop.gate.up.calls();
        assert_eq!((seen.len(), was_declared(&seen[0]), was_declared(&seen[calls - 1])), (calls, false, true));
    }
    assert!(shop.seen_tasks().iter().all(was_declared));
    // A client of the upstream's own revision is told what it would have to declare.
    let told = shop.send(&shop.gate.call("/mcp", &token, "up__demanding", "{}")).await;
    assert_eq!((told.status, told.code()), (400, -32021), "{}", told.whole());
    assert_eq!(told.json()["error"]["data"]["requiredCapabilities"], json!({"extensions": {EXTENSION: {}}}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_can_only_be_a_task_serves_clients_that_know_none() {
    let shop = Workshop::open().await;
    let token = shop.gate.token("alice", &["eng"]);
    let older = session_call(&shop, &token, "old__required", &json!({})).await;
    let rows = [
        ("own-1", shop.gate.call("/mcp", &token, "old__required", "{}")),
        ("own-2", shop.call("/mcp", &token, "old__required")),
        ("own-3", older),
    ];
    for (id, request) in rows {
        let reach = shop.gate.reach.clone();
        let answer = tokio::spawn(async move { reach.send(&request).await });
        soon("a look", || shop.seen_tasks().iter().any(|seen| seen.json()["params"]["taskId"] == id)).await;
        shop.old.set(id, &result(&format!("done {id} {}", super::SECRET)));
        let answer = answer.await.unwrap();
        let result = answer.json()["result"].clone();
        assert!(answer.text().contains("done") && !answer.text().contains(super::SECRET), "{}", answer.whole());
        assert!(!result["_meta"].to_string().contains("related-task") && result.get("task").is_none(), "{}", answer.whole());
    }
    assert_eq!(methods(&shop)[..2], ["tasks/get", "tasks/result"]);
    let task = shop.gate.old.calls()[0].json()["params"]["task"].clone();
    assert!(task["ttl"].as_u64().is_some_and(|ms| (1..=10_000).contains(&ms)), "as long as the call may last: {task}");
    assert!(!methods(&shop).contains(&"tasks/cancel".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_task_stands_is_progress_where_it_is_asked_for() {
    let shop = Workshop::open().await;
    let token = shop.gate.token("alice", &["eng"]);
    let request = session_call(&shop, &token, "old__required", &json!({"progressToken": "p"})).await;
    let reach = shop.gate.reach.clone();
    let answer = tokio::spawn(async move { reach.send(&request).await });
    soon("a task", || !shop.old.ids().is_empty()).await;
    shop.old.set("own-1", &json!({"statusMessage": format!("half {}", super::SECRET)}));
    soon("two looks", || shop.seen_tasks().len() >= 2).await;
    shop.old.set("own-1", &result("done"));
    let text = answer.await.unwrap().text();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: ").filter(|data| !data.is_empty()))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let progress: Vec<&Value> = events.iter().filter(|event| event["method"] == "notifications/progress").collect();
    assert!(progress.len() >= 2 && events.last().unwrap()["result"]["content"][0]["text"] == "done", "{text}");
    let numbers: Vec<u64> = progress.iter().map(|event| event["params"]["progress"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]) && progress.iter().all(|p| p["params"]["progressToken"] == "p"));
    assert!(text.contains("half [redacted") && !text.contains(super::SECRET), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waiting_any_more_ends_the_task() {
    let shop = Workshop::open().await;
    let token = shop.gate.token("alice", &["eng"]);
    let mut conn = shop.gate.reach.open().await;
    conn.write(&shop.gate.call("/mcp", &token, "old__required", "{}").bytes()).await;
    soon("a look", || !shop.seen_tasks().is_empty()).await;
    drop(conn);
    soon("the end", || methods(&shop).contains(&"tasks/cancel".to_owned())).await;
    // An older client says so.
    let session = shop.gate.session("/mcp", &token, REVISION).await;
    let legacy = |body: &str| shop.gate.legacy("/mcp", &token, REVISION, &session, body);
    let call = legacy(r#"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"up__demanding","arguments":{}}}"#);
    let reach = shop.gate.reach.clone();
    let answer = tokio::spawn(async move { reach.send(&call).await });
    soon("a look", || shop.gate.up.seen().iter().any(|seen| seen.rpc() == "tasks/get")).await;
    shop.send(&legacy(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}"#)).await;
    soon("the end", || shop.gate.up.seen().iter().any(|seen| seen.rpc() == "tasks/cancel")).await;
    answer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_with_the_time_of_the_call_the_rule_and_the_task() {
    let shop = Workshop::with(|files| files.config = files.config.replace("call_timeout: 10s", "call_timeout: 1500ms")).await;
    let token = shop.gate.token("alice", &["eng"]);
    let call = shop.gate.call("/mcp", &token, "old__required", "{}");
    let late = shop.send(&call).await;
    assert!(late.text().contains("upstream_timeout"), "{}", late.whole());
    soon("the end", || methods(&shop).contains(&"tasks/cancel".to_owned())).await;
    // The task is cancelled elsewhere.
    let (reach, request) = (shop.gate.reach.clone(), session_call(&shop, &token, "up__demanding", &json!({})).await);
    let answer = tokio::spawn(async move { reach.send(&request).await });
    soon("a task", || !shop.up.ids().is_empty()).await;
    shop.up.set("own-1", &json!({"status": "cancelled"}));
    let answer = answer.await.unwrap();
    assert!(answer.json()["result"]["isError"] == true && answer.text().contains("upstream_unavailable"), "{}", answer.whole());
    // A question that nobody said could be asked.
    let (reach, request) = (shop.gate.reach.clone(), session_call(&shop, &token, "up__demanding", &json!({})).await);
    let answer = tokio::spawn(async move { reach.send(&request).await });
    soon("a task", || shop.up.ids().len() == 2).await;
    let asks = json!({"k": {"method": "elicitation/create", "params": {"message": "question-canary", "requestedSchema": {}}}});
    shop.up.set("own-2", &json!({"status": "input_required", "inputRequests": asks}));
    let answer = answer.await.unwrap();
    assert!(answer.json()["result"]["isError"] == true && !answer.text().contains("question-canary"), "{}", answer.whole());
}

/// Neither the rule nor the credential that ends the wait keeps the task going.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_cancelled_by_whoever_may_not_wait_for_it_any_more() {
    for revoked in [false, true] {
        let shop = Workshop::with(|files| {
            let line = crate::gate::ISSUER_LINE;
            files.config = files.config.replace(line, &format!("  revocations: revoked.yaml\n{line}"));
            files.more = vec![("revoked.yaml".into(), "[]".into())];
        })
        .await;
        let token = shop.gate.token("alice", &["eng"]);
        let (reach, request) = (shop.gate.reach.clone(), session_call(&shop, &token, "up__demanding", &json!({})).await);
        let answer = tokio::spawn(async move { reach.send(&request).await });
        soon("a look", || shop.gate.up.seen().iter().any(|seen| seen.rpc() == "tasks/get")).await;
        match revoked {
            true => shop.gate.reload("revoked.yaml", "- { iss: \"https://idp.example.com\", sub: alice }\n"),
            false => {
                let deny = "  - { id: no-more, effect: deny, tools: [up__demanding] }\n";
                shop.gate.reload("policy.yaml", &format!("{}{deny}", super::POLICY));
            }
        }
        soon("the task is cancelled", || shop.gate.up.seen().iter().any(|seen| seen.rpc() == "tasks/cancel")).await;
        let answer = answer.await.unwrap();
        assert!(!answer.text().contains("\"done\""), "{}", answer.whole());
    }
}
