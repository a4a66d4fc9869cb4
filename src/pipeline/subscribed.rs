//! Resources that sessions subscribe to (`resources/subscribe`, until 2025-11-25), and tasks that they made, until those are over:
//! remembered here, watched by the stream that the session opens by GET. So it is the same whether their upstream has sessions or not.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::Gateway;
use super::ctx::Ctx;
use super::followed::Followed;
use super::listen::named;
use super::merged::Resource;
use super::question;
use super::refusal::Refusal;
use super::reply::{Answered, lower, nothing};
use super::route::Target;
use super::session::Session;
use crate::mcp::dialect::Operation;
use crate::mcp::error::ProtocolError;
use crate::policy::permit::Permit;
use crate::vocab::limits::{LISTEN_READY_MS_MAX, LISTEN_URIS_MAX, SESSION_S_MAX, SUBSCRIBED_BYTES_MAX};
use crate::vocab::{Deadline, PrincipalKey};

/// What sessions have subscribed to; nothing of a session that never did.
pub(super) struct Subscriptions(Cache<u128, Arc<Subscribed>>);

/// What one session has subscribed to.
pub(super) struct Subscribed {
    resources: Mutex<Vec<Resource>>,
    /// Tasks that it made, the newest last.
    tasks: Mutex<Vec<Followed>>,
    /// Counts what was wanted.
    changed: watch::Sender<u64>,
    /// As far as that its stream is open for it.
    heard: watch::Sender<u64>,
}

/// How long a subscription waits until it is heard: for a watch that is being opened for something else, and for its own.
const HEARD_MS_MAX: u64 = 2 * LISTEN_READY_MS_MAX;

/// What a session wants to hear of, as of some moment.
pub(super) struct Wish {
    of: Arc<Subscribed>,
    count: u64,
}

impl Wish {
    /// Its upstreams are listened to, as far as that is possible.
    pub(super) fn is_heard(&self) {
        self.of.heard.send_if_modified(|heard| {
            let more = *heard < self.count;
            *heard = self.count.max(*heard);
            more
        });
    }

    /// Waits until the stream of the session, if it has one, hears of what is wanted: what happens after that the client is told of.
    /// What its upstream takes longer for counts as missed.
    async fn heard(&self, deadline: Deadline) {
        if self.of.changed.receiver_count() == 0 {
            return;
        }
        let until = deadline.capped(Duration::from_millis(HEARD_MS_MAX));
        let mut heard = self.of.heard.subscribe();
        let _ = timeout_at(until.instant().into(), heard.wait_for(|heard| *heard >= self.count)).await;
    }
}

impl Subscriptions {
    /// Nobody has subscribed to anything.
    pub(super) fn new() -> Self {
        let cache = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(SUBSCRIBED_BYTES_MAX)
            .weigher(|_, of: &Arc<Subscribed>| of.bytes())
            .time_to_idle(Duration::from_secs(SESSION_S_MAX));
        Self(cache.build())
    }

    /// What `session` has subscribed to and will.
    pub(super) fn of(&self, session: u128) -> Arc<Subscribed> {
        self.0.get_with(session, || {
            let (changed, heard) = (watch::Sender::new(0), watch::Sender::new(0));
            Arc::new(Subscribed { resources: Mutex::default(), tasks: Mutex::default(), changed, heard })
        })
    }

    /// `None` if the session has subscribed to too much already.
    fn add(&self, session: u128, resource: Resource) -> Option<Wish> {
        let of = self.of(session);
        let mut resources = of.resources.lock();
        if resources.contains(&resource) {
            drop(resources);
            return Some(of.wish());
        }
        if resources.len() >= LISTEN_URIS_MAX {
            return None;
        }
        resources.push(resource);
        drop(resources);
        // Weighed anew.
        self.0.insert(session, of.clone());
        of.changed();
        Some(of.wish())
    }

    /// `session` made this task. Of very many only the last are remembered: whoever made them can ask.
    pub(super) fn follow(&self, session: u128, task: Followed) {
        let of = self.of(session);
        let mut tasks = of.tasks.lock();
        if tasks.len() >= LISTEN_URIS_MAX {
            tasks.remove(0);
        }
        tasks.push(task);
        drop(tasks);
        // Weighed anew.
        self.0.insert(session, of.clone());
        of.changed();
    }

    /// These tasks of `session` are over, and it knows. Whoever watches goes on as before.
    pub(super) fn unfollow(&self, session: u128, over: &[Arc<str>]) {
        // What it weighs too much is found out with the next one.
        if let Some(of) = self.0.get(&session).filter(|_| !over.is_empty()) {
            of.tasks.lock().retain(|task| !over.contains(&task.text));
        }
    }

    fn remove(&self, session: u128, resource: &Resource) {
        let Some(of) = self.0.get(&session) else { return };
        of.resources.lock().retain(|kept| kept != resource);
        of.changed();
    }

    /// Forgets a session that ended while something was kept for it.
    pub(super) fn keep_no_longer(&self, gateway: &Gateway, who: &PrincipalKey, session: Session) {
        if gateway.has_forgotten(who, session) {
            self.end(session.id);
        }
    }

    /// Forgets a session that has ended.
    pub(super) fn end(&self, session: u128) {
        self.0.invalidate(&session);
    }
}

impl Subscribed {
    /// The resources of now.
    pub(super) fn resources(&self) -> Vec<Resource> {
        self.resources.lock().clone()
    }

    /// The tasks of now.
    pub(super) fn tasks(&self) -> Vec<Followed> {
        self.tasks.lock().clone()
    }

