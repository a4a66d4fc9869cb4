//! Further rounds of a call that people approved: its server asked something back, and goes on with the answer.
//!
//! The approval was used up when the call left, and starts nothing a second time. But the call that it started goes on by it, where the
//! answer comes with what only that server could have given: its own `requestState` (2026-07-28), or the call itself, which waits
//! (2025-11-25 and older). A round goes on as the same call in everything that people judged, leads to one next round at most, soon, and
//! in this process, and not once the lease that it began under was revoked: numbers are random, kept here alone, and serve once. Whatever
//! does not hold is asked for like any call.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ctx::Ctx;
use crate::approval::{Case, Desk, Request, Spent};
use crate::audit::ApprovalNote;
use crate::vocab::Digest;
use crate::vocab::limits::{SEQUEL_S_MAX, SEQUELS_MAX};

/// The approved calls whose servers asked something, by the number of the next round.
#[derive(Default)]
pub struct Sequels(Mutex<HashMap<u128, Sequel>>);

struct Sequel {
    /// Nothing once a round went on by it: whoever comes with the same number later is told so.
    spent: Option<Spent>,
    call: Call,
    until_s: u64,
}

/// Which call goes on.
enum Call {
    /// One that was started so, whatever it comes with now.
    Started(Digest),
    /// One that was refused undone, and is made again with all that it left with.
    Whole(Digest),
}

/// What is known of a round.
pub(super) enum Known {
    /// It goes on by this approval, of which its records say this.
    GoesOn(Arc<Request>, Box<ApprovalNote>),
    /// Another went on as this round.
    Taken,
}

impl Sequels {
    /// Keeps what the next round needs, from `now_s` on (seconds since the Unix epoch); its number. `None` when there is no room.
    fn keep(&self, spent: Spent, call: Call, now_s: u64) -> Option<u128> {
        let mut all = self.0.lock();
        if all.len() >= SEQUELS_MAX {
            all.retain(|_, sequel| sequel.until_s > now_s && sequel.spent.is_some());
        }
        if all.len() >= SEQUELS_MAX {
            return None;
        }
        let number = uuid::Uuid::new_v4().as_u128();
        all.insert(number, Sequel { spent: Some(spent), call, until_s: now_s.saturating_add(SEQUEL_S_MAX) });
        Some(number)
    }

    /// What was approved, if the round `number` goes on with the call of `case`. `None` for what is late, is of another call, or was taken
    /// back at `desk`.
    pub(super) fn look_up(&self, number: u128, case: &Case, desk: &Desk, now_s: u64) -> Option<Known> {
        let all = self.0.lock();
        let sequel = all.get(&number).filter(|sequel| sequel.is_for(case, now_s))?;
        let Some(spent) = &sequel.spent else { return Some(Known::Taken) };
        let (request, note) = spent.now(desk)?;
        Some(Known::GoesOn(request, Box::new(note)))
    }

    /// As [`Self::look_up`], for the round that is about to leave. Of two that try, one gets it.
    pub(super) fn take(&self, number: u128, case: &Case, desk: &Desk, now_s: u64) -> Option<Spent> {
        let spent = self.0.lock().get_mut(&number).filter(|sequel| sequel.is_for(case, now_s))?.spent.take()?;
        spent.renewed(desk)
    }
}

impl Sequel {
    fn is_for(&self, case: &Case, now_s: u64) -> bool {
        let same = match &self.call {
            Call::Started(call) => *call == case.start,
            Call::Whole(call) => *call == case.bound.digest(),
        };
        same && self.until_s > now_s
    }
}

/// Leaves the approval that this call used up for its next round; the number of that. `None` for a call that needed none.
pub(super) fn keep(ctx: &mut Ctx) -> Option<u128> {
    let spent = ctx.spent.take()?;
    let call = Call::Started(*spent.start());
    ctx.gateway.sequels.keep(spent, call, ctx.gateway.clock.unix_s())
}

/// As [`keep`], for the very same call once more, which its upstream refused undone.
pub(super) fn keep_undone(ctx: &mut Ctx) -> Option<u128> {
    let spent = ctx.spent.take()?;
    let call = Call::Whole(*spent.call());
    ctx.gateway.sequels.keep(spent, call, ctx.gateway.clock.unix_s())
}
