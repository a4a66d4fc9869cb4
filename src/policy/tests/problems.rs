//! Mistakes, and what is said about them.

use super::*;
use crate::vocab::Problem;

fn problems(text: &str, issuers: &[&str]) -> Vec<Problem> {
    let issuers: Vec<String> = issuers.iter().map(|issuer| (*issuer).to_owned()).collect();
    let files = [("p.yaml".to_owned(), text.to_owned())];
    compile(&files, &Facts { upstreams: &["files".to_owned()], issuers: &issuers }).err().unwrap_or_default()
}

fn check(text: &str, path: &str, says: &str) {
    check_with(text, &[], path, says);
}

fn check_with(text: &str, issuers: &[&str], path: &str, says: &str) {
    let problems = problems(text, issuers);
    let found = problems.iter().any(|p| p.path == path && format!("{p}").contains(says) && (p.line > 0 || p.path.is_empty()));
    assert!(found, "wanted {path}: {says}\n{text}\n{problems:#?}");
    assert_eq!(problems.len(), 1, "one mistake, one problem\n{text}\n{problems:#?}");
}

/// A policy with one rule, given as flow members.
fn rule(members: &str) -> String {
    format!("version: 1\nrules:\n  - {{ {members} }}\n")
}

const ALLOW: &str = "id: r, effect: allow, principals: [any], tools: ['a__*']";

#[test]
fn the_shape_of_files() {
    check("", "", "expected a map");
    check("rules: [", "", "");
    check("{}", "version", "required");
    check("version: 2", "version", "unknown version");
    check("version: '1'", "version", "unknown version");
    check("version: 1\nversion: 1", "", "uplicate");
    check("version: 1\nrule: []", "rule", "did you mean `rules`?");
    check("version: 1\nrules: {}", "rules", "expected a list");
    check("version: 1\nrules: []", "rules", "the list is empty");
    check("version: 1\nmode: enforced", "mode", "no such word");
    check("version: 1\ntools: [{ match: [a__b] }]", "tools[0].class", "required");
    check("version: 1\ntools: [{ class: read }]", "tools[0].match", "required");
    check("version: 1\ntools: [{ match: [a__b], class: reed }]", "tools[0].class", "no such word");
    check("version: 1\ntools: [{ match: [ab], class: read }]", "tools[0].match", "can never match");
    check("version: 1\n---\nversion: 1", "", "");
    check("version: 1\nx: &a [1]\n", "x", "unknown key");
}

#[test]
fn the_shape_of_rules() {
    check(&rule("effect: allow, principals: [any], tools: ['*']"), "rules[0].id", "required");
    check(&rule("id: r, principals: [any], tools: ['*']"), "rules[0].effect", "required");
    check(&rule("id: r, effect: permit, principals: [any], tools: ['*']"), "rules[0].effect", "no such word");
    check(&rule("id: r, effect: allow, tools: ['*']"), "rules[0].principals", "required in an allow rule");
    check(&rule("id: r, effect: allow, principals: [any]"), "rules[0]", "names what it allows");
    check(&rule("id: 'a b', effect: deny"), "rules[0].id", "not a usable name");
    check(&rule("id: r, effect: deny, principals: []"), "rules[0].principals", "the list is empty");
    check(&rule("id: r, effect: deny, tools: []"), "rules[0].tools", "the list is empty");
    check(&rule("id: r, effect: deny, tools: 'a__*'"), "rules[0].tools", "expected a list");
    check(&rule("id: r, effect: deny, tools: [read_file]"), "rules[0].tools", "can never match");
    check(&rule("id: r, effect: deny, tools: ['a\\']"), "rules[0].tools[0]", "escapes nothing");
    check(&rule("id: r, effect: deny, require: { scope: s }"), "rules[0].require", "a deny rule requires nothing");
    check(&rule("id: r, effect: deny, principal: [any]"), "rules[0].principal", "did you mean `principals`?");
    check(&rule("id: r, effect: deny, classes: [reads]"), "rules[0].classes[0]", "no such word");
    check(&rule("id: r, effect: deny, mode: shadowed"), "rules[0].mode", "no such word");
    check(&rule("id: no, effect: deny, tools: [no]"), "rules[0].tools", "can never match");
    check(&rule("id: r, effect: deny, tools: [true]"), "rules[0].tools[0]", "expected a text");
    check("version: 1\nrules:\n- { id: r, effect: deny }\n- { id: r, effect: deny }", "rules[1].id", "another rule has this id");
}

