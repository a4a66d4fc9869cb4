//! Conditions and schedules of whole policies.

use super::*;
use crate::vocab::Reason::{self, Allowed, Indeterminate, NoRule, NotVisible, RuleDenied};

fn rules(lines: &[&str]) -> PolicySet {
    let tools = "version: 1\ntools: [{ match: ['files__*'], class: read }]\nrules:\n";
    set(&format!("{tools}{}", lines.iter().map(|line| format!("  - {{ {line} }}\n")).collect::<String>()))
}

const ALLOW: &str = "id: a, effect: allow, principals: [any], tools: ['files__*']";

fn ask(set: &PolicySet, arguments: &str, now_unix_ms: i64) -> Reason {
    let arguments = raw(arguments);
    let kind = Kind::Tool { name: "files__read", class: Class::Read, arguments: Some(&arguments) };
    decide(set, &alice(&["g"]), &Asked { kind, known: true, now_unix_ms, route: "/mcp" }).reason()
}

fn sees(set: &PolicySet, now_unix_ms: i64) -> bool {
    let (who, moment) = (alice(&["g"]), Moment { now_unix_ms, route: "/mcp" });
    let kind = Kind::Tool { name: "files__read", class: Class::Read, arguments: None };
    let shown = visible(set, &who, &kind, moment);
    assert_eq!(visible_for(set, &set.subject(&who), &who, &kind, moment), shown);
    shown
}

/// Milliseconds of an RFC 3339 time.
fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

