//! What happens at the upstreams of a route, merged for one client.
//!
//! Each upstream is watched on the principal's own behalf. One that fails ends nothing: the others go on, and it is tried again.
//! News wait until the client takes them and are the same however often something happened, so that nothing grows while a
//! client is slow. What was known of a list is out of date before the client hears that it changed, and a resource is spoken of
//! only if policy lets the principal read it at that moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::authorize::{hear, hears};
use super::ctx::Ctx;
use super::followed::Followed;
use super::leg::{Leg, Told, opened, told};
use super::subscribed::Wish;
use crate::catalog::Part;
use crate::mcp::interest::{Interest, ListSet};
use crate::mcp::names::{check_uri, full_name, public_uri};
use crate::mcp::reply::Listing;
use crate::policy::permit::Permit;
use crate::upstream::Happening;
use crate::vocab::FaultKind;
use crate::vocab::limits::{LISTEN_URIS_MAX, NEWS_GATHER_MS, WATCH_AGAIN_MS};

/// A resource at an upstream, by its own URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resource {
    pub(super) upstream: Arc<str>,
    pub(super) uri: String,
}

/// What a client has to be told.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Lists that changed.
    pub(super) lists: ListSet,
    /// Resources that were updated, as the route calls them.
    pub(super) uris: Vec<String>,
    /// Tasks that moved. What is told of them is decided when it is found out.
    pub(super) tasks: Vec<Followed>,
}

/// See the module.
pub(super) struct Merged {
    lists: ListSet,
    resources: Vec<Resource>,
    tasks: Vec<Followed>,
    legs: Vec<Leg>,
    /// True once the first watches were opened: what is opened later may bring what the client has not seen.
    begun: bool,
    changed: ListSet,
    updated: BTreeSet<Resource>,
    /// Tasks that moved: what the client calls them.
    moved: BTreeSet<Arc<str>>,
    /// When the news are told.
    due: Option<Instant>,
    /// When upstreams that could not be watched are tried again.
    again: Option<Instant>,
    /// What is wanted, until all watches for it are open: those of the upstreams `concerned`.
    wish: Option<Wish>,
    concerned: Vec<Arc<str>>,
}

impl Resource {
    /// `upstream__URI`, as rules and records say it.
    pub(super) fn full(&self) -> String {
        full_name(&self.upstream, &self.uri)
    }
}

impl Merged {
    /// Watches nothing yet.
    pub(super) fn of(lists: ListSet, resources: Vec<Resource>) -> Self {
        let (changed, updated, moved, tasks) = Default::default();
        let (legs, due, again, wish, concerned) = Default::default();
        Self { lists, resources, tasks, legs, begun: false, changed, updated, moved, due, again, wish, concerned }
    }

    /// Follows these tasks too.
    pub(super) fn following(self, tasks: Vec<Followed>) -> Self {
        Self { tasks, ..self }
    }

    /// Says when `wish` is heard of.
    pub(super) fn granting(self, wish: Wish) -> Self {
        Self { wish: Some(wish), ..self }
    }

    /// Wants to hear of other resources and tasks from now on. A watch that is being opened is waited for: whoever wants one more
    /// thing after the other opens no watch for each.
    pub(super) fn want(&mut self, ctx: &Ctx, resources: Vec<Resource>, tasks: Vec<Followed>, wish: Wish) {
        // An upstream that only lists are watched at is nothing that a wish waits for.
        self.concerned.retain(|name| resources.iter().any(|resource| resource.upstream == *name));
        (self.resources, self.tasks, self.wish) = (resources, tasks, Some(wish));
        self.renew(ctx, Vec::new(), true);
    }

    /// These tasks are over. The watch that names them stays as it is, until another is opened for some other cause.
    pub(super) fn unfollow(&mut self, over: &[Arc<str>]) {
        self.tasks.retain(|task| !over.contains(&task.text));
    }

    /// Opens, opens anew and closes watches, until they are those of the upstreams, rules and wishes of now. `permits` are taken
    /// first, before others are asked for.
    pub(super) fn refresh(&mut self, ctx: &Ctx, permits: Vec<(Resource, Permit)>) {
        self.renew(ctx, permits, false);
    }

