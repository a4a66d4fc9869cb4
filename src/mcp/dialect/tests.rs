use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::mcp::message::{Params, Reference, Shape};
use crate::mcp::outgoing::Outgoing;
use crate::mcp::raw::RawId;
use crate::mcp::reply::{LogLevel, Reply, ResultBody, ResultKind};
use crate::mcp::{Body, Incoming, Message, Notification, decode};

const NEW: Revision = Revision::V2026_07_28;
const SERVER: ServerInfo = ServerInfo { name: "gw", version: "1" };

fn raw(text: &str) -> RawJson {
    RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap()
}

fn message(text: &str) -> Message {
    match decode(&Bytes::copy_from_slice(text.as_bytes()), 64).unwrap() {
        Body::Single(message) => *message,
        Body::Batch(_) => panic!(),
    }
}

fn request(method: &str, params: &str) -> Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":"i","method":"{method}","params":{params}}}"#))
}

fn parse(revision: Revision, text: &str) -> Result<Incoming, crate::mcp::json::JsonError> {
    incoming::parse(&Bytes::copy_from_slice(text.as_bytes()), revision, 64).map(|mut all| all.remove(0))
}

fn reply(from: Revision, result: &str) -> Reply {
    match parse(from, &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)).unwrap() {
        Incoming::Response { reply, .. } => reply,
        other => panic!("{other:?}"),
    }
}

fn lowered(to: Revision, method: Method, reply: &Reply) -> (u16, Value) {
    let lowered = lower_reply(to, method, &RawId::number(9), reply, &SERVER);
    (lowered.status, serde_json::from_slice(&lowered.body).unwrap())
}

