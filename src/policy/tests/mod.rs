//! Tests of the whole: files in, decisions out.

mod changes;
mod decisions;
mod matchers;
mod order;
mod permits;
mod problems;
mod random;
mod require;
mod shadow;
mod sound;
mod tasks;
mod tools;
mod traversal;
mod when;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::cases::{CatalogFacts, run};
use super::*;
use crate::mcp::RawJson;
use crate::vocab::{Class, Principal, Reason};

/// A Saturday, 2026-11-21T14:00:00Z.
const NOW: Moment<'static> = Moment { now_unix_ms: 1_795_269_600_000, route: "/mcp" };

/// Compiles one file for one issuer and the upstreams the tests use.
fn set(text: &str) -> PolicySet {
    let upstreams = ["files", "github", "docs", "notes"].map(str::to_owned);
    let files = [("policy.yaml".to_owned(), text.to_owned())];
    compile(&files, &Facts { upstreams: &upstreams, issuers: &[] }).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

fn alice(groups: &[&str]) -> Principal {
    let claims = json!({ "groups": groups }).as_object().unwrap().clone();
    Principal {
        iss: Arc::from("https://idp.example"),
        sub: Arc::from("alice"),
        client_id: Some(Arc::from("https://ci.example.com/agent")),
        scopes: vec!["mcp:read".into()],
        claims,
        expires_at_s: None,
        key_id: None,
        anonymous: false,
    }
}

fn raw(text: &str) -> RawJson {
    RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap()
}

fn call(set: &PolicySet, who: &Principal, name: &str, arguments: &str) -> Decision {
    let arguments = raw(arguments);
    let class = set.class_of(name, Hints::default());
    let asked = Asked {
        kind: Kind::Tool { name, class, arguments: Some(&arguments) },
        known: true,
        now_unix_ms: NOW.now_unix_ms,
        route: NOW.route,
    };
    let decision = decide(set, who, &asked);
    let other = decide_for(set, &set.subject(who), who, &asked);
    assert_eq!((decision.reason(), decision.rules()), (other.reason(), other.rules()), "both ways of asking agree");
    decision
}

#[test]
fn the_demo_policy_keeps_its_promises() {
    let text = include_str!("../../../policies/demo/demo.yaml");
    let set = set(text);
    assert!(set.warnings().is_empty(), "{:?}", set.warnings());
    let cases = include_str!("../../../policies/demo/demo.cases.yaml");
    let outcomes =
        run(&set, "demo.cases.yaml", cases, &CatalogFacts::default(), NOW.now_unix_ms).unwrap_or_else(|p| panic!("{p:#?}"));
    assert!(outcomes.len() >= 20);
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.failure.is_some()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn broken_promises_are_told() {
    let set = set(include_str!("../../../policies/demo/demo.yaml"));
    let cases = "- { name: a, as: { sub: x }, call: notes__read_note, expect: allow }\n\
                 - { as: { sub: x, groups: [guests] }, list: tools, visible: [] }\n\
                 - { as: { sub: x, groups: [writers] }, call: notes__write_note, expect: allow, obligations: [] }\n\
                 - { as: { sub: x, groups: [writers] }, call: notes__write_note, expect: allow, rules: [other] }\n\
                 - { as: { sub: x }, call: notes__read_note, expect: deny, reason: no_rule }\n";
    let outcomes = run(&set, "x.cases.yaml", cases, &CatalogFacts::default(), NOW.now_unix_ms).unwrap();
    assert_eq!(outcomes.len(), 5);
    assert!(outcomes.iter().all(|outcome| outcome.failure.is_some()), "{outcomes:#?}");
    assert_eq!(outcomes[4].line, 5);
    let tools = [("notes__list_notes", Hints::default())];
    let catalog = CatalogFacts { tools: Some(&tools), ..CatalogFacts::default() };
    let cases = "- { as: { sub: x, groups: [readers] }, call: notes__read_note, expect: deny, reason: unknown_name }\n\
                 - { as: { sub: x, groups: [readers] }, list: tools, visible: [notes__list_notes] }\n";
    let outcomes = run(&set, "x.cases.yaml", cases, &catalog, NOW.now_unix_ms).unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.failure.is_none()), "{outcomes:#?}");
}

#[test]
fn mistakes_in_cases_are_errors() {
    let set = set("version: 1\n");
    for (text, path) in [
        ("- { as: { sub: x }, call: a__b, expcet: allow, expect: allow }", "[0].expcet"),
        ("- { as: { sub: x, group: [a] }, call: a__b, expect: allow }", "[0].as.group"),
        ("- { call: a__b, expect: allow }", "[0].as"),
        ("- { as: { sub: x }, expect: allow }", "[0]"),
        ("- { as: { sub: x }, call: a__b, read: 'a__b:c', expect: allow }", "[0]"),
        ("- { as: { sub: x }, call: a__b }", "[0].expect"),
        ("- { as: { sub: x }, call: a__b, expect: deny, reason: because }", "[0].reason"),
        ("- { as: { sub: x }, list: tools }", "[0].visible"),
        ("- { as: { sub: x }, list: tools, visible: [], expect: allow }", "[0].expect"),
        ("- { as: { groups: [a] }, call: a__b, expect: allow }", "[0].as.sub"),
        ("- { as: { sub: x }, at: 14:00, call: a__b, expect: allow }", "[0].at"),
        ("- { as: { sub: x }, at: 2026-11-21, call: a__b, expect: allow }", "[0].at"),
        ("- { as: { sub: x }, at: '1969-11-21T14:00:00Z', call: a__b, expect: allow }", "[0].at"),
        ("- { as: { sub: x }, route: mcp, call: a__b, expect: allow }", "[0].route"),
        ("cases: []", ""),
    ] {
        let problems = run(&set, "x.cases.yaml", text, &CatalogFacts::default(), NOW.now_unix_ms).unwrap_err();
        assert!(problems.iter().any(|problem| problem.path == path), "{text}: {problems:#?}");
    }
}

