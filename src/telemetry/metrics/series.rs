//! Families of bounded size, and a histogram without a lock.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::families::Exemplar;
use crate::vocab::digits::push_hex;
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

    /// Takes `labels` out, so that there is room for others.
    fn remove(&self, labels: &S) {
        if self.family.remove(labels) {
            self.made.fetch_sub(1, Ordering::Relaxed);
        }
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

/// Gauges of what the config names: they go when their name does.
pub(super) struct Named<S> {
    series: Series<S, Gauge>,
    known: Mutex<HashSet<S>>,
}

impl<S: Clone + Hash + Eq> Default for Named<S> {
    fn default() -> Self {
        Self { series: Series::default(), known: Mutex::default() }
    }
}

impl<S: Clone + Hash + Eq> Named<S> {
    pub(super) fn family(&self) -> Family<S, Gauge> {
        self.series.family()
    }

    pub(super) fn set(&self, labels: S, overflow: impl FnOnce(&S) -> S, value: i64) {
        let mut known = self.known.lock();
        self.series.get(&labels, overflow).set(value);
        known.insert(labels);
    }

    /// Takes out all others.
    pub(super) fn keep(&self, keeps: impl Fn(&S) -> bool) {
        self.known.lock().retain(|labels| {
            let keep = keeps(labels);
            if !keep {
                self.series.remove(labels);
            }
            keep
        });
    }
}

/// A histogram of durations made of atomic counters: observing takes no lock.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    sum_ns: AtomicU64,
    buckets: [AtomicU64; BOUNDS_S.len()],
    /// Native buckets from [`NATIVE_FIRST`] on; what is below or beyond them is counted in the first and the last.
    native: [AtomicU64; NATIVE_BUCKETS],
    /// Of the last observation that belongs to a trace which is recorded.
    exemplar: Mutex<Option<Seen>>,
}

impl Default for Counts {
    fn default() -> Self {
        let (sum_ns, buckets, exemplar) = Default::default();
        Self { sum_ns, buckets, native: std::array::from_fn(|_| AtomicU64::new(0)), exemplar }
    }
}

/// One observation.
#[derive(Clone, Copy, Debug)]
struct Seen {
    trace_id: [u8; 16],
    bucket: usize,
    seconds: f64,
    at: SystemTime,
}

impl Durations {
    /// Counts `took`. `trace_id` is that of a trace which is recorded; observing waits for nobody, so that it may go unnoticed.
    #[expect(clippy::disallowed_methods, reason = "nothing expires by the time of an exemplar")]
    pub(super) fn observe(&self, took: Duration, trace_id: Option<[u8; 16]>) {
        let seconds = took.as_secs_f64();
        let at = BOUNDS_S.iter().position(|bound| seconds <= *bound);
        if let Some(bucket) = at.and_then(|at| self.0.buckets.get(at)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(bucket) = self.0.native.get(native_place(seconds)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        if let (Some(trace_id), Some(bucket)) = (trace_id, at)
            && let Some(mut exemplar) = self.0.exemplar.try_lock()
        {
            *exemplar = Some(Seen { trace_id, bucket, seconds, at: SystemTime::now() });
        }
        self.0.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Seen {
    fn exemplar(self) -> Exemplar {
        let mut digits = Vec::with_capacity(32);
        push_hex(&mut digits, &self.trace_id);
        let unix_s = self.at.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        // Digits are text.
        Exemplar { trace_id: String::from_utf8(digits).unwrap_or_default(), value: self.seconds, unix_s }
    }
}

/// What the text of a histogram has no room for.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The bound of its bucket, and the observation.
    pub(super) exemplar: Option<(f64, Exemplar)>,
    /// Counts of native buckets that are not empty, by index.
    pub(super) native: Vec<(i32, u64)>,
}

thread_local! {
    /// Of every histogram that this thread encoded, in order: the encoder takes none of it.
    static BESIDE: RefCell<Vec<Beside>> = const { RefCell::new(Vec::new()) };
}

/// What `encode` left beside its text, in the order of histograms there.
pub(super) fn beside<T>(encode: impl FnOnce() -> T) -> (T, Vec<Beside>) {
    BESIDE.take();
    (encode(), BESIDE.take())
}

impl Durations {
    fn beside(&self) -> Beside {
        let seen = *self.0.exemplar.lock();
        let exemplar = seen.and_then(|seen| Some((*BOUNDS_S.get(seen.bucket)?, seen.exemplar())));
        let counts = self.0.native.iter().map(|count| count.load(Ordering::Relaxed));
        let native = (NATIVE_FIRST..).zip(counts).filter(|(_, count)| *count > 0).collect();
        Beside { exemplar, native }
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
        encoder.encode_histogram::<prometheus_client::encoding::NoLabelSet>(sum_s, total, &buckets, None)?;
        BESIDE.with_borrow_mut(|beside| beside.push(self.beside()));
        Ok(())
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

/// Resolution of native histograms: four buckets from a number to its double.
pub(super) const NATIVE_SCHEMA: i32 = 2;
/// Index of the first native bucket, which ends at 2^-14 s, 61 us. Bucket i ends at 2^(i/4).
const NATIVE_FIRST: i32 = -56;
/// The last one ends at 2^9 s, more than eight minutes.
const NATIVE_BUCKETS: usize = 93;

/// Where an observation is counted among the native buckets.
fn native_place(seconds: f64) -> usize {
    let index = (seconds.max(f64::MIN_POSITIVE).log2() * 4.0).ceil() - f64::from(NATIVE_FIRST);
    // Not negative, and not beyond the last.
    index.clamp(0.0, (NATIVE_BUCKETS - 1) as f64) as usize
}
