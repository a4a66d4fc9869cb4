//! Everything the language has, at random: what the tools say of a policy is what the gateway would decide.

mod replay;
mod survey;

use std::collections::BTreeMap;

use serde_json::Value;

use super::random::{NAMES, Random, seed};
use super::*;
use crate::vocab::Reason;

const HEAD: &str = "version: 1
groups:
  g: { claim: groups, any_of: [g] }
  h: { claim: groups, any_of: [h, i] }
  d: { claim: dept, any_of: [x] }
  c: { client_id: ['https://ci.example.com/*'] }
tools:
- { match: ['*__read'], class: read }
- { match: [x__write], class: write }
rules:
";

const PRINCIPALS: &[&str] = &[
    "any",
    "any",
    "any",
    "any",
    "any",
    "group:g",
    "group:h",
    "group:d",
    "group:c",
    "sub:al*",
    "sub:bob",
    "scope:s",
    "sub:anonymous",
    "client:https://*",
];
const TOOLS: &[&str] = &["*", "x__*", "x__read", "y__*", "?__read", "x__w*"];
const POINTERS: &[&str] = &["/a", "/a", "/b", "/b", "/o/k", "/*", "/**", "/o/*", "/**/k", "/l/0"];
const MATCHERS: &[&str] = &[
    "equals: x",
    "one_of: [1, x, /p/q]",
    "glob: 'x*'",
    "path_under: /p",
    "matches: '^[a-z]+$'",
    "url: { scheme: https, host: '*.example.com' }",
    "cidr: [10.0.0.0/8, '2001:db8::/32']",
    "min: 1",
    "max: 5",
    "min: 2, max: 9",
    "max_length: 2",
    "type: string",
    "type: [integer, 'null']",
    "type: number, max: 5",
    "present: true",
    "absent: true",
];
const CONDITIONS: &[&str] = &[
    "args.a == 'x'",
    "has(args.a) && args.a == 'x'",
    "has(args.o.k)",
    "args.o.k == 1 || args.a == 1",
    "args.b > 1 && args.a < 5",
    "args.a == args.b",
    "args.o == {'k': 1}",
    "size(args) > 1",
    "'a' in args",
    "args.l.exists(v, v == 'x')",
    "args.l[0] == 1",
    "args.a + args.b == 'xx'",
    "matches(args.a, '^x') || tool.class == 'read'",
    "path_under(args.a, '/p')",
    "principal.sub == 'bob'",
    "principal.sub == args.a",
    "'h' in principal.groups",
    "'s' in principal.scopes && tool.upstream == 'x'",
    "principal.claims.oncall == true",
    "has(principal.tenant) && principal.tenant == 'acme'",
    "has(principal.client_id)",
    "time.hour < 12",
    "time.weekday in ['sat', 'sun']",
    "time.epoch_ms % 2 == 0",
    "route == '/mcp'",
    "route == '/dev' && args.a == 'x'",
    "tool.class == 'write'",
    "1 == 1",
    "1 / 0 == 1",
];
const SCHEDULES: &[&str] = &[
    "{ days: [sat, sun] }",
    "{ from: '09:00', to: '18:00', zone: Europe/Berlin }",
    "[{ from: '22:00', to: '04:00' }, { days: [mon] }]",
];
const REQUIRES: &[&str] = &[
    "scope: s",
    "scope: [s, t]",
    "limit: [{ calls: 3, per: 1h, by: [] }]",
    "approval: { from: ['group:g'] }",
    "redact: [secrets]",
    "deadline: 10s",
    "audit: [/a]",
    "redact: [secrets], deadline: 1m, limit: [{ concurrent: 2, by: [principal] }]",
];

/// Saturday 14:00, Monday 23:30, Tuesday 10:00 and an odd millisecond, Sunday 03:00; a clock that cannot be read.
const TIMES: &[i64] = &[1_795_269_600_000, 1_795_476_600_000, 1_795_514_400_001, 1_795_316_400_000, 0];
const ROUTES: &[&str] = &["/mcp", "/dev"];

/// Lines of rules.
fn lines(random: &mut Random) -> Vec<String> {
    (0..random.below(8)).map(|id| line(random, id)).collect()
}

