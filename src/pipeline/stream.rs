//! Answers that come in pieces: progress, log messages and questions first, the answer last, as server-sent events.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Response;

use super::body::ReplyBody;
use super::cancel::InFlight;
use super::carry::{Carrier, Way};
use super::ctx::Ctx;
use super::forward::{finish, shows, took};
use super::operate::measure;
use super::outlet::Outlet;
use super::parked::{self, Parking};
use super::refusal::Refusal;
use super::reply::{Answered, Content};
use super::rescue::rescue;
use super::rounds::{self, Round, Rounds};
use super::route::Target;
use super::standing::Standing;
use super::task;
use super::watch::{Asked, Seen, Watched};
use crate::audit::Status;
use crate::inspect::Inspected;
use crate::mcp::dialect::{self, Operation, Question};
use crate::mcp::{RawId, Reply, sse};
use crate::upstream::QuestionReply;
use crate::vocab::limits::STREAM_KEEPALIVE_MS;
use crate::vocab::{Denial, Fault, FaultKind, Reason, Revision};

/// Relays `answer`, whose first event is `first`, from a task that ends with it.
///
/// When a client of the newest revision goes away, the task ends and the upstream is told (T-11). An older client's going
/// away means nothing: the call runs to its end and is recorded.
pub(super) fn relay(ctx: Ctx, operation: Box<Operation>, streaming: Streaming, in_flight: InFlight) -> Response<ReplyBody> {
    let (outlet, receiver) = Outlet::open();
    let answered = Answered { content: Content::Events(receiver), ..Answered::empty(http::StatusCode::OK) };
    let response = answered.respond(&ctx);
    let gateway = ctx.gateway.clone();
    gateway.outlive(go_on(ctx, operation, streaming, in_flight, outlet));
    response
}

/// As [`relay`], on a stream that is there already.
pub(super) async fn go_on(ctx: Ctx, operation: Box<Operation>, streaming: Streaming, in_flight: InFlight, outlet: Outlet) {
    let Streaming { target, answer, first, called } = streaming;
    let (standing, rounds) = (Standing::of(&ctx), Rounds::of(&ctx));
    let carrier = Carrier::default();
    let relay = Relay { ctx, operation, target, called, outlet, carrier, rounds, standing, _in_flight: in_flight };
    Box::pin(relay.run(answer, first)).await;
}

/// An answer that has begun with something else than the reply.
pub(super) struct Streaming {
    pub(super) target: Target,
    pub(super) answer: Box<Watched>,
    pub(super) first: Seen,
    /// When the upstream was called.
    pub(super) called: Instant,
}

/// One call whose answer goes out in pieces.
pub(super) struct Relay {
    pub(super) ctx: Ctx,
    pub(super) operation: Box<Operation>,
    pub(super) target: Target,
    pub(super) called: Instant,
    pub(super) outlet: Outlet,
    pub(super) carrier: Carrier,
    pub(super) rounds: Rounds,
    standing: Standing,
    _in_flight: InFlight,
}

