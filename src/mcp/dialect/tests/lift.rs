//! What a revision has of a client's message.

use super::*;

#[test]
fn tables_agree_with_the_official_schemas() {
    for (revision, schema) in [
        (Revision::V2024_11_05, include_str!("../../../../tests/data/mcp-schema/2024-11-05.json")),
        (Revision::V2025_03_26, include_str!("../../../../tests/data/mcp-schema/2025-03-26.json")),
        (Revision::V2025_06_18, include_str!("../../../../tests/data/mcp-schema/2025-06-18.json")),
        (Revision::V2025_11_25, include_str!("../../../../tests/data/mcp-schema/2025-11-25.json")),
        (NEW, include_str!("../../../../tests/data/mcp-schema/2026-07-28.json")),
    ] {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let definitions = schema.get("$defs").or(schema.get("definitions")).unwrap();
        let mut official: Vec<&str> = definitions["ClientRequest"]["anyOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["$ref"].as_str().unwrap().rsplit('/').next().unwrap())
            .map(|name| definitions[name]["properties"]["method"]["const"].as_str().unwrap())
            .collect();
        // The tasks extension has a document of its own.
        let extension = |m: &&str| !(revision == NEW && m.starts_with("tasks/"));
        let mut ours: Vec<&str> = of(revision).methods.iter().map(|m| m.as_str()).filter(extension).collect();
        official.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, official, "{revision}");
    }
}

#[test]
fn lifts_what_the_revision_has() {
    for (revision, method, params, code) in [
        (NEW, "tools/call", r#"{"name":"a"}"#, None),
        (NEW, "tools/call", "{}", Some(-32602)),
        (NEW, "prompts/get", r#"{"name":"a","arguments":{"x":1}}"#, Some(-32602)),
        (NEW, "prompts/get", r#"{"name":"a","arguments":{"x":"1"}}"#, None),
        (NEW, "resources/read", "{}", Some(-32602)),
        (NEW, "completion/complete", r#"{"ref":{"type":"ref/prompt","name":"p"}}"#, Some(-32602)),
        (NEW, "completion/complete", r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a"}}"#, Some(-32602)),
        (NEW, "completion/complete", r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}}"#, None),
        (NEW, "subscriptions/listen", "{}", Some(-32602)),
        (NEW, "tools/list", r#"{"_meta":{"io.modelcontextprotocol/logLevel":"loud"}}"#, Some(-32602)),
        (NEW, "ping", "{}", Some(-32601)),
        (NEW, "nope", "{}", Some(-32601)),
        (Revision::V2025_11_25, "server/discover", "{}", Some(-32601)),
        (Revision::V2025_11_25, "logging/setLevel", r#"{"level":"info"}"#, None),
        (Revision::V2025_11_25, "logging/setLevel", r#"{"level":"Info"}"#, Some(-32602)),
        (Revision::V2025_11_25, "initialize", "{}", Some(-32602)),
        (Revision::V2025_11_25, "tasks/list", "{}", None),
        (Revision::V2025_06_18, "tasks/list", "{}", Some(-32601)),
        (Revision::V2024_11_05, "tools/call", r#"{"name":"a"}"#, None),
        (
            Revision::V2024_11_05,
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}}"#,
            None,
        ),
        (Revision::V2024_11_05, "tasks/list", "{}", Some(-32601)),
    ] {
        let result = lift_request(revision, request(method, params));
        assert_eq!(result.as_ref().err().map(|e| e.code), code, "{revision} {method} {params}");
        if let Err(error) = result {
            assert_eq!(error.id.unwrap().as_str(), "\"i\"");
            let expect = if error.code == -32601 && revision == NEW { 404 } else { 200 };
            assert_eq!(error.status, expect, "{revision} {method}");
        }
    }
    let notification = message(r#"{"jsonrpc":"2.0","method":"tools/list"}"#);
    assert_eq!(notification.shape, Shape::Notification);
    assert!(lift_request(NEW, notification).is_err());
}

#[test]
fn a_retry_exists_only_where_the_revision_has_it() {
    let params = r#"{"name":"a","inputResponses":{"k":{}},"requestState":"s"}"#;
    let lifted = |revision, method: &str| lift_request(revision, request(method, params)).unwrap().params;
    let has = |p: Params| (p.input_responses.is_some(), p.request_state.is_some());
    assert_eq!(has(lifted(NEW, "tools/call")), (true, true));
    assert_eq!(has(lifted(NEW, "tools/list")), (false, false));
    assert_eq!(has(lifted(Revision::V2025_11_25, "tools/call")), (false, false));
}
