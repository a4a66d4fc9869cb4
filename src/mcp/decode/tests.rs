use super::*;
use crate::mcp::codes::{INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR};
use proptest::prelude::*;

fn read(text: &str) -> Result<Body, ProtocolError> {
    decode(&Bytes::copy_from_slice(text.as_bytes()), 16)
}

fn single(text: &str) -> Message {
    match read(text) {
        Ok(Body::Single(message)) => *message,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn reads_every_member() {
    let message = single(
        r#" {"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":"t",
        "io.modelcontextprotocol/clientCapabilities":{},"com.example/x":[1 ,2],"tracestate":"x","io.modelcontextprotocol/other":1},
        "arguments":{ "Name":1.0,"n":12345678901234567890 },"name":"a\u0062","unknown":{}},"method":"tools/call","id":-7,"jsonrpc":"2.0"} "#,
    );
    assert_eq!((message.shape, message.method), (Shape::Request, Method::ToolsCall));
    assert_eq!(message.id.unwrap().as_str(), "-7");
    assert_eq!(message.method_name, "tools/call");
    let params = message.params;
    assert_eq!(params.name.as_deref(), Some("ab"));
    assert_eq!(params.arguments.unwrap().as_str(), r#"{ "Name":1.0,"n":12345678901234567890 }"#);
    assert_eq!(params.meta.protocol_version.as_deref(), Some("2026-07-28"));
    assert_eq!(params.meta.client_capabilities.unwrap().as_str(), "{}");
    assert_eq!(params.meta.progress_token.unwrap().as_str(), "\"t\"");
    let extra: Vec<_> = params.meta.extra.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(extra, [("com.example/x", "[1 ,2]")]);
    assert_eq!(params.meta.tracestate.as_deref(), Some("x"));
}