/// Where the call stands.
pub(super) enum Course {
    /// The upstream answers.
    Answering(Box<Watched>),
    /// The client is asked, a request for each question.
    Asking(Round),
    /// The upstream is called again.
    Calling(BoxFuture<'static, Result<Box<Watched>, Fault>>),
}

/// How it ends.
pub(super) enum End {
    Reply(Result<Box<Answered>, Refusal>),
    /// Nobody waits for it any more.
    Gone,
    /// The credential that the call was made with no longer holds.
    Over(&'static str),
}

/// What the relay waits for.
enum Next {
    Event(Option<Result<Seen, Fault>>),
    Called(Result<Box<Watched>, Fault>),
    Answer(RawId, QuestionReply),
    Silence,
    End(End),
}

impl Course {
    /// Safe to drop and call again.
    async fn next(&mut self) -> Next {
        match self {
            Self::Answering(call) => Next::Event(call.next().await),
            Self::Asking(_) => std::future::pending().await,
            Self::Calling(called) => Next::Called(called.await),
        }
    }
}

/// Returns when a legacy client cancels the call; never otherwise.
pub(super) async fn cancelled(ctx: &Ctx) {
    match &ctx.cancel {
        Some(cancel) => cancel.token.cancelled().await,
        None => std::future::pending().await,
    }
}

impl Relay {
    async fn run(mut self, answer: Box<Watched>, first: Seen) {
        let mut course = Box::pin(self.heard(answer, Some(Ok(first)))).await;
        let end = loop {
            match course {
                Ok(going) => course = self.advance(going).await,
                Err(end) => break end,
            }
        };
        // Whoever is still looking at a question need not answer it.
        for message in self.carrier.withdraw() {
            self.outlet.send_message(&message).await;
        }
        let last = match end {
            End::Reply(last) => last.map(|last| *last),
            End::Over(why) => {
                tracing::info!(record = %self.ctx.id, why, "a stream ends with its credential");
                Err(Refusal::Denied(Denial::new(Reason::Unauthenticated)))
            }
            End::Gone => {
                self.ctx.ended(Status::Cancelled, Reason::Cancelled);
                return self.measure();
            }
        };
        measure(&self.ctx, last.as_ref().err());
        let last = last.unwrap_or_else(|refusal| rescue(&self.ctx, refusal));
        self.close(last).await;
    }

    async fn advance(&mut self, mut course: Course) -> Result<Course, End> {
        match (self.wait(&mut course).await, course) {
            (Next::Event(event), Course::Answering(call)) => Box::pin(self.heard(call, event)).await,
            (Next::Called(Ok(call)), _) => Ok(Course::Answering(call)),
            (Next::Called(Err(fault)), _) => {
                took(&self.ctx, &self.target, self.called, Some(&fault));
                Err(End::Reply(Err(fault.into())))
            }
            (Next::Answer(id, reply), Course::Answering(mut call)) => {
                if call.is_of_task(&id) {
                    return Box::pin(self.answered_task(call, &id, reply)).await;
                }
                call.answer(&id, reply);
                Ok(Course::Answering(call))
            }
            (Next::Answer(id, reply), Course::Asking(round)) => Box::pin(self.answered(round, &id, reply)).await,
            (Next::End(end), course) => {
                if let Course::Answering(call) = course {
                    took(&self.ctx, &self.target, self.called, None);
                    call.over(&self.ctx);
                }
                Err(end)
            }
            (Next::Silence, course) => {
                self.outlet.send(Bytes::from_static(sse::KEEP_ALIVE)).await;
                Ok(course)
            }
            (_, course) => Ok(course),
        }
    }

    async fn wait(&mut self, course: &mut Course) -> Next {
        let modern = self.operation.revision > Revision::NEWEST_WITH_SESSIONS;
        tokio::select! {
            next = course.next() => next,
            (id, reply) = self.carrier.answered() => Next::Answer(id, reply),
            () = self.outlet.closed(), if modern => Next::End(End::Gone),
            () = cancelled(&self.ctx) => Next::End(End::Gone),
            why = self.standing.over() => Next::End(End::Over(why)),
            () = tokio::time::sleep(Duration::from_millis(STREAM_KEEPALIVE_MS)) => Next::Silence,
        }
    }

    /// Deals with what the upstream said.
    async fn heard(&mut self, call: Box<Watched>, event: Option<Result<Seen, Fault>>) -> Result<Course, End> {
        let fault = match event {
            Some(Ok(Seen::Reply(reply))) => return self.replied(call, reply).await,
            Some(Ok(Seen::Question(asked))) if self.ctx.asked.session.is_none() => return self.park(call, asked).await,
            Some(Ok(Seen::Question(asked))) => return self.ask(call, asked).await,
            Some(Ok(event)) => {
                self.show(&event).await;
                return Ok(Course::Answering(call));
            }
            Some(Err(fault)) => fault,
            None => Fault::upstream(FaultKind::Malformed, "the stream ended without an answer"),
        };
        took(&self.ctx, &self.target, self.called, Some(&fault));
        call.over(&self.ctx);
        Err(End::Reply(Err(fault.into())))
    }

