//! One channel: a task of its own, a queue of its own. What a receiver does delays nothing but what goes to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::facts::Facts;
use super::limits::{
    NOTICE_AT_ONCE_MAX, NOTICE_ATTEMPT_MS_MAX, NOTICE_ATTEMPTS_MAX, NOTICE_LIFE_MS, NOTICE_LOG_MAX, NOTICE_MAIL_MS_MAX,
    NOTICE_PAUSE_MS_MAX, NOTICE_PAUSE_MS_MIN,
};
use super::queue::Queue;
use super::row::{Delivery, Outcome};
use super::{smtp, webhook};
use crate::approval::Desk;
use crate::config::{self, Way};
use crate::net::backoff::pause;
use crate::net::{Fetch, TlsError, client_config_for};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::vocab::Clock;

/// What all channels use.
pub(super) struct Means {
    pub(super) desk: Desk,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) fetch: Fetch,
    pub(super) metrics: Arc<Metrics>,
    /// `scheme://host:port` of the console.
    pub(super) console: String,
    /// What was delivered and what was not, the newest last.
    pub(super) log: Mutex<VecDeque<Delivery>>,
}

/// Why an attempt failed. For the operator: it holds nothing that a receiver wrote but a status or a reply code.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) words: String,
    /// For how many seconds the receiver wants to be left alone.
    pub(super) after_s: Option<u64>,
}

impl Trouble {
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), after_s: None }
    }
}

/// A channel of a config, with the certificates that vouch for its receiver read.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(super) name: Arc<str>,
    pub(super) line: Arc<Line>,
}

impl Prepared {
    /// Reads what the files of `channel` hold.
    ///
    /// # Errors
    /// [`TlsError`] about its `ca`.
    pub fn new(channel: &config::Channel) -> Result<Self, TlsError> {
        let tls = channel.ca.as_deref().map(client_config_for).transpose()?;
        let line = Line { way: channel.way.clone(), tls };
        Ok(Self { name: Arc::from(channel.name.as_str()), line: Arc::new(line) })
    }
}

/// Where to, and whom to trust there.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) way: Way,
    /// None: what the system trusts.
    tls: Option<Arc<ClientConfig>>,
}

/// A channel of the config in force.
pub(super) struct Channel {
    pub(super) name: Arc<str>,
    pub(super) line: Mutex<Arc<Line>>,
    queue: Mutex<Queue>,
    woken: Notify,
    /// It is not in the config any more.
    pub(super) gone: CancellationToken,
}

impl Channel {
    pub(super) fn new(prepared: Prepared, stop: &CancellationToken) -> Self {
        Self {
            name: prepared.name,
            line: Mutex::new(prepared.line),
            queue: Mutex::default(),
            woken: Notify::new(),
            gone: stop.child_token(),
        }
    }

    /// Has `delivery` told. False if there is no room for it.
    pub(super) fn push(&self, delivery: Delivery) -> Result<(), Delivery> {
        self.queue.lock().push(delivery)?;
        self.woken.notify_one();
        Ok(())
    }

    /// Tells what is to be told, until it is gone.
    pub(super) async fn run(self: Arc<Self>, means: Arc<Means>) {
        let gone = self.gone.clone();
        gone.run_until_cancelled(self.work(&means)).await;
    }

