//! Leases as somebody sees them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::approval::Lease;
use crate::vocab::escape::visible;

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

    /// The constraints as JSON for a page, where nothing hides: what a page would not show as it is stands there as an escape, which says
    /// the same. Nothing where there are none.
    pub(in crate::admin) fn constraints(&self) -> Option<String> {
        self.within.as_deref().map(|within| visible(within.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::escape::is_unsafe;

    #[test]
    fn nothing_hides_on_a_page_and_it_means_the_same() {
        let hidden = "\u{ad}\u{61c}\u{180e}\u{200b}\u{2028}\u{202e}\u{2066}\u{feff}\u{fff9}\u{e0041}\u{7f}";
        let json = serde_json::json!({ "/p\u{200b}": { "one_of": [hidden, "gr\u{fc}n \u{1f600} \\ \" \n"] } });
        let shown = visible(&json.to_string());
        assert!(!shown.chars().any(is_unsafe), "{shown}");
        assert!(shown.contains("\\udb40\\udc41") && shown.contains("gr\u{fc}n \u{1f600}"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).ok(), Some(json));
    }
}
