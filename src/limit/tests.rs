mod accuracy;
mod volumes;

use std::collections::VecDeque;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::policy::obligation::By;
use crate::vocab::{Class, Principal};

fn who(sub: &str, groups: &[&str]) -> Principal {
    let claims: Map<String, serde_json::Value> = [("groups".to_owned(), json!(groups))].into_iter().collect();
    Principal { iss: "https://idp".into(), sub: sub.into(), claims, ..Principal::anonymous() }
}

fn subject<'a>(principal: &'a Principal, tool: &'a str) -> Subject<'a> {
    Subject { principal, tool, class: Class::Read, upstream: "files", route: "/mcp" }
}

fn limit(rule: &str, quota: Quota, by: &[By]) -> Arc<Limit> {
    Arc::new(Limit { rule: rule.into(), index: 0, quota, by: by.into() })
}

fn calls(calls: u32, per_s: u64) -> Quota {
    Quota::Calls { calls, per: Duration::from_secs(per_s) }
}

/// Calls as fast as `step` allows for `total`; returns the instants that passed.
fn drive(limiter: &Limiter, limits: &[Arc<Limit>], step: Duration, total: Duration) -> Vec<u64> {
    let alice = who("alice", &[]);
    let start = limiter.time.now_ns();
    let mut passed = Vec::new();
    while limiter.time.now_ns() - start < total.as_nanos() as u64 {
        // The instant before the call: the call itself is counted at or after it.
        let now = limiter.time.now_ns();
        if limiter.take(limits, &subject(&alice, "t")).is_ok() {
            passed.push(now);
        }
        limiter.time.advance(step);
    }
    passed
}

fn most_in_a_window(passed: &[u64], window_ns: u64) -> usize {
    let mut inside = VecDeque::new();
    let mut most = 0;
    for at in passed {
        // A millisecond less than the window, since recorded instants precede the counted ones.
        while inside.front().is_some_and(|first| first + window_ns - 1_000_000 <= *at) {
            inside.pop_front();
        }
        inside.push_back(*at);
        most = most.max(inside.len());
    }
    most
}

#[test]
fn rates_hold_in_every_window_and_on_average() {
    for (n, per_s, step_us) in
        [(10, 3600, 20_000_000), (1, 1, 50_000), (10, 1, 7_000), (100, 1, 900), (6000, 60, 1_000), (1000, 3600, 1_000_000)]
    {
        let limiter = Limiter::new(Monotonic::start());
        let limits = [limit("r", calls(n, per_s), &[By::Principal])];
        let windows = 10;
        let passed = drive(&limiter, &limits, Duration::from_micros(step_us), Duration::from_secs(per_s * windows));
        let most = most_in_a_window(&passed, per_s * 1_000_000_000);
        assert!(most * 100 <= n as usize * 110, "{n} per {per_s} s: {most} in one window");
        let (low, high) = (f64::from(n) * windows as f64 * 0.95, f64::from(n) * windows as f64 * 1.05);
        assert!((low..=high).contains(&(passed.len() as f64)), "{n} per {per_s} s: {} in all", passed.len());
    }
}

#[test]
fn a_small_limit_passes_an_honest_burst_and_tells_the_true_wait() {
    let limiter = Limiter::new(Monotonic::start());
    let alice = who("alice", &[]);
    let limits = [limit("ten", calls(10, 3600), &[By::Principal])];
    for _ in 0..10 {
        assert!(limiter.take(&limits, &subject(&alice, "t")).is_ok());
    }
    let denial = limiter.take(&limits, &subject(&alice, "t")).err().unwrap();
    assert_eq!((denial.reason, denial.rule.as_deref()), (Reason::RateLimited, Some("ten")));
    let wait = denial.retry_after.unwrap();
    assert!(wait > Duration::from_secs(3590) && wait <= Duration::from_secs(3600), "{wait:?}");
    limiter.time.advance(wait - Duration::from_secs(60));
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_err());
    limiter.time.advance(Duration::from_secs(60));
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_ok());
}

#[test]
fn a_smoothed_limit_tells_the_true_wait() {
    let limiter = Limiter::new(Monotonic::start());
    let alice = who("alice", &[]);
    let limits = [limit("many", calls(200, 2000), &[By::Principal])];
    for _ in 0..10 {
        assert!(limiter.take(&limits, &subject(&alice, "t")).is_ok());
    }
    let wait = limiter.take(&limits, &subject(&alice, "t")).err().unwrap().retry_after.unwrap();
    assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
    limiter.time.advance(wait);
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_ok());
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_err());
}

