//! Calls that wait for an answer of a client that takes questions in results (2026-07-28), at an upstream that asks by requests
//! (2025-11-25 and older).
//!
//! When such an upstream asks, the client gets `input_required` with the questions that are there, and a sealed `requestState` that
//! names the call, which waits on without a client. The retry is decided like every request, takes the call over under its own
//! permit, passes the answers on and listens again. A call waits in the one process that made it: a retry that comes anywhere else,
//! too late, or a second time, gets the one answer to every bad state and reaches nobody. Dropped for whatever reason, the call is
//! cancelled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::ctx::Ctx;
use super::expected::Expected;
use super::question::{self, invalid, responses, sealed, told};
use super::refusal::Refusal;
use super::reply::{Answered, lower};
use super::route::Target;
use super::sequel;
use super::standing::Standing;
use super::watch::{Asked, Resting, Seen, Watched};
use crate::inspect::Inspected;
use crate::mcp::dialect::{Operation, Question, input_request};
use crate::mcp::reply::ResultKind;
use crate::mcp::{RawId, RawJson, Reply, ResultBody};
use crate::net::drain::Drain;
use crate::policy::permit::Permit;
use crate::seal::Purpose;
use crate::upstream::{Event, QuestionReply};
use crate::vocab::limits::{CALL_QUESTIONS_MAX, PARKED_MAX, PARKED_MS_MAX, PARKED_PER_PRINCIPAL_MAX};
use crate::vocab::{Fault, PrincipalKey, RecordId};

/// The calls that wait, by number. A number is random and serves once.
#[derive(Default)]
pub struct ParkedCalls {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    calls: HashMap<u128, Slot>,
    of: HashMap<PrincipalKey, usize>,
}

struct Slot {
    who: PrincipalKey,
    expected: Expected,
    /// The round that goes on with it, where people approved the call.
    sequel: Option<u128>,
    claim: oneshot::Sender<oneshot::Sender<Waiting>>,
}

/// A call that waits, and what it waits for.
struct Waiting {
    call: Resting,
    open: Vec<Open>,
}

/// A question that was put to the client under a key.
struct Open {
    key: String,
    id: RawId,
    method: String,
    params: Option<RawJson>,
}

/// One of the places for calls that wait; taken as long as this lives.
struct Place {
    table: Arc<Mutex<Table>>,
    who: PrincipalKey,
    id: u128,
}

impl ParkedCalls {
    /// Which answers the call `id` of `who` waits for, and as which round of an approved call it goes on; `None` if it does not wait here.
    pub(super) fn expects(&self, id: u128, who: &PrincipalKey) -> Option<(Expected, Option<u128>)> {
        let table = self.table.lock();
        table.calls.get(&id).filter(|slot| slot.who == *who).map(|slot| (slot.expected.clone(), slot.sequel))
    }

    /// Notes as which round of an approved call the call `id` goes on.
    fn goes_on_as(&self, id: u128, sequel: Option<u128>) {
        if let Some(slot) = self.table.lock().calls.get_mut(&id) {
            slot.sequel = sequel;
        }
    }

    /// A place for one more call of `who`, whoever may claim it. `None` when all are taken.
    fn place(&self, who: &PrincipalKey, expected: Expected) -> Option<(Place, oneshot::Receiver<oneshot::Sender<Waiting>>)> {
        let mut table = self.table.lock();
        let count = table.of.get(who).copied().unwrap_or(0);
        if count >= PARKED_PER_PRINCIPAL_MAX || table.of.values().sum::<usize>() >= PARKED_MAX {
            return None;
        }
        let id = uuid::Uuid::new_v4().as_u128();
        let (claim, claimed) = oneshot::channel();
        table.calls.insert(id, Slot { who: who.clone(), expected, sequel: None, claim });
        table.of.insert(who.clone(), count.saturating_add(1));
        Some((Place { table: self.table.clone(), who: who.clone(), id }, claimed))
    }

