//! Questions of upstreams to people, models and clients, across revisions, and what must not come of them.

pub(crate) mod asker;
mod attacks;
mod misfits;
mod newer_clients;
mod older_clients;
mod pages;
mod signed;

use std::sync::Arc;

use serde_json::{Value, json};

use self::asker::{Asker, asking_by_requests, asking_in_results};
use crate::gate::{Files, Gate, META};
use crate::wire::{Conn, Req, Resp};

pub(crate) const MAY_ASK: &str = r#"
  - id: may-ask
    effect: allow
    principals: ["group:eng"]
    capabilities: ["*:elicitation.form", "*:elicitation.url", "*:sampling", "*:roots"]
"#;

/// Everything a client can be asked.
fn all() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}})
}

/// A gateway before two upstreams that ask what the call's arguments say: `up` in results, `old` by requests.
struct World {
    gate: Gate,
    asker: Arc<Asker>,
    alice: String,
}

impl World {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Files)) -> Self {
        let gate = Gate::with(|files| {
            files.policy.push_str(MAY_ASK);
            change(files);
        })
        .await;
        let asker = Arc::<Asker>::default();
        let asks = asker.clone();
        gate.up.behave(asking_in_results);
        gate.old.behave(move |seen| asking_by_requests(&asks, seen));
        let alice = gate.token("alice", &["eng"]);
        Self { gate, asker, alice }
    }

    /// A legacy session of a client that can be asked this.
    async fn session(&self, token: &str, revision: &str, capabilities: &Value) -> Session<'_> {
        Session::open(&self.gate, token, revision, capabilities).await
    }

    /// A call of 2026-07-28 by a client that can be asked this, with more members of `params`.
    fn call(&self, token: &str, tool: &str, arguments: &Value, capabilities: &Value, more: &Value) -> Req {
        let mut params = json!({"name": tool, "arguments": arguments});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.modern("tools/call", token, params, capabilities).add("Mcp-Name", tool)
    }

    fn modern(&self, method: &str, token: &str, mut params: Value, capabilities: &Value) -> Req {
        params["_meta"] = serde_json::from_str(&format!("{{{META}}}")).unwrap();
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let request = self.gate.post("/mcp", token).add("MCP-Protocol-Version", "2026-07-28").add("Mcp-Method", method);
        request.body(body.to_string())
    }

    /// Calls a tool of `old` and is asked.
    async fn asked(&self, token: &str, tool: &str, arguments: &Value) -> Asked {
        let answer = self.gate.reach.send(&self.call(token, tool, arguments, &all(), &json!({}))).await;
        Asked::of(&answer)
    }

    /// The retry of such a call.
    fn retry(&self, token: &str, tool: &str, arguments: &Value, asked: &Asked, responses: &Value) -> Req {
        let more = json!({"requestState": asked.state, "inputResponses": responses});
        self.call(token, tool, arguments, &all(), &more)
    }
}

/// A result that asks for input.
pub(crate) struct Asked {
    pub(crate) requests: Vec<(String, Value)>,
    pub(crate) state: String,
}

impl Asked {
    pub(crate) fn of(answer: &Resp) -> Self {
        let result = answer.json()["result"].clone();
        assert_eq!((answer.status, &result["resultType"]), (200, &json!("input_required")), "{}", answer.whole());
        Self::of_message(&answer.json())
    }

    fn of_message(message: &Value) -> Self {
        let result = &message["result"];
        let requests = result["inputRequests"].as_object().cloned().unwrap_or_default().into_iter().collect();
        Self { requests, state: result["requestState"].as_str().unwrap().to_owned() }
    }

    /// What a willing client answers to each question.
    pub(crate) fn answers(&self) -> Value {
        let answer =
            |(key, request): &(String, Value)| (key.clone(), willing(request["method"].as_str().unwrap(), &request["params"]));
        self.requests.iter().map(answer).collect::<serde_json::Map<_, _>>().into()
    }
}

/// What a willing client answers.
fn willing(method: &str, params: &Value) -> Value {
    match method {
        "elicitation/create" if params["mode"] == "url" => json!({"action": "accept"}),
        "elicitation/create" => json!({"action": "accept", "content": {"name": "Ada"}}),
        "sampling/createMessage" => {
            json!({"role": "assistant", "model": "m-1", "content": {"type": "text", "text": "sampled"}})
        }
        "roots/list" => json!({"roots": [{"uri": "file:///home/ada"}]}),
        other => panic!("asked {other}"),
    }
}

/// A client of 2025-11-25 or older.
pub(crate) struct Session<'g> {
    gate: &'g Gate,
    token: String,
    revision: String,
    id: String,
}

impl<'g> Session<'g> {
    /// Of a client that can be asked this.
    pub(crate) async fn open(gate: &'g Gate, token: &str, revision: &str, capabilities: &Value) -> Self {
        let opening = gate.initialize("/mcp", token, revision);
        let opening = opening.edit(r#""capabilities":{}"#, &format!(r#""capabilities":{capabilities}"#));
        let opened = gate.reach.send(&opening).await;
        assert_eq!(opened.json()["result"]["protocolVersion"], revision, "{}", opened.whole());
        let id = opened.header("mcp-session-id").unwrap().to_owned();
        Self { gate, token: token.to_owned(), revision: revision.to_owned(), id }
    }

    /// Answers every question of a stream as a willing client does; the questions, and the last message.
    pub(crate) async fn oblige(&self, conn: &mut Conn, id: u32) -> (Vec<Value>, Value) {
        let mut asked = Vec::new();
        loop {
            let message = conn.message().await.expect("an answer");
            if message["id"] == id {
                return (asked, message);
            }
            let method = message["method"].as_str().unwrap();
            assert_eq!(self.answer(&message, &willing(method, &message["params"])).await, 202);
            asked.push(message);
        }
    }

    pub(crate) fn message(&self, body: &Value) -> Req {
        self.gate.legacy("/mcp", &self.token, &self.revision, &self.id, &body.to_string())
    }

    pub(crate) fn calling(&self, id: u32, tool: &str, arguments: &Value) -> Req {
        let params = json!({"name": tool, "arguments": arguments});
        self.message(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}))
    }

    /// The stream of a call.
    pub(crate) async fn call(&self, id: u32, tool: &str, arguments: &Value) -> Conn {
        let mut conn = self.gate.reach.open().await;
        conn.stream(&self.calling(id, tool, arguments)).await;
        conn
    }

    /// Answers a question; the status.
    pub(crate) async fn answer(&self, question: &Value, result: &Value) -> u16 {
        self.gate.reach.send(&self.message(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}))).await.status
    }

    async fn fail(&self, question: &Value) -> u16 {
        let error = json!({"code": -1, "message": "no"});
        self.gate.reach.send(&self.message(&json!({"jsonrpc": "2.0", "id": question["id"], "error": error}))).await.status
    }
}

/// The text of a tool's result, and whether it failed.
fn said(message: &Value) -> (String, bool) {
    let result = &message["result"];
    (result["content"][0]["text"].as_str().unwrap_or_default().to_owned(), result["isError"] == true)
}
