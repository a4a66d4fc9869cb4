use super::*;
use crate::mcp::codes::HEADER_MISMATCH;
use bytes::Bytes;
use proptest::prelude::*;

fn json(text: &str) -> RawJson {
    RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap()
}

fn mirrors() -> Vec<Mirror> {
    annotations(&json(
        r#"{"type":"object","properties":{
            "region":{"x-mcp-header":"Region","type":"string"},
            "n":{"type":"integer","x-mcp-header":"Count"},
            "on":{"type":"boolean","x-mcp-header":"On"},
            "deep":{"type":"object","properties":{"x-mcp-header":{"type":"string","x-mcp-header":"Deep"}}},
            "plain":{"type":"string","default":{"x-mcp-header":"no"}}}}"#,
    ))
    .unwrap()
}

#[test]
fn finds_annotations_on_chains_of_properties() {
    let found: Vec<_> = mirrors().into_iter().map(|m| (m.header_suffix, m.path.join("/"), m.kind)).collect();
    let expect = |suffix: &str, path: &str, kind| (suffix.to_owned(), path.to_owned(), kind);
    assert_eq!(
        found,
        [
            expect("region", "region", MirrorKind::String),
            expect("count", "n", MirrorKind::Integer),
            expect("on", "on", MirrorKind::Boolean),
            expect("deep", "deep/x-mcp-header", MirrorKind::String),
        ]
    );
    assert_eq!(annotations(&json("{}")).unwrap(), []);
    assert_eq!(annotations(&json(r#"{"properties":{"x-mcp-header":{"type":"string"}}}"#)).unwrap(), []);
}

#[test]
fn refuses_annotations_that_break_the_rules() {
    let property = |schema: &str| format!(r#"{{"properties":{{"a":{schema}}}}}"#);
    for schema in [
        property(r#"{"type":"string","x-mcp-header":""}"#),
        property(r#"{"type":"string","x-mcp-header":"a b"}"#),
        property(r#"{"type":"string","x-mcp-header":"a\r\nb"}"#),
        property(r#"{"type":"string","x-mcp-header":"é"}"#),
        property(r#"{"type":"string","x-mcp-header":1}"#),
        property(r#"{"type":"string","x-mcp-header":null}"#),
        property(r#"{"type":"number","x-mcp-header":"A"}"#),
        property(r#"{"type":"object","x-mcp-header":"A"}"#),
        property(r#"{"type":["string"],"x-mcp-header":"A"}"#),
        property(r#"{"x-mcp-header":"A"}"#),
        property(r#"{"type":"array","items":{"type":"string","x-mcp-header":"A"}}"#),
        property(r#"{"anyOf":[{"type":"string","x-mcp-header":"A"}]}"#),
        property(r#"{"oneOf":[{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}]}"#),
        property(r#"{"not":{"type":"string","x-mcp-header":"A"}}"#),
        property(r#"{"type":"string","\u0078-mcp-header":"a b"}"#),
        r#"{"$defs":{"d":{"type":"string","x-mcp-header":"A"}}}"#.to_owned(),
        r#"{"type":"string","x-mcp-header":"A"}"#.to_owned(),
        r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#.to_owned(),
    ] {
        assert!(annotations(&json(&schema)).is_err(), "{schema}");
    }
}

#[test]
fn demands_that_headers_say_what_the_body_says() {
    let all = r#"{"region":"eu","n":42,"on":true,"deep":{"x-mcp-header":"é"}}"#;
    let full = [("region", "eu"), ("count", "42"), ("on", "true"), ("deep", "=?base64?w6k=?=")];
    let with = |index: usize, value: &'static str| {
        let mut params = full.to_vec();
        params[index].1 = value;
        params
    };
    let without = |index: usize| {
        let mut params = full.to_vec();
        params.remove(index);
        params
    };
    for (arguments, params, fine) in [
        (all, full.to_vec(), true),
        (all, [full.as_slice(), &[("unknown", "x")]].concat(), true),
        (all, with(1, "42.0"), true),
        (all, with(1, "4.2e1"), true),
        (all, with(1, "=?base64?NDI=?="), true),
        (all, with(1, "43"), false),
        (all, with(1, "0x2a"), false),
        (all, with(0, "EU"), false),
        (all, with(0, "=?base64?ZXU?="), false),
        (all, with(0, "=?BASE64?ZXU=?="), false),
        (all, with(2, "True"), false),
        (all, with(2, "1"), false),
        (all, without(0), false),
        (all, without(3), false),
        ("{}", vec![], true),
        (r#"{"region":null,"deep":null}"#, vec![], true),
        (r#"{"region":null}"#, vec![("region", "eu")], false),
        ("{}", vec![("region", "eu")], false),
        (r#"{"n":9007199254740993}"#, vec![("count", "9007199254740993")], false),
        (r#"{"region":["eu"]}"#, vec![("region", "eu")], false),
        (r#"{"region":"=?base64?ZXU=?="}"#, vec![("region", "=?base64?PT9iYXNlNjQ/WlhVPT89?=")], true),
    ] {
        let headers = McpHeaders { params: params.clone(), ..McpHeaders::default() };
        let result = check(&mirrors(), &headers, Some(&json(arguments)));
        assert_eq!(
            result.map_err(|e| (e.status, e.code)).err(),
            (!fine).then_some((400, HEADER_MISMATCH)),
            "{arguments} {params:?}"
        );
    }
    assert!(check(&mirrors(), &McpHeaders::default(), None).is_ok());
}

#[test]
fn reads_integers_exactly() {
    for (token, value) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("42.000", Some(42)),
        ("420e-1", Some(42)),
        ("4.2E+1", Some(42)),
        ("-9007199254740991", Some(-INTEGER_MAX)),
        ("9007199254740992", None),
        ("42.5", None),
        ("1e400", None),
        ("0e400", Some(0)),
        ("1e-1", None),
        ("", None),
        ("abc", None),
        (" 42", None),
        ("1e99999999999", None),
    ] {
        assert_eq!(integer(token), value, "{token}");
    }
}

proptest! {
    /// What is written for an upstream passes the check of a server.
    #[test]
    fn values_pass_the_check(region in any::<String>(), n in -INTEGER_MAX..INTEGER_MAX, on in any::<bool>()) {
        let arguments = json(&serde_json::json!({"region": region, "n": n, "on": on}).to_string());
        let lines = values(&mirrors(), Some(&arguments));
        prop_assert_eq!(lines.len(), 3);
        let params = lines.iter().map(|(k, v)| (k.as_str().strip_prefix(PARAM_PREFIX).unwrap(), v.to_str().unwrap())).collect();
        let headers = McpHeaders { params, ..McpHeaders::default() };
        prop_assert!(check(&mirrors(), &headers, Some(&arguments)).is_ok());
    }
}
