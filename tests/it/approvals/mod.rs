//! Calls that people approve: which call it is, who may, how often it runs, and how whoever calls is told.

mod bound;
mod crash;
mod delivery;
mod digests;
mod failing;
mod handles;
mod images;
mod lease;
mod many;
mod masks;
mod once;
mod pages;
mod people;
mod rounds;
mod sdk;
mod states;
mod waiting;
mod whole;

use std::sync::Arc;

use portcullis::approval::{Filter, Request, RequestId, State, VoteError, Voter};
use portcullis::vocab::Principal;
use serde_json::{Value, json};

use crate::gate::{Files, Gate, META};
use crate::keys;
use crate::wire::{Req, Resp};

/// Replaces the rule `eng` of the usual policy: what writes is approved by `sre`.
const RULES: &str = r#"
version: 1
groups:
  eng: { claim: groups, any_of: [eng] }
  sre: { claim: groups, any_of: [sre] }
  sec: { claim: groups, any_of: [sec] }
tools:
  - { match: ["*__echo", "*__limited", "*__mirror"], class: read }
  - { match: ["*__write", "*__raised"], class: write }
rules:
  - id: free
    effect: allow
    principals: ["group:eng"]
    tools: ["*__echo"]
  - id: gated
    effect: allow
    principals: ["group:eng"]
    tools: ["*__write", "*__limited", "*__mirror"]
    classes: [read, write]
    prompts: ["*__greet"]
    resources: ["*__file:///srv/public/*"]
    require: { approval: { from: ["group:sre"], expires: 5m } }
  - id: two
    effect: allow
    principals: ["group:eng"]
    tools: ["*__delete"]
    classes: [destructive]
    require: { approval: { from: ["group:sre", "group:sec"], quorum: 2, expires: 5m } }
  - id: mine
    effect: allow
    principals: ["group:eng"]
    tools: ["*__two__parts"]
    classes: [destructive]
    require: { approval: { from: [caller], expires: 5m } }
"#;

struct World {
    gate: Gate,
    alice: String,
}

impl World {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Files)) -> Self {
        let gate = Gate::with(|files| {
            files.policy = RULES.to_owned();
            change(files);
        })
        .await;
        Self::of(gate)
    }

    fn of(gate: Gate) -> Self {
        let alice = gate.token("alice", &["eng"]);
        Self { gate, alice }
    }

    async fn again(self) -> Self {
        Self::of(self.gate.again().await)
    }

    fn desk(&self) -> portcullis::approval::Desk {
        self.gate.running().approvals()
    }

    async fn call(&self, tool: &str, arguments: &str) -> Resp {
        self.gate.reach.send(&self.gate.call("/mcp", &self.alice, tool, arguments)).await
    }

    /// Calls, and expects to be told that people have to approve; the request.
    async fn asked(&self, tool: &str, arguments: &str) -> Arc<Request> {
        let answer = self.call(tool, arguments).await;
        self.pending(&answer)
    }

    fn pending(&self, answer: &Resp) -> Arc<Request> {
        let denial = denial(answer);
        assert_eq!(denial["reason"], "approval_required", "{}", answer.whole());
        let id = RequestId::parse(denial["approval_id"].as_str().unwrap()).unwrap();
        self.desk().get(&id).unwrap()
    }

    async fn vote(&self, request: &Request, sub: &str, groups: &[&str], yes: bool) -> Result<State, VoteError> {
        let voter = Voter { principal: person(sub, groups), name: sub.to_owned() };
        let policy = self.gate.running().policy();
        self.desk().vote(&request.id, &voter, &policy, yes, "because").await.map(|request| request.state)
    }

    async fn approve(&self, request: &Request) {
        assert_eq!(self.vote(request, "sven", &["sre"], true).await, Ok(State::Approved));
    }

    fn ran(&self) -> usize {
        self.gate.up.calls().len() + self.gate.old.calls().len()
    }

    fn requests(&self) -> Vec<Arc<Request>> {
        self.desk().list(&Filter::default(), None, 10_000)
    }

    /// A call of 2026-07-28 by a client with these capabilities, with more members of `params`.
    fn calling(&self, tool: &str, arguments: &Value, capabilities: &Value, more: &Value) -> Req {
        let mut params = json!({"name": tool, "arguments": arguments});
        params["_meta"] = serde_json::from_str(&format!("{{{META}}}")).unwrap();
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        let request = self.gate.post("/mcp", &self.alice).add("MCP-Protocol-Version", "2026-07-28");
        request.add("Mcp-Method", "tools/call").add("Mcp-Name", tool).body(body.to_string())
    }
}

/// Somebody who signed in at the same issuer as the agents' people.
fn person(sub: &str, groups: &[&str]) -> Arc<Principal> {
    let claims = json!({"groups": groups}).as_object().unwrap().clone();
    Arc::new(Principal { iss: keys::ISSUER.into(), sub: sub.into(), claims, anonymous: false, ..Principal::anonymous() })
}

fn denial(answer: &Resp) -> Value {
    denial_of(&answer.json())
}

fn denial_of(message: &Value) -> Value {
    message["result"]["_meta"]["dev.portcullis/denial"].clone()
}

fn text(answer: &Resp) -> String {
    answer.json()["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

fn did(answer: &Resp) -> bool {
    did_say(&answer.json())
}

fn did_say(message: &Value) -> bool {
    message["result"]["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("did "))
        && message["result"]["isError"] != true
}
