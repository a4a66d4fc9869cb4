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
mod limits;
mod queue;
mod row;
mod smtp;
mod webhook;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use event::Event;
pub use row::{Delivery, Outcome};

use crate::approval::{Desk, Filter, Request, State};
use crate::config;
use crate::net::Fetch;
use crate::store::{Space, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::vocab::Clock;
use crate::vocab::limits::{APPROVAL_KEPT_S, APPROVALS_KEPT_MAX};
use channel::{Channel, Means};
use limits::{NOTICE_ATTEMPT_MS_MAX, NOTICES_KEPT_MAX};

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
    pub fn set(&self, channels: &[config::Channel]) {
        let mut running = self.0.channels.lock();
        running.retain(|channel| {
            let stays = channels.iter().any(|settings| *settings.name == *channel.name);
            if !stays {
                channel.gone.cancel();
            }
            stays
        });
        for settings in channels {
            match running.iter().find(|channel| *channel.name == *settings.name) {
                Some(channel) => *channel.way.lock() = Arc::new(settings.way.clone()),
                None => {
                    let channel = Arc::new(Channel::new(settings.clone(), &self.0.stop));
                    running.push(channel);
                }
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
        let mut kept = self.kept().await;
        let mut started = Vec::<Arc<Channel>>::new();
        loop {
            let channels = self.0.channels.lock().clone();
            let new: Vec<_> =
                channels.iter().filter(|one| !started.iter().any(|other| Arc::ptr_eq(one, other))).cloned().collect();
            started.clone_from(&channels);
            for channel in new {
                for delivery in kept.remove(&*channel.name).unwrap_or_default() {
                    self.0.means.note(&delivery);
                    if delivery.outcome == Outcome::Waiting {
                        self.hand(&channel, delivery).await;
                    }
                }
                drop(self.0.tasks.spawn(channel.run(self.0.means.clone())));
            }
            self.catch_up(&channels).await;
            loop {
                let change = tokio::select! {
                    change = changes.recv() => change,
                    () = self.0.changed.notified() => break,
                };
                match change {
                    Ok(change) => {
                        if let Some(request) = self.0.means.desk.get(&change.id) {
                            self.tell(&channels, &request, change.state).await;
                        }
                    }
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// What the store has of every channel, in the order in which it was made.
    async fn kept(&self) -> HashMap<String, Vec<Delivery>> {
        let most = u32::try_from(NOTICES_KEPT_MAX).unwrap_or(u32::MAX);
        let rows = match self.0.means.store.list(Space::Notice, &[], most).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "what approvers were told cannot be read; some of it may be told again, or not at all");
                Vec::new()
            }
        };
        let mut deliveries: Vec<Delivery> = rows.iter().filter_map(|(_, row)| Delivery::read(row)).collect();
        deliveries.sort_by_key(|delivery| (delivery.made_unix_ms, delivery.event));
        let mut kept = HashMap::<String, Vec<Delivery>>::new();
        for delivery in deliveries {
            kept.entry(delivery.channel.to_string()).or_default().push(delivery);
        }
        kept
    }

    /// Tells what happened while nobody listened: what is pending, and the end of what approvers were told of.
    async fn catch_up(&self, channels: &[Arc<Channel>]) {
        if channels.is_empty() {
            return;
        }
        let mut known = self.0.means.desk.list(&Filter::default(), None, APPROVALS_KEPT_MAX);
        known.reverse();
        for request in known {
            self.tell(channels, &request, request.state).await;
        }
    }

    /// Tells every channel that `request` came to `state`.
    async fn tell(&self, channels: &[Arc<Channel>], request: &Request, state: State) {
        if !event::concerns_approvers(request) {
            return;
        }
        for channel in channels {
            if let Err(error) = self.tell_by(channel, request, Event::of(state)).await {
                let (channel, id) = (&*channel.name, request.id.as_str());
                tracing::error!(%error, channel, approval = id, "approvers are not told: it cannot be kept what they are to be told");
            }
        }
    }

    async fn tell_by(&self, channel: &Arc<Channel>, request: &Request, event: Event) -> Result<(), StoreError> {
        let means = &self.0.means;
        let way = channel.way.lock().clone();
        if !format::tells(&way, event) {
            return Ok(());
        }
        if event != Event::Requested {
            // Of what they were never asked they need not hear how it ended.
            let asked = event::delivery_id(&channel.name, &request.id, Event::Requested);
            if means.store.get(Space::Notice, asked.as_bytes()).await?.is_none() {
                return Ok(());
            }
        }
        let kept_until_s = request.expires_unix_s.saturating_add(2 * APPROVAL_KEPT_S);
        let delivery = Delivery::new(&channel.name, request.id.clone(), event, means.clock.unix_ms(), kept_until_s);
        if delivery.begin(&means.store).await? {
            self.hand(channel, delivery).await;
        }
        Ok(())
    }

    async fn hand(&self, channel: &Arc<Channel>, delivery: Delivery) {
        if let Err(mut delivery) = channel.push(delivery) {
            delivery.outcome = Outcome::Failed;
            delivery.problem = Some("too many wait for this channel".into());
            channel.finish(&self.0.means, delivery).await;
        }
    }
}
