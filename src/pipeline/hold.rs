//! Calls that are held while people decide: for a while, with a question or with progress told meanwhile. What comes after is a request
//! like any: decided anew, by the rules in force then, and by the approval that it finds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use parking_lot::Mutex;

use super::approve::{Unapproved, from_whom};
use super::body::ReplyBody;
use super::cancel::InFlight;
use super::carry::{Carrier, Way};
use super::consult::{Consultation, Said, confirm};
use super::ctx::Ctx;
use super::operate::{Done, line, measure};
use super::outlet::Outlet;
use super::refusal::Refusal;
use super::reply::{Answered, Content};
use super::rescue::rescue;
use super::standing::Standing;
use super::stream;
use crate::approval::State;
use crate::audit::Status;
use crate::mcp::dialect::{self, Operation};
use crate::mcp::headers::McpHeaders;
use crate::mcp::{RawId, RawJson, sse};
use crate::telemetry::spans::Stage;
use crate::upstream::QuestionReply;
use crate::vocab::limits::{APPROVAL_HELD_PER_PRINCIPAL_MAX, APPROVAL_PROGRESS_MS};
use crate::vocab::{Deadline, Denial, PrincipalKey, Reason, Revision};

/// How many calls of each principal are held: they take places that all share.
#[derive(Default)]
pub struct Holds(Arc<Mutex<HashMap<PrincipalKey, usize>>>);

/// The place of a call that is held.
pub(super) struct Seat {
    holds: Arc<Mutex<HashMap<PrincipalKey, usize>>>,
    who: PrincipalKey,
}

impl Holds {
    /// `None` for one more than the principal may have.
    pub(super) fn seat(&self, who: PrincipalKey) -> Option<Seat> {
        let mut holds = self.0.lock();
        let held = holds.entry(who.clone()).or_default();
        if *held >= APPROVAL_HELD_PER_PRINCIPAL_MAX {
            return None;
        }
        *held += 1;
        drop(holds);
        Some(Seat { holds: self.0.clone(), who })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut holds = self.holds.lock();
        if let Some(held) = holds.get_mut(&self.who) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                holds.remove(&self.who);
            }
        }
    }
}

/// What a call that is held needs besides itself.
pub(super) struct Held {
    pub(super) seat: Seat,
    pub(super) unapproved: Box<Unapproved>,
    pub(super) consultation: Option<Consultation>,
}

/// Waits, as long as the settings say and the call has time, until the request is decided. The time that people take is not the call's.
pub(super) async fn until_decided(ctx: &mut Ctx, unapproved: &Unapproved) -> State {
    let Some(request) = &unapproved.request else { return State::Expired };
    let (begun, desk) = (Instant::now(), ctx.gateway.approvals.clone());
    let stopping = ctx.gateway.drain.clone();
    let state = tokio::select! {
        state = desk.settled(&request.id, deadline(ctx)) => state,
        () = stopping.wait() => State::Pending,
    };
    ctx.deadline = ctx.deadline.later(begun.elapsed());
    ctx.asked.held = Some(request.id.clone());
    state
}

fn deadline(ctx: &Ctx) -> Deadline {
    Deadline::after(ctx.world.approvals.wait).capped(ctx.deadline.remaining())
}

/// Answers with a stream, on which the call is held.
pub(super) fn stream(ctx: Ctx, operation: Box<Operation>, held: Held, in_flight: InFlight) -> Response<ReplyBody> {
    let (outlet, receiver) = Outlet::open();
    let answered = Answered { content: Content::Events(receiver), ..Answered::empty(StatusCode::OK) };
    let response = answered.respond(&ctx);
    let (gateway, standing) = (ctx.gateway.clone(), Standing::of(&ctx));
    let holding = Holding { ctx, operation, outlet, standing, carrier: Carrier::default(), told: 0 };
    gateway.outlive(holding.run(held, in_flight));
    response
}

struct Holding {
    ctx: Ctx,
    operation: Box<Operation>,
    outlet: Outlet,
    standing: Standing,
    carrier: Carrier,
    /// Progress messages so far.
    told: u64,
}

enum Next {
    Decided(State),
    Answer(QuestionReply),
    Tick,
    Gone,
    Over(&'static str),
}

impl Holding {
    async fn run(mut self, held: Held, in_flight: InFlight) {
        let Held { seat, unapproved, consultation } = held;
        let form = consultation.as_ref().is_some_and(|consultation| consultation.form);
        if let Some(consultation) = &consultation {
            self.ask(consultation).await;
        }
        let waited = self.wait(&unapproved, form).await;
        drop(seat);
        match waited {
            Ok(true) => self.go_on(in_flight).await,
            // Denied and expired are told as the call meets them.
            Ok(false) => self.refuse(Refusal::Unapproved(unapproved)).await,
            Err(None) => self.ctx.ended(Status::Cancelled, Reason::Cancelled),
            Err(Some(refusal)) => self.refuse(refusal).await,
        }
    }

