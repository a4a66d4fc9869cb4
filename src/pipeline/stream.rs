//! Answers that come in pieces: progress, log messages and questions first, the answer last, as server-sent events.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use tokio::sync::mpsc;

use super::body::ReplyBody;
use super::cancel::InFlight;
use super::carry::{Carrier, Settled};
use super::ctx::Ctx;
use super::forward::{finish, shows, took};
use super::operate::measure;
use super::refusal::Refusal;
use super::reply::{Answered, Content};
use super::rescue::rescue;
use super::route::Target;
use super::standing::Standing;
use super::watch::{Seen, Watched};
use crate::audit::Status;
use crate::inspect::Inspected;
use crate::mcp::dialect::{self, Operation};
use crate::mcp::{RawId, RawJson, sse};
use crate::vocab::limits::{REPLY_EVENTS_MAX, STREAM_KEEPALIVE_MS};
use crate::vocab::{Denial, Fault, FaultKind, Reason, Revision};

/// Relays `answer`, whose first event is `first`, from a task that ends with it.
///
/// When a client of the newest revision goes away, the task ends and the upstream is told (T-11). An older client's going
/// away means nothing: the call runs to its end and is recorded.
pub(super) fn relay(ctx: Ctx, operation: Box<Operation>, streaming: Streaming, in_flight: InFlight) -> Response<ReplyBody> {
    let Streaming { target, answer, first, called } = streaming;
    let (events, receiver) = mpsc::channel(REPLY_EVENTS_MAX);
    let answered = Answered { content: Content::Events(receiver), ..Answered::empty(http::StatusCode::OK) };
    let response = answered.respond(&ctx);
    let gateway = ctx.gateway.clone();
    let standing = Standing::of(&ctx);
    let carrier = Carrier::default();
    let relay = Relay { ctx, operation, target, events, carrier, standing, bytes_out: 0, _in_flight: in_flight };
    gateway.outlive(relay.run(answer, first, called));
    response
}

/// An answer that has begun with something else than the reply.
pub(super) struct Streaming {
    pub(super) target: Target,
    pub(super) answer: Watched,
    pub(super) first: Seen,
    /// When the upstream was called.
    pub(super) called: Instant,
}

struct Relay {
    ctx: Ctx,
    operation: Box<Operation>,
    target: Target,
    events: mpsc::Sender<Bytes>,
    carrier: Carrier,
    standing: Standing,
    bytes_out: u64,
    _in_flight: InFlight,
}

/// What the relay waits for.
enum Next {
    Event(Option<Result<Seen, Fault>>),
    Settled(Settled),
    Silence,
    Gone,
    /// The credential that the call was made with no longer holds.
    Over(&'static str),
}

/// Returns when a legacy client cancels the call; never otherwise.
async fn cancelled(ctx: &Ctx) {
    match &ctx.cancel {
        Some(cancel) => cancel.token.cancelled().await,
        None => std::future::pending().await,
    }
}

impl Relay {
    async fn run(mut self, mut answer: Watched, first: Seen, called: Instant) {
        let mut event: Option<Result<Seen, Fault>> = Some(Ok(first));
        loop {
            let last = match event {
                Some(Ok(Seen::Reply(reply))) => Some(finish(&self.ctx, &self.target, &self.operation, reply)),
                Some(Ok(Seen::Question { id, method, params })) => {
                    self.ask(&answer, (id, &method, params.as_ref())).await;
                    None
                }
                Some(Ok(event)) => {
                    self.show(&event).await;
                    None
                }
                Some(Err(fault)) => Some(Err(fault.into())),
                None => Some(Err(Fault::upstream(FaultKind::Malformed, "the stream ended without an answer").into())),
            };
            if let Some(last) = last {
                took(&self.ctx, &self.target, called, last.as_ref().err().and_then(Refusal::fault));
                measure(&self.ctx, last.as_ref().err());
                answer.over(&self.ctx);
                let last = last.unwrap_or_else(|refusal| rescue(&self.ctx, refusal));
                return self.close(last).await;
            }
            event = loop {
                match self.wait(&mut answer).await {
                    Next::Event(event) => break event,
                    Next::Settled(Settled::Answered(id, reply)) => self.carrier.send(&answer, &id, reply),
                    Next::Settled(Settled::Sent(sent)) => self.sent(sent),
                    Next::Silence => self.send(Bytes::from_static(b":\n\n")).await,
                    Next::Over(why) => {
                        tracing::info!(record = %self.ctx.id, why, "a stream ends with its credential");
                        took(&self.ctx, &self.target, called, None);
                        let refusal = Refusal::Denied(Denial::new(Reason::Unauthenticated));
                        measure(&self.ctx, Some(&refusal));
                        answer.over(&self.ctx);
                        let last = rescue(&self.ctx, refusal);
                        return self.close(last).await;
                    }
                    Next::Gone => {
                        took(&self.ctx, &self.target, called, None);
                        answer.over(&self.ctx);
                        self.ctx.ended(Status::Cancelled, Reason::Cancelled);
                        return self.measure();
                    }
                }
            };
        }
    }

    async fn wait(&mut self, answer: &mut Watched) -> Next {
        let modern = self.operation.revision > Revision::NEWEST_WITH_SESSIONS;
        tokio::select! {
            event = answer.next() => Next::Event(event),
            settled = self.carrier.settled() => Next::Settled(settled),
            () = self.events.closed(), if modern => Next::Gone,
            () = cancelled(&self.ctx) => Next::Gone,
            why = self.standing.over() => Next::Over(why),
            () = tokio::time::sleep(Duration::from_millis(STREAM_KEEPALIVE_MS)) => Next::Silence,
        }
    }

    /// Puts a question of the upstream to the client; its answer comes by another request.
    async fn ask(&mut self, answer: &Watched, question: (RawId, &str, Option<&Inspected<RawJson>>)) {
        let (gateway, session, method) = (self.ctx.gateway.clone(), self.ctx.asked.session, question.1);
        if let Some(message) = self.carrier.ask(&gateway.questions, session, &self.events, answer, question) {
            let upstream = &self.target.view.upstream().settings().name;
            tracing::info!(record = %self.ctx.id, %upstream, method, "an upstream's question goes to the client");
            self.send_message(&message).await;
        }
    }

    /// An upstream that did not take an answer still has its call: what it makes of that is its own business.
    fn sent(&self, sent: Result<(), Fault>) {
        if let Err(fault) = sent {
            tracing::warn!(record = %self.ctx.id, detail = %fault.detail, "the upstream did not take an answer to its question");
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
        self.send_message(&message).await;
    }

    async fn close(mut self, last: Answered) {
        if let Content::Json(body) = &last.content {
            self.send_message(body).await;
        }
        self.measure();
    }

    fn measure(&self) {
        self.ctx.note(|draft| draft.bytes_out = self.bytes_out);
    }

    async fn send_message(&mut self, json: &[u8]) {
        let mut event = Vec::with_capacity(json.len() + 32);
        sse::encode(&mut event, json);
        self.send(event.into()).await;
    }

    /// Waits for a slow reader; a gone one is no error here.
    async fn send(&mut self, bytes: Bytes) {
        let length = bytes.len() as u64;
        if self.events.send(bytes).await.is_ok() {
            self.bytes_out += length;
        }
    }
}
