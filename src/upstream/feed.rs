//! What one session or process announces, handed to all who watch it, and the resources it was asked to announce.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::watch::Happening;
use super::wire::Facts;
use crate::mcp::reply::Listing;
use crate::mcp::{Interest, ListSet, Method, Outgoing, Reply};
use crate::vocab::limits::{SUBSCRIBES_AT_ONCE_MAX, WATCH_QUEUE_MAX};
use crate::vocab::{Fault, FaultKind};

/// Something announced.
#[derive(Clone, Debug)]
pub(super) enum News {
    ListChanged(Listing),
    Updated(Arc<str>),
    Task(Arc<str>),
    /// Something may have been announced that nobody heard.
    Missed,
}

/// The announcements of one session or process. Empty until somebody watches.
#[derive(Default)]
pub(super) struct Feed {
    news: OnceLock<broadcast::Sender<News>>,
    /// Cancelled when the session or process is gone.
    over: CancellationToken,
    subscribed: Mutex<HashMap<String, Subscribed>>,
    /// Held while the upstream is told, so that it hears of each URI in the order in which it was wanted and not.
    telling: tokio::sync::Mutex<()>,
}

/// A URI that somebody watches, or watched.
#[derive(Default)]
struct Subscribed {
    watchers: usize,
    /// The upstream agreed to announce it.
    live: bool,
}

impl Feed {
    /// Hands `news` to all who watch. Never waits: who lags behind is told so.
    pub(super) fn publish(&self, news: News) {
        if let Some(all) = self.news.get() {
            let _ = all.send(news);
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        self.news.get().is_some_and(|news| news.receiver_count() > 0)
    }

    /// The session or process is gone.
    pub(super) fn end(&self) {
        self.over.cancel();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    fn join(&self) -> broadcast::Receiver<News> {
        self.news.get_or_init(|| broadcast::Sender::new(WATCH_QUEUE_MAX)).subscribe()
    }

    fn release(&self, uri: &str) {
        let mut subscribed = self.subscribed.lock();
        let Some(entry) = subscribed.get_mut(uri) else { return };
        entry.watchers = entry.watchers.saturating_sub(1);
        if entry.watchers == 0 && !entry.live {
            subscribed.remove(uri);
        }
    }

    /// URIs nobody watches any more, which are forgotten: those of which the upstream has to be told.
    fn take_idle(&self) -> Vec<String> {
        let idle = self.subscribed.lock().extract_if(|_, entry| entry.watchers == 0).collect::<Vec<_>>();
        idle.into_iter().filter(|(_, entry)| entry.live).map(|(uri, _)| uri).collect()
    }
}

/// A session or process with a feed.
pub(super) trait Announcer: Send + Sync + 'static {
    fn feed(&self) -> &Feed;

    fn shared(&self) -> &Arc<Shared>;

    fn facts(&self) -> Result<Facts, Fault>;

    /// A request of the gateway's own.
    fn ask(self: Arc<Self>, out: Outgoing) -> BoxFuture<'static, Result<Reply, Fault>>;

    /// Sees to it that announcements are heard for as long as the value returned lives. Returns once they are, or cannot be.
    fn tend(self: Arc<Self>) -> BoxFuture<'static, Option<Tended>>;
}

/// Something that is dropped when nobody watches any more.
pub(super) type Tended = Arc<dyn Send + Sync>;

/// One watch of a feed.
pub(super) struct Tap {
    news: broadcast::Receiver<News>,
    over: CancellationToken,
    // In this order: the upstream is asked to be silent before nobody listens to it.
    _holds: Holds,
    _tended: Option<Tended>,
}

impl Tap {
    /// Listens to `announcer`. Also returns what it agreed to announce.
    pub(super) async fn open(announcer: Arc<dyn Announcer>, interest: &Interest) -> Result<(Self, Interest), Fault> {
        let capabilities = announcer.facts()?.capabilities;
        let offered = ListSet { tools: capabilities.tools, prompts: capabilities.prompts, resources: capabilities.resources };
        // Before anything is asked for, so that nothing is missed.
        let news = announcer.feed().join();
        let over = announcer.feed().over.clone();
        let tended = Arc::clone(&announcer).tend().await;
        let mut holds = Holds { announcer, uris: Vec::new() };
        if capabilities.resources_subscribe {
            holds.take(&interest.uris).await?;
        }
        // Of its tasks it tells or does not, unasked.
        let tasks = if capabilities.session_tasks { interest.tasks.clone() } else { Vec::new() };
        let honoured = Interest { lists: interest.lists.and(offered), uris: holds.uris.clone(), tasks };
        Ok((Self { news, over, _holds: holds, _tended: tended }, honoured))
    }

