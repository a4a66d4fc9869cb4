//! Random policies and requests.

use crate::conditions::CONDITIONS;
use crate::facts::*;
use crate::json::{Json, text};
use crate::language::*;
use crate::meaning::KEYS;
use crate::number::exact;
use crate::random::Random;

/// Keys of the language that are not to be tried.
const LEFT_OUT: &[&str] = &[];

pub(crate) fn left_out(key: &str) -> bool {
    LEFT_OUT.contains(&key)
}

pub(crate) fn policy(r: &mut Random) -> Policy {
    let mut policy = anything(r);
    for rule in &mut policy.rules {
        rule.arguments.iter_mut().for_each(|(_, matchers)| matchers.retain(|matcher| !left_out(matcher.key())));
        rule.arguments.retain(|(_, matchers)| !matchers.is_empty());
        rule.when.take_if(|_| left_out("when"));
        rule.shadow &= !left_out("shadow");
        let Require { approval, limits, redact, deadline_ms, audit, .. } = &mut rule.require;
        approval.take_if(|_| left_out("approval"));
        limits.retain(|limit| !left_out(limit.quota.key()));
        *redact &= !left_out("redact");
        deadline_ms.take_if(|_| left_out("deadline"));
        audit.retain(|_| !left_out("audit"));
        if left_out("schedule") {
            rule.schedule.clear();
        }
    }
    policy
}

fn anything(r: &mut Random) -> Policy {
    let issuers = 1 + usize::from(r.one_in(4));
    let owners = |r: &mut Random| match issuers {
        2 => r.some(ISSUERS, 2),
        _ if r.one_in(6) => vec![r.pick(&[ISSUERS[0], KEYS])],
        _ => Vec::new(),
    };
    let groups = vec![
        Group { name: "eng", issuers: owners(r), claim: Some(("groups", vec!["eng", "platform"])), clients: vec![] },
        Group { name: "dept.x", issuers: owners(r), claim: Some(("dept", r.some(&["x", "y"], 2))), clients: vec![] },
        Group { name: "bots", issuers: owners(r), claim: None, clients: r.some(&["https://ci.example/*", "app-?"], 2) },
        Group { name: "both", issuers: owners(r), claim: Some(("groups", vec!["ops"])), clients: vec!["app-*"] },
    ];
    let classes = (0..r.below(4)).map(|_| (r.some(TOOL_GLOBS, 2), r.pick(&CLASSES))).collect();
    let rules = (0..r.below(7)).map(|n| rule(r, n, issuers)).collect();
    Policy { issuers, groups, classes, rules }
}

const CLASSES: [Class; 3] = [Class::Read, Class::Write, Class::Destructive];

fn rule(r: &mut Random, n: usize, issuers: usize) -> Rule {
    let allow = r.below(5) < 3;
    let mut rule =
        Rule { id: format!("{}{n}", r.pick(&["r", "a-rule.", "z/", "k:"])), allow, shadow: r.one_in(6), ..Rule::default() };
    if allow || r.one_in(2) {
        rule.principals = principals(r, issuers);
    }
    if r.one_in(12) {
        rule.capabilities = (0..=r.below(2)).map(|_| (r.pick(&["*", "x", "f*", "docs"]), r.pick(CAPABILITIES))).collect();
        if r.one_in(4) {
            rule.schedule = vec![window(r)];
        }
        return rule;
    }
    targets(r, &mut rule);
    if r.below(4) > 0 {
        rule.classes = r.some(&CLASSES, 5);
    }
    if r.one_in(2) {
        for _ in 0..=r.below(2) {
            let pointer = r.pick(POINTERS);
            if rule.arguments.iter().all(|(other, _)| *other != pointer) {
                rule.arguments.push((pointer, matchers(r)));
            }
        }
    }
    if r.one_in(4) {
        rule.when = Some(r.below(CONDITIONS.len()));
    }
    if r.one_in(8) {
        rule.schedule = (0..=r.below(2)).map(|_| window(r)).collect();
    }
    if allow && r.one_in(4) {
        rule.require = require(r, issuers);
    }
    rule
}

