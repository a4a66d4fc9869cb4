//! `subscriptions/listen` in a conversation without sessions (2026-07-28, subscriptions).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::calls::{Delivery, Role};
use super::{Pipe, Talk};
use crate::mcp::reply::Announced;
use crate::mcp::{Incoming, Interest, Notification, Reply};
use crate::upstream::watch::Happening;
use crate::upstream::wire::{self, Refusal, STATELESS, malformed};
use crate::vocab::limits::WATCH_OPEN_MS_MAX;
use crate::vocab::{Fault, FaultKind};

/// A subscription over a pipe. Dropped, it is cancelled with `notifications/cancelled`.
pub(in crate::upstream) struct PipeListen {
    pipe: Arc<dyn Pipe>,
    id: u64,
    messages: mpsc::Receiver<Delivery>,
    live: bool,
}

impl PipeListen {
    /// Subscribes, and waits for what the other side agrees to; `None` if it has no subscriptions.
    pub(in crate::upstream) async fn open(pipe: Arc<dyn Pipe>, interest: &Interest) -> Result<Option<(Self, Interest)>, Fault> {
        let id = pipe.talk().next_id();
        let messages = pipe.talk().calls.enter(id, Role::Listener);
        let mut this = Self { pipe, id, messages, live: true };
        if this.pipe.has_ended() {
            return Err(this.pipe.lost());
        }
        this.pipe.send(wire::listen(id, interest)).await?;
        let patience = Duration::from_millis(WATCH_OPEN_MS_MAX);
        let late = |_| Fault::upstream(FaultKind::Timeout, "did not acknowledge a subscription");
        match timeout(patience, this.acknowledged()).await.map_err(late)?? {
            Some(agreed) => Ok(Some((this, agreed))),
            None => Ok(None),
        }
    }

    async fn acknowledged(&mut self) -> Result<Option<Interest>, Fault> {
        match self.receive().await? {
            Incoming::Notification(Notification::Subscribed { said: Announced::Acknowledged(agreed), .. }) => Ok(Some(agreed)),
            Incoming::Response { reply: Reply::Error(error), .. } => {
                self.live = false;
                match wire::refusal(&error) {
                    Refusal::Unknown => Ok(None),
                    Refusal::Other => Err(Fault::upstream(FaultKind::Failed, "refuses a subscription")),
                }
            }
            _ => Err(malformed("does not acknowledge a subscription")),
        }
    }

    async fn receive(&mut self) -> Result<Incoming, Fault> {
        match self.messages.recv().await {
            Some(Delivery { message, .. }) => Ok(message),
            None if self.pipe.has_ended() => Err(self.pipe.lost()),
            None => Err(Fault::upstream(FaultKind::Exhausted, "announced more than was read")),
        }
    }

    /// What was announced next. Safe to drop and call again.
    pub(in crate::upstream) async fn next(&mut self) -> Result<Happening, Fault> {
        loop {
            match self.receive().await? {
                Incoming::Notification(Notification::Subscribed { said, .. }) => match said {
                    Announced::ListChanged(listing) => {
                        let Talk { shared, upstream, owner, .. } = self.pipe.talk();
                        (shared.hook)(upstream, owner.as_ref(), listing);
                        return Ok(Happening::ListChanged(listing));
                    }
                    Announced::Updated { uri } => return Ok(Happening::Updated { uri }),
                    Announced::Task { id } => return Ok(Happening::Task { id }),
                    Announced::Acknowledged(_) => self.pipe.talk().shared.count_dropped(),
                },
                Incoming::Response { .. } | Incoming::Notification(Notification::Cancelled(_)) => {
                    self.live = false;
                    return Err(Fault::upstream(FaultKind::Unreachable, "ended a subscription"));
                }
                _ => self.pipe.talk().shared.count_dropped(),
            }
        }
    }
}

impl Drop for PipeListen {
    fn drop(&mut self) {
        self.pipe.talk().calls.leave(self.id, None);
        if self.live && !self.pipe.has_ended() {
            self.pipe.send_if_room(wire::cancelled(STATELESS, self.id));
        }
    }
}
