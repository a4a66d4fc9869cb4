//! The stream that a session opens by GET (2025-03-26 to 2025-11-25, transports, listening for messages): lists that changed, and
//! resources that the session subscribed to. With `Last-Event-ID` of a call's stream it is the rest of that stream instead.
//!
//! A session has one such stream. Another takes its place, because a client that lost a connection is the first to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::body::ReplyBody;
use super::ctx::Ctx;
use super::decode;
use super::event_id::{EventId, StreamId};
use super::followed::State;
use super::journal::Journal;
use super::line::{self, Begun};
use super::listen::messages;
use super::merged::{Merged, News};
use super::ongoing::{Ongoing, Turn};
use super::refusal::Refusal;
use super::reply;
use super::rescue::rescue;
use super::session::Session;
use super::standing::Standing;
use super::streams::{Place, place, too_many};
use super::subscribed::Subscribed;
use crate::audit::Status;
use crate::mcp::headers::McpHeaders;
use crate::mcp::interest::ListSet;
use crate::mcp::sse;
use crate::vocab::limits::STREAM_KEEPALIVE_MS;
use crate::vocab::{Fault, FaultKind, Reason, Revision};

/// Streams that are open, by session. Bounded by the number of streams.
#[derive(Default)]
pub(super) struct Pushes {
    open: Arc<DashMap<u128, (u64, CancellationToken)>>,
    last: AtomicU64,
}

/// The stream of a session, while it lasts.
struct Registered {
    open: Arc<DashMap<u128, (u64, CancellationToken)>>,
    session: u128,
    number: u64,
    /// Set when another takes its place, or the session ends.
    over: CancellationToken,
}

