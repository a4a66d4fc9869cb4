//! Explanations, surveys and replays never disagree with the decision: random policies, and a few by hand.

use std::collections::BTreeMap;

use serde_json::Value;

use super::model::{NAMES, people, random_policy, render, seed, universe};
use super::*;
use crate::policy::cases::{gather, principal, run_covered};
use crate::vocab::Reason;

fn asked<'a>(set: &PolicySet, name: &'a str, arguments: &'a RawJson, hints: Hints) -> Asked<'a> {
    Asked {
        kind: Kind::Tool { name, class: set.class_of(name, hints), arguments: Some(arguments) },
        known: true,
        now_unix_ms: NOW.now_unix_ms,
        route: NOW.route,
    }
}

#[test]
fn explanations_agree_with_decisions() {
    let (mut random, people, universe) = (seed(), people(), universe());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..600 {
        let text = render(&random_policy(&mut random));
        let set = set(&text);
        for _ in 0..6 {
            let (who, args, (name, _)) = (random.pick(&people), random.pick(&universe), random.pick(&NAMES));
            let arguments = raw(&args.to_string());
            let asked = asked(&set, name, &arguments, Hints::default());
            let (decision, told) = (decide(&set, &who, &asked), explain(&set, &who, &asked));
            assert_eq!((decision.reason(), decision.rules()), (told.decision.reason(), told.decision.rules()));
            assert_eq!(told.rules.len(), set.rule_count());
            // The accounts of the rules alone lead to the same decision.
            let is = |effect, verdict| told.rules.iter().filter(move |rule| rule.effect == effect && rule.verdict == verdict);
            let any = |effect, verdict| is(effect, verdict).next().is_some();
            let lacks = is(Effect::Allow, Verdict::Pass).any(|rule| !rule.scopes_missing.is_empty());
            let refused = any(Effect::Deny, Verdict::Pass);
            let doubtful = any(Effect::Deny, Verdict::Unknown);
            let expect = match () {
                () if any(Effect::Allow, Verdict::Pass) && !refused && !doubtful && !lacks => Reason::Allowed,
                () if !told.visible => Reason::NotVisible,
                () if lacks => Reason::ScopeRequired,
                () if refused => Reason::RuleDenied,
                () if doubtful || any(Effect::Allow, Verdict::Unknown) => Reason::Indeterminate,
                () => Reason::NoRule,
            };
            assert_eq!(decision.reason(), expect, "{args}\n{text}\n{told:#?}");
            for rule in &told.rules {
                assert_eq!(rule.obstacle().is_none(), rule.verdict == Verdict::Pass);
                assert!(rule.conditions.iter().all(|condition| !condition.why.is_empty()));
                assert!(!rule.decided || rule.verdict != Verdict::Fail, "{rule:?}");
            }
            *seen.entry(expect.as_str()).or_default() += 1;
        }
    }
    assert!(seen.len() == 6 && seen.values().all(|count| *count >= 10), "{seen:?}");
}

/// What a record keeps of a call, and the call itself.
fn pieces_of(args: &Value, random: &mut super::model::Random) -> Vec<Piece> {
    let members: Vec<(&String, &Value)> = args.as_object().unwrap().iter().collect();
    match random.below(4) {
        0 => Piece::new("", &args.to_string()).into_iter().collect(),
        _ => {
            let kept: Vec<_> = members.into_iter().filter(|_| random.below(2) == 0).collect();
            kept.into_iter().filter_map(|(key, value)| Piece::new(&format!("/{key}"), &value.to_string())).collect()
        }
    }
}

