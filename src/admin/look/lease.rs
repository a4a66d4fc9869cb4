//! Leases as somebody sees them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::approval::Lease;

/// The terms on which similar calls are approved too.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Lease")]
pub(in crate::admin) struct LeaseView {
    /// For how long, from the last vote on.
    pub(in crate::admin) minutes: u64,
    /// How many calls, all together.
    pub(in crate::admin) uses: u32,
    /// How many of them were made.
    pub(in crate::admin) used: u32,
    /// Calls can be made under it now.
    pub(in crate::admin) in_force: bool,
    /// Which arguments may differ from those of the request, and how: pointers and matchers. Without it none.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub(in crate::admin) within: Option<Box<RawValue>>,
}

impl LeaseView {
    /// `lease`, which is `in_force` or not.
    pub(super) fn of(lease: &Lease, in_force: bool) -> Self {
        let within = lease.within.as_deref().and_then(|text| RawValue::from_string(text.to_owned()).ok());
        let Lease { minutes, uses, used, .. } = *lease;
        Self { minutes, uses, used, in_force, within }
    }

    /// The constraints as they are written; nothing where there are none.
    pub(in crate::admin) fn constraints(&self) -> Option<&str> {
        self.within.as_deref().map(RawValue::get)
    }
}
