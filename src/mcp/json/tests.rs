use super::*;
use proptest::prelude::*;

fn check(text: &str, expect: Result<(), JsonError>) {
    assert_eq!(validate(text.as_bytes(), 8).map(|_| ()), expect, "{text}");
}

#[test]
fn accepts_what_the_grammar_allows() {
    for text in [
        "null",
        " true ",
        "[]",
        "{}",
        r#"{"a":[1,-0,0.5,1e9,-1.5E-3,12345678901234567890123]}"#,
        r#""\u00e9\ud83d\ude00\n""#,
        "[[[[[[[[]]]]]]]]",
        r#"{"a":{"a":1},"b":{"a":2}}"#,
    ] {
        check(text, Ok(()));
    }
}

#[test]
fn refuses_what_parsers_disagree_about() {
    for text in [r#"{"a":1,"a":2}"#, r#"{"x":{"a":1,"\u0061":2}}"#, r#"[{"":1,"":1}]"#] {
        check(text, Err(JsonError::DuplicateKey));
    }
    for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\u0041""#, r#"{"\udfff":1}"#] {
        check(text, Err(JsonError::Surrogate));
    }
    check("[[[[[[[[[]]]]]]]]]", Err(JsonError::Depth));
    check("\u{feff}{}", Err(JsonError::Encoding));
    assert_eq!(validate(b"\"\xff\"", 8), Err(JsonError::Encoding));
}

#[test]
fn refuses_what_is_no_json() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "--1",
        "nul",
        "truefalse",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "[1 2]",
        "{} {}",
        "NaN",
        "'a'",
        "{\"a\":1,}",
        "/**/1",
        "\"abc",
    ] {
        assert!(matches!(validate(text.as_bytes(), 8), Err(JsonError::Syntax { .. })), "{text}");
    }
}

#[test]
fn finds_a_duplicate_among_many_keys() {
    let many = |last: &str| {
        let mut text = String::from("{");
        (0..500).for_each(|i| text.push_str(&format!("\"k{i}\":{{\"k\":1}},")));
        text + last + "}"
    };
    check(&many("\"k7\":1"), Err(JsonError::DuplicateKey));
    check(&many("\"other\":1"), Ok(()));
}

proptest! {
    #[test]
    fn agrees_with_serde_json_on_unique_keys(value in json()) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(validate(text.as_bytes(), 64), Ok(text.as_str()));
    }

    #[test]
    fn never_accepts_what_serde_json_refuses(text in "[\\[\\]{}\":,0-9a-z\\\\. -]{0,24}") {
        if validate(text.as_bytes(), 64).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn strings_survive_quoting(text in any::<String>()) {
        let mut out = Vec::new();
        push_string(&mut out, &text);
        let raw = validate(&out, 1).unwrap();
        prop_assert_eq!(unquote(raw).unwrap(), text.as_str());
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..20)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}
