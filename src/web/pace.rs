//! How often one address may cause work, when nobody knows yet who is behind it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter};
use moka::sync::Cache;

/// Addresses remembered.
const ADDRESSES_MAX: u64 = 10_000;
/// How long an address is remembered that does nothing, in seconds.
const IDLE_S_MAX: u64 = 3_600;

/// One limit per address.
pub struct PerAddress {
    limits: Cache<IpAddr, Arc<DefaultDirectRateLimiter>>,
    quota: Quota,
}

impl PerAddress {
    /// Allows each address `quota`.
    pub fn new(quota: Quota) -> Self {
        let idle = Duration::from_secs(IDLE_S_MAX);
        Self { limits: Cache::builder().max_capacity(ADDRESSES_MAX).time_to_idle(idle).build(), quota }
    }

    /// Counts one more of `peer`; where the address is not known nothing is counted.
    ///
    /// # Errors
    /// After how many seconds that would succeed.
    pub fn admit(&self, peer: Option<IpAddr>) -> Result<(), u64> {
        let Some(peer) = peer else { return Ok(()) };
        admitted(&self.limits.get_with(network(peer), || Arc::new(RateLimiter::direct(self.quota))))
    }
}

/// Counts one more.
///
/// # Errors
/// After how many seconds that would succeed.
pub fn admitted(limit: &DefaultDirectRateLimiter) -> Result<(), u64> {
    let limited = |not_until: NotUntil<_>| not_until.wait_time_from(limit.clock().now()).as_secs().saturating_add(1);
    limit.check().map_err(limited)
}

/// An IPv6 host has a network of its own: what counts is the /64.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes()),
        v4 => v4,
    }
}
