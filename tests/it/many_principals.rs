//! Many principals at once, whose requests and progress tokens are all numbered alike, over upstreams that they share: no
//! answer, progress or question reaches another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use crate::echo::Echo;
use crate::gate::Gate;
use crate::wire::{Conn, Req};

const PRINCIPALS: usize = 200;
/// Calls of all principals together, unless `PORTCULLIS_PRINCIPAL_CALLS` says otherwise.
const CALLS: usize = 10_000;
/// How many come for the first time at once: a session, and the lists of every upstream, are the dearest that they ask for.
const FIRST_AT_ONCE: usize = 16;
/// Every so many calls of a principal asks a person.
const ASKS_EVERY: usize = 5;
const ROUTES: [&str; 4] = ["modern", "legacy", "one", "pipe"];

const CONFIG: &str = r#"
version: 1
listen: 127.0.0.1:0
data_dir: data
tls: self_signed
limits: { upstream_sessions: 4096 }
identity:
  issuers: [{ issuer: "https://idp.example.com", jwks: "file:jwks.json", algorithms: [RS256, ES256, EdDSA] }]
routes:
  - { path: /mcp, upstreams: [modern, legacy, one, pipe] }
upstreams:
  - { name: modern, http: { url: "http://MODERN/mcp" } }
  - { name: legacy, http: { url: "http://LEGACY/mcp" } }
  - { name: one, http: { url: "http://LEGACY/mcp" }, shared: true }
  - { name: pipe, stdio: { command: "PYTHON", args: ["-c", PIPE], danger_unsandboxed: true }, shared: true }
policies: [policy.yaml]
admin: { listen: "127.0.0.1:0" }
"#;

pub(crate) const POLICY: &str = r#"
version: 1
tools: [{ match: ["*"], class: read }]
rules:
  - { id: all, effect: allow, principals: [any], tools: ["*"] }
  - { id: ask, effect: allow, principals: [any], capabilities: ["*:elicitation.form"] }
"#;

/// One process for everybody, which answers out of order.
const PIPE: &str = r#"
import sys, json, threading
lock = threading.Lock()
def send(m):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **m}) + "\n"); sys.stdout.flush()
def reply(m, r): send({"id": m["id"], "result": {"resultType": "complete", **r}})
def call(m):
    nonce = m["params"]["arguments"]["nonce"]
    reply(m, {"content": [{"type": "text", "text": nonce}]})
for line in sys.stdin:
    m = json.loads(line); method = m.get("method")
    if method == "server/discover": reply(m, {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 60000, "cacheScope": "private"})
    elif method == "tools/list":
        tools = [{"name": "echo", "inputSchema": {"type": "object"}}]
        reply(m, {"tools": tools, "ttlMs": 60000, "cacheScope": "private"})
    elif method == "tools/call":
        token = m["params"].get("_meta", {}).get("progressToken")
        if token is not None:
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1, "message": m["params"]["arguments"]["nonce"]}})
        threading.Timer((m["id"] * 31 if isinstance(m["id"], int) else len(m["id"])) % 7 / 1000, call, [m]).start()
"#;

/// What one principal does, and all that it hears.
struct Person {
    gate: Arc<Gate>,
    name: String,
    token: String,
    /// The id of its session, if it speaks a revision with sessions.
    session: Option<String>,
    conn: Conn,
    progress: Arc<AtomicUsize>,
}

impl Person {
    fn request(&self, method: &str, name: &str, body: &Value) -> Req {
        match &self.session {
            Some(session) => self.gate.legacy("/mcp", &self.token, "2025-11-25", session, &body.to_string()),
            None => self
                .gate
                .post("/mcp", &self.token)
                .add("MCP-Protocol-Version", "2026-07-28")
                .add("Mcp-Method", method)
                .add("Mcp-Name", name)
                .body(body.to_string()),
        }
    }