#[test]
fn conditions_decide_and_doubt_refuses() {
    let allow = |when: &str| rules(&[&format!("{ALLOW}, when: \"{when}\"")]);
    let deny = |when: &str| rules(&[ALLOW, &format!("id: d, effect: deny, tools: ['files__*'], when: \"{when}\"")]);
    let both = |when: &str, more: &str| rules(&[&format!("{ALLOW}, when: \"{when}\", arguments: {more}")]);
    for (set, arguments, reason, shown) in [
        (allow("args.n < 5"), r#"{"n":4}"#, Allowed, true),
        (allow("args.n < 5"), r#"{"n":5}"#, NoRule, true),
        (allow("args.n < 5"), r#"{"n":"4"}"#, Indeterminate, true),
        (allow("args.n < 5"), "{}", Indeterminate, true),
        (allow("args.n < 5"), r#"{"n":4,"N":4}"#, Indeterminate, true),
        (allow("principal.sub == 'alice'"), "{}", Allowed, true),
        (allow("principal.sub == 'bob'"), "{}", NotVisible, false),
        (allow("principal.tenant == 'acme'"), "{}", NotVisible, false),
        (allow("route == '/mcp'"), "{}", Allowed, true),
        (allow("route == '/other'"), "{}", NotVisible, false),
        (allow("tool.name == 'files__read'"), "{}", Allowed, true),
        (allow("tool.name == 'files__write'"), "{}", NotVisible, false),
        (allow("args.n < 5 && principal.sub == 'bob'"), r#"{"n":4}"#, NoRule, true),
        (deny("args.n < 5"), r#"{"n":4}"#, RuleDenied, true),
        (deny("args.n < 5"), r#"{"n":5}"#, Allowed, true),
        (deny("args.n < 5"), "{}", Indeterminate, true),
        (deny("has(args.n) && args.n < 5"), "{}", Allowed, true),
        (deny("principal.sub == 'alice'"), "{}", NotVisible, false),
        (deny("principal.sub == 'bob'"), "{}", Allowed, true),
        (deny("principal.tenant == 'acme'"), "{}", NotVisible, false),
        (both("args.n < 5", "{ /p: { equals: x } }"), r#"{"n":4,"p":"x"}"#, Allowed, true),
        (both("args.n < 5", "{ /p: { equals: x } }"), r#"{"n":4,"p":"y"}"#, NoRule, true),
        (both("args.n < 5", "{ /p: { equals: x } }"), r#"{"p":"y"}"#, NoRule, true),
        (both("args.n < 5", "{ /p: { equals: x } }"), r#"{"p":"x"}"#, Indeterminate, true),
        (both("args.n < 5", "{ /p: { glob: x } }"), r#"{"n":7,"p":1}"#, NoRule, true),
    ] {
        assert_eq!(ask(&set, arguments, NOW.now_unix_ms), reason, "{arguments} {:?}", set.rules);
        assert_eq!(sees(&set, NOW.now_unix_ms), shown, "{:?}", set.rules);
    }
}

#[test]
fn keys_in_disguise_escape_no_condition() {
    let deny = |when: &str| rules(&[ALLOW, &format!("id: d, effect: deny, tools: ['files__*'], when: \"{when}\"")]);
    for (when, plain, disguised, other) in [
        ("has(args.force)", r#"{"force":1}"#, r#"{"Force":1}"#, r#"{"enforce":1}"#),
        ("'force' in args", r#"{"force":1}"#, r#"{"\u0000force":1}"#, r#"{"enforce":1}"#),
        ("args.exists(k, k == 'force')", r#"{"force":1}"#, r#"{"fOrce":1}"#, r#"{"Enforce":1}"#),
        ("args.exists(k, 'force' == k)", r#"{"force":1}"#, r#"{"force\u200b":1}"#, r#"{"Enforce":1}"#),
        ("args.exists(k, k in ['force', 'x'])", r#"{"x":1}"#, r#"{"X":1}"#, r#"{"Enforce":1}"#),
        ("args.o == {'force': true}", r#"{"o":{"force":true}}"#, r#"{"o":{"FORCE":true}}"#, r#"{"o":{"forced":true}}"#),
        ("has(args.file)", r#"{"file":1}"#, r#"{"fİle":1}"#, r#"{"fıles":1}"#),
        ("'straße' in args", r#"{"straße":1}"#, r#"{"STRAẞE":1}"#, r#"{"strase":1}"#),
    ] {
        let set = deny(when);
        let decided = |arguments| ask(&set, arguments, NOW.now_unix_ms);
        assert_eq!((decided(plain), decided(disguised), decided(other)), (RuleDenied, Indeterminate, Allowed), "{when}");
    }
}

/// What there were no steps left to look at may be there.
#[test]
fn what_is_not_looked_at_any_more_is_not_absent() {
    let many: Vec<String> = (0..200).map(|n| format!("{n}: x{n}")).collect();
    let names: Vec<String> = many.iter().map(|name| format!("{{ {name} }}")).collect();
    let costly = format!(
        "id: aa, effect: allow, principals: [any], tools: ['files__*'], arguments: {{ /repo: {{ one_of: [{}] }} }}",
        names.join(", ")
    );
    let set = rules(&[&costly, ALLOW, "id: z, effect: deny, tools: ['files__*'], when: \"has(args.force)\""]);
    let call =
        |size: usize, key: &str| ask(&set, &format!("{{\"repo\":\"{}\",\"{key}\":true}}", "A".repeat(size)), NOW.now_unix_ms);
    assert_eq!((call(9, "force"), call(9, "Force"), call(9, "other")), (RuleDenied, Indeterminate, Allowed));
    for key in ["force", "Force", "other"] {
        assert!(matches!(call(400_000, key), RuleDenied | Indeterminate), "{key}");
    }
}

#[test]
fn resources_prompts_lists_and_capabilities_heed_conditions() {
    let who = alice(&[]);
    let set = rules(&[
        "id: r, effect: allow, principals: [any], resources: ['files__file:///*'], when: \"tool.kind == 'resource' && size(args) == 0\"",
        "id: p, effect: allow, principals: [any], prompts: ['files__*'], when: \"tool.name.endsWith('__ask') && args.q == 'x'\"",
        "id: c, effect: allow, principals: [any], capabilities: ['files:roots'], schedule: { days: [sat] }",
        "id: s, effect: allow, principals: [any], tools: ['docs__*'], schedule: { days: [sat] }",
        "id: t, effect: allow, principals: [any], resources: ['notes__*'], when: \"args.x == 1\"",
        "id: d, effect: deny, schedule: { days: [sun] }",
    ]);
    let (saturday, sunday, monday) = (at("2026-11-21T12:00:00Z"), at("2026-11-22T12:00:00Z"), at("2026-11-23T12:00:00Z"));
    let decide_at = |kind: Kind<'_>, now_unix_ms| {
        let asked = Asked { kind, known: true, now_unix_ms, route: "/mcp" };
        decide(&set, &who, &asked).reason()
    };
    let resource = Kind::Resource { uri: "files__file:///a" };
    assert_eq!([saturday, sunday, monday].map(|now| decide_at(resource, now)), [Allowed, NotVisible, Allowed]);
    assert_eq!(
        decide_at(Kind::Resource { uri: "notes__note:a" }, monday),
        NotVisible,
        "a resource has no arguments to be true of"
    );
    let prompt = |arguments| {
        let arguments = raw(arguments);
        decide_at(Kind::Prompt { name: "files__ask", arguments: Some(&arguments) }, monday)
    };
    assert_eq!([prompt(r#"{"q":"x"}"#), prompt(r#"{"q":"y"}"#)], [Allowed, NoRule]);
    let moment = |now_unix_ms| Moment { now_unix_ms, route: "/mcp" };
    let listed = |upstream, now| decide_list(&set, &who, upstream, moment(now)).reason();
    assert_eq!([saturday, sunday, monday].map(|now| listed("docs", now)), [Allowed, NotVisible, NotVisible]);
    assert_eq!([saturday, sunday, monday].map(|now| listed("files", now)), [Allowed, NotVisible, Allowed]);
    let roots = |now| set.capabilities(&who, "files", moment(now)).roots;
    assert_eq!([saturday, sunday, monday].map(roots), [true, false, false]);
    let template = |now| visible_template(&set, &who, "files__file:///{path}", moment(now));
    assert_eq!([saturday, sunday, monday].map(template), [true, false, true]);
}

#[test]
fn schedules_follow_the_clock_on_the_wall() {
    let office = "{ days: [mon, tue, wed, thu, fri], from: '09:00', to: '18:00', zone: Europe/Berlin }";
    let night = "{ days: [fri], from: '22:00', to: '06:00', zone: Europe/Berlin }";
    let hour = "{ from: '02:00', to: '03:00', zone: Europe/Berlin }";
    let weekend = "[{ days: [sat] }, { days: [sun], from: '00:00', to: '12:00' }]";
    let midnight = "{ days: [mon], from: '10:00', to: '24:00' }";
    let round = "{ days: [mon], from: '10:00', to: '10:00' }";
    for (schedule, now, open) in [
        // Winter: UTC+1. The start counts, the end does not.
        (office, "2026-11-23T08:00:00Z", true),
        (office, "2026-11-23T07:59:59.999Z", false),
        (office, "2026-11-23T16:59:59.999Z", true),
        (office, "2026-11-23T17:00:00Z", false),
        (office, "2026-11-21T12:00:00Z", false),
        // Summer: UTC+2.
        (office, "2026-07-20T07:00:00Z", true),
        (office, "2026-07-20T16:00:00Z", false),
        // Days are those of the zone: this is Saturday 00:30 in Berlin, still the night of Friday.
        (night, "2026-11-20T23:30:00Z", true),
        (night, "2026-11-20T21:00:00Z", true),
        (night, "2026-11-20T20:59:00Z", false),
        (night, "2026-11-21T04:59:00Z", true),
        (night, "2026-11-21T05:00:00Z", false),
        // The night of Thursday is not that of Friday.
        (night, "2026-11-19T23:30:00Z", false),
        (night, "2026-11-21T21:30:00Z", false),
        // 2026-03-29: clocks go from 02:00 to 03:00, the hour never comes.
        (hour, "2026-03-29T00:59:59Z", false),
        (hour, "2026-03-29T01:00:00Z", false),
        (hour, "2026-03-28T01:30:00Z", true),
        (office, "2026-03-30T07:00:00Z", true),
        (office, "2026-03-30T06:59:00Z", false),
        // 2026-10-25: clocks go from 03:00 back to 02:00, the hour comes twice.
        (hour, "2026-10-25T00:30:00Z", true),
        (hour, "2026-10-25T01:30:00Z", true),
        (hour, "2026-10-25T02:00:00Z", false),
        (weekend, "2026-11-21T23:59:59Z", true),
        (weekend, "2026-11-22T11:59:59Z", true),
        (weekend, "2026-11-22T12:00:00Z", false),
        (weekend, "2026-11-20T23:59:59Z", false),
        (midnight, "2026-11-23T23:59:59Z", true),
        (midnight, "2026-11-24T00:00:00Z", false),
        (round, "2026-11-24T09:59:59Z", true),
        (round, "2026-11-24T10:00:00Z", false),
    ] {
        let allow = rules(&[&format!("{ALLOW}, schedule: {schedule}")]);
        let deny = rules(&[ALLOW, &format!("id: d, effect: deny, schedule: {schedule}")]);
        let now = at(now);
        assert_eq!(ask(&allow, "{}", now), if open { Allowed } else { NotVisible }, "{schedule} {now}");
        assert_eq!(ask(&deny, "{}", now), if open { NotVisible } else { Allowed }, "{schedule} {now}");
        assert_eq!((sees(&allow, now), sees(&deny, now)), (open, !open), "{schedule} {now}");
    }
}

#[test]
fn a_clock_that_cannot_be_read_opens_nothing() {
    for now in [0, -1, i64::MIN, i64::MAX] {
        for term in ["schedule: { days: [mon, tue, wed, thu, fri, sat, sun] }", "when: 'time.hour < 24'"] {
            let allow = rules(&[&format!("{ALLOW}, {term}")]);
            let deny = rules(&[ALLOW, &format!("id: d, effect: deny, {term}")]);
            assert_eq!((ask(&allow, "{}", now), ask(&deny, "{}", now)), (NotVisible, NotVisible), "{now} {term}");
        }
    }
}

#[test]
fn mistakes_point_at_the_part() {
    let files = |text: &str| {
        let files = [("p.yaml".to_owned(), text.to_owned())];
        compile(&files, &Facts { upstreams: &["files".to_owned()], issuers: &[] }).err().unwrap_or_default()
    };
    let head = "version: 1\nrules:\n  - id: a\n    effect: allow\n    principals: [any]\n    tools: ['files__*']\n";
    for (text, line, column, path, says) in [
        ("    when: principal.grups == []\n", 7, 21, "rules[0].when", "did you mean `groups`?"),
        ("    when: 'principal.grups == []'\n", 7, 22, "rules[0].when", "did you mean `groups`?"),
        ("    when: \"'ü' == '' && principal.grups == []\"\n", 7, 35, "rules[0].when", "no field `grups`"),
        ("    when: |\n      route == '/mcp' &&\n        principal.grups == []\n", 9, 19, "rules[0].when", "no field `grups`"),
        ("    when: >\n      route == '/mcp' &&\n      principal.grups == []\n", 8, 7, "rules[0].when", "no field `grups`"),
        ("    when: \"'\\u0061' == principal.grups\"\n", 7, 11, "rules[0].when", "no field `grups`"),
        ("    when: args.n ==\n", 7, 0, "rules[0].when", "no expression"),
        ("    when: true == 'x'\n", 7, 16, "rules[0].when", "can never hold"),
        ("    when: true\n", 7, 11, "rules[0].when", "expected a text, found a boolean"),
        ("    when: []\n", 7, 11, "rules[0].when", "expected a text"),
        ("    schedule: {}\n", 7, 15, "rules[0].schedule", "says nothing"),
        ("    schedule: { zone: UTC }\n", 7, 15, "rules[0].schedule", "says nothing"),
        ("    schedule: []\n", 7, 15, "rules[0].schedule", "the list is empty"),
        ("    schedule: [{ days: [] }]\n", 7, 24, "rules[0].schedule[0].days", "the list is empty"),
        ("    schedule: { days: [monday] }\n", 7, 24, "rules[0].schedule.days[0]", "one of: mon, tue"),
        ("    schedule: { from: '09:00' }\n", 7, 15, "rules[0].schedule.to", "belong together"),
        ("    schedule: { to: '09:00' }\n", 7, 15, "rules[0].schedule.from", "belong together"),
        ("    schedule: { from: '9:00', to: '10:00' }\n", 7, 23, "rules[0].schedule.from", "not a time of the day"),
        ("    schedule: { from: '24:00', to: '10:00' }\n", 7, 23, "rules[0].schedule.from", "not a time of the day"),
        ("    schedule: { from: '09:00', to: '24:01' }\n", 7, 36, "rules[0].schedule.to", "not a time of the day"),
        ("    schedule: { from: '09:60', to: '10:00' }\n", 7, 23, "rules[0].schedule.from", "not a time of the day"),
        ("    schedule: { from: 9, to: '10:00' }\n", 7, 23, "rules[0].schedule.from", "expected a text"),
        ("    schedule: { days: [mon], zone: Europe/Berln }\n", 7, 36, "rules[0].schedule.zone", "did you mean `Europe/Berlin`?"),
        ("    schedule: { days: [mon], zone: '../../etc/passwd' }\n", 7, 36, "rules[0].schedule.zone", "no such time zone"),
        ("    schedule: { day: [mon] }\n", 7, 17, "rules[0].schedule.day", "did you mean `days`?"),
        ("    capabilities: ['files:roots']\n    when: 'true'\n", 8, 11, "rules[0].when", "a rule of their own"),
    ] {
        let problems = files(&format!("{head}{text}"));
        let problem = problems.iter().find(|problem| problem.path == path).unwrap_or_else(|| panic!("{text}{problems:#?}"));
        assert!(format!("{problem}").contains(says), "{text}{problem:?}");
        assert_eq!((problem.line, if column == 0 { 0 } else { problem.column }), (line, column), "{text}{problem:?}");
    }
}

#[test]
fn the_digest_is_of_conditions_and_schedules_too() {
    let digest = |term: &str| rules(&[&format!("{ALLOW}{term}")]).digest().clone();
    for (a, b, same) in [
        (", when: \"args.n==1\"", ", when: \"args.n == 1 // one\"", true),
        (", when: \"args.n == 1\"", ", when: \"args.n == 2\"", false),
        ("", ", when: \"true\"", false),
        (", schedule: { days: [mon, tue] }", ", schedule: [{ days: [tue, mon, mon], zone: utc }]", true),
        (
            ", schedule: [{ days: [mon] }, { days: [sun] }]",
            ", schedule: [{ days: [sun] }, { days: [mon] }, { days: [sun] }]",
            true,
        ),
        (", schedule: { days: [mon] }", ", schedule: { days: [mon], zone: Europe/Berlin }", false),
        (", schedule: { days: [mon], zone: europe/berlin }", ", schedule: { days: [mon], zone: Europe/Berlin }", true),
        (", schedule: { from: '09:00', to: '10:00' }", ", schedule: { from: '09:00', to: '10:01' }", false),
        ("", ", schedule: { days: [mon] }", false),
    ] {
        assert_eq!(digest(a) == digest(b), same, "{a} | {b}");
    }
}

#[test]
fn cases_say_when_and_where() {
    let set = rules(&[
        &format!("{ALLOW}, schedule: {{ days: [mon] }}, when: \"route == '/eng'\""),
        "id: b, effect: allow, principals: [any], tools: ['docs__x'], classes: [destructive], schedule: { days: [sat] }",
    ]);
    let cases = "- { as: { sub: x }, at: 2026-11-23T10:00:00+02:00, route: /eng, call: files__a, expect: allow }\n\
                 - { as: { sub: x }, at: 2026-11-23T10:00:00Z, call: files__a, expect: deny }\n\
                 - { as: { sub: x }, route: /eng, call: files__a, expect: deny, reason: not_visible }\n\
                 - { as: { sub: x }, call: docs__x, expect: allow }\n\
                 - { as: { sub: x }, at: 2026-11-23T10:00:00Z, route: /eng, list: tools, visible: [files__a] }\n\
                 - { as: { sub: x }, list: tools, visible: [docs__x] }\n";
    let outcomes =
        run(&set, "x.cases.yaml", cases, &CatalogFacts::default(), NOW.now_unix_ms).unwrap_or_else(|p| panic!("{p:#?}"));
    assert!(outcomes.iter().all(|outcome| outcome.failure.is_none()), "{outcomes:#?}");
}