#[test]
fn tables_agree_with_the_official_schemas() {
    for (revision, schema) in [
        (Revision::V2024_11_05, include_str!("../../../tests/data/mcp-schema/2024-11-05.json")),
        (Revision::V2025_03_26, include_str!("../../../tests/data/mcp-schema/2025-03-26.json")),
        (Revision::V2025_06_18, include_str!("../../../tests/data/mcp-schema/2025-06-18.json")),
        (Revision::V2025_11_25, include_str!("../../../tests/data/mcp-schema/2025-11-25.json")),
        (NEW, include_str!("../../../tests/data/mcp-schema/2026-07-28.json")),
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

fn call() -> Outgoing {
    Outgoing {
        name: Some("run ü".into()),
        arguments: Some(raw(r#"{"n": 1.0}"#)),
        input_responses: Some(raw(r#"{"k":{}}"#)),
        request_state: Some("s".into()),
        client_capabilities: raw(r#"{"sampling":{}}"#),
        log_level: Some(LogLevel::Warning),
        wants_progress: true,
        traceparent: Some("00-x".into()),
        mirrored: vec![(http::HeaderName::from_static("mcp-param-n"), http::HeaderValue::from_static("1"))],
        ..Outgoing::new(Method::ToolsCall)
    }
}

#[test]
fn lowers_a_request_for_an_upstream_without_sessions() {
    let lowered = lower_request(NEW, &call(), 7);
    let info = format!(r#"{{"name":"portcullis","version":"{}"}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        String::from_utf8(lowered.body).unwrap(),
        [
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"run ü","arguments":{"n": 1.0},"#,
            r#""inputResponses":{"k":{}},"requestState":"s","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
            r#""io.modelcontextprotocol/clientCapabilities":{"sampling":{}},"io.modelcontextprotocol/clientInfo":"#,
            &info,
            r#","io.modelcontextprotocol/logLevel":"warning","progressToken":7,"traceparent":"00-x"}}}"#,
        ]
        .concat()
    );
    let headers: Vec<_> = lowered.headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(
        headers,
        [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "=?base64?cnVuIMO8?="),
            ("mcp-param-n", "1"),
        ]
    );
}

#[test]
fn lowers_a_request_for_an_upstream_with_sessions() {
    for (revision, header) in [
        (Revision::V2025_11_25, Some("2025-11-25")),
        (Revision::V2025_06_18, Some("2025-06-18")),
        (Revision::V2025_03_26, None),
        (Revision::V2024_11_05, None),
    ] {
        let lowered = lower_request(revision, &call(), 7);
        assert_eq!(
            String::from_utf8(lowered.body).unwrap(),
            [
                r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"run ü","arguments":{"n": 1.0},"#,
                r#""_meta":{"progressToken":7,"traceparent":"00-x"}}}"#,
            ]
            .concat()
        );
        let headers: Vec<_> = lowered.headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(headers, Vec::from_iter(header.map(|h| ("mcp-protocol-version", h))));
    }
    let plain = lower_request(Revision::V2025_11_25, &Outgoing::new(Method::ToolsList), 1);
    assert_eq!(plain.body, br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#);
}

#[test]
fn writes_the_rest_of_a_session() {
    let text = |lowered: Lowered| (String::from_utf8(lowered.body).unwrap(), lowered.headers.len());
    let old = Revision::V2025_11_25;
    let (initialize, headers) = text(lower_initialize(old, 1, &raw("{}")));
    let sent = message(&initialize);
    assert_eq!((sent.method, sent.params.protocol_version.as_deref(), headers), (Method::Initialize, Some("2025-11-25"), 0));
    assert_eq!(
        text(lower_notification(old, ClientNotification::Initialized)),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.into(), 1)
    );
    assert_eq!(
        text(lower_notification(old, ClientNotification::Cancelled { request_id: 4 })),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}"#.into(), 1)
    );
    let id = RawId::of(&raw("\"p\"")).unwrap();
    assert_eq!(text(lower_answer(old, &id, &Answer::Empty)).0, r#"{"jsonrpc":"2.0","id":"p","result":{}}"#);
    assert!(text(lower_answer(old, &id, &Answer::MethodNotFound)).0.contains("-32601"));
}

#[test]
fn adds_what_the_newest_revision_demands() {
    let info = json!({"io.modelcontextprotocol/serverInfo": {"name": "gw", "version": "1"}});
    let old = reply(Revision::V2025_11_25, r#"{"tools":[],"ttlMs":5,"cacheScope":"public"}"#);
    let expect = json!({"resultType": "complete", "tools": [], "ttlMs": 0, "cacheScope": "private", "_meta": info});
    assert_eq!(lowered(NEW, Method::ToolsList, &old), (200, json!({"jsonrpc": "2.0", "id": 9, "result": expect})));
    let call = reply(
        NEW,
        r#"{"content":[],"resultType":"complete","_meta":{"a/b":1,"io.modelcontextprotocol/serverInfo":{"name":"evil"},"dev.portcullis/denial":{},"Dev.Portcullis/x":1}}"#,
    );
    let (_, said) = lowered(NEW, Method::ToolsCall, &call);
    assert_eq!(said["result"]["_meta"], json!({"a/b": 1, "io.modelcontextprotocol/serverInfo": {"name": "gw", "version": "1"}}));
    assert_eq!(said["result"].get("ttlMs"), None);
    let (_, said) = lowered(Revision::V2025_11_25, Method::ToolsCall, &call);
    assert_eq!(said["result"], json!({"content": [], "_meta": {"a/b": 1}}));
    let hinted = reply(NEW, r#"{"contents":[],"resultType":"complete","ttlMs":60000,"cacheScope":"public"}"#);
    let (_, said) = lowered(NEW, Method::ResourcesRead, &hinted);
    assert_eq!((&said["result"]["ttlMs"], &said["result"]["cacheScope"]), (&json!(60000), &json!("public")));
    let negative = reply(NEW, r#"{"contents":[],"ttlMs":-1}"#);
    assert_eq!(lowered(NEW, Method::ResourcesRead, &negative).1["result"]["ttlMs"], 0);
}

#[test]
fn drops_what_older_revisions_cannot_say() {
    let call = reply(
        NEW,
        r#"{"content":[{"type":"resource_link","uri":"u:1","name":"n","annotations":{"priority":1}},{"type":"text","text":"x"}],"structuredContent":[1]}"#,
    );
    let (_, said) = lowered(Revision::V2025_11_25, Method::ToolsCall, &call);
    assert_eq!(said["result"].get("structuredContent"), None);
    assert_eq!(said["result"]["content"][0]["type"], "resource_link");
    let (_, said) = lowered(Revision::V2025_03_26, Method::ToolsCall, &call);
    let text = json!({"type": "text", "text": "n: u:1", "annotations": {"priority": 1}});
    assert_eq!(said["result"]["content"], json!([text, {"type": "text", "text": "x"}]));
    assert_eq!(lowered(NEW, Method::ToolsCall, &call).1["result"]["structuredContent"], json!([1]));

    let prompt = reply(NEW, r#"{"messages":[{"role":"user","content":{"type":"resource\u005flink","uri":"u:1"}}]}"#);
    let (_, said) = lowered(Revision::V2025_03_26, Method::PromptsGet, &prompt);
    assert_eq!(said["result"]["messages"][0], json!({"role": "user", "content": {"type": "text", "text": "u:1"}}));

    let tools = r#"{"tools":[{"name":"a","outputSchema":{"type":"array"}},{"name":"b","outputSchema":{"type":"object"}},{"name":"c","outputSchema":true}]}"#;
    let (_, said) = lowered(Revision::V2025_06_18, Method::ToolsList, &reply(NEW, tools));
    assert_eq!(said["result"]["tools"], json!([{"name": "a"}, {"name": "b", "outputSchema": {"type": "object"}}, {"name": "c"}]));
}

#[test]
fn the_first_revision_knows_text_and_images() {
    let first = Revision::V2024_11_05;
    let audio = r#"{"type":"audio","data":"AAAA","mimeType":"audio/wav","annotations":{"priority":0}}"#;
    let link = r#"{"type":"resource_link","uri":"u:1","name":"n"}"#;
    let image = r#"{"type":"image","data":"audio","mimeType":"image/png"}"#;
    let call = reply(NEW, &format!(r#"{{"content":[{audio},{link},{image}],"isError":false}}"#));
    let said = |text: &str| json!({"type": "text", "text": text});
    let mut heard = said("[audio audio/wav: this protocol revision cannot carry it]");
    heard["annotations"] = json!({"priority": 0});
    let image: Value = serde_json::from_str(image).unwrap();
    let (_, older) = lowered(first, Method::ToolsCall, &call);
    assert_eq!(older["result"], json!({"content": [heard, said("n: u:1"), image], "isError": false}));
    let (_, newer) = lowered(Revision::V2025_03_26, Method::ToolsCall, &call);
    assert_eq!(newer["result"]["content"][0]["type"], "audio");
    let prompt = reply(NEW, &format!(r#"{{"messages":[{{"role":"user","content":{audio}}}]}}"#));
    assert_eq!(lowered(first, Method::PromptsGet, &prompt).1["result"]["messages"][0]["content"], heard);
}

#[test]
fn definitions_keep_to_what_their_revision_allows() {
    let schema = r#"{"type":"object","properties":{"a":true,"b":false,"c":{"default":true}},"additionalProperties":false}"#;
    let tools = format!(
        r#"{{"tools":[{{"name":"a","inputSchema":{schema},"outputSchema":{schema},"execution":{{"taskSupport":"optional"}}}},{{"name":"true","inputSchema":{{"type":"object"}}}}]}}"#
    );
    let plain = json!({
        "type": "object", "properties": {"a": {}, "b": {"not": {}}, "c": {"default": true}}, "additionalProperties": false
    });
    let last = json!({"name": "true", "inputSchema": {"type": "object"}});
    for revision in Revision::ALL {
        let (_, said) = lowered(revision, Method::ToolsList, &reply(Revision::V2025_11_25, &tools));
        let mut first: Value = serde_json::from_str::<Value>(&tools).unwrap()["tools"][0].clone();
        if revision != NEW {
            (first["inputSchema"], first["outputSchema"]) = (plain.clone(), plain.clone());
        }
        if revision != Revision::V2025_11_25 {
            first.as_object_mut().unwrap().remove("execution");
        }
        assert_eq!(said["result"]["tools"], json!([first, last]), "{revision}");
    }
}

#[test]
fn what_only_structure_says_is_said_in_words() {
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    for (result, to, content) in [
        (r#"{"content":[ ],"structuredContent":[1, 2]}"#, Revision::V2025_11_25, text("[1, 2]")),
        (r#"{"content":[],"structuredContent":{"a":"\""}}"#, Revision::V2025_03_26, text(r#"{"a":"\""}"#)),
        (r#"{"structuredContent":7}"#, Revision::V2024_11_05, text("7")),
        (r#"{"content":[],"structuredContent":{"a":1}}"#, Revision::V2025_06_18, json!([])),
        (r#"{"content":[],"structuredContent":7}"#, NEW, json!([])),
        (r#"{"content":[{"type":"text","text":"x"}],"structuredContent":7}"#, Revision::V2025_06_18, text("x")),
        (r#"{"content":[],"isError":true}"#, Revision::V2025_03_26, json!([])),
    ] {
        let (_, said) = lowered(to, Method::ToolsCall, &reply(NEW, result));
        assert_eq!(said["result"]["content"], content, "{result} to {to}");
    }
    let (_, said) = lowered(Revision::V2025_03_26, Method::PromptsGet, &reply(NEW, r#"{"content":[],"structuredContent":7}"#));
    assert_eq!(said["result"]["content"], json!([]));
}

#[test]
fn a_completion_has_a_hundred_values() {
    for (count, kept) in [(99, 99), (100, 100), (101, 100), (5000, 100)] {
        let values: Vec<String> = (0..count).map(|n| format!("v{n}")).collect();
        let sent = json!({"completion": {"values": values, "total": count, "hasMore": false}});
        for revision in [NEW, Revision::V2024_11_05] {
            let (_, said) = lowered(revision, Method::Complete, &reply(NEW, &sent.to_string()));
            let said = &said["result"]["completion"];
            assert_eq!(said, &json!({"values": values[..kept], "total": count, "hasMore": count > kept}), "{count}");
        }
    }
}

#[test]
fn completions_are_declared_where_there_is_a_word_for_them() {
    let all = ServerCapabilities { tools: true, prompts: true, completions: true, ..ServerCapabilities::default() };
    for revision in [Revision::V2024_11_05, Revision::V2025_03_26] {
        let result = initialize_result(revision, &all, &SERVER, None);
        let declared = result.member("capabilities").unwrap().as_str().contains("completions");
        assert_eq!(declared, revision != Revision::V2024_11_05);
        // What is not declared for want of a word is read as before.
        assert_eq!(parse_initialize_result(&result), (Some(revision), all));
    }
    let tools = ServerCapabilities { tools: true, ..ServerCapabilities::default() };
    let result = initialize_result(Revision::V2024_11_05, &tools, &SERVER, None);
    assert_eq!(parse_initialize_result(&result).1, tools);
}

#[test]
fn input_cannot_be_asked_for_in_older_revisions() {
    let asking = reply(NEW, r#"{"resultType":"input_required","requestState":"s"}"#);
    let (_, said) = lowered(NEW, Method::ToolsCall, &asking);
    assert_eq!((&said["result"]["resultType"], &said["result"]["requestState"]), (&json!("input_required"), &json!("s")));
    assert_eq!(lowered(Revision::V2025_11_25, Method::ToolsCall, &asking).1["result"]["isError"], true);
    assert_eq!(lowered(Revision::V2025_11_25, Method::PromptsGet, &asking).1["error"]["code"], -32603);
    assert_eq!(lowered(NEW, Method::ResourcesRead, &asking).1["result"].get("ttlMs"), None);
}

#[test]
fn errors_keep_to_the_codes_of_their_revision() {
    let uri = Some(r#"{"uri":"u:1"}"#);
    for (from, code, data, method, expect) in [
        (Revision::V2025_11_25, -32002, uri, Method::ResourcesRead, [(200, -32602), (200, -32002), (200, -32002)]),
        (NEW, -32602, uri, Method::ResourcesRead, [(200, -32602), (200, -32002), (200, -32002)]),
        (NEW, -32602, None, Method::ResourcesRead, [(200, -32602), (200, -32602), (200, -32602)]),
        (NEW, -32602, uri, Method::ToolsCall, [(200, -32602), (200, -32602), (200, -32602)]),
        (NEW, -32601, None, Method::ToolsCall, [(404, -32601), (200, -32601), (200, -32601)]),
        (NEW, -32020, None, Method::ToolsCall, [(200, -32603), (200, -32603), (200, -32603)]),
        (NEW, -32021, uri, Method::ToolsCall, [(200, -32603), (200, -32603), (200, -32603)]),
        (NEW, -32022, uri, Method::ToolsCall, [(200, -32603), (200, -32603), (200, -32603)]),
        (Revision::V2025_11_25, -32042, uri, Method::ToolsCall, [(200, -32603), (200, -32042), (200, -32603)]),
        (Revision::V2025_11_25, -32000, None, Method::ToolsCall, [(200, -32603), (200, -32000), (200, -32000)]),
        (NEW, -31000, uri, Method::ToolsCall, [(200, -31000), (200, -31000), (200, -31000)]),
    ] {
        let tail = data.map_or_else(String::new, |d| format!(",\"data\":{d}"));
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"secret"{tail}}}}}"#);
        let Incoming::Response { reply, .. } = parse(from, &text).unwrap() else { panic!() };
        let all = [NEW, Revision::V2025_11_25, Revision::V2025_03_26, Revision::V2024_11_05];
        for (to, expect) in all.into_iter().zip(expect.into_iter().chain([expect[2]])) {
            let (status, said) = lowered(to, method, &reply);
            assert_eq!((status, said["error"]["code"].as_i64().unwrap()), expect, "{code} to {to}");
            if expect.1 == -32603 {
                assert_eq!(said["error"], json!({"code": -32603, "message": "Internal error"}));
            } else {
                assert_eq!(said["error"].get("data").is_some(), data.is_some());
            }
        }
    }
}

#[test]
fn refuses_what_no_upstream_may_say() {
    for text in [
        "",
        "1",
        "{}",
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"method":"x"}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1.0,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"a":1,"\u0061":2}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"other"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}"#,
        r#"{"jsonrpc":"2.0","method":1}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
    ] {
        assert!(parse(NEW, text).is_err(), "{text}");
    }
    let twice = Bytes::from_static(br#"[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","method":"x"}]"#);
    assert_eq!(incoming::parse(&twice, Revision::V2025_03_26, 8).unwrap().len(), 2);
    for revision in [Revision::V2025_06_18, Revision::V2024_11_05] {
        assert!(incoming::parse(&twice, revision, 8).is_err());
    }
}

#[test]
fn reads_notifications_and_requests_of_upstreams() {
    let old = Revision::V2025_11_25;
    let note = |params: &str, method: &str| match parse(
        old,
        &format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{params}}}"#),
    )
    .unwrap()
    {
        Incoming::Notification(notification) => notification,
        other => panic!("{other:?}"),
    };
    let progress = note(r#"{"progressToken":7,"progress":0.5,"total":1,"message":"m","_meta":{},"x":1}"#, "progress");
    let Notification::Progress { token, members } = progress else { panic!() };
    let token_of_client = RawId::of(&raw("\"t\"")).unwrap();
    assert_eq!(token.as_u64(), Some(7));
    assert_eq!(
        String::from_utf8(lower_progress(NEW, &token_of_client, &members)).unwrap(),
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":0.5,"total":1,"message":"m"}}"#
    );
    let Notification::Log { params, level } = note(r#"{"level":"error","data":[1],"_meta":{"a":1}}"#, "message") else {
        panic!()
    };
    assert_eq!(level, LogLevel::Error);
    assert_eq!(
        String::from_utf8(lower_log(NEW, &params)).unwrap(),
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":[1]}}"#
    );
    for (params, method) in
        [("{}", "progress"), (r#"{"progressToken":1,"progress":"x"}"#, "progress"), (r#"{"level":"x"}"#, "message")]
    {
        assert!(matches!(note(params, method), Notification::Other(_)), "{method}");
    }
    assert!(matches!(note("{}", "tools/list_changed"), Notification::ListChanged(_)));
    let asks = r#"{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{}}"#;
    assert!(matches!(parse(old, asks).unwrap(), Incoming::Request { .. }));
    assert!(matches!(parse(NEW, asks).unwrap(), Incoming::Notification(Notification::Other(_))));
    let orphan = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}"#;
    assert!(matches!(parse(old, orphan).unwrap(), Incoming::Orphan(_)));
}

#[test]
fn handshakes_are_read_as_they_are_written() {
    let capabilities = ServerCapabilities { tools: true, resources: true, resources_subscribe: true, ..Default::default() };
    let result = initialize_result(Revision::V2025_06_18, &capabilities, &SERVER, Some("hi"));
    let (_, said) = lowered(Revision::V2025_06_18, Method::Initialize, &Reply::Result(result));
    let expect = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": true}, "resources": {"listChanged": true, "subscribe": true}},
        "serverInfo": {"name": "gw", "version": "1"}, "instructions": "hi"});
    assert_eq!(said["result"], expect);
    let Reply::Result(read) = reply(Revision::V2025_06_18, &said["result"].to_string()) else { panic!() };
    assert_eq!(parse_initialize_result(&read), (Some(Revision::V2025_06_18), capabilities));

    let result = discover_result(&[NEW, Revision::V2025_11_25], &capabilities, &SERVER);
    let (_, said) = lowered(NEW, Method::Discover, &Reply::Result(result));
    assert_eq!(said["result"]["cacheScope"], "private");
    assert_eq!(said["result"]["_meta"], json!({"io.modelcontextprotocol/serverInfo": {"name": "gw", "version": "1"}}));
    let Reply::Result(read) = reply(NEW, &said["result"].to_string()) else { panic!() };
    assert_eq!(parse_discover_result(&read), (vec!["2026-07-28".to_owned(), "2025-11-25".to_owned()], capabilities));
    assert_eq!(
        parse_capabilities(&raw(r#"{"tools":true,"logging":{}}"#)),
        ServerCapabilities { logging: true, ..Default::default() }
    );
}

#[test]
fn keeps_the_kind_and_state_of_tasks() {
    let task = reply(NEW, r#"{"resultType":"task","taskId":"t","ttlMs":null}"#);
    let Reply::Result(ResultBody { kind, .. }) = &task else { panic!() };
    assert_eq!(*kind, ResultKind::Task);
    assert_eq!(lowered(NEW, Method::ToolsCall, &task).1["result"].get("ttlMs"), Some(&Value::Null));
}

fn strings() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("\\PC{0,20}")
}

proptest! {
    /// What goes upstream means what the gateway decided about, in every revision.
    #[test]
    fn lowering_keeps_the_meaning(
        name in "\\PC{1,20}", cursor in strings(), uri in strings(), key in "\\PC{0,10}", value in any::<i64>(), progress in any::<bool>(),
        revision in 0usize..Revision::ALL.len(),
    ) {
        let revision = Revision::ALL[revision];
        let arguments = serde_json::json!({ key: value }).to_string();
        let request = Outgoing {
            name: Some(name.clone()), uri: uri.clone(), cursor: cursor.clone(), arguments: Some(raw(&arguments)), wants_progress: progress,
            reference: Some(Reference::Prompt(name.clone())),
            ..Outgoing::new(Method::ToolsCall)
        };
        let lowered = lower_request(revision, &request, 3);
        let operation = lift_request(revision, message(std::str::from_utf8(&lowered.body).unwrap())).unwrap();
        prop_assert_eq!(operation.method, Method::ToolsCall);
        prop_assert_eq!(operation.params.name, Some(name.clone()));
        prop_assert_eq!(operation.params.uri, uri);
        prop_assert_eq!(operation.params.cursor, cursor);
        prop_assert_eq!(operation.params.reference, Some(Reference::Prompt(name)));
        prop_assert_eq!(operation.params.arguments.unwrap().as_str().to_owned(), arguments);
        prop_assert_eq!(operation.wants_progress.map(|t| t.as_u64()), progress.then_some(Some(3)));
    }

    #[test]
    fn never_panics_on_what_upstreams_send(bytes in proptest::collection::vec(any::<u8>(), 0..200), revision in 0usize..Revision::ALL.len()) {
        let _ = incoming::parse(&Bytes::from(bytes), Revision::ALL[revision], 8);
    }

    #[test]
    fn never_panics_near_results(at in 0usize..200, byte in any::<u8>(), revision in 0usize..Revision::ALL.len()) {
        let mut text = br#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"resource_link","uri":"a"}],"_meta":{"a":1},"ttlMs":1}}"#.to_vec();
        let at = at % text.len();
        text[at] = byte;
        if let Ok(messages) = incoming::parse(&Bytes::from(text), NEW, 8) {
            for message in messages {
                if let Incoming::Response { id, reply } = message {
                    let lowered = lower_reply(Revision::ALL[revision], Method::ToolsCall, &id, &reply, &SERVER);
                    prop_assert!(serde_json::from_slice::<Value>(&lowered.body).is_ok());
                }
            }
        }
    }
}
