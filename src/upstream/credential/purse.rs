//! Tokens that were made: kept until shortly before they end, renewed once however many ask, bounded.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;
use parking_lot::Mutex;

use crate::vocab::limits::{
    CREDENTIAL_FAILED_MS, CREDENTIAL_IDLE_S_MAX, CREDENTIAL_RENEWALS_MAX, CREDENTIAL_RENEWALS_MS, CREDENTIAL_STEP_UP_MS,
    CREDENTIAL_STEP_UPS_MAX, CREDENTIAL_TOKENS_MAX,
};
use crate::vocab::{Clock, Fault, PrincipalKey};

/// How long before its end a token is renewed; of a short life a quarter.
const MARGIN_MS: u64 = 30_000;

/// The tokens of one upstream, by principal; `None` is everybody.
pub(super) struct Purse {
    slots: Cache<Option<PrincipalKey>, Arc<Slot>>,
    clock: Clock,
}

/// A token as it is shown.
pub(super) struct Held {
    pub(super) value: HeaderValue,
    renew_ms: u64,
    end_ms: u64,
}

#[derive(Default)]
struct Slot {
    /// Held while a token is made, so that one is made at a time.
    flight: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    /// Scopes that the upstream asked for beside the configured ones.
    extra: Vec<String>,
    /// Step-ups since when, and how many.
    step_ups: Window,
    /// Tokens thrown away because the upstream refused them, since when, and how many.
    renewals: Window,
    failed: Option<(u64, Fault)>,
}

/// A count that starts anew after a while.
#[derive(Default)]
struct Window {
    since_ms: u64,
    count: u32,
}

impl Window {
    /// Counts one more, unless there were `most` in the last `length_ms`.
    fn admit(&mut self, now_ms: u64, length_ms: u64, most: u32) -> bool {
        if now_ms.abs_diff(self.since_ms) >= length_ms {
            *self = Self { since_ms: now_ms, count: 0 };
        }
        let admitted = self.count < most;
        self.count = self.count.saturating_add(1);
        admitted
    }
}

impl Held {
    /// A token that ends at `expires_at_s`.
    pub(super) fn new(value: HeaderValue, expires_at_s: u64, now_ms: u64) -> Self {
        let end_ms = expires_at_s.saturating_mul(1_000);
        let life_ms = end_ms.saturating_sub(now_ms);
        Self { value, renew_ms: end_ms.saturating_sub(MARGIN_MS.min(life_ms / 4)), end_ms }
    }
}

impl Purse {
    pub(super) fn new(clock: Clock) -> Self {
        let idle = Duration::from_secs(CREDENTIAL_IDLE_S_MAX);
        Self { slots: Cache::builder().max_capacity(CREDENTIAL_TOKENS_MAX).time_to_idle(idle).build(), clock }
    }

    fn slot(&self, whose: &Option<PrincipalKey>) -> Arc<Slot> {
        self.slots.get_with_by_ref(whose, Arc::default)
    }

    /// The token of `whose`; made by `make`, from the scopes wanted beside the configured ones, if there is none that lasts.
    /// One that has not ended yet outlives a failure to renew it.
    pub(super) async fn token(
        &self,
        whose: &Option<PrincipalKey>,
        make: impl AsyncFnOnce(Vec<String>) -> Result<Held, Fault>,
    ) -> Result<Arc<Held>, Fault> {
        let slot = self.slot(whose);
        let fresh = || slot.state.lock().held.clone().filter(|held| self.clock.unix_ms() < held.renew_ms);
        if let Some(held) = fresh() {
            return Ok(held);
        }
        let _one = slot.flight.lock().await;
        if let Some(held) = fresh() {
            return Ok(held);
        }
        let now_ms = self.clock.unix_ms();
        if let Some((at_ms, fault)) = slot.state.lock().failed.clone()
            && now_ms.abs_diff(at_ms) < CREDENTIAL_FAILED_MS
        {
            return slot.old(now_ms).ok_or(fault);
        }
        let extra = slot.state.lock().extra.clone();
        let made = make(extra).await;
        let mut state = slot.state.lock();
        match made {
            Ok(held) => {
                let held = Arc::new(held);
                (state.held, state.failed) = (Some(Arc::clone(&held)), None);
                Ok(held)
            }
            Err(fault) => {
                // What was asked for beside the configured scopes may be why: the next try is without it.
                state.extra.clear();
                state.failed = Some((self.clock.unix_ms(), fault.clone()));
                drop(state);
                slot.old(now_ms).ok_or(fault)
            }
        }
    }

    /// Forgets `refused`, if it is what is held. False if tokens are refused too often for another to be of use.
    pub(super) fn forget(&self, whose: &Option<PrincipalKey>, refused: &Arc<Held>) -> bool {
        let slot = self.slot(whose);
        let mut state = slot.state.lock();
        if !state.held.as_ref().is_some_and(|held| Arc::ptr_eq(held, refused)) {
            // Somebody else's call was refused before and there is another by now, or will be.
            return true;
        }
        let admitted = state.renewals.admit(self.clock.unix_ms(), CREDENTIAL_RENEWALS_MS, CREDENTIAL_RENEWALS_MAX);
        if admitted {
            state.held = None;
        }
        admitted
    }

    /// Wants `scopes` too, and so another token than `refused`. False if they were asked for already, or too often.
    pub(super) fn step_up(&self, whose: &Option<PrincipalKey>, refused: &Arc<Held>, scopes: &[String], known: &[String]) -> bool {
        let slot = self.slot(whose);
        let mut state = slot.state.lock();
        let new: Vec<String> =
            scopes.iter().filter(|scope| !known.contains(scope) && !state.extra.contains(scope)).cloned().collect();
        let current = state.held.as_ref().is_some_and(|held| Arc::ptr_eq(held, refused));
        if new.is_empty() {
            return !current;
        }
        if !state.step_ups.admit(self.clock.unix_ms(), CREDENTIAL_STEP_UP_MS, CREDENTIAL_STEP_UPS_MAX) {
            return false;
        }
        state.extra.extend(new);
        state.extra.truncate(crate::oauth::LIST_ENTRIES_MAX);
        if current {
            state.held = None;
        }
        true
    }
}

impl Slot {
    /// What is held, if it has not ended.
    fn old(&self, now_ms: u64) -> Option<Arc<Held>> {
        self.state.lock().held.clone().filter(|held| now_ms < held.end_ms)
    }
}
