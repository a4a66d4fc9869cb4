//! Families of bounded size, and a histogram without a lock.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};

use crate::vocab::limits::METRIC_SERIES_MAX;

/// A family that stops making label sets when it has [`METRIC_SERIES_MAX`]: further ones share an overflow set.
pub(super) struct Series<S, M> {
    family: Family<S, M>,
    made: AtomicUsize,
    warned: AtomicBool,
}

impl<S: Clone + Hash + Eq, M: Default> Default for Series<S, M> {
    fn default() -> Self {
        Self { family: Family::default(), made: AtomicUsize::new(0), warned: AtomicBool::new(false) }
    }
}

impl<S: Clone + Hash + Eq, M: Default + Clone> Series<S, M> {
    pub(super) fn family(&self) -> Family<S, M> {
        self.family.clone()
    }

    pub(super) fn get(&self, labels: &S, overflow: impl FnOnce(&S) -> S) -> M {
        if let Some(metric) = self.family.get(labels) {
            return metric.clone();
        }
        if self.made.fetch_add(1, Ordering::Relaxed) < METRIC_SERIES_MAX {
            return self.family.get_or_create_owned(labels);
        }
        self.made.store(METRIC_SERIES_MAX, Ordering::Relaxed);
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(series = METRIC_SERIES_MAX, "a metric has too many label sets: the rest is counted as other");
        }
        self.family.get_or_create_owned(&overflow(labels))
    }
}

/// A histogram of durations made of atomic counters: observing takes no lock.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sum_ns: AtomicU64,
    buckets: [AtomicU64; BOUNDS_S.len()],
}

impl Durations {
    pub(super) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = BOUNDS_S.iter().position(|bound| seconds <= *bound);
        if let Some(bucket) = at.and_then(|at| self.0.buckets.get(at)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let counts = self.0.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = BOUNDS_S.into_iter().zip(counts).collect();
        let total = buckets.iter().map(|(_, count)| count).sum();
        let sum_s = Duration::from_nanos(self.0.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<prometheus_client::encoding::NoLabelSet>(sum_s, total, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Upper bounds in seconds: those of the semantic conventions, with finer ones below for a gateway's own share.
const BOUNDS_S: [f64; 19] = [
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    f64::INFINITY,
];
