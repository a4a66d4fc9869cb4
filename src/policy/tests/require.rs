//! What rules require: how it is read, joined and named.

use std::time::Duration;

use super::*;
use crate::policy::permit::{Evidence, Grant, Lease, MissingEvidence, ObserveOnly, Receipt, Used};
use crate::vocab::Reason;

const HEAD: &str = "version: 1\ntools:\n- { match: ['x__read*'], class: read }\n- { match: ['x__write*'], class: write }\n\
    groups: { sre: { claim: groups, any_of: [sre] } }\nrules:\n";

fn rule(id: &str, require: &str) -> String {
    format!(
        "- {{ id: {id}, effect: allow, principals: [any], tools: ['x__*'], classes: [read, write], require: {{ {require} }} }}\n"
    )
}

fn with(rules: &[String]) -> PolicySet {
    let head = if rules.is_empty() { HEAD.trim_end_matches("rules:\n") } else { HEAD };
    set(&format!("{head}{}", rules.concat()))
}

fn decision(requires: &[&str]) -> Decision {
    let rules: Vec<String> = requires.iter().enumerate().map(|(n, require)| rule(&format!("r{n}"), require)).collect();
    call(&with(&rules), &alice(&[]), "x__read", "{}")
}

/// The mistake that one `require` has.
fn mistake(require: &str, path: &str, says: &str) {
    let files = [("p.yaml".to_owned(), format!("{HEAD}{}", rule("r", require)))];
    let problems = compile(&files, &Facts { upstreams: &[], issuers: &[] }).err().unwrap_or_default();
    let path = format!("rules[0].require.{path}");
    assert!(problems.len() == 1, "{require}\n{problems:#?}");
    assert!(problems[0].path == path && problems[0].to_string().contains(says), "{require}: {path} {says}\n{problems:#?}");
    assert!(problems[0].line > 0, "{require}");
}

#[test]
fn every_obligation_has_its_word_in_a_fixed_order() {
    for (requires, words) in [
        (&["scope: mcp:read"][..], &[][..]),
        (&["audit: [/path]"], &["audit"]),
        (&["deadline: 10s"], &["deadline"]),
        (&["redact: [secrets]"], &["redact"]),
        (&["limit: [{ bytes: 1KiB, per: 1h, by: [] }]"], &["limit"]),
        (&["approval: { from: [caller] }"], &["approval"]),
        (
            &[
                "audit: [/path], deadline: 10s",
                "redact: [secrets], approval: { from: [caller] }, limit: [{ concurrent: 1, by: [] }]",
            ],
            &["approval", "limit", "redact", "deadline", "audit"],
        ),
    ] {
        assert_eq!(decision(requires).obligations(), words, "{requires:?}");
    }
}

#[test]
fn cases_know_every_word() {
    let set = with(&[rule(
        "r",
        "approval: { from: [caller] }, limit: [{ calls: 1, per: 1s, by: [] }], redact: [secrets], deadline: 1s, audit: [/a]",
    )]);
    let case = |words: &str, expect: bool| {
        let text = format!("- {{ name: n, as: {{ sub: a }}, call: x__read, expect: allow, obligations: [{words}] }}\n");
        let outcomes = run(&set, "c.yaml", &text, &CatalogFacts::default(), NOW.now_unix_ms).unwrap_or_else(|p| panic!("{p:#?}"));
        assert_eq!(outcomes[0].failure.is_none(), expect, "{words} {outcomes:?}");
    };
    case("approval, limit, redact, deadline, audit", true);
    case("audit, deadline, redact, limit, approval", true);
    case("approval, limit, redact, deadline", false);
    let text = "- { name: n, as: { sub: a }, call: x__read, expect: allow, obligations: [approve] }\n";
    assert!(run(&set, "c.yaml", text, &CatalogFacts::default(), NOW.now_unix_ms).is_err());
}

#[test]
fn approvals_join_and_the_strictest_wins() {
    let joined = decision(&[
        "approval: { from: ['group:sre', 'sub:bob'], quorum: 2, requester: true, expires: 1h }",
        "approval: { from: [caller], expires: 5m }",
        "limit: [{ calls: 1, per: 1s, by: [] }]",
    ]);
    let seen: Vec<_> = joined.approvals().iter().map(|a| (&*a.rule, a.quorum, a.requester, a.expires.as_secs())).collect();
    assert_eq!(seen, [("r0", 2, false, 300), ("r1", 1, false, 300)]);
    let alone = decision(&["approval: { from: [any], requester: true }"]);
    assert_eq!((alone.approvals()[0].requester, alone.approvals()[0].expires.as_secs()), (true, 900));
}

