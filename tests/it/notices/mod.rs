//! What approvers are told by webhooks and by e-mail, and what receivers that misbehave can do about it.

mod mail;
mod receiver;
mod terminal;
mod trust;
mod webhooks;

use std::sync::Arc;

use portcullis::approval::{Desk, Request, RequestId, State, Voter};
use portcullis::vocab::Principal;
use serde_json::json;

use crate::gate::Gate;
use crate::keys;
use receiver::SECRET;

const RULES: &str = r#"
version: 1
groups:
  eng: { claim: groups, any_of: [eng] }
  sre: { claim: groups, any_of: [sre] }
tools:
  - { match: ["*__echo"], class: read }
  - { match: ["*__write"], class: write }
rules:
  - id: gated
    effect: allow
    principals: ["group:eng"]
    tools: ["up__write"]
    classes: [read, write]
    require: { approval: { from: ["group:sre"], expires: 5m } }
  - id: mine
    effect: allow
    principals: ["group:eng"]
    tools: ["up__echo"]
    require: { approval: { from: [caller], expires: 5m } }
"#;

/// A gateway with these channels.
async fn gate(channels: &str) -> Gate {
    gate_with(channels, &[]).await
}

/// A gateway with these channels, and further files: names and contents.
async fn gate_with(channels: &str, more: &[(String, String)]) -> Gate {
    Gate::with(|files| {
        files.config.push_str(&format!("approvals: {{ channels: [{channels}] }}\n"));
        files.policy = RULES.to_owned();
        files.more = more.to_vec();
    })
    .await
}

fn signed(name: &str, url: &str) -> String {
    format!("{{ name: {name}, webhook: {{ url: \"{url}\", secret: {SECRET} }} }}")
}

fn desk(gate: &Gate) -> Desk {
    gate.running().approvals()
}

/// Has alice call what must be approved; the request.
async fn ask(gate: &Gate, tool: &str, arguments: &str) -> Arc<Request> {
    let token = gate.token("alice", &["eng"]);
    let answer = gate.reach.send(&gate.call("/mcp", &token, tool, arguments)).await;
    let told = answer.json();
    let id = told["result"]["_meta"]["dev.portcullis/denial"]["approval_id"].as_str().unwrap_or_else(|| panic!("{told}"));
    desk(gate).get(&RequestId::parse(id).unwrap()).unwrap()
}

async fn vote(gate: &Gate, request: &Request, yes: bool, reason: &str) -> State {
    let claims = json!({"groups": ["sre"]}).as_object().unwrap().clone();
    let sven = Principal { iss: keys::ISSUER.into(), sub: "sven".into(), claims, anonymous: false, ..Principal::anonymous() };
    let voter = Voter { principal: Arc::new(sven), name: "Sven".to_owned() };
    desk(gate).vote(&request.id, &voter, &gate.running().policy(), yes, reason).await.unwrap().state
}
