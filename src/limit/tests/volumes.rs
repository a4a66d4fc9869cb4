//! Limits on what answers deliver, and every key they can be counted by.

use super::*;
use crate::policy::permit::{Evidence, Permit, Used};
use crate::policy::{Asked, Facts, Kind, compile, decide};

const HOUR: Duration = Duration::from_secs(3600);

fn bytes(bytes: u64) -> Quota {
    Quota::Bytes { bytes, per: HOUR }
}

fn tokens(tokens: u64) -> Quota {
    Quota::ResponseTokens { tokens, per: HOUR }
}

/// A permit that holds `lease`.
fn permit(lease: Lease) -> Permit {
    let text = "version: 1\ntools: [{ match: ['x__t'], class: read }]\nrules: [{ id: r, effect: allow, principals: [any], tools: ['x__t'], \
        require: { limit: [{ bytes: 1, per: 1h, by: [] }] } }]\n";
    let set = compile(&[("p.yaml".to_owned(), text.to_owned())], &Facts { upstreams: &[], issuers: &[] }).unwrap();
    let kind = Kind::Tool { name: "x__t", class: Class::Read, arguments: None };
    let decision = decide(&set, &Principal::anonymous(), &Asked { kind, known: true, now_unix_ms: 1, route: "/mcp" });
    decision.permit(Evidence { lease: Some(lease), receipt: None, ..Evidence::default() }).unwrap()
}

/// One call that delivers `used`.
fn call(limiter: &Limiter, limits: &[Arc<Limit>], who: &Principal, used: Used) -> Result<(), Denial> {
    let mut permit = permit(limiter.take(limits, &subject(who, "t"))?);
    permit.meter().add(used);
    Ok(())
}

fn used(bytes: u64, text_bytes: u64) -> Used {
    Used { bytes, text_bytes }
}

#[test]
fn a_call_passes_while_less_than_the_quota_is_used() {
    for (quota, deliver) in [(bytes(1000), used(400, 0)), (tokens(1000), used(9_999_999, 1600)), (tokens(1000), used(0, 1597))] {
        let limiter = Limiter::new(Monotonic::stopped());
        let (alice, limits) = (who("alice", &[]), [limit("r", quota, &[By::Principal])]);
        let passed = (0..10).take_while(|_| call(&limiter, &limits, &alice, deliver).is_ok()).count();
        // 400, 800, 1200: the third exceeds the quota, the fourth is refused.
        assert_eq!(passed, 3, "{quota:?}");
        let denial = limiter.take(&limits, &subject(&alice, "t")).err().unwrap();
        assert_eq!((denial.reason, denial.rule.as_deref()), (Reason::RateLimited, Some("r")));
        assert!(call(&limiter, &limits, &who("bob", &[]), deliver).is_ok(), "nobody else is held");
    }
}

#[test]
fn the_wait_is_until_enough_is_forgotten() {
    let limiter = Limiter::new(Monotonic::stopped());
    let (alice, limits) = (who("alice", &[]), [limit("r", bytes(1000), &[By::Principal])]);
    for amount in [300, 600, 500] {
        call(&limiter, &limits, &alice, used(amount, 0)).unwrap();
        limiter.time.advance(Duration::from_secs(600));
    }
    // 1400 used; without the first 300 it is 1100, without the 600 it is 500.
    let wait = limiter.take(&limits, &subject(&alice, "t")).err().unwrap().retry_after.unwrap();
    assert_eq!(wait, Duration::from_secs(3600 - 1200));
    limiter.time.advance(wait - Duration::from_nanos(1));
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_err());
    limiter.time.advance(Duration::from_nanos(1));
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_ok());
}

