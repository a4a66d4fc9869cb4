//! Our own exposition read back, so that every form of it has the same values and names.

/// A metric with all its label sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name, without the suffixes of samples.
    pub name: String,
    /// What it is about.
    pub help: String,
    /// Its values.
    pub points: Points,
}

/// Names and values of labels.
pub type Labels = Vec<(String, String)>;

/// Values by label set.
#[derive(Clone, Debug, PartialEq)]
pub enum Points {
    /// Only rises.
    Counter(Vec<(Labels, f64)>),
    /// Stands where it stands.
    Gauge(Vec<(Labels, f64)>),
    /// How often it was how much.
    Histogram(Vec<(Labels, Distribution)>),
}

/// One histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Upper bounds, the last one infinite, and how many were at or below each.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all values.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// One of them with the bound of its bucket, where a trace that is recorded has one.
    pub exemplar: Option<(f64, Exemplar)>,
    /// Native buckets that are not empty, by index, and how many were in each.
    pub native: Vec<(i32, u64)>,
}

/// A value, and the trace that it was seen in.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The trace, in hexadecimal digits.
    pub trace_id: String,
    /// The value.
    pub value: f64,
    /// When, in seconds since the Unix epoch.
    pub unix_s: f64,
}

/// Reads what the registry wrote (OpenMetrics 1.0, as far as we write it). Lines that are not understood are left out.
pub fn parse(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            let (name, help) = (name.to_owned(), help.trim_end_matches('.').to_owned());
            families.push(Family { name, help, points: Points::Gauge(Vec::new()) });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (Some(family), Some((_, kind))) = (families.last_mut(), rest.split_once(' ')) else { continue };
            family.points = match kind {
                "counter" => Points::Counter(Vec::new()),
                "histogram" => Points::Histogram(Vec::new()),
                _ => Points::Gauge(Vec::new()),
            };
        } else if !line.starts_with('#')
            && let (Some(family), Some(sample)) = (families.last_mut(), sample(line))
        {
            take(family, sample);
        }
    }
    families
}

struct Sample<'a> {
    name: &'a str,
    labels: Labels,
    value: &'a str,
}

fn take(family: &mut Family, sample: Sample<'_>) {
    let suffix = sample.name.strip_prefix(&*family.name).unwrap_or_default();
    match &mut family.points {
        Points::Counter(points) if suffix == "_total" => points.extend(number(sample.value).map(|value| (sample.labels, value))),
        Points::Gauge(points) if suffix.is_empty() => points.extend(number(sample.value).map(|value| (sample.labels, value))),
        Points::Histogram(points) => {
            let (le, labels): (Labels, Labels) = sample.labels.into_iter().partition(|(key, _)| key == "le");
            if suffix == "_sum" || points.is_empty() {
                points.push((labels, Distribution::default()));
            }
            let (Some((_, of)), Some(value)) = (points.last_mut(), number(sample.value)) else { return };
            // Counts are far below 2^53.
            match (suffix, le.first().and_then(|(_, bound)| number(bound))) {
                ("_sum", _) => of.sum = value,
                ("_count", _) => of.count = value as u64,
                ("_bucket", Some(bound)) => {
                    of.buckets.push((bound, value as u64));
                }
                _ => {}
            }
        }
        _ => {}
    }
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        text => text.parse().ok(),
    }
}

/// `name{label="value",..} value`
fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at_checked(end)?;
    let (labels, rest) = if rest.starts_with('{') { labels(rest)? } else { (Vec::new(), rest) };
    Some(Sample { name, labels, value: rest.trim() })
}

/// The labels between braces, and what follows.
fn labels(text: &str) -> Option<(Labels, &str)> {
    let mut rest = text.strip_prefix('{')?;
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((key.to_owned(), value));
        rest = after.get(end + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_write_reads_back() {
        let text = "# HELP a_b Some words.\n# TYPE a_b counter\na_b_total{x=\"a\\\"} 1\\nforged{\\\\\",y=\"\"} 3\n\
                    # HELP g G.\n# TYPE g gauge\ng -1.5\n\
                    # HELP h_seconds H.\n# TYPE h_seconds histogram\n# UNIT h_seconds seconds\nh_seconds_sum{m=\"t\"} 0.5\n\
                    h_seconds_count{m=\"t\"} 2\nh_seconds_bucket{le=\"0.1\",m=\"t\"} 1\n\
                    h_seconds_bucket{le=\"+Inf\",m=\"t\"} 2\n# EOF\n";
        let families = parse(text);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(families.len(), 3);
        assert_eq!(families[0].help, "Some words");
        let labels = vec![pair("x", "a\"} 1\nforged{\\"), pair("y", "")];
        assert_eq!(families[0].points, Points::Counter(vec![(labels, 3.0)]));
        assert_eq!(families[1].points, Points::Gauge(vec![(Vec::new(), -1.5)]));
        let buckets = vec![(0.1, 1), (f64::INFINITY, 2)];
        let distribution = Distribution { buckets, sum: 0.5, count: 2, ..Distribution::default() };
        assert_eq!(families[2].points, Points::Histogram(vec![(vec![pair("m", "t")], distribution)]));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*|(# (HELP|TYPE) a .*\n)?a\\{.*\\} .*") {
            parse(&text);
        }
    }
}
