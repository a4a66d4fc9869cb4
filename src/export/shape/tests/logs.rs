//! Logs of OpenTelemetry, and what receivers answer.

use super::*;

#[test]
fn answers_of_otlp_say_how_much_was_refused() {
    for (answer, wanted) in [
        (&b""[..], Some(0)),
        (b"\x0a\x00", Some(0)),
        // partial_success { rejected_log_records: 300, error_message: "no" }
        (b"\x0a\x07\x08\xac\x02\x12\x02no", Some(300)),
        (b"\x12\x02xx\x0a\x02\x08\x05", Some(5)),
        (b"\x0a\x7f", None),
        (b"{}", None),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
    ] {
        assert_eq!(otlp::rejected(answer), wanted, "{answer:?}");
    }
}

#[test]
fn answers_of_otlp_may_be_in_json() {
    for (answer, wanted) in [
        ("{}", Some(0)),
        (r#"{"partialSuccess":{}}"#, Some(0)),
        (r#"{"partialSuccess":null}"#, Some(0)),
        (r#"{"partialSuccess":{"rejectedLogRecords":"300","errorMessage":"no"}}"#, Some(300)),
        (r#"{"partialSuccess":{"rejectedLogRecords":3}}"#, Some(3)),
        (r#"{"partialSuccess":{"rejectedLogRecords":"many"}}"#, None),
        (r#"{"partialSuccess":{"rejectedLogRecords":-1}}"#, None),
        ("[]", None),
        ("\"\"", None),
        ("<html>", None),
    ] {
        assert_eq!(otlp::rejected_in_json(answer.as_bytes()), wanted, "{answer}");
    }
    assert_eq!(otlp::rejected(b"<html>signed out</html>"), None);
}

/// What a client chose is called what it is, or is in the body only.
#[test]
fn names_are_attributes_of_what_they_name() {
    const KEYS: [&str; 4] = ["mcp.method.name", "gen_ai.tool.name", "gen_ai.prompt.name", "mcp.resource.uri"];
    for (kind, method, told) in [
        ("outcome", "tools/call", &["mcp.method.name", "gen_ai.tool.name"][..]),
        ("intent", "prompts/get", &["mcp.method.name", "gen_ai.prompt.name"]),
        ("outcome", "resources/read", &["mcp.method.name", "mcp.resource.uri"]),
        ("outcome", "resources/subscribe", &["mcp.method.name", "mcp.resource.uri"]),
        ("outcome", "resources/unsubscribe", &["mcp.method.name", "mcp.resource.uri"]),
        ("outcome", "completion/complete", &["mcp.method.name"]),
        ("list", "tools/list", &["mcp.method.name"]),
        ("outcome", "made/up", &[]),
        ("admin", "audit/delete", &[]),
        ("admin", "tools/call", &[]),
    ] {
        let line = record(kind, &with(&json!({"method": method, "name": "named-so"})));
        let made = otlp::request([&line[..]].into_iter(), "1", 0);
        let there = |text: &str| memchr::memmem::find(&made, text.as_bytes());
        assert_eq!(KEYS.into_iter().filter(|key| there(key).is_some()).collect::<Vec<_>>(), told, "{kind} {method}");
        if let Some(key) = told.get(1) {
            let after = &made[there(key).unwrap() + key.len()..];
            assert!(after.starts_with(b"\x12\x0a\x0a\x08named-so"), "{kind} {method}");
        }
    }
}

/// The other one was made of the same two records by opentelemetry-proto of PyPI, from its field names.
#[test]
fn logs_of_opentelemetry_are_what_others_make() {
    let lines = [record("outcome", &call()), record("checkpoint", &json!({}))];
    let made = otlp::request(lines.iter().map(Vec::as_slice), "0.1.0", 1_795_322_320_000);
    if let Ok(path) = std::env::var("OTLP_OUT") {
        std::fs::write(path, &made).unwrap();
    }
    assert!(made == include_bytes!("../../../../tests/data/audit/otlp-logs.bin"), "{:?}", String::from_utf8_lossy(&made));
}
