//! `subscriptions/listen` (2026-07-28, subscriptions): one stream of what happens at all upstreams of the route.
//!
//! It is acknowledged first, and soon: what it may hear of is decided then, resource by resource, and slow upstreams are not
//! waited for. Every message names the subscription as the client did.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use http::Response;

use super::authorize::hear;
use super::body::ReplyBody;
use super::cancel::InFlight;
use super::ctx::Ctx;
use super::followed::{Followed, State};
use super::merged::{Merged, News, Resource};
use super::ongoing::{Ongoing, Turn};
use super::operate::measure;
use super::question;
use super::refusal::Refusal;
use super::reply::{self, Content, lower};
use super::rescue::rescue;
use super::streams::{place, too_many};
use super::task;
use crate::audit::Status;
use crate::mcp::dialect::{self, Operation};
use crate::mcp::error::ProtocolError;
use crate::mcp::interest::{Interest, ListSet};
use crate::mcp::names::{check_uri, split_uri};
use crate::mcp::reply::Listing;
use crate::mcp::task::{Form, required};
use crate::mcp::{RawId, Reply, sse};
use crate::policy::permit::Permit;
use crate::upstream::Facts;
use crate::vocab::limits::{LISTEN_READY_MS_MAX, LISTEN_URIS_MAX};
use crate::vocab::{Deadline, Reason};

/// Serves a subscription. Its place among the requests under way is given back: it has one of its own.
pub(super) async fn serve(ctx: Ctx, operation: &Operation, in_flight: InFlight) -> Response<ReplyBody> {
    let wanted = match wanted(&ctx, operation) {
        Ok(wanted) => wanted,
        Err(refusal) => return rescue(&ctx, refusal).respond(&ctx),
    };
    let Some(place) = place(&ctx) else { return too_many(&ctx).respond(&ctx) };
    ctx.decided(true, Reason::Allowed);
    // Both at once: the client waits for the slower of them.
    let (agreed, tasks) = Box::pin(async { tokio::join!(agree(&ctx, &wanted), follow(&ctx, &wanted)) }).await;
    measure(&ctx, None);
    drop(in_flight);
    let subscription = operation.id.detached();
    let honoured = Interest {
        lists: wanted.lists,
        uris: agreed.iter().map(|agreed| agreed.public.clone()).collect(),
        tasks: tasks.iter().map(|task| task.text.to_string()).collect(),
    };
    let first = event(&dialect::lower_acknowledged(&subscription, &honoured));
    let resources = agreed.iter().map(|agreed| agreed.resource.clone()).collect();
    let mut merged = Merged::of(wanted.lists, resources).following(tasks);
    merged.refresh(&ctx, agreed.into_iter().map(|agreed| (agreed.resource, agreed.permit)).collect());
    reply::stream(ctx, move |ctx| {
        let ongoing = Ongoing::new(ctx, merged, place);
        let listening = Listening { ongoing, subscription, first: Some(first), over: false };
        stream::unfold(Box::new(listening), Listening::piece).boxed()
    })
}

/// What is asked for.
///
/// # Errors
/// 406 where the client takes no stream; -32602 for a filter that is none, or that names too many resources or tasks; -32021 where a
/// client that did not declare the extension wants to hear of tasks.
fn wanted(ctx: &Ctx, operation: &Operation) -> Result<Interest, Refusal> {
    let id = Some(&operation.id);
    if !ctx.streams {
        let unacceptable =
            ProtocolError::invalid_request("A subscription is answered by an event stream: accept text/event-stream");
        return Err(ProtocolError { status: 406, ..unacceptable }.with_id(id).into());
    }
    let read = operation.params.notifications.as_ref().map(|filter| Interest::parse(filter, LISTEN_URIS_MAX + 1));
    let malformed = || ProtocolError::malformed_params("notifications is not a filter of notifications").with_id(id);
    let read = read.and_then(Result::ok).ok_or_else(malformed)?;
    if read.uris.len().max(read.tasks.len()) > LISTEN_URIS_MAX {
        return Err(ProtocolError::invalid_params("Too many resources or tasks for one subscription").with_id(id).into());
    }
    if !read.tasks.is_empty() && !task::declares(operation) {
        return Err(ProtocolError::missing_capability(&required()).with_id(id).into());
    }
    Ok(read)
}

/// A resource that the client may and can be told about.
struct Agreed {
    /// As the client calls it.
    public: String,
    resource: Resource,
    permit: Permit,
}

/// What of the resources asked for can be promised: policy lets the principal read it, and its upstream is known to tell. Anything
/// else is left out, whatever the cause.
async fn agree(ctx: &Ctx, wanted: &Interest) -> Vec<Agreed> {
    let mut agreed: Vec<Agreed> = Vec::new();
    for public in &wanted.uris {
        let Some(resource) = named(ctx, public).filter(|resource| agreed.iter().all(|agreed| agreed.resource != *resource))
        else {
            continue;
        };
        if let Ok(permit) = hear(ctx, &resource.upstream, &resource.full()) {
            agreed.push(Agreed { public: public.clone(), resource, permit });
        }
    }
    let deadline = Deadline::after(Duration::from_millis(LISTEN_READY_MS_MAX));
    let mut upstreams: Vec<_> = agreed.iter().map(|agreed| agreed.resource.upstream.clone()).collect();
    upstreams.sort();
    upstreams.dedup();
    let telling = join_all(upstreams.into_iter().map(|name| async move {
        let told = tells(ctx, &name, deadline).await;
        (name, told)
    }));
    let telling: Vec<_> = telling.await.into_iter().filter_map(|(name, told)| told.then_some(name)).collect();
    agreed.retain(|agreed| telling.contains(&agreed.resource.upstream));
    agreed
}

