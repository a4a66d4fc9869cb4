//! What a request is waited for before it is a call: its credential to be verified, its body to come. Whoever sends it can draw that out,
//! so that it takes no place among the requests under way: it has places of its own, and nobody can take all of those. Most requests
//! are there at once, and take none.

use std::future::Future;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::StatusCode;
use hyper::body::Incoming;

use super::cancel::busy;
use super::ctx::Ctx;
use super::refusal::Refusal;
use super::shares::{Shares, TooMany};
use crate::net::body::{BodyError, read_body};
use crate::vocab::limits::{ARRIVING_PER_ADDRESS_PART, ARRIVING_PER_PRINCIPAL_PART, FORM_BYTES_MAX};
use crate::vocab::{Deadline, PrincipalKey, Reason};
use crate::web::network;

/// Requests that are waited for.
pub struct Arrivals {
    /// Nobody is known yet: what is counted is the network that they come from.
    credentials: Waiting<IpAddr>,
    /// Bodies for pages, whose senders nobody knows either.
    forms: Waiting<IpAddr>,
    /// Bodies for routes.
    messages: Waiting<PrincipalKey>,
}

struct Waiting<K: Eq + Hash> {
    places: Arc<Shares<K>>,
    each_max: usize,
}

impl Arrivals {
    /// As many places of each kind as there are for requests under way, which are `in_flight`.
    pub fn new(in_flight: usize) -> Self {
        Self {
            credentials: Waiting::of(in_flight, ARRIVING_PER_ADDRESS_PART),
            forms: Waiting::of(in_flight, ARRIVING_PER_ADDRESS_PART),
            messages: Waiting::of(in_flight, ARRIVING_PER_PRINCIPAL_PART),
        }
    }
}

impl<K: Eq + Hash + Clone> Waiting<K> {
    /// One in `part` of them is the share of each.
    fn of(all_max: usize, part: usize) -> Self {
        Self { places: Shares::new(all_max), each_max: all_max.div_ceil(part) }
    }
}

/// What `verifying` a credential comes to.
///
/// # Errors
/// 503 where there is no place to wait for it.
pub(super) async fn credential<F: Future>(ctx: &Ctx, verifying: Pin<&mut F>) -> Result<F::Output, Refusal> {
    waited(ctx, &ctx.gateway.arrivals.credentials, || address(ctx), verifying).await
}

/// The body of a request for a page.
///
/// # Errors
/// 408, 413; 400 where it breaks off; 503 where there is no place to wait for it.
pub(super) async fn form(ctx: &Ctx, body: Incoming) -> Result<Bytes, Refusal> {
    let words = ["the body is larger than the limit", "the body did not arrive in time", "the body broke off"];
    let reading = pin!(read_body(body, FORM_BYTES_MAX, Deadline::after(ctx.world.bounds.body_timeout)));
    let read = waited(ctx, &ctx.gateway.arrivals.forms, || address(ctx), reading).await?;
    whole(ctx, read, words)
}

/// The body of a message of whoever asks, who is known.
///
/// # Errors
/// As [`form`].
pub(super) async fn message(ctx: &Ctx, body: Incoming) -> Result<Bytes, Refusal> {
    let words = ["the message is larger than the limit", "the message did not arrive in time", "the message broke off"];
    let (bounds, who) = (ctx.world.bounds, ctx.principal()?);
    let reading = pin!(read_body(body, bounds.body_bytes, Deadline::after(bounds.body_timeout)));
    let read = waited(ctx, &ctx.gateway.arrivals.messages, || who.key(), reading).await?;
    whole(ctx, read, words)
}

/// What `work` comes to. What is not done at once is waited for in a place that `who` takes.
async fn waited<F, K>(
    ctx: &Ctx,
    waiting: &Waiting<K>,
    who: impl FnOnce() -> K,
    mut work: Pin<&mut F>,
) -> Result<F::Output, Refusal>
where
    F: Future,
    K: Eq + Hash + Clone,
{
    if let Poll::Ready(done) = futures_util::poll!(work.as_mut()) {
        return Ok(done);
    }
    let place = waiting.places.enter(who(), waiting.each_max, ctx.gateway.metrics.hold_arriving());
    let _place = place.map_err(|too_many| match too_many {
        TooMany::OfOne => busy(ctx, "too_many_arriving_of_one"),
        TooMany::OfAll => busy(ctx, "too_many_arriving"),
    })?;
    Ok(work.await)
}

/// The network that the request comes from. Those of which it is not known share one.
fn address(ctx: &Ctx) -> IpAddr {
    network(ctx.memory.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// The body, on record, if it is here; `[too large, too late, broken off]` are the words for clients if it is not.
fn whole(ctx: &Ctx, read: Result<Bytes, BodyError>, [large, late, broken]: [&'static str; 3]) -> Result<Bytes, Refusal> {
    let (status, why) = match read {
        Ok(bytes) => {
            ctx.note(|draft| draft.bytes_in = bytes.len() as u64);
            return Ok(bytes);
        }
        Err(BodyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, large),
        Err(BodyError::Timeout) => (StatusCode::REQUEST_TIMEOUT, late),
        Err(BodyError::Broken) => (StatusCode::BAD_REQUEST, broken),
    };
    Err(Refusal::Http(status, Reason::BadRequest, why))
}
