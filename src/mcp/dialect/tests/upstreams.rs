//! What upstreams say, and what none of them may.

use super::*;

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
