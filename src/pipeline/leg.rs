//! The watch of one upstream, and what it takes the place of.
//!
//! A client that wants to hear of something else has another watch opened. Until that one is open the one before it is listened to, and
//! what nobody listened to in between counts as missed.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::time::Instant;

use super::ctx::Ctx;
use super::question;
use crate::mcp::interest::{Interest, ListSet};
use crate::policy::permit::Permit;
use crate::upstream::{Happening, Upstream, Watch};
use crate::vocab::limits::LISTEN_READY_MS_MAX;
use crate::vocab::{Fault, FaultKind};

/// See the module.
pub(super) struct Leg {
    pub(super) name: Arc<str>,
    /// Weak, so that an upstream that was replaced can end.
    upstream: Weak<Upstream>,
    pub(super) interest: Interest,
    live: BoxStream<'static, Told>,
    /// Since when something of the interest is not heard of. `None` once it is open.
    deaf: Option<Instant>,
    /// The watch that was open before, until this one is.
    before: Option<BoxStream<'static, Told>>,
    /// It is of an upstream that was not watched before: what the client knows may be of another, or of none.
    anew: bool,
    /// Since when something else is wanted than it is being opened for.
    otherwise: Option<Instant>,
}

/// What a watch tells.
pub(super) enum Told {
    Opened,
    Happened(Happening),
    Over(Fault),
}

impl Leg {
    /// A watch that is being opened. `anew`: the client may have read something before.
    pub(super) fn new(upstream: &Arc<Upstream>, interest: Interest, live: BoxStream<'static, Told>, anew: bool) -> Self {
        let (name, deaf) = (upstream.settings().name.clone(), Some(Instant::now()));
        Self { name, upstream: Arc::downgrade(upstream), interest, live, deaf, before: None, anew, otherwise: None }
    }

    /// In place of `old`. Of that one what was open is kept; if it never was, this one owes the client what that one did.
    pub(super) fn replacing(self, old: Self) -> Self {
        let another = !old.upstream.ptr_eq(&self.upstream);
        match old.deaf {
            Some(since) => Self { before: old.before, anew: old.anew || another, deaf: Some(since), ..self },
            None => Self { before: Some(old.live), anew: another, deaf: old.otherwise.or(self.deaf), ..self },
        }
    }

    pub(super) fn is_of(&self, upstream: &Arc<Upstream>) -> bool {
        std::ptr::eq(self.upstream.as_ptr(), Arc::as_ptr(upstream))
    }

    pub(super) fn is_opening(&self) -> bool {
        self.deaf.is_some()
    }

    /// It is open for all that is wanted.
    pub(super) fn is_settled(&self) -> bool {
        self.deaf.is_none() && self.otherwise.is_none()
    }

    /// It is wanted as it is (`so`), or something else is wanted than it is being opened for.
    pub(super) fn wanted(self, so: bool) -> Self {
        let otherwise = if so { None } else { self.otherwise.or_else(|| Some(Instant::now())) };
        Self { otherwise, ..self }
    }

    /// It is open: whether anything may have been missed, and whether something else is wanted by now. What the client read before may
    /// be older than this.
    pub(super) fn opened(&mut self) -> (bool, bool) {
        self.before = None;
        let late = self.deaf.take().is_some_and(|since| since.elapsed() > Duration::from_millis(LISTEN_READY_MS_MAX));
        (std::mem::take(&mut self.anew) || late, self.otherwise.is_some())
    }
}

enum Watching {
    Opening(BoxFuture<'static, Result<Watch, Fault>>),
    Open(Box<Watch>),
    Over,
}

/// A watch, from before it is open to its end.
pub(super) fn opened(
    ctx: &Ctx,
    upstream: Arc<Upstream>,
    permit: Permit,
    lists: ListSet,
    uris: Vec<(String, Permit)>,
    tasks: Vec<(String, Permit)>,
) -> BoxStream<'static, Told> {
    let caps = question::told(ctx, &upstream.settings().name);
    let who = ctx.principal().map(|principal| principal.key());
    let opening = async move {
        let Ok(who) = who else { return Err(Fault::internal(FaultKind::Internal, "nobody listens")) };
        upstream.watch(permit, &who, caps, lists, uris, tasks).await
    };
    let step = |watching| async move {
        Some(match watching {
            Watching::Opening(opening) => match opening.await {
                Ok(watch) => (Told::Opened, Watching::Open(Box::new(watch))),
                Err(fault) => (Told::Over(fault), Watching::Over),
            },
            Watching::Open(mut watch) => match watch.next().await {
                Ok(happening) => (Told::Happened(happening), Watching::Open(watch)),
                Err(fault) => (Told::Over(fault), Watching::Over),
            },
            Watching::Over => return None,
        })
    };
    stream::unfold(Watching::Opening(Box::pin(opening)), step).fuse().boxed()
}

/// The next thing that one of them tells, and which of them.
pub(super) async fn told(legs: &mut [Leg]) -> (usize, Told) {
    poll_fn(|cx| {
        for (at, leg) in legs.iter_mut().enumerate() {
            match leg.before.as_mut().map_or(Poll::Pending, |before| before.poll_next_unpin(cx)) {
                Poll::Ready(Some(told @ Told::Happened(_))) => return Poll::Ready((at, told)),
                // From now on nothing is heard until the other is open.
                Poll::Ready(_) => (leg.before, leg.anew) = (None, true),
                Poll::Pending => {}
            }
            match leg.live.poll_next_unpin(cx) {
                Poll::Ready(Some(told)) => return Poll::Ready((at, told)),
                // A watch says that it is over before it ends.
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}
