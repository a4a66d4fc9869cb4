//! Streams that tell clients what happens, and streams that are resumed: through the socket.

mod bounds;
mod resumed;
mod rules;
mod sessions;
mod subscriptions;

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::gate::{Files, Gate};
use crate::peer::{Answer, Seen, legacy, modern};
use crate::wire::{Conn, Event, Req};

/// What an upstream announces on the streams that the gateway has open to it.
#[derive(Clone, Default)]
struct Feed(Arc<Mutex<Vec<Told>>>);

/// The id of a listener, and the way to it.
type Told = (Value, mpsc::UnboundedSender<String>);

fn event(message: &Value) -> String {
    format!("data: {message}\n\n")
}

impl Feed {
    /// A stream that begins with `first`. Announcements on it name `id`, unless that is null.
    fn open(&self, id: Value, first: Option<Value>) -> Answer {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(first) = first {
            sender.send(event(&first)).unwrap();
        }
        self.0.lock().push((id, sender));
        Answer::Fed(receiver)
    }

    fn say(&self, method: &str, params: &Value) {
        self.0.lock().retain(|(id, sender)| {
            let mut params = params.clone();
            if !id.is_null() {
                params["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": id});
            }
            sender.send(event(&json!({"jsonrpc": "2.0", "method": method, "params": params}))).is_ok()
        });
    }

    /// An event that is no message, on every stream.
    fn noise(&self, event: &str) {
        self.0.lock().iter().for_each(|(_, sender)| drop(sender.send(event.to_owned())));
    }

    fn list_changed(&self, list: &str) {
        self.say(&format!("notifications/{list}/list_changed"), &json!({}));
    }

    fn updated(&self, uri: &str) {
        self.say("notifications/resources/updated", &json!({"uri": uri}));
    }

    fn streams(&self) -> usize {
        self.0.lock().iter().filter(|(_, sender)| !sender.is_closed()).count()
    }

    /// As [`modern`], with subscriptions.
    fn modern(&self) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
        let feed = self.clone();
        move |seen| {
            let request = seen.json();
            let result = match seen.rpc().as_str() {
                "server/discover" => json!({
                    "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private",
                    "capabilities": {
                        "tools": {"listChanged": true}, "prompts": {"listChanged": true},
                        "resources": {"listChanged": true, "subscribe": true}
                    }
                }),
                "tools/list" => {
                    let tools = json!([{"name": "echo", "inputSchema": {"type": "object"}}]);
                    json!({"resultType": "complete", "tools": tools, "ttlMs": 300_000, "cacheScope": "private"})
                }
                "subscriptions/listen" => {
                    let id = request["id"].clone();
                    let meta = json!({"io.modelcontextprotocol/subscriptionId": id});
                    let params = json!({"_meta": meta, "notifications": request["params"]["notifications"]});
                    let method = "notifications/subscriptions/acknowledged";
                    return feed.open(id, Some(json!({"jsonrpc": "2.0", "method": method, "params": params})));
                }
                _ => return modern(seen),
            };
            Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
        }
    }

    /// As [`legacy`], with a stream by GET and subscriptions.
    fn legacy(&self) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
        let feed = self.clone();
        move |seen| {
            let request = seen.json();
            let result = match (seen.verb.as_str(), seen.rpc().as_str()) {
                ("GET", _) => return feed.open(Value::Null, None),
                (_, "initialize") => {
                    let capabilities = json!({"tools": {"listChanged": true}, "resources": {"subscribe": true}});
                    let result = json!({
                        "protocolVersion": request["params"]["protocolVersion"], "capabilities": capabilities,
                        "serverInfo": {"name": "old", "version": "1"}
                    });
                    let body = json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
                    return Answer::Json(200, "mcp-session-id: upstream-session-canary\r\n", body);
                }
                (_, "resources/subscribe" | "resources/unsubscribe") => json!({}),
                _ => return legacy(seen),
            };
            Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
        }
    }
}

/// A gateway whose upstreams announce what the feeds say.
async fn fed(change: impl FnOnce(&mut Files)) -> (Gate, Feed, Feed) {
    let (up, old) = (Feed::default(), Feed::default());
    let gate = Gate::with(change).await;
    gate.up.behave(up.modern());
    gate.old.behave(old.legacy());
    (gate, up, old)
}

const TOOLS: &str = r#""toolsListChanged":true"#;
const PUBLIC: &str = "file:///srv/public/a.txt";

fn listen(gate: &Gate, route: &str, token: &str, filter: &str) -> Req {
    gate.modern(route, token, "subscriptions/listen", &format!(r#""notifications":{{{filter}}},"#))
}

/// Sends a request that is answered by a stream.
async fn streamed(gate: &Gate, request: &Req) -> Conn {
    let mut conn = gate.reach.open().await;
    conn.write(&request.bytes()).await;
    let head = conn.head().await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{}", head.whole());
    assert_eq!((head.header("cache-control"), head.header("x-accel-buffering")), (Some("no-store"), Some("no")));
    conn
}

async fn acknowledged(conn: &mut Conn) -> Value {
    let first = conn.event().await.unwrap().json();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    first["params"]["notifications"].clone()
}

fn get(gate: &Gate, route: &str, token: &str, session: &str) -> Req {
    Req::new("GET", route)
        .add("Host", &gate.authority())
        .add("Authorization", &format!("Bearer {token}"))
        .add("Accept", "text/event-stream")
        .add("Mcp-Session-Id", session)
}

fn method(event: &Event) -> String {
    event.json()["method"].as_str().unwrap_or_default().to_owned()
}
