//! Findings about rules and what they ask for.

use super::*;

#[test]
fn rules_that_can_never_match() {
    let rule = |rest: &str| format!("  - {{ id: r, {ALLOW}, {rest} }}");
    for (rest, expected) in [
        // classes
        ("tools: [files__read_file]", &[][..]),
        ("tools: ['files__*']", &[]),
        ("tools: ['*']", &[]),
        ("tools: [files__stat]", &["dead_rule r"]),
        ("tools: ['git__push_*']", &["dead_rule r"]),
        ("tools: [files__stat], classes: [destructive]", &[]),
        ("tools: [files__write_file]", &["dead_rule r"]),
        ("tools: ['files__write_*']", &["dead_rule r"]),
        ("tools: ['files__write_*'], classes: [write]", &[]),
        ("tools: [files__read_file], classes: [write]", &[]),
        ("tools: [files__read_file, files__write_file]", &["dead_entry r"]),
        ("tools: [files__delete_file], classes: [read, write]", &["dead_rule r"]),
        // resources and prompts
        ("resources: ['files__*']", &[]),
        ("resources: ['files__*'], classes: [write]", &["dead_rule r"]),
        ("prompts: ['files__*'], classes: [destructive]", &["dead_rule r"]),
        ("resources: ['files__*'], arguments: { /a: { equals: 1 } }", &["dead_rule r"]),
        ("resources: ['files__*'], tools: [files__read_file], arguments: { /a: { equals: 1 } }", &["slip -"]),
        ("prompts: ['files__*'], arguments: { /a: { equals: 1 } }", &[]),
        // names
        ("tools: ['files__read file', files__read_file]", &["dead_entry r"]),
        ("prompts: ['files__a/b']", &["dead_rule r"]),
        ("resources: ['files__a/b c']", &[]),
        // arguments
        ("tools: [files__read_file], arguments: { /a: { equals: x, one_of: [y, z] } }", &["dead_rule r"]),
        ("tools: [files__read_file], arguments: { /a: { equals: x, one_of: [x, z] } }", &[]),
        ("tools: [files__read_file], arguments: { /a: { equals: /etc, path_under: /srv } }", &["dead_rule r"]),
        ("tools: [files__read_file], arguments: { /a: { one_of: [/etc, /srv/x], path_under: /srv } }", &[]),
        ("tools: [files__read_file], arguments: { /a: { min: 10, max: 1e1 } }", &[]),
        ("tools: [files__read_file], arguments: { /a: { min: 1, glob: '*' } }", &["dead_rule r"]),
        ("tools: [files__read_file], arguments: { '/**': { min: 1, glob: '*' } }", &[]),
        ("tools: [files__read_file], arguments: { /a: { equals: 3, max: 2 } }", &["dead_rule r"]),
        ("resources: ['files__*'], arguments: { /a: { absent: true } }", &[]),
    ] {
        assert_eq!(about(&rule(rest)), expected, "{rest}");
    }
    let deny = "  - { id: r, effect: deny, tools: ['files__*'], arguments: { /a: { equals: x, glob: 'y*' } } }";
    assert_eq!(about(deny), ["dead_rule r"]);
    assert_eq!(about("  - { id: r, effect: deny, tools: [files__stat] }"), [""; 0]);
    assert_eq!(about("  - { id: r, effect: deny, tools: [files__stat], classes: [read] }"), ["dead_rule r"]);
}

#[test]
fn principals_that_nobody_can_be() {
    let keys = [key("ci", &["ops"])];
    let rule = |who: &str| format!("{HEAD}  - {{ id: r, effect: allow, principals: [{who}], tools: [files__read_file] }}\n");
    let issuers = &["https://a.example"][..];
    for (who, issuers, anonymous, expected) in [
        ("any", issuers, false, None),
        ("sub:anonymous", issuers, true, None),
        ("sub:anonymous", issuers, false, Some("dead_rule")),
        ("sub:anonymous, any", issuers, false, Some("dead_entry")),
        ("'sub:key:ci'", issuers, false, None),
        ("'sub:key:c*'", issuers, false, None),
        ("'sub:key:cd'", issuers, false, Some("dead_rule")),
        ("'sub:portcullis:keys#key:cd'", issuers, false, Some("dead_rule")),
        ("sub:alice", issuers, false, None),
        ("sub:alice", &[], false, Some("dead_rule")),
        ("'group:ops'", &[], false, None),
        ("'group:eng'", &[], false, Some("dead_rule")),
        ("'client:x'", &[], false, Some("dead_rule")),
        ("'scope:x'", issuers, false, None),
    ] {
        let known = Known { anonymous, keys: &keys, ..Known::default() };
        let found = findings_of(&rule(who), issuers, &known);
        let kinds: Vec<&str> = found.iter().map(|finding| finding.kind).filter(|kind| *kind != "unused_group").collect();
        assert_eq!(kinds, expected.into_iter().collect::<Vec<_>>(), "{who} {found:#?}");
    }
}