    async fn work(&self, means: &Means) {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < NOTICE_AT_ONCE_MAX {
                let Some(delivery) = self.queue.lock().take(Instant::now()) else { break };
                under_way.push(Box::pin(self.attempt(means, delivery)));
            }
            let full = under_way.len() >= NOTICE_AT_ONCE_MAX;
            let next = self.queue.lock().next().filter(|_| !full);
            tokio::select! {
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                () = self.woken.notified() => {}
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// One attempt, and what comes of it.
    async fn attempt(&self, means: &Means, mut delivery: Delivery) {
        let line = self.line.lock().clone();
        let fetch = match &line.tls {
            Some(tls) => means.fetch.clone().with_tls(tls.clone()),
            None => means.fetch.clone(),
        };
        let tried = match Facts::gather(&means.desk, &delivery, &means.console).await {
            Ok(Some(facts)) => {
                let limit = Duration::from_millis(match &line.way {
                    Way::Webhook(_) => NOTICE_ATTEMPT_MS_MAX,
                    Way::Smtp(_) => NOTICE_MAIL_MS_MAX,
                });
                let sent = async {
                    match &line.way {
                        Way::Webhook(hook) => webhook::send(&fetch, hook, &facts, means.clock.unix_s()).await,
                        Way::Smtp(settings) => smtp::send(fetch.tls(), settings, &self.name, &facts, &means.console).await,
                    }
                };
                timeout(limit, sent).await.unwrap_or_else(|_| Err(Trouble::new("no answer in time")))
            }
            Ok(None) => return self.settle(means, delivery, Some("the request is forgotten".to_owned())).await,
            Err(error) => Err(Trouble::new(error.to_string())),
        };
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.tried_unix_ms = Some(means.clock.unix_ms());
        let Err(Trouble { words, after_s }) = tried else { return self.settle(means, delivery, None).await };
        let old = means.clock.unix_ms().saturating_sub(delivery.made_unix_ms) > NOTICE_LIFE_MS;
        if old || delivery.attempts >= NOTICE_ATTEMPTS_MAX {
            return self.settle(means, delivery, Some(words)).await;
        }
        let asked = Duration::from_secs(after_s.unwrap_or(0)).min(Duration::from_millis(NOTICE_PAUSE_MS_MAX));
        let pause = pause(delivery.attempts, NOTICE_PAUSE_MS_MIN..=NOTICE_PAUSE_MS_MAX).max(asked);
        means.metrics.notice(&self.name, "retried");
        let (channel, id, attempts) = (&*self.name, &*delivery.id, delivery.attempts);
        tracing::warn!(channel, id, approval = %delivery.request, attempts, pause_s = pause.as_secs(), why = words, "approvers were not told; it is tried again");
        delivery.problem = Some(words.into());
        if let Err(error) = delivery.keep(&means.store).await {
            tracing::warn!(%error, channel, id, "an attempt could not be noted");
        }
        means.note(&delivery);
        self.queue.lock().again(delivery, pause);
    }

    /// Says that `delivery`, which is in no store, is not told.
    pub(super) fn refuse(&self, means: &Means, mut delivery: Delivery, why: &'static str) {
        delivery.outcome = Outcome::Failed;
        delivery.problem = Some(why.into());
        self.say(means, &delivery);
        means.note(&delivery);
    }

    /// It was delivered, or never will be.
    async fn settle(&self, means: &Means, mut delivery: Delivery, problem: Option<String>) {
        delivery.outcome = if problem.is_none() { Outcome::Delivered } else { Outcome::Failed };
        delivery.problem = problem.map(Into::into);
        let request = delivery.request.clone();
        self.finish(means, delivery).await;
        self.queue.lock().done(&request);
    }

    /// Notes what became of `delivery`.
    pub(super) async fn finish(&self, means: &Means, delivery: Delivery) {
        self.say(means, &delivery);
        if let Err(error) = delivery.keep(&means.store).await {
            tracing::warn!(%error, channel = &*self.name, id = &*delivery.id, "a delivery could not be noted; it may be sent once more after a restart");
        }
        means.note(&delivery);
    }

    /// Counts and logs what became of `delivery`.
    fn say(&self, means: &Means, delivery: &Delivery) {
        means.metrics.notice(&self.name, delivery.outcome.as_str());
        let (channel, id, event) = (&*self.name, &*delivery.id, delivery.event.as_str());
        match &delivery.problem {
            None => {
                tracing::info!(channel, id, event, approval = %delivery.request, attempts = delivery.attempts, "approvers were told")
            }
            Some(why) => {
                tracing::error!(channel, id, event, approval = %delivery.request, attempts = delivery.attempts, why = &**why, "approvers are not told")
            }
        }
    }
}

impl Means {
    /// Puts how `delivery` stands into the log.
    pub(super) fn note(&self, delivery: &Delivery) {
        let mut log = self.log.lock();
        if let Some(at) = log.iter().rposition(|known| known.id == delivery.id) {
            log.remove(at);
        }
        if log.len() >= NOTICE_LOG_MAX {
            log.pop_front();
        }
        log.push_back(delivery.clone());
    }
}