#[test]
fn a_refused_call_takes_nothing() {
    for wide in [calls(5, 3600), calls(200, 3600), Quota::Concurrent(5)] {
        let limiter = Limiter::new(Monotonic::start());
        let alice = who("alice", &[]);
        let both = [limit("wide", wide, &[By::Principal]), limit("narrow", calls(1, 3600), &[By::Tool])];
        let lease = limiter.take(&both, &subject(&alice, "t"));
        assert!(lease.is_ok());
        for _ in 0..100 {
            assert_eq!(limiter.take(&both, &subject(&alice, "t")).err().unwrap().rule.as_deref(), Some("narrow"));
        }
        let left = (0..100).map_while(|_| limiter.take(&both[..1], &subject(&alice, "t")).ok()).collect::<Vec<_>>();
        assert_eq!(left.len(), if matches!(wide, Quota::Calls { calls: 200, .. }) { 9 } else { 4 });
    }
}

#[test]
fn concurrency_returns_on_drop() {
    let limiter = Limiter::new(Monotonic::start());
    let alice = who("alice", &[]);
    let limits = [limit("two", Quota::Concurrent(2), &[By::Tool])];
    let first = limiter.take(&limits, &subject(&alice, "t")).ok();
    let second = limiter.take(&limits, &subject(&alice, "t")).ok();
    let denial = limiter.take(&limits, &subject(&alice, "t")).err().unwrap();
    assert_eq!((denial.reason, denial.retry_after), (Reason::ConcurrencyLimited, None));
    assert!(limiter.take(&limits, &subject(&alice, "other")).is_ok());
    drop(first);
    let third = limiter.take(&limits, &subject(&alice, "t"));
    assert!(third.is_ok());
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_err());
    drop((second, third));
    assert!(limiter.take(&limits, &subject(&alice, "t")).is_ok());
}

#[test]
fn one_limit_named_twice_counts_once() {
    let limiter = Limiter::new(Monotonic::start());
    let alice = who("alice", &[]);
    let one = limit("one", Quota::Concurrent(1), &[]);
    assert!(limiter.take(&[one.clone(), one.clone()], &subject(&alice, "t")).is_ok());
    assert!(limiter.take(&[one.clone(), one], &subject(&alice, "t")).is_ok());
}

#[test]
fn keys_are_apart_exactly_where_by_says_so() {
    let (alice, bob) = (who("alice", &["eng", "sre"]), who("bob", &["eng"]));
    let other_issuer = Principal { iss: "https://other".into(), ..who("alice", &["eng"]) };
    // (by, second caller, second tool, shares the first's count)
    let table: [(&[By], &Principal, &str, bool); 8] = [
        (&[], &bob, "u", true),
        (&[By::Principal], &bob, "t", false),
        (&[By::Principal], &alice, "u", true),
        (&[By::Principal], &other_issuer, "t", false),
        (&[By::Principal, By::Tool], &alice, "u", false),
        (&[By::Tool], &bob, "t", true),
        (&[By::Group], &bob, "t", true),
        (&[By::Group], &other_issuer, "t", false),
    ];
    for (by, second, tool, shared) in table {
        let limiter = Limiter::new(Monotonic::start());
        let limits = [limit("r", calls(1, 3600), by)];
        assert!(limiter.take(&limits, &subject(&alice, "t")).is_ok());
        assert_eq!(limiter.take(&limits, &subject(second, tool)).is_err(), shared, "{by:?} {second:?} {tool}");
    }
}

#[test]
fn a_reload_keeps_the_count_and_a_changed_quota_starts_anew() {
    let limiter = Limiter::new(Monotonic::start());
    let alice = who("alice", &[]);
    let before = [limit("r", calls(1, 3600), &[By::Principal])];
    assert!(limiter.take(&before, &subject(&alice, "t")).is_ok());
    let same = [limit("r", calls(1, 3600), &[By::Principal])];
    assert!(limiter.take(&same, &subject(&alice, "t")).is_err());
    let raised = [limit("r", calls(2, 3600), &[By::Principal])];
    assert!(limiter.take(&raised, &subject(&alice, "t")).is_ok());
}