#[test]
fn approvers_are_told_apart_by_issuer_and_subject() {
    let person = |iss: &str, sub: &str, groups: &[&str]| Principal { iss: iss.into(), sub: sub.into(), ..alice(groups) };
    let (idp, other) = ("https://idp.example", "https://other.example");
    for (approval, person, counts) in [
        ("from: ['group:sre']", person(idp, "bob", &["sre"]), true),
        ("from: ['group:sre']", person(idp, "bob", &[]), false),
        ("from: ['group:sre']", person(idp, "alice", &["sre"]), false),
        ("from: ['group:sre']", person(other, "alice", &["sre"]), true),
        ("from: ['group:sre'], requester: true", person(idp, "alice", &["sre"]), true),
        ("from: [caller]", person(idp, "alice", &[]), true),
        ("from: [caller]", person(other, "alice", &[]), false),
        ("from: [caller]", person(idp, "bob", &[]), false),
        ("from: [caller, 'group:sre']", person(idp, "alice", &[]), true),
    ] {
        let decision = decision(&[&format!("approval: {{ {approval} }}")]);
        assert_eq!(decision.approvals()[0].counts(&person, &alice(&[]).key()), counts, "{approval} {person:?}");
    }
}

#[test]
fn the_rest_joins_too() {
    let joined = decision(&["deadline: 10s, audit: [/b, /a]", "deadline: 250ms, audit: [/a~1x, /b]", "redact: [secrets]"]);
    assert_eq!(joined.deadline(), Some(Duration::from_millis(250)));
    assert!(joined.redacts());
    assert_eq!(joined.shown_arguments().iter().map(|p| &**p).collect::<Vec<_>>(), ["/a", "/a~1x", "/b"]);
    let plain = decision(&["limit: [{ calls: 1, per: 1s, by: [] }]"]);
    assert!(!plain.redacts() && plain.deadline().is_none() && plain.shown_arguments().is_empty() && plain.approvals().is_empty());
}

