//! Conditions of rules, as callers meet them.

use crate::gate::Gate;

const RULES: &str = r#"
  - id: small-orders
    effect: allow
    principals: ["group:ops"]
    tools: ["up__echo"]
    when: |
      route == "/mcp" &&
      args.amount <= 100 && args.to.all(x, x.endsWith("@example.com"))
  - { id: not-twice, effect: deny, principals: ["group:ops"], tools: ["up__echo"], when: "has(args.again) && args.again" }
  - { id: never, effect: allow, principals: ["group:ops"], tools: ["up__limited"], when: "principal.tenant == 'acme'" }
  - { id: elsewhere, effect: allow, principals: ["group:ops"], tools: ["up__mirror"], when: "route == '/elsewhere'" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_on_arguments_decides_before_the_upstream_is_asked() {
    let gate = Gate::with(|files| files.policy.push_str(RULES)).await;
    let token = gate.token("olga", &["ops"]);
    let mut calls = 0;
    for (number, (route, tool, arguments, reason)) in [
        ("/mcp", "up__echo", r#"{"amount":100,"to":["a@example.com"]}"#, "allowed"),
        ("/mcp", "up__echo", r#"{"amount":1e2,"to":["a@example.com","b@\u0065xample.com"]}"#, "allowed"),
        ("/mcp", "up__echo", r#"{"amount":100.5,"to":["a@example.com"]}"#, "no_rule"),
        ("/mcp", "up__echo", r#"{"amount":1,"to":["a@example.com","b@example.org"]}"#, "no_rule"),
        ("/mcp", "up__echo", r#"{"amount":"1","to":[]}"#, "indeterminate"),
        ("/mcp", "up__echo", r#"{"amount":1}"#, "indeterminate"),
        ("/mcp", "up__echo", "{}", "indeterminate"),
        ("/mcp", "up__echo", r#"{"amount":1,"to":[],"Amount":1000}"#, "indeterminate"),
        ("/mcp", "up__echo", r#"{"amount":1,"to":[],"again":true}"#, "rule_denied"),
        ("/mcp", "up__echo", r#"{"amount":1,"to":[],"again":"yes"}"#, "indeterminate"),
        ("/mcp", "up__echo", r#"{"amount":1,"to":[],"again":false}"#, "allowed"),
        ("/bare", "echo", r#"{"amount":1,"to":[]}"#, "no_rule"),
        ("/mcp", "up__limited", "{}", "not_visible"),
        ("/mcp", "up__mirror", "{}", "not_visible"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = gate.reach.send(&gate.call(route, &token, tool, arguments)).await;
        let records = gate.settled(number + 1).await;
        let record = records.iter().rev().find(|record| record["kind"] == "outcome").unwrap();
        assert_eq!(record["decision"]["reason"], reason, "{arguments}: {}", answer.whole());
        calls += usize::from(reason == "allowed");
        assert_eq!(answer.text().contains("did"), reason == "allowed", "{arguments}: {}", answer.whole());
        assert_eq!(gate.up.calls().len(), calls, "what is refused does not reach the upstream: {arguments}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_show_what_could_be_allowed_here_and_now() {
    let gate = Gate::with(|files| files.policy.push_str(RULES)).await;
    let token = gate.token("olga", &["ops"]);
    let listed = gate.reach.send(&gate.modern("/mcp", &token, "tools/list", "")).await.json();
    let names: Vec<&str> =
        listed["result"]["tools"].as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert!(names.contains(&"up__echo"), "{names:?}");
    assert!(!names.contains(&"up__limited") && !names.contains(&"up__mirror"), "{names:?}");
}