fn line(random: &mut Random, id: usize) -> String {
    let allow = random.below(5) < 3;
    let list = |random: &mut Random, from: &[&str]| {
        let picked: Vec<String> = (0..=random.below(2)).map(|_| format!("'{}'", random.pick(from))).collect();
        picked.join(", ")
    };
    let mut line = format!("- {{ id: r{id}, effect: {}", if allow { "allow" } else { "deny" });
    if allow || random.below(2) == 0 {
        line += &format!(", principals: [{}]", list(random, PRINCIPALS));
    }
    if allow || random.below(3) > 0 {
        line += &format!(", tools: [{}]", list(random, TOOLS));
    }
    line += random.pick(&["", "", ", classes: [read]", ", classes: [read, write]", ", classes: [destructive]"]);
    let mut arguments: BTreeMap<&str, &str> = BTreeMap::new();
    for _ in 0..random.below(3) {
        arguments.insert(random.pick(POINTERS), random.pick(MATCHERS));
    }
    if !arguments.is_empty() {
        let arguments: Vec<String> = arguments.iter().map(|(pointer, matcher)| format!("'{pointer}': {{ {matcher} }}")).collect();
        line += &format!(", arguments: {{ {} }}", arguments.join(", "));
    }
    if random.below(3) == 0 {
        line += &format!(", when: \"{}\"", random.pick(CONDITIONS));
    }
    if random.below(5) == 0 {
        line += &format!(", schedule: {}", random.pick(SCHEDULES));
    }
    if allow && random.below(3) == 0 {
        line += &format!(", require: {{ {} }}", random.pick(REQUIRES));
    }
    line += if random.below(6) == 0 { ", mode: shadow }" } else { " }" };
    line
}

fn text(lines: &[String]) -> String {
    if lines.is_empty() { HEAD.replace("rules:\n", "") } else { format!("{HEAD}{}\n", lines.join("\n")) }
}

fn arguments() -> Vec<Value> {
    let values = [
        json!("x"),
        json!(1),
        json!(7),
        json!("/p/q"),
        json!("/p/../q"),
        json!("https://a.example.com/"),
        json!("10.1.2.3"),
        json!(null),
    ];
    let mut all = vec![
        json!({}),
        json!({ "a": "x", "A": "x" }),
        json!({ "o": { "k": 1 } }),
        json!({ "o": { "k": "x", "j": 2 }, "a": 1 }),
        json!({ "o": { "k": 1, "K": 1 } }),
        json!({ "l": ["x", 1], "a": "x" }),
        json!({ "l": [1], "o": 5 }),
        json!({ "a": { "k": "x" }, "b": [1, 2, 3] }),
        json!({ "a": 1.5, "b": true }),
        json!({ "k": 3, "*": "x" }),
    ];
    for a in &values {
        all.push(json!({ "a": a }));
        all.push(json!({ "b": a, "o": { "k": a } }));
        all.extend(values.iter().map(|b| json!({ "a": a, "b": b })));
    }
    all
}

fn collides(args: &Value) -> bool {
    args.get("A").is_some() || args.pointer("/o/K").is_some()
}

fn people() -> Vec<Principal> {
    let someone = |sub: &str, claims: Value, scopes: &[&str], client: Option<&str>| Principal {
        sub: Arc::from(sub),
        client_id: client.map(Arc::from),
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        claims: claims.as_object().unwrap().clone(),
        ..alice(&[])
    };
    vec![
        someone("alice", json!({ "oncall": true }), &[], None),
        someone("bob", json!({ "groups": ["g"], "tenant": "acme" }), &["s"], Some("https://ci.example.com/x")),
        someone("carol", json!({ "groups": ["h", "i"], "dept": "x" }), &["t"], Some("https://web.example.com")),
        someone("al", json!({ "groups": ["g", "h"], "dept": ["y", "x"], "oncall": false }), &["s", "t"], None),
        Principal::anonymous(),
    ]
}

/// One question.
#[derive(Clone, Debug)]
struct World {
    who: Principal,
    name: &'static str,
    hints: Hints,
    args: Option<Value>,
    now_unix_ms: i64,
    route: &'static str,
}

impl World {
    fn random(random: &mut Random, people: &[Principal], universe: &[Value]) -> Self {
        let hints = |read_only, destructive| Hints { read_only, destructive };
        let hinted = [hints(None, None), hints(None, None), hints(Some(false), None), hints(None, Some(true))];
        Self {
            who: random.pick(people),
            name: random.pick(&NAMES).0,
            hints: random.pick(&hinted),
            args: (random.below(8) > 0).then(|| random.pick(universe)),
            now_unix_ms: random.pick(TIMES),
            route: random.pick(ROUTES),
        }
    }