#[test]
fn rules_that_another_one_makes_pointless() {
    const READ: &str = "  - { id: a, effect: allow, principals: ['group:eng'], tools: ['files__*'] }\n";
    const DENY: &str = "  - { id: d, effect: deny, tools: ['files__*'] }\n";
    let with = |first: &str, second: &str| format!("{first}  - {{ id: r, {second} }}");
    for (first, second, expected) in [
        // an allow that a deny covers
        (DENY, "effect: allow, principals: [any], tools: [files__read_file]", &["shadowed_rule r"][..]),
        (DENY, "effect: allow, principals: [any], tools: [files__read_file, git__read_log]", &[]),
        ("  - { id: d, effect: deny }\n", "effect: allow, principals: [any], resources: ['files__*']", &["shadowed_rule r"]),
        (
            "  - { id: d, effect: deny }\n",
            "effect: allow, principals: [any], capabilities: ['files:roots']",
            &["shadowed_rule r"],
        ),
        (DENY, "effect: allow, principals: [any], resources: ['files__*']", &[]),
        (
            "  - { id: d, effect: deny, principals: ['group:core'], tools: ['files__*'] }\n",
            "effect: allow, principals: ['group:eng'], tools: [files__read_file]",
            &[],
        ),
        (
            "  - { id: d, effect: deny, principals: ['group:eng'], tools: ['files__*'] }\n",
            "effect: allow, principals: ['group:core'], tools: [files__read_file]",
            &["shadowed_rule r"],
        ),
        (
            "  - { id: d, effect: deny, tools: ['files__*'], classes: [write] }\n",
            "effect: allow, principals: [any], tools: [files__read_file]",
            &[],
        ),
        (
            "  - { id: d, effect: deny, tools: ['files__*'], arguments: { /p: { path_under: /etc } } }\n",
            "effect: allow, principals: [any], tools: [files__read_file], arguments: { /p: { path_under: /etc/ssh } }",
            &["shadowed_rule r"],
        ),
        (
            "  - { id: d, effect: deny, tools: ['files__*'], arguments: { /p: { path_under: /etc } } }\n",
            "effect: allow, principals: [any], tools: [files__read_file], arguments: { /p: { path_under: /srv } }",
            &[],
        ),
        (DENY, "effect: deny, tools: [files__read_file]", &["redundant_rule r"]),
        (DENY, "effect: deny, tools: ['*']", &["redundant_rule d"]),
        // an allow that adds nothing
        (READ, "effect: allow, principals: ['group:core'], tools: [files__read_file]", &["redundant_rule r"]),
        (READ, "effect: allow, principals: ['group:ops'], tools: [files__read_file]", &[]),
        (READ, "effect: allow, principals: ['group:eng'], tools: ['files__*'], classes: [write]", &[]),
        (
            READ,
            "effect: allow, principals: ['group:eng'], tools: [files__read_file], arguments: { /a: { equals: 1 } }",
            &["redundant_rule r"],
        ),
        (
            "  - { id: a, effect: allow, principals: ['group:eng'], tools: ['files__*'], arguments: { /a: { equals: 1 } } }\n",
            "effect: allow, principals: ['group:eng'], tools: [files__read_file]",
            &[],
        ),
        // duplicates
        (READ, "effect: allow, principals: ['group:eng'], tools: ['files__*'], classes: [read]", &["duplicate_rule r"]),
        (READ, "effect: deny, principals: ['group:eng'], tools: ['files__*'], classes: [read]", &["shadowed_rule a"]),
    ] {
        assert_eq!(about(&with(first, second)), expected, "{first}{second}");
    }
}

#[test]
fn obligations_join() {
    const LIMITED: &str = "require: { limit: [{ calls: 1, per: 1m, by: [] }] }";
    let pair = |a: &str, b: &str| format!("  - {{ id: a, effect: allow, {a} }}\n  - {{ id: b, effect: allow, {b} }}");
    let wide = format!("principals: ['group:eng'], tools: ['files__*'], {LIMITED}");
    let narrow = format!("principals: ['group:eng'], tools: [files__read_file], {LIMITED}");
    for (a, b, expected) in [
        (wide.as_str(), "principals: ['group:core'], tools: [files__read_file]", &["overlap b"][..]),
        (&wide, "principals: ['group:core'], tools: [files__read_file, git__read_log]", &["overlap b"]),
        (&wide, "principals: ['group:ops'], tools: [files__read_file]", &[]),
        (&wide, "principals: ['group:core'], tools: [git__read_log]", &[]),
        (&wide, "principals: ['group:core'], tools: ['files__write_*'], classes: [write]", &[]),
        (&narrow, "principals: ['group:eng'], tools: ['files__*']", &["overlap b"]),
    ] {
        assert_eq!(about(&pair(a, b)), expected, "{a}\n{b}");
    }
    let apart = pair(
        &format!("principals: [any], tools: [files__read_file], arguments: {{ /d: {{ equals: x }} }}, {LIMITED}"),
        "principals: [any], tools: [files__read_file], arguments: { /d: { one_of: [y, z] } }",
    );
    assert_eq!(about(&apart), [""; 0]);
    // What works as written is a note; what looks like an exception and is none is a warning.
    let severity = |text: &str| {
        findings_of(&format!("{HEAD}{text}\n"), &["i"], &Known::default())
            .iter()
            .find(|f| f.kind == "overlap")
            .map(|f| f.severity)
    };
    assert_eq!(severity(&pair(&narrow, "principals: ['group:eng'], tools: ['files__*']")), Some(Severity::Note));
    assert_eq!(severity(&pair(&wide, "principals: ['group:eng'], tools: [files__read_file]")), Some(Severity::Warning));
}

