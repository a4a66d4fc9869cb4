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
    /// It shall be replaced at once; until that succeeds it is still shown.
    due: bool,
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
        let fresh = || slot.state.lock().fresh(self.clock.unix_ms());
        if let Some(held) = fresh() {
            return Ok(held);
        }
        let _one = slot.flight.lock().await;
        if let Some(held) = fresh() {
            return Ok(held);
        }
        let now_ms = self.clock.unix_ms();
        let failed = slot.state.lock().failed.clone();
        if let Some((at_ms, fault)) = failed
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
                (state.held, state.due, state.failed) = (Some(Arc::clone(&held)), false, None);
                Ok(held)
            }
            Err(fault) => {
                // What was asked for beside the configured scopes may be why: the next try is without it.
                state.extra.clear();
                state.due = false;
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
        state.due = current;
        true
    }
}

impl State {
    /// What is held, if it lasts.
    fn fresh(&self, now_ms: u64) -> Option<Arc<Held>> {
        self.held.clone().filter(|held| !self.due && now_ms < held.renew_ms)
    }
}

impl Slot {
    /// What is held, if it has not ended.
    fn old(&self, now_ms: u64) -> Option<Arc<Held>> {
        self.state.lock().held.clone().filter(|held| now_ms < held.end_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::vocab::FaultKind;

    struct Bench {
        clock: Clock,
        purse: Purse,
        made: AtomicU32,
        asked: Mutex<Vec<Vec<String>>>,
    }

    fn bench() -> Bench {
        let clock = Clock::system();
        Bench { purse: Purse::new(clock.clone()), clock, made: AtomicU32::new(0), asked: Mutex::default() }
    }

    impl Bench {
        async fn get(&self, sub: &str, life_s: u64) -> Result<String, FaultKind> {
            let whose = who(sub);
            let got = self.purse.token(&whose, async |extra| {
                self.asked.lock().push(extra);
                tokio::task::yield_now().await;
                let n = self.made.fetch_add(1, Ordering::SeqCst);
                if life_s == 0 {
                    return Err(Fault::upstream(FaultKind::Credential, "no"));
                }
                let value = format!("{sub}{n}").parse().unwrap();
                Ok(Held::new(value, self.clock.unix_s() + life_s, self.clock.unix_ms()))
            });
            got.await.map(|held| held.value.to_str().unwrap().to_owned()).map_err(|fault| fault.kind)
        }

        fn held(&self, sub: &str) -> Arc<Held> {
            self.purse.slot(&who(sub)).state.lock().held.clone().unwrap()
        }
    }

    fn who(sub: &str) -> Option<PrincipalKey> {
        Some(PrincipalKey { iss: Arc::from("i"), sub: Arc::from(sub) })
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn tokens_are_made_once_per_person_and_again_before_they_end() {
        let bench = bench();
        let all = futures_util::future::join_all((0..50).map(|n| bench.get(if n % 2 == 0 { "a" } else { "b" }, 600)));
        let got = all.await;
        assert_eq!(bench.made.load(Ordering::SeqCst), 2);
        assert!(got.iter().step_by(2).all(|token| token == &got[0]) && got[0] != got[1]);
        bench.clock.advance_ms(560_000);
        assert_eq!(bench.get("a", 600).await, got[0]);
        bench.clock.advance_ms(15_000);
        assert_eq!(bench.get("a", 600).await.unwrap(), "a2");
        // A short life is not used up by the margin.
        bench.get("c", 20).await.unwrap();
        bench.clock.advance_ms(10_000);
        assert_eq!(bench.get("c", 20).await.unwrap(), "c3");
    }

    #[tokio::test]
    async fn an_old_token_outlives_a_failure_but_not_its_end() {
        let bench = bench();
        bench.get("a", 100).await.unwrap();
        bench.clock.advance_ms(80_000);
        assert_eq!(bench.get("a", 0).await.unwrap(), "a0");
        assert_eq!(bench.get("a", 0).await.unwrap(), "a0");
        assert_eq!(bench.made.load(Ordering::SeqCst), 2, "a failure is not repeated at once");
        bench.clock.advance_ms(21_000);
        assert_eq!(bench.get("a", 0).await, Err(FaultKind::Credential));
        assert_eq!(bench.get("a", 100).await, Err(FaultKind::Credential), "nor right after");
        bench.clock.advance_ms(3_000);
        assert_eq!(bench.get("a", 100).await.unwrap(), "a3");
    }

    #[tokio::test]
    async fn refused_tokens_are_replaced_a_few_times() {
        let bench = bench();
        for n in 0..CREDENTIAL_RENEWALS_MAX {
            bench.get("a", 600).await.unwrap();
            let held = bench.held("a");
            assert!(bench.purse.forget(&who("a"), &held), "{n}");
            assert!(bench.purse.forget(&who("a"), &held), "whoever comes second waits for the first");
        }
        bench.get("a", 600).await.unwrap();
        assert!(!bench.purse.forget(&who("a"), &bench.held("a")));
        bench.clock.advance_ms(31_000);
        assert!(bench.purse.forget(&who("a"), &bench.held("a")));
    }

    #[tokio::test]
    async fn scopes_are_added_once_and_given_up_when_they_are_not_granted() {
        let bench = bench();
        let known = words(&["read"]);
        bench.get("a", 600).await.unwrap();
        let first = bench.held("a");
        assert!(!bench.purse.step_up(&who("a"), &first, &words(&["read"]), &known), "it was asked for already");
        assert!(bench.purse.step_up(&who("a"), &first, &words(&["read", "write"]), &known));
        bench.get("a", 600).await.unwrap();
        assert_eq!(bench.asked.lock().last().unwrap(), &words(&["write"]));
        assert!(bench.purse.step_up(&who("a"), &first, &words(&["write"]), &known), "there is another token by now");
        let second = bench.held("a");
        assert!(!bench.purse.step_up(&who("a"), &second, &words(&["write"]), &known));
        assert!(bench.purse.step_up(&who("a"), &second, &words(&["admin"]), &known));
        assert_eq!(bench.get("a", 0).await.unwrap(), "a1", "the token that was good for less still is");
        bench.clock.advance_ms(3_000);
        assert!(bench.purse.step_up(&who("a"), &second, &words(&["admin"]), &known));
        assert!(!bench.purse.step_up(&who("a"), &second, &words(&["more"]), &known), "only a few times");
        bench.clock.advance_ms(601_000);
        bench.get("a", 600).await.unwrap();
        assert!(bench.purse.step_up(&who("a"), &bench.held("a"), &words(&["more"]), &known));
    }
}