    fn ask<T>(&self, set: &PolicySet, then: impl FnOnce(&Asked<'_>) -> T) -> T {
        let arguments = self.args.as_ref().map(|args| raw(&args.to_string()));
        let kind = Kind::Tool { name: self.name, class: set.class_of(self.name, self.hints), arguments: arguments.as_ref() };
        then(&Asked { kind, known: true, now_unix_ms: self.now_unix_ms, route: self.route })
    }

    fn decide(&self, set: &PolicySet) -> Decision {
        self.ask(set, |asked| decide(set, &self.who, asked))
    }
}

#[test]
fn explanations_agree_with_decisions() {
    let (mut random, people, universe) = (seed(), people(), arguments());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..300 {
        let text = text(&lines(&mut random));
        let set = set(&text);
        for _ in 0..12 {
            let world = World::random(&mut random, &people, &universe);
            let decision = world.decide(&set);
            let told = world.ask(&set, |asked| explain(&set, &world.who, asked));
            assert_eq!((decision.reason(), decision.rules()), (told.decision.reason(), told.decision.rules()));
            assert_eq!(told.decision.shadow(), decision.shadow());
            assert_eq!(told.rules.len(), set.rule_count());
            let is = |effect, verdict| {
                told.rules.iter().filter(move |rule| !rule.shadow && rule.effect == effect && rule.verdict == verdict)
            };
            let any = |effect, verdict| is(effect, verdict).next().is_some();
            let lacks = is(Effect::Allow, Verdict::Pass).any(|rule| !rule.scopes_missing.is_empty());
            let (refused, doubtful) = (any(Effect::Deny, Verdict::Pass), any(Effect::Deny, Verdict::Unknown));
            let expect = match () {
                () if any(Effect::Allow, Verdict::Pass) && !refused && !doubtful && !lacks => Reason::Allowed,
                () if !told.visible => Reason::NotVisible,
                () if lacks => Reason::ScopeRequired,
                () if refused => Reason::RuleDenied,
                () if doubtful || any(Effect::Allow, Verdict::Unknown) => Reason::Indeterminate,
                () => Reason::NoRule,
            };
            assert_eq!(decision.reason(), expect, "{world:?}\n{text}\n{told:#?}");
            if expect == Reason::Allowed {
                let brought: Vec<&str> = is(Effect::Allow, Verdict::Pass).flat_map(|rule| rule.obligations.clone()).collect();
                let words: Vec<&str> = decision.obligations();
                assert!(brought.iter().all(|word| words.contains(word)) && words.iter().all(|word| brought.contains(word)));
            }
            for rule in &told.rules {
                assert!(!(rule.shadow && rule.decided), "{rule:?}");
                assert_eq!(rule.obstacle().is_none(), rule.verdict == Verdict::Pass);
                assert!(rule.conditions.iter().all(|condition| !condition.why.is_empty()));
            }
            *seen.entry(expect.as_str()).or_default() += 1;
        }
    }
    assert!(seen.len() == 6 && seen.values().all(|count| *count >= 5), "{seen:?}");
}

/// Somebody made up stands for everybody who is at least that: what is said of them holds for whoever is more, where no rule's
/// `principals` tells the two apart.
#[test]
fn made_up_people_speak_for_others() {
    let policy = format!(
        "{HEAD}- {{ id: a, effect: allow, principals: ['group:g'], tools: ['x__*'] }}\n\
         - {{ id: b, effect: deny, tools: ['x__read'], when: \"has(principal.claims.contractor)\" }}\n\
         - {{ id: c, effect: allow, principals: ['group:g'], tools: [y__read], when: \"'oncall' in principal.groups\" }}\n"
    );
    let set = set(&policy);
    let made_up = super::super::people(&set);
    let member = made_up.iter().find(|person| person.label == "group:g").unwrap();
    let of = |person: &Person, name: &str| cell(&set, person, &Thing::tool(name), &HintsOf::new());
    for (name, on) in [("x__read", "claim *"), ("y__read", "claim groups")] {
        let cell = of(member, name);
        let depends: Vec<String> = cell.depends_on.iter().map(ToString::to_string).collect();
        assert_eq!((cell.access, depends), (Access::Conditional, vec![on.to_owned()]), "{name}");
    }
    // Of a known person everything is known.
    let known = Person::of(alice(&["g"]));
    assert_eq!((of(&known, "x__read").access, of(&known, "y__read").access), (Access::Allow, Access::Hidden));
}
