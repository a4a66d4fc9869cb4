//! Tables of decisions.

use super::*;
use crate::vocab::Reason::{self, *};

const POLICY: &str = r#"
version: 1
groups:
  engineering: { claim: groups, any_of: [eng, platform] }
  support: { claim: groups, any_of: [support] }
  bots: { client_id: ["https://ci.example.com/*"], claim: groups, any_of: [bot] }
tools:
  - { match: ["files__read_*", "files__list_*", "github__get_*"], class: read }
  - { match: ["files__write_*"], class: write }
rules:
  - { id: engineers-read, effect: allow, principals: ["group:engineering"], tools: ["files__*", "github__*"] }
  - id: support-public
    effect: allow
    principals: ["group:support"]
    tools: ["files__read_file"]
    arguments: { /path: { path_under: [/srv/public] } }
  - id: engineers-write
    effect: allow
    principals: ["group:engineering"]
    tools: ["files__write_*"]
    classes: [write]
    require: { scope: files:write, limit: [{ calls: 10, per: 1h, by: [tool, principal] }, { concurrent: 2, by: [tool] }] }
  - { id: bots-read, effect: allow, principals: ["group:bots"], tools: ["files__read_file"], require: { limit: [{ concurrent: 1, by: [] }] } }
  - { id: no-keys-out, effect: deny, tools: ["*"], arguments: { "/**": { glob: "*AKIA*" } } }
  - { id: never-etc, effect: deny, tools: ["files__*"], arguments: { /path: { path_under: /etc } } }
  - { id: never-admin, effect: deny, tools: ["github__get_admin"] }
  - { id: read-docs, effect: allow, principals: [any], resources: ["docs__file:///srv/public/*"], prompts: ["docs__*"] }
  - { id: scoped, effect: allow, principals: ["scope:mcp:admin", "client:app-?"], tools: ["github__get_secret"] }
"#;

fn check(groups: &[&str], name: &str, arguments: &str, expect: Reason, rules: &[&str]) {
    let decision = call(&set(POLICY), &alice(groups), name, arguments);
    let got: Vec<&str> = decision.rules().iter().map(|id| &**id).collect();
    assert_eq!((decision.reason(), &*got), (expect, rules), "{groups:?} {name} {arguments}");
}