fn principals(r: &mut Random, issuers: usize) -> Vec<Who> {
    let one = |r: &mut Random| match r.below(10) {
        0..=3 => Who::Any,
        4 => Who::Group(r.pick(&["eng", "dept.x", "bots", "both"])),
        5 => Who::Sub(Some(r.pick(&ISSUERS[..issuers])), r.pick(&["al*", "bob", "*", "?ob"])),
        6 if issuers == 1 => Who::Sub(None, r.pick(&["al*", "bob", "*", "anon*", "*:ci", "anonymou?"])),
        6 | 7 => Who::Sub(None, r.pick(&["anonymous", "key:ci", "key:*"])),
        8 => Who::Client(r.pick(&["https://ci.example/*", "app-9", "*"])),
        _ => Who::Scope(r.pick(SCOPES)),
    };
    (0..=r.below(3)).map(|_| one(r)).collect()
}

fn targets(r: &mut Random, rule: &mut Rule) {
    if !rule.allow && r.one_in(3) {
        return;
    }
    let all = r.one_in(4);
    match r.below(8) {
        0..=4 => rule.tools = r.some(TOOL_GLOBS, 3),
        5 | 6 => rule.resources = r.some(RESOURCE_GLOBS, 2),
        _ => rule.prompts = r.some(PROMPT_GLOBS, 2),
    }
    if all {
        rule.tools = r.some(TOOL_GLOBS, 3);
        rule.resources = r.some(RESOURCE_GLOBS, 2);
        rule.prompts = r.some(PROMPT_GLOBS, 2);
    }
}

fn matchers(r: &mut Random) -> Vec<Matcher> {
    if r.one_in(10) {
        return vec![Matcher::Absent];
    }
    let mut out: Vec<Matcher> = Vec::new();
    for _ in 0..=r.below(2) / (1 + r.below(2)) {
        let matcher = matcher(r);
        if out.iter().all(|other| other.key() != matcher.key()) {
            out.push(matcher);
        }
    }
    // The gateway refuses a range that holds no number.
    let bound = |key: &str| out.iter().find(|matcher| matcher.key() == key).cloned();
    if let (Some(Matcher::Min(min)), Some(Matcher::Max(max))) = (bound("min"), bound("max"))
        && exact(min).compare(&exact(max)).is_gt()
    {
        out.retain(|matcher| matcher.key() != "max");
    }
    out
}

fn matcher(r: &mut Random) -> Matcher {
    match r.below(13) {
        0 if r.one_in(2) => Matcher::Equals(Json::Number(r.pick(NUMBERS))),
        0 => Matcher::Equals(literal(r, 2)),
        1 => {
            Matcher::OneOf((0..=r.below(3)).map(|n| if n == 1 { Json::Number(r.pick(NUMBERS)) } else { literal(r, 2) }).collect())
        }
        2 => Matcher::Glob(r.some(TEXT_GLOBS, 2)),
        3 => Matcher::Matches(r.some(&REGEXES.iter().map(|(pattern, _)| *pattern).collect::<Vec<_>>(), 2)),
        4 | 5 => Matcher::Under(r.some(DIRECTORIES, 2)),
        6 => Matcher::Url(url(r)),
        7 => Matcher::Cidr(r.some(NETWORKS, 2)),
        8 => Matcher::Min(r.pick(NUMBERS)),
        9 => Matcher::Max(r.pick(NUMBERS)),
        10 => Matcher::MaxLength(r.below(5)),
        11 => Matcher::Type(r.some(TYPES, 2)),
        _ => Matcher::Present,
    }
}

fn url(r: &mut Random) -> UrlWant {
    let mut want = UrlWant::default();
    for _ in 0..=r.below(2) {
        match r.below(5) {
            0 => want.scheme = r.some(&["https", "http"], 2),
            1 => want.host = r.some(&["*.example.com", "example.com", "*", "10.*", "?*"], 2),
            2 => want.port = r.some(&[80, 443, 8080, 631], 2),
            3 => want.path = r.some(&["/v1/*", "/", "*", "/x"], 2),
            _ => {
                let all = ["public", "private", "loopback", "link_local", "multicast", "reserved", "name"];
                want.address = r.some(&all, 3);
            }
        }
    }
    want
}

