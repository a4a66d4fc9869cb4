//! Who is under way, who may be cancelled, and what a vanished client means.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::Gateway;
use super::ctx::Ctx;
use super::refusal::Refusal;
use super::session::Session;
use crate::mcp::RawId;
use crate::mcp::error::ProtocolError;
use crate::telemetry::current::{self, Traced};
use crate::telemetry::metrics::Held;
use crate::vocab::Reason;

/// Legacy calls under way by session and request id. Bounded by the number of requests in flight.
#[derive(Default)]
pub struct Cancels {
    calls: Arc<DashMap<(u128, Arc<str>), CancellationToken>>,
}

/// Takes a call out of [`Cancels`] when it is over.
pub(super) struct Registered {
    calls: Arc<DashMap<(u128, Arc<str>), CancellationToken>>,
    key: (u128, Arc<str>),
    /// Set by `notifications/cancelled`.
    pub(super) token: CancellationToken,
}

impl Cancels {
    /// Registers the call `id` of `session`.
    ///
    /// # Errors
    /// 400 while another call of the session has that id.
    pub(super) fn register(&self, session: Session, id: &RawId) -> Result<Registered, ProtocolError> {
        let key: (u128, Arc<str>) = (session.id, Arc::from(id.as_str()));
        let token = CancellationToken::new();
        match self.calls.entry(key.clone()) {
            Entry::Occupied(_) => {
                return Err(ProtocolError::invalid_request("another request of this session has this id").with_id(Some(id)));
            }
            Entry::Vacant(place) => drop(place.insert(token.clone())),
        }
        Ok(Registered { calls: self.calls.clone(), key, token })
    }

    /// Cancels the call `id` of `session`, if it is under way.
    pub fn cancel(&self, session: Session, id: &RawId) {
        // It stays registered until it is over, so that its id is not taken meanwhile.
        if let Some(token) = self.calls.get(&(session.id, Arc::from(id.as_str()))) {
            token.cancel();
        }
    }
}

impl Cancels {
    /// Cancels whatever is under way in a session that its client ended.
    pub(super) fn end(&self, session: u128) {
        self.calls.iter().filter(|call| call.key().0 == session).for_each(|call| call.value().cancel());
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.calls.remove(&self.key);
    }
}

/// One place among the requests under way.
pub(super) struct InFlight {
    count: Arc<AtomicUsize>,
    _gauge: Held,
}

impl InFlight {
    /// Takes a place. Whatever the request waits for of its sender has come by then.
    ///
    /// # Errors
    /// 503 when all places are taken.
    pub(super) fn enter(ctx: &Ctx) -> Result<Self, Refusal> {
        let gateway = &ctx.gateway;
        let place = Self { count: gateway.in_flight.clone(), _gauge: gateway.metrics.hold_in_flight() };
        if place.count.fetch_add(1, Ordering::Relaxed) >= ctx.world.bounds.in_flight {
            return Err(busy(ctx, TOO_MANY));
        }
        Ok(place)
    }

    /// Takes no place: looks whether there is one, before anything is done for the request.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub(super) fn look(ctx: &Ctx) -> Result<(), Refusal> {
        if ctx.gateway.in_flight.load(Ordering::Relaxed) >= ctx.world.bounds.in_flight {
            return Err(busy(ctx, TOO_MANY));
        }
        Ok(())
    }
}

/// 503, counted as `why`: a word from a closed list.
pub(super) fn busy(ctx: &Ctx, why: &'static str) -> Refusal {
    ctx.gateway.metrics.shed(why);
    Refusal::Http(StatusCode::SERVICE_UNAVAILABLE, Reason::Overloaded, why)
}

/// Why there is no place.
const TOO_MANY: &str = "too_many_in_flight";

impl Drop for InFlight {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gateway {
    /// Runs `work` beside its connection, to its end or until a stop cuts what is left: then it is dropped, which sends its record.
    pub(super) fn outlive<F>(&self, work: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // Boxed: what wraps it would hold it twice over.
        let (cut, work) = (self.cut.clone(), Box::pin(Traced::new(work, current::trace_id())));
        drop(self.tasks.spawn(async move { cut.run_until_cancelled_owned(work).await }));
    }
}

/// Runs `work` in place. If whoever waits for it goes away first, it moves to the gateway's tasks and runs to its end there.
pub(super) fn detached<F>(gateway: Arc<Gateway>, work: F) -> Detached<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Detached { gateway, work: Some(Box::pin(work)), trace_id: None }
}

/// See [`detached`].
pub(super) struct Detached<T: Send + 'static> {
    gateway: Arc<Gateway>,
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    /// As it was when the work was last looked at.
    trace_id: Option<[u8; 16]>,
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        self.trace_id = current::trace_id();
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        // While a panic unwinds the work is what panicked: it ends with it.
        if let Some(work) = self.work.take().filter(|_| !std::thread::panicking()) {
            let _trace = current::within(self.trace_id);
            self.gateway.outlive(work);
        }
    }
}
