//! Prometheus metrics. Every label is bounded: closed lists, configured names, and tools of the catalog.

mod audit;
mod exposition;
pub mod families;
mod labels;
mod series;
mod tool;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use audit::AuditMetrics;
pub use exposition::Form;
use labels::{
    DecisionLabels, DroppedLabels, EventLabels, KeyLabels, NoticeLabels, OperationLabels, PageLabels, ReasonLabels, StateLabels,
    ToolLabels, UpstreamLabels, UpstreamOperationLabels,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use series::{Durations, Named, Series};
pub use tool::Tool;

use super::names;
use crate::vocab::{Class, Reason};

/// The id of a trace that is recorded, if a measurement belongs to one.
pub type Trace = Option<[u8; 16]>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    decisions: Series<DecisionLabels, Counter>,
    server: Series<OperationLabels, Durations>,
    client: Series<UpstreamOperationLabels, Durations>,
    upstream_up: Named<UpstreamLabels>,
    list_stale: Named<UpstreamLabels>,
    key_used: Named<KeyLabels>,
    sheds: Family<ReasonLabels, Counter>,
    links: Family<EventLabels, Counter>,
    pages: Family<PageLabels, Counter>,
    approvals: Family<StateLabels, Gauge>,
    notices: Series<NoticeLabels, Counter>,
    dropped: Family<DroppedLabels, Counter>,
    /// What the audit counts.
    pub audit: AuditMetrics,
    reload_success: Gauge,
    observe_only: Gauge,
    response_tokens: Series<ToolLabels, Gauge>,
    in_flight: Gauge,
    arriving: Gauge,
    streams: Gauge,
    connections: Gauge,
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
            upstream_up: Named::default(),
            list_stale: Named::default(),
            key_used: Named::default(),
            sheds: Family::default(),
            links: Family::default(),
            pages: Family::default(),
            approvals: Family::default(),
            notices: Series::default(),
            dropped: Family::default(),
            audit: AuditMetrics::default(),
            reload_success: Gauge::default(),
            observe_only: Gauge::default(),
            response_tokens: Series::default(),
            in_flight: Gauge::default(),
            arriving: Gauge::default(),
            streams: Gauge::default(),
            connections: Gauge::default(),
            registry: Registry::default(),
        };
        own.register("decisions", "Decisions of policy", metrics.decisions.family());
        own.register("approvals", "Requests for approval that are kept", metrics.approvals.clone());
        own.register("notices", "Attempts to tell approvers", metrics.notices.family());
        metrics.audit.register(own);
        own.register("upstream_up", "1 if the upstream answered last", metrics.upstream_up.family());
        own.register("list_stale", "1 if a last known list is shown", metrics.list_stale.family());
        own.register("api_key_last_used_seconds", "When the key was last used, Unix time", metrics.key_used.family());
        own.register("config_last_reload_success", "1 if the last reload was taken", metrics.reload_success.clone());
        own.register("observe_only", "1 if refusals of policy are only recorded", metrics.observe_only.clone());
        own.register("tool_response_tokens", "Tokens that results of tools are taken for", metrics.response_tokens.family());
        own.register("sheds", "Requests turned away before they were read", metrics.sheds.clone());
        own.register("account_links", "What became of accounts that people link", metrics.links.clone());
        own.register("auth_pages", "Requests to the authorization server", metrics.pages.clone());
        own.register("telemetry_dropped", "Traces and metrics that no receiver took", metrics.dropped.clone());
        own.register("in_flight", "Requests being served", metrics.in_flight.clone());
        own.register("arriving", "Requests whose credential or body is waited for", metrics.arriving.clone());
        own.register("streams", "Streams open that tell clients what happens", metrics.streams.clone());
        own.register("connections", "Connections open", metrics.connections.clone());
        Self { registry, ..metrics }
    }

    /// Counts a decision. `tool` is `None` for what the catalog does not know.
    pub fn decided(&self, allowed: bool, reason: Reason, tool: Option<&Tool>, class: Option<Class>) {
        let decision = || self.decision(allowed, reason, tool, class);
        if let Some(tool) = tool.filter(|_| allowed && reason == Reason::Allowed) {
            let (of, counter) = tool.allowed.get_or_init(|| (class, decision()));
            if *of == class {
                counter.inc();
                return;
            }
        }
        decision().inc();
    }

    /// Counts a request served. `error_type` is empty for a success, else a word from a closed list.
    pub fn served(&self, method: &'static str, tool: Option<&Tool>, error_type: &'static str, took: Duration, trace: Trace) {
        let serving = || self.serving(method, tool, error_type);
        match tool.filter(|_| error_type.is_empty() && method == TOOLS_CALL) {
            Some(tool) => tool.served.get_or_init(serving).observe(took, trace),
            None => serving().observe(took, trace),
        }
    }

    /// Counts a request to an upstream, which is that of the tool.
    pub fn called(
        &self,
        upstream: &Arc<str>,
        method: &'static str,
        tool: Option<&Tool>,
        error_type: &'static str,
        took: Duration,
        trace: Trace,
    ) {
        let calling = || self.calling(upstream, method, tool, error_type);
        match tool.filter(|_| error_type.is_empty() && method == TOOLS_CALL) {
            Some(tool) => tool.called.get_or_init(calling).observe(took, trace),
            None => calling().observe(took, trace),
        }
    }

    /// Whether `upstream` answered last.
    pub fn set_upstream_up(&self, upstream: &Arc<str>, up: bool) {
        self.upstream_up.set(UpstreamLabels { upstream: upstream.clone() }, other_upstream, up.into());
    }

    /// Whether the list of `upstream` that is shown is only the last known one.
    pub fn set_list_stale(&self, upstream: &Arc<str>, stale: bool) {
        self.list_stale.set(UpstreamLabels { upstream: upstream.clone() }, other_upstream, stale.into());
    }

    /// When the API key `id` was last used, in seconds since the Unix epoch; read when metrics are asked for.
    pub fn set_key_used(&self, id: &Arc<str>, used_s: u64) {
        let other_key = |_: &KeyLabels| KeyLabels { id: other() };
        self.key_used.set(KeyLabels { id: id.clone() }, other_key, i64::try_from(used_s).unwrap_or(i64::MAX));
    }

    /// Takes out the gauges of upstreams other than these: the config does not have them any more.
    pub fn keep_upstreams(&self, names: &HashSet<Arc<str>>) {
        self.upstream_up.keep(|labels| names.contains(&labels.upstream));
        self.list_stale.keep(|labels| names.contains(&labels.upstream));
    }

    /// Takes out the gauges of API keys other than these.
    pub fn keep_keys(&self, ids: &HashSet<Arc<str>>) {
        self.key_used.keep(|labels| ids.contains(&labels.id));
    }

    /// Counts a request that was turned away; `reason` is a word from a closed list.
    pub fn shed(&self, reason: &'static str) {
        self.sheds.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts what became of an account that a person links; `event` is a word from a closed list.
    pub fn link(&self, event: &'static str) {
        self.links.get_or_create(&EventLabels { event }).inc();
    }

    /// Requests for approval in `state`, a word from a closed list; read when metrics are asked for.
    pub fn set_approvals(&self, state: &'static str, requests: usize) {
        self.approvals.get_or_create(&StateLabels { state }).set(i64::try_from(requests).unwrap_or(i64::MAX));
    }

    /// Counts what became of an attempt to tell approvers by `channel`, a name of the config; `outcome` is a word from a closed list.
    pub fn notice(&self, channel: &Arc<str>, outcome: &'static str) {
        let labels = NoticeLabels { channel: channel.clone(), outcome };
        self.notices.get(&labels, |labels| NoticeLabels { channel: other(), outcome: labels.outcome }).inc();
    }

    /// Counts an answer of the authorization server; `action` is a word from a closed list.
    pub fn page(&self, action: &'static str, reason: Reason) {
        self.pages.get_or_create(&PageLabels { action, reason: reason.as_str() }).inc();
    }

    /// Counts what was not sent of a `signal`; both words are from closed lists.
    pub fn telemetry_dropped(&self, signal: &'static str, reason: &'static str, pieces: u64) {
        self.dropped.get_or_create(&DroppedLabels { signal, reason }).inc_by(pieces);
    }

    /// Whether the last configuration was taken.
    pub fn set_reload_success(&self, success: bool) {
        self.reload_success.set(success.into());
    }

    /// Whether refusals of policy are only recorded.
    pub fn set_observe_only(&self, observe_only: bool) {
        self.observe_only.set(observe_only.into());
    }

    /// Counts what a tool of the catalog delivered. A gauge that only rises, because its name is that of no counter.
    pub fn delivered(&self, tool: &Tool, tokens: u64) {
        let labels = || ToolLabels { tool: tool.name.clone() };
        let gauge = || self.response_tokens.get(&labels(), |_| ToolLabels { tool: other() });
        tool.delivered.get_or_init(gauge).inc_by(tokens.try_into().unwrap_or(i64::MAX));
    }

    /// Counts a request as being served until the guard drops.
    pub fn hold_in_flight(&self) -> Held {
        Held::new(&self.in_flight)
    }

    /// Counts a request as being waited for until the guard drops.
    pub fn hold_arriving(&self) -> Held {
        Held::new(&self.arriving)
    }

    /// Counts a stream that tells a client what happens until the value is dropped.
    pub fn hold_stream(&self) -> Held {
        Held::new(&self.streams)
    }

    /// Counts a connection as open until the guard drops.
    pub fn hold_connection(&self) -> Held {
        Held::new(&self.connections)
    }

    fn decision(&self, allowed: bool, reason: Reason, tool: Option<&Tool>, class: Option<Class>) -> Counter {
        let effect = if allowed { "allow" } else { "deny" };
        let class = class.map_or("", Class::as_str);
        let labels = DecisionLabels { effect, reason: reason.as_str(), tool: label(tool), class };
        self.decisions.get(&labels, |labels| DecisionLabels { tool: other(), ..labels.clone() })
    }

    fn serving(&self, method: &'static str, tool: Option<&Tool>, error_type: &'static str) -> Durations {
        let labels = OperationLabels { mcp_method_name: method, gen_ai_tool_name: label(tool), error_type };
        self.server.get(&labels, |labels| OperationLabels { gen_ai_tool_name: other(), ..labels.clone() })
    }

    fn calling(&self, upstream: &Arc<str>, method: &'static str, tool: Option<&Tool>, error_type: &'static str) -> Durations {
        let upstream = upstream.clone();
        let labels = UpstreamOperationLabels { upstream, mcp_method_name: method, gen_ai_tool_name: label(tool), error_type };
        self.client.get(&labels, |labels| UpstreamOperationLabels { gen_ai_tool_name: other(), ..labels.clone() })
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

fn label(tool: Option<&Tool>) -> Arc<str> {
    static UNKNOWN: OnceLock<Arc<str>> = OnceLock::new();
    tool.map_or_else(|| UNKNOWN.get_or_init(|| Arc::from(names::UNKNOWN)), |tool| &tool.name).clone()
}

fn other() -> Arc<str> {
    Arc::from(names::OTHER)
}

fn other_upstream(_: &UpstreamLabels) -> UpstreamLabels {
    UpstreamLabels { upstream: other() }
}

/// The method that tools are called by.
const TOOLS_CALL: &str = "tools/call";
