//! How often strangers may cause work here: documents fetched, clients registered, requests begun.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::web::{PerAddress, admitted};

/// Authorization requests of a minute, and those of one address.
const AUTHORIZATIONS_PER_MINUTE: u32 = 6_000;
const AUTHORIZATIONS_PER_MINUTE_OF_ONE: u32 = 120;
/// Documents of strangers fetched in a minute, and at once.
const FETCHES_PER_MINUTE: u32 = 120;
/// Those that one address may cause: what is left for others is most of it.
const FETCHES_PER_MINUTE_OF_ONE: u32 = 20;
const FETCHES_AT_ONCE: usize = 8;
/// How much slower one address gets registrations back than all together: the hour's number is there for whoever comes first, but
/// whoever used it up leaves most of what comes back to others.
const REGISTRATION_SHARE: u32 = 5;

/// The limits. They outlive a reload, so that reloading does not refill them; the number of registrations is that of the start.
pub struct Pace {
    authorizations: DefaultDirectRateLimiter,
    authorizations_of: PerAddress,
    fetches: DefaultDirectRateLimiter,
    fetches_of: PerAddress,
    fetching: Semaphore,
    registrations: DefaultDirectRateLimiter,
    registrations_of: PerAddress,
}

impl Pace {
    /// Limits that allow `per_hour` registrations, all of them at once if need be.
    pub fn new(per_hour: u32) -> Self {
        let quota = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let registrations_of_one = Quota::per_hour(quota(per_hour / REGISTRATION_SHARE)).allow_burst(quota(per_hour));
        Self {
            authorizations: RateLimiter::direct(Quota::per_minute(quota(AUTHORIZATIONS_PER_MINUTE))),
            authorizations_of: PerAddress::new(Quota::per_minute(quota(AUTHORIZATIONS_PER_MINUTE_OF_ONE))),
            fetches: RateLimiter::direct(Quota::per_minute(quota(FETCHES_PER_MINUTE))),
            fetches_of: PerAddress::new(Quota::per_minute(quota(FETCHES_PER_MINUTE_OF_ONE))),
            fetching: Semaphore::new(FETCHES_AT_ONCE),
            registrations: RateLimiter::direct(Quota::per_hour(quota(per_hour))),
            registrations_of: PerAddress::new(registrations_of_one),
        }
    }

    /// Whether one more authorization request may begin. The address is asked first: one of them cannot use up what is for all.
    pub(super) fn authorize(&self, peer: Option<IpAddr>) -> bool {
        self.authorizations_of.admit(peer).is_ok() && self.authorizations.check().is_ok()
    }

    /// Whether one more client may register.
    ///
    /// # Errors
    /// After how many seconds the next may.
    pub(super) fn register(&self, peer: Option<IpAddr>) -> Result<(), u64> {
        self.registrations_of.admit(peer)?;
        admitted(&self.registrations)
    }

    /// A place for one fetch of a stranger's document, caused by somebody at `peer`.
    ///
    /// # Errors
    /// After how many seconds there may be one.
    pub(super) fn fetch(&self, peer: Option<IpAddr>) -> Result<SemaphorePermit<'_>, u64> {
        self.fetches_of.admit(peer)?;
        let place = self.fetching.try_acquire().map_err(|_| 1_u64)?;
        admitted(&self.fetches).map(|()| place)
    }
}
