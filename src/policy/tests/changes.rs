//! Changes of a policy: each is found by comparing, and nothing more.

use super::*;

const BASE: &str = "version: 1
groups: { eng: { claim: groups, any_of: [eng] }, leads: { claim: groups, any_of: [leads] }, bots: { client_id: ['https://ci/*'] } }
tools:
- { match: ['files__read_*'], class: read }
- { match: [files__write, files__move], class: write }
rules:
- { id: reads, effect: allow, principals: ['group:eng'], tools: ['files__read_*'] }
- { id: writes, effect: allow, principals: ['group:eng'], tools: [files__write], classes: [write], arguments: { /path: { path_under: [/srv] } }, require: { approval: { from: ['group:leads'], quorum: 1, expires: 10m }, limit: [{ calls: 5, per: 1h, by: [principal] }], deadline: 30s, audit: [/path] } }
- { id: moves, effect: allow, principals: ['group:eng'], tools: [files__move], classes: [write], when: \"args.n < 5 && tool.class == 'write'\", schedule: { days: [mon, tue] } }
- { id: bots, effect: allow, principals: ['group:bots'], tools: [docs__ci], classes: [destructive], require: { scope: ci } }
- { id: ask, effect: allow, principals: ['group:eng'], capabilities: ['files:sampling'] }
- { id: night, effect: deny, capabilities: ['files:sampling'], schedule: { from: '22:00', to: '06:00' } }
";

/// Kind, person and name of each change.
type Expected = &'static [(ChangeKind, &'static str, &'static str)];

#[test]
fn each_seeded_change_is_found_and_nothing_more() {
    use ChangeKind::{
        BecomesConditional as Conditional, BecomesPossible as Possible, BecomesUnconditional as Unconditional,
        ConditionsChanged as Conditions, Stops,
    };
    let table: &[(&str, &str, Expected)] = &[
        // What means the same.
        ("id: reads", "id: readers", &[]),
        ("expires: 10m", "expires: 600s", &[]),
        ("args.n < 5", "args.n<5", &[]),
        ("days: [mon, tue]", "days: [tue, mon], zone: UTC", &[]),
        ("leads: { claim: groups, any_of: [leads] }", "leads: { any_of: [leads, leads], claim: groups }", &[]),
        ("'group:leads'", "'group:bosses'", &[]),
        // Obligations, one by one.
        ("quorum: 1", "quorum: 2", &[(Conditions, "group:eng", "files__write")]),
        ("expires: 10m", "expires: 11m", &[(Conditions, "group:eng", "files__write")]),
        ("expires: 10m", "requester: true, expires: 10m", &[(Conditions, "group:eng", "files__write")]),
        ("calls: 5", "calls: 6", &[(Conditions, "group:eng", "files__write")]),
        ("per: 1h", "per: 2h", &[(Conditions, "group:eng", "files__write")]),
        ("by: [principal]", "by: [principal, tool]", &[(Conditions, "group:eng", "files__write")]),
        ("deadline: 30s", "deadline: 31s", &[(Conditions, "group:eng", "files__write")]),
        ("audit: [/path]", "audit: [/path, /mode]", &[(Conditions, "group:eng", "files__write")]),
        ("audit: [/path]", "redact: [secrets], audit: [/path]", &[(Conditions, "group:eng", "files__write")]),
        ("scope: ci", "scope: [ci, cd]", &[(Conditions, "group:bots", "docs__ci")]),
        // Who may approve.
        ("any_of: [leads]", "any_of: [leads, chiefs]", &[(Conditions, "group:eng", "files__write")]),
        // Conditions and hours.
        ("args.n < 5", "args.n <= 5", &[(Conditions, "group:eng", "files__move")]),
        ("days: [mon, tue]", "days: [mon, wed]", &[(Conditions, "group:eng", "files__move")]),
        (", schedule: { days: [mon, tue] }", "", &[(Conditions, "group:eng", "files__move")]),
        ("from: '22:00'", "from: '21:00'", &[(Conditions, "group:eng", "files:sampling")]),
        (", schedule: { from: '22:00', to: '06:00' }", "", &[(Stops, "group:eng", "files:sampling")]),
        (
            "tools: ['files__read_*'] }",
            "tools: ['files__read_*'], schedule: { days: [mon] } }",
            &[(Conditional, "group:eng", "files__read_*")],
        ),
        (
            "tools: ['files__read_*'] }",
            "tools: ['files__read_*'], when: \"route == '/mcp'\" }",
            &[(Conditional, "group:eng", "files__read_*")],
        ),
        // Matchers.
        ("path_under: [/srv]", "path_under: [/srv], max_length: 80", &[(Conditions, "group:eng", "files__write")]),
        // Modes.
        ("tools: ['files__read_*'] }", "tools: ['files__read_*'], mode: shadow }", &[(Stops, "group:eng", "files__read_*")]),
        (
            "capabilities: ['files:sampling'] }\n- { id: night",
            "capabilities: ['files:sampling'], mode: shadow }\n- { id: night",
            &[(Stops, "group:eng", "files:sampling")],
        ),
        ("to: '06:00' } }", "to: '06:00' }, mode: shadow }", &[(Unconditional, "group:eng", "files:sampling")]),
        // Groups and classes.
        (
            "any_of: [eng]",
            "any_of: [eng, ops]",
            &[
                (Possible, "group:eng[ops]", "files__move"),
                (Possible, "group:eng[ops]", "files__read_*"),
                (Possible, "group:eng[ops]", "files__write"),
                (Possible, "group:eng[ops]", "files:sampling"),
            ],
        ),
        ("https://ci/*", "https://ci/main", &[(ChangeKind::BecomesHidden, "group:bots", "docs__ci")]),
        ("[files__write, files__move], class: write", "[files__write], class: write", &[(Stops, "group:eng", "files__move")]),
        ("'files__read_*'], class: read", "'files__read_*'], class: write", &[(Stops, "group:eng", "files__read_*")]),
    ];
    for (from, to, expect) in table {
        assert_eq!(BASE.matches(from).count().min(1), 1, "{from}");
        let mut text = BASE.replacen(from, to, 1);
        if *to == "'group:bosses'" {
            text = text.replace(", leads: {", ", bosses: {");
        }
        let (old, new) = (set(BASE), set(&text));
        let all = distinct(super::super::people(&old).into_iter().chain(super::super::people(&new)));
        let found = changes(&old, &new, &all, &things(&[&old, &new]), &HintsOf::new());
        let found: Vec<_> = found.iter().map(|change| (change.kind, &*change.person, &*change.thing.name)).collect();
        assert_eq!(found, *expect, "{from} -> {to}");
    }
}

const PLAIN: &str = "version: 1
groups: { eng: { claim: groups, any_of: [eng] }, bots: { client_id: ['https://ci.example.com/*'] } }
tools:
- { match: ['*__read_*'], class: read }
- { match: [files__write], class: write }
rules:
- { id: eng-reads, effect: allow, principals: ['group:eng'], tools: ['files__*'] }
- { id: eng-writes, effect: allow, principals: ['group:eng'], tools: [files__write], classes: [write], arguments: { /path: { path_under: [/srv] } } }
";

fn differences(new: &str) -> Vec<(ChangeKind, String, String)> {
    let (old, new) = (set(PLAIN), set(new));
    let all = distinct(super::super::people(&old).into_iter().chain(super::super::people(&new)));
    let found = changes(&old, &new, &all, &things(&[&old, &new]), &HintsOf::new());
    found.into_iter().map(|change| (change.kind, change.person, change.thing.name)).collect()
}

#[test]
fn a_seeded_change_is_shown_and_nothing_else() {
    let expect = |new: String, expect: &[(ChangeKind, &str, &str)]| {
        let expect: Vec<_> = expect.iter().map(|(kind, who, what)| (*kind, (*who).to_owned(), (*what).to_owned())).collect();
        assert_eq!(differences(&new), expect, "{new}");
    };
    expect(PLAIN.to_owned(), &[]);
    // Other names for the same rules.
    expect(PLAIN.replace("eng-reads", "staff"), &[]);
    // A rule in two is the same rule.
    expect(format!("{PLAIN}- {{ id: again, effect: allow, principals: ['group:eng'], tools: ['files__read_*'] }}\n"), &[]);
    expect(PLAIN.replace("[/srv]", "[/srv/public]"), &[(ChangeKind::ConditionsChanged, "group:eng", "files__write")]);
    expect(
        PLAIN.replace(", arguments: { /path: { path_under: [/srv] } }", ""),
        &[(ChangeKind::BecomesUnconditional, "group:eng", "files__write")],
    );
    expect(
        PLAIN.replace("[files__write], class: write", "[files__write], class: destructive"),
        &[(ChangeKind::Stops, "group:eng", "files__write")],
    );
    expect(
        format!("{PLAIN}- {{ id: no-secrets, effect: deny, tools: ['*__read_secret*'] }}\n"),
        &[(ChangeKind::Stops, "group:eng", "files__read_secret*")],
    );
    // Only somebody who is both is concerned.
    expect(
        format!("{PLAIN}- {{ id: no-bots, effect: deny, principals: ['group:bots'], tools: [files__write] }}\n"),
        &[(ChangeKind::Stops, "group:eng + group:bots", "files__write")],
    );
    expect(
        PLAIN.replace("any_of: [eng]", "any_of: [eng, ops]"),
        &[
            (ChangeKind::BecomesPossible, "group:eng[ops]", "files__read_*"),
            (ChangeKind::BecomesPossible, "group:eng[ops]", "files__write"),
        ],
    );
}
