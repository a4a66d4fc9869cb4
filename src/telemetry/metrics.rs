//! Prometheus metrics. Every label is bounded: closed lists, configured names, and tools of the catalog.

use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use super::names;
use crate::vocab::limits::METRIC_SERIES_MAX;
use crate::vocab::{Class, Reason};

/// Media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    decisions: Series<DecisionLabels, Counter>,
    server: Series<OperationLabels, Durations>,
    client: Series<UpstreamOperationLabels, Durations>,
    upstream_up: Series<UpstreamLabels, Gauge>,
    list_stale: Series<UpstreamLabels, Gauge>,
    sheds: Family<ReasonLabels, Counter>,
    audit_queue_depth: Gauge,
    reload_success: Gauge,
    in_flight: Gauge,
    connections: Gauge,
}

/// What is asked about a decision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    effect: &'static str,
    reason: &'static str,
    tool: Arc<str>,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    mcp_method_name: &'static str,
    gen_ai_tool_name: Arc<str>,
    error_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamOperationLabels {
    upstream: Arc<str>,
    mcp_method_name: &'static str,
    gen_ai_tool_name: Arc<str>,
    error_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that count from zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let server = Series::default();
        let client = Series::default();
        let seconds = || Unit::Seconds;
        let name = |dotted: &str| dotted.replace('.', "_");
        registry.register_with_unit(name(names::SERVER_DURATION), "Requests served", seconds(), server.family());
        registry.register_with_unit(name(names::CLIENT_DURATION), "Requests to upstreams", seconds(), client.family());
        let own = registry.sub_registry_with_prefix(names::PREFIX);
        let metrics = Self {
            decisions: Series::default(),
            server,
            client,
            upstream_up: Series::default(),
            list_stale: Series::default(),
            sheds: Family::default(),
            audit_queue_depth: Gauge::default(),
            reload_success: Gauge::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            registry: Registry::default(),
        };
        own.register("decisions", "Decisions of policy", metrics.decisions.family());
        own.register("audit_queue_depth", "Audit records not yet written", metrics.audit_queue_depth.clone());
        own.register("upstream_up", "1 if the upstream answered last", metrics.upstream_up.family());
        own.register("list_stale", "1 if a last known list is shown", metrics.list_stale.family());
        own.register("config_last_reload_success", "1 if the last reload was taken", metrics.reload_success.clone());
        own.register("sheds", "Requests turned away before they were read", metrics.sheds.clone());
        own.register("in_flight", "Requests being served", metrics.in_flight.clone());
        own.register("connections", "Connections open", metrics.connections.clone());
        Self { registry, ..metrics }
    }

    /// Counts a decision. `tool` is the full name from the catalog; `None` for what the catalog does not know.
    pub fn decided(&self, allowed: bool, reason: Reason, tool: Option<&Arc<str>>, class: Option<Class>) {
        self.decision(allowed, reason, tool, class).inc();
    }

    /// Counts a request served. `error_type` is empty for a success, else a word from a closed list.
    pub fn served(&self, method: &'static str, tool: Option<&Arc<str>>, error_type: &'static str, took: Duration) {
        self.serving(method, tool, error_type).observe(took);
    }

    /// Counts a request to an upstream.
    pub fn called(
        &self,
        upstream: &Arc<str>,
        method: &'static str,
        tool: Option<&Arc<str>>,
        error_type: &'static str,
        took: Duration,
    ) {
        self.calling(upstream, method, tool, error_type).observe(took);
    }

    /// The handle through which calls of one tool are counted without a look-up. The catalog keeps it with the tool.
    pub fn tool(self: &Arc<Self>, tool: Arc<str>, upstream: Arc<str>, class: Class) -> ToolMetrics {
        ToolMetrics {
            metrics: self.clone(),
            tool,
            upstream,
            class,
            allowed: OnceLock::new(),
            served_ok: OnceLock::new(),
            called_ok: OnceLock::new(),
        }
    }

    /// Whether `upstream` answered last.
    pub fn set_upstream_up(&self, upstream: &Arc<str>, up: bool) {
        self.upstream_up.get(&UpstreamLabels { upstream: upstream.clone() }, other_upstream).set(up.into());
    }

    /// Whether the list of `upstream` that is shown is only the last known one.
    pub fn set_list_stale(&self, upstream: &Arc<str>, stale: bool) {
        self.list_stale.get(&UpstreamLabels { upstream: upstream.clone() }, other_upstream).set(stale.into());
    }

    /// Counts a request that was turned away; `reason` is a word from a closed list.
    pub fn shed(&self, reason: &'static str) {
        self.sheds.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Whether the last configuration was taken.
    pub fn set_reload_success(&self, success: bool) {
        self.reload_success.set(success.into());
    }

    /// Audit records not yet written, read when metrics are asked for.
    pub fn set_audit_queue_depth(&self, records: usize) {
        self.audit_queue_depth.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Counts a request as being served until the guard drops.
    pub fn hold_in_flight(&self) -> Held {
        Held::new(&self.in_flight)
    }

    /// Counts a connection as open until the guard drops.
    pub fn hold_connection(&self) -> Held {
        Held::new(&self.connections)
    }

    /// Everything in the OpenMetrics text format ([`CONTENT_TYPE`]).
    pub fn encode(&self) -> String {
        let mut out = String::new();
        match encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Writing to a String cannot fail; half a document must not be taken for a whole one.
            Err(_) => String::new(),
        }
    }

    fn decision(&self, allowed: bool, reason: Reason, tool: Option<&Arc<str>>, class: Option<Class>) -> Counter {
        let effect = if allowed { "allow" } else { "deny" };
        let class = class.map_or("", Class::as_str);
        let labels = DecisionLabels { effect, reason: reason.as_str(), tool: label(tool), class };
        self.decisions.get(&labels, |labels| DecisionLabels { tool: other(), ..labels.clone() })
    }

    fn serving(&self, method: &'static str, tool: Option<&Arc<str>>, error_type: &'static str) -> Durations {
        let labels = OperationLabels { mcp_method_name: method, gen_ai_tool_name: label(tool), error_type };
        self.server.get(&labels, |labels| OperationLabels { gen_ai_tool_name: other(), ..labels.clone() })
    }

    fn calling(&self, upstream: &Arc<str>, method: &'static str, tool: Option<&Arc<str>>, error_type: &'static str) -> Durations {
        let upstream = upstream.clone();
        let labels = UpstreamOperationLabels { upstream, mcp_method_name: method, gen_ai_tool_name: label(tool), error_type };
        self.client.get(&labels, |labels| UpstreamOperationLabels { gen_ai_tool_name: other(), ..labels.clone() })
    }
}

