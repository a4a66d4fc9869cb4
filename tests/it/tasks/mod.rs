//! Tasks of upstreams: relayed to clients that know them, waited for on behalf of those that do not, and nobody else's.

mod asked;
mod followed;
mod polled;
mod sessions;
mod shelf;

use serde_json::{Value, json};

use crate::gate::{Files, Gate};
use crate::peer::Seen;
use crate::wire::{Req, Resp};
use shelf::{EXTENSION, Shelf};

const POLICY: &str = r#"
version: 1
groups:
  eng: { claim: groups, any_of: [eng] }
  asked: { claim: groups, any_of: [asked] }
tools:
  - { match: ["*__job", "*__demanding", "*__plain", "*__required", "*__optional"], class: read }
  - { match: ["*__ask"], class: write }
rules:
  - id: eng
    effect: allow
    principals: ["group:eng"]
    tools: ["*"]
    classes: [read, write]
    require: { redact: [secrets] }
  - { id: may-ask, effect: allow, principals: ["group:asked"], capabilities: ["up:elicitation.form", "up:elicitation.url"] }
"#;

/// A secret by its shape.
const SECRET: &str = "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8";

/// A gateway whose upstreams make tasks.
struct Workshop {
    gate: Gate,
    up: Shelf,
    old: Shelf,
}

