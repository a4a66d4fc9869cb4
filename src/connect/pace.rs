//! How often one person may look at a page where an account is linked: each look asks other servers, and is kept until it is over.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter};
use moka::sync::Cache;

use crate::vocab::PrincipalKey;
use crate::vocab::limits::{LINK_PAGES_OF_ONE_MAX, LINK_S_MAX};

/// See the module. Outlives a reload.
pub(super) struct Pace(Cache<PrincipalKey, Arc<DefaultDirectRateLimiter>>);

impl Pace {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(PEOPLE_MAX).time_to_idle(Duration::from_secs(LINK_S_MAX)).build())
    }

    /// Counts one more look of `who`.
    ///
    /// # Errors
    /// After how many seconds the next is admitted.
    pub(super) fn admit(&self, who: &PrincipalKey) -> Result<(), u64> {
        let most = NonZeroU32::new(LINK_PAGES_OF_ONE_MAX).unwrap_or(NonZeroU32::MIN);
        let every = Duration::from_secs(LINK_S_MAX) / most.get();
        let quota = Quota::with_period(every).unwrap_or(Quota::per_minute(most)).allow_burst(most);
        let limit = self.0.get_with_by_ref(who, || Arc::new(RateLimiter::direct(quota)));
        let limited = |not_until: NotUntil<_>| not_until.wait_time_from(limit.clock().now()).as_secs().saturating_add(1);
        limit.check().map_err(limited)
    }
}

/// People remembered.
const PEOPLE_MAX: u64 = 20_000;
