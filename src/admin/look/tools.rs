//! What upstreams offer.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stats::{Of, Stats, stats};
use crate::admin::office::Asked;
use crate::catalog::Entry;

/// Tools that are looked at.
const TOOLS_MAX: usize = 10_000;
/// Characters of a description that are shown.
const ABOUT_CHARS_MAX: usize = 400;

/// A tool.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tool")]
pub(in crate::admin) struct ToolView {
    /// Its full name.
    pub(in crate::admin) name: String,
    /// Its upstream.
    pub(in crate::admin) upstream: String,
    /// The class that policy gives it.
    #[schemars(extend("enum" = ["read", "write", "destructive"]))]
    pub(in crate::admin) class: &'static str,
    /// Whether an operator said what it is; else it counts as destructive.
    pub(in crate::admin) classified: bool,
    /// Digest of its definition.
    pub(in crate::admin) definition: String,
    /// The beginning of what it says of itself. Text of others.
    pub(in crate::admin) description: String,
    /// Somebody else is offered another definition under this name.
    pub(in crate::admin) differs: bool,
    /// Tokens that its results came to, since the start.
    pub(in crate::admin) tokens: u64,
    /// What the records say of its calls.
    #[serde(flatten)]
    pub(in crate::admin) stats: Stats,
}

/// Every tool that somebody is known to be offered, in the order of the names.
pub(in crate::admin) fn list(asked: &Asked<'_>, upstream: Option<&str>) -> Vec<ToolView> {
    let entries = asked.office.gateway.catalog.tools(TOOLS_MAX);
    let mut numbers = stats(&asked.office.recent.newest_first(), Of::Name);
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = entries.iter().map(|entry| &*entry.full).filter(|name| !seen.insert(*name)).collect();
    let tool = |entry: &std::sync::Arc<Entry>| {
        let own = entry.full.split_once("__").map_or("", |(own, _)| own).to_owned();
        let policy = &asked.world.policy;
        ToolView {
            name: entry.full.to_string(),
            class: policy.class_of(&entry.full, entry.hints).as_str(),
            classified: policy.is_classified(&entry.full),
            definition: entry.definition.to_string(),
            description: about(entry),
            differs: twice.contains(&*entry.full),
            tokens: entry.tool.as_ref().map_or(0, |tool| tool.delivered_tokens()),
            stats: numbers.remove(&*entry.full).unwrap_or_default(),
            upstream: own,
        }
    };
    let known = |tool: &ToolView| asked.world.upstreams.contains_key(tool.upstream.as_str());
    entries.iter().map(tool).filter(known).filter(|tool| upstream.is_none_or(|wanted| tool.upstream == wanted)).collect()
}

fn about(entry: &Entry) -> String {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Said {
        title: Option<String>,
        description: Option<String>,
    }
    let said: Said = serde_json::from_slice(entry.raw.as_bytes()).unwrap_or_default();
    let text = said.description.or(said.title).unwrap_or_default();
    text.chars().take(ABOUT_CHARS_MAX).collect()
}
