//! What must hold of a policy set whatever it was made of. Used by the fuzz targets and by the test that replays what they found.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nix::time::{ClockId, clock_gettime};
use portcullis::mcp::RawJson;
use portcullis::policy::cases::{CatalogFacts, run};
use portcullis::policy::{
    Asked, Decision, Effect, Facts, Hints, Kind, Known, Moment, PolicySet, check, compile, decide, decide_for, decide_list, visible,
    visible_for, visible_template,
};
use portcullis::vocab::{Principal, Problem, Reason};
use serde_json::json;

/// CPU time that one load or one decision may take, in an instrumented build that is some ten times slower than the shipped one.
const CPU_MAX: Duration = Duration::from_secs(5);

/// A Saturday, 2026-11-21T14:00:00Z.
const NOW_UNIX_MS: i64 = 1_795_269_600_000;

/// Any bytes as a policy file, and as a file of cases: what stands behind a line of `=====`, or else the same text.
pub fn policy_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (policy, cases) = text.split_once("\n=====\n").unwrap_or((text, text));
    let Some(set) = load(policy) else {
        // Cases are read against any set.
        read_cases(&load("version: 1\nrules: []\n").expect("an empty set"), cases);
        return;
    };
    let again = load(policy).expect("what compiled once compiles again");
    assert_eq!(set.digest(), again.digest());
    read_cases(&set, cases);
    let arguments: Vec<RawJson> = ARGUMENTS.iter().filter_map(|text| json_of(text.as_bytes())).collect();
    assert_eq!(arguments.len(), ARGUMENTS.len());
    ask(&set, &again, &arguments);
}

/// Any text as the `when` of rules, and behind the first empty line any JSON as the arguments.
pub fn when(data: &[u8]) {
    let at = data.windows(2).position(|two| two == b"\n\n");
    let (when, arguments) = at.map_or((data, &b"{}"[..]), |at| (&data[..at], &data[at + 2..]));
    let Ok(when) = std::str::from_utf8(when) else { return };
    let Some(set) = load(&of_when(when)) else { return };
    // Blanks around a condition mean nothing, unless they make it too long.
    if let Some(again) = load(&of_when(&format!(" {when} "))) {
        assert_eq!(set.digest(), again.digest());
        let mut all: Vec<RawJson> = json_of(arguments).into_iter().collect();
        all.extend(json_of(ARGUMENTS[1].as_bytes()));
        ask(&set, &again, &all);
    } else {
        assert!(when.len() > 2046, "blanks broke it");
    }
}

fn of_when(when: &str) -> String {
    let when = serde_json::to_string(when).expect("a text");
    format!(
        "version: 1\ntools: [{{ match: ['files__*'], class: read }}]\nrules:\n\
         - {{ id: a, effect: allow, principals: [any], tools: ['*'], resources: ['*'], prompts: ['*'], when: {when} }}\n\
         - {{ id: b, effect: allow, principals: [any], tools: ['github__*'], resources: ['*'], prompts: ['*'] }}\n\
         - {{ id: d, effect: deny, tools: ['github__*'], when: {when} }}\n"
    )
}

fn json_of(text: &[u8]) -> Option<RawJson> {
    RawJson::parse(Bytes::copy_from_slice(text), 64).ok()
}

/// Compiles, and has the result looked over; the problems are told in words, too.
fn load(policy: &str) -> Option<PolicySet> {
    let upstreams = ["files", "github"].map(str::to_owned);
    let issuers = ["https://idp.example".to_owned()];
    let facts = Facts { upstreams: &upstreams, issuers: &issuers };
    let files = [("policy.yaml".to_owned(), policy.to_owned())];
    let compiled = bounded("load", || compile(&files, &facts));
    let checked = bounded("check", || check(&files, &facts, &Known::default()));
    match (compiled, checked) {
        (Ok(set), Ok((checked, findings))) => {
            assert_eq!(set.digest(), checked.digest());
            findings.iter().for_each(|finding| told(&finding.problem));
            Some(set)
        }
        (Err(problems), Err(_)) => {
            assert!(!problems.is_empty(), "refused without a reason");
            problems.iter().for_each(told);
            None
        }
        _ => panic!("compile and check differ"),
    }
}

fn told(problem: &Problem) {
    assert!(!problem.to_string().is_empty());
}

fn read_cases(set: &PolicySet, cases: &str) {
    let first = bounded("cases", || run(set, "cases.yaml", cases, &CatalogFacts::default(), NOW_UNIX_MS));
    let again = run(set, "cases.yaml", cases, &CatalogFacts::default(), NOW_UNIX_MS);
    match (&first, &again) {
        (Ok(first), Ok(again)) => assert_eq!(first, again),
        (Err(first), Err(_)) => first.iter().for_each(told),
        _ => panic!("cases are read in two ways"),
    }
}

