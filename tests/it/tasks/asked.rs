//! Questions of tasks that the gateway waits for: put to the client of the call as any call's would be.

use serde_json::{Value, json};

use super::{EXTENSION, POLICY, SECRET, Workshop, was_declared};
use crate::gate::soon;
use crate::peer::{Answer, Seen};
use crate::wire::{Conn, Req};

const REVISION: &str = "2025-11-25";

fn form(message: &str) -> Value {
    json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": {"type": "object", "properties": {}}}})
}

fn result(text: &str) -> Value {
    json!({"status": "completed", "result": {"content": [{"type": "text", "text": text}]}})
}

/// A session of a client that can be asked this, and its calls.
struct Asked<'s> {
    shop: &'s Workshop,
    token: String,
    revision: &'static str,
    session: String,
}

impl<'s> Asked<'s> {
    async fn open(shop: &'s Workshop, revision: &'static str, capabilities: &str) -> Self {
        let token = shop.gate.token("alice", &["eng", "asked"]);
        let opening = shop.gate.initialize("/mcp", &token, revision);
        let opening = opening.edit(r#""capabilities":{}"#, &format!(r#""capabilities":{capabilities}"#));
        let session = shop.send(&opening).await.header("mcp-session-id").unwrap().to_owned();
        Self { shop, token, revision, session }
    }

    fn message(&self, body: &Value) -> Req {
        self.shop.gate.legacy("/mcp", &self.token, self.revision, &self.session, &body.to_string())
    }

    /// The stream of a call whose task is at work.
    async fn call(&self, tool: &str) -> Conn {
        let before = self.shop.seen_tasks().len();
        let mut conn = self.shop.gate.reach.open().await;
        let params = json!({"name": tool, "arguments": {}});
        conn.write(&self.message(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})).bytes()).await;
        soon("a look", || self.shop.seen_tasks().len() > before).await;
        conn
    }

    async fn answer(&self, question: &Value, outcome: Value) {
        let mut body = json!({"jsonrpc": "2.0", "id": question["id"]});
        body.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
        assert_eq!(self.shop.send(&self.message(&body)).await.status, 202);
    }
}

/// What an upstream of the extension was answered, by task.
fn updates(shop: &Workshop) -> Vec<Seen> {
    shop.gate.up.seen().into_iter().filter(|seen| seen.rpc() == "tasks/update").collect()
}

