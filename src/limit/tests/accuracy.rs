//! How near limits come to what they say, over long random arrivals, on a clock that only the tests move.

use super::*;

/// Numbers without a pattern that matters (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % end
    }
}

const SECOND_NS: u64 = 1_000_000_000;

/// Instants of arrivals over `seconds`, at `percent` of `rate` per second on average.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    /// Each independent of the last.
    Even,
    /// All of a second's at once, at any time within it.
    Bursts,
    /// Seconds of silence, then seconds of twice as many.
    OnOff,
}

fn arrivals(random: &mut Random, pattern: Pattern, rate: u64, percent: u64, seconds: u64) -> Vec<u64> {
    let mut at: Vec<u64> = Vec::new();
    for second in 0..seconds {
        let factor = if matches!(pattern, Pattern::OnOff) { if random.below(2) == 0 { 0 } else { 2 } } else { 1 };
        // A fraction of a call per second is a call in some seconds.
        let (whole, part) = (rate * percent * factor / 100, rate * percent * factor % 100);
        let count = whole + u64::from(random.below(100) < part);
        let burst = random.below(SECOND_NS);
        for _ in 0..count {
            let offset = if matches!(pattern, Pattern::Bursts) { burst } else { random.below(SECOND_NS) };
            at.push(second * SECOND_NS + offset);
        }
    }
    at.sort_unstable();
    at
}

/// The most of `arrivals` that can pass without a window of a second that sees more than `most`: of two that compete for the last place
/// of a window, the earlier leaves it sooner, so taking every one that fits is best.
fn possible(arrivals: &[u64], most: usize) -> usize {
    let mut passed: Vec<u64> = Vec::new();
    for at in arrivals {
        let from = passed.len().checked_sub(most).map(|first| passed[first]);
        if from.is_none_or(|first| at - first >= SECOND_NS) {
            passed.push(*at);
        }
    }
    passed.len()
}

fn most_in_any_second(passed: &[u64]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, at) in passed.iter().enumerate() {
        while at - passed[first] >= SECOND_NS {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// Asks in the name of each of `callers` at their instants; what passed, by caller.
fn run(limits: &[Arc<Limit>], callers: &[(&str, &[u64])]) -> Vec<Vec<u64>> {
    let limiter = Limiter::new(Monotonic::stopped());
    let principals: Vec<Principal> = callers.iter().map(|(name, _)| who(name, &[])).collect();
    let mut all: Vec<(u64, usize)> =
        callers.iter().enumerate().flat_map(|(n, (_, at))| at.iter().map(move |at| (*at, n))).collect();
    all.sort_unstable();
    let mut passed = vec![Vec::new(); callers.len()];
    let mut now = 0;
    for (at, caller) in all {
        limiter.time.advance(Duration::from_nanos(at - now));
        now = at;
        if limiter.take(limits, &subject(&principals[caller], "t")).is_ok() {
            passed[caller].push(at);
        }
    }
    passed
}

#[test]
fn limits_per_second_grant_what_is_possible_and_no_window_sees_more() {
    let mut random = Random(0x5eed);
    for rate in [1_u64, 10, 100] {
        let limits = [limit("r", calls(u32::try_from(rate).unwrap(), 1), &[By::Principal])];
        for pattern in [Pattern::Even, Pattern::Bursts, Pattern::OnOff] {
            for percent in [50, 100, 150, 1000] {
                let at = arrivals(&mut random, pattern, rate, percent, 6_000 / rate.max(10));
                let passed = run(&limits, &[("alice", &at)]).remove(0);
                let (granted, best) = (passed.len(), possible(&at, usize::try_from(rate).unwrap()));
                let what = format!("{rate}/s, {pattern:?} at {percent} %: {granted} of {best} possible, {} asked", at.len());
                assert!(granted * 100 >= best * 95 && granted * 100 <= best * 105, "{what}");
                assert!(most_in_any_second(&passed) * 100 <= usize::try_from(rate).unwrap() * 110, "{what}");
            }
        }
    }
}

#[test]
fn a_greedy_principal_takes_nothing_from_another() {
    let mut random = Random(0x9eed);
    for rate in [1_u64, 10, 100] {
        let limits = [limit("r", calls(u32::try_from(rate).unwrap(), 1), &[By::Principal])];
        let modest = arrivals(&mut random, Pattern::Even, rate, 80, 5_000 / rate.max(10));
        let greedy = arrivals(&mut random, Pattern::Bursts, rate, 5_000, 5_000 / rate.max(10));
        let alone = run(&limits, &[("modest", &modest)]).remove(0);
        let beside = run(&limits, &[("modest", &modest), ("greedy", &greedy)]);
        assert_eq!(alone, beside[0], "{rate}/s");
        assert!(beside[1].len() < greedy.len() / 10, "{rate}/s: the greedy one is held");
    }
}

#[test]
fn the_wait_that_is_told_is_true_to_the_nanosecond() {
    let mut random = Random(0xaeed);
    for quota in [calls(1, 1), calls(10, 1), calls(100, 1), calls(3, 3600)] {
        let limiter = Limiter::new(Monotonic::stopped());
        let (alice, limits) = (who("alice", &[]), [limit("r", quota, &[By::Principal])]);
        for _ in 0..2_000 {
            limiter.time.advance(Duration::from_nanos(random.below(SECOND_NS)));
            let Err(denial) = limiter.take(&limits, &subject(&alice, "t")) else { continue };
            let wait = denial.retry_after.unwrap();
            limiter.time.advance(wait - Duration::from_nanos(1));
            assert!(limiter.take(&limits, &subject(&alice, "t")).is_err(), "{quota:?} {wait:?}");
            limiter.time.advance(Duration::from_nanos(1));
            assert!(limiter.take(&limits, &subject(&alice, "t")).is_ok(), "{quota:?} {wait:?}");
        }
    }
}
