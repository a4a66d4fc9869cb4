//! Sessions at servers: which refusal ends one, which does not, and what a call hears of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::gate::{Files, Gate, soon};
use crate::peer::{Answer, Seen, legacy, modern};
use crate::upstream_ways::{called, did, refused, sent, strict};
use crate::wire::Req;

/// A refusal under the request's own id.
fn named(seen: &Seen, status: u16, code: i64) -> Answer {
    refused(status, &seen.json()["id"], code)
}

/// How a server refuses what stands in a session that it does not know.
type Refusal = fn(&Seen) -> Answer;

/// A server started anew, which calls its sessions `session` and refuses those it does not know as `refusal` says.
fn started(gate: &Gate, session: &'static str, refusal: Refusal) {
    gate.old.behave(move |seen| strict(seen, session, || refusal(seen)));
}

#[tokio::test]
async fn a_404_in_a_living_session_is_the_calls_own_answer() {
    let refusals: [(&str, Refusal); 4] = [
        ("its own id", |seen| named(seen, 404, -32_603)),
        ("no id", |_| refused(404, &Value::Null, -32_000)),
        ("no message", |_| Answer::Json(404, "", r#"{"detail":"Not Found"}"#.to_owned())),
        ("nothing", |_| Answer::Json(404, "", String::new())),
    ];
    for (what, refusal) in refusals {
        let gate = Gate::start().await;
        started(&gate, "one", |_| refused(404, &Value::Null, -32_000));
        assert!(did(&called(&gate, "old__echo").await), "{what}");
        // It does the work and says 404.
        gate.old.behave(move |seen| match seen.rpc().as_str() {
            "tools/call" => refusal(seen),
            _ => strict(seen, "one", || refused(404, &Value::Null, -32_000)),
        });
        for calls in 2..=4 {
            assert!(!did(&called(&gate, "old__write").await), "{what}");
            assert_eq!(gate.old.calls().len(), calls, "{what}: the work is done once");
        }
        assert_eq!(sent(&gate, "initialize"), 1, "{what}: {:?}", gate.old.seen());
        // One that lost the session says so to the ping, too: there the call goes out again.
        started(&gate, "two", |seen| named(seen, 404, -32_600));
        assert!(did(&called(&gate, "old__write").await), "{what}: {:?}", gate.old.seen());
        assert_eq!((gate.old.calls().len(), sent(&gate, "initialize")), (6, 2), "{what}");
    }
}

#[tokio::test]
async fn a_session_refused_under_the_calls_own_id_is_replaced() {
    let refusals: [Refusal; 3] =
        [|seen| named(seen, 400, -32_600), |seen| named(seen, 400, -32_000), |seen| named(seen, 400, -32_001)];
    for refusal in refusals {
        let gate = Gate::start().await;
        started(&gate, "one", refusal);
        assert!(did(&called(&gate, "old__echo").await));
        started(&gate, "two", refusal);
        assert!(!did(&called(&gate, "old__echo").await));
        assert_eq!(gate.old.calls().len(), 2, "what was answered 400 does not go out again");
        assert!(did(&called(&gate, "old__echo").await), "{:?}", gate.old.seen());
        assert_eq!((gate.old.calls().len(), sent(&gate, "initialize")), (3, 2));
        // One that refuses only the call keeps its session.
        gate.old
            .behave(move |seen| if seen.rpc() == "tools/call" { refusal(seen) } else { strict(seen, "two", || refusal(seen)) });
        for _ in 0..2 {
            assert!(!did(&called(&gate, "old__echo").await));
        }
        assert_eq!((gate.old.calls().len(), sent(&gate, "initialize")), (5, 2), "{:?}", gate.old.seen());
    }
}

/// Refuses calls in words, and does not know what a ping is.
fn without_ping(seen: &Seen) -> Answer {
    match seen.rpc().as_str() {
        "tools/call" => Answer::Json(400, "", "no".to_owned()),
        "ping" => refused(400, &Value::Null, -32_601),
        _ if seen.verb == "GET" => Answer::Json(400, "", String::new()),
        _ => strict(seen, "one", || refused(400, &Value::Null, -32_000)),
    }
}

#[tokio::test]
async fn a_server_that_knows_no_ping_keeps_its_sessions() {
    let gate = Gate::start().await;
    gate.old.behave(without_ping);
    for _ in 0..3 {
        assert!(!did(&called(&gate, "old__echo").await));
    }
    assert_eq!(sent(&gate, "initialize"), 1, "{:?}", gate.old.seen());
    // Nor does its refusal of a stream end one.
    let (token, revision) = (gate.token("alice", &["eng"]), "2025-11-25");
    let session = gate.session("/legacy", &token, revision).await;
    let get = Req::new("GET", "/legacy").add("Host", &gate.authority()).add("Authorization", &format!("Bearer {token}"));
    let get = get.add("Accept", "text/event-stream").add("Mcp-Session-Id", &session);
    let (mut conn, pings) = (gate.reach.open().await, sent(&gate, "ping"));
    conn.write(&get.bytes()).await;
    soon("the stream is asked for, and a ping", || sent(&gate, "ping") > pings).await;
    assert!(gate.old.seen().iter().any(|seen| seen.verb == "GET"));
    let opened = sent(&gate, "initialize");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    gate.old.behave(|seen| if seen.rpc() == "tools/call" { legacy(seen) } else { without_ping(seen) });
    assert!(did(&called(&gate, "old__echo").await));
    assert_eq!(sent(&gate, "initialize"), opened, "{:?}", gate.old.seen());
}

#[tokio::test]
async fn a_session_given_up_after_400_is_ended_at_the_server_too() {
    let gate = Gate::start().await;
    started(&gate, "one", |_| refused(400, &Value::Null, -32_000));
    assert!(did(&called(&gate, "old__echo").await));
    gate.old.behave(|seen| match seen.verb.as_str() {
        "POST" => strict(seen, "two", || refused(400, &Value::Null, -32_000)),
        _ => Answer::Json(204, "", String::new()),
    });
    assert!(!did(&called(&gate, "old__echo").await));
    let ended = |seen: &Seen| seen.verb == "DELETE" && seen.header("mcp-session-id") == Some("one");
    soon("the end is said", || gate.old.seen().iter().any(ended)).await;
    assert!(did(&called(&gate, "old__echo").await));
}

fn patient(files: &mut Files) {
    files.config = files.config.replace("timeout: 2s }", "timeout: 20s }").replace("call_timeout: 10s", "call_timeout: 20s");
}

#[tokio::test]
async fn a_ping_that_nobody_answers_leaves_a_call_its_own_refusal() {
    for (what, change) in [("short", (|_| {}) as fn(&mut Files)), ("long", patient)] {
        let gate = Gate::with(change).await;
        started(&gate, "one", |_| refused(400, &Value::Null, -32_000));
        assert!(did(&called(&gate, "old__echo").await));
        gate.old.behave(|seen| match seen.rpc().as_str() {
            "tools/call" => refused(400, &Value::Null, -32_000),
            "ping" => Answer::Hang,
            _ => strict(seen, "one", || refused(400, &Value::Null, -32_000)),
        });
        let began = Instant::now();
        let result = called(&gate, "old__echo").await;
        let denial = &result["_meta"]["dev.portcullis/denial"];
        assert!(!did(&result) && denial["reason"] != "upstream_timeout", "{what}: {result}");
        assert!(began.elapsed().as_secs() < 10, "{what}");
        assert_eq!((gate.old.calls().len(), sent(&gate, "initialize")), (2, 1), "{what}");
    }
}

/// A server that logs, whose session is `session`; `set` answers a level.
fn logging(seen: &Seen, session: &str, set: impl Fn(&Seen) -> Answer) -> Answer {
    let known = seen.header("mcp-session-id") == Some(session);
    match (seen.rpc().as_str(), strict(seen, session, || refused(404, &Value::Null, -32_001))) {
        ("initialize", Answer::Raw(bytes)) => {
            let text = String::from_utf8(bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let head: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with("content-length")).collect();
            let body = body.replace(r#""capabilities":{"#, r#""capabilities":{"logging":{},"#);
            Answer::Raw(format!("{}\r\ncontent-length: {}\r\n\r\n{body}", head.join("\r\n"), body.len()).into_bytes())
        }
        ("logging/setLevel", _) if known => set(seen),
        (_, answer) => answer,
    }
}

fn agreed(seen: &Seen) -> Answer {
    Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": {}}).to_string())
}

/// A client's session, as what sends a message in it.
struct Client<'a> {
    gate: &'a Gate,
    ids: AtomicU32,
    token: String,
    session: String,
}

impl<'a> Client<'a> {
    async fn of(gate: &'a Gate, sub: &str) -> Self {
        let token = gate.token(sub, &["eng"]);
        let session = gate.session("/mcp", &token, "2025-11-25").await;
        Self { gate, ids: AtomicU32::new(1), token, session }
    }

    async fn send(&self, method: &str, params: &Value) -> Value {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let answer = self.gate.reach.send(&self.gate.legacy("/mcp", &self.token, "2025-11-25", &self.session, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.whole());
        answer.json()["result"].clone()
    }

    async fn call(&self) -> bool {
        did(&self.send("tools/call", &json!({"name": "old__echo", "arguments": {}})).await)
    }

    async fn level(&self) {
        self.send("logging/setLevel", &json!({"level": "error"})).await;
    }

    async fn end(&self) {
        let end = Req::new("DELETE", "/mcp").add("Host", &self.gate.authority());
        let end = end.add("Authorization", &format!("Bearer {}", self.token)).add("Mcp-Session-Id", &self.session);
        assert_eq!(self.gate.reach.send(&end).await.status, 204);
    }
}

/// The levels that a session of the server was given.
fn levels(gate: &Gate, session: &str) -> usize {
    let seen = gate.old.seen();
    seen.iter().filter(|seen| seen.rpc() == "logging/setLevel" && seen.header("mcp-session-id") == Some(session)).count()
}

#[tokio::test]
async fn a_log_level_is_set_anew_with_the_session() {
    let gate = Gate::start().await;
    gate.old.behave(|seen| logging(seen, "one", agreed));
    let client = Client::of(&gate, "alice").await;
    client.level().await;
    assert_eq!(levels(&gate, "one"), 1);
    gate.old.behave(|seen| logging(seen, "two", agreed));
    assert!(client.call().await);
    let seen = gate.old.seen();
    let at = |rpc: &str| seen.iter().position(|seen| seen.header("mcp-session-id") == Some("two") && seen.rpc() == rpc).unwrap();
    let set = at("logging/setLevel");
    assert!(at("notifications/initialized") < set && set < at("tools/call"), "{seen:?}");
    assert_eq!(seen[set].json()["params"]["level"], "error");
    // Whoever set none gets none.
    assert!(Client::of(&gate, "bob").await.call().await);
    assert_eq!(levels(&gate, "two"), 1);
}

#[tokio::test]
async fn a_level_that_is_not_answered_holds_up_no_session() {
    let hangs = |_: &Seen| Answer::Opened(String::new());
    // Never answered: it is not set anew.
    let gate = Gate::with(patient).await;
    gate.old.behave(move |seen| logging(seen, "one", hangs));
    let client = Client::of(&gate, "alice").await;
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), client.level()).await;
    assert_eq!(levels(&gate, "one"), 1);
    gate.old.behave(move |seen| logging(seen, "two", hangs));
    assert!(client.call().await);
    assert_eq!(levels(&gate, "two"), 0);
    // Answered once, and never again.
    let gate = Gate::with(patient).await;
    gate.old.behave(move |seen| logging(seen, "one", agreed));
    let client = Client::of(&gate, "alice").await;
    client.level().await;
    gate.old.behave(move |seen| logging(seen, "two", hangs));
    let began = Instant::now();
    assert!(client.call().await && client.call().await);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert_eq!(levels(&gate, "two"), 1);
}

#[tokio::test]
async fn a_level_lasts_no_longer_than_the_session_of_the_client() {
    let gate = Gate::start().await;
    gate.old.behave(|seen| logging(seen, "one", agreed));
    let (first, second) = (Client::of(&gate, "alice").await, Client::of(&gate, "alice").await);
    first.level().await;
    assert!(first.call().await && second.call().await);
    first.end().await;
    gate.old.behave(|seen| logging(seen, "two", agreed));
    assert!(second.call().await);
    assert_eq!((levels(&gate, "one"), levels(&gate, "two")), (1, 0), "nobody who is there set one");
    // While the session that set it goes on, it is set anew, once.
    let third = Client::of(&gate, "alice").await;
    third.level().await;
    gate.old.behave(|seen| logging(seen, "three", agreed));
    assert!(third.call().await && third.call().await);
    assert_eq!(levels(&gate, "three"), 1);
}

#[tokio::test]
async fn a_session_refused_with_401_is_replaced() {
    let refusal: Refusal = |_| {
        let text = "Unauthorized: Session not found";
        let head = "HTTP/1.1 401 X\r\ncontent-type: text/plain\r\ncontent-length";
        Answer::Raw(format!("{head}: {}\r\n\r\n{text}", text.len()).into_bytes())
    };
    let gate = Gate::start().await;
    gate.old.behave(|seen| match seen.rpc().as_str() {
        "server/discover" => refused(400, &Value::Null, -32_600),
        _ => strict(seen, "one", || Answer::Json(400, "", String::new())),
    });
    assert!(did(&called(&gate, "old__echo").await));
    started(&gate, "two", refusal);
    assert!(!did(&called(&gate, "old__echo").await));
    assert_eq!(gate.old.calls().len(), 2, "it does not go out again");
    assert!(did(&called(&gate, "old__echo").await), "{:?}", gate.old.seen());
    assert_eq!((gate.old.calls().len(), sent(&gate, "initialize")), (3, 2));
}

#[tokio::test]
async fn a_finding_in_doubt_is_used_on_while_it_cannot_be_renewed() {
    let gate = Gate::start().await;
    gate.old.behave(modern);
    assert!(did(&called(&gate, "old__echo").await));
    // No server without sessions refuses so, and it cannot be asked.
    let away = |seen: &Seen| seen.rpc() == "server/discover";
    gate.old.behave(move |seen| if away(seen) { Answer::Json(503, "", String::new()) } else { named(seen, 400, -32_600) });
    assert!(!did(&called(&gate, "old__echo").await));
    let asked = sent(&gate, "server/discover");
    gate.old.behave(move |seen| if away(seen) { Answer::Json(503, "", String::new()) } else { modern(seen) });
    assert!(did(&called(&gate, "old__echo").await), "{:?}", gate.old.seen());
    assert_eq!(sent(&gate, "server/discover"), asked + 1, "it is asked all the same");
}
