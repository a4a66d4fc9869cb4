//! `subscriptions/listen` over HTTP: a stream of its own for each watch (2026-07-28, subscriptions).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Http;
use super::era::is_evidence;
use super::events::{Events, Resumption};
use super::hear::Heard;
use super::housekeeping::reply_among;
use super::post::Replay;
use super::shown::Whom;
use crate::mcp::reply::Announced;
use crate::mcp::{Incoming, Interest, Notification, Reply, RpcError, codes};
use crate::upstream::watch::Happening;
use crate::upstream::wire::{self, Refusal, STATELESS, malformed};
use crate::vocab::limits::{SSE_EVENT_BYTES_MAX, WATCH_OPEN_MS_MAX};
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey};

/// A subscription. Dropped, it closes its connection, which ends it.
pub(in crate::upstream) struct Listen {
    http: Arc<Http>,
    id: u64,
    events: Events,
    unused: Resumption,
    /// Whose lists are said to have changed; `None` is everybody's.
    owner: Option<PrincipalKey>,
}

impl Listen {
    /// Subscribes, and waits for what the upstream agrees to; `None` if it has no subscriptions.
    pub(super) async fn open(
        http: &Arc<Http>,
        who: &PrincipalKey,
        interest: &Interest,
    ) -> Result<Option<(Self, Interest)>, Fault> {
        let patience = Duration::from_millis(WATCH_OPEN_MS_MAX);
        let late = |_| Fault::upstream(FaultKind::Timeout, "did not acknowledge a subscription");
        timeout(patience, Self::subscribe(http, who, interest)).await.map_err(late)?
    }

    async fn subscribe(http: &Arc<Http>, who: &PrincipalKey, interest: &Interest) -> Result<Option<(Self, Interest)>, Fault> {
        let id = http.next_id();
        let deadline = Deadline::after(Duration::from_millis(WATCH_OPEN_MS_MAX));
        let message = wire::listen(id, interest);
        let heard =
            http.hear_through(&http.streams, Whom::any_account(who), message, None, Replay::Harmless, STATELESS, deadline);
        let exchange = match heard.await?.0 {
            Heard::Stream(exchange) => exchange,
            Heard::Refused(status) if is_evidence(status) => return Ok(None),
            Heard::Refused(status) => return Err(Fault::upstream(FaultKind::Failed, format!("answered {}", status.as_u16()))),
            Heard::Messages { messages, status, .. } => {
                return match reply_among(messages, id, status)? {
                    Reply::Error(error) => refused(http, &error),
                    Reply::Result(_) => Err(Fault::upstream(FaultKind::Failed, "ended a subscription at once")),
                };
            }
        };
        let bytes_max = http.response_bytes().min(SSE_EVENT_BYTES_MAX);
        let owner = (!http.settings.shared).then(|| who.clone());
        let events = Events::new(exchange, bytes_max, STATELESS, http.depth());
        let mut this = Self { http: Arc::clone(http), id, events, unused: Resumption::default(), owner };
        match this.receive().await? {
            Incoming::Notification(Notification::Subscribed { said: Announced::Acknowledged(agreed), .. }) => {
                Ok(Some((this, agreed)))
            }
            Incoming::Response { reply: Reply::Error(error), .. } => refused(http, &error),
            _ => Err(malformed("does not acknowledge a subscription")),
        }
    }

    /// The next message of this subscription. What belongs to none, or to another, is dropped and counted.
    async fn receive(&mut self) -> Result<Incoming, Fault> {
        loop {
            let Some(message) = self.events.next(&mut self.unused).await? else { return Err(over()) };
            let of = match &message {
                Incoming::Notification(Notification::Subscribed { subscription, .. }) => subscription.as_u64(),
                Incoming::Response { id, .. } => id.as_u64(),
                _ => None,
            };
            if of == Some(self.id) {
                return Ok(message);
            }
            self.http.shared.count_dropped();
        }
    }

    /// What was announced next. Safe to drop and call again.
    pub(in crate::upstream) async fn next(&mut self) -> Result<Happening, Fault> {
        loop {
            match self.receive().await? {
                Incoming::Notification(Notification::Subscribed { said, .. }) => match said {
                    Announced::ListChanged(listing) => {
                        (self.http.shared.hook)(self.http.name(), self.owner.as_ref(), listing);
                        return Ok(Happening::ListChanged(listing));
                    }
                    Announced::Updated { uri } => return Ok(Happening::Updated { uri }),
                    Announced::Task { id } => return Ok(Happening::Task { id }),
                    Announced::Acknowledged(_) => self.http.shared.count_dropped(),
                },
                _ => return Err(over()),
            }
        }
    }
}

fn refused<T>(http: &Http, error: &RpcError) -> Result<Option<T>, Fault> {
    if error.code == codes::UNSUPPORTED_VERSION {
        http.era.doubt();
    }
    match wire::refusal(error) {
        Refusal::Unknown => Ok(None),
        Refusal::Other => Err(Fault::upstream(FaultKind::Failed, "refuses a subscription")),
    }
}

fn over() -> Fault {
    Fault::upstream(FaultKind::Unreachable, "ended a subscription")
}