/// Metrics of one tool, resolved once: an allowed, successful call costs a few atomic additions.
pub struct ToolMetrics {
    metrics: Arc<Metrics>,
    tool: Arc<str>,
    upstream: Arc<str>,
    class: Class,
    allowed: OnceLock<Counter>,
    served_ok: OnceLock<Durations>,
    called_ok: OnceLock<Durations>,
}

impl ToolMetrics {
    /// Counts a decision about this tool.
    pub fn decided(&self, allowed: bool, reason: Reason) {
        let counter = || self.metrics.decision(allowed, reason, Some(&self.tool), Some(self.class));
        if allowed && reason == Reason::Allowed {
            self.allowed.get_or_init(counter).inc();
        } else {
            counter().inc();
        }
    }

    /// Counts a `tools/call` served. `error_type` is empty for a success.
    pub fn served(&self, error_type: &'static str, took: Duration) {
        let durations = || self.metrics.serving(TOOLS_CALL, Some(&self.tool), error_type);
        if error_type.is_empty() { self.served_ok.get_or_init(durations).observe(took) } else { durations().observe(took) }
    }

    /// Counts a `tools/call` to the tool's upstream. `error_type` is empty for a success.
    pub fn called(&self, error_type: &'static str, took: Duration) {
        let durations = || self.metrics.calling(&self.upstream, TOOLS_CALL, Some(&self.tool), error_type);
        if error_type.is_empty() { self.called_ok.get_or_init(durations).observe(took) } else { durations().observe(took) }
    }
}

/// Something counted while it lasts.
#[must_use]
pub struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A family that stops making label sets when it has [`METRIC_SERIES_MAX`]: further ones share an overflow set.
struct Series<S, M> {
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
    fn family(&self) -> Family<S, M> {
        self.family.clone()
    }