    /// Waits until it is decided, true, or the time is over. `Err(None)`: nobody waits any more.
    async fn wait(&mut self, unapproved: &Unapproved, form: bool) -> Result<bool, Option<Refusal>> {
        let Some(request) = unapproved.request.clone() else { return Ok(false) };
        let (begun, deadline, desk) = (Instant::now(), deadline(&self.ctx), self.ctx.gateway.approvals.clone());
        self.ctx.asked.held = Some(request.id.clone());
        self.ctx.mark(Stage::Approve);
        let whom = from_whom(&request);
        self.progress(&whom, request.id.as_str()).await;
        let decided = loop {
            match self.next(desk.settled(&request.id, deadline)).await {
                Next::Decided(state) => break state != State::Pending,
                Next::Tick => self.progress(&whom, request.id.as_str()).await,
                Next::Gone => return Err(None),
                Next::Over(why) => {
                    tracing::info!(record = %self.ctx.id, why, "a held call ends with its credential");
                    return Err(Some(Denial::new(Reason::Unauthenticated).into()));
                }
                Next::Answer(reply) => {
                    let said = match &reply {
                        QuestionReply::Result(result) if form => Said::of_form(result),
                        QuestionReply::Result(result) => Said::of(result),
                        _ => Said::Away,
                    };
                    if form {
                        // A vote counts under the rules that are in force when it is given.
                        self.ctx.renew().map_err(Some)?;
                        confirm(&self.ctx, &request.id, said).await.map_err(Some)?;
                    }
                    // Whoever waves the question away is told in words.
                    if said == Said::Away || (!form && said == Said::No) {
                        break false;
                    }
                }
            }
        };
        self.ctx.deadline = self.ctx.deadline.later(begun.elapsed());
        Ok(decided)
    }

    async fn next(&mut self, decided: impl Future<Output = State>) -> Next {
        let modern = self.operation.revision > Revision::NEWEST_WITH_SESSIONS;
        let stopping = self.ctx.gateway.drain.clone();
        tokio::select! {
            state = decided => Next::Decided(state),
            () = stopping.wait() => Next::Decided(State::Pending),
            (_, reply) = self.carrier.answered() => Next::Answer(reply),
            () = self.outlet.closed(), if modern => Next::Gone,
            () = stream::cancelled(&self.ctx) => Next::Gone,
            why = self.standing.over() => Next::Over(why),
            () = tokio::time::sleep(Duration::from_millis(APPROVAL_PROGRESS_MS)) => Next::Tick,
        }
    }

    /// Puts the question to the client, on this stream.
    async fn ask(&mut self, consultation: &Consultation) {
        let Some(session) = self.ctx.asked.session else { return };
        let gateway = self.ctx.gateway.clone();
        let way =
            Way { questions: &gateway.questions, session, events: self.outlet.events(), longest: self.ctx.world.approvals.wait };
        if let Some(message) = self.carrier.ask(&way, RawId::number(0), &consultation.question) {
            self.outlet.send_message(&message).await;
        }
    }

    async fn progress(&mut self, whom: &str, id: &str) {
        let Some(token) = self.operation.wants_progress.clone() else {
            return self.outlet.send(Bytes::from_static(sse::KEEP_ALIVE)).await;
        };
        self.told += 1;
        let told = RawJson::of_ours(self.told.to_string().into_bytes());
        let members = [
            (RawJson::of_static("\"progress\""), told),
            (RawJson::of_static("\"message\""), RawJson::of_text(&format!("waiting for approval by {whom} ({id})"))),
        ];
        let message = dialect::lower_progress(self.operation.revision, &token, &members);
        self.outlet.send_message(&message).await;
    }

    /// Makes the call, by the rules in force now.
    async fn go_on(mut self, in_flight: InFlight) {
        let modern = self.operation.revision > Revision::NEWEST_WITH_SESSIONS;
        let headers = McpHeaders::default();
        let done = match self.ctx.renew() {
            Ok(()) => {
                let cancelled = self.ctx.cancel.as_ref().map(|cancel| cancel.token.clone());
                let cancelled = async {
                    match cancelled {
                        Some(token) => token.cancelled_owned().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    done = Box::pin(line(&mut self.ctx, &self.operation, &headers)) => Some(done),
                    () = self.outlet.closed(), if modern => None,
                    () = cancelled => None,
                }
            }
            Err(refusal) => Some(Err(refusal)),
        };
        match done {
            None => self.ctx.ended(Status::Cancelled, Reason::Cancelled),
            Some(Ok(Done::Streaming(streaming))) => {
                let Self { ctx, operation, outlet, .. } = self;
                stream::go_on(ctx, operation, *streaming, in_flight, outlet).await;
            }
            Some(Ok(Done::Answered(answered))) => self.close(answered).await,
            Some(Ok(Done::Held(held))) => self.refuse(Refusal::Unapproved(held.unapproved)).await,
            Some(Err(refusal)) => self.refuse(refusal).await,
        }
    }

    async fn refuse(&mut self, refusal: Refusal) {
        measure(&self.ctx, Some(&refusal));
        let last = rescue(&self.ctx, refusal);
        self.send_last(last).await;
    }

    async fn close(&mut self, last: Answered) {
        measure(&self.ctx, None);
        self.send_last(last).await;
    }

    async fn send_last(&mut self, last: Answered) {
        if let Content::Json(body) = &last.content {
            self.outlet.send_message(body).await;
        }
        let bytes_out = self.outlet.bytes_out();
        self.ctx.note(|draft| draft.bytes_out = bytes_out);
    }
}
