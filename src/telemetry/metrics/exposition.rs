//! Metrics as Prometheus reads them: text without and with exemplars, and protobuf with native histograms.

use prometheus_client::encoding::text::encode;
use prost::Message as _;

use super::Metrics;
use super::families::{self, Family, Points};
use super::series::{Beside, beside};

mod message;

/// How a scraper wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
    /// Delimited messages of `io.prometheus.client.MetricFamily`, with exemplars and native histograms.
    Protobuf,
}

impl Form {
    /// The form that `accept`, the header of a scrape, prefers: the one with the highest weight, of equals the first named. Whoever
    /// names none of them gets text.
    pub fn of(accept: &str) -> Self {
        let mut best = (Self::Text, 0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let (media, parameters): (&str, Vec<&str>) = (parts.next().unwrap_or_default(), parts.collect());
            let has = |wanted: &str| parameters.iter().any(|given| given.replace([' ', '"'], "").eq_ignore_ascii_case(wanted));
            let form = match media.to_ascii_lowercase().as_str() {
                "application/vnd.google.protobuf"
                    if has("proto=io.prometheus.client.MetricFamily") && has("encoding=delimited") =>
                {
                    Self::Protobuf
                }
                "application/openmetrics-text" if !has("version=2.0.0") => Self::OpenMetrics,
                "text/plain" => Self::Text,
                _ => continue,
            };
            let weight = parameters.iter().find_map(|given| given.strip_prefix("q=")).map_or(1_000, thousandths);
            if weight > best.1 {
                best = (form, weight);
            }
        }
        best.0
    }

    /// The media type of what it gives.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        }
    }
}

/// A weight (RFC 9110 section 12.4.2); what is none counts as little as can be.
fn thousandths(text: &str) -> u32 {
    let weight: f64 = text.parse().unwrap_or(0.001);
    // Between 0 and 1000.
    (weight.clamp(0.0, 1.0) * 1_000.0) as u32
}

impl Metrics {
    /// Everything as `form` has it.
    pub fn expose(&self, form: Form) -> Vec<u8> {
        match form {
            Form::Text => self.encode().into_bytes(),
            Form::OpenMetrics => {
                let (text, beside) = self.with_beside();
                with_exemplars(&text, &beside).into_bytes()
            }
            Form::Protobuf => {
                let mut out = Vec::new();
                for family in self.families() {
                    // A Vec has room for any message.
                    let _ = message::MetricFamily::of(family).encode_length_delimited(&mut out);
                }
                out
            }
        }
    }

    /// Everything as text, without exemplars.
    pub fn encode(&self) -> String {
        self.with_beside().0
    }

    /// Everything by name, with exemplars and native histograms.
    pub fn families(&self) -> Vec<Family> {
        let (text, beside) = self.with_beside();
        let mut families = families::parse(&text);
        let distributions = families.iter_mut().filter_map(|family| match &mut family.points {
            Points::Histogram(points) => Some(points.iter_mut().map(|(_, of)| of)),
            _ => None,
        });
        for (of, beside) in distributions.flatten().zip(beside) {
            (of.exemplar, of.native) = (beside.exemplar, beside.native);
        }
        families
    }

    fn with_beside(&self) -> (String, Vec<Beside>) {
        beside(|| {
            let mut out = String::new();
            match encode(&mut out, &self.registry) {
                Ok(()) => out,
                // Writing to a String cannot fail; half a document must not be taken for a whole one.
                Err(_) => String::new(),
            }
        })
    }
}

/// Each label set of a histogram begins with its sum.
fn with_exemplars(text: &str, beside: &[Beside]) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut histogram, mut beside, mut wanted) = (false, beside.iter(), None);
    for line in text.lines() {
        out.push_str(line);
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            histogram = kind.ends_with(" histogram");
        } else if histogram && !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            if name.ends_with("_sum") {
                wanted = beside.next().and_then(|beside| beside.exemplar.as_ref());
            }
            if let Some((bound, exemplar)) = wanted
                && name.ends_with("_bucket")
                && line.contains(&le(*bound))
            {
                let families::Exemplar { trace_id, value, unix_s } = exemplar;
                out.push_str(&format!(" # {{trace_id=\"{trace_id}\"}} {value} {unix_s:.3}"));
                wanted = None;
            }
        }
        out.push('\n');
    }
    out
}

/// The label of a bound, which comes first.
fn le(bound: f64) -> String {
    if bound.is_finite() { format!("_bucket{{le=\"{bound:?}\"") } else { "_bucket{le=\"+Inf\"".to_owned() }
}

#[cfg(test)]
mod tests;
