//! Metrics as an OTLP message: the values and names of the exposition, in the words of the semantic conventions.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value as ExemplarValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::telemetry::metrics::families::{Distribution, Family, Labels, Points};
use crate::telemetry::names;
use crate::telemetry::trace;

/// The message for `families`. `since` is when counting began.
#[expect(clippy::disallowed_methods, reason = "nothing expires by the time of a report")]
pub fn request(families: Vec<Family>, instance: &str, since: SystemTime) -> ExportMetricsServiceRequest {
    let span = Span { from: nanos(since), to: nanos(SystemTime::now()) };
    let metrics = families.into_iter().map(|family| span.metric(family)).collect();
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [("service.name", names::PREFIX), ("service.version", version), ("service.instance.id", instance)];
    let attributes = attributes.into_iter().map(|(key, value)| attribute(key, value.to_owned())).collect();
    let scope = InstrumentationScope { name: names::PREFIX.into(), version: version.into(), ..Default::default() };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..Default::default() }];
    let resource = Some(Resource { attributes, ..Default::default() });
    ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..Default::default() }] }
}

/// The time that values are of.
struct Span {
    from: u64,
    to: u64,
}

impl Span {
    fn metric(&self, family: Family) -> Metric {
        let Family { name, help, points } = family;
        let seconds = name.ends_with("_seconds");
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        let data = match points {
            Points::Counter(points) => {
                Data::Sum(Sum { data_points: self.numbers(points), aggregation_temporality, is_monotonic: true })
            }
            Points::Gauge(points) => Data::Gauge(Gauge { data_points: self.numbers(points) }),
            Points::Histogram(points) => {
                let data_points = points.into_iter().map(|(labels, of)| self.histogram(labels, of)).collect();
                Data::Histogram(Histogram { data_points, aggregation_temporality })
            }
        };
        let unit = if seconds { "s" } else { "1" }.to_owned();
        Metric { name: dotted(&name), description: help, unit, data: Some(data), ..Default::default() }
    }

    fn numbers(&self, points: Vec<(Labels, f64)>) -> Vec<NumberDataPoint> {
        let point = |(labels, value)| NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.from,
            time_unix_nano: self.to,
            value: Some(Value::AsDouble(value)),
            ..Default::default()
        };
        points.into_iter().map(point).collect()
    }

    fn histogram(&self, labels: Labels, of: Distribution) -> HistogramDataPoint {
        let below = [0].into_iter().chain(of.buckets.iter().map(|(_, count)| *count));
        let bucket_counts = of.buckets.iter().zip(below).map(|((_, count), below)| count.saturating_sub(below)).collect();
        let exemplars = of.exemplar.into_iter().filter_map(|(_, exemplar)| {
            let trace_id = trace::hex::<16>(&exemplar.trace_id)?.to_vec();
            // Seconds of this century in nanoseconds fit.
            let time_unix_nano = (exemplar.unix_s * 1e9) as u64;
            let value = Some(ExemplarValue::AsDouble(exemplar.value));
            Some(Exemplar { trace_id, time_unix_nano, value, ..Default::default() })
        });
        HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.from,
            time_unix_nano: self.to,
            count: of.count,
            sum: Some(of.sum),
            bucket_counts,
            explicit_bounds: of.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect(),
            exemplars: exemplars.collect(),
            ..Default::default()
        }
    }
}

/// The conventions' own name, or ours with a dot behind the prefix: what translates it for Prometheus comes back to our name.
fn dotted(name: &str) -> String {
    for known in [names::SERVER_DURATION, names::CLIENT_DURATION] {
        if name.strip_suffix("_seconds").is_some_and(|name| name == known.replace('.', "_")) {
            return known.to_owned();
        }
    }
    let own = name.strip_prefix(names::PREFIX).and_then(|rest| rest.strip_prefix('_'));
    own.map_or_else(|| name.to_owned(), |rest| format!("{}.{}", names::PREFIX, rest.strip_suffix("_seconds").unwrap_or(rest)))
}

/// Labels without a value are no attributes.
fn attributes(labels: Labels) -> Vec<KeyValue> {
    let known = [names::METHOD_NAME, names::TOOL_NAME, names::ERROR_TYPE];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    let named = labels.map(|(key, value)| match known.into_iter().find(|name| name.replace('.', "_") == key) {
        Some(name) => attribute(name, value),
        None => attribute(&key, value),
    });
    named.collect()
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(AnyKind::StringValue(value)) }), ..Default::default() }
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
