//! `io.prometheus.client.MetricFamily`, as far as we write it: the numbers of fields are those of Prometheus' `metrics.proto`.

use crate::telemetry::metrics::families::{Distribution, Exemplar as Seen, Family, Labels, Points};
use crate::telemetry::metrics::series::NATIVE_SCHEMA;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MetricFamily {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    pub(super) metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A counter or a gauge.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Number {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Histogram {
    #[prost(uint64, tag = "1")]
    pub(super) sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    pub(super) positive_delta: Vec<i64>,
    #[prost(message, repeated, tag = "16")]
    pub(super) exemplars: Vec<Exemplar>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Bucket {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<Exemplar>,
}

/// So many buckets, so far behind the last one of the span before.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
}

/// `google.protobuf.Timestamp`
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Of `MetricType`.
const COUNTER: i32 = 0;
const GAUGE: i32 = 1;
const HISTOGRAM: i32 = 4;
/// What is shorter counts as nothing; observations are in whole nanoseconds.
const ZERO_THRESHOLD_S: f64 = 1e-12;

impl MetricFamily {
    /// The family in this form.
    pub(super) fn of(family: Family) -> Self {
        let Family { mut name, help, points } = family;
        let (kind, metric) = match points {
            Points::Counter(points) => {
                // Here the suffix belongs to the name.
                name.push_str("_total");
                let metric = |(labels, value)| Metric { counter: Some(Number { value }), ..Metric::of(labels) };
                (COUNTER, points.into_iter().map(metric).collect())
            }
            Points::Gauge(points) => {
                let metric = |(labels, value)| Metric { gauge: Some(Number { value }), ..Metric::of(labels) };
                (GAUGE, points.into_iter().map(metric).collect())
            }
            Points::Histogram(points) => {
                let metric = |(labels, of)| Metric { histogram: Some(Histogram::of(of)), ..Metric::of(labels) };
                (HISTOGRAM, points.into_iter().map(metric).collect())
            }
        };
        Self { name, help, kind, metric }
    }
}

impl Metric {
    fn of(labels: Labels) -> Self {
        let label = labels.into_iter().map(|(name, value)| LabelPair { name, value }).collect();
        Self { label, ..Self::default() }
    }
}

impl Histogram {
    fn of(of: Distribution) -> Self {
        let (bound, exemplar) = of.exemplar.map(|(bound, seen)| (bound, Exemplar::of(seen))).unzip();
        let bucket = of.buckets.into_iter().map(|(upper_bound, cumulative_count)| {
            let exemplar = exemplar.clone().filter(|_| bound == Some(upper_bound));
            Bucket { cumulative_count, upper_bound, exemplar }
        });
        let (positive_span, positive_delta) = spans(&of.native);
        Self {
            sample_count: of.count,
            sample_sum: of.sum,
            bucket: bucket.collect(),
            schema: NATIVE_SCHEMA,
            zero_threshold: ZERO_THRESHOLD_S,
            positive_span,
            positive_delta,
            exemplars: exemplar.into_iter().collect(),
        }
    }
}

/// Runs of neighbours, and each count as its difference to the one before.
fn spans(native: &[(i32, u64)]) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0, 0_i64);
    for (index, count) in native {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        match spans.last_mut().filter(|_| *index == next) {
            Some(span) => span.length += 1,
            None => spans.push(BucketSpan { offset: index - next, length: 1 }),
        }
        deltas.push(count.saturating_sub(before));
        (next, before) = (index + 1, count);
    }
    (spans, deltas)
}

impl Exemplar {
    fn of(seen: Seen) -> Self {
        let label = vec![LabelPair { name: "trace_id".to_owned(), value: seen.trace_id }];
        // Seconds of this century, and less than a thousand million nanoseconds.
        let timestamp = Timestamp { seconds: seen.unix_s as i64, nanos: (seen.unix_s.fract() * 1e9) as i32 };
        Self { label, value: seen.value, timestamp: Some(timestamp) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_buckets_become_spans_and_differences() {
        let (spans, deltas) = spans(&[(-3, 2), (-2, 5), (4, 1)]);
        let spans: Vec<(i32, u32)> = spans.iter().map(|span| (span.offset, span.length)).collect();
        assert_eq!((spans, deltas), (vec![(-3, 2), (5, 1)], vec![2, 3, -4]));
    }
}
