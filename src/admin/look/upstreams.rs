//! The upstreams and how they do.

use schemars::JsonSchema;
use serde::Serialize;

use super::stats::{Of, Stats, stats};
use crate::admin::office::Asked;
use crate::upstream::Transport;

/// An upstream.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Upstream")]
pub(in crate::admin) struct UpstreamView {
    /// Its name.
    pub(in crate::admin) name: String,
    /// `http` or `stdio`.
    #[schemars(extend("enum" = ["http", "stdio"]))]
    pub(in crate::admin) transport: &'static str,
    /// Its origin, or the program.
    pub(in crate::admin) address: String,
    /// False while it is left alone because it failed too often.
    pub(in crate::admin) up: bool,
    /// How it is spoken to: a revision, or what was found out.
    pub(in crate::admin) era: &'static str,
    /// One session or process for all principals.
    pub(in crate::admin) shared: bool,
    /// How it is shown who calls.
    pub(in crate::admin) credential: &'static str,
    /// Sessions that are open, or processes that run.
    pub(in crate::admin) sessions: usize,
    /// What the records say of its calls.
    #[serde(flatten)]
    pub(in crate::admin) stats: Stats,
}

/// All of them, by name.
pub(in crate::admin) fn list(asked: &Asked<'_>) -> Vec<UpstreamView> {
    let mut numbers = stats(&asked.office.recent.newest_first(), Of::Upstream);
    let views = asked.world.upstreams.iter().map(|(name, upstream)| {
        let settings = upstream.settings();
        let (transport, address) = match &settings.transport {
            Transport::Http { url, .. } => ("http", url.origin().ascii_serialization()),
            Transport::Stdio { command, .. } => ("stdio", command.clone()),
        };
        UpstreamView {
            name: name.to_string(),
            transport,
            address,
            up: upstream.is_up(),
            era: upstream.manner(),
            shared: settings.shared,
            credential: settings.credential.kind(),
            sessions: upstream.sessions_open(),
            stats: numbers.remove(&**name).unwrap_or_default(),
        }
    });
    views.collect()
}