fn window(r: &mut Random) -> Window {
    let days = if r.one_in(2) { r.some(&[0, 1, 2, 3, 4, 5, 6], 4) } else { Vec::new() };
    let minute = |r: &mut Random| u32::try_from(r.below(48)).unwrap() * 30;
    let to = |r: &mut Random| if r.one_in(6) { 24 * 60 } else { minute(r) };
    let hours = (days.is_empty() || r.one_in(2)).then(|| (minute(r), to(r)));
    let zone = [None, Some(Zone::Utc), Some(Zone::Kolkata), Some(Zone::Berlin), Some(Zone::Berlin)];
    Window { days, hours, zone: r.pick(&zone) }
}

fn require(r: &mut Random, issuers: usize) -> Require {
    let mut require = Require::default();
    for _ in 0..=r.below(3) {
        match r.below(6) {
            0 | 1 => require.scopes = r.some(SCOPES, 2),
            2 => {
                require.approval = Some(Approval {
                    from: if r.one_in(3) { Vec::new() } else { principals(r, issuers) },
                    quorum: r.one_in(2).then(|| 1 + u32::try_from(r.below(3)).unwrap()),
                    requester: r.one_in(2).then(|| r.one_in(2)),
                    expires_s: r.one_in(2).then(|| r.pick(&[60, 900, 3600])),
                });
            }
            3 => require.limits = (0..=r.below(2)).map(|_| limit(r)).collect(),
            4 => require.redact = true,
            _ if r.one_in(2) => require.deadline_ms = Some(r.pick(&[100, 5_000, 60_000])),
            _ => require.audit = r.some(&["/a", "/a/b", "/x~1y", "/l/0"], 2),
        }
    }
    require
}

fn limit(r: &mut Random) -> Limit {
    let per = r.pick(&[1, 60, 3600]);
    let quota = match r.below(4) {
        0 => Quota::Calls(r.pick(&[1, 10]), per),
        1 => Quota::Concurrent(r.pick(&[1, 2])),
        2 => Quota::Bytes(r.pick(&[1024, 10 * 1024 * 1024]), per),
        _ => Quota::Tokens(r.pick(&[1, 100_000]), per),
    };
    let by = if r.one_in(4) { Vec::new() } else { r.some(BY, 3) };
    Limit { quota, by }
}

/// A value that a policy can name.
fn literal(r: &mut Random, depth: usize) -> Json {
    match r.below(if depth > 0 { 10 } else { 7 }) {
        0..=2 => text(r.pick(&["x", "xy", "bad", "", "a", "b", "/srv/pub/a", "1", "é", "null", "no", "a: b", "it's"])),
        3 | 4 => Json::Number(r.pick(NUMBERS)),
        5 => Json::Bool(r.one_in(2)),
        6 => Json::Null,
        7 | 8 => Json::List((0..r.below(3)).map(|_| literal(r, depth - 1)).collect()),
        _ => members(r, depth - 1, literal),
    }
}

/// A value of a request.
pub(crate) fn value(r: &mut Random, depth: usize) -> Json {
    match r.below(if depth > 0 { 16 } else { 11 }) {
        0..=4 if r.one_in(2) => text(r.pick(&["x", "xy", "bad", "a", "b", "abc"])),
        0..=4 => text(r.pick(TEXTS)),
        5 | 6 => text(URLS[r.below(URLS.len())].0),
        7 | 8 if r.one_in(12) => Json::Number(r.pick(WILD_NUMBERS)),
        7 | 8 => Json::Number(r.pick(NUMBERS)),
        9 => Json::Bool(r.one_in(2)),
        10 => Json::Null,
        11..=13 => Json::List((0..r.below(4)).map(|_| value(r, depth - 1)).collect()),
        _ => members(r, depth - 1, value),
    }
}

fn members(r: &mut Random, depth: usize, value: fn(&mut Random, usize) -> Json) -> Json {
    let mut out: Vec<(String, Json)> = Vec::new();
    for _ in 0..r.below(4) {
        let key = r.pick(&["a", "b", "k", "x", "l", "01", "0", "t~", "bad"]);
        if out.iter().all(|(other, _)| other != key) {
            out.push((key.to_owned(), value(r, depth)));
        }
    }
    Json::Map(out)
}

