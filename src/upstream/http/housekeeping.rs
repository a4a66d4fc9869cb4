//! Requests of the gateway's own: they carry nothing of a user and may be sent twice.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use super::Http;
use super::hear::Heard;
use super::post::Replay;
use super::session::Session;
use super::shown::Whom;
use super::stream::{Flow, HttpStream};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Incoming, Lowered, RawId, Reply, codes};
use crate::upstream::answer::{Event, QuestionReply};
use crate::upstream::inbox::Inbox;
use crate::upstream::wire;
use crate::vocab::limits::UPSTREAM_ERRAND_MS_MAX;
use crate::vocab::{Deadline, Fault, FaultKind, Revision};

/// What came of a request of ours.
pub(super) enum Asked {
    Reply {
        reply: Reply,
        session: Option<HeaderValue>,
    },
    /// A 4xx without a message of the protocol, or that may be about the session.
    Refused(StatusCode),
}

impl Http {
    /// Asks and reads until the reply, ignoring everything else. The caller bounds the time.
    pub(super) async fn ask(
        self: &Arc<Self>,
        whom: Whom<'_>,
        question: Lowered,
        id: u64,
        revision: Revision,
        deadline: Deadline,
    ) -> Result<Asked, Fault> {
        self.ask_as(whom, question, None, id, revision, deadline).await
    }

    /// As [`Self::ask`], in a session.
    pub(super) async fn ask_in(
        self: &Arc<Self>,
        session: &Session,
        question: Lowered,
        id: u64,
        deadline: Deadline,
    ) -> Result<Asked, Fault> {
        self.ask_as(session.whom(), question, Some(session), id, session.facts.revision, deadline).await
    }

    async fn ask_as(
        self: &Arc<Self>,
        whom: Whom<'_>,
        question: Lowered,
        session: Option<&Session>,
        id: u64,
        revision: Revision,
        deadline: Deadline,
    ) -> Result<Asked, Fault> {
        let in_session = session.is_some_and(|session| session.id.is_some());
        let (heard, session) = self.hear(whom, question, session, Replay::Harmless, revision, deadline).await?;
        let reply = match heard {
            Heard::Refused(status) => return Ok(Asked::Refused(status)),
            Heard::Messages { messages, status, .. } => {
                let reply = reply_among(messages, id, status)?;
                // Nothing else that stands in such a request can be wrong, whatever id the refusal is under.
                let unknown_method = matches!(&reply, Reply::Error(error) if error.code == codes::METHOD_NOT_FOUND);
                let about_session = matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST) && !unknown_method;
                if in_session && about_session {
                    return Ok(Asked::Refused(status));
                }
                reply
            }
            Heard::Stream(exchange) => {
                let mut stream =
                    HttpStream::new(self, None, None, Flow::Stream(exchange), Inbox::new(id, ClientCaps::NONE), revision);
                loop {
                    if let Event::Reply(reply) = stream.next(deadline, false).await? {
                        break reply;
                    }
                }
            }
        };
        Ok(Asked::Reply { reply, session })
    }

    /// Sends what wants no answer.
    pub(super) async fn tell(
        &self,
        message: Lowered,
        session: &Session,
        replay: Replay,
        deadline: Deadline,
    ) -> Result<(), Fault> {
        let answered = self.post(session.whom(), message, Some(session), replay, deadline).await?;
        let status = answered.status;
        answered.exchange.finish();
        if status.is_success() {
            return Ok(());
        }
        Err(Fault::upstream(FaultKind::Failed, format!("answered a notification with {}", status.as_u16())))
    }

    /// Tells the upstream that nobody waits for `id` any more. Not awaited: whoever waited is gone.
    pub(super) fn cancel(self: &Arc<Self>, session: Arc<Session>, id: u64) {
        let this = Arc::clone(self);
        self.shared.errand(async move {
            let message = wire::cancelled(session.facts.revision, id);
            let _ = this.tell(message, &session, Replay::Harmless, errand_deadline()).await;
        });
    }

    /// Answers a request of the upstream. Not awaited: the upstream may read it only after it has sent more.
    pub(super) fn reply_to(self: &Arc<Self>, session: &Arc<Session>, id: &RawId, method: &str) {
        let (this, session) = (Arc::clone(self), Arc::clone(session));
        let message = wire::answer(session.facts.revision, id, method);
        self.shared.errand(async move {
            let _ = this.tell(message, &session, Replay::Never, errand_deadline()).await;
        });
    }

    /// Sends the client's answer to a question. Twice is harmless: the id is used up.
    pub(super) async fn pass_on(
        self: Arc<Self>,
        session: Arc<Session>,
        id: RawId,
        reply: QuestionReply,
        deadline: Deadline,
    ) -> Result<(), Fault> {
        let message = wire::question_reply(session.facts.revision, &id, reply);
        self.tell(message, &session, Replay::Harmless, deadline).await
    }

    /// Ends a session nobody uses. Not awaited.
    pub(super) fn end_session(self: &Arc<Self>, session: Arc<Session>) {
        let this = Arc::clone(self);
        self.shared.errand(async move { this.farewell(session, errand_deadline()).await });
    }

    /// DELETE, if there is an id to delete (2025-03-26 and later, transports).
    pub(super) async fn farewell(&self, session: Arc<Session>, deadline: Deadline) {
        if !session.feed.is_over() {
            self.delete(&session, deadline).await;
        }
    }

    /// Ends a session that is of no use any more, here at once and at the server soon.
    pub(super) fn give_up(self: &Arc<Self>, session: &Arc<Session>) {
        if session.feed.is_over() {
            return;
        }
        session.feed.end();
        let (this, session) = (Arc::clone(self), Arc::clone(session));
        self.shared.errand(async move { this.delete(&session, errand_deadline()).await });
    }

    async fn delete(&self, session: &Session, deadline: Deadline) {
        if let Some(id) = &session.id {
            let headers = wire::initialized(session.facts.revision).headers;
            // Whoever has nothing to show any more leaves without a word.
            if let Ok(shown) = self.show(session.whom()).await {
                self.door.delete(headers, &shown, id, deadline).await;
            }
        }
    }
}

/// The reply to `id`. A 4xx can only be about the request it answers, so there an error under another id, or none, is it too: it may
/// have been written before the id was read, and servers put various things in its place.
pub(super) fn reply_among(messages: Vec<Incoming>, id: u64, status: StatusCode) -> Result<Reply, Fault> {
    let mut refusal = None;
    for message in messages {
        match message {
            Incoming::Response { id: of, reply } if of.as_u64() == Some(id) => return Ok(reply),
            Incoming::Response { reply: Reply::Error(error), .. } | Incoming::Orphan(error) if status.is_client_error() => {
                refusal.get_or_insert(error);
            }
            _ => {}
        }
    }
    refusal.map(Reply::Error).ok_or_else(|| wire::malformed("answered another request than the one asked"))
}

/// Time for something of our own on the way of what has until `deadline`, which keeps half of what is left.
pub(super) fn aside(deadline: Deadline) -> Deadline {
    let most = Duration::from_millis(UPSTREAM_ERRAND_MS_MAX);
    deadline.capped(most.min(deadline.remaining() / 2))
}

fn errand_deadline() -> Deadline {
    Deadline::after(Duration::from_millis(UPSTREAM_ERRAND_MS_MAX))
}