#[test]
fn replays_tell_nothing_but_the_truth() {
    let (mut random, people, universe) = (seed(), people(), universe());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let hints = |read_only, destructive| Hints { read_only, destructive };
    let hinted = [hints(None, None), hints(Some(false), None), hints(None, Some(true)), hints(Some(true), Some(false))];
    for _ in 0..500 {
        let text = render(&random_policy(&mut random));
        let classes = ["class: write", "class: read", "class: destructive"];
        let other = render(&random_policy(&mut random)).replace("class: write", random.pick(&classes));
        let (old, new) = (set(&text), set(&other));
        for _ in 0..12 {
            let (who, args, (name, _)) = (random.pick(&people), random.pick(&universe), random.pick(&NAMES));
            let (arguments, hints) = (raw(&args.to_string()), random.pick(&hinted));
            let was = decide(&old, &who, &asked(&old, name, &arguments, hints));
            let truth = decide(&new, &who, &asked(&new, name, &arguments, hints));
            // Collisions are taken not to be, where the recorded decision does not hint at one.
            if args.get("A").is_some() && was.reason() != Reason::Indeterminate {
                continue;
            }
            let pieces = pieces_of(&args, &mut random);
            let (groups, scopes) = (random.below(4) > 0, random.below(4) > 0);
            let mut kept = who.clone();
            if !groups {
                kept.claims.clear();
            }
            if !scopes {
                kept.scopes.clear();
            }
            let past = Past {
                who: &kept,
                claims: Claims::Recorded { groups, scopes },
                named: Named::Tool,
                name,
                class: Some(was.class()),
                hints: (random.below(2) == 0).then_some(hints),
                arguments: Some(&pieces),
                now_unix_ms: None,
                route: None,
                reason: was.reason(),
                obligations: &[],
            };
            let same = truth.reason() == was.reason();
            let again = replay(&new, &past);
            let said = match &again {
                Again::Unchanged => {
                    assert!(same, "{args} {name} {hints:?} {pieces:?}\n{other}");
                    "unchanged"
                }
                Again::Changed { now, .. } => {
                    assert!(!same && now.iter().any(|ruling| ruling.reason == truth.reason()), "{again:?} {truth:?}\n{other}");
                    "changed"
                }
                Again::Undecidable { missing, could } => {
                    assert!(
                        !missing.is_empty() && could.iter().any(|ruling| ruling.reason == truth.reason()),
                        "{again:?}\n{other}"
                    );
                    "undecidable"
                }
            };
            *seen.entry(said).or_default() += 1;
            // With everything recorded, everything is decidable.
            let whole = [Piece::new("", &args.to_string()).unwrap()];
            let all = Past { who: &who, claims: Claims::All, hints: Some(hints), arguments: Some(&whole), ..past };
            assert!(matches!(replay(&new, &all), Again::Unchanged) == same, "{args} {name}\n{other}");
            assert!(!matches!(replay(&new, &all), Again::Undecidable { .. }));
        }
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count >= 100), "{seen:?}");
}

#[test]
fn surveys_promise_what_decisions_keep() {
    let (mut random, people, universe) = (seed(), people(), universe());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..200 {
        let text = render(&random_policy(&mut random));
        let set = set(&text);
        for who in &people {
            for (name, _) in NAMES {
                let cell = cell(&set, &Person::of(who.clone()), &Thing::tool(name), &HintsOf::new());
                let decisions = universe.iter().map(|args| call(&set, who, name, &args.to_string()).reason());
                for reason in decisions {
                    let fits = match cell.access {
                        Access::Allow => reason == Reason::Allowed,
                        Access::Hidden => reason == Reason::NotVisible,
                        Access::Deny => !matches!(reason, Reason::Allowed | Reason::NotVisible),
                        Access::Conditional => reason != Reason::NotVisible,
                    };
                    assert!(fits, "{cell:?} {reason:?} {name}\n{text}");
                }
                *seen.entry(cell.access.as_str()).or_default() += 1;
            }
        }
        assert!(changes(&set, &super::set(&text), &super::super::people(&set), &things(&[&set]), &HintsOf::new()).is_empty());
    }
    assert!(seen.len() == 4 && seen.values().all(|count| *count >= 20), "{seen:?}");
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

fn differences(new: &str) -> Vec<(ChangeKind, String, String)> {
    let (old, new) = (set(BASE), set(new));
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
    expect(BASE.to_owned(), &[]);
    // Other names for the same rules.
    expect(BASE.replace("eng-reads", "staff"), &[]);
    // A rule in two is the same rule.
    expect(format!("{BASE}- {{ id: again, effect: allow, principals: ['group:eng'], tools: ['files__read_*'] }}\n"), &[]);
    expect(BASE.replace("[/srv]", "[/srv/public]"), &[(ChangeKind::ConditionsChanged, "group:eng", "files__write")]);
    expect(
        BASE.replace(", arguments: { /path: { path_under: [/srv] } }", ""),
        &[(ChangeKind::BecomesUnconditional, "group:eng", "files__write")],
    );
    expect(
        BASE.replace("[files__write], class: write", "[files__write], class: destructive"),
        &[(ChangeKind::Stops, "group:eng", "files__write")],
    );
    expect(
        format!("{BASE}- {{ id: no-secrets, effect: deny, tools: ['*__read_secret*'] }}\n"),
        &[(ChangeKind::Stops, "group:eng", "files__read_secret*")],
    );
    // Only somebody who is both is concerned.
    expect(
        format!("{BASE}- {{ id: no-bots, effect: deny, principals: ['group:bots'], tools: [files__write] }}\n"),
        &[(ChangeKind::Stops, "group:eng + group:bots", "files__write")],
    );
    expect(
        BASE.replace("any_of: [eng]", "any_of: [eng, ops]"),
        &[
            (ChangeKind::BecomesPossible, "group:eng[ops]", "files__read_*"),
            (ChangeKind::BecomesPossible, "group:eng[ops]", "files__write"),
        ],
    );
}

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
