//! Clients that follow their tasks: told how they stand, as they would be told if they asked.

use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

use super::{EXTENSION, POLICY, SECRET, Workshop};
use crate::gate::{Files, soon};
use crate::peer::{Answer, Seen};
use crate::wire::{Conn, Req};

/// Streams that an upstream has open, with the id that their announcements name.
#[derive(Clone, Default)]
struct Bell(Arc<Mutex<Vec<Stream>>>);

type Stream = (Value, mpsc::UnboundedSender<String>);

impl Bell {
    fn open(&self, id: Value, first: Option<Value>) -> Answer {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(first) = first {
            sender.send(format!("data: {first}\n\n")).unwrap();
        }
        self.0.lock().push((id, sender));
        Answer::Fed(receiver)
    }

    /// Says that a task moved, and more than it should.
    fn ring(&self, method: &str, task: &str) {
        self.0.lock().retain(|(id, sender)| {
            let mut params = json!({"taskId": task, "status": "completed", "result": {"content": "ring-canary"}});
            if !id.is_null() {
                params["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": id});
            }
            sender.send(format!("data: {}\n\n", json!({"jsonrpc": "2.0", "method": method, "params": params}))).is_ok()
        });
    }

    fn streams(&self) -> usize {
        self.0.lock().iter().filter(|(_, sender)| !sender.is_closed()).count()
    }
}

fn listened(shop: &Workshop) -> Vec<Seen> {
    shop.gate.up.seen().into_iter().filter(|seen| seen.rpc() == "subscriptions/listen").collect()
}

/// A workshop whose upstreams announce.
async fn open() -> (Workshop, Bell, Bell) {
    open_with(|_| {}).await
}

async fn open_with(change: impl FnOnce(&mut Files)) -> (Workshop, Bell, Bell) {
    let shop = Workshop::with(change).await;
    let (up, old) = (Bell::default(), Bell::default());
    let (shelf, bell) = (shop.up.clone(), up.clone());
    shop.gate.up.behave(move |seen| {
        if seen.rpc() != "subscriptions/listen" {
            return shelf.modern(seen);
        }
        let request = seen.json();
        let meta = json!({"io.modelcontextprotocol/subscriptionId": request["id"]});
        let params = json!({"_meta": meta, "notifications": request["params"]["notifications"]});
        let first = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params});
        bell.open(request["id"].clone(), Some(first))
    });
    let (shelf, bell) = (shop.old.clone(), old.clone());
    shop.gate.old.behave(move |seen| if seen.verb == "GET" { bell.open(Value::Null, None) } else { shelf.legacy(seen) });
    (shop, up, old)
}

