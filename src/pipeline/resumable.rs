//! Calls of sessions whose answer takes a while: they become streams, which can be resumed.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use futures_util::task::AtomicWaker;
use http::Response;
use http_body::Body as _;
use tokio::sync::mpsc;

use super::Gateway;
use super::body::ReplyBody;
use super::cancel::InFlight;
use super::ctx::Ctx;
use super::journal::Journal;
use super::operate::operate;
use super::reply::{Answered, stream_head};
use super::rescue::rescue;
use super::session::Session;
use super::standing::Standing;
use crate::audit::Status;
use crate::mcp::dialect::Operation;
use crate::mcp::headers::McpHeaders;
use crate::mcp::sse;
use crate::vocab::limits::{STREAM_AFTER_MS, STREAM_KEEPALIVE_MS};
use crate::vocab::{Denial, PrincipalKey, Reason};

/// A call that `notifications/cancelled` can end. A cancelled request gets no answer, so its stream just ends.
pub(super) async fn cancellable(mut ctx: Box<Ctx>, operation: Box<Operation>, in_flight: InFlight) -> Response<ReplyBody> {
    let Some(session) = ctx.asked.session else {
        return Box::pin(operate(ctx, operation, &McpHeaders::default(), in_flight)).await;
    };
    let registered = match ctx.gateway.cancels.register(session, &operation.id) {
        Ok(registered) => registered,
        Err(taken) => return rescue(&ctx, taken.into()).respond(&ctx),
    };
    let (audit, gateway, asked) = (ctx.audit.clone(), ctx.gateway.clone(), ctx.asked.clone());
    let shared = gateway.clone();
    let cancelled = registered.token.clone();
    // A streamed answer outlives this function, and can be cancelled as long as it lasts.
    ctx.cancel = Some(registered);
    let turning = Arc::<Turning>::default();
    let resumable = ctx.streams && ctx.asked.line.is_none();
    let whose = ctx.principal().ok().filter(|_| resumable).map(|who| Whose { session, owner: who.key() });
    ctx.turning = whose.as_ref().map(|_| turning.clone());
    let (mut standing, turned) = (Standing::of(&ctx), turning.clone());
    let over = async move {
        turned.streams.heard().await;
        standing.over().await
    };
    let answer = async move {
        let headers = McpHeaders::default();
        tokio::select! {
            // Boxed, so that what wraps it stays small enough to be moved about.
            response = Box::pin(operate(ctx, operation, &headers, in_flight)) => response,
            () = cancelled.cancelled() => {
                let ctx = Ctx::after(gateway, audit);
                ctx.ended(Status::Cancelled, Reason::Cancelled);
                Answered::unanswered().respond(&ctx)
            }
            why = over => {
                let ctx = Ctx { asked, ..Ctx::after(gateway, audit) };
                tracing::info!(record = %ctx.id, why, "a stream ends with its credential");
                rescue(&ctx, Denial::new(Reason::Unauthenticated).into()).respond(&ctx)
            }
        }
    };
    match whose {
        Some(whose) => answered(shared, whose, turning, Box::pin(answer)).await,
        None => answer.await,
    }
}

/// Whose answer it is.
struct Whose {
    session: Session,
    owner: PrincipalKey,
}

/// When an answer turns into a stream.
#[derive(Default)]
pub(super) struct Turning {
    /// Said when the call has left for its upstream. What is found out before is told by the status of the answer.
    pub(super) left: Word,
    /// Said when the answer has become a stream.
    streams: Word,
}

/// Something that is said once and that one future waits to hear. Cheaper than a token of cancellation, which takes locks for the many
/// that may wait for it.
#[derive(Default)]
pub(super) struct Word {
    said: AtomicBool,
    waits: AtomicWaker,
}

impl Word {
    pub(super) fn say(&self) {
        self.said.store(true, Ordering::Release);
        self.waits.wake();
    }

    async fn heard(&self) {
        poll_fn(|cx| {
            // Registered first: what is said from then on wakes.
            self.waits.register(cx.waker());
            if self.said.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Waits for `answer`. It becomes a stream if it is one, or if it is not there soon after the call has left.
async fn answered(
    gateway: Arc<Gateway>,
    whose: Whose,
    turning: Arc<Turning>,
    mut answer: BoxFuture<'static, Response<ReplyBody>>,
) -> Response<ReplyBody> {
    let late = async {
        turning.left.heard().await;
        tokio::time::sleep(Duration::from_millis(STREAM_AFTER_MS)).await;
    };
    tokio::select! {
        biased;
        response = &mut answer => {
            if !response.body().is_stream() {
                return response;
            }
            response.map(|body| kept(gateway, whose, Source::Body(body)))
        }
        () = late => {
            turning.streams.say();
            stream_head().map(|()| kept(gateway, whose, Source::Awaited(answer)))
        }
    }
}

fn kept(gateway: Arc<Gateway>, whose: Whose, source: Source) -> ReplyBody {
    let source = stream::unfold(source, Source::piece).fuse().boxed();
    ReplyBody::pieces(Journal::begin(gateway, whose.session, whose.owner, source))
}

/// Hands on what an answer comes to, as events, until it has ended or nobody takes them.
pub(super) async fn each_event(body: ReplyBody, to: &mpsc::Sender<Bytes>) {
    let mut body = Some(body);
    while let Some(left) = body.take() {
        let Some((event, rest)) = Source::of_body(left).await else { return };
        // A whole answer is over now: its record does not wait for a slow reader.
        body = match rest {
            Source::Body(rest) if rest.is_stream() => Some(rest),
            _ => None,
        };
        if to.send(event).await.is_err() {
            return;
        }
    }
}

/// Where the events of a stream come from.
enum Source {
    Awaited(BoxFuture<'static, Response<ReplyBody>>),
    Body(ReplyBody),
}

impl Source {
    async fn piece(self) -> Option<(Bytes, Self)> {
        match self {
            Self::Awaited(mut answer) => tokio::select! {
                response = &mut answer => Self::of_body(response.into_body()).await,
                () = tokio::time::sleep(Duration::from_millis(STREAM_KEEPALIVE_MS)) => {
                    Some((Bytes::from_static(sse::KEEP_ALIVE), Self::Awaited(answer)))
                }
            },
            Self::Body(body) => Self::of_body(body).await,
        }
    }

    async fn of_body(mut body: ReplyBody) -> Option<(Bytes, Self)> {
        let whole = !body.is_stream();
        let frame: Option<Result<_, Infallible>> = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let bytes = frame?.ok()?.into_data().ok()?;
        if !whole {
            return Some((bytes, Self::Body(body)));
        }
        let mut event = Vec::with_capacity(bytes.len() + 32);
        sse::encode(&mut event, &bytes);
        Some((event.into(), Self::Body(body)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Word;

    #[tokio::test]
    async fn a_word_is_heard_whenever_it_is_said() {
        let (before, after) = (Word::default(), Word::default());
        before.say();
        before.heard().await;
        before.heard().await;
        assert_eq!(after.heard().now_or_never(), None);
        tokio::join!(biased; after.heard(), async { after.say() });
    }
}