    /// Changes with either.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What is wanted now. Whoever sees to it reads it after this.
    pub(super) fn wish(self: &Arc<Self>) -> Wish {
        Wish { of: Arc::clone(self), count: *self.changed.borrow() }
    }

    fn changed(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn bytes(&self) -> u32 {
        let resources = self.resources.lock();
        let tasks = self.tasks.lock().iter().map(|task| task.bytes() + RESOURCE_BYTES).sum::<usize>();
        let bytes = resources.iter().map(|resource| resource.uri.len() + RESOURCE_BYTES).sum::<usize>() + tasks;
        u32::try_from(bytes + SESSION_BYTES).unwrap_or(u32::MAX)
    }
}

/// What a resource or a task counts beside its names.
const RESOURCE_BYTES: usize = 64;
/// What a session counts beside its resources.
const SESSION_BYTES: usize = 512;

/// `resources/subscribe`, allowed as a read of the resource is.
///
/// # Errors
/// -32601 where the upstream cannot tell of updates; -32602 when the session has subscribed to too much; the upstream's fault.
pub(super) async fn subscribe(ctx: &Ctx, operation: &Operation, target: &Target, permit: Permit) -> Result<Answered, Refusal> {
    let id = Some(&operation.id);
    let upstream = target.view.upstream();
    let name = upstream.settings().name.clone();
    let who = ctx.principal()?.key();
    let facts = upstream.ready(&who, question::told(ctx, &name), &permit, ctx.deadline).await?;
    let session = ctx.asked.session.filter(|_| facts.capabilities.resources_subscribe);
    let session = session.ok_or_else(|| ProtocolError::method_not_found(operation.revision).with_id(id))?;
    let resource = Resource { upstream: name, uri: target.name.clone() };
    let too_many = || ProtocolError::invalid_params("Too many resources are subscribed to in this session").with_id(id);
    let wish = ctx.gateway.streams.subscriptions.add(session.id, resource).ok_or_else(too_many)?;
    ctx.gateway.streams.subscriptions.keep_no_longer(&ctx.gateway, &who, session);
    wish.heard(ctx.deadline).await;
    ctx.completed();
    Ok(lower(ctx, &nothing()))
}

/// `resources/unsubscribe`: nothing leaves for it, and whoever wants to hear less may. It is answered the same whether there was
/// such a subscription or not.
pub(super) fn unsubscribe(ctx: &Ctx, operation: &Operation) -> Answered {
    let public = operation.params.uri.as_deref().unwrap_or_default();
    ctx.note(|draft| draft.set_name(public));
    if let (Some(session), Some(resource)) = (ctx.asked.session, named(ctx, public)) {
        ctx.gateway.streams.subscriptions.remove(session.id, &resource);
    }
    ctx.completed();
    lower(ctx, &nothing())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(uri: &str) -> Resource {
        Resource { upstream: "up".into(), uri: uri.to_owned() }
    }

    #[test]
    fn a_session_has_its_own_and_a_bound() {
        let all = Subscriptions::new();
        let mut changes = all.of(1).changes();
        assert!(all.add(1, resource("a:0")).is_some() && all.add(1, resource("a:0")).is_some());
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        for n in 1..LISTEN_URIS_MAX {
            assert!(all.add(1, resource(&format!("a:{n}"))).is_some());
        }
        assert!(all.add(1, resource("a:x")).is_none() && all.add(1, resource("a:1")).is_some());
        assert!(all.add(2, resource("a:x")).is_some());
        assert_eq!((all.of(1).resources().len(), all.of(2).resources()), (LISTEN_URIS_MAX, vec![resource("a:x")]));
        all.remove(1, &resource("a:3"));
        assert!(changes.has_changed().unwrap() && all.add(1, resource("a:x")).is_some());
        all.end(1);
        assert_eq!((all.of(1).resources(), all.of(2).resources().len()), (Vec::new(), 1));
    }

    #[tokio::test]
    async fn who_subscribes_waits_until_its_stream_hears_of_it() {
        let all = Subscriptions::new();
        let deadline = Deadline::after(Duration::from_secs(60));
        let first = all.add(1, resource("a:0")).unwrap();
        first.heard(deadline).await;
        assert_eq!(*first.of.heard.borrow(), 0, "no stream, nothing to wait for");
        let _stream = all.of(1).changes();
        let second = all.add(1, resource("a:1")).unwrap();
        let mut waiting = Box::pin(second.heard(deadline));
        first.is_heard();
        assert!(futures_util::poll!(&mut waiting).is_pending(), "that is older");
        all.of(1).wish().is_heard();
        assert!(futures_util::poll!(&mut waiting).is_ready());
        first.is_heard();
        second.heard(deadline).await;
        assert_eq!(*second.of.heard.borrow(), 2, "it is still heard");
        // A stream that takes nothing is not waited for for ever.
        all.add(1, resource("a:2")).unwrap().heard(Deadline::after(Duration::from_millis(20))).await;
    }

    #[test]
    fn what_all_have_subscribed_to_is_bounded() {
        let all = Subscriptions::new();
        let long = "x".repeat(8 * 1024);
        for session in 0..16_000 {
            assert!(all.add(session, resource(&long)).is_some());
        }
        all.0.run_pending_tasks();
        assert!(all.0.weighted_size() <= SUBSCRIBED_BYTES_MAX);
        assert_eq!(all.of(15_999).resources().len(), 1, "the oldest go first");
    }
}
