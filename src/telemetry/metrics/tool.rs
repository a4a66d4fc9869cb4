//! Counting calls of one tool.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::Metrics;
use super::series::Durations;
use crate::vocab::{Class, Reason};

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
    pub(super) fn new(metrics: Arc<Metrics>, tool: Arc<str>, upstream: Arc<str>, class: Class) -> Self {
        let (allowed, served_ok, called_ok) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { metrics, tool, upstream, class, allowed, served_ok, called_ok }
    }

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

const TOOLS_CALL: &str = "tools/call";
