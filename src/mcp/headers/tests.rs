use super::*;
use crate::mcp::codes::{HEADER_MISMATCH, INVALID_REQUEST};
use crate::mcp::{Body, decode};
use bytes::Bytes;
use proptest::prelude::*;

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn message(method: &str, params: &str) -> Message {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    match decode(&Bytes::from(text), 16).unwrap() {
        Body::Single(message) => *message,
        Body::Batch(_) => panic!(),
    }
}

#[test]
fn reads_and_trims() {
    let map = map(&[
        ("MCP-Protocol-Version", " 2026-07-28\t"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "a b"),
        ("MCP-Session-Id", "s"),
        ("Mcp-Param-Region", "eu"),
        ("Last-Event-ID", "7"),
    ]);
    let headers = McpHeaders::read(&map).unwrap();
    assert_eq!((headers.version, headers.method, headers.name), (Some("2026-07-28"), Some("tools/call"), Some("a b")));
    assert_eq!((headers.session, headers.last_event_id, headers.param("region")), (Some("s"), Some("7"), Some("eu")));
}

#[test]
fn refuses_repeated_and_unreadable_headers() {
    for name in ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id", "Mcp-Param-X", "Last-Event-ID"] {
        let twice = map(&[(name, "a"), (name, "a")]);
        assert_eq!(McpHeaders::read(&twice).unwrap_err().code, HEADER_MISMATCH, "{name}");
        let odd = map(&[(name, "caf\u{e9}")]);
        assert_eq!(McpHeaders::read(&odd).unwrap_err().code, HEADER_MISMATCH, "{name}");
        let tab = map(&[(name, "a\tb")]);
        assert_eq!(McpHeaders::read(&tab).unwrap_err().code, HEADER_MISMATCH, "{name}");
    }
    let legacy = map(&[("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Name", "a"), ("Mcp-Name", "b")]);
    assert_eq!(McpHeaders::read(&legacy).unwrap_err().code, INVALID_REQUEST);
}

#[test]
fn reads_accept() {
    for (accept, expect) in [
        (None, (true, true)),
        (Some("application/json, text/event-stream"), (true, true)),
        (Some("*/*"), (true, true)),
        (Some("application/json"), (true, false)),
        (Some("TEXT/Event-Stream;q=0.1"), (false, true)),
        (Some("text/*"), (false, true)),
        (Some("*/*, text/event-stream;q=0"), (true, false)),
        (Some("application/json;q=0.000, application/*"), (false, false)),
        (Some("text/html"), (false, false)),
        (Some(""), (false, false)),
        (Some("text/html;x=\"a,application/json\""), (false, false)),
        (Some("application/jsonp"), (false, false)),
    ] {
        let map = accept.map_or_else(HeaderMap::new, |a| map(&[("accept", a)]));
        let headers = McpHeaders::read(&map).unwrap();
        assert_eq!((headers.accepts_json, headers.accepts_sse), expect, "{accept:?}");
    }
}

#[test]
fn decodes_once_and_exactly() {
    for (sent, means) in [
        ("plain", Ok("plain")),
        ("=?base64?SGVsbG8=?=", Ok("Hello")),
        ("=?base64??=", Ok("")),
        ("=?BASE64?SGVsbG8=?=", Ok("=?BASE64?SGVsbG8=?=")),
        ("=?base64?SGVsbG8=", Ok("=?base64?SGVsbG8=")),
        ("=?base64?PT9iYXNlNjQ/WD89?=", Ok("=?base64?X?=")),
        ("=?base64?SGVsbG8?=", Err(Undecodable)),
        ("=?base64?SGVs bG8=?=", Err(Undecodable)),
        ("=?base64?SGVsbG9=?=", Err(Undecodable)),
        ("=?base64?!!!!?=", Err(Undecodable)),
        ("=?base64?/w==?=", Err(Undecodable)),
        ("=?base64?=", Ok("=?base64?=")),
    ] {
        assert_eq!(decode_value(sent).as_deref(), means.as_deref(), "{sent}");
    }
}

#[test]
fn demands_agreement() {
    let call = message("tools/call", r#"{"name":"run","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#);
    let list = message("tools/list", "{}");
    let read = message("resources/read", r#"{"uri":"file:///ü"}"#);
    let task = message("tasks/get", r#"{"taskId":"t"}"#);
    let new = Revision::V2026_07_28;
    let v = ("mcp-protocol-version", "2026-07-28");
    for (message, lines, fine) in [
        (&call, vec![v, ("mcp-method", "tools/call"), ("mcp-name", "run")], true),
        (&call, vec![v, ("mcp-method", "tools/call"), ("mcp-name", "=?base64?cnVu?=")], true),
        (&call, vec![("mcp-method", "tools/call"), ("mcp-name", "run")], false),
        (&call, vec![v, ("mcp-name", "run")], false),
        (&call, vec![v, ("mcp-method", "tools/call")], false),
        (&call, vec![v, ("mcp-method", "Tools/call"), ("mcp-name", "run")], false),
        (&call, vec![v, ("mcp-method", "tools/list"), ("mcp-name", "run")], false),
        (&call, vec![v, ("mcp-method", "tools/call"), ("mcp-name", "Run")], false),
        (&call, vec![v, ("mcp-method", "tools/call"), ("mcp-name", "=?base64?cnV?=")], false),
        (&call, vec![v, ("mcp-method", "tools/call"), ("mcp-name", "=?BASE64?cnVu?=")], false),
        (&call, vec![v, ("mcp-method", "tools/call"), ("mcp-name", "")], false),
        (&list, vec![("mcp-method", "tools/list")], true),
        (&read, vec![("mcp-method", "resources/read"), ("mcp-name", "=?base64?ZmlsZTovLy/DvA==?=")], true),
        (&read, vec![("mcp-method", "resources/read"), ("mcp-name", "file:///u")], false),
        (&task, vec![("mcp-method", "tasks/get"), ("mcp-name", "t")], true),
        (&task, vec![("mcp-method", "tasks/get")], false),
    ] {
        let map = map(&lines);
        let result = agree(&McpHeaders::read(&map).unwrap(), message, new);
        assert_eq!(result.is_ok(), fine, "{lines:?}");
        if let Err(error) = result {
            assert_eq!((error.status, error.code), (400, HEADER_MISMATCH));
            assert_eq!(error.id, message.id);
        }
    }
}

#[test]
fn an_older_revision_is_no_escape() {
    let call = message("tools/call", r#"{"name":"run"}"#);
    for (lines, fine) in [
        (vec![], true),
        (vec![("mcp-method", "tools/call"), ("mcp-name", "run")], true),
        (vec![("mcp-name", "other")], false),
        (vec![("mcp-method", "tools/list")], false),
    ] {
        let map = map(&lines);
        let result = agree(&McpHeaders::read(&map).unwrap(), &call, Revision::V2025_11_25);
        assert_eq!(result.map_err(|e| e.code).err(), (!fine).then_some(INVALID_REQUEST), "{lines:?}");
    }
}

proptest! {
    #[test]
    fn values_survive(text in any::<String>()) {
        let value = encode_value(&text);
        prop_assert_eq!(decode_value(value.to_str().unwrap()).unwrap(), text);
    }

    #[test]
    fn look_alikes_survive(text in "(=\\?base64\\?)?[a-zA-Z=? ]{0,8}(\\?=)?") {
        let value = encode_value(&text);
        prop_assert_eq!(decode_value(value.to_str().unwrap().trim()).unwrap(), text);
    }
}