#[test]
fn rules_that_allow_everybody_everything() {
    let rule = |rest: &str| format!("  - {{ id: r, effect: allow, {rest} }}");
    for (rest, expected) in [
        ("principals: [any], tools: ['*'], classes: [read, write]", &["allow_all r"][..]),
        ("principals: [any], tools: ['files__*'], classes: [destructive]", &["allow_all r"]),
        ("principals: ['sub:*'], tools: ['files__*'], classes: [destructive]", &["allow_all r"]),
        ("principals: [any], tools: ['files__*']", &[]),
        ("principals: [any], tools: ['files__write_*'], classes: [write]", &[]),
        ("principals: ['group:eng'], tools: ['*'], classes: [write]", &[]),
        ("principals: [any], tools: ['*'], classes: [write], require: { scope: s }", &[]),
        ("principals: [any], tools: ['*'], classes: [write], arguments: { /a: { equals: 1 } }", &[]),
        (
            "principals: [any], tools: ['*'], classes: [write], require: { limit: [{ calls: 1, per: 1m, by: [] }] }",
            &["allow_all r"],
        ),
    ] {
        assert_eq!(about(&rule(rest)), expected, "{rest}");
    }
}

#[test]
fn limits_that_are_never_hit() {
    let rule = |limits: &str| format!("  - {{ id: r, {ALLOW}, tools: [files__read_file], require: {{ limit: [{limits}] }} }}");
    for (limits, idle) in [
        ("{ calls: 10, per: 1h, by: [principal] }, { calls: 10, per: 1m, by: [principal] }", true),
        ("{ calls: 10, per: 1h, by: [] }, { calls: 20, per: 1m, by: [principal] }", true),
        ("{ calls: 10, per: 1h, by: [principal] }, { calls: 20, per: 1m, by: [] }", false),
        ("{ calls: 100, per: 1h, by: [principal] }, { calls: 10, per: 1m, by: [principal] }", false),
        ("{ concurrent: 2, by: [] }, { concurrent: 3, by: [tool] }", true),
        ("{ concurrent: 3, by: [] }, { concurrent: 2, by: [tool] }", false),
        ("{ concurrent: 1, by: [] }, { calls: 3, per: 1m, by: [] }", false),
        ("{ bytes: 1MiB, per: 1h, by: [] }, { bytes: 2MiB, per: 1m, by: [principal] }", true),
        ("{ bytes: 1MiB, per: 1m, by: [] }, { response_tokens: 2000000, per: 1m, by: [] }", false),
    ] {
        let expected: &[&str] = if idle { &["idle_limit r"] } else { &[] };
        assert_eq!(about(&rule(limits)), expected, "{limits}");
    }
}

#[test]
fn approvals_that_nobody_can_give() {
    let rule = |who: &str, approval: &str| {
        format!(
            "  - {{ id: r, effect: allow, principals: [{who}], tools: [files__read_file], require: {{ approval: {{ {approval} }} }} }}"
        )
    };
    for (who, approval, dead) in [
        ("'group:eng'", "from: ['group:ops'], quorum: 3", false),
        ("'group:eng'", "from: [caller]", false),
        ("'group:eng'", "from: ['sub:bob', 'sub:carol'], quorum: 2", false),
        ("'group:eng'", "from: ['sub:bob', 'sub:carol'], quorum: 3", true),
        ("'group:eng'", "from: ['sub:bob', 'group:ops'], quorum: 3", false),
        ("'sub:bob'", "from: ['sub:bob']", true),
        ("'sub:bob'", "from: ['sub:bob'], requester: true", false),
        ("'sub:bob', 'sub:carol'", "from: ['sub:bob']", false),
        ("'group:eng'", "from: ['sub:key:gone']", true),
        ("'group:eng'", "from: ['sub:key:gone', 'sub:bob']", false),
    ] {
        let found = about(&rule(who, approval));
        assert_eq!(found.iter().any(|found| found == "unreachable_approval r"), dead, "{who} {approval}: {found:?}");
    }
}

#[test]
fn rules_that_are_only_tried_make_nothing_pointless() {
    let pair = |mode: &str| {
        format!("  - {{ id: d, effect: deny, tools: ['files__*']{mode} }}\n  - {{ id: r, {ALLOW}, tools: [files__read_file] }}")
    };
    assert_eq!(about(&pair("")), ["shadowed_rule r"]);
    assert_eq!(about(&pair(", mode: shadow")), [""; 0]);
    let open = "  - { id: r, effect: allow, principals: [any], tools: ['*'], classes: [write], mode: shadow }";
    assert_eq!(about(open), ["shadow_only r"]);
}