fn cancels(shop: &Workshop) -> usize {
    shop.seen_tasks().iter().filter(|seen| seen.rpc() == "tasks/cancel").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_client_is_asked_on_the_stream_of_its_call() {
    let shop = Workshop::open().await;
    for revision in ["2025-11-25", "2025-06-18"] {
        let alice = Asked::open(&shop, revision, r#"{"elicitation":{}}"#).await;
        let before = updates(&shop).len();
        let mut conn = alice.call("up__demanding").await;
        let own = shop.up.ids().pop().unwrap();
        let asks = json!({"k": form(&format!("Who? {SECRET}")), "l": form("Where?")});
        shop.up.set(&own, &json!({"status": "input_required", "inputRequests": asks}));
        conn.head().await;
        let (first, second) = (conn.message().await.unwrap(), conn.message().await.unwrap());
        assert_eq!(first["method"], "elicitation/create", "{first}");
        assert!(first["params"]["message"].as_str().unwrap().starts_with("[up] Who? [redacted"), "{first}");
        assert_eq!(second["params"]["message"], "[up] Where?");
        // Until the last is answered the task hears nothing, and it is asked no more however often it is looked at.
        alice.answer(&second, json!({"error": {"code": -1, "message": "no"}})).await;
        let looks = shop.seen_tasks().len();
        soon("more looks", || shop.seen_tasks().len() > looks + 1).await;
        assert_eq!(updates(&shop).len(), before);
        alice.answer(&first, json!({"result": {"action": "accept", "content": {"name": "Ada"}}})).await;
        soon("the answers", || updates(&shop).len() > before).await;
        let update = updates(&shop).pop().unwrap();
        assert!(was_declared(&update) && update.header("mcp-name") == Some(&own), "{}", update.whole());
        let responses = json!({"k": {"action": "accept", "content": {"name": "Ada"}}, "l": {"action": "cancel"}});
        assert_eq!(update.json()["params"]["inputResponses"], responses);
        // Its keys are used once; a new one is another question.
        shop.up.set(&own, &json!({"inputRequests": {"k": form("Who?"), "m": form("Sure?")}}));
        let third = conn.message().await.unwrap();
        assert_eq!(third["params"]["message"], "[up] Sure?");
        alice.answer(&third, json!({"result": {"action": "decline"}})).await;
        soon("the answer", || updates(&shop).len() > before + 1).await;
        assert_eq!(updates(&shop).pop().unwrap().json()["params"]["inputResponses"], json!({"m": {"action": "decline"}}));
        shop.up.set(&own, &result("done"));
        let last = conn.message().await.unwrap();
        assert_eq!((&last["id"], &last["result"]["content"][0]["text"]), (&json!(1), &json!("done")), "{last}");
        assert_eq!(cancels(&shop), 0);
    }
    // The upstream was told what it may ask.
    let call = shop.gate.up.calls().pop().unwrap();
    let told = &call.json()["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(*told, json!({"elicitation": {"form": {}}, "extensions": {EXTENSION: {}}}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_answers_or_may_be_asked_ends_the_call_and_the_task() {
    let sampling = POLICY.replace("\"up:elicitation.url\"", "\"up:sampling\"");
    let shop = Workshop::with(|files| files.policy = sampling).await;
    let sample = json!({"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}});
    for (what, capabilities, question, told) in [
        ("nobody can say no for a model", r#"{"elicitation":{},"sampling":{}}"#, sample.clone(), "declined"),
        ("not declared", r#"{"elicitation":{}}"#, sample, ""),
        ("no rule", r#"{"roots":{}}"#, json!({"method": "roots/list"}), ""),
        (
            "no text",
            r#"{"elicitation":{}}"#,
            json!({"method": "elicitation/create", "params": {"requestedSchema": {}}}),
            "cannot give",
        ),
    ] {
        let alice = Asked::open(&shop, REVISION, capabilities).await;
        let before = cancels(&shop);
        let mut conn = alice.call("up__demanding").await;
        let own = shop.up.ids().pop().unwrap();
        shop.up.set(&own, &json!({"status": "input_required", "inputRequests": {"k": question}}));
        let text = if told == "declined" {
            conn.head().await;
            let question = conn.message().await.unwrap();
            alice.answer(&question, json!({"error": {"code": -1, "message": "no"}})).await;
            conn.message().await.unwrap().to_string()
        } else {
            conn.response().await.text()
        };
        assert!(text.contains("\"isError\":true") && text.contains(told) && !text.contains("requestedSchema"), "{what}: {text}");
        soon("the task is cancelled", || cancels(&shop) == before + 1).await;
        assert!(updates(&shop).is_empty(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_decided_about_when_it_comes() {
    let shop = Workshop::open().await;
    let alice = Asked::open(&shop, REVISION, r#"{"elicitation":{}}"#).await;
    let mut conn = alice.call("up__demanding").await;
    shop.up.set("own-1", &json!({"status": "input_required", "inputRequests": {"k": form("Who?")}}));
    conn.head().await;
    let question = conn.message().await.unwrap();
    shop.gate.reload("policy.yaml", &format!("{POLICY}  - {{ id: no-more, effect: deny, tools: [up__demanding] }}\n"));
    soon("the rule takes effect", || cancels(&shop) == 1).await;
    alice.answer(&question, json!({"result": {"action": "accept", "content": {"name": "answer-canary"}}})).await;
    assert_eq!(conn.message().await.unwrap()["params"]["requestId"], question["id"], "it is withdrawn");
    let last = conn.message().await.unwrap();
    assert!(last["result"]["isError"] == true && updates(&shop).is_empty(), "{last}");
    // A tool that writes goes on by an answer: the intent of that is on record before.
    let shop = Workshop::with(|files| {
        let writes = POLICY.replace("\"*__demanding\", ", "").replace("[\"*__ask\"]", "[\"*__ask\", \"*__demanding\"]");
        files.policy = writes;
    })
    .await;
    let alice = Asked::open(&shop, REVISION, r#"{"elicitation":{}}"#).await;
    let mut conn = alice.call("up__demanding").await;
    shop.up.set("own-1", &json!({"status": "input_required", "inputRequests": {"k": form("Who?")}}));
    conn.head().await;
    let question = conn.message().await.unwrap();
    let intents = |shop: &Workshop| shop.gate.records().iter().filter(|record| record["kind"] == "intent").count();
    let before = intents(&shop);
    alice.answer(&question, json!({"result": {"action": "accept"}})).await;
    soon("the answer", || updates(&shop).len() == 1).await;
    assert_eq!(intents(&shop), before + 1);
    shop.up.set("own-1", &result("done"));
    assert_eq!(conn.message().await.unwrap()["result"]["content"][0]["text"], "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_have_time_of_their_own() {
    let shop = Workshop::with(|files| {
        files.config = files.config.replace("timeout: 9s", "timeout: 500ms").replace("call_timeout: 10s", "call_timeout: 900ms")
    })
    .await;
    let alice = Asked::open(&shop, REVISION, r#"{"elicitation":{}}"#).await;
    let mut conn = alice.call("up__demanding").await;
    shop.up.set("own-1", &json!({"status": "input_required", "inputRequests": {"k": form("Who?")}}));
    conn.head().await;
    let question = conn.message().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    alice.answer(&question, json!({"result": {"action": "accept"}})).await;
    soon("the answer", || updates(&shop).len() == 1).await;
    shop.up.set("own-1", &result("done"));
    assert_eq!(conn.message().await.unwrap()["result"]["content"][0]["text"], "done");
}

/// A task of 2025-11-25 asks while its result is waited for: whoever called the tool is asked as by any call, in either way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_a_session_asks_clients_of_either_kind() {
    let asks = POLICY.replace("\"up:elicitation.form\"", "\"*:elicitation.form\"");
    let shop = Workshop::with(|files| files.policy = asks).await;
    let (old, asker) = (shop.old.clone(), std::sync::Arc::new(parking_lot::Mutex::new(None)));
    shop.gate.old.behave(move |seen| match seen.rpc().as_str() {
        "tasks/result" => {
            let (to, events) = tokio::sync::mpsc::unbounded_channel();
            let params = json!({"message": "Who?", "requestedSchema": {"type": "object"}});
            let _ = to.send(json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params}));
            *asker.lock() = Some((to, seen.json()["id"].clone()));
            Answer::Events(events)
        }
        "" => {
            if let Some((to, id)) = asker.lock().take() {
                let content = json!([{"type": "text", "text": seen.json()["result"].to_string()}]);
                let _ = to.send(json!({"jsonrpc": "2.0", "id": id, "result": {"content": content}}));
            }
            Answer::Json(202, "", String::new())
        }
        _ => old.legacy(seen),
    });
    let answer = json!({"action": "accept", "content": {"name": "Ada"}});
    let answer_text = answer.to_string();
    let alice = Asked::open(&shop, "2025-06-18", r#"{"elicitation":{}}"#).await;
    let mut conn = alice.call("old__required").await;
    shop.old.set("own-1", &json!({"status": "input_required"}));
    conn.head().await;
    let question = conn.message().await.unwrap();
    assert_eq!(question["params"]["message"], "[old] Who?", "{question}");
    alice.answer(&question, json!({ "result": answer })).await;
    let last = conn.message().await.unwrap();
    assert_eq!(last["result"]["content"][0]["text"], answer_text, "{last}");

    // One without a session is answered, and brings the answer in a retry, while the task waits.
    let call = |more: &str| {
        let request =
            shop.gate.modern("/mcp", &alice.token, "tools/call", &format!(r#""name":"old__required","arguments":{{}},{more}"#));
        let caps = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
        request.edit(caps, &caps.replace("{}", r#"{"elicitation":{}}"#)).add("Mcp-Name", "old__required")
    };
    let (reach, request) = (shop.gate.reach.clone(), call(""));
    let asked = tokio::spawn(async move { reach.send(&request).await });
    soon("a task", || shop.old.ids().len() == 2).await;
    shop.old.set("own-2", &json!({"status": "input_required"}));
    let asked = asked.await.unwrap().json()["result"].clone();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let (key, _) = asked["inputRequests"].as_object().unwrap().iter().next().unwrap();
    let retry = call(&format!(r#""requestState":{},"inputResponses":{},"#, asked["requestState"], json!({ key: answer })));
    let done = shop.send(&retry).await;
    assert_eq!(done.json()["result"]["content"][0]["text"], answer_text, "{}", done.whole());
    assert_eq!(cancels(&shop), 0);
}

/// What the call asked before its task was made is answered where it was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_asked_and_then_became_a_task_hears_the_answer() {
    let asks = POLICY.replace("\"up:elicitation.form\"", "\"*:elicitation.form\"");
    let shop = Workshop::with(|files| files.policy = asks).await;
    let (old, heard) = (shop.old.clone(), std::sync::Arc::new(parking_lot::Mutex::new(Vec::<Value>::new())));
    let hears = heard.clone();
    shop.gate.old.behave(move |seen| match (seen.rpc().as_str(), old.legacy(seen)) {
        ("tools/call", Answer::Json(_, _, made)) => {
            let (to, events) = tokio::sync::mpsc::unbounded_channel();
            let mut question = form("Who?");
            (question["jsonrpc"], question["id"]) = (json!("2.0"), json!(0));
            to.send(question).unwrap();
            to.send(serde_json::from_str(&made).unwrap()).unwrap();
            Answer::Events(events)
        }
        ("", _) => {
            hears.lock().push(seen.json());
            Answer::Json(202, "", String::new())
        }
        (_, answer) => answer,
    });
    let alice = Asked::open(&shop, "2025-06-18", r#"{"elicitation":{}}"#).await;
    let mut conn = alice.call("old__required").await;
    conn.head().await;
    let question = conn.message().await.unwrap();
    assert_eq!(question["params"]["message"], "[old] Who?", "{question}");
    let answer = json!({"action": "accept", "content": {"name": "Ada"}});
    alice.answer(&question, json!({ "result": answer })).await;
    let said = || heard.lock().iter().find(|said| said["id"] == 0).map(|said| said["result"].clone());
    soon("the answer", || said() == Some(answer.clone())).await;
    shop.old.set("own-1", &result("done"));
    let last = conn.message().await.unwrap();
    assert_eq!((&last["id"], &last["result"]["content"][0]["text"]), (&json!(1), &json!("done")), "{last}");
}