fn listen(shop: &Workshop, token: &str, ids: &[&str]) -> Req {
    let filter = json!({ "taskIds": ids });
    let request = shop.gate.modern("/mcp", token, "subscriptions/listen", &format!(r#""notifications":{filter},"#));
    let undeclared = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    request.edit(undeclared, &undeclared.replace("{}", &format!(r#"{{"extensions":{{"{EXTENSION}":{{}}}}}}"#)))
}

async fn streamed(shop: &Workshop, request: &Req) -> (Conn, Value) {
    let mut conn = shop.gate.reach.open().await;
    conn.stream(request).await;
    let first = conn.message().await.unwrap();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    (conn, first["params"]["notifications"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_tells_its_maker_how_a_task_stands() {
    let (shop, bell, _) = open().await;
    let (alice, bob) = (shop.gate.token("alice", &["eng"]), shop.gate.token("bob", &["eng"]));
    let id = shop.made("/mcp", &alice, "up__job").await;
    let other = shop.made("/mcp", &alice, "up__job").await;
    let bobs = shop.made("/mcp", &bob, "up__job").await;
    // Of what is asked for only the client's own is promised, and only that is asked of the upstream.
    let (mut conn, honoured) = streamed(&shop, &listen(&shop, &alice, &[&id, &bobs, "own-1", "", &id])).await;
    assert_eq!(honoured, json!({ "taskIds": [id] }));
    soon("the watch", || bell.streams() == 1).await;
    let asked = listened(&shop).pop().unwrap().json()["params"].clone();
    assert_eq!(asked["notifications"], json!({"taskIds": ["own-1"]}));
    assert_eq!(asked["_meta"]["io.modelcontextprotocol/clientCapabilities"], json!({"extensions": {EXTENSION: {}}}));
    // What it says itself is not believed, nor passed on: the task is looked at.
    bell.ring("notifications/tasks", "own-1");
    let told = conn.message().await.unwrap();
    assert_eq!((&told["method"], &told["params"]["taskId"]), (&json!("notifications/tasks"), &json!(id)), "{told}");
    assert_eq!((&told["params"]["status"], told["params"].get("result")), (&json!("working"), None), "{told}");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7, "{told}");
    let link = json!({"type": "resource_link", "name": "a", "uri": "file:///a"});
    let content = json!([{"type": "text", "text": format!("key {SECRET}")}, link]);
    shop.up.set("own-1", &json!({"status": "completed", "result": {"content": content}}));
    // Of others it hears nothing, whoever's they are.
    for own in ["own-2", "own-3", "own-4"] {
        bell.ring("notifications/tasks", own);
    }
    bell.ring("notifications/tasks/status", "own-1");
    bell.ring("notifications/tasks", "own-1");
    let told = conn.message().await.unwrap();
    let result = &told["params"]["result"];
    assert_eq!((&told["params"]["taskId"], &result["content"][1]["uri"]), (&json!(id), &json!("up+file:///a")), "{told}");
    let text = told.to_string();
    assert!(!text.contains(SECRET) && !text.contains("own-1") && !text.contains("ring-canary"), "{told}");
    assert_eq!(shop.seen_tasks().iter().filter(|seen| seen.json()["params"]["taskId"] != "own-1").count(), 0);
    // A rule that hides the tool silences its tasks.
    let gone = listen(&shop, &alice, &[&other]);
    shop.gate.reload("policy.yaml", &format!("{POLICY}  - {{ id: no-jobs, effect: deny, tools: [\"*__job\"] }}\n"));
    let until = tokio::time::Instant::now() + crate::wire::SOON;
    loop {
        let (_conn, honoured) = streamed(&shop, &gone).await;
        if honoured == json!({}) {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "the rule takes effect");
    }
    let looks = shop.seen_tasks().len();
    bell.ring("notifications/tasks", "own-1");
    let silent = tokio::time::timeout(std::time::Duration::from_millis(600), conn.message()).await;
    assert!(silent.is_err() && shop.seen_tasks().len() == looks, "{silent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_knows_no_tasks_or_too_many_is_told_so() {
    let (shop, _, _) = open().await;
    let alice = shop.gate.token("alice", &["eng"]);
    let undeclared = shop.gate.modern("/mcp", &alice, "subscriptions/listen", r#""notifications":{"taskIds":["x"]},"#);
    let answer = shop.send(&undeclared).await;
    assert_eq!((answer.status, answer.code()), (400, -32021), "{}", answer.whole());
    assert_eq!(answer.json()["error"]["data"]["requiredCapabilities"], json!({"extensions": {EXTENSION: {}}}));
    let many = vec!["x"; 65];
    assert_eq!(shop.send(&listen(&shop, &alice, &many)).await.code(), -32602);
    let (_conn, honoured) = streamed(&shop, &listen(&shop, &alice, &many[1..])).await;
    assert_eq!(honoured, json!({}));
    assert!(shop.seen_tasks().is_empty());
}

/// Makes a task at `old` in a session; the client's id of it.
async fn made_in(shop: &Workshop, token: &str, session: &str) -> String {
    let params = json!({"name": "old__optional", "arguments": {}, "task": {}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let answer = shop.send(&shop.gate.legacy("/mcp", token, "2025-11-25", session, &call)).await;
    answer.json()["result"]["task"]["taskId"].as_str().unwrap().to_owned()
}

/// The stream of a session.
async fn heard(shop: &Workshop, token: &str, session: &str, last: Option<&str>) -> Conn {
    let get = Req::new("GET", "/mcp").add("Host", &shop.gate.authority()).add("Authorization", &format!("Bearer {token}"));
    let get = get.add("Accept", "text/event-stream").add("Mcp-Session-Id", session);
    let mut conn = shop.gate.reach.open().await;
    conn.stream(&last.iter().fold(get, |get, last| get.add("Last-Event-ID", last))).await;
    conn
}

/// The next thing that a session is told of a task.
async fn of_a_task(conn: &mut Conn) -> Value {
    loop {
        let message = conn.message().await.unwrap();
        if message["method"].as_str().is_some_and(|method| method.contains("tasks")) {
            return message["params"].clone();
        }
    }
}

fn looks(shop: &Workshop, own: &str) -> usize {
    let looks = shop.seen_tasks().into_iter().filter(|seen| seen.rpc() == "tasks/get");
    looks.filter(|seen| seen.json()["params"]["taskId"] == own).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_over_is_told_of_once() {
    let (shop, _, bell) = open().await;
    let alice = shop.gate.token("alice", &["eng"]);
    let session = shop.gate.session("/mcp", &alice, "2025-11-25").await;
    let (over, works, unknown) =
        (made_in(&shop, &alice, &session).await, made_in(&shop, &alice, &session).await, made_in(&shop, &alice, &session).await);
    let mut conn = heard(&shop, &alice, &session, None).await;
    let priming = conn.event().await.unwrap().id.unwrap();
    soon("the watch", || bell.streams() == 1).await;
    shop.old.set("own-1", &json!({"status": "completed"}));
    shop.old.lose("own-3");
    bell.ring("notifications/tasks/status", "own-3");
    bell.ring("notifications/tasks/status", "own-1");
    let told = of_a_task(&mut conn).await;
    assert_eq!((&told["taskId"], &told["status"]), (&json!(over), &json!("completed")), "{told}");
    soon("a look at each", || looks(&shop, "own-1") + looks(&shop, "own-3") >= 2).await;
    // Whoever comes back is told anew of what goes on, and of that only.
    let mut again = heard(&shop, &alice, &session, Some(&priming)).await;
    assert_eq!(of_a_task(&mut again).await["taskId"], works);
    bell.ring("notifications/tasks/status", "own-1");
    bell.ring("notifications/tasks/status", "own-2");
    assert_eq!(of_a_task(&mut again).await["taskId"], works);
    assert_eq!((looks(&shop, "own-1"), looks(&shop, "own-3")), (1, 1), "{unknown}");
}

/// An upstream that does not say how a task stands makes nobody deaf.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_while_a_task_is_looked_at() {
    let (shop, up, bell) = open_with(|files| files.config = files.config.replace("timeout: 9s }", "timeout: 60s }")).await;
    let alice = shop.gate.token("alice", &["eng"]);
    let session = shop.gate.session("/mcp", &alice, "2025-11-25").await;
    let id = made_in(&shop, &alice, &session).await;
    let mut conn = heard(&shop, &alice, &session, None).await;
    soon("the watches", || bell.streams() == 1 && up.streams() == 1).await;
    let (held, old, open) = (Arc::new(tokio::sync::Notify::new()), shop.old.clone(), bell.clone());
    let hold = held.clone();
    shop.gate.old.behave(move |seen| match (seen.verb.as_str(), seen.rpc().as_str()) {
        ("GET", _) => open.open(Value::Null, None),
        (_, "tasks/get") => Answer::Once(hold.clone(), Box::new(old.legacy(seen))),
        _ => old.legacy(seen),
    });
    bell.ring("notifications/tasks/status", "own-1");
    soon("the look", || looks(&shop, "own-1") == 1).await;
    up.ring("notifications/tools/list_changed", "");
    let told = conn.message().await.unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    held.notify_one();
    assert_eq!(of_a_task(&mut conn).await["taskId"], id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_told_of_its_own_tasks() {
    let (shop, _, bell) = open().await;
    let (alice, bob) = (shop.gate.token("alice", &["eng"]), shop.gate.token("bob", &["eng"]));
    let mut made = Vec::new();
    for token in [&alice, &alice, &bob] {
        let session = shop.gate.session("/mcp", token, "2025-11-25").await;
        let id = made_in(&shop, token, &session).await;
        made.push((token, session, id));
    }
    let mut conns = Vec::new();
    for (token, session, _) in &made {
        conns.push(heard(&shop, token, session, None).await);
    }
    soon("the streams", || bell.streams() == 2).await;
    for own in ["own-1", "own-2", "own-3"] {
        shop.old.set(own, &json!({"status": "input_required", "statusMessage": format!("half {SECRET}")}));
        bell.ring("notifications/tasks/status", own);
    }
    for (conn, (_, _, id)) in conns.iter_mut().zip(&made) {
        let told = loop {
            let message = conn.message().await.unwrap();
            if message["method"].as_str().is_some_and(|method| method.contains("tasks")) {
                break message;
            }
        };
        assert_eq!((&told["method"], &told["params"]["taskId"]), (&json!("notifications/tasks/status"), &json!(id)), "{told}");
        assert_eq!((&told["params"]["status"], &told["params"]["ttl"]), (&json!("input_required"), &json!(60_000)), "{told}");
        assert!(!told.to_string().contains(SECRET) && !told.to_string().contains("own-"), "{told}");
        let silent = tokio::time::timeout(std::time::Duration::from_millis(300), conn.message()).await;
        assert!(silent.is_err(), "{silent:?}");
    }
}
