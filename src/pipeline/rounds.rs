//! Questions in results (2026-07-28) to clients that take requests (2025-11-25 and older): the client is sent a request for each, on
//! the stream of its call, and the upstream is called again with the answers.
//!
//! Every round is a request of its own: decided anew by the rules in force then, with limits, intent and permit of its own. An
//! upstream gets back its own state as it gave it, and the answers of that round only.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::carry::{Asking, Way};
use super::ctx::Ctx;
use super::forward::Leaving;
use super::operate::{Cleared, clear};
use super::question::{BUSY, DECLINED, UNABLE, requests, state};
use super::refusal::Refusal;
use super::route::Target;
use super::sequel;
use super::stream::{Course, End, Relay};
use super::watch::Watched;
use crate::inspect::Inspected;
use crate::mcp::dialect::{Operation, Question, cancelled_question, lower_question_result};
use crate::mcp::headers::McpHeaders;
use crate::mcp::reply::ResultKind;
use crate::mcp::{RawId, RawJson, Reply, ResultBody};
use crate::upstream::{Patience, QuestionReply};
use crate::vocab::limits::{CALL_QUESTIONS_MAX, ROUND_PAUSE_MS, ROUNDS_MAX};
use crate::vocab::{Fault, FaultKind, Revision};

/// The rounds of one call.
pub(super) struct Rounds {
    count: u32,
    patience: Patience,
    /// From the first question on.
    place: Option<Asking>,
}

/// One round: what the upstream asked, and what came back.
pub(super) struct Round {
    state: Option<String>,
    questions: Vec<Pending>,
}

/// What the next round has of the one before it.
pub(super) struct Before<'a> {
    pub(super) target: &'a Target,
    answers: Option<RawJson>,
    state: Option<String>,
}

impl Before<'_> {
    /// Puts what the upstream gets back into what leaves, so that it is judged with it.
    pub(super) fn goes_into(self, leaving: &mut Leaving) {
        if let Leaving::Call(outgoing) = leaving {
            (outgoing.input_responses, outgoing.request_state) = (self.answers, self.state);
        }
    }
}

struct Pending {
    key: String,
    question: Question,
    answer: Option<RawJson>,
}

/// Whether `reply` asks a client that the gateway has to ask by requests, and can.
pub(super) fn asks(ctx: &Ctx, operation: &Operation, reply: &Reply) -> bool {
    let older = operation.revision <= Revision::NEWEST_WITH_SESSIONS;
    let asks = matches!(reply, Reply::Result(ResultBody { kind: ResultKind::InputRequired, .. }));
    asks && older && operation.method.asks_back() && ctx.streams && ctx.asked.session.is_some()
}

impl Rounds {
    pub(super) fn of(ctx: &Ctx) -> Self {
        Self { count: 0, patience: Patience::new(ctx.deadline), place: None }
    }
}

impl Relay {
    /// Takes a place among the calls of this principal whose questions the gateway puts itself, unless the call has one.
    ///
    /// # Errors
    /// A sentence for the client when all are taken.
    pub(super) fn take_place(&mut self) -> Result<(), Refusal> {
        if self.rounds.place.is_none() {
            let who = self.ctx.principal()?.key();
            let place = self.ctx.gateway.questions.asking(who);
            self.rounds.place = Some(place.ok_or(Refusal::Unanswered(BUSY))?);
        }
        Ok(())
    }

    /// Asks the client all that the upstream's result asks.
    pub(super) async fn begin_round(&mut self, reply: Inspected<Reply>) -> Result<Course, End> {
        let round = self.read_round(reply.into_inner())?;
        self.take_place().map_err(refused)?;
        let Some(session) = self.ctx.asked.session else { return Err(refused(Refusal::Unanswered(UNABLE))) };
        let gateway = self.ctx.gateway.clone();
        for (at, pending) in (0_u64..).zip(&round.questions) {
            self.rounds.patience.asked();
            let longest = self.rounds.patience.longest();
            let way = Way { questions: &gateway.questions, session, events: self.outlet.events(), longest };
            let message = self.carrier.ask(&way, RawId::number(at), &pending.question);
            let Some(message) = message else { return Err(refused(Refusal::Unanswered(UNABLE))) };
            self.outlet.send_message(&message).await;
        }
        self.next_round(round).await
    }

