//! Identifiers minted by the gateway.

use std::fmt;

/// The id of an audit record, minted when a request starts. A UUID version 7 (RFC 9562): unique, and sortable by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordId(uuid::Uuid);

impl RecordId {
    /// A new id for a request that starts at `unix_ms`.
    pub fn mint(unix_ms: u64) -> Self {
        let seconds = unix_ms / 1000;
        let nanos = u32::try_from(unix_ms % 1000).unwrap_or(0) * 1_000_000;
        Self(uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
    }
}

impl RecordId {
    /// Appends the id as [`fmt::Display`] writes it.
    pub fn push_to(self, out: &mut Vec<u8>) {
        let mut text = uuid::Uuid::encode_buffer();
        out.extend_from_slice(self.0.as_hyphenated().encode_lower(&mut text).as_bytes());
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}
