//! Which traces are kept.

use std::time::Duration;

use super::trace::TraceContext;

/// Decides twice: when a request begins, so that upstreams are told, and when it is over, so that what matters is never lost.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// Trace ids whose last 56 bits are below this are kept.
    below: u64,
    slow: Duration,
}

impl Sampler {
    /// Keeps `parts_per_million` of all traces, and whatever takes `slow` or longer.
    pub fn new(parts_per_million: u32, slow: Duration) -> Self {
        let parts = u64::from(parts_per_million.min(MILLION));
        let below = (u128::from(RANDOM_MAX) + 1) * u128::from(parts) / u128::from(MILLION);
        Self { below: u64::try_from(below).unwrap_or(u64::MAX), slow }
    }

    /// The decision at the beginning. A trace that was taken over has its caller's; of others the trace id decides, so that
    /// every gateway with the same ratio decides the same (W3C Trace Context level 2: its last 56 bits are random).
    pub fn head(&self, trace: &TraceContext) -> bool {
        if trace.parent_id.is_some() {
            return trace.sampled;
        }
        self.takes(trace.trace_id)
    }

    /// Whether the ratio keeps this trace.
    fn takes(&self, trace_id: [u8; 16]) -> bool {
        let random = trace_id.iter().rev().take(7).rev().fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
        random < self.below
    }

    /// The decision at the end: refusals, failures and slow requests are kept whatever the first one was.
    pub fn tail(&self, sampled: bool, failed: bool, took: Duration) -> bool {
        sampled || failed || took >= self.slow
    }
}

const MILLION: u32 = 1_000_000;
/// 56 bits.
const RANDOM_MAX: u64 = (1 << 56) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace::Parent;

    const SLOW: Duration = Duration::from_secs(2);

    #[test]
    fn the_ratio_is_kept() {
        for (parts, low, high) in [(0, 0, 0), (100_000, 800, 1_200), (1_000_000, 10_000, 10_000)] {
            let sampler = Sampler::new(parts, SLOW);
            let kept = (0..10_000).filter(|_| sampler.head(&TraceContext::new())).count();
            assert!((low..=high).contains(&kept), "{parts}: {kept}");
        }
    }

    #[test]
    fn a_trace_that_was_taken_over_has_its_callers_decision() {
        for (parts, sampled) in [(0, true), (1_000_000, false)] {
            let mut trace = TraceContext::new();
            trace.continues(Parent { trace_id: [1; 16], span_id: [2; 8], sampled, state: None });
            assert_eq!(Sampler::new(parts, SLOW).head(&trace), sampled);
        }
    }

    #[test]
    fn refusals_failures_and_slow_calls_are_always_kept() {
        let sampler = Sampler::new(0, SLOW);
        let table = [
            (false, false, Duration::from_millis(1_999), false),
            (false, false, SLOW, true),
            (false, true, Duration::ZERO, true),
            (true, false, Duration::ZERO, true),
        ];
        for (sampled, failed, took, kept) in table {
            assert_eq!(sampler.tail(sampled, failed, took), kept, "{sampled} {failed} {took:?}");
        }
    }
}
