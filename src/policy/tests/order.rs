//! Order, spelling and splitting of files mean nothing.

use super::*;

const GROUP: &str = "groups: { g: { claim: groups, any_of: [a, b] } }\n";
const CLASSES: &str = "tools:\n- { match: [x__a, x__b], class: read }\n- { match: ['x__*_w'], class: write }\n";
const RULES: [&str; 4] = [
    "- { id: r1, effect: allow, principals: ['group:g', 'sub:bob'], tools: ['x__*', 'y__*'], classes: [write, read] }\n",
    "- { id: r2, effect: deny, arguments: { /a: { one_of: [1, x, null] }, /b: { glob: 'q*', path_under: [/a, /b] } } }\n",
    "- { id: r3, effect: allow, principals: [any], tools: ['x__a'], require: { scope: [s, t], limit: [{ concurrent: 1, by: [tool, class] }, { calls: 2, per: 60s, by: [] }] } }\n",
    "- { id: r4, effect: allow, principals: [any], capabilities: ['x:roots', 'x:sampling'] }\n",
];

fn digest(files: &[String]) -> Arc<str> {
    let files: Vec<_> = files.iter().enumerate().map(|(i, text)| (format!("{i}.yaml"), text.clone())).collect();
    compile(&files, &Facts { upstreams: &[], issuers: &[] }).unwrap_or_else(|p| panic!("{p:#?}")).digest().clone()
}

fn file(parts: &[&str]) -> String {
    format!("version: 1\n{}", parts.concat())
}

#[test]
fn the_digest_is_of_what_the_set_means() {
    let base = digest(&[file(&[GROUP, CLASSES, "rules:\n", RULES[0], RULES[1], RULES[2], RULES[3]])]);
    assert!(base.starts_with("sha256:") && base.len() == 71, "{base}");
    let same = [
        vec![file(&["# a comment\nrules:\n", RULES[3], RULES[2], RULES[1], RULES[0], CLASSES, GROUP])],
        vec![file(&["rules:\n", RULES[2], RULES[0]]), file(&[GROUP, "rules:\n", RULES[1], RULES[3]]), file(&[CLASSES])],
        vec![file(&[
            "mode: enforce\ngroups: { g: { any_of: [b, a, b], claim: 'groups' } }\n",
            "tools:\n- { class: write, match: ['x__**_w'] }\n- { match: [x__b], class: read }\n- { match: [x__a], class: read }\n",
            "rules:\n- { id: r1, effect: allow, classes: [read, write], tools: ['y__*', 'x__*', 'x__*'], principals: ['sub:bob', 'group:g'] }\n",
            "- { id: r2, effect: deny, principals: [any], classes: [read, write, destructive], arguments: { /b: { path_under: [/b/, /a], glob: ['q*'] }, /a: { one_of: [x, 10e-1, null, 1.0] } } }\n",
            "- { id: r3, effect: allow, principals: [any], classes: [read], tools: ['x__a'], require: { limit: [{ calls: 2, per: 1m, by: [] }, { concurrent: 1, by: [class, tool] }], scope: [t, s] } }\n",
            RULES[3],
        ])],
    ];
    for files in same {
        assert_eq!(digest(&files), base, "{files:#?}");
    }
    for (from, to) in [
        ("any_of: [a, b]", "any_of: [a]"),
        ("claim: groups", "claim: roles"),
        ("x__b], class: read", "x__b], class: write"),
        ("id: r1", "id: r5"),
        ("sub:bob", "sub:bo?"),
        ("'y__*'", "'y__\\*'"),
        ("[write, read]", "[read]"),
        ("[1, x, null]", "['1', x, null]"),
        ("/a: { one_of", "/A: { one_of"),
        ("glob: 'q*'", "glob: 'q?'"),
        ("[/a, /b]", "[/a, /c]"),
        ("scope: [s, t]", "scope: s"),
        ("concurrent: 1", "concurrent: 2"),
        ("per: 60s", "per: 61s"),
        ("by: []", "by: [route]"),
        ("x:roots", "y:roots"),
        ("effect: deny", "effect: allow, principals: [any], tools: ['*']"),
    ] {
        let text = file(&[GROUP, CLASSES, "rules:\n", RULES[0], RULES[1], RULES[2], RULES[3]]);
        assert!(text.contains(from), "{from}");
        assert_ne!(digest(&[text.replacen(from, to, 1)]), base, "{from} -> {to}");
    }
}

#[test]
fn every_matcher_is_in_the_digest() {
    let of = |matcher: &str| digest(&[file(&["rules:\n- { id: r, effect: deny, arguments: { /a: { ", matcher, " } } }\n"])]);
    let mut seen = std::collections::HashMap::new();
    for matcher in [
        "equals: a",
        "equals: 1",
        "glob: a",
        "matches: a",
        "matches: b",
        "matches: [a, b]",
        "path_under: /a",
        "cidr: 10.0.0.0/8",
        "cidr: 10.0.0.0/9",
        "cidr: '::/0'",
        "min: 1",
        "min: 2",
        "max: 1",
        "max_length: 1",
        "max_length: 2",
        "type: number",
        "type: integer",
        "type: [string, 'null']",
        "present: true",
        "absent: true",
        "min: 1, max: 1",
        "url: { scheme: http }",
        "url: { host: http }",
        "url: { path: '/a' }",
        "url: { port: 1 }",
        "url: { address: public }",
        "url: { address: name }",
        "url: { scheme: http, host: a }",
        "url: { scheme: http, host: '?' }",
    ] {
        assert_eq!(seen.insert(of(matcher), matcher), None, "{matcher}");
    }
    for (a, b) in [
        ("matches: [b, a, b]", "matches: [a, b]"),
        ("cidr: [10.0.0.0/8, 2001:DB8:0::/32]", "cidr: [2001:db8::/32, 10.0.0.0/8]"),
        ("cidr: 10.0.0.1", "cidr: 10.0.0.1/32"),
        ("min: 1e1", "min: 10.0"),
        ("type: [integer, number]", "type: number"),
        ("type: [string, array]", "type: [array, string]"),
        ("present: true, min: 1", "min: 1"),
        ("url: { port: [80, 443], scheme: [https, http] }", "url: { scheme: [http, https], port: [443, 80, 443] }"),
    ] {
        assert_eq!(of(a), of(b), "{a}; {b}");
    }
}
