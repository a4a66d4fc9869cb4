//! Telling approvers: what is asked of them, and how it ended, by the channels of the config.
//!
//! Layer 5. [`Notices`] listens to the desk and makes one [`Delivery`] for every channel, request and event: its id is made of these, it
//! is in the store before anything is sent, and it is tried until the receiver takes it, or for a day. Every channel has a task and a
//! queue of its own: a receiver that is down, slow or hostile delays nothing else. What is told of one request comes in its order.
//!
//! A message leads to the console, where people sign in; nothing can be decided by whoever holds it.

mod channel;
mod event;
mod facts;
mod format;
mod kept;
mod limits;
mod queue;
mod row;
mod signed;
mod smtp;
mod webhook;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use channel::Prepared;
pub use event::Event;
pub use row::{Delivery, Outcome};
pub use signed::headers;

use crate::approval::{Desk, Filter, Request, State};
use crate::net::Fetch;
use crate::store::{Space, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::vocab::Clock;
use crate::vocab::limits::{APPROVAL_KEPT_S, APPROVALS_KEPT_MAX};
use channel::{Channel, Means};
use kept::Kept;
use limits::{NOTICE_ATTEMPT_MS_MAX, NOTICES_KEPT_MAX};
use row::Begun;

/// The pause before what could not be kept is tried again.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Who tells approvers. Clones share everything.
#[derive(Clone)]
pub struct Notices(Arc<Inner>);

struct Inner {
    means: Arc<Means>,
    channels: Mutex<Vec<Arc<Channel>>>,
    /// The channels are others than before.
    changed: Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Notices {
    /// Over `desk`, kept in `store`. Links lead to `console`, its `scheme://host:port`. Nothing is told before [`Self::run`].
    pub fn new(desk: Desk, store: Store, clock: Clock, fetch: Fetch, metrics: Arc<Metrics>, console: String) -> Self {
        let fetch = fetch.with_time_max(Duration::from_millis(NOTICE_ATTEMPT_MS_MAX));
        let means = Arc::new(Means { desk, store, clock, fetch, metrics, console, log: Mutex::default() });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Self(Arc::new(Inner { means, channels: Mutex::default(), changed: Notify::new(), tasks, stop }))
    }

    /// Puts `channels` in place of those there are. One of the same name goes on with what it has still to tell; what is to be told by
    /// one that is gone is not told.
    pub fn set(&self, channels: &[Prepared]) {
        let mut running = self.0.channels.lock();
        running.retain(|channel| {
            let stays = channels.iter().any(|prepared| prepared.name == channel.name);
            if !stays {
                channel.gone.cancel();
            }
            stays
        });
        for prepared in channels {
            match running.iter().find(|channel| channel.name == prepared.name) {
                Some(channel) => *channel.line.lock() = prepared.line.clone(),
                None => running.push(Arc::new(Channel::new(prepared.clone(), &self.0.stop))),
            }
        }
        self.0.changed.notify_one();
    }

    /// The delivery log: up to `limit` deliveries as they stand, the one that was tried last first.
    pub fn log(&self, limit: usize) -> Vec<Delivery> {
        self.0.means.log.lock().iter().rev().take(limit).cloned().collect()
    }

    /// Tells, until `stop`. What is not told by then is told after the next start.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.work()).await;
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn work(&self) {
        // Listening comes first, so that nothing falls between.
        let mut changes = self.0.means.desk.changes();
        let mut started = Vec::<Arc<Channel>>::new();
        loop {
            let channels = self.0.channels.lock().clone();
            started.retain(|one| channels.iter().any(|other| Arc::ptr_eq(one, other)));
            let new: Vec<_> =
                channels.iter().filter(|one| !started.iter().any(|other| Arc::ptr_eq(one, other))).cloned().collect();
            let begun = new.is_empty() || self.begin(&new).await;
            if begun {
                started.extend(new);
            }
            let mut behind = !(begun && self.catch_up(&started).await);
            loop {
                let change = tokio::select! {
                    change = changes.recv() => change,
                    () = self.0.changed.notified() => break,
                    () = tokio::time::sleep(CATCH_UP), if behind => break,
                };
                match change {
                    Ok(change) => {
                        if let Some(request) = self.0.means.desk.get(&change.id) {
                            behind |= !self.tell(&started, &request, change.state).await;
                        }
                    }
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// Has `channels` tell, what they have still to tell first. False if that cannot be known yet.
    async fn begin(&self, channels: &[Arc<Channel>]) -> bool {
        let of_these = |delivery: &Delivery| channels.iter().any(|channel| *channel.name == *delivery.channel);
        let found = match Kept::read(&self.0.means.store, of_these).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "what approvers are to be told cannot be read; it is tried again");
                return false;
            }
        };
        found.done.iter().for_each(|delivery| self.0.means.note(delivery));
        for delivery in found.waiting {
            let Some(channel) = channels.iter().find(|channel| *channel.name == *delivery.channel) else { continue };
            self.hand(channel, delivery).await;
        }
        for channel in channels {
            drop(self.0.tasks.spawn(channel.clone().run(self.0.means.clone())));
        }
        true
    }

    /// Tells what happened while nobody listened: what is pending, and the end of what approvers were told of.
    /// False if some of it could not be kept.
    async fn catch_up(&self, channels: &[Arc<Channel>]) -> bool {
        if channels.is_empty() {
            return true;
        }
        let mut known = self.0.means.desk.list(&Filter::default(), None, APPROVALS_KEPT_MAX);
        known.reverse();
        let mut kept = true;
        for request in known {
            kept &= self.tell(channels, &request, request.state).await;
        }
        kept
    }

    /// Tells every channel that `request` came to `state`. False if that could not be kept for all of them.
    async fn tell(&self, channels: &[Arc<Channel>], request: &Request, state: State) -> bool {
        if !event::concerns_approvers(request) {
            return true;
        }
        let mut kept = true;
        for channel in channels {
            if let Err(error) = self.tell_by(channel, request, Event::of(state)).await {
                let (channel, id) = (&*channel.name, request.id.as_str());
                tracing::error!(%error, channel, approval = id, "what approvers are to be told cannot be kept; it is tried again");
                kept = false;
            }
        }
        kept
    }

    async fn tell_by(&self, channel: &Arc<Channel>, request: &Request, event: Event) -> Result<(), StoreError> {
        let means = &self.0.means;
        let line = channel.line.lock().clone();
        // Who is not told of a use is told of the approval before it: what asks for people has to end for them.
        let event = if format::tells(&line.way, event) { event } else { Event::Approved };
        if event != Event::Requested {
            // Of what they were never asked they need not hear how it ended.
            let asked = event::delivery_id(&channel.name, &request.id, Event::Requested);
            if means.store.get(Space::Notice, asked.as_bytes()).await?.is_none() {
                return Ok(());
            }
        }
        let kept_until_s = request.expires_unix_s.saturating_add(2 * APPROVAL_KEPT_S);
        let delivery = Delivery::new(&channel.name, request.id.clone(), event, means.clock.unix_ms(), kept_until_s);
        match delivery.begin(&means.store, NOTICES_KEPT_MAX).await? {
            Begun::Known => {}
            Begun::Now => self.hand(channel, delivery).await,
            Begun::NoRoom => channel.refuse(means, delivery, "too many notices are kept"),
        }
        Ok(())
    }

    async fn hand(&self, channel: &Arc<Channel>, delivery: Delivery) {
        // Before it is anybody's to tell: what becomes of it is noted after this.
        self.0.means.note(&delivery);
        if let Err(mut delivery) = channel.push(delivery) {
            delivery.outcome = Outcome::Failed;
            delivery.problem = Some("too many wait for this channel".into());
            channel.finish(&self.0.means, delivery).await;
        }
    }
}