    /// What was announced next. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Result<Happening, Fault> {
        let news = tokio::select! {
            biased;
            news = self.news.recv() => news,
            () = self.over.cancelled() => Err(RecvError::Closed),
        };
        match news {
            Ok(News::ListChanged(listing)) => Ok(Happening::ListChanged(listing)),
            Ok(News::Updated(uri)) => Ok(Happening::Updated { uri: uri.to_string() }),
            Ok(News::Task(id)) => Ok(Happening::Task { id: id.to_string() }),
            Ok(News::Missed) | Err(RecvError::Lagged(_)) => Ok(Happening::Missed),
            Err(RecvError::Closed) => Err(Fault::upstream(FaultKind::Unreachable, "the session with it is gone")),
        }
    }
}

/// One watch's share in what a session or process is subscribed to.
struct Holds {
    announcer: Arc<dyn Announcer>,
    uris: Vec<String>,
}

impl Holds {
    /// Subscribes to those of `uris` that nobody else did, and keeps what the upstream agreed to.
    async fn take(&mut self, uris: &[String]) -> Result<(), Fault> {
        let announcer = Arc::clone(&self.announcer);
        let feed = announcer.feed();
        for uri in uris {
            feed.subscribed.lock().entry(uri.clone()).or_default().watchers += 1;
            self.uris.push(uri.clone());
        }
        let _telling = feed.telling.lock().await;
        let is_live = |uri: &String| feed.subscribed.lock().get(uri).is_some_and(|entry| entry.live);
        let fresh: Vec<String> = self.uris.iter().filter(|uri| !is_live(uri)).cloned().collect();
        let ask = |uri: String| {
            let reply = Arc::clone(&announcer).ask(about(Method::ResourcesSubscribe, &uri));
            async move { (uri, reply.await) }
        };
        let mut answers = stream::iter(fresh).map(ask).buffer_unordered(SUBSCRIBES_AT_ONCE_MAX);
        while let Some((uri, reply)) = answers.next().await {
            let agreed = match reply {
                Ok(reply) => matches!(reply, Reply::Result(_)),
                Err(fault) if fault.kind == FaultKind::Failed => false,
                Err(fault) => return Err(fault),
            };
            if let Some(entry) = feed.subscribed.lock().get_mut(&uri) {
                entry.live = agreed;
            }
        }
        let (live, refused) = std::mem::take(&mut self.uris).into_iter().partition(is_live);
        self.uris = live;
        refused.iter().for_each(|uri: &String| feed.release(uri));
        Ok(())
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        let feed = self.announcer.feed();
        self.uris.iter().for_each(|uri| feed.release(uri));
        if self.uris.is_empty() || feed.is_over() {
            return;
        }
        let announcer = Arc::clone(&self.announcer);
        self.announcer.shared().errand(async move {
            let feed = announcer.feed();
            let _telling = feed.telling.lock().await;
            for uri in feed.take_idle() {
                let _ = Arc::clone(&announcer).ask(about(Method::ResourcesUnsubscribe, &uri)).await;
            }
        });
    }
}

fn about(method: Method, uri: &str) -> Outgoing {
    Outgoing { uri: Some(uri.to_owned()), ..Outgoing::new(method) }
}