    fn read_round(&mut self, reply: Reply) -> Result<Round, End> {
        self.rounds.count += 1;
        if self.rounds.count > ROUNDS_MAX {
            return Err(refused(Fault::upstream(FaultKind::Malformed, "asks in too many rounds").into()));
        }
        let Reply::Result(body) = reply else { return Err(refused(Refusal::Unanswered(UNABLE))) };
        let questions = requests(&self.ctx, &self.target, &body).filter(|questions| questions.len() <= CALL_QUESTIONS_MAX);
        let (Some(questions), Ok(state)) = (questions, state(&body)) else {
            return Err(refused(Refusal::Unanswered(UNABLE)));
        };
        let questions = questions.into_iter().map(|(key, question)| Pending { key, question, answer: None }).collect();
        let upstream = &self.target.view.upstream().settings().name;
        tracing::info!(record = %self.ctx.id, %upstream, round = self.rounds.count, "an upstream's questions go to the client");
        Ok(Round { state, questions })
    }

    /// Takes the client's answer to the question number `id`. A person may say no, and the upstream learns it; where anything else
    /// is not answered, the call has failed.
    pub(super) async fn answered(&mut self, mut round: Round, id: &RawId, reply: QuestionReply) -> Result<Course, End> {
        self.rounds.patience.answered();
        let at = id.as_u64().and_then(|at| usize::try_from(at).ok());
        let Some(pending) = at.and_then(|at| round.questions.get_mut(at)) else { return Ok(Course::Asking(round)) };
        let answer = match reply {
            QuestionReply::Result(result) => lower_question_result(Revision::V2026_07_28, &result),
            _ if pending.question.is_to_person() => Some(cancelled_question()),
            _ => None,
        };
        let Some(answer) = answer else { return Err(refused(Refusal::Unanswered(DECLINED))) };
        pending.answer = Some(answer);
        self.next_round(round).await
    }

    /// Calls the upstream again once everything is answered.
    async fn next_round(&mut self, round: Round) -> Result<Course, End> {
        if round.questions.iter().any(|pending| pending.answer.is_none()) {
            return Ok(Course::Asking(round));
        }
        self.ctx.deadline = self.rounds.patience.deadline();
        self.call_again(round).await.map(Course::Calling).map_err(refused)
    }

    async fn call_again(&mut self, round: Round) -> Result<BoxFuture<'static, Result<Box<Watched>, Fault>>, Refusal> {
        self.ctx.renew()?;
        // An upstream that gave no state starts anew.
        self.ctx.sequel = round.state.is_some().then(|| sequel::keep(&mut self.ctx)).flatten();
        // An upstream that asked nothing wants some time before it is called again.
        let pause = Duration::from_millis(if round.questions.is_empty() { ROUND_PAUSE_MS } else { 0 });
        let answers: Vec<_> = round.questions.into_iter().filter_map(|pending| Some((pending.key, pending.answer?))).collect();
        let answers = (!answers.is_empty()).then(|| RawJson::object(&answers));
        let before = Before { target: &self.target, answers, state: round.state };
        let cleared = Box::pin(clear(&mut self.ctx, &self.operation, &McpHeaders::default(), Some(before))).await?;
        let Cleared { target, permit, leaving: Leaving::Call(outgoing) } = cleared else {
            return Err(Fault::internal(FaultKind::Internal, "a round that is no call").into());
        };
        let call = Watched::call(&self.ctx, &target, permit, outgoing)?;
        self.target = target;
        self.called = Instant::now();
        Ok(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            call.made().await.map(Box::new)
        }
        .boxed())
    }
}

fn refused(refusal: Refusal) -> End {
    End::Reply(Err(refusal))
}
