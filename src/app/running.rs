//! A gateway that serves, and how it stops.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::checkpoints::Exports;
use super::reload::Reloader;
use super::telemetry::Observing;
use crate::export::Sinks;
use crate::net::Workers;
use crate::notice::Notices;
use crate::pipeline::Gateway;
use crate::upstream::Registry;
use crate::vocab::Deadline;
use crate::vocab::limits::DRAIN_MS_MAX;

/// A gateway that serves.
pub struct Running {
    pub(super) mcp: String,
    pub(super) admin: Option<String>,
    pub(super) console_link: Option<String>,
    pub(super) ca: Option<PathBuf>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) notices: Option<Notices>,
    pub(super) exports: Exports,
    pub(super) sinks: Sinks,
    pub(super) registry: Arc<Registry>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) stopping: CancellationToken,
    pub(super) doors: TaskTracker,
    pub(super) background: TaskTracker,
    /// Calls that lost their connection, sessions and processes live there too, so that it ends last.
    pub(super) workers: Arc<Workers>,
    /// Sends traces and metrics.
    pub(super) observing: Observing,
}

/// Time that calls which are cut may take to let go of what they hold.
const CUT_TIME: Duration = Duration::from_secs(1);
/// Time to end sessions and processes of upstreams, however long the calls took.
const UPSTREAMS_CLOSE: Duration = Duration::from_secs(3);
/// Time the last records may take to be written.
const AUDIT_CLOSE: Duration = Duration::from_secs(5);

impl Running {
    /// `scheme://host:port` of the listener for agents.
    pub fn mcp_url(&self) -> String {
        self.mcp.clone()
    }

    /// `scheme://host:port` of the listener for operators, if there is one.
    pub fn admin_url(&self) -> Option<String> {
        self.admin.clone()
    }

    /// The link by which one person signs in at the console, once, where there is no identity provider for that. A secret.
    pub fn console_link(&self) -> Option<String> {
        self.console_link.clone()
    }

    /// The CA that development clients must trust.
    pub fn ca_path(&self) -> Option<PathBuf> {
        self.ca.clone()
    }

    /// Whether refusals of policy are only recorded.
    pub(super) fn observes_only(&self) -> bool {
        self.gateway.world.load().observe.is_some()
    }

    /// Where calls are approved.
    pub fn approvals(&self) -> crate::approval::Desk {
        self.gateway.approvals.clone()
    }

    /// Where records go.
    pub fn audit(&self) -> Arc<crate::audit::Audit> {
        self.gateway.audit.clone()
    }

    /// Who tells approvers, where there is a console to lead them to.
    pub fn notices(&self) -> Option<Notices> {
        self.notices.clone()
    }

    /// The clock that everything here reads.
    pub fn clock(&self) -> crate::vocab::Clock {
        self.gateway.clock.clone()
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<crate::policy::PolicySet> {
        self.gateway.world.load().policy.clone()
    }

    /// Nothing more is written to standard output but what a sink of the audit writes there.
    pub(super) fn announced(&self) {
        self.sinks.announced();
    }

    /// Reloads config and policy at once.
    pub fn reload_now(&self) {
        self.reloader.ask();
    }

    /// Stops: refuses new work, finishes what is under way, ends the upstreams, writes the last record.
    ///
    /// Calls that lost their connection keep their upstreams until they end. What the drain cannot wait for is cut, and
    /// each call that was cut has its record.
    pub async fn stop(self) {
        self.stop_within(Duration::from_millis(DRAIN_MS_MAX)).await;
    }

    /// As [`Self::stop`], with less time for calls that lost their connection.
    pub async fn stop_within(self, drain: Duration) {
        let deadline = Deadline::after(drain);
        self.gateway.drain.begin();
        self.doors.close();
        self.doors.wait().await;
        self.gateway.tasks.close();
        self.stopping.cancel();
        let tasks = &self.gateway.tasks;
        if tokio::time::timeout_at(deadline.instant().into(), tasks.wait()).await.is_err() {
            tracing::warn!(tasks = tasks.len(), "calls are cut: they did not end within the drain");
            self.gateway.cut.cancel();
            // What is left now reads lists for nobody.
            let _ = tokio::time::timeout(CUT_TIME, tasks.wait()).await;
        }
        // A reload that was under way must not bring upstreams back.
        self.background.close();
        self.background.wait().await;
        // A refresh token that was used and whose successor was not kept would be a lost account.
        if let Some(desk) = &self.gateway.desk {
            desk.close(Deadline::after(UPSTREAMS_CLOSE)).await;
        }
        self.registry.shutdown(Deadline::after(UPSTREAMS_CLOSE)).await;
        let audit = self.gateway.audit.clone();
        let closing = tokio::task::spawn_blocking(move || audit.close(AUDIT_CLOSE));
        // A receiver of telemetry that hangs holds up no record.
        let ((), closed) = tokio::join!(self.observing.end(), closing);
        if !matches!(closed, Ok(Ok(()))) {
            tracing::error!("some audit records could not be written");
        }
        tokio::join!(self.exports.finish(), self.sinks.finish());
        drop(self.workers);
    }
}