#[test]
fn more_groups_than_can_be_counted_is_refused() {
    let names: Vec<String> = (0..=crate::vocab::limits::LIMITER_GROUPS_MAX).map(|i| i.to_string()).collect();
    let many = who("many", &names.iter().map(String::as_str).collect::<Vec<_>>());
    let limiter = Limiter::new(Monotonic::start());
    assert!(limiter.take(&[limit("r", calls(5, 1), &[By::Group])], &subject(&many, "t")).is_err());
}

#[test]
fn flooding_the_table_never_frees_an_exhausted_key() {
    for quota in [calls(2, 3600), calls(40 * 20, 36_000), Quota::Concurrent(2)] {
        let limiter = Limiter::with_keys_max(Monotonic::start(), 64);
        let limits = [limit("r", quota, &[By::Principal])];
        let alice = who("alice", &[]);
        let mut held = Vec::new();
        while let Ok(lease) = limiter.take(&limits, &subject(&alice, "t")) {
            held.push(lease);
        }
        for i in 0..10_000 {
            drop(limiter.take(&limits, &subject(&who(&i.to_string(), &[]), "t")));
            assert!(limiter.table.len() <= 64);
        }
        assert!(limiter.take(&limits, &subject(&alice, "t")).is_err(), "{quota:?}");
    }
}

#[test]
fn a_table_of_exhausted_keys_refuses_a_new_one_until_time_passes() {
    let limiter = Limiter::with_keys_max(Monotonic::start(), 4);
    let limits = [limit("r", calls(1, 60), &[By::Principal])];
    for i in 0..4 {
        assert!(limiter.take(&limits, &subject(&who(&i.to_string(), &[]), "t")).is_ok());
    }
    assert!(limiter.take(&limits, &subject(&who("new", &[]), "t")).is_err());
    limiter.time.advance(Duration::from_secs(61));
    assert!(limiter.take(&limits, &subject(&who("new", &[]), "t")).is_ok());
}

#[test]
fn no_limits_take_no_key() {
    let limiter = Limiter::new(Monotonic::start());
    assert!(limiter.take(&[], &subject(&who("alice", &[]), "t")).is_ok());
    assert_eq!(limiter.table.len(), 0);
}

#[test]
fn threads_share_one_count() {
    let limiter = Limiter::new(Monotonic::start());
    let limits = [
        limit("a", calls(50, 3600), &[By::Principal]),
        limit("b", calls(70, 3600), &[By::Tool]),
        limit("c", Quota::Concurrent(3), &[By::Upstream]),
    ];
    let reversed: Vec<_> = limits.iter().rev().cloned().collect();
    let alice = who("alice", &[]);
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = [limits.as_slice(), &reversed, &limits, &reversed]
            .map(|limits| {
                let (limiter, alice) = (&limiter, &alice);
                scope.spawn(move || (0..2000).filter(|_| limiter.take(limits, &subject(alice, "t")).is_ok()).count())
            })
            .into_iter()
            .collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| panic!("a thread panicked"))).sum()
    });
    assert_eq!(passed, 50);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the arrivals, no window of an exactly counted limit sees one call too many, and none is refused without need.
    #[test]
    fn exact_limits_agree_with_a_slow_model(n in 1_u32..20, gaps_ms in prop::collection::vec(0_u64..3_000, 1..200)) {
        let mut count = Count::new(Quota::Calls { calls: n, per: Duration::from_secs(10) });
        let (mut now, mut passed) = (0_u64, Vec::new());
        for gap in gaps_ms {
            now += gap * 1_000_000;
            let recent = passed.iter().filter(|at| **at + 10_000_000_000 > now).count();
            let free = matches!(count.check(now), Room::Free);
            prop_assert_eq!(free, recent < n as usize);
            if free {
                count.take(now);
                passed.push(now);
            }
        }
    }

    /// A smoothed limit stays below 110 % in every window.
    #[test]
    fn smoothed_limits_never_exceed(n in 101_u32..2_000, gaps_us in prop::collection::vec(0_u64..200_000, 500..2_000)) {
        let mut count = Count::new(Quota::Calls { calls: n, per: Duration::from_secs(10) });
        let (mut now, mut passed) = (0_u64, Vec::new());
        for gap in gaps_us {
            now += gap * 1_000;
            while matches!(count.check(now), Room::Free) {
                count.take(now);
                passed.push(now);
            }
        }
        let most = most_in_a_window(&passed, 10_000_000_000);
        prop_assert!(most * 100 <= n as usize * 110, "{} of {}", most, n);
    }
}
