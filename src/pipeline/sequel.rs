//! Further rounds of a call that people approved: its server asked something back, and goes on with the answer.
//!
//! The approval was used up when the call left, and starts nothing a second time. But the call that it started goes on by it, where the
//! answer comes with what only that server could have given: its own `requestState` (2026-07-28), or the call itself, which waits (2025-11-25
//! and older). A round goes on as the same call in everything that people judged, leads to one next round at most, soon, and in
//! this process: numbers are random, kept here alone, and serve once. Whatever does not hold is asked for like any call.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ctx::Ctx;
use crate::approval::{Request, Spent};
use crate::vocab::Digest;
use crate::vocab::limits::{SEQUEL_S_MAX, SEQUELS_MAX};

/// The approved calls whose servers asked something, by the number of the next round.
#[derive(Default)]
pub struct Sequels(Mutex<HashMap<u128, Sequel>>);

struct Sequel {
    spent: Spent,
    until_s: u64,
}

impl Sequels {
    /// Keeps what the next round needs, from `now_s` on (seconds since the Unix epoch); its number. `None` when there is no room.
    fn keep(&self, spent: Spent, now_s: u64) -> Option<u128> {
        let mut all = self.0.lock();
        if all.len() >= SEQUELS_MAX {
            all.retain(|_, sequel| sequel.until_s > now_s);
        }
        if all.len() >= SEQUELS_MAX {
            return None;
        }
        let number = uuid::Uuid::new_v4().as_u128();
        all.insert(number, Sequel { spent, until_s: now_s.saturating_add(SEQUEL_S_MAX) });
        Some(number)
    }

    /// What was approved, if the round `number` goes on with the call of the digest `call`.
    pub(super) fn approved(&self, number: u128, call: &Digest, now_s: u64) -> Option<Arc<Request>> {
        let all = self.0.lock();
        all.get(&number).filter(|sequel| sequel.is_for(call, now_s)).map(|sequel| sequel.spent.request().clone())
    }

    /// As [`Self::approved`], for the round that is about to leave. Of two that try, one gets it.
    pub(super) fn take(&self, number: u128, call: &Digest, now_s: u64) -> Option<Spent> {
        self.0.lock().remove(&number).filter(|sequel| sequel.is_for(call, now_s)).map(|sequel| sequel.spent)
    }
}

impl Sequel {
    fn is_for(&self, call: &Digest, now_s: u64) -> bool {
        self.spent.call() == call && self.until_s > now_s
    }
}

/// Leaves the approval that this call used up for its next round; the number of that. `None` for a call that needed none.
pub(super) fn keep(ctx: &mut Ctx) -> Option<u128> {
    let spent = ctx.spent.take()?;
    ctx.gateway.sequels.keep(spent, ctx.gateway.clock.unix_s())
}
