//! What tools say of a policy, by hand: coverage, conditions in words, principals.

use super::*;
use crate::policy::cases::{gather, principal, run_covered};

fn asked<'a>(set: &PolicySet, name: &'a str, arguments: &'a RawJson, hints: Hints) -> Asked<'a> {
    Asked {
        kind: Kind::Tool { name, class: set.class_of(name, hints), arguments: Some(arguments) },
        known: true,
        now_unix_ms: NOW.now_unix_ms,
        route: NOW.route,
    }
}

const BASE: &str = "version: 1
groups: { eng: { claim: groups, any_of: [eng] }, bots: { client_id: ['https://ci.example.com/*'] } }
tools:
- { match: ['*__read_*'], class: read }
- { match: [files__write], class: write }
rules:
- { id: eng-reads, effect: allow, principals: ['group:eng'], tools: ['files__*'] }
- { id: eng-writes, effect: allow, principals: ['group:eng'], tools: [files__write], classes: [write], arguments: { /path: { path_under: [/srv] } } }
";

#[test]
fn coverage_names_what_no_case_tried() {
    let set = set(BASE);
    let mut coverage = Coverage::default();
    let cases = "- { as: { sub: x, groups: [eng] }, call: files__read_x, expect: allow }\n\
                 - { as: { sub: x, groups: [eng] }, call: files__write, args: { path: /srv/a }, expect: allow }\n";
    run_covered(&set, "x", cases, &CatalogFacts::default(), NOW.now_unix_ms, &mut coverage).unwrap();
    let report = coverage.report(&set);
    let gaps: Vec<(&str, &str, &str)> = report.gaps.iter().map(|gap| (&*gap.rule, &*gap.key, &*gap.never)).collect();
    // The write missed `eng-reads`, which is about reading.
    assert_eq!(gaps, [("eng-writes", "", "missed an operation that it names"), ("eng-writes", "arguments /path", "failed"),]);
    assert_eq!((report.goals, report.met, report.percent()), (8, 6, 75));
    // No case can ask for a capability.
    let asks = "- { id: eng-asks, effect: allow, principals: [\"group:eng\"], capabilities: [\"files:roots\"] }\n";
    assert_eq!(coverage.report(&self::set(&format!("{BASE}{asks}"))).goals, 8);
    let more = "- { as: { sub: x, groups: [eng] }, call: files__write, args: { path: /etc }, expect: deny }\n";
    run_covered(&set, "x", more, &CatalogFacts::default(), NOW.now_unix_ms, &mut coverage).unwrap();
    assert_eq!(coverage.report(&set).percent(), 100);
}

#[test]
fn conditions_are_told_in_words() {
    let set = set(BASE);
    let why = |groups: &[&str], args: &str, rule: &str, key: &str| {
        let (who, arguments) = (alice(groups), raw(args));
        let told = explain(&set, &who, &asked(&set, "files__write", &arguments, Hints::default()));
        let rule = told.rules.iter().find(|account| &*account.id == rule).unwrap();
        rule.conditions.iter().find(|condition| condition.key == key).unwrap().why.clone()
    };
    for (groups, args, key, expect) in [
        (&["eng"][..], r#"{"path":"/etc/passwd"}"#, "arguments[\"/path\"]", "/path is /etc/passwd, which is not under /srv"),
        (&["eng"], r#"{"path":"/srv/a b"}"#, "arguments[\"/path\"]", "/path is \"/srv/a b\", which is under /srv"),
        (&["eng"], "{}", "arguments[\"/path\"]", "/path selects nothing"),
        (&["eng"], r#"{"path":7}"#, "arguments[\"/path\"]", "/path is 7, which cannot be told to be one that is under /srv"),
        (&["ops"], "{}", "principals", "alice is not group:eng (claim groups holds ops, not eng)"),
        (&[], "{}", "principals", "alice is not group:eng (claim groups is missing or empty, not eng)"),
        (&["eng"], "{}", "classes", "files__write is write"),
    ] {
        assert_eq!(why(groups, args, "eng-writes", key), expect, "{args}");
    }
    assert_eq!(why(&["eng"], "{}", "eng-reads", "classes"), "files__write is write; the rule is about read");
}

#[test]
fn principals_are_read_as_cases_have_them() {
    let set = set(BASE);
    let who = principal(&set, "--as", "sub=alice,groups=eng,groups=sre,scopes=a,client_id=c").unwrap();
    assert_eq!((&*who.sub, who.claim_strings("groups").collect::<Vec<_>>()), ("alice", vec!["eng", "sre"]));
    assert!(who.has_scope("a") && who.client_id.as_deref() == Some("c"));
    let who = principal(&set, "--as", r#"{"sub":"alice","claims":{"oncall":true}}"#).unwrap();
    assert_eq!(who.claims["oncall"], true);
    assert!(principal(&set, "--as", "anonymous").unwrap().anonymous);
    for wrong in ["groups=eng", "sub=a,sub=b", "sub=a,team=x", "alice", "", "{"] {
        let problems = principal(&set, "--as", wrong).unwrap_err();
        assert!(!problems.is_empty() && problems.iter().all(|problem| problem.file == "--as"), "{wrong}");
    }
    let cast = gather(&set, "x", "- { as: { sub: x }, read: 'docs+file:///a', expect: deny }\n").unwrap();
    assert!(cast.resources.contains("docs__file:///a") && cast.people.len() == 1);
}

#[test]
fn the_schema_of_cases_names_the_keys_that_cases_may_have() {
    let schema = cases::schema();
    let keys = |pointer: &str| {
        let properties = schema.pointer(pointer).unwrap().as_object().unwrap();
        let mut keys: Vec<String> = properties.keys().cloned().collect();
        keys.sort_unstable();
        keys
    };
    let sorted = |keys: &[&str]| {
        let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys("/items/properties"), sorted(cases::CASE_KEYS));
    assert_eq!(keys("/items/properties/as/oneOf/1/properties"), sorted(cases::AS_KEYS));
}
