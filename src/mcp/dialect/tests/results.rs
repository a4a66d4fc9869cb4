//! Results as the revision of a client has them.

use super::*;

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