/// A case that could never hold is a mistake, and one that cannot hold yet says so.
#[test]
fn cases_expect_reasons_that_decisions_have() {
    let set = set("version: 1\n");
    let schema = cases::schema();
    let accepted = schema.pointer("/items/properties/reason/enum").unwrap().as_array().unwrap();
    let reasons = schemars::schema_for!(Reason).to_value();
    let reasons: Vec<&str> = reasons["enum"].as_array().unwrap().iter().filter_map(|word| word.as_str()).collect();
    assert_eq!(reasons.len(), 28);
    for word in reasons {
        let text = format!("- {{ as: {{ sub: x }}, call: a__b, expect: deny, reason: {word} }}");
        let problems = run(&set, "x.cases.yaml", &text, &CatalogFacts::default(), NOW.now_unix_ms).err();
        let said = problems.map(|problems| (problems[0].path.clone(), problems[0].message.clone(), problems[0].hint.clone()));
        match word {
            "unknown_name" | "not_visible" | "scope_required" | "rule_denied" | "indeterminate" | "no_rule" | "allowed" => {
                assert_eq!(said, None, "{word}");
                assert!(accepted.contains(&word.into()), "{word}");
                continue;
            }
            "quarantined" | "arguments_invalid" | "content_blocked" => {
                assert_eq!(said.unwrap().1, "not built yet: [0].reason", "{word}");
            }
            _ => {
                let (path, message, hint) = said.unwrap_or_else(|| panic!("{word} is accepted"));
                assert_eq!((&*path, &*message), ("[0].reason", "no decision has this reason"), "{word}");
                assert!(hint.contains("rule_denied, indeterminate, no_rule, allowed"), "{word}: {hint}");
            }
        }
        assert!(!accepted.contains(&word.into()), "{word}");
    }
}

#[test]
fn the_schema_names_the_keys_that_files_may_have() {
    let schema = schema();
    let keys = |pointer: &str| {
        let properties = schema.pointer(&format!("{pointer}/properties")).unwrap().as_object().unwrap();
        let mut keys: Vec<&str> = properties.keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    };
    let sorted = |keys: &[&'static str]| {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys
    };
    let rule = "/properties/rules/items";
    assert_eq!(keys(""), sorted(read::FILE_KEYS));
    assert_eq!(keys("/properties/groups/additionalProperties"), sorted(read::GROUP_KEYS));
    assert_eq!(keys("/properties/tools/items"), sorted(read::CLASS_KEYS));
    assert_eq!(keys(rule), sorted(read_rule::RULE_KEYS));
    assert_eq!(keys(&format!("{rule}/properties/require")), sorted(read_require::REQUIRE_KEYS));
    assert_eq!(keys(&format!("{rule}/properties/arguments/additionalProperties")), sorted(read_matchers::MATCHER_KEYS));
    assert_eq!(
        keys(&format!("{rule}/properties/arguments/additionalProperties/properties/url")),
        sorted(read_matchers::URL_KEYS)
    );
    assert_eq!(keys(&format!("{rule}/properties/require/properties/limit/items")), sorted(read_require::LIMIT_KEYS));
    assert_eq!(keys(&format!("{rule}/properties/require/properties/approval")), sorted(read_require::APPROVAL_KEYS));
}

#[test]
fn classes_are_the_operators_and_hints_only_raise_them() {
    let set = set("version: 1\ntools:\n- { match: [files__read_*], class: read }\n- { match: [files__*_raw], class: write }\n");
    let hints = |read_only, destructive| Hints { read_only, destructive };
    for (name, hints, expect) in [
        ("files__read_x", hints(None, None), Class::Read),
        ("files__read_x", hints(Some(true), Some(false)), Class::Read),
        ("files__read_x", hints(Some(false), None), Class::Write),
        ("files__read_x", hints(Some(false), Some(false)), Class::Write),
        ("files__read_x", hints(Some(true), Some(true)), Class::Destructive),
        ("files__read_x", hints(None, Some(true)), Class::Destructive),
        ("files__read_raw", hints(Some(true), None), Class::Write),
        ("files__other", hints(Some(true), Some(false)), Class::Destructive),
    ] {
        assert_eq!(set.class_of(name, hints), expect, "{name} {hints:?}");
    }
    assert!(set.is_classified("files__read_x") && !set.is_classified("files__other"));
}