#[test]
fn principals_and_groups() {
    let who = |text: &str| rule(&format!("id: r, effect: allow, principals: ['{text}'], tools: ['*']"));
    check(&who("eng"), "rules[0].principals[0]", "no such kind of principal");
    check(&who("any:"), "rules[0].principals[0]", "no such kind of principal");
    check(&who("role:x"), "rules[0].principals[0]", "no such kind of principal");
    check(&who("group:eng"), "rules[0].principals[0]", "no such group");
    check(&who("sub:"), "rules[0].principals[0]", "empty pattern");
    let near = format!("{}groups: {{ engineers: {{ claim: groups, any_of: [e] }} }}\n", who("group:engineer"));
    check(&near, "rules[0].principals[0]", "did you mean `group:engineers`?");
    let group = |text: &str| format!("version: 1\ngroups: {{ g: {{ {text} }} }}\n");
    check(&group("claim: groups"), "groups.g", "without `any_of`");
    check(&group("any_of: [a]"), "groups.g", "without `claim`");
    check(&group("issuer: ['portcullis:keys']"), "groups.g", "says nothing");
    check(&group("claim: groups, any_of: [a], issuer: ['https://b.example']"), "groups.g.issuer[0]", "no such issuer");
    let two = &["https://a.example", "https://b.example"];
    check_with(&group("claim: groups, any_of: [a]"), two, "groups.g.issuer", "required");
    check_with(&who("sub:alice"), two, "rules[0].principals[0]", "names its own");
    check_with(&who("sub:https://c.example#alice"), two, "rules[0].principals[0]", "did you mean");
    for fine in ["sub:anonymous", "sub:key:ci", "sub:https://a.example#x#y", "any", "client:x", "scope:a:b"] {
        assert_eq!(problems(&who(fine), two), [], "{fine}");
    }
    assert_eq!(problems(&who("sub:auth0|a#b"), &["https://a.example"]), []);
}

#[test]
fn arguments_and_requirements() {
    let with = |text: &str| rule(&format!("{ALLOW}, {text}"));
    let argument = |text: &str| with(&format!("arguments: {{ {text} }}"));
    check(&argument("path: { equals: 1 }"), "rules[0].arguments.path", "starts with `/`");
    check(&argument("/a~2: { equals: 1 }"), "rules[0].arguments[\"/a~2\"]", "`~0`");
    check(&argument("/a: { equal: 1 }"), "rules[0].arguments[\"/a\"].equal", "did you mean `equals`?");
    check(&argument("/a: {}"), "rules[0].arguments[\"/a\"]", "no matcher");
    check(&argument("/a: x"), "rules[0].arguments[\"/a\"]", "expected a map");
    check(&argument("/a: { path_under: [srv] }"), "rules[0].arguments[\"/a\"].path_under[0]", "absolute");
    check(&argument("/a: { path_under: /srv/../x }"), "rules[0].arguments[\"/a\"].path_under", "dot segments");
    check(&argument("/a: { one_of: [] }"), "rules[0].arguments[\"/a\"].one_of", "the list is empty");
    check(&argument("/a: { equals: 0x10 }"), "rules[0].arguments[\"/a\"].equals", "as JSON writes it");
    check(&with("arguments: {}"), "rules[0].arguments", "no criterion");
    let limit = |text: &str| with(&format!("require: {{ limit: [{{ {text} }}] }}"));
    check(&limit("calls: 1, by: []"), "rules[0].require.limit[0]", "calls and per");
    check(&limit("calls: 1, per: 1m, concurrent: 2, by: []"), "rules[0].require.limit[0]", "not a limit");
    check(&limit("calls: 0, per: 1m, by: []"), "rules[0].require.limit[0].calls", "whole number");
    check(&limit("calls: 1.5, per: 1m, by: []"), "rules[0].require.limit[0].calls", "whole number");
    check(&limit("calls: 1, per: 0s, by: []"), "rules[0].require.limit[0].per", "length of time");
    check(&limit("calls: 1, per: 2y, by: []"), "rules[0].require.limit[0].per", "length of time");
    check(&limit("concurrent: 1"), "rules[0].require.limit[0].by", "required");
    check(&limit("concurrent: 1, by: [person]"), "rules[0].require.limit[0].by[0]", "no such word");
    check(&with("require: {}"), "rules[0].require", "no requirement");
    check(&with("require: { scope: 'a b' }"), "rules[0].require.scope", "not a scope");
    check(&with("capabilities: ['x:sampling'], classes: [read]"), "rules[0].classes", "of their own");
    check(
        &rule("id: r, effect: allow, principals: [any], capabilities: ['x:tasks']"),
        "rules[0].capabilities[0]",
        "not a capability",
    );
}