impl Pushes {
    /// In place of whatever stream the session has.
    fn register(&self, session: u128) -> Registered {
        let (number, over) = (self.last.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        if let Some((_, before)) = self.open.insert(session, (number, over.clone())) {
            before.cancel();
        }
        Registered { open: self.open.clone(), session, number, over }
    }

    /// Ends the stream of a session that has ended.
    pub(super) fn end(&self, session: u128) {
        if let Some((_, (_, over))) = self.open.remove(&session) {
            over.cancel();
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.open.remove_if(&self.session, |_, (number, _)| *number == self.number);
    }
}

/// Answers a GET.
pub(super) async fn open(mut ctx: Ctx, headers: &HeaderMap) -> Response<ReplyBody> {
    ctx.note(|draft| draft.set_method("GET"));
    let asked = match line::wanted(&ctx, headers) {
        true => line::begun(&mut ctx, headers).map(|(session, line)| (session, Opening::Line(line))),
        false => asked(&mut ctx, headers),
    };
    let (session, opening) = match asked {
        Ok(asked) => asked,
        Err(refusal) => return rescue(&ctx, refusal).respond(&ctx),
    };
    let Some(place) = place(&ctx) else { return too_many(&ctx).respond(&ctx) };
    ctx.decided(true, Reason::Allowed);
    match opening {
        Opening::After(Some(last)) if !last.stream.is_push() => resumed(ctx, session, last, place),
        opening => pushed(ctx, session, opening, place),
    }
}

/// What a GET opens.
enum Opening {
    /// A stream, from the beginning or after an event.
    After(Option<EventId>),
    /// A line of HTTP+SSE.
    Line(Begun),
}

/// The session, and the event after which the client wants to go on.
///
/// # Errors
/// 400 without a session id or with another revision than the session's, 404 for a session that is not this principal's, 406
/// where the client takes no stream, 405 for an event id that is not one of ours.
fn asked(ctx: &mut Ctx, headers: &HeaderMap) -> Result<(Session, Opening), Refusal> {
    let headers = McpHeaders::read(headers)?;
    ctx.streams = headers.accepts_sse;
    let session = decode::named(ctx, &headers)?;
    of_session(ctx, session);
    taken(ctx)?;
    let last = headers.last_event_id.map(|last| EventId::parse(last).ok_or_else(nothing_left)).transpose()?;
    Ok((session, Opening::After(last)))
}

/// From now on the request is one of `session`.
pub(super) fn of_session(ctx: &mut Ctx, session: Session) {
    ctx.asked.revision = Some(session.revision);
    ctx.asked.session = Some(session);
    ctx.asked.caps = session.caps;
}

/// 406 where the client takes no stream.
pub(super) fn taken(ctx: &Ctx) -> Result<(), Refusal> {
    let why = "a GET is answered by an event stream: accept text/event-stream";
    if ctx.streams { Ok(()) } else { Err(Refusal::Http(StatusCode::NOT_ACCEPTABLE, Reason::BadRequest, why)) }
}

/// There is no stream to offer after that event: it was never ours, is another's, is over, or is kept no longer. Clients take
/// 405 for the end of the matter; 404 would be the end of their session.
fn nothing_left() -> Refusal {
    Refusal::Method("POST, DELETE", Reason::NotFound, "nothing is left of the stream of that event")
}

/// The rest of the stream of a call.
fn resumed(ctx: Ctx, session: Session, last: EventId, place: Place) -> Response<ReplyBody> {
    let rest = ctx.principal().ok().and_then(|who| Journal::resume(&ctx.gateway, session, &who.key(), last));
    let Some(rest) = rest else { return rescue(&ctx, nothing_left()).respond(&ctx) };
    reply::stream(ctx, move |ctx| {
        let standing = Standing::of(&ctx);
        stream::unfold(Box::new(Rest { ctx, rest, standing, _place: place }), Rest::piece).boxed()
    })
}

struct Rest {
    /// Given back before the record is sent.
    _place: Place,
    ctx: Ctx,
    rest: BoxStream<'static, Bytes>,
    standing: Standing,
}

impl Rest {
    async fn piece(mut self: Box<Self>) -> Option<(Bytes, Box<Self>)> {
        tokio::select! {
            piece = self.rest.next() => {
                let Some(piece) = piece else {
                    self.ctx.ended(Status::Completed, Reason::Allowed);
                    return None;
                };
                self.ctx.note(|draft| draft.bytes_out += piece.len() as u64);
                Some((piece, self))
            }
            why = self.standing.over() => {
                tracing::info!(record = %self.ctx.id, why, "a stream ends with its credential");
                self.ctx.ended(Status::Completed, Reason::Unauthenticated);
                None
            }
        }
    }
}

/// What happens from now on. A client that comes back may have missed anything.
fn pushed(ctx: Ctx, session: Session, opening: Opening, place: Place) -> Response<ReplyBody> {
    let Some(id) = StreamId::mint(true) else {
        return rescue(&ctx, Fault::internal(FaultKind::Internal, "a stream could not be named").into()).respond(&ctx);
    };
    let registered = ctx.gateway.streams.pushes.register(session.id);
    let subscribed = ctx.gateway.streams.subscriptions.of(session.id);
    let (changes, wish) = (subscribed.changes(), subscribed.wish());
    let mut merged = Merged::of(ListSet::ALL, subscribed.resources()).following(subscribed.tasks()).granting(wish);
    merged.refresh(&ctx, Vec::new());
    let line = match opening {
        Opening::After(None) => None,
        Opening::After(Some(_)) => {
            merged.announce(&ctx);
            None
        }
        Opening::Line(line) => Some(line),
    };
    reply::stream(ctx, move |ctx| {
        let ongoing = Ongoing::new(ctx, merged, place);
        let push =
            Push { ongoing, session, subscribed, changes, registered, stream: id, next: 0, begun: false, look: soon(), line };
        stream::unfold(Box::new(push), Push::piece).boxed()
    })
}

struct Push {
    /// Answers come by it too, where it is one of HTTP+SSE. Ended before the record is sent.
    line: Option<Begun>,
    ongoing: Ongoing,
    session: Session,
    subscribed: Arc<Subscribed>,
    changes: watch::Receiver<u64>,
    registered: Registered,
    stream: StreamId,
    /// The number of the next event.
    next: u64,
    begun: bool,
    /// When it is looked at whether the session goes on, however much there is to tell.
    look: Instant,
}

impl Push {
    /// The next piece of the stream. In a box: what an `async fn` takes by value, it has room for twice.
    async fn piece(mut self: Box<Self>) -> Option<(Bytes, Box<Self>)> {
        let piece = match std::mem::replace(&mut self.begun, true) {
            false => self.begin(),
            true => self.later().await?,
        };
        self.ongoing.sent(piece.len());
        Some((piece, self))
    }

    fn begin(&mut self) -> Bytes {
        if let Some(line) = &self.line {
            return line.endpoint();
        }
        if self.session.revision < Revision::V2025_11_25 {
            return Bytes::from_static(sse::KEEP_ALIVE);
        }
        self.id().priming().into()
    }

    fn id(&mut self) -> EventId {
        let id = EventId { stream: self.stream, seq: self.next };
        self.next = self.next.saturating_add(1);
        id
    }

    async fn later(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                turn = self.ongoing.turn() => {
                    let told = match turn {
                        Turn::News(news) => self.told(&news, &[]),
                        Turn::Tasks(found) => {
                            self.ongoing.ctx.gateway.streams.subscriptions.unfollow(self.session.id, &found.over);
                            self.told(&News::default(), &found.states)
                        }
                        Turn::Silence => return self.looked(),
                        Turn::Over(reason) => return self.end(reason),
                    };
                    if !told.is_empty() {
                        return Some(told);
                    }
                }
                answer = line::answer(&mut self.line) => return Some(answer),
                () = sleep_until(self.look) => return self.looked(),
                Ok(()) = self.changes.changed() => self.resubscribe(),
                () = self.registered.over.cancelled() => return self.end(Reason::Allowed),
            }
        }
    }

