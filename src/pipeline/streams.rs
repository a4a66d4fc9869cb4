//! How many streams are open that tell clients what happens: bounds of their own, so that whoever listens takes no place from
//! whoever calls.

use std::sync::Arc;

use http::{HeaderValue, header};

use super::Gateway;
use super::ctx::Ctx;
use super::journal::Journal;
use super::line::Lines;
use super::push::Pushes;
use super::reply::Answered;
use super::session::Session;
use super::shares::{self, Shares};
use super::subscribed::Subscriptions;
use crate::audit::Status;
use crate::mcp::codes;
use crate::mcp::error::ProtocolError;
use crate::vocab::limits::STREAMS_MAX;
use crate::vocab::{PrincipalKey, Reason};

/// Streams to clients, and what they need to know of each other.
pub struct Streams {
    /// How many are open that tell what happens.
    pub(super) open: Arc<OpenStreams>,
    /// Which session has which of them.
    pub(super) pushes: Pushes,
    /// Which of them are lines of HTTP+SSE.
    pub(super) lines: Lines,
    /// What sessions were sent as streams.
    pub(super) journal: Journal,
    /// Resources that sessions subscribed to.
    pub(super) subscriptions: Subscriptions,
}

impl Streams {
    /// No streams.
    #[expect(clippy::new_without_default, reason = "a table is no neutral value")]
    pub fn new() -> Self {
        let open = Shares::new(STREAMS_MAX);
        let (pushes, lines) = Default::default();
        Self { open, pushes, lines, journal: Journal::new(), subscriptions: Subscriptions::new() }
    }
}

impl Gateway {
    /// Drops all that is kept for a session that is over.
    pub(super) fn forget(&self, session: u128) {
        self.questions.end(session);
        self.streams.pushes.end(session);
        self.streams.subscriptions.end(session);
        self.streams.journal.end(session);
    }

    /// Whether a session of `principal` is over by now. Looked at after something was kept for it: either this sees the end, or the end
    /// sees what was kept.
    pub(super) fn has_forgotten(&self, principal: &PrincipalKey, session: Session) -> bool {
        self.sessions.going_on(principal, session, self.clock.unix_s()).is_err()
    }
}

/// Streams open.
pub(super) type OpenStreams = Shares<PrincipalKey>;

/// The place of one stream.
pub(super) type Place = shares::Place<PrincipalKey>;

/// A place for another stream of whoever asks; without one, [`too_many`] is the answer.
pub(super) fn place(ctx: &Ctx) -> Option<Place> {
    let (who, gauge) = (ctx.principal().ok()?.key(), ctx.gateway.metrics.hold_stream());
    ctx.gateway.streams.open.enter(who, ctx.world.bounds.streams_per_principal, gauge).ok()
}

/// 429: whoever closes a stream has room for another.
pub(super) fn too_many(ctx: &Ctx) -> Answered {
    ctx.ended(Status::Refused, Reason::Overloaded);
    ctx.gateway.metrics.shed("too_many_streams");
    let error = ProtocolError::new(429, codes::INVALID_REQUEST, "Too many streams are open: close one, then try again");
    let error = error.with_id(ctx.asked.id.as_ref());
    Answered::json(error.status, error.to_json()).with(header::RETRY_AFTER, HeaderValue::from_static("5"))
}
