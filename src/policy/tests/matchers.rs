//! Every matcher in an allow rule and in a deny rule, and what they show.

use super::*;
use crate::vocab::Reason::{self, *};

/// A policy that allows a call if the criterion holds, and one that allows it unless the criterion holds.
fn both(arguments: &str) -> (PolicySet, PolicySet) {
    let allow = format!(
        "version: 1\nrules:\n- {{ id: r, effect: allow, principals: [any], tools: [x__y], classes: [destructive], arguments: {{ {arguments} }} }}\n"
    );
    let deny = format!(
        "version: 1\nrules:\n- {{ id: a, effect: allow, principals: [any], tools: [x__y], classes: [destructive] }}\n\
         - {{ id: r, effect: deny, arguments: {{ {arguments} }} }}\n"
    );
    (set(&allow), set(&deny))
}

/// What the two policies say: True is allowed and denied, False neither.
const TRUE: (Reason, Reason) = (Allowed, RuleDenied);
const FALSE: (Reason, Reason) = (NoRule, Allowed);
const UNKNOWN: (Reason, Reason) = (Indeterminate, Indeterminate);
/// A text in disguise: satisfies no allow rule, escapes no deny rule.
const HOSTILE: (Reason, Reason) = (NoRule, Indeterminate);

fn check(arguments: &str, table: &[(&str, (Reason, Reason))]) {
    let (allow, deny) = both(arguments);
    for (call_arguments, expect) in table {
        let got = |set: &PolicySet| call(set, &alice(&[]), "x__y", call_arguments).reason();
        assert_eq!((got(&allow), got(&deny)), *expect, "{arguments}: {call_arguments}");
    }
}