    /// Takes the call `id` of `who` over. `None` for one that does not wait, or not any more.
    async fn claim(&self, id: u128, who: &PrincipalKey) -> Option<Waiting> {
        let slot = {
            let mut table = self.table.lock();
            if table.calls.get(&id).is_none_or(|slot| slot.who != *who) {
                return None;
            }
            table.calls.remove(&id)?
        };
        let (back, call) = oneshot::channel();
        slot.claim.send(back).ok()?;
        call.await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        table.calls.remove(&self.id);
        if let Some(count) = table.of.get_mut(&self.who) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.of.remove(&self.who);
            }
        }
    }
}

/// What became of a question.
pub(super) enum Parking {
    /// The client is asked, and the call waits.
    Asked(Answered),
    /// Nobody is asked, and the call goes on; perhaps with this.
    On(Box<Watched>, Option<Result<Seen, Fault>>),
}

/// Puts the question `first`, and all others that are already there, to the client.
///
/// # Errors
/// A fault when the state cannot be sealed.
pub(super) fn park(
    ctx: &mut Ctx,
    target: &Target,
    operation: &Operation,
    mut call: Watched,
    first: Asked,
) -> Result<Parking, Refusal> {
    let upstream = target.view.upstream().settings().name.clone();
    let askable = told(ctx, &upstream);
    let (mut open, mut questions) = (Vec::new(), Vec::new());
    let mut next = Some(first);
    while let Some(Asked { id, method, params }) = next.take() {
        let params = params.map(Inspected::into_inner);
        let may = open.len() < CALL_QUESTIONS_MAX && askable.cover(&method, params.as_ref());
        match Some(params).filter(|_| may).and_then(|params| Some((Question::of(&upstream, &method, params.clone())?, params))) {
            Some((question, params)) => {
                let key = format!("pq-{}", uuid::Uuid::now_v7().simple());
                questions.push((key.clone(), question));
                open.push(Open { key, id, method, params });
            }
            None => call.answer(&id, QuestionReply::Refused),
        }
        // What is not here yet is asked in another round.
        next = loop {
            match call.next().now_or_never() {
                None => break None,
                Some(Some(Ok(Seen::Question(another)))) => break Some(another),
                Some(Some(Ok(Seen::Progress { .. } | Seen::Log { .. }))) => {}
                // It did not wait for the answer.
                Some(Some(over)) => return Ok(Parking::On(Box::new(call), Some(over))),
                Some(None) => return Ok(Parking::On(Box::new(call), None)),
            }
        };
    }
    let who = ctx.principal()?.key();
    let expected = Expected::of(questions.iter().map(|(key, question)| (key.as_str(), question)));
    let expected = expected.filter(|_| !open.is_empty() && !ctx.gateway.drain.begun());
    let place = expected.and_then(|expected| ctx.gateway.parked.place(&who, expected));
    let Some((place, claimed)) = place else {
        open.iter().for_each(|open| call.answer(&open.id, QuestionReply::Refused));
        return Ok(Parking::On(Box::new(call), None));
    };
    let sequel = sequel::keep(ctx);
    ctx.gateway.parked.goes_on_as(place.id, sequel);
    let state = sealed(ctx, target, operation, Purpose::Parked, (&place.id.to_be_bytes(), PARKED_MS_MAX / 1000))?;
    tracing::info!(record = %ctx.id, %upstream, questions = open.len(), "an upstream's question goes to the client, and the call waits");
    let waiting = Waiting { call: call.rest(ctx), open };
    let keeper = Keeper { standing: Standing::of(ctx), drain: ctx.gateway.drain.clone(), record: ctx.id, _place: place };
    ctx.gateway.outlive(keeper.keep(waiting, claimed));
    let requests: Vec<_> = questions.iter().map(|(key, question)| (key.clone(), input_request(question))).collect();
    let members = vec![
        (RawJson::of_static("\"inputRequests\""), RawJson::object(&requests)),
        (RawJson::of_static("\"requestState\""), state),
    ];
    let reply = Reply::Result(ResultBody { kind: ResultKind::InputRequired, members, ..ResultBody::default() });
    ctx.completed();
    Ok(Parking::Asked(lower(ctx, &reply)))
}

