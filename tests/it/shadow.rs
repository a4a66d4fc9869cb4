//! Rules and whole policies that are tried and not enforced.

use serde_json::{Value, json};

use crate::gate::{Gate, META};
use crate::wire::{Req, Resp};

const SHADOW: &str = "  - { id: no-tmp, effect: deny, tools: ['*'], arguments: { /path: { path_under: [/tmp] } }, mode: shadow }\n  \
    - { id: tighter, effect: allow, principals: ['group:eng'], tools: ['up__echo'], mode: shadow, require: { approval: { from: [caller] }, \
    limit: [{ calls: 1, per: 1h, by: [] }], scope: other } }\n  \
    - { id: opens, effect: allow, principals: ['group:guests'], tools: ['up__write'], classes: [write], mode: shadow }\n";

fn reason(answer: &Resp) -> String {
    let body = answer.json();
    let detail = [&body["result"]["_meta"]["dev.portcullis/denial"], &body["error"]["data"]];
    detail.iter().find_map(|detail| detail["reason"].as_str()).unwrap_or("-").to_owned()
}

fn names(list: &Resp) -> Vec<String> {
    let list = list.json();
    let tools = list["result"]["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_rules_are_on_record_and_change_nothing() {
    let plain = Gate::start().await;
    let gate = Gate::with(|files| files.policy.push_str(SHADOW)).await;
    let (eng, guest) = (["eng"], ["guests"]);
    let rows: [(&[&str], &str, &str, Value); 6] = [
        (&eng, "up__mirror", "{}", Value::Null),
        (&eng, "up__mirror", r#"{"path":"/srv/a"}"#, Value::Null),
        (&eng, "up__mirror", r#"{"path":"/tmp/a"}"#, json!({"effect": "deny", "reason": "rule_denied", "rules": ["no-tmp"]})),
        (&eng, "up__echo", "{}", json!({"effect": "deny", "reason": "scope_required", "rules": ["tighter"]})),
        (&eng, "up__echo", r#"{"path":"/etc/x"}"#, json!({"effect": "deny", "reason": "scope_required", "rules": ["tighter"]})),
        (&guest, "up__write", "{}", json!({"effect": "allow", "reason": "allowed", "rules": ["opens"]})),
    ];
    for (groups, tool, arguments, _) in &rows {
        let ask = |gate: &Gate| gate.call("/mcp", &gate.token("alice", groups), tool, arguments);
        let (with, without) = (gate.reach.send(&ask(&gate)).await, plain.reach.send(&ask(&plain)).await);
        assert_eq!((with.status, reason(&with)), (without.status, reason(&without)), "{tool} {arguments}");
    }
    let (with, without) = (gate.settled(rows.len()).await, plain.settled(rows.len()).await);
    let outcomes = |records: &[Value]| records.iter().filter(|r| r["kind"] != "intent").cloned().collect::<Vec<_>>();
    let (with, without) = (outcomes(&with), outcomes(&without));
    for ((record, before), (_, tool, arguments, shadow)) in with.iter().zip(&without).zip(&rows) {
        let mut decision = record["decision"].clone();
        assert_eq!(&decision["shadow"], shadow, "{tool} {arguments} {record}");
        // All else is as without shadow rules.
        decision.as_object_mut().unwrap().remove("shadow");
        let mut expected = before["decision"].clone();
        expected["policy"] = decision["policy"].clone();
        assert_eq!(decision, expected, "{tool} {arguments}");
    }
    for groups in [eng, guest] {
        let list = |gate: &Gate| gate.modern("/mcp", &gate.token("alice", &groups), "tools/list", "");
        assert_eq!(names(&gate.reach.send(&list(&gate)).await), names(&plain.reach.send(&list(&plain)).await));
    }
}

async fn observing() -> Gate {
    Gate::with(|files| {
        files.config.push_str("danger_observe_only: true\n");
        files.policy.push_str(
            "  - { id: gated, effect: allow, principals: ['group:ops'], tools: ['up__mirror'], require: { approval: { from: [caller] }, \
             limit: [{ calls: 1, per: 1h, by: [] }] } }\n  \
             - { id: scoped, effect: allow, principals: ['group:sec'], tools: ['up__echo'], require: { scope: other } }\n",
        );
        files.policy = files.policy.replace("groups:\n", "groups:\n  sec: { claim: groups, any_of: [sec] }\n");
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observing_passes_refusals_of_policy_and_records_them() {
    let gate = observing().await;
    let call = |groups: &[&str], tool: &str, arguments: &str| gate.call("/mcp", &gate.token("alice", groups), tool, arguments);
    let resource = gate.modern("/mcp", &gate.token("alice", &[]), "resources/read", r#""uri":"up+file:///etc/shadow","#);
    let rows: Vec<(Req, &str, bool)> = vec![
        (call(&["eng"], "up__echo", "{}"), "allowed", false),
        (call(&["eng"], "up__echo", r#"{"path":"/etc/x"}"#), "rule_denied", false),
        (call(&["eng"], "up__echo", r#"{"path":"a","Path":"b"}"#), "indeterminate", false),
        (call(&["eng"], "up__hidden", "{}"), "not_visible", false),
        (call(&["guests"], "up__echo", r#"{"path":"/home"}"#), "no_rule", false),
        (call(&[], "up__write", "{}"), "not_visible", true),
        (call(&[], "old__echo", "{}"), "not_visible", false),
        (resource.add("Mcp-Name", "up+file:///etc/shadow"), "not_visible", false),
        (call(&["ops"], "up__mirror", "{}"), "approval_required", false),
        (call(&["ops"], "up__mirror", "{}"), "approval_required", false),
        (call(&["eng"], "up__limited", "{}"), "allowed", false),
        (call(&["eng"], "up__limited", "{}"), "allowed", false),
        (call(&["eng"], "up__limited", "{}"), "rate_limited", false),
    ];
    for (n, (request, reason_expected, _)) in rows.iter().enumerate() {
        let answer = gate.reach.send(request).await;
        assert_eq!((answer.status, &*reason(&answer)), (200, "-"), "{n} {reason_expected}: {}", answer.whole());
    }
    assert_eq!(gate.up.calls().len() + gate.old.calls().len(), rows.len());
    let records = gate.settled(rows.len()).await;
    let intents = records.iter().filter(|record| record["kind"] == "intent").count();
    assert_eq!(intents, rows.iter().filter(|(.., intent)| *intent).count());
    for (record, (_, reason, intent)) in records.iter().filter(|record| record["kind"] != "intent").zip(&rows) {
        let decision = &record["decision"];
        let (effect, mode) = if *reason == "allowed" { ("allow", "enforce") } else { ("deny", "observe") };
        assert_eq!(
            (&decision["reason"], &decision["effect"], &decision["mode"]),
            (&json!(reason), &json!(effect), &json!(mode)),
            "{record}"
        );
        assert_eq!((&record["outcome"]["status"], record["intent"].is_u64()), (&json!("completed"), *intent), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observing_passes_nothing_else() {
    let gate = observing().await;
    let token = gate.token("alice", &["eng"]);
    let good = gate.call("/mcp", &token, "up__echo", "{}");
    let resource = |uri: &str| gate.modern("/mcp", &token, "resources/read", &format!(r#""uri":"{uri}","#)).add("Mcp-Name", uri);
    let rows: Vec<(&str, Req, u16)> = vec![
        ("no credential", good.clone().without("Authorization"), 401),
        ("a bad credential", good.clone().set("Authorization", "Bearer x"), 401),
        ("a scope of the route", gate.call("/scoped", &token, "echo", "{}"), 403),
        ("a scope of a rule", gate.call("/mcp", &gate.token("alice", &["sec"]), "up__echo", "{}"), 403),
        ("a foreign host", good.clone().set("Host", "evil.example"), 403),
        ("a foreign origin", good.clone().add("Origin", "https://evil.example"), 403),
        ("an unknown tool", gate.call("/mcp", &token, "up__nothing", "{}"), 400),
        ("an unknown upstream", gate.call("/mcp", &token, "nowhere__echo", "{}"), 400),
        ("a URI with dot segments", resource("up+file:///srv/public/../x"), 400),
        ("no JSON", good.clone().body("{"), 400),
        ("a header that lies", good.clone().set("Mcp-Name", "up__write"), 400),
    ];
    for (what, request, status) in rows {
        let answer = gate.reach.send(&request).await;
        let refused = answer.status == status || (status == 400 && answer.code() != 0);
        assert!(refused, "{what}: {}", answer.whole());
    }
    assert_eq!(gate.up.calls().len(), 0);
}

/// Lists show what calls would pass: everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observing_shows_everything() {
    let gate = observing().await;
    let shown = names(&gate.reach.send(&gate.modern("/mcp", &gate.token("nobody", &[]), "tools/list", "")).await);
    assert!(shown.iter().any(|name| name == "up__hidden") && shown.iter().any(|name| name == "old__delete"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observing_is_loud_and_ends_with_a_reload() {
    let quiet = Gate::start().await;
    assert_eq!(quiet.metric("portcullis_observe_only").await, "0");
    let gate = observing().await;
    assert_eq!(gate.metric("portcullis_observe_only").await, "1");
    assert!(META.contains("protocolVersion"));
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    gate.reload("portcullis.yaml", &config.replace("danger_observe_only: true", "danger_observe_only: false"));
    for _ in 0..500 {
        if gate.metric("portcullis_observe_only").await == "0" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(gate.metric("portcullis_observe_only").await, "0");
    let answer = gate.reach.send(&gate.call("/mcp", &gate.token("alice", &["eng"]), "up__echo", r#"{"path":"/etc/x"}"#)).await;
    assert_eq!(reason(&answer), "rule_denied");

    let mut program =
        Gate::program(|files| files.config.push_str("danger_observe_only: true\ntelemetry: { log: error }\n")).await;
    assert_eq!(program.terminate().await, Some(0));
    assert!(program.log().contains("POLICY IS NOT ENFORCED"), "{}", program.log());
    let mut program = Gate::program(|files| files.config.push_str("danger_observe_only: true\n")).await;
    assert_eq!(program.terminate().await, Some(0));
    let warned = program.log().lines().any(|line| line.contains("WARN") && line.contains("danger_observe_only"));
    assert!(warned, "{}", program.log());
}