#[test]
fn a_tracestate_that_is_none_matters_for_nothing_else() {
    for (value, expected) in [
        (r#""a=b""#, Some("a=b")),
        (r#""a\u003db""#, Some("a=b")),
        ("7", None),
        ("null", None),
        (r#"{"a":"b"}"#, None),
        (&format!(r#""{}""#, "a".repeat(512)), Some(&*"a".repeat(512))),
        (&format!(r#""{}""#, "a".repeat(513)), None),
    ] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{{"tracestate":{value},"traceparent":"x"}}}}}}"#
        );
        let meta = single(&text).params.meta;
        assert_eq!((meta.tracestate.as_deref(), meta.traceparent.as_deref()), (expected, Some("x")), "{value}");
    }
}

#[test]
fn tells_shapes_apart() {
    for (text, shape) in [
        (r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#, Shape::Request),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, Shape::Notification),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Shape::Response),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#, Shape::Response),
    ] {
        assert_eq!(single(text).shape, shape, "{text}");
    }
}

#[test]
fn reads_references() {
    let call = |reference: &str| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{{"ref":{reference}}}}}"#);
        read(&text).map(|body| match body {
            Body::Single(message) => message.params.reference,
            Body::Batch(_) => None,
        })
    };
    assert_eq!(call(r#"{"type":"ref/prompt","name":"p","title":"t"}"#), Ok(Some(Reference::Prompt("p".into()))));
    assert_eq!(call(r#"{"type":"ref/resource","uri":"u:1"}"#), Ok(Some(Reference::Resource("u:1".into()))));
    for text in [
        r#"{"type":"ref/prompt","uri":"u"}"#,
        r#"{"type":"ref/prompt","name":"p","uri":"u"}"#,
        r#"{"type":"ref/prompt","name":"p","Name":"q"}"#,
        r#"{"type":"ref/other","name":"p"}"#,
        r#""ref/prompt""#,
    ] {
        assert_eq!(call(text).unwrap_err().code, INVALID_PARAMS, "{text}");
    }
}

#[test]
fn refuses_envelopes() {
    for text in [
        "1",
        "null",
        "\"x\"",
        "[]",
        "[[]]",
        "[1]",
        r#"{}"#,
        r#"{"jsonrpc":"2.0"}"#,
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.1","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"x"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method\u0000":"x"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}"#,
    ] {
        assert_eq!(read(text).unwrap_err().code, INVALID_REQUEST, "{text}");
    }
    for id in ["null", "1.5", "1.0", "1e3", "true", "{}", "[]"] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let error = read(&text).unwrap_err();
        assert_eq!((error.code, error.id), (INVALID_REQUEST, None), "{text}");
    }
}

#[test]
fn refuses_params_and_echoes_the_id_wherever_it_stands() {
    for params in [
        r#"{"name":1}"#,
        r#"{"name":null}"#,
        r#"{"arguments":[]}"#,
        r#"{"arguments":null}"#,
        r#"{"arguments":"{}"}"#,
        r#"{"name":"a","Name":"b"}"#,
        r#"{"name":"a","name\u0000":"b"}"#,
        r#"{"name":"a","NAME ":"b"}"#,
        r#"{"argument\u017f":{}}"#,
        r#"{"ta\u017f\u212a":{}}"#,
        r#"{"_Meta":{}}"#,
        r#"{"_meta":1}"#,
        r#"{"uri":{}}"#,
        r#"{"cursor":1}"#,
        r#"{"_meta":{"progressToken":1.5}}"#,
        r#"{"_meta":{"ProgressToken":1}}"#,
        r#"{"_meta":{"io.modelcontextprotocol/protocolversion":"2026-07-28"}}"#,
        r#"{"_meta":{"IO.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
        r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}"#,
        r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":[]}}"#,
    ] {
        let text = format!(r#"{{"params":{params},"jsonrpc":"2.0","method":"tools/call","id":"last"}}"#);
        let error = read(&text).unwrap_err();
        assert_eq!((error.status, error.code), (400, INVALID_PARAMS), "{text}");
        assert_eq!(error.id.unwrap().as_str(), "\"last\"", "{text}");
    }
    let long = format!(r#"{{"params":{{"name":"{}"}},"jsonrpc":"2.0","method":"tools/call","id":1}}"#, "a".repeat(257));
    assert_eq!(read(&long).unwrap_err().code, INVALID_PARAMS);
}

#[test]
fn refuses_text_that_parsers_disagree_about() {
    for text in [
        "",
        "{",
        r#"{"method":"tools/list","method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok","n\u0061me":"bad"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":[{"b":1,"b":2}]}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"x":{"b":1,"b":2}}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping","params":{"name":1},"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}}"#,
    ] {
        assert_eq!(read(text).unwrap_err().code, PARSE_ERROR, "{text}");
    }
    assert_eq!(decode(&Bytes::from_static(b"{\"\xff\":1}"), 16).unwrap_err().code, PARSE_ERROR);
}

#[test]
fn bounds_batches() {
    let batch = |n: usize| format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#; n].join(","));
    assert!(matches!(read(&batch(BATCH_ENTRIES_MAX)), Ok(Body::Batch(m)) if m.len() == BATCH_ENTRIES_MAX));
    assert_eq!(read(&batch(BATCH_ENTRIES_MAX + 1)).unwrap_err().code, INVALID_REQUEST);
    let one_bad =
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":1}}]"#;
    let error = read(one_bad).unwrap_err();
    assert_eq!((error.code, error.id), (INVALID_PARAMS, None));
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&Bytes::from(bytes), 8);
    }

    #[test]
    fn never_panics_near_messages(at in 0usize..140, byte in any::<u8>()) {
        let mut text = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"k":[1,true,"x\n"]},"_meta":{"progressToken":1}}}"#.to_vec();
        let at = at % text.len();
        text[at] = byte;
        let _ = decode(&Bytes::from(text), 8);
    }

    #[test]
    fn arguments_keep_every_byte(key in "[a-zA-Z_]{1,12}", number in "-?[1-9][0-9]{0,30}(\\.[0-9]{1,20})?", space in "[ \\t\\n]{0,3}") {
        let arguments = format!("{{{space}\"{key}\"{space}:{space}{number}}}");
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","arguments":{arguments}}}}}"#);
        prop_assert_eq!(single(&text).params.arguments.unwrap().as_str().to_owned(), arguments);
    }

    #[test]
    fn duplicates_are_refused_at_every_depth(depth in 0usize..10) {
        let mut inner = r#"{"k":1,"\u006b":2}"#.to_owned();
        for i in 0..depth {
            inner = if i % 2 == 0 { format!("[{inner}]") } else { format!("{{\"x\":{inner}}}") };
        }
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","arguments":{{"a":{inner}}}}}}}"#);
        prop_assert_eq!(read(&text).unwrap_err().code, PARSE_ERROR);
    }
}

#[test]
fn keeps_what_a_response_says() {
    let outcome = |text: &str| single(text).outcome;
    let result = r#"{"jsonrpc":"2.0","id":"pq-1","result":{ "a" : 1.0 }}"#;
    let Some(Outcome::Result(raw)) = outcome(result) else { panic!() };
    assert_eq!(raw.as_str(), r#"{ "a" : 1.0 }"#);
    let Some(Outcome::Error { code, message }) =
        outcome(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"n\u006f","data":1}}"#)
    else {
        panic!()
    };
    assert_eq!((code, message.as_str()), (-1, "no"));
    let long = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-1,"message":"{}"}}}}"#, "\u{e4}".repeat(5000));
    let Some(Outcome::Error { message, .. }) = outcome(&long) else { panic!() };
    assert_eq!(message.len(), crate::vocab::limits::RPC_MESSAGE_BYTES_MAX);
    assert!(outcome(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).is_none());
    for error in [r#"{}"#, r#"{"code":"1"}"#, r#"{"code":1.5}"#] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#);
        assert_eq!(decode(&Bytes::from(text), 16).unwrap_err().code, -32600, "{error}");
    }
}