    fn told(&mut self, news: &News, states: &[State]) -> Bytes {
        let mut out = Vec::new();
        messages(news, states, None, |message| {
            let mut event = Vec::with_capacity(message.len() + 32);
            sse::encode(&mut event, &message);
            // HTTP+SSE knows no way to resume.
            let event = if self.line.is_some() { event } else { self.id().put_on(&event) };
            out.extend_from_slice(&event);
        });
        out.into()
    }

    fn resubscribe(&mut self) {
        let wish = self.subscribed.wish();
        let (resources, tasks) = (self.subscribed.resources(), self.subscribed.tasks());
        self.ongoing.merged.want(&self.ongoing.ctx, resources, tasks, wish);
    }

    /// Whether the session goes on is looked at, its subscriptions are kept in use, and the client is shown that the stream lives.
    fn looked(&mut self) -> Option<Bytes> {
        self.look = soon();
        let gateway = self.ongoing.ctx.gateway.clone();
        let now_s = gateway.clock.unix_s();
        let principal = self.ongoing.ctx.principal().map(|principal| principal.key());
        if principal.is_ok_and(|principal| gateway.sessions.going_on(&principal, self.session, now_s).is_err()) {
            return self.end(Reason::NotFound);
        }
        let subscribed = gateway.streams.subscriptions.of(self.session.id);
        if !Arc::ptr_eq(&subscribed, &self.subscribed) {
            (self.changes, self.subscribed) = (subscribed.changes(), subscribed);
            self.resubscribe();
        }
        Some(Bytes::from_static(sse::KEEP_ALIVE))
    }

    fn end(&self, reason: Reason) -> Option<Bytes> {
        self.ongoing.ctx.ended(Status::Completed, reason);
        None
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(STREAM_KEEPALIVE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_one_stream_and_the_last_one_counts() {
        let pushes = Pushes::default();
        let (first, other) = (pushes.register(1), pushes.register(2));
        let second = pushes.register(1);
        assert!(first.over.is_cancelled() && !second.over.is_cancelled() && !other.over.is_cancelled());
        drop(first);
        assert!(pushes.open.contains_key(&1), "the one that came later stays");
        pushes.end(1);
        assert!(second.over.is_cancelled());
        drop((second, other));
        assert!(pushes.open.is_empty());
    }
}