impl Workshop {
    async fn open() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Files)) -> Self {
        let gate = Gate::with(|files| {
            files.policy = POLICY.to_owned();
            change(files);
        })
        .await;
        let (up, old) = (Shelf::default(), Shelf::default());
        let (modern, legacy) = (up.clone(), old.clone());
        gate.up.behave(move |seen| modern.modern(seen));
        gate.old.behave(move |seen| legacy.legacy(seen));
        Self { gate, up, old }
    }

    /// A request of 2026-07-28 of a client that declares tasks and forms.
    fn ask(&self, route: &str, token: &str, method: &str, name: &str, params: &str) -> Req {
        let declared =
            format!(r#""io.modelcontextprotocol/clientCapabilities":{{"elicitation":{{}},"extensions":{{"{EXTENSION}":{{}}}}}}"#);
        let undeclared = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
        self.gate.modern(route, token, method, params).edit(undeclared, &declared).add("Mcp-Name", name)
    }

    fn call(&self, route: &str, token: &str, tool: &str) -> Req {
        self.ask(route, token, "tools/call", tool, &format!(r#""name":"{tool}","arguments":{{}},"#))
    }

    /// `more` are further members of `params`, each ending in a comma.
    fn about(&self, route: &str, token: &str, method: &str, id: &str, more: &str) -> Req {
        self.ask(route, token, method, id, &format!(r#""taskId":"{id}",{more}"#))
    }

    /// Makes a task at `up` and returns the client's id of it.
    async fn made(&self, route: &str, token: &str, tool: &str) -> String {
        let answer = self.gate.reach.send(&self.call(route, token, tool)).await;
        let result = answer.json()["result"].clone();
        assert_eq!((answer.status, &result["resultType"]), (200, &json!("task")), "{}", answer.whole());
        result["taskId"].as_str().unwrap().to_owned()
    }

    async fn send(&self, request: &Req) -> Resp {
        self.gate.reach.send(request).await
    }

    /// What reached an upstream of tasks.
    fn seen_tasks(&self) -> Vec<Seen> {
        let all = self.gate.up.seen().into_iter().chain(self.gate.old.seen());
        all.filter(|seen| seen.rpc().starts_with("tasks/")).collect()
    }
}

/// Whether the upstream was told that the caller knows tasks.
fn was_declared(seen: &Seen) -> bool {
    seen.json()["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"][EXTENSION].is_object()
}

fn is_unknown(answer: &Resp) -> bool {
    let error = answer.json()["error"].clone();
    (answer.status, error["code"].as_i64(), error["message"].as_str()) == (200, Some(-32602), Some("Unknown task"))
        && error.get("data").is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_relayed_under_an_id_of_ours() {
    let shop = Workshop::open().await;
    let token = shop.gate.token("alice", &["eng"]);
    let discovered = shop.send(&shop.gate.modern("/mcp", &token, "server/discover", "")).await.json();
    let capabilities = &discovered["result"]["capabilities"];
    assert_eq!((&capabilities["extensions"][EXTENSION], &capabilities["tasks"]), (&json!({}), &Value::Null), "{discovered}");
    let none = shop.send(&shop.gate.modern("/legacy", &token, "server/discover", "")).await.json();
    assert_eq!(none["result"]["capabilities"]["extensions"], Value::Null, "{none}");

    let answer = shop.send(&shop.call("/mcp", &token, "up__job")).await;
    let made = answer.json()["result"].clone();
    let id = made["taskId"].as_str().unwrap().to_owned();
    assert_eq!((&made["resultType"], &made["status"], &made["ttlMs"]), (&json!("task"), &json!("working"), &json!(60_000)));
    assert!(!answer.whole().contains("own-1"), "{}", answer.whole());
    let calls = shop.gate.up.calls();
    assert!(was_declared(&calls[0]));
    // A client that declares nothing has the tool's plain answer, and the upstream is told nothing.
    let plain = shop.send(&shop.gate.call("/mcp", &token, "up__job", "{}")).await;
    assert!(plain.text().contains("at once") && !was_declared(&shop.gate.up.calls()[1]), "{}", plain.whole());

    let get = shop.about("/mcp", &token, "tasks/get", &id, "");
    let working = shop.send(&get).await.json()["result"].clone();
    assert_eq!(
        (&working["taskId"], &working["status"], &working["resultType"]),
        (&json!(id), &json!("working"), &json!("complete"))
    );
    let seen = shop.seen_tasks().pop().unwrap();
    assert_eq!((seen.header("mcp-name"), seen.header("mcp-method")), (Some("own-1"), Some("tasks/get")));
    assert_eq!(seen.json()["params"]["taskId"], "own-1");
    assert!(was_declared(&seen) && !seen.whole().contains(&id));

    let content =
        json!([{"type": "text", "text": format!("key {SECRET}")}, {"type": "resource_link", "name": "a", "uri": "file:///a"}]);
    let meta = json!({"io.modelcontextprotocol/related-task": {"taskId": "own-1"}, "dev.portcullis/x": 1, "kept": 1});
    let more = json!({"requestState": "s", "x": 1, "result": {"content": content, "_meta": meta}, "status": "completed"});
    shop.up.set("own-1", &more);
    let answer = shop.send(&get).await;
    let done = answer.json()["result"].clone();
    assert_eq!(done["result"]["content"][1]["uri"], "up+file:///a", "{}", answer.whole());
    assert_eq!((&done["taskId"], &done["result"]["_meta"]), (&json!(id), &json!({"kept": 1})));
    assert!(done.get("requestState").is_none() && done.get("x").is_none());
    assert!(!answer.whole().contains(SECRET) && !answer.whole().contains("own-1"), "{}", answer.whole());

    let error = json!({"code": -32000, "message": "canary", "data": "canary"});
    shop.up.set("own-1", &json!({"status": "failed", "error": error}));
    let answer = shop.send(&get).await;
    let failed = answer.json()["result"].clone();
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!(-32603)));
    assert!(failed.get("result").is_none() && !answer.text().contains("canary"), "{}", answer.whole());

    let cancelled = shop.send(&shop.about("/mcp", &token, "tasks/cancel", &id, "")).await.json()["result"].clone();
    assert_eq!((&cancelled["resultType"], cancelled.get("taskId"), cancelled.get("status")), (&json!("complete"), None, None));
    assert_eq!(shop.send(&get).await.json()["result"]["status"], "cancelled");

    let records = shop.gate.settled(9).await;
    let about: Vec<_> = records.iter().filter(|r| r["method"].as_str().is_some_and(|m| m.starts_with("tasks/"))).collect();
    assert_eq!(about.len(), 5, "{records:#?}");
    for record in about {
        assert_eq!((&record["upstream"], &record["decision"]["effect"]), (&json!("up"), &json!("allow")), "{record}");
        assert!(record.to_string().contains("up__job"), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_its_makers_alone() {
    let shop = Workshop::open().await;
    let (alice, bob) = (shop.gate.token("alice", &["eng"]), shop.gate.token("bob", &["eng"]));
    let id = shop.made("/mcp", &alice, "up__job").await;
    let bobs = shop.made("/mcp", &bob, "up__job").await;
    let tampered = |at: usize| {
        let mut bytes = id.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let mut rows: Vec<(&str, &str, &str, String)> = vec![
        ("another's", "/mcp", &bob, id.clone()),
        ("the other way", "/mcp", &alice, bobs),
        ("another route", "/bare", &alice, id.clone()),
        ("a route without the upstream", "/legacy", &alice, id.clone()),
        ("the upstream's own", "/mcp", &alice, "own-1".to_owned()),
        ("empty", "/mcp", &alice, String::new()),
        ("garbage", "/mcp", &alice, "x".repeat(200)),
        ("longer", "/mcp", &alice, format!("{id}A")),
    ];
    for at in [0, 1, id.len() / 2, id.len() - 2] {
        rows.push(("changed", "/mcp", &alice, tampered(at)));
    }
    for (what, route, token, id) in rows {
        for (method, more) in [("tasks/get", ""), ("tasks/cancel", ""), ("tasks/update", r#""inputResponses":{},"#)] {
            let answer = shop.send(&shop.about(route, token, method, &id, more)).await;
            assert!(is_unknown(&answer), "{what} {method}: {}", answer.whole());
        }
    }
    // A session of the older form cannot name it, nor a client that does not say that it knows tasks.
    let session = shop.gate.session("/mcp", &alice, "2025-11-25").await;
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"taskId": id}}).to_string();
        let answer = shop.send(&shop.gate.legacy("/mcp", &alice, "2025-11-25", &session, &body)).await;
        assert!(is_unknown(&answer), "{method}: {}", answer.whole());
    }
    let undeclared = shop.gate.modern("/mcp", &alice, "tasks/get", &format!(r#""taskId":"{id}","#)).add("Mcp-Name", &id);
    let answer = shop.send(&undeclared).await;
    assert_eq!((answer.status, answer.code()), (400, -32021), "{}", answer.whole());
    assert_eq!(answer.json()["error"]["data"]["requiredCapabilities"], json!({"extensions": {EXTENSION: {}}}));
    for (method, code) in [("tasks/list", -32601), ("tasks/result", -32601)] {
        let answer = shop.send(&shop.about("/mcp", &alice, method, &id, "")).await;
        assert_eq!((answer.status, answer.code()), (404, code), "{method}: {}", answer.whole());
    }
    let other = shop.about("/mcp", &alice, "tasks/get", &id, "").set("Mcp-Name", "own-1");
    assert_eq!(shop.send(&other).await.code(), -32020);
    assert!(shop.seen_tasks().is_empty(), "{:?}", shop.seen_tasks());
    // What is its maker's own still works, until a rule hides the tool that made it.
    let get = shop.about("/mcp", &alice, "tasks/get", &id, "");
    assert_eq!(shop.send(&get).await.json()["result"]["status"], "working");
    let before = shop.seen_tasks().len();
    shop.gate.reload("policy.yaml", &format!("{POLICY}  - {{ id: no-jobs, effect: deny, tools: [\"*__job\"] }}\n"));
    let until = tokio::time::Instant::now() + crate::wire::SOON;
    let denied = loop {
        let answer = shop.send(&get).await;
        if answer.json()["result"].is_null() {
            break answer;
        }
        assert!(tokio::time::Instant::now() < until, "the rule takes effect");
    };
    assert!(is_unknown(&denied), "{}", denied.whole());
    let after = shop.seen_tasks().len();
    assert!(after >= before && is_unknown(&shop.send(&get).await) && shop.seen_tasks().len() == after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_ends_when_its_task_does() {
    let shop = Workshop::open().await;
    let token = shop.gate.token("alice", &["eng"]);
    shop.up.set_ttl(json!(1));
    let short = shop.made("/mcp", &token, "up__job").await;
    shop.up.set_ttl(json!("for ever"));
    let long = shop.made("/mcp", &token, "up__job").await;
    let get = |id: &str| shop.about("/mcp", &token, "tasks/get", id, "");
    let until = tokio::time::Instant::now() + crate::wire::SOON;
    while !is_unknown(&shop.send(&get(&short)).await) {
        assert!(tokio::time::Instant::now() < until, "the id ends");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let seen = shop.seen_tasks().len();
    assert!(is_unknown(&shop.send(&get(&short)).await) && shop.seen_tasks().len() == seen);
    let kept = shop.send(&get(&long)).await.json()["result"].clone();
    assert_eq!((&kept["status"], kept.get("ttlMs")), (&json!("working"), Some(&Value::Null)), "{kept}");
    // What the upstream forgot before is as unknown.
    shop.gate.up.behave(|seen| Shelf::default().modern(seen));
    let forgotten = shop.send(&get(&long)).await;
    assert!(is_unknown(&forgotten) && !forgotten.text().contains("canary"), "{}", forgotten.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_asks_only_what_client_and_policy_allow() {
    let shop = Workshop::open().await;
    let (asked, quiet) = (shop.gate.token("alice", &["eng", "asked"]), shop.gate.token("bob", &["eng"]));
    let form =
        json!({"method": "elicitation/create", "params": {"message": "question-canary", "requestedSchema": {"type": "object"}}});
    let url =
        |url: &str| json!({"method": "elicitation/create", "params": {"mode": "url", "message": "question-canary", "url": url}});
    let responses = r#""inputResponses":{"k":{"action":"accept","content":{"a":1}}},"#;
    let ids = [shop.made("/mcp", &asked, "up__ask").await, shop.made("/mcp", &quiet, "up__ask").await];
    for own in shop.up.ids() {
        shop.up.set(&own, &json!({"status": "input_required", "inputRequests": {"k": form}}));
    }
    let shown = shop.send(&shop.about("/mcp", &asked, "tasks/get", &ids[0], "")).await;
    assert_eq!(shown.json()["result"]["inputRequests"]["k"]["method"], "elicitation/create", "{}", shown.whole());
    let ack = shop.send(&shop.about("/mcp", &asked, "tasks/update", &ids[0], responses)).await;
    let result = ack.json()["result"].clone();
    assert_eq!((&result["resultType"], result.get("status")), (&json!("complete"), None), "{}", ack.whole());
    let seen = shop.seen_tasks().pop().unwrap();
    assert_eq!(seen.json()["params"]["inputResponses"]["k"]["content"]["a"], 1);
    assert_eq!(seen.header("mcp-name"), Some("own-1"));
    // The tool is a write, and answering lets it go on: the intent is on record before.
    let records = shop.gate.settled(4).await;
    assert_eq!(records.iter().filter(|record| record["kind"] == "intent").count(), 3, "{records:#?}");

    // No rule lets bob be asked.
    let hidden = shop.send(&shop.about("/mcp", &quiet, "tasks/get", &ids[1], "")).await;
    assert!(hidden.json()["result"].is_null() && !hidden.text().contains("question-canary"), "{}", hidden.whole());
    let before = shop.seen_tasks().len();
    let refused = shop.send(&shop.about("/mcp", &quiet, "tasks/update", &ids[1], responses)).await;
    assert_eq!((refused.code(), shop.seen_tasks().len()), (-31000, before), "{}", refused.whole());
    // Nor is alice asked what her client did not say it can be asked, or by a URL that is not https.
    let formless =
        shop.about("/mcp", &asked, "tasks/get", &ids[0], "").edit(r#""elicitation":{},"#, r#""elicitation":{"url":{}},"#);
    assert!(shop.send(&formless).await.json()["result"].is_null());
    for (address, passes) in [("https://a.example/", true), ("http://a.example/", false)] {
        shop.up.set("own-1", &json!({"inputRequests": {"k": url(address)}}));
        assert_eq!(shop.send(&formless).await.json()["result"].is_object(), passes, "{address}");
    }
    // Questions stand where they are asked and nowhere else.
    shop.up.set("own-1", &json!({"status": "working", "inputRequests": {"k": form}}));
    let working = shop.send(&shop.about("/mcp", &asked, "tasks/get", &ids[0], "")).await;
    assert!(
        working.json()["result"]["status"] == "working" && !working.text().contains("question-canary"),
        "{}",
        working.whole()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_task_delivers_counts_as_the_calls_answer() {
    let limited = POLICY.replace(
        "redact: [secrets]",
        "limit: [{ response_tokens: 100, per: 1h, by: [principal] }, { calls: 1, per: 1h, by: [principal] }]",
    );
    let shop = Workshop::with(|files| files.policy = limited).await;
    let token = shop.gate.token("alice", &["eng"]);
    let id = shop.made("/mcp", &token, "up__job").await;
    let get = shop.about("/mcp", &token, "tasks/get", &id, "");
    // Looking is no call of the tool.
    for _ in 0..3 {
        assert_eq!(shop.send(&get).await.json()["result"]["status"], "working");
    }
    let result = json!({"content": [{"type": "text", "text": "a".repeat(1_000)}]});
    shop.up.set("own-1", &json!({"status": "completed", "result": result}));
    assert_eq!(shop.send(&get).await.json()["result"]["status"], "completed");
    let before = shop.seen_tasks().len();
    let refused = shop.send(&get).await;
    assert_eq!((refused.code(), shop.seen_tasks().len()), (-31000, before), "{}", refused.whole());
    assert_eq!(refused.json()["error"]["data"]["reason"], "rate_limited");
}