/// Asks two sets of the same text the same things.
fn ask(set: &PolicySet, again: &PolicySet, arguments: &[RawJson]) {
    for who in principals() {
        for now_unix_ms in [NOW_UNIX_MS, NOW_UNIX_MS - 3 * 86_400_000 - 7 * 3_600_000, 0] {
            let moment = Moment { now_unix_ms, route: "/mcp" };
            for upstream in ["files", "github"] {
                assert_eq!(set.capabilities(&who, upstream, moment), again.capabilities(&who, upstream, moment));
            }
            ask_for(set, again, &who, moment, arguments);
        }
    }
}

fn ask_for(set: &PolicySet, again: &PolicySet, who: &Principal, moment: Moment<'_>, arguments: &[RawJson]) {
    let all = || std::iter::once(None).chain(arguments.iter().map(Some));
    for name in ["files__read_file", "files__write_file", "github__create_issue"] {
        let class = set.class_of(name, Hints::default());
        for arguments in all() {
            one(set, again, who, moment, Kind::Tool { name, class, arguments });
            one(set, again, who, moment, Kind::Prompt { name, arguments });
        }
    }
    for uri in ["files__file:///srv/public/a.txt", "files__file:///etc/../x", "github__https://example.com/a?b=c"] {
        let yes = one(set, again, who, moment, Kind::Resource { uri });
        let template = uri.replace("a.txt", "{name}");
        if yes && template != uri {
            assert!(visible_template(set, who, &template, moment), "the template of a readable resource is hidden");
        }
    }
}

/// Asks in every way; true if allowed.
fn one(set: &PolicySet, again: &PolicySet, who: &Principal, moment: Moment<'_>, kind: Kind<'_>) -> bool {
    let Moment { now_unix_ms, route } = moment;
    let asked = Asked { kind, known: true, now_unix_ms, route };
    let decision = bounded("decide", || decide(set, who, &asked));
    assert_eq!(summary(&decision), summary(&decide(again, who, &asked)), "deciding is not deterministic");
    let subject = set.subject(who);
    assert_eq!(summary(&decision), summary(&decide_for(set, &subject, who, &asked)), "deciding by subject differs");
    let shown = visible(set, who, &kind, moment);
    assert_eq!(shown, visible(again, who, &kind, moment));
    assert_eq!(shown, visible_for(set, &subject, who, &kind, moment));
    let yes = decision.effect() == Effect::Allow;
    assert!(shown || !yes, "an allowed operation is hidden");
    assert!(shown || matches!(decision.reason(), Reason::NotVisible | Reason::UnknownName), "a hidden operation is explained");
    assert_ne!((shown, decision.reason()), (true, Reason::NotVisible), "a listed operation is denied as invisible");
    let lists = decide_list(set, who, decision.upstream(), moment).effect() == Effect::Allow;
    assert!(lists || !shown, "the list of a visible operation is refused");
    yes
}

type Summary<'a> = (Reason, &'a [Arc<str>], Vec<&'static str>, &'a [Arc<str>], Option<&'a portcullis::policy::Shadow>);

fn summary(decision: &Decision) -> Summary<'_> {
    (decision.reason(), decision.rules(), decision.obligations(), decision.scopes_missing(), decision.shadow())
}

fn principals() -> [Principal; 3] {
    let claims = json!({ "groups": ["eng", "support"], "tenant": "acme", "n": 7, "nested": { "a": [1, 2.5, "x"] } });
    let alice = Principal {
        iss: Arc::from("https://idp.example"),
        sub: Arc::from("alice"),
        client_id: Some(Arc::from("https://ci.example.com/agent")),
        scopes: vec!["mcp:read".into()],
        claims: claims.as_object().expect("a map").clone(),
        expires_at_s: None,
        key_id: None,
        anonymous: false,
    };
    let bob = Principal { sub: Arc::from("bob"), client_id: None, scopes: vec![], claims: serde_json::Map::new(), ..alice.clone() };
    [alice, bob, Principal::anonymous()]
}

const ARGUMENTS: [&str; 5] = [
    "{}",
    r#"{"path":"/srv/public/../a.txt","url":"https://api.example.com/v1/x","ip":"10.1.2.3","n":4,"amount":1e2,"to":["a@example.com","b@example.org"],"q":"x","deep":{"a":{"b":[1,2,{"path":"/etc/passwd"}]}}}"#,
    r#"{"path":"/srv/public/a.txt","url":"http://169.254.169.254/latest","ip":"::ffff:127.0.0.1","n":-9223372036854775809,"to":[]}"#,
    r#"{"path":7,"Path":"/etc","url":["https://u:p@example.com\\@x"],"ip":"0x7f.1","n":0.30000000000000004,"to":[[[[]]]],"q":null}"#,
    r#"["path","/etc/passwd"]"#,
];

fn bounded<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let clock = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"));
    let start = clock();
    let done = work();
    let took = clock().saturating_sub(start);
    assert!(took < CPU_MAX, "{what} took {took:?}");
    done
}
