//! What a tool may do to the world, as the operator classified it.

use serde::{Deserialize, Serialize};

/// The class of an operation. Ordered: a higher class is the more dangerous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Observes only.
    Read,
    /// Changes something that can be changed back.
    Write,
    /// Changes something for good. What nobody classified counts as this.
    Destructive,
}

impl Class {
    /// The word used in policies, records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
        }
    }
}