    async fn replied(&mut self, call: Box<Watched>, reply: Inspected<Reply>) -> Result<Course, End> {
        if rounds::asks(&self.ctx, &self.operation, reply.get()) {
            took(&self.ctx, &self.target, self.called, None);
            call.over(&self.ctx);
            return self.begin_round(reply).await;
        }
        let last = finish(&mut self.ctx, &self.target, &self.operation, reply);
        took(&self.ctx, &self.target, self.called, last.as_ref().err().and_then(Refusal::fault));
        call.over(&self.ctx);
        Err(End::Reply(last.map(Box::new)))
    }

    /// Puts a question of the upstream to the client; its answer comes by another request.
    async fn ask(&mut self, mut call: Box<Watched>, Asked { id, method, params }: Asked) -> Result<Course, End> {
        if call.is_task()
            && let Err(refusal) = self.take_place()
        {
            return Err(self.refuse(call, refusal));
        }
        let (gateway, upstream) = (self.ctx.gateway.clone(), self.target.view.upstream().settings().name.clone());
        let question = Question::of(&upstream, &method, params.map(Inspected::into_inner));
        // Whose session is over cannot answer.
        let session = self
            .ctx
            .asked
            .session
            .filter(|session| self.ctx.principal().is_ok_and(|principal| !gateway.has_forgotten(&principal.key(), *session)));
        let message = session.zip(question).and_then(|(session, question)| {
            let way =
                Way { questions: &gateway.questions, session, events: self.outlet.events(), longest: call.longest_question() };
            self.carrier.ask(&way, id.clone(), &question)
        });
        match message {
            Some(message) => {
                tracing::info!(record = %self.ctx.id, %upstream, method, "an upstream's question goes to the client");
                let message = task::tied(&self.ctx, message);
                self.outlet.send_message(&message).await;
            }
            None if call.is_task() => return Box::pin(self.answered_task(call, &id, QuestionReply::Refused)).await,
            None => call.answer(&id, QuestionReply::Refused),
        }
        Ok(Course::Answering(call))
    }

    /// Gives the call up.
    pub(super) fn refuse(&self, call: Box<Watched>, refusal: Refusal) -> End {
        took(&self.ctx, &self.target, self.called, refusal.fault());
        call.over(&self.ctx);
        End::Reply(Err(refusal))
    }

    /// Ends the stream with a question of the upstream, and leaves the call waiting for the retry that brings its answer.
    async fn park(&mut self, call: Box<Watched>, asked: Asked) -> Result<Course, End> {
        match parked::park(&mut self.ctx, &self.target, &self.operation, *call, asked) {
            Ok(Parking::Asked(answered)) => {
                took(&self.ctx, &self.target, self.called, None);
                Err(End::Reply(Ok(Box::new(answered))))
            }
            Ok(Parking::On(call, None)) => Ok(Course::Answering(call)),
            Ok(Parking::On(call, event)) => Box::pin(self.heard(call, event)).await,
            Err(refusal) => Err(End::Reply(Err(refusal))),
        }
    }

    async fn show(&mut self, event: &Seen) {
        if !shows(&self.ctx, &self.operation, event) {
            return;
        }
        let revision = self.operation.revision;
        let message = match (event, &self.operation.wants_progress) {
            (Seen::Progress { members }, Some(token)) => dialect::lower_progress(revision, token, members.get()),
            (Seen::Log { params, .. }, _) => dialect::lower_log(revision, params.get()),
            _ => return,
        };
        let message = task::tied(&self.ctx, message);
        self.outlet.send_message(&message).await;
    }

    async fn close(mut self, last: Answered) {
        if let Content::Json(body) = &last.content {
            self.outlet.send_message(body).await;
        }
        self.measure();
    }

    fn measure(&self) {
        self.ctx.note(|draft| draft.bytes_out = self.outlet.bytes_out());
    }
}