    fn get(&self, labels: &S, overflow: impl FnOnce(&S) -> S) -> M {
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
struct Durations(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sum_ns: AtomicU64,
    buckets: [AtomicU64; BOUNDS_S.len()],
}

impl Durations {
    fn observe(&self, took: Duration) {
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

fn label(tool: Option<&Arc<str>>) -> Arc<str> {
    static UNKNOWN: OnceLock<Arc<str>> = OnceLock::new();
    tool.unwrap_or_else(|| UNKNOWN.get_or_init(|| Arc::from(names::UNKNOWN))).clone()
}

fn other() -> Arc<str> {
    Arc::from(names::OTHER)
}

fn other_upstream(_: &UpstreamLabels) -> UpstreamLabels {
    UpstreamLabels { upstream: other() }
}

const TOOLS_CALL: &str = "tools/call";

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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, start: &str) -> Option<String> {
        text.lines().find(|line| line.starts_with(start)).map(str::to_owned)
    }

    #[test]
    fn names_and_labels_are_those_promised() {
        let metrics = Arc::new(Metrics::new());
        let (tool, upstream): (Arc<str>, Arc<str>) = ("files__read".into(), "files".into());
        let handle = metrics.tool(tool.clone(), upstream.clone(), Class::Read);
        handle.decided(true, Reason::Allowed);
        handle.served("", Duration::from_millis(3));
        handle.served(names::TOOL_ERROR, Duration::from_secs(1));
        handle.called("", Duration::from_millis(2));
        metrics.decided(true, Reason::Allowed, Some(&tool), Some(Class::Read));
        metrics.decided(false, Reason::UnknownName, None, None);
        metrics.served("tools/list", None, "", Duration::from_secs(100_000_000));
        metrics.set_upstream_up(&upstream, true);
        metrics.set_list_stale(&upstream, false);
        metrics.set_audit_queue_depth(7);
        metrics.set_reload_success(true);
        metrics.shed("queue_full");
        let held = (metrics.hold_in_flight(), metrics.hold_connection());
        let text = metrics.encode();
        drop(held);
        for expect in [
            r#"portcullis_decisions_total{effect="allow",reason="allowed",tool="files__read",class="read"} 2"#,
            r#"portcullis_decisions_total{effect="deny",reason="unknown_name",tool="",class=""} 1"#,
            r#"mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 1"#,
            r#"mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type="tool_error"} 1"#,
            r#"mcp_server_operation_duration_seconds_bucket{le="0.005",mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 1"#,
            r#"mcp_server_operation_duration_seconds_bucket{le="0.0025",mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 0"#,
            r#"mcp_server_operation_duration_seconds_bucket{le="+Inf",mcp_method_name="tools/list",gen_ai_tool_name="",error_type=""} 1"#,
            r#"mcp_client_operation_duration_seconds_count{upstream="files",mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 1"#,
            r#"mcp_client_operation_duration_seconds_sum{upstream="files",mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 0.002"#,
            r#"portcullis_upstream_up{upstream="files"} 1"#,
            r#"portcullis_list_stale{upstream="files"} 0"#,
            "portcullis_audit_queue_depth 7",
            "portcullis_config_last_reload_success 1",
            r#"portcullis_sheds_total{reason="queue_full"} 1"#,
            "portcullis_in_flight 1",
            "portcullis_connections 1",
        ] {
            assert_eq!(line(&text, expect).as_deref(), Some(expect), "{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(metrics.encode().contains("portcullis_in_flight 0\n"));
    }

    #[test]
    fn hostile_labels_stay_in_their_quotes() {
        let metrics = Metrics::new();
        metrics.decided(false, Reason::NoRule, Some(&"a\"} 1\nforged{x=\"\\".into()), None);
        let text = metrics.encode();
        assert!(line(&text, "forged").is_none(), "{text}");
        assert!(text.contains(r#"tool="a\"} 1\nforged{x=\"\\""#), "{text}");
    }

    #[test]
    fn label_sets_are_bounded_and_nothing_is_lost() {
        let metrics = Metrics::new();
        let many = METRIC_SERIES_MAX + 500;
        for i in 0..many {
            metrics.decided(false, Reason::NoRule, Some(&Arc::from(i.to_string())), Some(Class::Write));
        }
        let text = metrics.encode();
        assert!(text.lines().filter(|l| l.starts_with("portcullis_decisions_total")).count() <= METRIC_SERIES_MAX + 1);
        let expect = r#"portcullis_decisions_total{effect="deny",reason="no_rule",tool="other",class="write"} 500"#;
        assert_eq!(line(&text, expect).as_deref(), Some(expect));
    }
}
