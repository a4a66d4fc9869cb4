//! How often strangers may cause work here: documents fetched, clients registered, requests begun.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter};
use moka::sync::Cache;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Authorization requests of a minute, and those of one address.
const AUTHORIZATIONS_PER_MINUTE: u32 = 6_000;
const AUTHORIZATIONS_PER_MINUTE_OF_ONE: u32 = 120;
/// Documents of strangers fetched in a minute, and at once.
const FETCHES_PER_MINUTE: u32 = 120;
const FETCHES_AT_ONCE: usize = 8;
/// How much slower one address gets registrations back than all together: the hour's number is there for whoever comes first, but
/// whoever used it up leaves most of what comes back to others.
const REGISTRATION_SHARE: u32 = 5;
/// Addresses remembered.
const ADDRESSES_MAX: u64 = 10_000;

type Limits = Cache<IpAddr, Arc<DefaultDirectRateLimiter>>;

/// The limits. They outlive a reload, so that reloading does not refill them; the number of registrations is that of the start.
pub struct Pace {
    authorizations: DefaultDirectRateLimiter,
    authorizations_of: Limits,
    fetches: DefaultDirectRateLimiter,
    fetching: Semaphore,
    registrations: DefaultDirectRateLimiter,
    registrations_of: Limits,
    registrations_of_one: Quota,
}

impl Pace {
    /// Limits that allow `per_hour` registrations, all of them at once if need be.
    pub fn new(per_hour: u32) -> Self {
        let quota = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let addresses = || Cache::builder().max_capacity(ADDRESSES_MAX).time_to_idle(Duration::from_secs(3_600)).build();
        Self {
            authorizations: RateLimiter::direct(Quota::per_minute(quota(AUTHORIZATIONS_PER_MINUTE))),
            authorizations_of: addresses(),
            fetches: RateLimiter::direct(Quota::per_minute(quota(FETCHES_PER_MINUTE))),
            fetching: Semaphore::new(FETCHES_AT_ONCE),
            registrations: RateLimiter::direct(Quota::per_hour(quota(per_hour))),
            registrations_of: addresses(),
            registrations_of_one: Quota::per_hour(quota(per_hour / REGISTRATION_SHARE)).allow_burst(quota(per_hour)),
        }
    }

    /// Whether one more authorization request may begin. The address is asked first: one of them cannot use up what is for all.
    pub(super) fn authorize(&self, peer: Option<IpAddr>) -> bool {
        let quota = Quota::per_minute(NonZeroU32::new(AUTHORIZATIONS_PER_MINUTE_OF_ONE).unwrap_or(NonZeroU32::MIN));
        of_one(&self.authorizations_of, peer, quota).is_ok() && self.authorizations.check().is_ok()
    }

    /// Whether one more client may register.
    ///
    /// # Errors
    /// After how many seconds the next may.
    pub(super) fn register(&self, peer: Option<IpAddr>) -> Result<(), u64> {
        of_one(&self.registrations_of, peer, self.registrations_of_one)?;
        admitted(&self.registrations)
    }

    /// A place for one fetch of a stranger's document; none when there are too many.
    pub(super) fn fetch(&self) -> Option<SemaphorePermit<'_>> {
        let place = self.fetching.try_acquire().ok()?;
        self.fetches.check().is_ok().then_some(place)
    }
}

fn of_one(limits: &Limits, peer: Option<IpAddr>, quota: Quota) -> Result<(), u64> {
    let Some(peer) = peer else { return Ok(()) };
    admitted(&limits.get_with(network(peer), || Arc::new(RateLimiter::direct(quota))))
}

/// Counts one more, or says after how many seconds that would succeed.
fn admitted(limit: &DefaultDirectRateLimiter) -> Result<(), u64> {
    let limited = |not_until: NotUntil<_>| not_until.wait_time_from(limit.clock().now()).as_secs().saturating_add(1);
    limit.check().map_err(limited)
}

/// An IPv6 host has a network of its own: what counts is the /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes()),
        v4 => v4,
    }
}
