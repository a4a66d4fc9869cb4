use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn raw(text: &str) -> RawJson {
    RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap()
}

fn same(constraints: &str, one: &str, other: &str) -> bool {
    let constraints = Constraints::read(&raw(constraints)).unwrap();
    let rest = constraints.rest(&raw(one));
    assert!(rest.is_some(), "{one}");
    constraints.rest(&raw(other)) == rest
}

#[test]
fn what_is_covered_may_differ_and_nothing_else() {
    let under = r#"{"/path": {"path_under": ["/srv/docs"]}}"#;
    let call = r#"{"path":"/srv/docs/a","n":1,"list":[1,{"x":null}]}"#;
    for (other, expect) in [
        (r#"{"path":"/srv/docs/b/c","n":1,"list":[1,{"x":null}]}"#, true),
        (r#"{ "list":[1,{"x":null}], "n":1, "p\u0061th":"/srv/docs" }"#, true),
        (r#"{"path":"/srv/other","n":1,"list":[1,{"x":null}]}"#, false),
        (r#"{"path":"/srv/docs/../x","n":1,"list":[1,{"x":null}]}"#, false),
        (r#"{"path":"/srv/docs/%2e%2e/x","n":1,"list":[1,{"x":null}]}"#, false),
        (r#"{"path":["/srv/docs/a"],"n":1,"list":[1,{"x":null}]}"#, false),
        (r#"{"path":null,"n":1,"list":[1,{"x":null}]}"#, false),
        (r#"{"n":1,"list":[1,{"x":null}]}"#, false),
        (r#"{"path":"/srv/docs/a","n":1.0,"list":[1,{"x":null}]}"#, false),
        (r#"{"path":"/srv/docs/a","n":1,"list":[1,{"x":null}],"more":0}"#, false),
        (r#"{"path":"/srv/docs/a","Path":"/srv/docs/a","n":1,"list":[1,{"x":null}]}"#, false),
        (r#"{"path":"/srv/docs/a","n":1,"list":[1,{"x":null},2]}"#, false),
        (r#"{"path":"/srv/docs/a","n":1,"list":[{"x":null},1]}"#, false),
        (r#"{"path":"/srv/docs/a","n":1,"list":[1,{"x":[]}]}"#, false),
        (r#"{"path":"/srv/docs/a","list":[1,{"x":null}]}"#, false),
        (r#"{"path":"/srv/docs/a","n":"?","list":[1,{"x":null}]}"#, false),
        ("{}", false),
        ("[]", false),
    ] {
        assert_eq!(same(under, call, other), expect, "{other}");
    }
}

#[test]
fn every_pointer_and_every_value_of_one_counts() {
    let both = r#"{"/paths/*": {"glob": "/tmp/*"}, "/mode": {"one_of": ["a", {"b": [1]}]}}"#;
    let call = r#"{"paths":["/tmp/1","/tmp/2"],"mode":"a"}"#;
    for (other, expect) in [
        (r#"{"paths":["/tmp/3","/tmp/4"],"mode":{"b":[1.0]}}"#, true),
        (r#"{"paths":["/tmp/3","/etc/4"],"mode":"a"}"#, false),
        (r#"{"paths":["/tmp/3","/tmp/4"],"mode":"c"}"#, false),
        (r#"{"paths":["/tmp/3"],"mode":"a"}"#, false),
        (r#"{"paths":["/tmp/3","/tmp/4","/tmp/5"],"mode":"a"}"#, false),
        (r#"{"paths":{"0":"/tmp/3","1":"/tmp/4"},"mode":"a"}"#, false),
        (r#"{"paths":[],"mode":"a"}"#, false),
    ] {
        assert_eq!(same(both, call, other), expect, "{other}");
    }
    // Keys are no values.
    let each = r#"{"/labels/*": {"equals": true}}"#;
    assert!(!same(each, r#"{"labels":{"a":true}}"#, r#"{"labels":{"b":true}}"#));
}

#[test]
fn what_is_no_such_constraint_is_refused_in_words() {
    for (text, part) in [
        ("[]", "expected a map"),
        ("{}", "no criterion"),
        (r#"{"path": {"equals": 1}}"#, "starts with `/`"),
        (r#"{"": {"equals": 1}}"#, "one value"),
        (r#"{"/**": {"equals": 1}}"#, "one value"),
        (r#"{"/a/**/b": {"equals": 1}}"#, "one value"),
        (r#"{"/a": {"absent": true}}"#, "only equals"),
        (r#"{"/a": {"present": true}}"#, "only equals"),
        (r#"{"/a": {"matches": ".*"}}"#, "only equals"),
        (r#"{"/a": {"equals": 1, "min": 0}}"#, "only equals"),
        (r#"{"/a": {"path_under": ["srv"]}}"#, "absolute"),
        (r#"{"/a": {"path_under": []}}"#, "empty"),
        (r#"{"/a": {"under": ["/srv"]}}"#, "unknown key"),
        (r#"{"/a": {}}"#, "no matcher"),
    ] {
        let error = Constraints::read(&raw(text)).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    let many: Vec<String> = (0..9).map(|n| format!(r#""/{n}":{{"equals":1}}"#)).collect();
    assert!(Constraints::read(&raw(&format!("{{{}}}", many.join(",")))).is_err());
    assert!(Constraints::read(&raw(&format!(r#"{{"/a":{{"equals":"{}"}}}}"#, "x".repeat(2_100)))).is_err());
    let spelled = Constraints::read(&raw(r#"{ "/b": {"equals": 1.0}, "/a":{"glob":"\u0078*"} }"#)).unwrap();
    assert_eq!(spelled.as_str(), r#"{"/a":{"glob":"x*"},"/b":{"equals":1.0}}"#);
    assert_eq!(Constraints::read(&raw(spelled.as_str())).unwrap(), spelled);
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(0)),
        Just(json!("")),
        Just(json!("?")),
        Just(json!("/tmp/a")),
        Just(json!("/tmp/b")),
        Just(json!("/etc/a")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let key = prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("0".to_owned()), Just(",".to_owned())];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map(key, inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A slow reading of the same: what stands at the pointer is a text below the directory in both, and with one put in place of the other
/// nothing is left that differs.
fn slow(pointer: &str, one: &Value, other: &Value) -> bool {
    let fits = |value: &Value| value.pointer(pointer).and_then(Value::as_str).is_some_and(|text| text.starts_with("/tmp/"));
    let mut other = other.clone();
    if !fits(one) || !fits(&other) {
        return false;
    }
    *other.pointer_mut(pointer).unwrap() = one.pointer(pointer).unwrap().clone();
    *one == other
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_differs_outside_of_the_constraint(
        one in tree(), other in tree(), value in prop_oneof![Just("/tmp/a"), Just("/tmp/z"), Just("/etc/a")],
        pointer in prop_oneof![Just("/a"), Just("/0"), Just("/a/b"), Just("/a/0")], twin in any::<bool>(),
    ) {
        let constraints = Constraints::read(&raw(&json!({pointer: {"path_under": ["/tmp"]}}).to_string())).unwrap();
        // Half of the time the two differ at most at the pointer, so that there is something to accept.
        let mut other = if twin { one.clone() } else { other };
        if let Some(place) = other.pointer_mut(pointer) {
            *place = json!(value);
        }
        let (left, right) = (constraints.rest(&raw(&one.to_string())), constraints.rest(&raw(&other.to_string())));
        prop_assert_eq!(left.is_some() && left == right, slow(pointer, &one, &other), "{} {} {}", pointer, one, other);
    }
}

/// A JSON text in some spelling.
fn spelled() -> impl Strategy<Value = String> {
    let text = prop_oneof![".{0,4}", Just("\u{202e}".to_owned())].prop_map(|text| json!(text).to_string());
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just(" true"), Just("\"\\u0041\\/\\ud83d\\ude00\"")].prop_map(str::to_owned),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        text,
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let object = proptest::collection::btree_map("[a-z0-9\u{e4}\u{1f600}\"]{0,3}", inner.clone(), 0..4).prop_map(|members| {
            let members = members.into_iter().rev().map(|(key, value)| format!("{} : {value}", json!(key)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(" ,"))
        });
        prop_oneof![proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[ {} ]", items.join(" , "))), object]
    })
}

proptest! {
    /// There are two that write: they write the same.
    #[test]
    fn what_nothing_is_covered_of_is_the_canonical_text(text in spelled()) {
        let raw = raw(&text);
        let mut out = Vec::new();
        write(&Tree::read(raw.as_str()).unwrap(), 0, &BTreeSet::new(), &mut out).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(canonical::canonical(&raw)).unwrap());
    }
}
