//! How many streams are open that tell clients what happens: bounds of their own, so that whoever listens takes no place from
//! whoever calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use http::{HeaderValue, header};

use super::Gateway;
use super::ctx::Ctx;
use super::journal::Journal;
use super::line::Lines;
use super::push::Pushes;
use super::reply::Answered;
use super::session::Session;
use super::subscribed::Subscriptions;
use crate::audit::Status;
use crate::mcp::codes;
use crate::mcp::error::ProtocolError;
use crate::telemetry::metrics::{Held, Metrics};
use crate::vocab::limits::{STREAMS_MAX, STREAMS_PER_PRINCIPAL_MAX};
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
        let (open, pushes, lines) = Default::default();
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

/// Streams open, in all and of each principal. Remembers nobody who has none.
#[derive(Default)]
pub(super) struct OpenStreams {
    all: AtomicUsize,
    each: DashMap<PrincipalKey, usize>,
}

/// There is no place for another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// The place of one stream.
pub(super) struct Place {
    streams: Arc<OpenStreams>,
    who: PrincipalKey,
    _gauge: Held,
}

impl OpenStreams {
    /// A place for another stream of `who`.
    ///
    /// # Errors
    /// [`TooMany`].
    pub(super) fn enter(self: &Arc<Self>, who: PrincipalKey, metrics: &Metrics) -> Result<Place, TooMany> {
        let mut own = self.each.entry(who.clone()).or_default();
        *own += 1;
        let fits = *own <= STREAMS_PER_PRINCIPAL_MAX;
        drop(own);
        let fits = self.all.fetch_add(1, Ordering::Relaxed) < STREAMS_MAX && fits;
        // Gives back what was taken, whichever bound it was.
        let place = Place { streams: self.clone(), who, _gauge: metrics.hold_stream() };
        if fits { Ok(place) } else { Err(TooMany) }
    }
}

/// 429: whoever closes a stream has room for another.
pub(super) fn too_many(ctx: &Ctx) -> Answered {
    ctx.ended(Status::Refused, Reason::Overloaded);
    ctx.gateway.metrics.shed("too_many_streams");
    let error = ProtocolError::new(429, codes::INVALID_REQUEST, "Too many streams are open: close one, then try again");
    let error = error.with_id(ctx.asked.id.as_ref());
    Answered::json(error.status, error.to_json()).with(header::RETRY_AFTER, HeaderValue::from_static("5"))
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(mut own) = self.streams.each.get_mut(&self.who) {
            *own = own.saturating_sub(1);
        }
        self.streams.each.remove_if(&self.who, |_, own| *own == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_share_and_whoever_has_none_is_forgotten() {
        let (streams, metrics) = (Arc::<OpenStreams>::default(), Metrics::new());
        let enter = |sub: &str| streams.enter(PrincipalKey { iss: "i".into(), sub: sub.into() }, &metrics);
        let mut places: Vec<Place> = (0..STREAMS_PER_PRINCIPAL_MAX).map(|_| enter("alice").unwrap()).collect();
        assert_eq!(enter("alice").err(), Some(TooMany));
        let bobs = enter("bob").unwrap();
        places.pop();
        places.push(enter("alice").unwrap());
        assert_eq!(enter("alice").err(), Some(TooMany));
        drop((places, bobs));
        assert_eq!((streams.all.load(Ordering::Relaxed), streams.each.len()), (0, 0));
    }

    #[test]
    fn all_together_have_a_bound_too() {
        let (streams, metrics) = (Arc::<OpenStreams>::default(), Metrics::new());
        let enter = |n: usize| streams.enter(PrincipalKey { iss: "i".into(), sub: n.to_string().into() }, &metrics);
        let mut places: Vec<Place> = (0..STREAMS_MAX).map(|n| enter(n).unwrap()).collect();
        assert_eq!(enter(STREAMS_MAX).err(), Some(TooMany));
        assert_eq!(streams.each.len(), STREAMS_MAX);
        places.pop();
        assert!(enter(STREAMS_MAX).is_ok());
    }
}
