//! HTTP+SSE (2024-11-05), where a route serves clients that old: a GET opens a stream that first says where messages go, each POST
//! there is answered 202, and what it comes to is an event of the stream.
//!
//! The name of a line is a sealed session: the POST needs a credential of the same principal on the same route, as every request
//! does, and the line itself has to be open here. It ends with its stream.

use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use http::{HeaderMap, Response, StatusCode};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use super::body::ReplyBody;
use super::cancel::InFlight;
use super::ctx::Ctx;
use super::decode::Asking;
use super::push::{of_session, taken};
use super::refusal::Refusal;
use super::resumable::each_event;
use super::session::Session;
use super::streams::too_many;
use super::{Gateway, SESSION_ID, operate};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::error::ProtocolError;
use crate::mcp::headers::McpHeaders;
use crate::vocab::limits::{LINE_CALLS_MAX, REPLY_EVENTS_MAX};
use crate::vocab::{Fault, FaultKind, PrincipalKey, Revision};

/// Lines that are open, by session. Bounded by the number of streams.
#[derive(Default)]
pub(super) struct Lines {
    open: Arc<DashMap<u128, Line>>,
}

/// Where the answers to a line's messages go.
#[derive(Clone)]
pub(super) struct Line {
    events: mpsc::Sender<Bytes>,
    /// One for each message whose answer is not on the stream yet.
    places: Arc<Semaphore>,
    /// What the client said in `initialize` that it can be asked.
    caps: Arc<Mutex<ClientCaps>>,
}

/// A line, while its stream lasts.
struct Opened {
    open: Arc<DashMap<u128, Line>>,
    session: u128,
    events: mpsc::Receiver<Bytes>,
}

/// A line and its session, which end together.
pub(super) struct Begun {
    opened: Opened,
    endpoint: Bytes,
    gateway: Arc<Gateway>,
    who: PrincipalKey,
    session: Session,
}

impl Begun {
    /// The event that begins the stream.
    pub(super) fn endpoint(&self) -> Bytes {
        self.endpoint.clone()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.gateway.sessions.end(&self.who, self.session);
        self.gateway.streams.subscriptions.end(self.session.id);
    }
}

impl Lines {
    fn open(&self, session: u128) -> Opened {
        let (sender, events) = mpsc::channel(REPLY_EVENTS_MAX);
        self.open
            .insert(session, Line { events: sender, places: Arc::new(Semaphore::new(LINE_CALLS_MAX)), caps: Arc::default() });
        Opened { open: self.open.clone(), session, events }
    }

    /// The line of a session.
    ///
    /// # Errors
    /// 404 once its stream has ended.
    pub(super) fn of(&self, session: &mut Session) -> Result<Line, ProtocolError> {
        let line = self.open.get(&session.id).map(|line| line.clone()).ok_or_else(ProtocolError::unknown_session)?;
        session.caps = *line.caps.lock();
        Ok(line)
    }
}

impl Line {
    /// Takes over what `initialize` says.
    pub(super) fn begin(&self, caps: ClientCaps) {
        *self.caps.lock() = caps;
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.open.remove(&self.session);
    }
}

/// Whether a GET wants a line: nothing else is a GET without a session, where clients are that old.
pub(super) fn wanted(ctx: &Ctx, headers: &HeaderMap) -> bool {
    ctx.route().is_ok_and(|route| route.floor < Revision::OLDEST_STREAMABLE) && !headers.contains_key(SESSION_ID)
}

/// Opens a line.
///
/// # Errors
/// 406 where the client takes no stream; a fault when nothing can be sealed.
pub(super) fn begun(ctx: &mut Ctx, headers: &HeaderMap) -> Result<(Session, Begun), Refusal> {
    ctx.streams = McpHeaders::read(headers)?.accepts_sse;
    taken(ctx)?;
    let (gateway, who, route) = (ctx.gateway.clone(), ctx.principal()?.key(), ctx.route()?.path.clone());
    let (now_s, most) = (gateway.clock.unix_s(), ctx.world.bounds.sessions_per_principal);
    let unsealed = |_| Fault::internal(FaultKind::Internal, "a line could not be named");
    let agreed = (Revision::V2024_11_05, ClientCaps::NONE);
    let (name, ended) = gateway.sessions.open(&gateway.sealer, &who, &route, agreed, now_s, most).map_err(unsealed)?;
    ended.into_iter().for_each(|session| gateway.forget(session));
    let session = gateway.sessions.find(&gateway.sealer, &who, &route, &name, now_s).map_err(unsealed)?;
    of_session(ctx, session);
    let (opened, endpoint) = (gateway.streams.lines.open(session.id), endpoint(&route, &name));
    Ok((session, Begun { opened, endpoint, gateway, who, session }))
}

/// The next answer of a line; never anything where there is none.
pub(super) async fn answer(line: &mut Option<Begun>) -> Bytes {
    let next = match line {
        Some(line) => line.opened.events.recv().await,
        None => None,
    };
    match next {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}

/// The event that begins the stream: where messages go.
fn endpoint(route: &str, name: &str) -> Bytes {
    format!("event: endpoint\ndata: {route}?{QUERY}{name}\n\n").into()
}

/// What the query of such a POST begins with; the rest names the line.
const QUERY: &str = "session=";

/// The line that a query names.
pub(super) fn named(query: &str) -> Option<&str> {
    query.strip_prefix(QUERY)
}

/// Serves one message of a line.
pub(super) async fn take(ctx: Box<Ctx>, asking: Asking, in_flight: InFlight, line: Line) -> Response<ReplyBody> {
    if !matches!(asking, Asking::Operation(_) | Asking::Handshake(_)) {
        return operate::legacy(ctx, asking, in_flight).await;
    }
    let gateway = ctx.gateway.clone();
    // Whoever does not read the answers gets no more of them: the rest would wait here.
    let Ok(place) = line.places.clone().try_acquire_owned() else { return too_many(&ctx).respond(&ctx) };
    gateway.outlive(async move {
        let _place = place;
        let response = operate::legacy(ctx, asking, in_flight).await;
        each_event(response.into_body(), &line.events).await;
    });
    // The record is that of the answer.
    let mut accepted = Response::new(ReplyBody::whole(Bytes::new(), None));
    *accepted.status_mut() = StatusCode::ACCEPTED;
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::Revision;

    #[test]
    fn a_line_ends_with_its_stream() {
        let lines = Lines::default();
        let mut session = Session { id: 7, revision: Revision::V2024_11_05, caps: ClientCaps::NONE, expires_s: 9 };
        assert!(lines.of(&mut session).is_err());
        let opened = lines.open(7);
        lines.of(&mut session).unwrap().begin(ClientCaps { roots: true, ..ClientCaps::NONE });
        assert!(lines.of(&mut session).is_ok() && session.caps.roots);
        drop(opened);
        assert!(lines.of(&mut session).is_err());
    }

    #[test]
    fn the_first_event_says_where_messages_go() {
        assert_eq!(endpoint("/old", "abc"), "event: endpoint\ndata: /old?session=abc\n\n");
        assert_eq!([named("session=abc"), named("Session=abc"), named("x")], [Some("abc"), None, None]);
    }
}
