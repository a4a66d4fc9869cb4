//! Requests as the revision of an upstream writes them.

use super::*;

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
        tracestate: Some("a=b".into()),
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
            r#","io.modelcontextprotocol/logLevel":"warning","progressToken":7,"traceparent":"00-x","tracestate":"a=b"}}}"#,
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
                r#""_meta":{"progressToken":7,"traceparent":"00-x","tracestate":"a=b"}}}"#,
            ]
            .concat()
        );
        let headers: Vec<_> = lowered.headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(headers, Vec::from_iter(header.map(|h| ("mcp-protocol-version", h))));
    }
    let orphan = Outgoing { tracestate: Some("a=b".into()), ..Outgoing::new(Method::ToolsList) };
    let plain = lower_request(Revision::V2025_11_25, &orphan, 1);
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