#[test]
fn matchers_are_read_strictly() {
    let check = |key: &str, value: &str, at: &str, says: &str| {
        let path = format!("rules[0].arguments[\"/a\"].{key}{at}");
        check(&rule(&format!("{ALLOW}, arguments: {{ /a: {{ {key}: {value} }} }}")), &path, says);
    };
    check("matches", "'('", "", "unclosed group");
    check("matches", "['a', '(?=b)']", "[1]", "look-around");
    check("matches", "'(a)\\1'", "", "no back-references");
    check("matches", "'\\w{100}{100}'", "", "compiles to more");
    check("matches", "''", "", "empty expression");
    check("matches", "[]", "", "the list is empty");
    check("matches", "7", "", "expected a list");
    check("matches", &format!("{:?}", vec!["a"; 65]), "", "more than 64 expressions");
    check("cidr", "10.0.0.0/33", "", "not a network");
    check("cidr", "[10.0.0.0/8, 10.0.0.1/8]", "[1]", "beyond the prefix");
    check("cidr", "'::ffff:10.0.0.0/104'", "", "counts as IPv4");
    check("min", "'5'", "", "not a number");
    check("max", "0x10", "", "not a number");
    check("max_length", "-1", "", "whole number from 0");
    check("max_length", "1.5", "", "whole number from 0");
    check("type", "text", "", "one of: string, number, integer, boolean, null, object, array");
    check("type", "[string, strings]", "[1]", "no such word");
    check("type", "[]", "", "the list is empty");
    check("present", "false", "", "write `absent: true`");
    check("absent", "false", "", "write `present: true`");
    check("absent", "'true'", "", "only `true`");
    check("url", "{}", "", "at least one of: scheme, host, port, path, address");
    check("url", "https://example.com", "", "expected a map");
    check("url", "{ hosts: x }", ".hosts", "did you mean `host`?");
    check("url", "{ scheme: HTTPS }", ".scheme", "not a scheme");
    check("url", "{ scheme: [https, 'http:'] }", ".scheme[1]", "not a scheme");
    check("url", "{ host: Example.com }", ".host", "lower-case ASCII");
    check("url", "{ host: münchen.example }", ".host", "Punycode");
    check("url", "{ host: 'example.com:443' }", ".host", "has no port");
    check("url", "{ host: example.com/ }", ".host", "not a host");
    check("url", "{ host: '[::1]' }", ".host", "not a host");
    check("url", "{ host: [] }", ".host", "the list is empty");
    check("url", "{ port: 0 }", ".port", "not a port");
    check("url", "{ port: 65536 }", ".port", "not a port");
    check("url", "{ port: '443' }", ".port", "not a port");
    check("url", "{ port: [] }", ".port", "the list is empty");
    check("url", "{ path: v1/* }", ".path", "starts with `/`");
    check("url", "{ address: [local] }", ".address[0]", "one of: public, private");
    let with = |text: &str| rule(&format!("{ALLOW}, arguments: {{ /a: {{ {text} }} }}"));
    super::problems::check(&with("absent: true, equals: 1"), "rules[0].arguments[\"/a\"]", "stands alone");
    super::problems::check(&with("absent: true, present: true"), "rules[0].arguments[\"/a\"]", "stands alone");
    super::problems::check(&with("min: 10, max: 9.5"), "rules[0].arguments[\"/a\"]", "greater than");
    assert_eq!(problems(&with("min: 10, max: 1e1"), &[]), []);
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let one =
        "version: 1\nrules:\n  - id: a\n    effect: alow\n    tools: ['x__*']\n  - id: b\n    effect: deny\n    whom: [any]\n";
    let two = "version: 1\ngroups:\n  g: { client_id: ['\\'] }\nrules: [{ id: b, effect: deny }]\n";
    let files = [("one.yaml".to_owned(), one.to_owned()), ("two.yaml".to_owned(), two.to_owned())];
    let problems = compile(&files, &Facts { upstreams: &[], issuers: &[] }).unwrap_err();
    let places: Vec<_> = problems.iter().map(|p| (&*p.file, p.line, p.column, &*p.path)).collect();
    assert_eq!(
        places,
        [
            ("one.yaml", 4, 13, "rules[0].effect"),
            ("one.yaml", 8, 5, "rules[1].whom"),
            ("two.yaml", 3, 20, "groups.g.client_id[0]"),
            ("two.yaml", 4, 15, "rules[0].id"),
        ]
    );
}