    fn renew(&mut self, ctx: &Ctx, mut permits: Vec<(Resource, Permit)>, patient: bool) {
        let (Ok(route), Ok(access)) = (ctx.route().cloned(), ctx.access_now()) else { return };
        let mut legs = std::mem::take(&mut self.legs);
        for name in &route.upstreams {
            let at = legs.iter().position(|leg| leg.name == *name);
            let leg = at.map(|at| legs.swap_remove(at));
            let (Ok(upstream), Ok(permit)) = (ctx.world.upstream(name), access.permit(name)) else { continue };
            let own = self.resources.iter().filter(|resource| resource.upstream == *name);
            let wanted: Vec<Resource> = own.filter(|resource| hears(ctx, &resource.full())).cloned().collect();
            let uris = wanted.iter().map(|resource| resource.uri.clone()).collect();
            let followed = self.tasks.iter().filter(|task| task.upstream == *name).filter_map(|task| task.permit(ctx));
            let followed: Vec<(String, Permit)> = followed.collect();
            let interest = Interest { lists: self.lists, uris, tasks: followed.iter().map(|(id, _)| id.clone()).collect() };
            if interest.is_empty() {
                continue;
            }
            let as_before = leg.as_ref().is_some_and(|leg| leg.is_of(upstream) && leg.interest == interest);
            if !as_before && !self.concerned.contains(name) {
                self.concerned.push(name.clone());
            }
            let leg = match leg {
                Some(leg) if as_before => leg.wanted(true),
                Some(leg) if patient && leg.is_of(upstream) && leg.is_opening() => leg.wanted(false),
                old => {
                    let taken = wanted.into_iter().filter_map(|resource| {
                        let at = permits.iter().position(|(with, _)| *with == resource);
                        let permit = at.map(|at| permits.swap_remove(at).1);
                        let permit = permit.or_else(|| hear(ctx, name, &resource.full()).ok())?;
                        Some((resource.uri, permit))
                    });
                    let taken = taken.collect();
                    let live = opened(ctx, upstream.clone(), permit, self.lists, taken, followed);
                    let leg = Leg::new(upstream, interest, live, self.begun);
                    match old {
                        Some(old) => leg.replacing(old),
                        None => leg,
                    }
                }
            };
            self.legs.push(leg);
        }
        self.begun = true;
        self.settle();
    }

    /// Tells whoever waits for it that all watches are open that changed.
    fn settle(&mut self) {
        let concerned = |leg: &&Leg| self.concerned.contains(&leg.name);
        if self.legs.iter().filter(concerned).all(Leg::is_settled) {
            self.concerned.clear();
            if let Some(wish) = self.wish.take() {
                wish.is_heard();
            }
        }
    }

    /// Everything that is wanted may have changed.
    pub(super) fn announce(&mut self, ctx: &Ctx) {
        self.change(self.lists);
        for leg in std::mem::take(&mut self.legs) {
            self.missed(ctx, &leg);
            self.legs.push(leg);
        }
    }

    /// Some lists may have changed, at whatever upstream.
    pub(super) fn change(&mut self, lists: ListSet) {
        self.changed = self.changed.or(lists.and(self.lists));
        if !self.changed.is_empty() {
            self.gather();
        }
    }

    /// Waits for news. Safe to drop and call again.
    pub(super) async fn next(&mut self, ctx: &Ctx) -> News {
        loop {
            let (due, again) = (self.due, self.again);
            tokio::select! {
                (at, told) = told(&mut self.legs) => self.take(ctx, at, told),
                () = at(due) => if let Some(news) = self.flush(ctx) { return news },
                () = at(again) => {
                    self.again = None;
                    self.refresh(ctx, Vec::new());
                }
            }
        }
    }