#[test]
fn what_is_under_way_is_charged_when_it_ends_and_nothing_is_charged_for_a_refusal() {
    let limiter = Limiter::new(Monotonic::stopped());
    let (alice, limits) = (who("alice", &[]), [limit("v", bytes(100), &[]), limit("c", Quota::Concurrent(2), &[])]);
    let mut first = permit(limiter.take(&limits, &subject(&alice, "t")).ok().unwrap());
    let mut meter = first.meter();
    meter.add(used(70, 0));
    let second = limiter.take(&limits, &subject(&alice, "t"));
    assert!(second.is_ok(), "not charged yet");
    assert_eq!(limiter.take(&limits, &subject(&alice, "t")).err().unwrap().reason, Reason::ConcurrencyLimited);
    // A lease that no answer came of charges nothing.
    drop(second);
    meter.add(used(30, 0));
    drop((first, meter));
    assert_eq!(limiter.take(&limits, &subject(&alice, "t")).err().unwrap().reason, Reason::RateLimited);
}

#[test]
fn the_window_is_kept_in_bounded_memory_and_never_too_generous() {
    let mut volume = super::super::volume::Volume::new(1_000, 64_000);
    let mut log: Vec<u64> = Vec::new();
    let mut now = 0;
    for step in 0..20_000_u64 {
        now += 1 + step * 7 % 13;
        let recent = log.iter().rev().take_while(|at| **at + 64_000 > now).count();
        if volume.wait(now).is_none() {
            assert!(recent < 1_000, "at {now}: {recent}");
            volume.add(1, now);
            log.push(now);
        } else {
            // It may remember for one slice longer than it must.
            let longer = log.iter().rev().take_while(|at| **at + 65_000 > now).count();
            assert!(longer >= 1_000, "at {now}: {longer}");
        }
        assert!(volume.slices() <= 66);
    }
    assert!(log.len() > 2_000);
}

#[test]
fn an_enormous_answer_neither_wraps_nor_stays_for_ever() {
    let limiter = Limiter::new(Monotonic::stopped());
    let (alice, limits) = (who("alice", &[]), [limit("r", bytes(u64::MAX), &[])]);
    for _ in 0..3 {
        drop(call(&limiter, &limits, &alice, used(u64::MAX - 1, 0)));
    }
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_err());
    limiter.time.advance(HOUR);
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_ok());
}

/// For every key: what differs in it has a count of its own, whatever else is the same, and what does not differ shares one.
#[test]
fn every_key_tells_apart_what_it_names_and_nothing_else() {
    let person = |sub: &str, client: &str, tenant: &str, group: &str| {
        let claims = json!({ "groups": [group], "tenant": tenant }).as_object().unwrap().clone();
        Principal { client_id: Some(client.into()), claims, ..who(sub, &[]) }
    };
    let base = person("alice", "c1", "t1", "g1");
    let others = [
        person("bob", "c1", "t1", "g1"),
        person("alice", "c2", "t1", "g1"),
        person("alice", "c1", "t2", "g1"),
        person("alice", "c1", "t1", "g2"),
    ];
    let first = Subject { principal: &base, tool: "x__t", class: Class::Read, upstream: "x", route: "/mcp" };
    let variants = [
        (By::Principal, Subject { principal: &others[0], ..first }),
        (By::Client, Subject { principal: &others[1], ..first }),
        (By::Tenant, Subject { principal: &others[2], ..first }),
        (By::Group, Subject { principal: &others[3], ..first }),
        (By::Tool, Subject { tool: "x__u", ..first }),
        (By::Class, Subject { class: Class::Write, ..first }),
        (By::Upstream, Subject { upstream: "y", ..first }),
        (By::Route, Subject { route: "/other", ..first }),
    ];
    for quota in [calls(1, 3600), Quota::Concurrent(1), bytes(1), tokens(1)] {
        for (by, _) in &variants {
            for (differs, second) in &variants {
                let limiter = Limiter::new(Monotonic::stopped());
                let limits = [limit("r", quota, &[*by])];
                let mut held = permit(limiter.take(&limits, &first).ok().unwrap());
                held.meter().add(used(1, 1));
                let shared = limiter.take(&limits, second).is_err();
                assert_eq!(shared, by != differs, "{quota:?} by {by:?}, {differs:?} differs");
            }
        }
    }
}
