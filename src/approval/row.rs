//! A request as the store keeps it: JSON, the whole request.

use super::request::Request;
use crate::vocab::limits::{APPROVAL_KEPT_S, APPROVAL_NO_KEPT_S};

pub(super) fn write(request: &Request) -> Vec<u8> {
    serde_json::to_vec(request).unwrap_or_default()
}

/// `None` for what is no request, or one whose parts do not belong together: then it approves nothing.
pub(super) fn read(row: &[u8]) -> Option<Request> {
    serde_json::from_slice(row).ok().filter(|request: &Request| request.digest == request.bound.digest())
}

/// Until when `request` is kept, in seconds since the Unix epoch. A no outlives the leases that it stands above.
pub(super) fn kept_until_s(request: &Request) -> u64 {
    let over_s = request.ended_unix_ms.map_or(request.expires_unix_s, |ms| ms / 1_000);
    over_s.saturating_add(if request.sets_apart() { APPROVAL_NO_KEPT_S } else { APPROVAL_KEPT_S })
}
