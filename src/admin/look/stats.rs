//! What the kept records say of tools and upstreams: calls, refusals, failures, time.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::audit::{Glance, Kept};

/// Numbers over the records that are kept in memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(in crate::admin) struct Stats {
    /// Calls, refused ones included.
    pub(in crate::admin) calls: u64,
    /// Calls that policy or a limit refused.
    pub(in crate::admin) refused: u64,
    /// Calls that failed.
    pub(in crate::admin) failed: u64,
    /// Time that half of the answered calls stayed below, at the upstream, in milliseconds.
    pub(in crate::admin) median_ms: Option<f64>,
    /// The same for 95 of 100.
    pub(in crate::admin) p95_ms: Option<f64>,
}

/// What they are counted by.
#[derive(Clone, Copy)]
pub(in crate::admin) enum Of {
    Name,
    Upstream,
}

/// The numbers of each.
pub(in crate::admin) fn stats(records: &[Arc<Kept>], of: Of) -> HashMap<String, Stats> {
    let mut all: HashMap<String, (Stats, Vec<f64>)> = HashMap::new();
    for glance in records.iter().filter_map(|record| record.glance()).filter(|glance| is_call(glance)) {
        let key = match of {
            Of::Name => &glance.name,
            Of::Upstream => &glance.upstream,
        };
        if key.is_empty() {
            continue;
        }
        let (stats, times) = all.entry(key.clone()).or_default();
        stats.calls += 1;
        stats.refused += u64::from(glance.decision.as_ref().is_some_and(|decision| decision.effect == "deny"));
        if let Some(outcome) = &glance.outcome {
            stats.failed += u64::from(matches!(outcome.status.as_str(), "faulted" | "timed_out" | "panicked"));
            times.extend(outcome.upstream_ms);
        }
    }
    all.into_iter().map(|(key, (stats, times))| (key, finished(stats, times))).collect()
}

fn is_call(glance: &Glance) -> bool {
    glance.kind == "outcome" && matches!(glance.method.as_str(), "tools/call" | "resources/read" | "prompts/get")
}

fn finished(stats: Stats, mut times: Vec<f64>) -> Stats {
    times.sort_by(f64::total_cmp);
    let at = |hundredths: usize| times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1))).copied();
    Stats { median_ms: at(50), p95_ms: at(95), ..stats }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_answered_calls() {
        let times = |times: &[f64]| finished(Stats::default(), times.to_vec());
        assert_eq!((times(&[]).median_ms, times(&[]).p95_ms), (None, None));
        assert_eq!((times(&[3.0]).median_ms, times(&[3.0]).p95_ms), (Some(3.0), Some(3.0)));
        let hundred: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!((times(&hundred).median_ms, times(&hundred).p95_ms), (Some(50.0), Some(95.0)));
    }
}
