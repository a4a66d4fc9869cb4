//! A stream that tells a client what happens, for as long as it may be told: until its credential ends, the gateway stops, its
//! route is gone or its time is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::ctx::Ctx;
use super::followed::{Found, Looks};
use super::merged::{Merged, News};
use super::standing::Standing;
use super::streams::Place;
use crate::mcp::RawId;
use crate::mcp::interest::ListSet;
use crate::vocab::Reason;
use crate::vocab::limits::{STREAM_KEEPALIVE_MS, STREAM_S_MAX};

/// See the module. Dropped before its end, its record says that the client went away.
pub(super) struct Ongoing {
    /// Given back before the record is sent.
    _place: Place,
    pub(super) ctx: Ctx,
    pub(super) merged: Merged,
    looks: Looks,
    standing: Standing,
    /// Changes when another set of rules is in force.
    revised: watch::Receiver<()>,
    until: Instant,
}

/// What a stream has waited for.
pub(super) enum Turn {
    News(News),
    /// How tasks stand that moved. Those that are over are not followed any more.
    Tasks(Found),
    /// Nothing happened for a while: the client is shown that the stream lives.
    Silence,
    /// It ends, and why.
    Over(Reason),
}

impl Ongoing {
    pub(super) fn new(mut ctx: Ctx, merged: Merged, place: Place) -> Self {
        // What lasts keeps no message in memory.
        ctx.asked.id = ctx.asked.id.as_ref().map(RawId::detached);
        let standing = Standing::of(&ctx);
        let mut revised = ctx.gateway.revised.subscribe();
        // A set that came into force since the request began counts too.
        revised.mark_changed();
        let until = Instant::now() + Duration::from_secs(STREAM_S_MAX);
        Self { ctx, merged, looks: Looks::default(), standing, revised, until, _place: place }
    }

    /// Waits. Safe to drop and call again.
    pub(super) async fn turn(&mut self) -> Turn {
        loop {
            let Self { ctx, merged, looks, standing, revised, until, .. } = self;
            tokio::select! {
                mut news = merged.next(ctx) => {
                    looks.add(std::mem::take(&mut news.tasks));
                    return Turn::News(news);
                }
                found = looks.next(ctx) => {
                    merged.unfollow(&found.over);
                    return Turn::Tasks(found);
                }
                why = standing.over() => {
                    tracing::info!(record = %ctx.id, why, "a stream ends with its credential");
                    return Turn::Over(Reason::Unauthenticated);
                }
                () = ctx.gateway.drain.wait() => return Turn::Over(Reason::ShuttingDown),
                Ok(()) = revised.changed() => {
                    if let Some(reason) = self.revise() {
                        return Turn::Over(reason);
                    }
                }
                () = tokio::time::sleep_until(*until) => return Turn::Over(Reason::Allowed),
                () = tokio::time::sleep(Duration::from_millis(STREAM_KEEPALIVE_MS)) => return Turn::Silence,
            }
        }
    }

    /// Goes on under the rules that are in force now. What they let the client see may be something else than before.
    fn revise(&mut self) -> Option<Reason> {
        let world = self.ctx.gateway.world.load_full();
        let old = std::mem::replace(&mut self.ctx.world, world);
        if Arc::ptr_eq(&old, &self.ctx.world) {
            return None;
        }
        let world = &self.ctx.world;
        let Some(before) = self.ctx.route.take() else { return Some(Reason::Internal) };
        let route = world.routes.get(&*before.path).filter(|route| {
            let revision = self.ctx.asked.revision;
            revision.is_none_or(|revision| revision >= route.floor)
        });
        let Some(route) = route.cloned() else {
            self.ctx.route = Some(before);
            return Some(Reason::NotFound);
        };
        let same = old.policy.digest() == world.policy.digest()
            && old.observe.is_some() == world.observe.is_some()
            && (&before.upstreams, before.bare) == (&route.upstreams, route.bare);
        self.ctx.route = Some(route);
        self.looks.begin_anew();
        self.merged.refresh(&self.ctx, Vec::new());
        if !same {
            self.merged.change(ListSet::ALL);
        }
        None
    }

    /// Counts what the client was sent.
    pub(super) fn sent(&self, bytes: usize) {
        self.ctx.note(|draft| draft.bytes_out += bytes as u64);
    }
}
