//! What must hold of a policy set whatever it was made of, and, in [`dialect`], of messages, in [`audit_reader`] of logs. Used by the fuzz targets and by the test
//! that replays what they found.

mod audit_reader;
mod dialect;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis::mcp::RawJson;
use portcullis::policy::cases::{CatalogFacts, run};
use portcullis::policy::{
    Asked, Decision, Effect, Facts, Hints, Kind, Known, Moment, PolicySet, check, compile, decide, decide_for, decide_list,
    visible, visible_for, visible_template,
};
use portcullis::vocab::{Principal, Problem, Reason};
use serde_json::json;

pub use audit_reader::audit_reader;
pub use dialect::dialect;

/// What one load or one decision may take, in an instrumented build that is some ten times slower than the shipped one.
const EACH_MAX: Duration = Duration::from_secs(5);
/// After this the rest is not asked, so that an input near the bounds of the language does not hold up the search.
const ALL_MAX: Duration = Duration::from_secs(1);

/// The least that compiles.
const LEAST: &str = "version: 1\nrules: [{ id: none, effect: deny, tools: ['*'] }]\n";

/// A Saturday, 2026-11-21T14:00:00Z.
const NOW_UNIX_MS: i64 = 1_795_269_600_000;

/// Any bytes as a policy file, and as a file of cases: what stands behind a line of `=====`, or else the same text.
pub fn policy_file(data: &[u8], watch: Watch) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (policy, cases) = text.split_once("\n=====\n").unwrap_or((text, text));
    let Some(set) = load(policy, watch) else {
        // Cases are read against any set.
        read_cases(&load(LEAST, watch).expect("a set"), cases, watch);
        return;
    };
    let again = load(policy, watch).expect("what compiled once compiles again");
    assert_eq!(set.digest(), again.digest());
    read_cases(&set, cases, watch);
    let arguments: Vec<RawJson> = ARGUMENTS.iter().filter_map(|text| json_of(text.as_bytes())).collect();
    assert_eq!(arguments.len(), ARGUMENTS.len());
    ask(&set, &again, &arguments, chosen(data), watch);
}

/// Any text as the `when` of a rule, and behind the first empty line any JSON as the arguments.
pub fn when(data: &[u8], watch: Watch) {
    let at = data.windows(2).position(|two| two == b"\n\n");
    let (when, arguments) = at.map_or((data, &b"{}"[..]), |at| (&data[..at], &data[at + 2..]));
    let Ok(when) = std::str::from_utf8(when) else { return };
    let chosen = chosen(data);
    for effect in ["allow", "deny"] {
        if watch.is_hurried() && (effect == "deny") != (chosen % 2 == 1) {
            continue;
        }
        let Ok(set) = watch.bounded("load", || compiled(&of_when(effect, when))) else { continue };
        // Blanks around a condition mean nothing, unless they make it too long.
        let skips = watch.is_hurried() && chosen % 4 > 1;
        let again = if skips { None } else { compiled(&of_when(effect, &format!(" {when} "))).ok() };
        assert!(again.is_some() || skips || when.len() > 2046, "blanks broke it");
        assert!(again.as_ref().is_none_or(|again| again.digest() == set.digest()));
        let mut all: Vec<RawJson> = json_of(arguments).into_iter().collect();
        all.extend(json_of(ARGUMENTS[1].as_bytes()));
        ask(&set, again.as_ref().unwrap_or(&set), &all, chosen / 4, watch);
    }
}

fn of_when(effect: &str, when: &str) -> String {
    let when = serde_json::to_string(when).expect("a text");
    let who = if effect == "allow" { ", principals: [any]" } else { "" };
    format!(
        "version: 1\ntools: [{{ match: ['files__*'], class: read }}]\nrules:\n\
         - {{ id: w, effect: {effect}{who}, tools: ['*'], resources: ['*'], prompts: ['*'], when: {when} }}\n\
         - {{ id: b, effect: allow, principals: [any], tools: ['github__*'], resources: ['github__*'], prompts: ['github__*'] }}\n"
    )
}

fn chosen(data: &[u8]) -> usize {
    data.iter().map(|byte| usize::from(*byte)).sum()
}

fn json_of(text: &[u8]) -> Option<RawJson> {
    RawJson::parse(Bytes::copy_from_slice(text), 64).ok()
}

fn compiled(policy: &str) -> Result<PolicySet, Vec<Problem>> {
    with_facts(policy, compile)
}