    fn take(&mut self, ctx: &Ctx, at: usize, told: Told) {
        if at >= self.legs.len() {
            return;
        }
        let mut leg = self.legs.swap_remove(at);
        match told {
            Told::Over(fault) => {
                match fault.kind {
                    FaultKind::Exhausted => {
                        tracing::warn!(upstream = %leg.name, detail = %fault.detail, "an upstream is not watched for a stream");
                    }
                    _ => {
                        tracing::debug!(record = %ctx.id, upstream = %leg.name, detail = %fault.detail, "an upstream is not watched for a while");
                    }
                }
                self.again.get_or_insert_with(|| Instant::now() + Duration::from_millis(WATCH_AGAIN_MS));
                return self.settle();
            }
            Told::Opened => {
                let (missed, otherwise) = leg.opened();
                if missed {
                    self.missed(ctx, &leg);
                }
                self.legs.push(leg);
                if otherwise {
                    self.renew(ctx, Vec::new(), true);
                }
                return self.settle();
            }
            Told::Happened(Happening::ListChanged(listing)) => {
                out_of_date(ctx, &leg.name, listing);
                self.change(only(listing));
            }
            Told::Happened(Happening::Updated { uri }) => self.update(&leg, uri),
            Told::Happened(Happening::Task { id }) => self.move_those(|task| task.upstream == leg.name && task.own() == id),
            Told::Happened(Happening::Missed) => self.missed(ctx, &leg),
        }
        self.legs.push(leg);
    }

    fn missed(&mut self, ctx: &Ctx, leg: &Leg) {
        for listing in [Listing::Tools, Listing::Prompts, Listing::Resources] {
            out_of_date(ctx, &leg.name, listing);
        }
        self.change(self.lists);
        self.whole(leg);
    }

    fn move_those(&mut self, which: impl Fn(&Followed) -> bool) {
        self.moved.extend(self.tasks.iter().filter(|task| which(task)).map(|task| task.text.clone()));
        if !self.moved.is_empty() {
            self.gather();
        }
    }

    /// All that is watched at an upstream was updated.
    fn whole(&mut self, leg: &Leg) {
        self.move_those(|task| task.upstream == leg.name);
        self.updated.extend(self.resources.iter().filter(|resource| resource.upstream == leg.name).cloned());
        if !self.updated.is_empty() {
            self.gather();
        }
    }

    fn update(&mut self, leg: &Leg, uri: String) {
        // The watch may be one for more than is wanted by now.
        let own = self.resources.iter().filter(|resource| resource.upstream == leg.name);
        let wanted = Interest { uris: own.map(|resource| resource.uri.clone()).collect(), ..Interest::default() };
        if !wanted.covers(&uri) || check_uri(&uri).is_err() {
            return;
        }
        // An upstream can name as many parts of a resource as it likes; then all of it was updated.
        if self.updated.len() >= LISTEN_URIS_MAX {
            return self.whole(leg);
        }
        self.updated.insert(Resource { upstream: leg.name.clone(), uri });
        self.gather();
    }

    fn gather(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + Duration::from_millis(NEWS_GATHER_MS));
    }

    /// What there is to tell, if anything is left of it once policy was asked.
    fn flush(&mut self, ctx: &Ctx) -> Option<News> {
        self.due = None;
        let bare = ctx.route().is_ok_and(|route| route.bare);
        let public = |resource: Resource| if bare { resource.uri } else { public_uri(&resource.upstream, &resource.uri) };
        let updated = std::mem::take(&mut self.updated);
        let uris = updated.into_iter().filter(|resource| hears(ctx, &resource.full())).map(public).collect();
        let moved = std::mem::take(&mut self.moved);
        // The newest first: there may be no time for all.
        let tasks = self.tasks.iter().rev().filter(|task| moved.contains(&task.text)).cloned().collect();
        let news = News { lists: std::mem::take(&mut self.changed), uris, tasks };
        let nothing = news.lists.is_empty() && news.uris.is_empty() && news.tasks.is_empty();
        (!nothing).then_some(news)
    }
}

fn only(listing: Listing) -> ListSet {
    match listing {
        Listing::Tools => ListSet { tools: true, ..ListSet::NONE },
        Listing::Prompts => ListSet { prompts: true, ..ListSet::NONE },
        Listing::Resources => ListSet { resources: true, ..ListSet::NONE },
    }
}

/// Whoever is told that a list changed and asks for it must not be served what was known before.
fn out_of_date(ctx: &Ctx, upstream: &str, listing: Listing) {
    let who = ctx.principal().ok().map(|principal| principal.key());
    for part in Part::changed(listing) {
        ctx.gateway.catalog.changed(upstream, who.as_ref(), *part);
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