#[test]
fn calls() {
    check(&["eng"], "files__read_file", r#"{"path":"/srv/x"}"#, Allowed, &["engineers-read"]);
    check(&["platform"], "github__get_issue", r#"{"n":1}"#, Allowed, &["engineers-read"]);
    check(&["Eng"], "files__read_file", "{}", NotVisible, &[]);
    check(&[], "files__read_file", "{}", NotVisible, &[]);
    check(&["eng"], "other__read", "{}", NotVisible, &[]);
    check(&["eng"], "files__unclassified", "{}", NotVisible, &[]);
    check(&["support"], "files__read_file", r#"{"path":"/srv/public/a"}"#, Allowed, &["support-public"]);
    check(&["support"], "files__read_file", r#"{"path":"/srv/public/../etc/passwd"}"#, Indeterminate, &["never-etc"]);
    check(&["support"], "files__read_file", r#"{"path":"/srv/private"}"#, NoRule, &[]);
    check(&["support"], "files__read_file", "{}", NoRule, &[]);
    check(&["support"], "files__read_file", r#"{"path":7}"#, Indeterminate, &["never-etc"]);
    check(&["support"], "files__list_dir", "{}", NotVisible, &[]);
    check(&["eng", "support"], "files__read_file", r#"{"path":"/srv/public/a"}"#, Allowed, &["engineers-read", "support-public"]);
}

#[test]
fn a_path_that_leaves_its_directory_is_simply_not_allowed() {
    let set = set("version: 1\ngroups: { support: { claim: groups, any_of: [support] } }\n\
        tools: [{ match: [files__read_file], class: read }]\n\
        rules: [{ id: r, effect: allow, principals: ['group:support'], tools: [files__read_file],\n\
        \x20 arguments: { /path: { path_under: [/srv/public] } } }]\n");
    let who = alice(&["support"]);
    for (path, expect) in [("/srv/public/a", Allowed), ("/srv/public/../etc/passwd", NoRule), ("/srv/publicity", NoRule)] {
        let arguments = json!({ "path": path }).to_string();
        assert_eq!(call(&set, &who, "files__read_file", &arguments).reason(), expect, "{path}");
    }
    assert_eq!(call(&set, &who, "files__read_file", r#"{"path":["/srv/public/a"]}"#).reason(), Indeterminate);
}

#[test]
fn numbers_of_a_policy_keep_every_digit() {
    for (value, argument, expect) in [
        ("9007199254740993", "9007199254740993", Allowed),
        ("9007199254740993", "9007199254740992", NoRule),
        ("12345678901234567890123", "12345678901234567890123.0", Allowed),
        ("12345678901234567890123", "12345678901234567890124", NoRule),
        ("-0.10", "-1e-1", Allowed),
        ("0.1", "0.1000000000000000055", NoRule),
        ("'1'", "1", NoRule),
        ("no", "\"no\"", Allowed),
        ("false", "false", Allowed),
        ("null", "null", Allowed),
        ("[1, { a: 2 }]", "[1.0, {\"a\": 2}]", Allowed),
    ] {
        let set = set(&format!(
            "version: 1\nrules:\n- id: r\n  effect: allow\n  principals: [any]\n  tools: [x__y]\n  classes: [destructive]\n  \
             arguments: {{ /n: {{ equals: {value} }} }}\n"
        ));
        let got = call(&set, &alice(&[]), "x__y", &format!("{{\"n\": {argument}}}"));
        assert_eq!(got.reason(), expect, "{value} {argument}");
    }
}

#[test]
fn denies_win_and_doubt_counts_as_deny() {
    check(&["eng"], "files__read_file", r#"{"path":"/etc/passwd"}"#, RuleDenied, &["never-etc"]);
    check(&["eng"], "files__read_file", r#"{"path":"//etc/passwd"}"#, Indeterminate, &["never-etc"]);
    check(
        &["eng"],
        "files__read_file",
        r#"{"path":"/srv/x","Path":"/etc/passwd"}"#,
        Indeterminate,
        &["never-etc", "no-keys-out"],
    );
    check(&["eng"], "files__read_file", r#"{"path":"/a","n":[{"deep":"xAKIAx"}]}"#, RuleDenied, &["no-keys-out"]);
    check(&["eng"], "files__read_file", r#"{"path":"/a","n":[{"\u0041KIA":1}]}"#, RuleDenied, &["no-keys-out"]);
    check(&["eng"], "files__read_file", r#"{"path":"/a","n":[1,true,null]}"#, Allowed, &["engineers-read"]);
    // A deny without arguments hides the name altogether.
    check(&["eng"], "github__get_admin", "{}", NotVisible, &["never-admin"]);
}

#[test]
fn scopes_and_obligations() {
    let set = set(POLICY);
    let mut who = alice(&["eng"]);
    let decision = call(&set, &who, "files__write_file", r#"{"path":"/a"}"#);
    assert_eq!(decision.reason(), ScopeRequired);
    assert_eq!(decision.scopes_missing(), [Arc::from("files:write")]);
    assert!(visible(&set, &who, &Kind::Tool { name: "files__write_file", class: Class::Write, arguments: None }, NOW));
    // More scope is asked for before it is told that a rule denies, so that no mode can pass the one for the other.
    assert_eq!(call(&set, &who, "files__write_file", r#"{"path":"/etc/x"}"#).reason(), ScopeRequired);
    who.scopes.push("files:write".into());
    assert_eq!(call(&set, &who, "files__write_file", r#"{"path":"/etc/x"}"#).reason(), RuleDenied);
    let decision = call(&set, &who, "files__write_file", r#"{"path":"/a"}"#);
    assert_eq!((decision.reason(), decision.obligations()), (Allowed, vec!["limit"]));
    let limits: Vec<_> = decision.limits().iter().map(|limit| (limit.index, limit.quota, &*limit.by)).collect();
    let per = std::time::Duration::from_secs(3600);
    assert_eq!(
        limits,
        [(0, Quota::Calls { calls: 10, per }, &[By::Principal, By::Tool][..]), (1, Quota::Concurrent(2), &[By::Tool][..]),]
    );
    // Obligations of every matching allow join.
    let decision = call(&set, &alice(&["eng", "bot"]), "files__read_file", r#"{"path":"/a"}"#);
    assert_eq!((decision.reason(), decision.limits().len()), (Allowed, 1));
    // A principal `scope:` hides.
    check(&[], "github__get_secret", "{}", NotVisible, &[]);
    let mut who = alice(&[]);
    who.scopes.push("mcp:admin".into());
    assert_eq!(call(&set, &who, "github__get_secret", "{}").reason(), Allowed);
    let mut who = alice(&[]);
    who.client_id = Some(Arc::from("app-1"));
    assert_eq!(call(&set, &who, "github__get_secret", "{}").reason(), Allowed);
}

#[test]
fn resources_prompts_and_lists() {
    let set = set(POLICY);
    let nobody = Principal::anonymous();
    for (uri, expect) in [
        ("docs__file:///srv/public/a", Allowed),
        ("docs__file:///srv/private/a", NotVisible),
        ("docs__file:///srv/public/../private/a", UnknownName),
        ("docs__file:///srv/public/%252e%252e/a", UnknownName),
        ("docs__file:///srv/public/a\\b", UnknownName),
        ("files__file:///srv/public/a", NotVisible),
    ] {
        let asked = Asked { kind: Kind::Resource { uri }, known: true, now_unix_ms: NOW.now_unix_ms, route: NOW.route };
        assert_eq!(decide(&set, &nobody, &asked).reason(), expect, "{uri}");
    }
    let listed = |uri| visible(&set, &nobody, &Kind::Resource { uri }, NOW);
    assert!(listed("docs__file:///srv/public/a") && !listed("docs__file:///srv/public/../private/a"));
    let prompt = |name, known| {
        decide(
            &set,
            &nobody,
            &Asked { kind: Kind::Prompt { name, arguments: None }, known, now_unix_ms: NOW.now_unix_ms, route: NOW.route },
        )
        .reason()
    };
    assert_eq!(prompt("docs__intro", true), Allowed);
    assert_eq!(prompt("docs__intro", false), UnknownName);
    assert_eq!(prompt("files__intro", true), NotVisible);
    for (who, upstream, expect) in [
        (&nobody, "docs", Allowed),
        (&nobody, "files", NotVisible),
        (&alice(&["support"]), "files", Allowed),
        (&alice(&["support"]), "github", NotVisible),
        (&alice(&["eng"]), "github", Allowed),
        (&alice(&["eng"]), "githu", NotVisible),
    ] {
        assert_eq!(decide_list(&set, who, upstream, NOW).reason(), expect, "{who:?} {upstream}");
    }
    for (template, expect) in [
        ("docs__file:///srv/public/{name}", true),
        ("docs__file:///srv/{+path}", true),
        ("docs__{+uri}", true),
        ("docs__file://{+path}", true),
        ("docs__file:///srv/public/.{name}", true),
        ("docs__file:///srv/public/{name}{?a,b}", true),
        ("docs__file:///srv/public/../{name}", false),
        ("docs__file:///srv/public/{name}/../x", false),
        ("docs__file:///srv/public/%2e%2e/{name}", false),
        ("docs__file:///srv/public/{a/../b}", false),
        ("docs__file:///srv/public/{a/../b", false),
        ("docs__file:///etc/{name}", false),
        ("files__file:///srv/public/{name}", false),
    ] {
        assert_eq!(visible_template(&set, &nobody, template, NOW), expect, "{template}");
        assert_eq!(visible_template_for(&set, &set.subject(&nobody), &nobody, template, NOW), expect, "{template}");
    }
}

#[test]
fn what_no_arguments_could_allow_is_hidden() {
    for (allow, deny, expect) in [
        ("/a: { equals: x }", "/a: { equals: x }", false),
        ("/a: { equals: x }", "/a: { equals: y }", true),
        ("/a: { one_of: [x, y] }", "/a: { glob: '?' }", false),
        ("/a: { one_of: [x, yy] }", "/a: { glob: '?' }", true),
        ("/a: { equals: x }", "/**: { equals: x }", false),
        ("/a: { equals: x }", "/**: { equals: a }", false),
        ("/a: { equals: x }, /b: { equals: y }", "/a: { equals: x }, /b: { equals: y }", false),
        ("/a: { equals: x }, /b: { one_of: [y, z] }", "/a: { equals: x }, /b: { equals: y }", true),
        ("/a: { equals: x, glob: y }", "/c: { equals: 1 }", false),
        ("/a: { equals: 5 }", "/a: { glob: x }", false),
        ("/a: { glob: 'x*' }", "/a: { glob: '*' }", false),
        ("/a: { glob: 'x*' }", "/a: { glob: 'x*' }", false),
        ("/a: { glob: 'x*' }", "/a: { glob: 'xy*' }", true),
        ("/a: { path_under: /srv/public }", "/a: { path_under: /srv }", false),
        ("/a: { path_under: /srv }", "/a: { path_under: /srv/private }", true),
        ("/a/b: { equals: 1 }, /a/c: { equals: 2 }", "/a/*: { equals: 2.0 }", false),
    ] {
        let text = format!(
            "version: 1\nrules:\n- {{ id: a, effect: allow, principals: [any], tools: [x__y], classes: [read], arguments: {{ {allow} }} }}\n\
             - {{ id: d, effect: deny, arguments: {{ {deny} }} }}\n"
        );
        let kind = Kind::Tool { name: "x__y", class: Class::Read, arguments: None };
        assert_eq!(visible(&set(&text), &alice(&[]), &kind, NOW), expect, "allow {allow} deny {deny}");
    }
}

#[test]
fn nobody_matches_only_what_names_nobody() {
    let who = Principal::anonymous();
    for (principal, expect) in [
        ("any", Allowed),
        ("sub:anonymous", Allowed),
        ("sub:*", NotVisible),
        ("sub:anon*", NotVisible),
        ("group:g", NotVisible),
        ("client:*", NotVisible),
        ("scope:s", NotVisible),
    ] {
        let text = format!(
            "version: 1\ngroups: {{ g: {{ claim: groups, any_of: [g] }} }}\n\
             rules: [{{ id: r, effect: allow, principals: ['{principal}'], tools: ['*'], classes: [destructive] }}]\n"
        );
        let mut who = who.clone();
        who.scopes.push("s".into());
        who.client_id = Some(Arc::from("c"));
        who.claims.insert("groups".into(), json!(["g"]));
        assert_eq!(call(&set(&text), &who, "a__b", "{}").reason(), expect, "{principal}");
    }
}

#[test]
fn subjects_belong_to_their_issuers() {
    let issuers = ["https://a.example", "https://b.example"].map(str::to_owned);
    let text = "version: 1\ngroups: { g: { claim: groups, any_of: [g], issuer: ['https://a.example'] } }\nrules:\n\
        - { id: s, effect: allow, principals: ['sub:https://a.example#al*'], tools: [x__s], classes: [destructive] }\n\
        - { id: g, effect: allow, principals: ['group:g'], tools: [x__g], classes: [destructive] }\n\
        - { id: k, effect: allow, principals: ['sub:key:ci'], tools: [x__k], classes: [destructive] }\n";
    let files = [("p".to_owned(), text.to_owned())];
    let set = compile(&files, &Facts { upstreams: &[], issuers: &issuers }).unwrap();
    for (iss, sub, name, expect) in [
        ("https://a.example", "alice", "x__s", Allowed),
        ("https://b.example", "alice", "x__s", NotVisible),
        ("https://a.example", "bob", "x__s", NotVisible),
        ("https://a.example", "bob", "x__g", Allowed),
        ("https://b.example", "bob", "x__g", NotVisible),
        ("portcullis:keys", "key:ci", "x__k", Allowed),
        ("portcullis:keys", "key:cd", "x__k", NotVisible),
        ("https://a.example", "key:ci", "x__k", NotVisible),
    ] {
        let who = Principal { iss: Arc::from(iss), sub: Arc::from(sub), ..alice(&["g"]) };
        assert_eq!(call(&set, &who, name, "{}").reason(), expect, "{iss} {sub} {name}");
    }
}

#[test]
fn capabilities_are_off_unless_a_rule_gives_them() {
    let set = set("version: 1\ngroups: { eng: { claim: groups, any_of: [eng] } }\nrules:\n\
        - { id: a, effect: allow, principals: [any], capabilities: ['git*:elicitation.url'] }\n\
        - { id: b, effect: allow, principals: ['group:eng'], capabilities: ['*:sampling', '*:roots'] }\n\
        - { id: c, effect: deny, capabilities: ['files:roots'] }\n\
        - { id: d, effect: deny, principals: ['sub:mallory'] }\n\
        - { id: e, effect: deny, classes: [destructive] }\n\
        - { id: f, effect: deny, arguments: { /x: { equals: 1 } } }\n");
    let caps = |who: &Principal, upstream| {
        let Capabilities { elicitation_form, elicitation_url, sampling, roots } = set.capabilities(who, upstream, NOW);
        [elicitation_form, elicitation_url, sampling, roots]
    };
    assert_eq!(caps(&alice(&[]), "github"), [false, true, false, false]);
    assert_eq!(caps(&alice(&[]), "files"), [false, false, false, false]);
    assert_eq!(caps(&alice(&["eng"]), "github"), [false, true, true, true]);
    assert_eq!(caps(&alice(&["eng"]), "files"), [false, false, true, false]);
    let mallory = Principal { sub: Arc::from("mallory"), ..alice(&["eng"]) };
    assert_eq!(caps(&mallory, "github"), [false; 4]);
}

#[test]
fn a_subject_of_another_set_decides_nothing() {
    let everyone =
        set("version: 1\nrules: [{ id: r, effect: allow, principals: [any], tools: ['*'], classes: [destructive] }]\n");
    let none =
        set("version: 1\nrules: [{ id: r, effect: allow, principals: ['sub:bob'], tools: ['*'], classes: [destructive] }]\n");
    let who = alice(&[]);
    let asked = Asked {
        kind: Kind::Tool { name: "a__b", class: Class::Destructive, arguments: None },
        known: true,
        now_unix_ms: NOW.now_unix_ms,
        route: NOW.route,
    };
    assert_eq!(decide_for(&none, &everyone.subject(&who), &who, &asked).reason(), NotVisible);
    assert_eq!(decide_for(&everyone, &none.subject(&who), &who, &asked).reason(), Allowed);
}

#[test]
fn an_empty_set_refuses_everything() {
    let set = compile(&[], &Facts { upstreams: &[], issuers: &[] }).unwrap();
    let who = alice(&["eng"]);
    assert_eq!(call(&set, &who, "files__read_file", "{}").reason(), NotVisible);
    assert_eq!(decide_list(&set, &who, "files", NOW).reason(), NotVisible);
    assert_eq!(set.capabilities(&who, "files", NOW), Capabilities::default());
    assert_eq!(set.class_of("files__read_file", Hints::default()), Class::Destructive);
}