pub(crate) fn arguments(r: &mut Random) -> Json {
    let mut out: Vec<(String, Json)> = Vec::new();
    for _ in 0..r.below(5) {
        let rare = ["A", "ａ", "B", "é", "É", "01", "t~", "zz"];
        let key = if r.one_in(12) { r.pick(&rare) } else { r.pick(&["a", "a", "b", "n", "l", "o", "x/y", "path"]) };
        let made = match key {
            "n" if !r.one_in(4) => Json::Number(r.pick(NUMBERS)),
            "l" if !r.one_in(4) => Json::List((0..r.below(4)).map(|_| value(r, 1)).collect()),
            "l" => value(r, 0),
            "o" if !r.one_in(4) => members(r, 2, value),
            _ => value(r, 2),
        };
        if out.iter().all(|(other, _)| other != key) {
            out.push((key.to_owned(), made));
        }
    }
    Json::Map(out)
}

pub(crate) fn ask(r: &mut Random) -> Ask {
    let family = r.pick(&[Family::Tool, Family::Tool, Family::Tool, Family::Tool, Family::Resource, Family::Prompt]);
    let name = match family {
        Family::Tool => r.pick(TOOLS),
        Family::Resource => r.pick(RESOURCES),
        Family::Prompt => r.pick(PROMPTS),
    };
    let hint = |r: &mut Random| if r.one_in(3) { Some(r.one_in(2)) } else { None };
    Ask {
        who: person(r),
        family,
        name,
        known: !r.one_in(30),
        hints: (hint(r), hint(r)),
        args: (family != Family::Resource && !r.one_in(10)).then(|| arguments(r)),
        now_ms: now(r),
        route: r.pick(ROUTES),
    }
}

/// Mostly around the hours at which Europe changes its clocks, and midnights; rarely a clock that cannot be read.
fn now(r: &mut Random) -> i64 {
    if r.one_in(60) {
        return r.pick(&[i64::MAX, i64::MIN, 0, -1, 253_402_300_800_000]);
    }
    let anchor = r.pick(&[1_743_296_400, 1_761_440_400, 1_767_225_600, 951_782_400, 1_763_712_000]);
    let offset = i64::try_from(r.below(14 * 48)).unwrap() * 1800 - 7 * 86_400;
    let ms = r.pick(&[0, 999, -1, 1_800_000 - 1]);
    (anchor + offset) * 1000 + ms
}

fn person(r: &mut Random) -> Person {
    let (iss, sub) = r.pick(&[
        (ISSUERS[0], "alice"),
        (ISSUERS[0], "alice"),
        (ISSUERS[0], "al"),
        (ISSUERS[1], "bob"),
        (ISSUERS[1], "alice"),
        (KEYS, "key:ci"),
        (ISSUERS[0], "key:ci"),
        (ISSUERS[0], "anonymous"),
        ("portcullis:anonymous", "anonymous"),
    ]);
    let anonymous = iss == "portcullis:anonymous";
    let mut claims = Vec::new();
    if r.below(4) > 0 && !anonymous {
        let many = Json::List(r.some(&["eng", "platform", "ops", "x"], 3).into_iter().map(text).collect());
        let odd = Json::List(vec![Json::Number("1"), text("ops"), Json::Null]);
        claims.push(("groups", r.pick(&[many, text("eng"), odd, Json::Number("1")])));
    }
    for (name, value) in [("dept", text("x")), ("tenant", text("acme")), ("tenant", text("other")), ("oncall", Json::Bool(true))]
    {
        if r.one_in(4) && !anonymous && claims.iter().all(|(held, _)| *held != name) {
            claims.push((name, value));
        }
    }
    let client = if anonymous { None } else { r.pick(&[None, Some("https://ci.example/a"), Some("app-9"), Some("app-10")]) };
    let scopes = if r.one_in(3) && !anonymous { r.some(SCOPES, 3) } else { Vec::new() };
    Person { iss, sub, client, scopes, claims, anonymous }
}