#[test]
fn likely_slips_are_warnings() {
    let text = rule(
        "id: r, effect: allow, principals: [any], tools: ['flies__*'], resources: ['files__*'], arguments: { /a: { equals: 1 } }",
    );
    let files = [("p.yaml".to_owned(), text)];
    let facts = Facts { upstreams: &["files".to_owned()], issuers: &["https://a.example".to_owned()] };
    let (_, findings) = crate::policy::check(&files, &facts, &Known::default()).unwrap();
    let said: Vec<String> =
        findings.iter().map(ToString::to_string).filter(|said| !said.starts_with("warning[dead_entry]")).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("no arguments") && said[1].contains("did you mean `files`?"), "{said:?}");
}

/// Every single-character deletion, and every line left out, of a real policy: never a panic, and what still compiles never allows
/// a stranger anything.
#[test]
fn damaged_files_never_open_anything() {
    let text = include_str!("../../../policies/demo/demo.yaml");
    let stranger = alice(&["strangers"]);
    let all: Vec<char> = text.chars().collect();
    let without = |n: usize| all.iter().enumerate().filter(|(i, _)| *i != n).map(|(_, c)| c).collect::<String>();
    let characters = (0..all.len()).step_by(3).map(without);
    let lines = (0..text.lines().count()).map(|n| {
        let kept: Vec<&str> = text.lines().enumerate().filter(|(i, _)| *i != n).map(|(_, line)| line).collect();
        kept.join("\n")
    });
    let (mut broken, mut whole) = (0, 0);
    for damaged in characters.chain(lines) {
        let files = [("p.yaml".to_owned(), damaged)];
        let Ok(set) = compile(&files, &Facts { upstreams: &[], issuers: &[] }) else {
            broken += 1;
            continue;
        };
        whole += 1;
        for name in ["notes__read_note", "notes__write_note", "notes__delete_note"] {
            assert_eq!(call(&set, &stranger, name, r#"{"folder":"public"}"#).effect(), Effect::Deny, "{}", files[0].1);
        }
    }
    assert!(broken > 100 && whole > 100, "{broken} {whole}");
}