    /// A call, with every retry that a question costs; the text of its result.
    async fn call(&mut self, id: usize, tool: &str) -> String {
        let nonce = format!("{} {id} {tool}", self.name);
        let mut params = json!({"name": tool, "arguments": {"nonce": nonce}, "_meta": {"progressToken": 1}});
        if self.session.is_none() {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2026-07-28".into();
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {"form": {}}});
        }
        loop {
            let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
            self.conn.write(&self.request("tools/call", tool, &body).bytes()).await;
            let answer = self.answer(id, &nonce).await;
            let result = &answer["result"];
            if result["resultType"] != "input_required" {
                return result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{nonce}: {answer}")).to_owned();
            }
            let questions = result["inputRequests"].as_object().unwrap();
            for question in questions.values() {
                self.hears(question, &nonce);
            }
            let answers: serde_json::Map<String, Value> = questions.keys().map(|key| (key.clone(), self.says())).collect();
            params["inputResponses"] = answers.into();
            params["requestState"] = result["requestState"].clone();
        }
    }

    /// The records of what failed for this principal.
    fn failed(&self) -> Vec<Value> {
        let failed =
            |record: &Value| record["principal"]["sub"] == self.name.as_str() && !record["outcome"]["error_kind"].is_null();
        self.gate.records().into_iter().filter(failed).collect()
    }

    fn says(&self) -> Value {
        json!({"action": "accept", "content": {"name": self.name}})
    }

    fn hears(&self, question: &Value, nonce: &str) {
        let message = question["params"]["message"].as_str().unwrap_or_default();
        assert!(question["method"] == "elicitation/create" && message.ends_with(nonce), "{nonce} was asked {question}");
    }

    /// Reads up to the answer of `id`; whatever comes before is about this very call.
    async fn answer(&mut self, id: usize, nonce: &str) -> Value {
        let mut coming = self.conn.begin().await.unwrap_or_else(|| panic!("{nonce}: no answer"));
        assert_eq!(coming.head.status, 200, "{nonce}: {}", coming.head.whole());
        let mut found = Value::Null;
        while let Some(message) = self.conn.message_of(&mut coming).await {
            match message["method"].as_str() {
                None => {
                    assert!(message["id"] == id && found.is_null(), "{nonce}: {message}");
                    found = message;
                }
                Some("notifications/progress") => {
                    assert_eq!((&message["params"]["progressToken"], &message["params"]["message"]), (&json!(1), &json!(nonce)));
                    self.progress.fetch_add(1, Ordering::Relaxed);
                }
                Some("elicitation/create") => {
                    self.hears(&message, nonce);
                    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": self.says()});
                    let told = self.gate.reach.send(&self.request("", "", &answer)).await;
                    assert_eq!(told.status, 202, "{nonce}: {}", told.whole());
                }
                Some(other) => panic!("{nonce}: {other} {message}"),
            }
        }
        found
    }
}

async fn person(gate: Arc<Gate>, at: usize, progress: Arc<AtomicUsize>) -> Person {
    let name = format!("p{at}");
    let token = gate.token(&name, &[]);
    let mut session = None;
    if at % 2 == 1 {
        let hello =
            gate.initialize("/mcp", &token, "2025-11-25").edit(r#""capabilities":{}"#, r#""capabilities":{"elicitation":{}}"#);
        let opened = gate.reach.send(&hello).await;
        assert_eq!(opened.status, 200, "{}", opened.whole());
        session = opened.header("mcp-session-id").map(str::to_owned);
    }
    let conn = gate.reach.open().await;
    Person { gate, name, token, session, conn, progress }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_reaches_the_wrong_principal() {
    let calls: usize = std::env::var("PORTCULLIS_PRINCIPAL_CALLS").map_or(CALLS, |calls| calls.parse().unwrap());
    let (modern, legacy) = (Echo::start(false).await, Echo::start(true).await);
    let gate = Gate::with(|files| {
        files.config = CONFIG
            .replace("MODERN", &modern.addr.to_string())
            .replace("LEGACY", &legacy.addr.to_string())
            .replace("PYTHON", &python())
            .replace("PIPE", &json!(PIPE).to_string());
        files.policy = POLICY.into();
    })
    .await;
    let gate = Arc::new(gate);
    let progress = Arc::new(AtomicUsize::new(0));
    let each = calls.div_ceil(PRINCIPALS);
    let (door, known) = (Arc::new(Semaphore::new(FIRST_AT_ONCE)), Arc::new(Barrier::new(PRINCIPALS)));
    let mut people: JoinSet<()> = (0..PRINCIPALS)
        .map(|at| {
            let (gate, progress, door, known) = (gate.clone(), progress.clone(), door.clone(), known.clone());
            async move {
                let mut first = Some(door.acquire_owned().await.unwrap());
                let mut person = person(gate, at, progress).await;
                for id in 0..each {
                    if id == ROUTES.len() {
                        first.take();
                        known.wait().await;
                    }
                    let route = ROUTES[(id + at) % ROUTES.len()];
                    let asks = (id / ROUTES.len()).is_multiple_of(ASKS_EVERY) && matches!(route, "modern" | "legacy");
                    let tool = format!("{route}__{}", if asks { "ask" } else { "echo" });
                    let said = person.call(id, &tool).await;
                    let nonce = format!("{} {id} {tool}", person.name);
                    let wanted = if asks { format!("{nonce} {}", person.name) } else { nonce };
                    assert_eq!(said, wanted, "{:#?}", person.failed());
                }
            }
        })
        .collect();
    while let Some(person) = people.join_next().await {
        person.unwrap();
    }
    assert!(progress.load(Ordering::Relaxed) >= PRINCIPALS * each, "every call reports");
}

/// The interpreter itself: what is in `PATH` may be a wrapper with an environment of its own.
pub(crate) fn python() -> String {
    let out = std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}