#[test]
fn quotas_of_every_kind_are_read() {
    for (text, quota) in [
        ("bytes: 10MiB, per: 1h", Quota::Bytes { bytes: 10 << 20, per: Duration::from_secs(3600) }),
        ("bytes: 5000, per: 1s", Quota::Bytes { bytes: 5000, per: Duration::from_secs(1) }),
        ("bytes: 2 kB, per: 1s", Quota::Bytes { bytes: 2000, per: Duration::from_secs(1) }),
        ("response_tokens: 100000, per: 1m", Quota::ResponseTokens { tokens: 100_000, per: Duration::from_secs(60) }),
        ("calls: 3, per: 1m", Quota::Calls { calls: 3, per: Duration::from_secs(60) }),
        ("concurrent: 4", Quota::Concurrent(4)),
    ] {
        let decision = decision(&[&format!("limit: [{{ {text}, by: [principal, group] }}]")]);
        assert_eq!((decision.limits()[0].quota, &*decision.limits()[0].by), (quota, &[By::Principal, By::Group][..]), "{text}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    mistake("approval: {}", "approval.from", "required");
    mistake("approval: { from: [] }", "approval.from", "empty");
    mistake("approval: { from: [bob] }", "approval.from[0]", "no such kind");
    mistake("approval: { from: ['group:sry'] }", "approval.from[0]", "did you mean `group:sre`?");
    mistake("approval: { from: [caller], quorum: 0 }", "approval.quorum", "whole number");
    mistake("approval: { from: [caller], quorum: 17 }", "approval.quorum", "more than 16");
    mistake("approval: { from: [caller], requester: 'no' }", "approval.requester", "true or false");
    mistake("approval: { from: [caller], expires: 59s }", "approval.expires", "from 1m to 24h");
    mistake("approval: { from: [caller], expires: 25h }", "approval.expires", "from 1m to 24h");
    mistake("approval: { from: [caller], form: x }", "approval.form", "did you mean `from`?");
    mistake("redact: [pii]", "redact[0]", "no such word");
    mistake("redact: secrets", "redact", "expected a list");
    mistake("deadline: 99ms", "deadline", "100ms");
    mistake("deadline: 61m", "deadline", "1h");
    mistake("deadline: 10", "deadline", "expected a text");
    mistake("audit: [path]", "audit[0]", "starts with `/`");
    mistake("audit: ['/items/*/id']", "audit[0]", "one argument");
    mistake("audit: ['/**']", "audit[0]", "one argument");
    mistake("audit: ['']", "audit[0]", "one argument");
    mistake("limit: [{ bytes: 0, per: 1h, by: [] }]", "limit[0].bytes", "number of bytes");
    mistake("limit: [{ bytes: 10 Mb, per: 1h, by: [] }]", "limit[0].bytes", "number of bytes");
    mistake("limit: [{ bytes: 99999999999GiB, per: 1h, by: [] }]", "limit[0].bytes", "number of bytes");
    mistake("limit: [{ bytes: 1MiB, by: [] }]", "limit[0]", "not a limit");
    mistake("limit: [{ bytes: 1MiB, calls: 1, per: 1h, by: [] }]", "limit[0]", "not a limit");
    mistake("limit: [{ response_tokens: 1.5, per: 1h, by: [] }]", "limit[0].response_tokens", "whole number");
    mistake("limit: [{ response_tokens: 1, concurrent: 1, by: [] }]", "limit[0]", "not a limit");
}

#[test]
fn an_approval_is_found_by_its_rule_and_says_its_words() {
    let set = with(&[rule("r", "approval: { from: [caller, 'group:sre'] }"), rule("s", "scope: a")]);
    assert!(set.warnings().is_empty(), "{:?}", set.warnings());
    let approval = set.approval("r").unwrap();
    assert_eq!((approval.words(), approval.is_of_caller()), (vec!["caller".to_owned(), "group:sre".to_owned()], false));
    assert!(set.approval("s").is_none() && set.approval("q").is_none());
}

#[test]
fn the_digest_covers_every_requirement() {
    let all = [
        "scope: a",
        "approval: { from: [caller] }",
        "approval: { from: [any] }",
        "approval: { from: ['group:sre'] }",
        "approval: { from: ['group:sre', caller] }",
        "approval: { from: ['group:sre'], quorum: 2 }",
        "approval: { from: ['group:sre'], requester: true }",
        "approval: { from: ['group:sre'], expires: 16m }",
        "redact: [secrets]",
        "deadline: 1s",
        "deadline: 2s",
        "audit: [/a]",
        "audit: [/b]",
        "limit: [{ calls: 1, per: 1h, by: [] }]",
        "limit: [{ bytes: 1, per: 1h, by: [] }]",
        "limit: [{ response_tokens: 1, per: 1h, by: [] }]",
    ];
    let digests: std::collections::BTreeSet<Arc<str>> = all.iter().map(|r| with(&[rule("r", r)]).digest().clone()).collect();
    assert_eq!(digests.len(), all.len());
    for (one, same) in [
        (
            "approval: { from: ['group:sre', caller], quorum: 1 }",
            "approval: { requester: false, expires: 900s, from: [caller, 'group:sre', caller] }",
        ),
        ("deadline: 1m", "deadline: 60s"),
        ("audit: [/a, /b]", "audit: [/b, /a, /a]"),
        ("limit: [{ bytes: 1KiB, per: 1m, by: [] }]", "limit: [{ bytes: 1024, per: 60s, by: [] }]"),
    ] {
        assert_eq!(with(&[rule("r", one)]).digest(), with(&[rule("r", same)]).digest(), "{one}");
    }
}

fn evidence() -> Evidence {
    Evidence { lease: Some(Lease::assertion(None, None)), receipt: Some(Receipt::assertion(Some(1))), ..Evidence::default() }
}

#[test]
fn an_approval_cannot_be_skipped_and_a_permit_carries_the_rest() {
    let gated = decision(&["approval: { from: [caller] }"]);
    let (name, policy) = (gated.operation.name.as_str().to_owned(), gated.policy_digest().clone());
    assert_eq!(gated.clone().permit(evidence()).err(), Some(MissingEvidence::Grant));
    // Nor with one of another operation or policy, nor without the intent, whatever the class.
    let with = |name: &str, policy: &str| Some(Grant::assertion(name, policy.into()));
    for grant in [with("files__other", &policy), with(&name, "sha256:other")] {
        assert_eq!(gated.clone().permit(Evidence { grant, ..evidence() }).err(), Some(MissingEvidence::Grant));
    }
    let grant = with(&name, &policy);
    let bare = Evidence { receipt: None, grant, ..evidence() };
    assert_eq!(gated.clone().permit(bare).err(), Some(MissingEvidence::Receipt));
    assert!(gated.permit(Evidence { grant: with(&name, &policy), ..evidence() }).is_ok());
    let permit = decision(&["redact: [secrets], deadline: 1s"]).permit(Evidence::default()).unwrap();
    assert_eq!((permit.redacts(), permit.deadline()), (true, Some(Duration::from_secs(1))));
    let permit = decision(&["scope: mcp:read"]).permit(Evidence::default()).unwrap();
    assert_eq!((permit.redacts(), permit.deadline()), (false, None));
}

#[test]
fn observing_passes_what_policy_refuses_and_nothing_else() {
    let observe = ObserveOnly::assertion();
    let passes = [
        Reason::NoRule,
        Reason::RuleDenied,
        Reason::Indeterminate,
        Reason::NotVisible,
        Reason::ApprovalRequired,
        Reason::RateLimited,
        Reason::ConcurrencyLimited,
    ];
    let stays = [
        Reason::UnknownName,
        Reason::ScopeRequired,
        Reason::ApprovalDenied,
        Reason::ApprovalExpired,
        Reason::Quarantined,
        Reason::ArgumentsInvalid,
        Reason::ContentBlocked,
        Reason::AuditUnavailable,
        Reason::Unauthenticated,
        Reason::OriginRefused,
        Reason::HostRefused,
    ];
    assert!(passes.into_iter().all(|reason| observe.passes(reason)));
    assert!(!stays.into_iter().any(|reason| observe.passes(reason)));

    let refused = |name: &str| call(&with(&[]), &alice(&[]), name, "{}");
    assert!(refused("x__read").permit_observed(Evidence::default(), observe).is_ok());
    // A write keeps its intent.
    let write = refused("x__write").permit_observed(Evidence::default(), observe).err();
    assert_eq!(write, Some(MissingEvidence::Receipt));
    assert!(refused("x__write").permit_observed(evidence(), observe).is_ok());
    assert!(decision(&["approval: { from: [caller] }"]).permit_observed(Evidence::default(), observe).is_ok());
    let scoped = decision(&["scope: other"]).permit_observed(evidence(), observe).err();
    assert_eq!(scoped, Some(MissingEvidence::Refused(Reason::ScopeRequired)));
    // What the rules that would allow it ask for its answer holds for an observed refusal too.
    let guarded = |text: &str| {
        let deny = "- { id: no, effect: deny, tools: [x__read], arguments: { /p: { equals: x } } }";
        let set = with(&[rule("r0", "redact: [secrets], deadline: 1s"), deny.to_owned()]);
        let refused = call(&set, &alice(&[]), "x__read", text);
        assert_eq!((refused.reason(), refused.redacts(), refused.obligations().len()), (Reason::RuleDenied, false, 0));
        refused.permit_observed(Evidence::default(), observe).unwrap()
    };
    let permit = guarded(r#"{"p":"x"}"#);
    assert!(permit.redacts() && permit.deadline().is_some());
    // Lists have a way of their own, which is no way for calls.
    let set = with(&[]);
    assert!(decide_list(&set, &alice(&[]), "x", NOW).permit_lists_observed(observe).is_ok());
    assert!(refused("x__read").permit_lists_observed(observe).is_err());
}

#[test]
fn a_meter_charges_once_what_was_added_however_it_ends() {
    let charged: Arc<parking_lot::Mutex<Vec<Used>>> = Arc::default();
    let into = charged.clone();
    let lease = Lease::assertion(None, Some(Box::new(move |used| into.lock().push(used))));
    let limited = decision(&["limit: [{ bytes: 1, per: 1h, by: [] }]"]);
    let mut permit = limited.permit(Evidence { lease: Some(lease), receipt: None, ..Evidence::default() }).unwrap();
    let (mut meter, late) = (permit.meter(), permit.meter());
    meter.add(Used { bytes: 10, text_bytes: 5 });
    meter.add(Used { bytes: 1, text_bytes: 4 });
    drop((permit, late));
    assert!(charged.lock().is_empty());
    drop(meter);
    assert_eq!(*charged.lock(), [Used { bytes: 11, text_bytes: 9 }]);
    assert_eq!(charged.lock()[0].tokens(), 3);
}
