//! What people and programs look at, as values: the API writes them as JSON, the console as pages.

pub(super) mod activity;
pub(super) mod approvals;
pub(super) mod lease;
pub(super) mod policy;
pub(super) mod stats;
pub(super) mod tools;
pub(super) mod upstreams;

use std::time::{Duration, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::Serialize;

/// One page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(super) struct Paged<T> {
    /// What is on it.
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// A moment, RFC 3339.
pub(super) fn time(unix_ms: u64) -> String {
    // Beyond the year 9999 there is no such text.
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms.min(MOMENT_MS_MAX)));
    at.map(|at| humantime::format_rfc3339_millis(at).to_string()).unwrap_or_default()
}

/// The end of the year 9999.
const MOMENT_MS_MAX: u64 = 253_402_300_799_000;