fn with_facts<T>(policy: &str, read: impl Fn(&[(String, String)], &Facts<'_>) -> T) -> T {
    let upstreams = ["files", "github"].map(str::to_owned);
    let issuers = ["https://idp.example".to_owned()];
    read(&[("policy.yaml".to_owned(), policy.to_owned())], &Facts { upstreams: &upstreams, issuers: &issuers })
}

/// Compiles, and has the result looked over; the problems are told in words, too.
fn load(policy: &str, watch: Watch) -> Option<PolicySet> {
    let checked = watch.bounded("check", || with_facts(policy, |files, facts| check(files, facts, &Known::default())));
    match (watch.bounded("load", || compiled(policy)), checked) {
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

fn read_cases(set: &PolicySet, cases: &str, watch: Watch) {
    let first = watch.bounded("cases", || run(set, "cases.yaml", cases, &CatalogFacts::default(), NOW_UNIX_MS));
    let again = run(set, "cases.yaml", cases, &CatalogFacts::default(), NOW_UNIX_MS);
    match (&first, &again) {
        (Ok(first), Ok(again)) => assert_eq!(first, again),
        (Err(first), Err(_)) => first.iter().for_each(told),
        _ => panic!("cases are read in two ways"),
    }
}

/// Asks two sets of the same text the same things: everything if there is time, or else what `chosen` says.
fn ask(set: &PolicySet, again: &PolicySet, arguments: &[RawJson], chosen: usize, watch: Watch) {
    let moments = [NOW_UNIX_MS, NOW_UNIX_MS - 3 * 86_400_000 - 7 * 3_600_000, 0];
    for (at, (who, now_unix_ms)) in principals().iter().flat_map(|who| moments.map(|now| (who, now))).enumerate() {
        if watch.is_hurried() && at != chosen % 9 {
            continue;
        }
        let moment = Moment { now_unix_ms, route: "/mcp" };
        for upstream in ["files", "github"] {
            assert_eq!(set.capabilities(who, upstream, moment), again.capabilities(who, upstream, moment));
        }
        ask_for(set, again, who, moment, arguments, watch);
    }
}

fn ask_for(set: &PolicySet, again: &PolicySet, who: &Principal, moment: Moment<'_>, arguments: &[RawJson], watch: Watch) {
    let all = || std::iter::once(None).chain(arguments.iter().map(Some));
    for arguments in all() {
        for name in ["files__read_file", "github__create_issue"] {
            let class = set.class_of(name, Hints::default());
            one(set, again, who, moment, Kind::Tool { name, class, arguments }, watch);
        }
        one(set, again, who, moment, Kind::Prompt { name: "github__ask", arguments }, watch);
    }
    for uri in ["files__file:///srv/public/a.txt", "files__file:///etc/../x", "github__https://example.com/a?b=c"] {
        let yes = one(set, again, who, moment, Kind::Resource { uri }, watch);
        let template = uri.replace("a.txt", "{name}");
        if yes && template != uri {
            assert!(visible_template(set, who, &template, moment), "the template of a readable resource is hidden");
        }
    }
}

/// Asks in every way; true if allowed.
fn one(set: &PolicySet, again: &PolicySet, who: &Principal, moment: Moment<'_>, kind: Kind<'_>, watch: Watch) -> bool {
    if watch.is_late() {
        return false;
    }
    let Moment { now_unix_ms, route } = moment;
    let asked = Asked { kind, known: true, now_unix_ms, route };
    let decision = watch.bounded("decide", || decide(set, who, &asked));
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
    let bob =
        Principal { sub: Arc::from("bob"), client_id: None, scopes: vec![], claims: serde_json::Map::new(), ..alice.clone() };
    [alice, bob, Principal::anonymous()]
}

const ARGUMENTS: [&str; 5] = [
    "{}",
    r#"{"path":"/srv/public/../a.txt","url":"https://api.example.com/v1/x","ip":"10.1.2.3","n":4,"amount":1e2,"to":["a@example.com","b@example.org"],"q":"x","deep":{"a":{"b":[1,2,{"path":"/etc/passwd"}]}}}"#,
    r#"{"path":"/srv/public/a.txt","url":"http://169.254.169.254/latest","ip":"::ffff:127.0.0.1","n":-9223372036854775809,"to":[]}"#,
    r#"{"path":7,"Path":"/etc","url":["https://u:p@example.com\\@x"],"ip":"0x7f.1","n":0.30000000000000004,"to":[[[[]]]],"q":null}"#,
    r#"["path","/etc/passwd"]"#,
];

/// How long things take.
#[derive(Clone, Copy)]
pub struct Watch(Option<Instant>);

impl Watch {
    /// Fails for what takes too long.
    pub fn strict() -> Self {
        Self(Some(Instant::now()))
    }

    /// Asks everything, however long it takes.
    pub fn patient() -> Self {
        Self(None)
    }

    fn is_hurried(self) -> bool {
        self.0.is_some()
    }

    fn is_late(self) -> bool {
        self.0.is_some_and(|start| start.elapsed() > ALL_MAX)
    }

    /// The best of three counts, for the machine may be busy.
    fn bounded<T>(self, what: &str, work: impl Fn() -> T) -> T {
        let mut took = Duration::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            let done = work();
            took = took.min(start.elapsed());
            if took < EACH_MAX || self.0.is_none() {
                return done;
            }
        }
        panic!("{what} took {took:?}");
    }
}