/// What of the tasks asked for can be promised: they are this client's, policy lets it see them, and their upstream has the extension.
async fn follow(ctx: &Ctx, wanted: &Interest) -> Vec<Followed> {
    let deadline = Deadline::after(Duration::from_millis(LISTEN_READY_MS_MAX));
    let found = wanted.tasks.iter().map(|text| async move {
        let task = Followed::open(ctx, Form::Extension, text).await?;
        let facts = facts(ctx, &task.upstream, deadline).await?;
        Some(task).filter(|task| facts.capabilities.tasks && task.permit(ctx).is_some())
    });
    let found = found.map(|found| tokio::time::timeout_at(deadline.instant().into(), found));
    let mut tasks: Vec<Followed> = Vec::new();
    for task in join_all(found).await.into_iter().filter_map(|found| found.ok().flatten()) {
        if tasks.iter().all(|other| other.text != task.text) {
            tasks.push(task);
        }
    }
    tasks
}

/// The resource that the route calls `public`.
pub(super) fn named(ctx: &Ctx, public: &str) -> Option<Resource> {
    let route = ctx.route().ok()?;
    let only = route.upstreams.first().filter(|_| route.bare);
    let (upstream, uri) = match only {
        Some(only) => (&**only, public),
        None => split_uri(public)?,
    };
    check_uri(uri).ok()?;
    let upstream = route.upstreams.iter().find(|name| &***name == upstream)?;
    Some(Resource { upstream: upstream.clone(), uri: uri.to_owned() })
}

/// Whether an upstream is known by `deadline` to tell when resources are updated.
pub(super) async fn tells(ctx: &Ctx, name: &str, deadline: Deadline) -> bool {
    facts(ctx, name, deadline).await.is_some_and(|facts| facts.capabilities.resources_subscribe)
}

async fn facts(ctx: &Ctx, name: &str, deadline: Deadline) -> Option<Facts> {
    let (upstream, access, principal) = (ctx.world.upstream(name).ok()?, ctx.access_now().ok()?, ctx.principal().ok()?);
    let permit = access.permit(name).ok()?;
    let who = principal.key();
    let facts = upstream.ready(&who, question::told(ctx, name), &permit, deadline);
    let facts = tokio::time::timeout_at(deadline.instant().into(), facts).await;
    facts.ok()?.ok()
}

struct Listening {
    ongoing: Ongoing,
    subscription: RawId,
    first: Option<Bytes>,
    over: bool,
}

impl Listening {
    /// The next piece of the stream.
    async fn piece(mut self: Box<Self>) -> Option<(Bytes, Box<Self>)> {
        if self.over {
            return None;
        }
        let mut piece = self.first.take().unwrap_or_default();
        // What the news were may not be for this client any more.
        while piece.is_empty() {
            piece = match self.ongoing.turn().await {
                Turn::News(news) => told(&news, &[], Some(&self.subscription)),
                Turn::Tasks(found) => told(&News::default(), &found.states, Some(&self.subscription)),
                Turn::Silence => Bytes::from_static(sse::KEEP_ALIVE),
                Turn::Over(reason) => {
                    piece = self.end(reason);
                    break;
                }
            };
        }
        self.ongoing.sent(piece.len());
        Some((piece, self))
    }

    /// The result: the subscription ends in good order, and the client may ask for another.
    fn end(&mut self, reason: Reason) -> Bytes {
        self.over = true;
        let ctx = &self.ongoing.ctx;
        ctx.ended(Status::Completed, reason);
        let result = lower(ctx, &Reply::Result(dialect::subscription_result(&self.subscription)));
        match result.content {
            Content::Json(body) => event(&body),
            _ => Bytes::new(),
        }
    }
}

/// The messages that say so, as events.
pub(super) fn told(news: &News, states: &[State], subscription: Option<&RawId>) -> Bytes {
    let mut out = Vec::new();
    messages(news, states, subscription, |message| sse::encode(&mut out, &message));
    out.into()
}

/// The messages that say so, one after the other.
pub(super) fn messages(news: &News, states: &[State], subscription: Option<&RawId>, mut each: impl FnMut(Vec<u8>)) {
    for listing in listings(news.lists) {
        each(dialect::lower_list_changed(subscription, listing));
    }
    for uri in &news.uris {
        each(dialect::lower_updated(subscription, uri));
    }
    for state in states {
        each(dialect::lower_task(subscription, state));
    }
}

fn listings(lists: ListSet) -> impl Iterator<Item = Listing> {
    [Listing::Tools, Listing::Prompts, Listing::Resources].into_iter().filter(move |listing| lists.has(*listing))
}

fn event(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 32);
    sse::encode(&mut out, message);
    out.into()
}
