//! Streams that tell clients what happens, and streams that are resumed: through the socket.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::gate::{Files, Gate, POLICY, Run, soon};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_acknowledged_first_and_tells_what_may_be_told() {
    let (gate, up, old) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let uris = r#"["up+file:///srv/public/a.txt","up+file:///etc/shadow","nobody+a:b","old+file:///srv/public/b","up+file:///srv/public/../x","a:b"]"#;
    let filter = format!(r#"{TOOLS},"promptsListChanged":false,"resourceSubscriptions":{uris},"x":1"#);
    let request = listen(&gate, "/mcp", &token, &filter).edit("\"id\":7", "\"id\":\"seven\"");
    let mut conn = streamed(&gate, &request).await;
    let honoured = acknowledged(&mut conn).await;
    let told =
        json!({"toolsListChanged": true, "resourceSubscriptions": ["up+file:///srv/public/a.txt", "old+file:///srv/public/b"]});
    assert_eq!(honoured, told);
    soon("both upstreams are watched", || up.streams() == 1 && old.streams() == 1).await;
    let asked = |peer: &crate::peer::Peer, rpc: &str| {
        peer.seen().iter().filter(|seen| seen.rpc() == rpc).map(Seen::json).collect::<Vec<Value>>()
    };
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": [PUBLIC]});
    assert_eq!(asked(&gate.up, "subscriptions/listen")[0]["params"]["notifications"], wanted);
    soon("the subscription", || !asked(&gate.old, "resources/subscribe").is_empty()).await;
    assert_eq!(asked(&gate.old, "resources/subscribe")[0]["params"]["uri"], "file:///srv/public/b");
    // What was not asked for, and what may not be read, is not told.
    up.list_changed("prompts");
    up.updated("file:///etc/shadow");
    up.updated("file:///srv/public/../../etc/shadow");
    old.list_changed("resources");
    up.list_changed("tools");
    let mut heard = vec![conn.event().await.unwrap()];
    assert_eq!(method(&heard[0]), "notifications/tools/list_changed");
    up.updated(PUBLIC);
    heard.push(conn.event().await.unwrap());
    assert_eq!(heard[1].json()["params"]["uri"], "up+file:///srv/public/a.txt");
    up.updated("file:///srv/public/a.txt#part");
    heard.push(conn.event().await.unwrap());
    assert_eq!(heard[2].json()["params"]["uri"], "up+file:///srv/public/a.txt#part");
    old.updated("file:///srv/public/b");
    heard.push(conn.event().await.unwrap());
    assert_eq!(heard[3].json()["params"]["uri"], "old+file:///srv/public/b");
    for event in &heard {
        let meta = &event.json()["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!((meta, &event.id), (&json!("seven"), &None), "{event:?}");
    }
    drop(conn);
    soon("the end of the watches", || up.streams() == 0).await;
    soon("the record", || gate.records().iter().any(|r| r["method"] == "subscriptions/listen")).await;
    let record = gate.records().into_iter().find(|r| r["method"] == "subscriptions/listen").unwrap();
    assert_eq!((&record["outcome"]["status"], &record["decision"]["effect"]), (&json!("cancelled"), &json!("allow")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_changed_is_read_anew_by_whoever_was_told() {
    let (gate, up, _) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let reads = || gate.up.seen().iter().filter(|seen| seen.rpc() == "tools/list").count();
    let list = gate.modern("/bare", &token, "tools/list", "");
    for _ in 0..2 {
        assert_eq!(gate.reach.send(&list).await.status, 200);
    }
    assert_eq!(reads(), 1, "the upstream says that it holds");
    let mut conn = streamed(&gate, &listen(&gate, "/bare", &token, TOOLS)).await;
    assert_eq!(acknowledged(&mut conn).await, json!({"toolsListChanged": true}));
    soon("the watch", || up.streams() == 1).await;
    for _ in 0..20 {
        up.list_changed("tools");
    }
    assert_eq!(method(&conn.event().await.unwrap()), "notifications/tools/list_changed");
    assert_eq!(gate.reach.send(&list).await.status, 200);
    assert!(reads() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_policy_is_a_change_of_lists() {
    let (gate, up, _) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let filter = format!(r#"{TOOLS},"resourceSubscriptions":["{PUBLIC}"]"#);
    let mut conn = streamed(&gate, &listen(&gate, "/bare", &token, &filter)).await;
    acknowledged(&mut conn).await;
    soon("the watch", || up.streams() == 1).await;
    gate.reload("policy.yaml", &POLICY.replace("file:///srv/public/*", "file:///srv/other/*"));
    let changed = conn.event().await.unwrap();
    assert_eq!(method(&changed), "notifications/tools/list_changed");
    soon("another watch", || {
        let asked = gate.up.seen().into_iter().rfind(|seen| seen.rpc() == "subscriptions/listen").unwrap();
        asked.json()["params"]["notifications"] == json!({"toolsListChanged": true})
    })
    .await;
    // Even if the upstream goes on telling it.
    soon("the old watch ends", || up.streams() == 1).await;
    for _ in 0..3 {
        up.updated(PUBLIC);
        up.list_changed("tools");
        let event = conn.event().await.unwrap();
        assert_eq!(method(&event), "notifications/tools/list_changed", "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_an_approval_is_not_told() {
    let (gate, up, _) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let filter = format!(r#"{TOOLS},"resourceSubscriptions":["{PUBLIC}"]"#);
    let mut conn = streamed(&gate, &listen(&gate, "/bare", &token, &filter)).await;
    acknowledged(&mut conn).await;
    soon("the watch", || up.streams() == 1).await;
    up.updated(PUBLIC);
    assert_eq!(method(&conn.event().await.unwrap()), "notifications/resources/updated");
    let approved = "    prompts: [\"*__greet\"]\n    require: { approval: { from: [\"group:ops\"] } }\n";
    let policy = POLICY.replace("    prompts: [\"*__greet\"]\n", approved);
    assert_ne!(policy, POLICY);
    gate.reload("policy.yaml", &policy);
    assert_eq!(method(&conn.event().await.unwrap()), "notifications/tools/list_changed");
    for _ in 0..3 {
        up.updated(PUBLIC);
        up.list_changed("tools");
        let event = conn.event().await.unwrap();
        assert_eq!(method(&event), "notifications/tools/list_changed", "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_ends_with_its_credential_and_with_the_gateway() {
    let (gate, ..) = fed(|files| {
        let line = crate::gate::ISSUER_LINE;
        files.config = files.config.replace(line, &format!("  revocations: revoked.yaml\n{line}"));
        files.more = vec![("revoked.yaml".into(), "[]".into())];
    })
    .await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let mut cut = streamed(&gate, &listen(&gate, "/mcp", &alice, TOOLS)).await;
    let mut lasting = streamed(&gate, &listen(&gate, "/mcp", &bob, TOOLS)).await;
    let session = gate.session("/mcp", &bob, "2025-11-25").await;
    let mut push = streamed(&gate, &get(&gate, "/mcp", &bob, &session)).await;
    acknowledged(&mut cut).await;
    acknowledged(&mut lasting).await;
    assert!(push.event().await.unwrap().id.is_some());
    let end = async |conn: &mut Conn| {
        let result = json!({"jsonrpc": "2.0", "id": 7, "result": {
            "resultType": "complete",
            "_meta": {
                "io.modelcontextprotocol/subscriptionId": 7,
                "io.modelcontextprotocol/serverInfo": {"name": "portcullis", "version": env!("CARGO_PKG_VERSION")}
            }
        }});
        assert_eq!(conn.event().await.unwrap().json(), result);
        assert_eq!(conn.event().await, None);
    };
    gate.reload("revoked.yaml", "- { iss: \"https://idp.example.com\", sub: alice }\n");
    end(&mut cut).await;
    let Run::Here(running) = gate.run else { panic!("runs elsewhere") };
    let stopping = tokio::spawn(running.stop());
    end(&mut lasting).await;
    while push.event().await.is_some() {}
    drop((lasting, push));
    stopping.await.unwrap();
    let text = std::fs::read_to_string(gate.dir.path().join("data/audit/audit.jsonl")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |sub: &str, method: &str| {
        let mut of = records.iter().filter(|r| r["principal"]["sub"] == sub && r["method"] == method);
        let record = of.next().unwrap_or_else(|| panic!("no record of {sub}: {text}"));
        assert!(of.next().is_none(), "{text}");
        (record["outcome"]["status"].clone(), record["outcome"]["reason"].clone())
    };
    assert_eq!(of("alice", "subscriptions/listen"), (json!("completed"), json!("unauthenticated")));
    assert_eq!(of("bob", "subscriptions/listen"), (json!("completed"), json!("shutting_down")));
    assert_eq!(of("bob", "GET"), (json!("completed"), json!("shutting_down")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_of_streams_answer_clearly() {
    let (gate, ..) = fed(|files| files.config = files.config.replace("limits: {", "limits: { in_flight: 4,")).await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut conn = streamed(&gate, &listen(&gate, "/mcp", &alice, TOOLS)).await;
        acknowledged(&mut conn).await;
        open.push(conn);
    }
    let more = gate.reach.send(&listen(&gate, "/mcp", &alice, TOOLS)).await;
    assert_eq!((more.status, more.header("retry-after"), &more.json()["id"]), (429, Some("5"), &json!(7)), "{}", more.whole());
    assert!(more.text().contains("Too many streams"), "{}", more.whole());
    let session = gate.session("/mcp", &alice, "2025-11-25").await;
    assert_eq!(gate.reach.send(&get(&gate, "/mcp", &alice, &session)).await.status, 429);
    // They take no place from calls, nor from others.
    assert_eq!(gate.reach.send(&gate.call("/mcp", &alice, "up__echo", "{}")).await.status, 200);
    acknowledged(&mut streamed(&gate, &listen(&gate, "/mcp", &bob, TOOLS)).await).await;
    assert_eq!(gate.metric("portcullis_in_flight").await, "0");
    open.pop();
    let cancelled = |r: &Value| r["principal"]["sub"] == "alice" && r["outcome"]["status"] == "cancelled";
    soon("the place is free", || gate.records().iter().any(cancelled)).await;
    acknowledged(&mut streamed(&gate, &listen(&gate, "/mcp", &alice, TOOLS)).await).await;

    let many: Vec<String> = (0..65).map(|n| format!("\"up+a:{n}\"")).collect();
    let many = listen(&gate, "/mcp", &bob, &format!(r#""resourceSubscriptions":[{}]"#, many.join(",")));
    let plain = listen(&gate, "/mcp", &bob, TOOLS);
    for (what, request, status, code) in [
        ("too many", many, 200, -32602),
        ("no stream taken", plain.clone().set("Accept", "application/json"), 406, -32600),
        ("no filter", plain.clone().edit("\"notifications\":{\"toolsListChanged\":true},", ""), 200, -32602),
        ("a wrong filter", plain.edit("{\"toolsListChanged\":true}", "{\"resourceSubscriptions\":[1]}"), 400, -32602),
    ] {
        let answer = gate.reach.send(&request).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{what}: {}", answer.whole());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_opens_one_stream_of_its_own() {
    let (gate, up, old) = fed(|_| {}).await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let revision = "2025-11-25";
    let session = gate.session("/mcp", &alice, revision).await;
    let good = get(&gate, "/mcp", &alice, &session);
    for (what, request, status) in [
        ("no session", good.clone().without("Mcp-Session-Id"), 400),
        ("unknown", good.clone().set("Mcp-Session-Id", "x"), 404),
        ("another's", get(&gate, "/mcp", &bob, &session), 404),
        ("another route", get(&gate, "/legacy", &alice, &session), 404),
        ("a route without sessions", get(&gate, "/new", &alice, &session), 405),
        ("no credential", good.clone().without("Authorization"), 401),
        ("another revision", good.clone().add("MCP-Protocol-Version", "2025-06-18"), 400),
        ("a newer revision", good.clone().add("MCP-Protocol-Version", "2026-07-28"), 400),
        ("no stream taken", good.clone().set("Accept", "application/json"), 406),
        ("no event of ours", good.clone().add("Last-Event-ID", "7"), 405),
        ("content", good.clone().body("x"), 400),
        ("a query", Req { target: "/mcp?x".into(), ..good.clone() }, 400),
        ("another origin", good.clone().add("Origin", "https://evil.example"), 403),
        ("another host", good.clone().set("Host", "evil.example"), 403),
    ] {
        let answer = gate.reach.send(&request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.whole());
    }
    let mut first = streamed(&gate, &good).await;
    let priming = first.event().await.unwrap();
    assert!(priming.id.is_some() && priming.data.is_empty(), "{priming:?}");
    soon("both are watched", || up.streams() == 1 && old.streams() == 1).await;
    old.list_changed("tools");
    let changed = first.event().await.unwrap();
    assert_eq!(changed.json(), json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    assert!(changed.id.is_some() && changed.id != priming.id);
    // Resources that the session subscribed to, at upstreams of either era.
    let subscribe = |word: &str, uri: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":3,"method":"resources/{word}","params":{{"uri":"{uri}"}}}}"#);
        gate.legacy("/mcp", &alice, revision, &session, &body)
    };
    for (uri, code) in [
        ("up+file:///srv/public/a.txt", 0),
        ("old+file:///srv/public/b", 0),
        ("up+file:///etc/shadow", -32002),
        ("nobody+a:b", -32002),
    ] {
        let answer = gate.reach.send(&subscribe("subscribe", uri)).await;
        assert_eq!((answer.status, answer.code()), (200, code), "{uri}: {}", answer.whole());
    }
    let told = |peer: &crate::peer::Peer, rpc: &str, text: &str| {
        peer.seen().iter().any(|seen| seen.rpc() == rpc && seen.body.contains(text))
    };
    soon("the subscriptions", || {
        told(&gate.up, "subscriptions/listen", PUBLIC) && told(&gate.old, "resources/subscribe", "file:///srv/public/b")
    })
    .await;
    soon("one watch each", || up.streams() == 1).await;
    let mut updated = async |feed: &Feed, uri: &str, public: &str| {
        feed.updated(uri);
        loop {
            let said = first.event().await.unwrap().json();
            if said["method"] == "notifications/resources/updated" && said["params"]["uri"] == public {
                break;
            }
            assert_ne!(said["params"]["uri"], "up+file:///etc/shadow");
        }
    };
    updated(&up, PUBLIC, "up+file:///srv/public/a.txt").await;
    updated(&old, "file:///srv/public/b", "old+file:///srv/public/b").await;
    assert_eq!(gate.reach.send(&subscribe("unsubscribe", "old+file:///srv/public/b")).await.json()["result"], json!({}));
    soon("it is unsubscribed from", || told(&gate.old, "resources/unsubscribe", "file:///srv/public/b")).await;
    // Another takes the place of the first, and the end of the session ends it.
    let mut second = streamed(&gate, &good.clone().add("Last-Event-ID", priming.id.as_deref().unwrap())).await;
    while first.event().await.is_some() {}
    assert!(second.event().await.unwrap().data.is_empty());
    let mut announced = Vec::new();
    while announced.len() < 4 {
        announced.push(method(&second.event().await.unwrap()));
    }
    for expected in ["tools/list_changed", "prompts/list_changed", "resources/list_changed", "resources/updated"] {
        assert!(announced.contains(&format!("notifications/{expected}")), "it may have missed anything: {announced:?}");
    }
    let end = Req { verb: "DELETE".into(), ..good.clone() };
    assert_eq!(gate.reach.send(&end).await.status, 204);
    while second.event().await.is_some() {}
    assert_eq!(gate.reach.send(&good).await.status, 404);
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"old__echo","arguments":{}}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_resumed_where_its_connection_broke() {
    let slow = |files: &mut Files| {
        files.config = files.config.replace("timeout: 2s }", "timeout: 60s }").replace("call_timeout: 10s", "call_timeout: 60s");
    };
    let gate = Gate::with(slow).await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    for revision in ["2025-11-25", "2025-06-18"] {
        let (session, other) = (gate.session("/mcp", &alice, revision).await, gate.session("/mcp", &alice, revision).await);
        let bobs = gate.session("/mcp", &bob, revision).await;
        let told = Arc::new(Notify::new());
        let tell = told.clone();
        gate.old.behave(move |seen| match seen.rpc().as_str() {
            "tools/call" => Answer::Once(told.clone(), Box::new(legacy(seen))),
            _ => legacy(seen),
        });
        let mut conn = streamed(&gate, &gate.legacy("/mcp", &alice, revision, &session, CALL)).await;
        let resume = |token: &str, session: &str, id: &str| get(&gate, "/mcp", token, session).add("Last-Event-ID", id);
        if revision != "2025-11-25" {
            // Without a priming event there is nothing to resume from before the first event.
            tell.notify_one();
            let last = conn.event().await.unwrap();
            assert!(last.json()["result"]["content"].to_string().contains("echo") && last.id.is_some(), "{last:?}");
            assert_eq!(gate.reach.send(&resume(&alice, &session, &last.id.unwrap())).await.status, 405);
            continue;
        }
        let priming = conn.event().await.unwrap();
        assert_eq!(priming.data, "");
        let id = priming.id.unwrap();
        drop(conn);
        for (what, token, session) in [("another's", &bob, &bobs), ("another session's", &alice, &other)] {
            let answer = gate.reach.send(&resume(token, session, &id)).await;
            assert_eq!(answer.status, 405, "{what}: {}", answer.whole());
        }
        // The connection that comes last has the stream.
        let mut first = streamed(&gate, &resume(&alice, &session, &id)).await;
        let mut second = streamed(&gate, &resume(&alice, &session, &id)).await;
        assert_eq!(first.event().await, None);
        tell.notify_one();
        let last = second.event().await.unwrap();
        assert_eq!((&last.json()["id"], second.event().await), (&json!(5), None));
        assert!(last.json()["result"]["content"].to_string().contains("echo"), "{last:?}");
        assert_eq!(gate.old.calls().iter().filter(|seen| seen.body.contains("\"echo\"")).count(), 1, "called once");
        // What was sent can be had again; after the last event there is nothing.
        let mut again = streamed(&gate, &resume(&alice, &session, &id)).await;
        assert_eq!((again.event().await, again.event().await), (Some(last.clone()), None));
        let last = last.id.unwrap();
        let other_letter = if &id[5..6] == "A" { "B" } else { "A" };
        let unknown = format!("{}{other_letter}{}", &id[..5], &id[6..]);
        for (what, session, id) in
            [("all was read", &session, &last), ("another session", &other, &id), ("unknown", &session, &unknown)]
        {
            let answer = gate.reach.send(&resume(&alice, session, id)).await;
            assert_eq!(answer.status, 405, "{what}: {}", answer.whole());
        }
        let end = Req { verb: "DELETE".into(), ..get(&gate, "/mcp", &alice, &session) };
        assert_eq!(gate.reach.send(&end).await.status, 204);
        assert_eq!(gate.reach.send(&resume(&alice, &session, &id)).await.status, 404);
    }
    let of_calls = || gate.records().iter().filter(|r| r["method"] == "tools/call").count();
    soon("a record for each call", || of_calls() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_reads_is_finished_and_kept() {
    let gate = Gate::with(|files| {
        files.config = files.config.replace("timeout: 2s }", "timeout: 60s }").replace("call_timeout: 10s", "call_timeout: 60s");
    })
    .await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let told = Arc::new(Notify::new());
    let tell = told.clone();
    gate.old.behave(move |seen| match seen.rpc().as_str() {
        "tools/call" => Answer::Once(told.clone(), Box::new(legacy(seen))),
        _ => legacy(seen),
    });
    let mut conn = streamed(&gate, &gate.legacy("/mcp", &token, "2025-11-25", &session, CALL)).await;
    let id = conn.event().await.unwrap().id.unwrap();
    drop(conn);
    tell.notify_one();
    let done = || gate.records().into_iter().find(|r| r["method"] == "tools/call");
    soon("the call ends by itself", || done().is_some()).await;
    assert_eq!(done().unwrap()["outcome"]["status"], "completed");
    let mut conn = streamed(&gate, &get(&gate, "/mcp", &token, &session).add("Last-Event-ID", &id)).await;
    assert_eq!(conn.event().await.unwrap().json()["id"], 5);
    assert_eq!(conn.event().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_promised_is_declared() {
    let (gate, ..) = fed(|_| {}).await;
    let token = gate.token("alice", &["eng"]);
    let discovered = gate.reach.send(&gate.modern("/mcp", &token, "server/discover", "")).await.json();
    let opened = gate.reach.send(&gate.initialize("/mcp", &token, "2025-06-18")).await.json();
    for capabilities in [&discovered["result"]["capabilities"], &opened["result"]["capabilities"]] {
        assert_eq!(capabilities["tools"], json!({"listChanged": true}), "{capabilities}");
        assert_eq!(capabilities["resources"], json!({"listChanged": true, "subscribe": true}), "{capabilities}");
    }
    // An upstream that cannot tell of updates is not subscribed to.
    gate.old.behave(legacy);
    let token = gate.token("carol", &["eng"]);
    let session = gate.session("/legacy", &token, "2025-11-25").await;
    let body = format!(r#"{{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{{"uri":"{PUBLIC}"}}}}"#);
    let refused = gate.reach.send(&gate.legacy("/legacy", &token, "2025-11-25", &session, &body)).await;
    assert_eq!((refused.status, refused.code()), (200, -32601), "{}", refused.whole());
}

/// Beside its connection, a stream that nothing happens on takes less than this, its watch of an upstream included.
const IDLE_KIB_MAX: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_takes_little_memory() {
    const PEOPLE: usize = 20;
    const EACH: usize = 16;
    let gate = Gate::program(|_| {}).await;
    let feed = Feed::default();
    gate.up.behave(feed.modern());
    let mut ready = Vec::new();
    for person in 0..PEOPLE {
        let token = gate.token(&format!("person-{person}"), &["eng"]);
        for n in 0..EACH {
            let request = match n % 2 {
                0 => listen(&gate, "/bare", &token, TOOLS),
                _ => get(&gate, "/bare", &token, &gate.session("/bare", &token, "2025-11-25").await),
            };
            let mut conn = gate.reach.open().await;
            conn.write(&gate.call("/bare", &token, "echo", "{}").bytes()).await;
            assert_eq!(conn.response().await.status, 200);
            ready.push((conn, request));
        }
    }
    let before = gate.rss_kib();
    for (conn, request) in &mut ready {
        conn.write(&request.bytes()).await;
        assert_eq!(conn.head().await.status, 200);
        assert!(conn.event().await.is_some());
    }
    soon("every watch", || feed.streams() == PEOPLE * EACH).await;
    let each = gate.rss_kib().saturating_sub(before) / (PEOPLE * EACH) as u64;
    assert!(each < IDLE_KIB_MAX, "{each} KiB");
}
