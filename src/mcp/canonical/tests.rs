use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn raw(text: &str) -> RawJson {
    RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap()
}

fn check(text: &str, expect: &str) {
    assert_eq!(String::from_utf8(canonical(&raw(text))).unwrap(), expect, "{text}");
}

#[test]
fn has_one_text_for_one_meaning() {
    check(" { \"b\" : 1 , \"a\" : [ 2 , 1 ] } ", r#"{"a":[2,1],"b":1}"#);
    check(r#"{"\u0062":1,"a":2}"#, r#"{"a":2,"b":1}"#);
    check(r#"{"a\/b":"\u0041\/\u00e9\ud83d\ude00"}"#, "{\"a/b\":\"A/\u{e9}\u{1f600}\"}");
    check(r#"{"":{"z":null,"y":true},"é":false}"#, r#"{"":{"y":true,"z":null},"é":false}"#);
    // By bytes of UTF-8, not by units of UTF-16.
    check(r#"{"\ud83d\ude00":1,"\uff5e":2}"#, "{\"\u{ff5e}\":2,\"\u{1f600}\":1}");
    assert_eq!(digest(Some(&raw("{\"b\":1,\"a\":2}"))), digest(Some(&raw("{\"a\":2,\"b\":1}"))));
}

#[test]
fn tells_apart_what_some_readers_take_for_one() {
    let texts = [
        "1",
        "1.0",
        "1e0",
        "1E0",
        "1e+0",
        "10e-1",
        "0",
        "-0",
        "0.0",
        "9007199254740992",
        "9007199254740993",
        "1e400",
        "1e401",
        "\"1\"",
        "[1]",
        "[1,2]",
        "[2,1]",
        "[]",
        "{}",
        "null",
        "\"\"",
        "false",
        "\"e\u{0301}\"",
        "\"\u{00e9}\"",
        "\"a\"",
        "\"\u{0430}\"",
        "\"a\u{200b}\"",
        "{\"a\":1}",
        "{\"A\":1}",
        "{\"a\":[]}",
        "{\"a\":{}}",
        "[[],[]]",
        "[[[]]]",
        "[\"a\",\"b\"]",
        "[\"a,b\"]",
        "\"{}\"",
    ];
    for (at, a) in texts.iter().enumerate() {
        for b in &texts[at + 1..] {
            assert_ne!(digest(Some(&raw(a))), digest(Some(&raw(b))), "{a} {b}");
        }
        assert_ne!(digest(Some(&raw(a))), digest(None));
    }
}

/// A value, written in two ways chosen by `seed`, and told from others by a text of its own.
#[derive(Clone, Debug)]
enum Value {
    Word(&'static str),
    Number(String),
    Text(String),
    List(Vec<Value>),
    Object(std::collections::BTreeMap<String, Value>),
}

fn value() -> impl Strategy<Value = Value> {
    let number = "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?";
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(Value::Word),
        number.prop_map(Value::Number),
        ".{0,6}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(".{0,3}", inner, 0..4).prop_map(Value::Object),
        ]
    })
}

/// Writes with spaces, escapes and an order of keys that `next` chooses.
fn spell(value: &Value, next: &mut dyn FnMut() -> u32, out: &mut String) {
    let space = |out: &mut String, n: u32| out.push_str(["", " ", "\n", "\t \r"][n as usize % 4]);
    match value {
        Value::Word(word) => out.push_str(word),
        Value::Number(number) => out.push_str(number),
        Value::Text(text) => spell_text(text, next, out),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                space(out, next());
                spell(item, next, out);
                space(out, next());
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if !members.is_empty() {
                let turn = next() as usize % members.len();
                members.rotate_left(turn);
            }
            out.push('{');
            for (at, (key, item)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                space(out, next());
                spell_text(key, next, out);
                space(out, next());
                out.push(':');
                spell(item, next, out);
            }
            out.push('}');
        }
    }
}

fn spell_text(text: &str, next: &mut dyn FnMut() -> u32, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let must = c < ' ' || c == '"' || c == '\\';
        if must || next().is_multiple_of(3) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

fn spelled(value: &Value, seed: u32) -> RawJson {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut out = String::new();
    spell(value, &mut next, &mut out);
    raw(&out)
}

/// What a value is, by its tree alone.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(members) => format!("O{:?}", members.iter().map(|(k, v)| (k, shape(v))).collect::<Vec<_>>()),
        Value::List(items) => format!("L{:?}", items.iter().map(shape).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn however_it_is_spelled_it_is_the_same(value in value(), a in any::<u32>(), b in any::<u32>()) {
        let (first, second) = (spelled(&value, a), spelled(&value, b));
        prop_assert_eq!(canonical(&first), canonical(&second));
        prop_assert_eq!(digest(Some(&first)), digest(Some(&second)));
    }

    #[test]
    fn whatever_differs_differs(one in value(), other in value(), a in any::<u32>(), b in any::<u32>()) {
        let same = shape(&one) == shape(&other);
        prop_assert_eq!(digest(Some(&spelled(&one, a))) == digest(Some(&spelled(&other, b))), same);
    }

    #[test]
    fn it_means_what_it_was_made_of(value in value(), a in any::<u32>()) {
        let raw = spelled(&value, a);
        let text = canonical(&raw);
        // Its own canonical text, acceptable to the same reader.
        prop_assert_eq!(canonical(&RawJson::parse(Bytes::from(text.clone()), 64).unwrap()), text.clone());
        // A number over the range of a reader is no business of this one.
        if let (Ok(mine), Ok(theirs)) = (serde_json::from_slice::<serde_json::Value>(&text), serde_json::from_str::<serde_json::Value>(raw.as_str())) {
            prop_assert_eq!(mine, theirs);
        }
    }
}
