//! The product, asked through its public interface.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis::mcp::RawJson;
use portcullis::policy::{self, Asked, Decision, Facts, Hints, Kind, Moment, PolicySet, Quota};
use portcullis::vocab::{Class, Principal};
use serde_json::{Map, Value};

use crate::facts::{ISSUERS, UPSTREAMS};
use crate::json::Json;
use crate::language::{self, Ask, Family, Limit, Person, Policy};
use crate::meaning::Verdict;
use crate::obligations::limit_text;
use crate::random::Random;

/// What the product answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) class: &'static str,
    pub(crate) visible: bool,
    pub(crate) verdict: Verdict,
    pub(crate) shadow: Option<(&'static str, Vec<String>)>,
}

pub(crate) fn compile(policy: &Policy, files: &[(String, String)]) -> Result<PolicySet, String> {
    let upstreams: Vec<String> = UPSTREAMS.iter().map(|name| (*name).to_owned()).collect();
    let issuers: Vec<String> = ISSUERS[..policy.issuers].iter().map(|name| (*name).to_owned()).collect();
    let facts = Facts { upstreams: &upstreams, issuers: &issuers };
    policy::compile(files, &facts).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        format!("does not compile:\n{}", lines.join("\n"))
    })
}

pub(crate) fn principal(person: &Person) -> Principal {
    if person.anonymous {
        return Principal::anonymous();
    }
    let mut random = Random::new(0);
    let claims: Map<String, Value> = person
        .claims
        .iter()
        .map(|(name, value)| ((*name).to_owned(), serde_json::from_str(&value.write(&mut random)).unwrap()))
        .collect();
    Principal {
        iss: Arc::from(person.iss),
        sub: Arc::from(person.sub),
        client_id: person.client.map(Arc::from),
        scopes: person.scopes.iter().map(|scope| (*scope).into()).collect(),
        claims,
        expires_at_s: None,
        key_id: None,
        anonymous: false,
    }
}

pub(crate) fn raw(args: &Json, random: &mut Random) -> RawJson {
    RawJson::parse(Bytes::from(args.write(random)), 64).unwrap()
}

pub(crate) fn answer(set: &PolicySet, ask: &Ask, random: &mut Random) -> Answer {
    let who = principal(&ask.who);
    let (read_only, destructive) = ask.hints;
    let class = match ask.family {
        Family::Tool => set.class_of(ask.name, Hints { read_only, destructive }),
        Family::Resource | Family::Prompt => Class::Read,
    };
    let arguments = ask.args.as_ref().map(|args| raw(args, random));
    let arguments = arguments.as_ref();
    let kind = match ask.family {
        Family::Tool => Kind::Tool { name: ask.name, class, arguments },
        Family::Resource => Kind::Resource { uri: ask.name },
        Family::Prompt => Kind::Prompt { name: ask.name, arguments },
    };
    let asked = Asked { kind, known: ask.known, now_unix_ms: ask.now_ms, route: ask.route };
    let moment = Moment { now_unix_ms: ask.now_ms, route: ask.route };
    let subject = set.subject(&who);
    let visible = policy::visible(set, &who, &kind, moment);
    assert_eq!(policy::visible_for(set, &subject, &who, &kind, moment), visible, "visible both ways");
    let decision = policy::decide(set, &who, &asked);
    let verdict = verdict_of(&decision);
    let cached = policy::decide_for(set, &subject, &who, &asked);
    assert_eq!((verdict_of(&cached), shadow(&cached)), (verdict.clone(), shadow(&decision)), "decided both ways");
    let effect = if verdict.reason == "allowed" { "allow" } else { "deny" };
    assert_eq!(decision.effect().as_str(), effect);
    assert_eq!(decision.policy_digest(), set.digest());
    Answer { class: class.as_str(), visible, shadow: shadow(&decision), verdict }
}

fn verdict_of(decision: &Decision) -> Verdict {
    let owned = |items: &[Arc<str>]| items.iter().map(|item| item.to_string()).collect::<Vec<_>>();
    let mut limits: Vec<String> = decision.limits().iter().map(|limit| real_limit(limit)).collect();
    limits.sort();
    let approval = |approval: &Arc<policy::Approval>| {
        let policy::Approval { rule, quorum, requester, expires, .. } = &**approval;
        format!("{rule} quorum {quorum} requester {requester} expires {}s", expires.as_secs())
    };
    let mut approvals: Vec<String> = decision.approvals().iter().map(approval).collect();
    approvals.sort();
    assert_eq!(decision.redacts(), decision.obligations().contains(&"redact"));
    Verdict {
        reason: decision.reason().as_str(),
        rules: owned(decision.rules()),
        scopes_missing: owned(decision.scopes_missing()),
        obligations: decision.obligations(),
        limits,
        approvals,
        deadline_ms: decision.deadline().map(|deadline| u64::try_from(deadline.as_millis()).unwrap()),
        audit: owned(decision.shown_arguments()),
    }
}

fn shadow(decision: &Decision) -> Option<(&'static str, Vec<String>)> {
    let shadow = decision.shadow()?;
    Some((shadow.reason.as_str(), shadow.rules.iter().map(|id| id.to_string()).collect()))
}

fn real_limit(limit: &policy::Limit) -> String {
    let s = |per: Duration| per.as_secs();
    let quota = match limit.quota {
        Quota::Calls { calls, per } => language::Quota::Calls(calls, s(per)),
        Quota::Concurrent(n) => language::Quota::Concurrent(n),
        Quota::Bytes { bytes, per } => language::Quota::Bytes(bytes, s(per)),
        Quota::ResponseTokens { tokens, per } => language::Quota::Tokens(tokens, s(per)),
    };
    let words = ["principal", "client", "tenant", "tool", "class", "upstream", "route", "group"];
    let by = limit.by.iter().map(|by| format!("{by:?}").to_lowercase());
    let by = by.map(|by| *words.iter().find(|word| **word == by).unwrap()).collect();
    limit_text(&limit.rule, &Limit { quota, by })
}

/// The four capabilities, in the order of the universe.
pub(crate) fn capabilities(set: &PolicySet, ask: &Ask, upstream: &str) -> [bool; 4] {
    let moment = Moment { now_unix_ms: ask.now_ms, route: ask.route };
    let given = set.capabilities(&principal(&ask.who), upstream, moment);
    [given.elicitation_form, given.elicitation_url, given.sampling, given.roots]
}