#[test]
fn regular_expressions_search_texts() {
    check(
        "/a: { matches: ['^key-[0-9]+$', SECRET] }",
        &[
            (r#"{"a":"key-12"}"#, TRUE),
            (r#"{"a":"\u006bey-12"}"#, TRUE),
            (r#"{"a":"my SECRET"}"#, TRUE),
            (r#"{"a":"key-"}"#, FALSE),
            (r#"{"a":"key-12\n"}"#, FALSE),
            (r#"{"a":12}"#, UNKNOWN),
            (r#"{"a":["key-12"]}"#, UNKNOWN),
            (r#"{"b":"key-12"}"#, FALSE),
        ],
    );
    check(
        "/**: { matches: 'AKIA[0-9A-Z]{4}' }",
        &[(r#"{"n":{"xAKIA1234x":1}}"#, (NoRule, RuleDenied)), (r#"{"n":[1,true]}"#, FALSE)],
    );
}

#[test]
fn urls_and_addresses() {
    check(
        "/u: { url: { scheme: [https], host: ['*.example.com'], address: name } }",
        &[
            (r#"{"u":"https://a.example.com/x"}"#, TRUE),
            (r#"{"u":"HTTPS:\/\/A.example.com"}"#, TRUE),
            (r#"{"u":"https://a.example.org/x"}"#, FALSE),
            (r#"{"u":"https://user@a.example.com/x"}"#, HOSTILE),
            (r#"{"u":"https://a.example.com\\@evil.test/"}"#, HOSTILE),
            (r#"{"u":"a.example.com"}"#, HOSTILE),
            (r#"{"u":5}"#, UNKNOWN),
            (r#"{}"#, FALSE),
        ],
    );
    check(
        "/h: { cidr: [169.254.0.0/16, '::1'] }",
        &[
            (r#"{"h":"169.254.169.254"}"#, TRUE),
            (r#"{"h":"::ffff:169.254.169.254"}"#, TRUE),
            (r#"{"h":"0:0::1"}"#, TRUE),
            (r#"{"h":"10.0.0.1"}"#, FALSE),
            (r#"{"h":"example.com"}"#, FALSE),
            (r#"{"h":"2852039166"}"#, HOSTILE),
            (r#"{"h":"0xa9.0xfe.43518"}"#, HOSTILE),
            (r#"{"h":2852039166}"#, UNKNOWN),
            (r#"{"h":null}"#, UNKNOWN),
        ],
    );
}

#[test]
fn numbers_keep_every_digit() {
    check(
        "/n: { min: -0.5, max: 9007199254740993 }",
        &[
            (r#"{"n":9007199254740993}"#, TRUE),
            (r#"{"n":9007199254740993.0000000000000000001}"#, FALSE),
            (r#"{"n":9007199254740994}"#, FALSE),
            (r#"{"n":-5e-1}"#, TRUE),
            (r#"{"n":-0.50000000000000000001}"#, FALSE),
            (r#"{"n":1e400}"#, FALSE),
            (r#"{"n":1e99999999999999999999}"#, UNKNOWN),
            (r#"{"n":"1"}"#, UNKNOWN),
            (r#"{"n":null}"#, UNKNOWN),
            (r#"{"n":[1]}"#, UNKNOWN),
        ],
    );
}

#[test]
fn lengths_and_types() {
    check(
        "/a: { max_length: 3 }",
        &[
            (r#"{"a":"日本語"}"#, TRUE),
            (r#"{"a":"\ud83d\ude00\u0061\n"}"#, TRUE),
            (r#"{"a":"日本語x"}"#, FALSE),
            (r#"{"a":[1,[2,3,4,5],3]}"#, TRUE),
            (r#"{"a":[1,2,3,4]}"#, FALSE),
            (r#"{"a":1234}"#, UNKNOWN),
            (r#"{"a":{}}"#, UNKNOWN),
        ],
    );
    check("/**: { max_length: 3 }", &[(r#"{"abc":[123,true]}"#, (NoRule, RuleDenied)), (r#"{"abcd":12345}"#, FALSE)]);
    for (types, yes, no) in [
        ("string", r#""x""#, "1 true null {} []"),
        ("number", "1.5 1 1e99999999999999999999", r#""1" true null {} []"#),
        ("integer", "1 1.0 1e3 -0.0 1e99999999999999999999", r#"1.5 1e-3 1e-99999999999999999999 "1""#),
        ("boolean", "true false", "null 0"),
        ("'null'", "null", "false 0 \"\""),
        ("object", "{}", "[] null"),
        ("array", "[]", "{} null"),
        ("[integer, string]", "1 \"1\"", "1.5 null"),
    ] {
        for (values, expect) in [(yes, TRUE), (no, FALSE)] {
            for value in values.split(' ') {
                check(&format!("/a: {{ type: {types} }}"), &[(&format!("{{\"a\":{value}}}"), expect)]);
            }
        }
    }
}

#[test]
fn present_and_absent() {
    check("/a/b: { present: true }", &[(r#"{"a":{"b":null}}"#, TRUE), (r#"{"a":{}}"#, FALSE), ("{}", FALSE)]);
    check("/a/b: { absent: true }", &[(r#"{"a":{"b":null}}"#, FALSE), (r#"{"a":{}}"#, TRUE), ("{}", TRUE)]);
    check("/a/*: { absent: true }", &[(r#"{"a":[]}"#, TRUE), (r#"{"a":[0]}"#, FALSE)]);
    check("/a: { absent: true }, /b: { equals: 1 }", &[(r#"{"b":1}"#, TRUE), (r#"{"b":1,"a":1}"#, FALSE), ("{}", FALSE)]);
    // Colliding keys cannot be told.
    check("/a: { absent: true }", &[(r#"{"b":1,"B":1}"#, UNKNOWN)]);
}

#[test]
fn without_arguments_only_absence_holds() {
    for (arguments, expect) in [
        ("/a: { absent: true }", TRUE),
        ("/**: { absent: true }", TRUE),
        ("'': { absent: true }", TRUE),
        ("'': { present: true }", FALSE),
        ("/a: { present: true }", FALSE),
        ("/a: { absent: true }, /b: { type: string }", FALSE),
    ] {
        let (allow, deny) = both(arguments);
        let got = |set: &PolicySet| {
            let kind = Kind::Tool { name: "x__y", class: Class::Destructive, arguments: None };
            decide(set, &alice(&[]), &Asked { kind, known: true, now_unix_ms: 1, route: "/mcp" }).reason()
        };
        assert_eq!((got(&allow), got(&deny)), expect, "{arguments}");
    }
    let resource = |effect: &str| {
        format!(
            "version: 1\nrules:\n- {{ id: r, effect: {effect}, principals: [any], resources: ['docs__x:*'], arguments: {{ /a: {{ absent: true }} }} }}\n"
        )
    };
    let kind = Kind::Resource { uri: "docs__x:y" };
    let allow = set(&resource("allow"));
    assert!(allow.warnings().is_empty(), "{:?}", allow.warnings());
    assert_eq!(decide(&allow, &alice(&[]), &Asked { kind, known: true, now_unix_ms: 1, route: "/mcp" }).reason(), Allowed);
    assert!(visible(&allow, &alice(&[]), &kind, NOW) && visible_template(&allow, &alice(&[]), "docs__x:{y}", NOW));
    let deny = set(&format!(
        "{}- {{ id: a, effect: allow, principals: [any], resources: ['*'], capabilities: ['docs:roots'] }}\n",
        resource("deny").replace("resources: ['docs__x:*'], ", "")
    ));
    assert!(!visible(&deny, &alice(&[]), &kind, NOW) && !visible_template(&deny, &alice(&[]), "docs__x:{y}", NOW));
    assert_eq!(decide(&deny, &alice(&[]), &Asked { kind, known: true, now_unix_ms: 1, route: "/mcp" }).reason(), NotVisible);
    assert!(!deny.capabilities(&alice(&[]), "docs", NOW).roots);
}

#[test]
fn what_no_arguments_could_allow_is_hidden() {
    for (allow, deny, expect) in [
        ("/a: { min: 5, max: 5 }", "/c: { equals: 1 }", true),
        ("/a: { type: string, min: 5 }", "/c: { equals: 1 }", false),
        ("/a: { type: integer, glob: x }", "/c: { equals: 1 }", false),
        ("/**/a: { type: integer, glob: '5' }", "/c: { equals: 1 }", true),
        ("/a: { equals: x, type: integer }", "/c: { equals: 1 }", false),
        ("/a: { one_of: [x, 5], type: integer }", "/a: { min: 5 }", false),
        ("/a: { one_of: [x, 4], type: integer }", "/a: { min: 5 }", true),
        ("/a: { min: 5 }", "/a: { min: 4.5 }", false),
        ("/a: { min: 5 }", "/a: { min: 5.5 }", true),
        ("/a: { max: 5 }", "/a: { max: 5 }", false),
        ("/a: { max: 5 }", "/a: { max: 6 }", false),
        ("/a: { max: 5 }", "/a: { max: 4 }", true),
        ("/a: { max_length: 5 }", "/a: { max_length: 6 }", false),
        ("/a: { max_length: 5 }", "/a: { max_length: 4 }", true),
        ("/a: { cidr: 10.1.0.0/16 }", "/a: { cidr: 10.0.0.0/8 }", false),
        ("/a: { cidr: 10.0.0.0/8 }", "/a: { cidr: 10.1.0.0/16 }", true),
        ("/a: { type: integer }", "/a: { type: number }", false),
        ("/a: { type: number }", "/a: { type: integer }", true),
        ("/a: { glob: x }", "/a: { type: string }", false),
        ("/a: { matches: x }", "/a: { glob: '*' }", false),
        ("/a: { matches: x }", "/a: { matches: x }", false),
        ("/a: { glob: x }", "/a: { present: true }", false),
        ("/a: { present: true }", "/a: { glob: x }", true),
        ("/a: { absent: true }", "/a: { absent: true }", false),
        ("/a: { absent: true }", "/a: { present: true }", true),
        ("/a: { present: true }", "/a: { absent: true }", true),
        ("/a: { equals: x }", "/b: { absent: true }", true),
        ("/a: { equals: x }, /b: { absent: true }", "/b: { absent: true }, /a: { glob: '?' }", false),
        ("/a: { equals: x }, /b: { absent: true }", "/b: { absent: true }, /**: { equals: x }", false),
        ("/a: { absent: true }, /a/b: { equals: 1 }", "/c: { equals: 1 }", false),
        ("/a: { absent: true }", "'': { present: true }", true),
        ("/a/b: { equals: 1 }", "/a: { equals: { b: 1 } }", true),
        ("/a: { equals: { b: 1 } }", "/a: { equals: { b: 1 } }", false),
    ] {
        let text = format!(
            "version: 1\nrules:\n- {{ id: a, effect: allow, principals: [any], tools: [x__y], classes: [read], arguments: {{ {allow} }} }}\n\
             - {{ id: d, effect: deny, arguments: {{ {deny} }} }}\n"
        );
        let kind = Kind::Tool { name: "x__y", class: Class::Read, arguments: None };
        assert_eq!(visible(&set(&text), &alice(&[]), &kind, NOW), expect, "allow {allow} deny {deny}");
    }
}
