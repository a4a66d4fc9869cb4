//! What the audit counts.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::series::Durations;

/// Of the log of records.
#[derive(Clone, Default)]
pub struct AuditMetrics {
    queue_depth: Gauge,
    records: Counter,
    syncs: Durations,
    unsynced: Gauge,
    checkpoint_age_s: Gauge,
    exports_failing: Gauge,
    sink_lag: Family<SinkLabels, Gauge>,
    sink_lag_s: Family<SinkLabels, Gauge>,
    sink_failing: Family<SinkLabels, Gauge>,
    sink_failures: Family<SinkLabels, Counter>,
    sink_rejected: Family<SinkLabels, Counter>,
}

/// A sink of the config, of which there are few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

impl AuditMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("audit_queue_depth", "Audit records not yet written", self.queue_depth.clone());
        registry.register("audit_records", "Audit records written, checkpoints among them", self.records.clone());
        registry.register_with_unit("audit_sync", "Times that records took to be on disk", Unit::Seconds, self.syncs.clone());
        registry.register("audit_unsynced_records", "Audit records written and not known to be on disk", self.unsynced.clone());
        let help = "Age of the last signed checkpoint; -1 before the first";
        registry.register_with_unit("audit_checkpoint_age", help, Unit::Seconds, self.checkpoint_age_s.clone());
        let help = "Places that did not take the last checkpoint";
        registry.register("audit_checkpoint_exports_failing", help, self.exports_failing.clone());
        registry.register("audit_sink_lag_records", "Audit records that a sink has not taken yet", self.sink_lag.clone());
        let help = "Age of the oldest audit record that a sink could take and has not";
        registry.register_with_unit("audit_sink_lag", help, Unit::Seconds, self.sink_lag_s.clone());
        let help = "1 if a sink took nothing since an attempt failed";
        registry.register("audit_sink_failing", help, self.sink_failing.clone());
        registry.register("audit_sink_failures", "Attempts of which a sink took nothing", self.sink_failures.clone());
        let help = "Audit records that a sink refused for good";
        registry.register("audit_sink_rejected", help, self.sink_rejected.clone());
    }

    /// There is such a sink.
    pub fn sink(&self, name: &str) {
        let labels = SinkLabels { sink: name.to_owned() };
        drop(self.sink_lag.get_or_create(&labels));
        drop(self.sink_lag_s.get_or_create(&labels));
        drop(self.sink_failing.get_or_create(&labels));
        drop(self.sink_failures.get_or_create(&labels));
        drop(self.sink_rejected.get_or_create(&labels));
    }

    /// A sink did not take what it was sent.
    pub fn sink_failed(&self, name: &str) {
        self.sink_failures.get_or_create(&SinkLabels { sink: name.to_owned() }).inc();
    }

    /// A sink refused records for good.
    pub fn sink_rejected(&self, name: &str, records: u64) {
        self.sink_rejected.get_or_create(&SinkLabels { sink: name.to_owned() }).inc_by(records);
    }

    /// What is read when metrics are asked for: the records that a sink has not taken, the age of the oldest in seconds, and whether
    /// it fails.
    pub fn set_sink(&self, name: &str, records: u64, seconds: u64, failing: bool) {
        let labels = SinkLabels { sink: name.to_owned() };
        self.sink_lag.get_or_create(&labels).set(i64::try_from(records).unwrap_or(i64::MAX));
        self.sink_failing.get_or_create(&labels).set(failing.into());
        self.sink_lag_s.get_or_create(&labels).set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// A place that keeps checkpoints does not take them, or does so again.
    pub fn export_fails(&self, failing: bool) {
        if failing {
            self.exports_failing.inc()
        } else {
            self.exports_failing.dec()
        };
    }

    /// Counts records that were written.
    pub fn written(&self, records: u64) {
        self.records.inc_by(records);
    }

    /// Counts a time in which records came to be on disk.
    pub fn synced(&self, took: Duration) {
        self.syncs.observe(took, None);
    }

    /// What is read when metrics are asked for: records not yet written, those not known to be on disk, and the age of the last
    /// checkpoint in seconds.
    pub fn set(&self, queued: usize, unsynced: u64, checkpoint_age_s: Option<u64>) {
        self.queue_depth.set(i64::try_from(queued).unwrap_or(i64::MAX));
        self.unsynced.set(i64::try_from(unsynced).unwrap_or(i64::MAX));
        self.checkpoint_age_s.set(checkpoint_age_s.map_or(-1, |age| i64::try_from(age).unwrap_or(i64::MAX)));
    }
}
