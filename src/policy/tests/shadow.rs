//! Rules that are tried and decide nothing.

use super::*;
use crate::vocab::Reason;

const HEAD: &str = "version: 1\ntools: [{ match: ['x__read*'], class: read }]\n";

fn rules(lines: &[&str]) -> String {
    let mut text = format!("{HEAD}rules:\n");
    lines.iter().for_each(|line| text.push_str(&format!("- {{ {line} }}\n")));
    text
}

const ALLOW: &str = "id: allow, effect: allow, principals: [any], tools: ['x__read']";
const ALLOW_B: &str = "id: allow-b, effect: allow, principals: [any], tools: ['x__read_b'], mode: shadow, require: { limit: [{ calls: 1, per: 1h, by: [] }], scope: other }";
const DENY: &str = "id: deny, effect: deny, tools: ['x__read'], arguments: { /path: { glob: '/etc*' } }, mode: shadow";
const HIDE: &str = "id: hide, effect: deny, tools: ['x__*'], mode: shadow";
const MAY_ASK: &str = "id: ask, effect: allow, principals: [any], capabilities: ['x:sampling'], mode: shadow";

#[test]
fn what_shadow_rules_would_have_decided() {
    use Reason::{Allowed, Indeterminate, NotVisible, RuleDenied, ScopeRequired};
    let of = |decision: &Decision| {
        let shadow = decision.shadow().map(|s| (s.reason, s.rules.iter().map(|r| r.to_string()).collect::<Vec<_>>()));
        (decision.reason(), shadow)
    };
    let tried = |reason, rules: &[&str]| Some((reason, rules.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>()));
    for (lines, name, arguments, reason, shadow) in [
        (&[ALLOW][..], "x__read", "{}", Allowed, None),
        (&[ALLOW, DENY], "x__read", "{}", Allowed, None),
        (&[ALLOW, DENY], "x__read", r#"{"path":"/srv"}"#, Allowed, None),
        (&[ALLOW, DENY], "x__read", r#"{"path":"/etc/x"}"#, Allowed, tried(RuleDenied, &["deny"])),
        // A shadow rule that cannot be evaluated speaks too.
        (&[ALLOW, DENY], "x__read", r#"{"path":"/srv","Path":1}"#, Allowed, tried(Indeterminate, &["deny"])),
        (&[ALLOW, HIDE], "x__read", "{}", Allowed, tried(NotVisible, &["hide"])),
        (&[ALLOW, ALLOW_B], "x__read_b", "{}", NotVisible, tried(ScopeRequired, &["allow-b"])),
        (&[ALLOW, ALLOW_B], "x__read", "{}", Allowed, None),
        // It is recorded even where it would have changed nothing.
        (
            &[ALLOW, "id: again, effect: allow, principals: [any], tools: ['x__*'], mode: shadow"],
            "x__read",
            "{}",
            Allowed,
            tried(Allowed, &["again", "allow"]),
        ),
        (&[ALLOW, "id: others, effect: deny, principals: ['sub:bob'], mode: shadow"], "x__read", "{}", Allowed, None),
    ] {
        let decision = call(&set(&rules(lines)), &alice(&[]), name, arguments);
        assert_eq!(of(&decision), (reason, shadow), "{lines:?} {name} {arguments}");
        assert!(decision.obligations().is_empty() && decision.scopes_missing().is_empty());
    }
}

#[test]
fn shadow_rules_change_neither_visibility_nor_capabilities_nor_a_name_that_leads_nowhere() {
    let (plain, shadowed) = (set(&rules(&[ALLOW])), set(&rules(&[ALLOW, ALLOW_B, HIDE, MAY_ASK])));
    let who = alice(&[]);
    for name in ["x__read", "x__read_b"] {
        let kind = Kind::Tool { name, class: Class::Read, arguments: None };
        assert_eq!(visible(&plain, &who, &kind, NOW), visible(&shadowed, &who, &kind, NOW), "{name}");
    }
    assert_eq!(shadowed.capabilities(&who, "x", NOW), plain.capabilities(&who, "x", NOW));
    assert_eq!(shadowed.rule_count(), 4);
    let kind = Kind::Tool { name: "x__read", class: Class::Read, arguments: None };
    let unknown = decide(&shadowed, &who, &Asked { kind, known: false, now_unix_ms: 1, route: "/mcp" });
    assert_eq!((unknown.reason(), unknown.shadow()), (Reason::UnknownName, None));
}

#[test]
fn the_rule_beats_the_file_and_the_digest_knows() {
    let enforced = set(&rules(&[ALLOW, "id: d, effect: deny, tools: ['x__read']"]));
    let by_file = |mode: &str, deny: &str| {
        let deny = format!("{HEAD}mode: {mode}\nrules: [{{ id: d, effect: deny, tools: ['x__read']{deny} }}]\n")
            .replace("tools: [{ match: ['x__read*'], class: read }]\n", "");
        let files = [("a.yaml".to_owned(), rules(&[ALLOW])), ("b.yaml".to_owned(), deny)];
        compile(&files, &Facts { upstreams: &[], issuers: &[] }).unwrap_or_else(|p| panic!("{p:#?}"))
    };
    let reason = |set: &PolicySet| call(set, &alice(&[]), "x__read", "{}").reason();
    for (mode, deny, shadow) in
        [("shadow", "", true), ("shadow", ", mode: enforce", false), ("enforce", ", mode: shadow", true), ("enforce", "", false)]
    {
        let set = by_file(mode, deny);
        assert_eq!(reason(&set) == Reason::Allowed, shadow, "{mode} {deny}");
        assert_eq!(set.digest() == enforced.digest(), !shadow, "{mode} {deny}");
    }
}

#[test]
fn the_whole_set_decides_as_if_all_were_enforced() {
    let lines = [ALLOW, DENY, HIDE, ALLOW_B];
    let shadowed = set(&rules(&lines));
    let enforced = set(&rules(&lines).replace(", mode: shadow", ""));
    for name in ["x__read", "x__read_b", "x__other"] {
        for arguments in ["{}", r#"{"path":"/etc/x"}"#, r#"{"path":"/srv"}"#] {
            let real = call(&enforced, &alice(&[]), name, arguments);
            let tried = call(&shadowed, &alice(&[]), name, arguments);
            let shadow = tried.shadow().unwrap();
            assert_eq!((shadow.reason, &*shadow.rules), (real.reason(), real.rules()), "{name} {arguments}");
        }
    }
}