/// Owns a call while it waits.
struct Keeper {
    standing: Standing,
    drain: Drain,
    record: RecordId,
    _place: Place,
}

impl Keeper {
    async fn keep(mut self, mut waiting: Waiting, claimed: oneshot::Receiver<oneshot::Sender<Waiting>>) {
        let why = tokio::select! {
            claim = claimed => {
                // Whoever claimed it and is gone by now leaves it to be dropped.
                if let Ok(back) = claim {
                    let _ = back.send(waiting);
                }
                return;
            }
            () = waiting.call.over() => "the upstream broke off",
            why = self.standing.over() => why,
            () = self.drain.wait() => "the gateway is stopping",
            () = tokio::time::sleep(Duration::from_millis(PARKED_MS_MAX)) => "nobody answered in time",
        };
        tracing::info!(record = %self.record, why, "a call that waited for an answer ends");
    }
}

/// Takes the call `id` over and passes on what the retry answers. Questions it does not answer stay open, and come again.
///
/// # Errors
/// As for every bad state when the call is gone; a fault when `permit` is for another operation.
pub(super) async fn wake(
    ctx: &Ctx,
    target: &Target,
    operation: &Operation,
    id: u128,
    permit: Permit,
) -> Result<Watched, Refusal> {
    let mut answers = responses(operation)?;
    let who = ctx.principal()?.key();
    let Waiting { call, open } = ctx.gateway.parked.claim(id, &who).await.ok_or_else(|| invalid(operation))?;
    let askable = question::told(ctx, &target.view.upstream().settings().name);
    let (mut again, mut replies) = (Vec::new(), Vec::new());
    for Open { key, id, method, params } in open {
        let at = answers.iter().position(|(answered, _)| *answered == key);
        match at.map(|at| answers.swap_remove(at)) {
            // What may not be asked any more is not answered either.
            Some(_) if !askable.cover(&method, params.as_ref()) => replies.push((id, QuestionReply::Refused)),
            Some((_, answer)) => replies.push((id, QuestionReply::Result(answer))),
            None => again.push(Event::Question { id, method, params }),
        }
    }
    let mut call = call.wake(ctx, permit, again)?;
    replies.into_iter().for_each(|(id, reply)| call.answer(&id, reply));
    Ok(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(sub: &str) -> PrincipalKey {
        PrincipalKey { iss: "i".into(), sub: sub.into() }
    }

    #[test]
    fn places_are_bounded_for_each_and_for_all() {
        let calls = ParkedCalls::default();
        let mut kept = Vec::new();
        for _ in 0..PARKED_PER_PRINCIPAL_MAX {
            kept.push(calls.place(&who("a"), Expected::default()).unwrap());
        }
        assert!(calls.place(&who("a"), Expected::default()).is_none());
        let mut others = Vec::new();
        while let Some(place) = calls.place(&who(&others.len().to_string()), Expected::default()) {
            others.push(place);
        }
        assert_eq!(kept.len() + others.len(), PARKED_MAX);
        kept.pop();
        drop(others);
        assert!(calls.place(&who("a"), Expected::default()).is_some());
        drop(kept);
        let table = calls.table.lock();
        assert!(table.calls.is_empty() && table.of.is_empty());
    }

    #[tokio::test]
    async fn a_call_is_claimed_by_its_owner_and_once() {
        let calls = ParkedCalls::default();
        let (place, claimed) = calls.place(&who("a"), Expected::default()).unwrap();
        let has = |sub: &str| calls.expects(place.id, &who(sub)).is_some();
        assert!(has("a") && !has("b"));
        assert!(calls.claim(place.id, &who("b")).await.is_none());
        assert!(calls.claim(place.id ^ 1, &who("a")).await.is_none());
        assert!(has("a"), "nobody else's try takes it away");
        // The first claims it, and waits for whoever keeps it.
        assert!(calls.claim(place.id, &who("a")).now_or_never().is_none());
        assert!(!has("a"));
        assert!(calls.claim(place.id, &who("a")).now_or_never().unwrap().is_none());
        assert!(claimed.await.is_ok());
    }
}
