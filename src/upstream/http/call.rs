//! A call over HTTP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::timeout_at;

use super::Http;
use super::askable::{Askable, First};
use super::doubt::{may_be_about_session, names};
use super::era::is_evidence;
use super::hear::Heard;
use super::housekeeping::reply_among;
use super::post::Replay;
use super::session::Session;
use super::shown::Whom;
use super::stream::{Cancel, Flow, HttpStream};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Incoming, Outgoing, Reply, codes, dialect};
use crate::policy::permit::Permit;
use crate::upstream::answer::{Answer, Event, Source};
use crate::upstream::feed::News;
use crate::upstream::inbox::{Inbox, Meaning};
use crate::upstream::wire::{self, STATELESS, malformed};
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey, Revision};

/// What came of sending a call once.
enum Spoken {
    Source(Source, usize),
    /// The upstream does not know the session (any more), and the request may go out in another.
    SessionGone,
}

impl Http {
    /// Calls. Returns once the answer is complete, or is known to be a stream, or something is said about the call before.
    pub(in crate::upstream) async fn call(
        self: &Arc<Self>,
        permit: Permit,
        who: &PrincipalKey,
        out: &Outgoing,
        deadline: Deadline,
    ) -> Result<Answer, Fault> {
        let (revision, source, bytes) = self.guarded(Box::pin(self.converse(who, out, deadline)), deadline).await?;
        Ok(Answer::new(permit, revision, source, deadline, bytes))
    }

    /// Bounds the time of `work`, asks the breaker before it and tells it after.
    pub(super) async fn guarded<T>(&self, work: impl Future<Output = Result<T, Fault>>, deadline: Deadline) -> Result<T, Fault> {
        let ticket = self.breaker.enter()?;
        let bounded = async { timeout_at(deadline.instant().into(), work).await.unwrap_or_else(|_| Err(late())) };
        ticket.spend(bounded).await
    }

    async fn converse(
        self: &Arc<Self>,
        who: &PrincipalKey,
        out: &Outgoing,
        deadline: Deadline,
    ) -> Result<(Revision, Source, usize), Fault> {
        let as_them = Whom::any_account(who);
        if self.is_stateless(as_them, deadline).await? {
            match self.speak(as_them, STATELESS, None, None, out, deadline).await? {
                // It was refused for its revision, so nothing was done: it goes out again in one that both speak.
                Spoken::Source(source, _) if self.wants_older(&source) => self.era.is_found_to_have_sessions(),
                Spoken::Source(source, bytes) => return Ok((STATELESS, source, bytes)),
                Spoken::SessionGone => return Err(Fault::upstream(FaultKind::Failed, "answered 404")),
            }
        }
        if self.has_lines() {
            return Box::pin(self.converse_over_line(who, out, deadline)).await;
        }
        for _ in 0..SESSIONS_TRIED_MAX {
            let (key, session) = match self.session_of(who, out.session_capabilities, deadline).await {
                Err(_) if self.has_lines() => return Box::pin(self.converse_over_line(who, out, deadline)).await,
                found => found?,
            };
            let revision = session.facts.revision;
            match out.session_level {
                _ if out.level.is_some() => session.leveled.store(true, Ordering::Release),
                Some(level) => Box::pin(self.restore_level(&session, level, deadline)).await,
                None => {}
            }
            match self.speak(session.whom(), revision, Some(&session), key.principal(), out, deadline).await? {
                Spoken::Source(source, bytes) => {
                    if out.level.is_some() && matches!(source, Source::Reply(Reply::Result(_))) {
                        self.takes_levels.store(true, Ordering::Relaxed);
                    }
                    return Ok((revision, source, bytes));
                }
                Spoken::SessionGone => session.feed.end(),
            }
        }
        Err(Fault::upstream(FaultKind::Failed, "loses its sessions at once"))
    }

    /// Sends the call once.
    async fn speak(
        self: &Arc<Self>,
        whom: Whom<'_>,
        revision: Revision,
        session: Option<&Arc<Session>>,
        owner: Option<&PrincipalKey>,
        out: &Outgoing,
        deadline: Deadline,
    ) -> Result<Spoken, Fault> {
        let id = self.next_id();
        let message = dialect::lower_request(revision, out, id);
        let replay = if out.method.is_list() { Replay::Harmless } else { Replay::Never };
        // Where the session may be anybody's, nobody is asked.
        let caps = if owner.is_some() { wire::askable(out, revision) } else { ClientCaps::NONE };
        let askable = Askable::of(self, session, caps, id, deadline).await;
        // Armed before the first byte leaves, so that a caller who goes away while it is sent cancels it too.
        let cancel = session.map(|session| Cancel::new(self, session, id, askable));
        let session_id = session.and_then(|session| session.id.as_ref());
        let stream = |cancel, flow, asked| {
            let mut stream = HttpStream::new(self, cancel, owner.cloned(), flow, Inbox::new(id, caps), revision);
            stream.begin_with(asked);
            stream.sets_level = out.level.is_some();
            Ok(Spoken::Source(Source::Http(Box::new(stream)), 0))
        };
        let heard = match &cancel {
            Some(Cancel { session, askable: Some(askable), .. }) => {
                let mut hearing = self.hear_apart(session, message, replay, revision, deadline);
                match askable.first(&mut hearing).await {
                    First::Heard(heard) => heard?,
                    First::Asked(asked) => return stream(cancel, Flow::ToCome(Mutex::new(hearing)), Some(asked)),
                }
            }
            _ => self.hear(whom, message, session.map(|session| &**session), replay, revision, deadline).await?.0,
        };
        match heard {
            Heard::Stream(exchange) => stream(cancel, Flow::Stream(exchange), None),
            Heard::Refused(status) => {
                disarm(cancel);
                // In a session it may be about that, or about what was called.
                if is_evidence(status) && !(status == StatusCode::NOT_FOUND && session_id.is_some()) {
                    self.era.doubt();
                }
                if self.may_start_anew(session, replay, status, deadline).await {
                    return Ok(Spoken::SessionGone);
                }
                Err(Fault::upstream(FaultKind::Failed, format!("answered {}", status.as_u16())))
            }
            Heard::Messages { messages, status, bytes } => {
                let source = if status.is_success() {
                    self.document(messages, id, session, owner)?
                } else {
                    let named = names(&messages, id);
                    let reply = reply_among(messages, id, status);
                    let about_session = may_be_about_session(status, named, &reply);
                    if about_session && self.may_start_anew(session, replay, status, deadline).await {
                        disarm(cancel);
                        return Ok(Spoken::SessionGone);
                    }
                    Source::Reply(reply?)
                };
                disarm(cancel);
                if let Source::Reply(Reply::Error(error)) = &source {
                    self.doubt(error, status, session.map(|session| &**session));
                }
                Ok(Spoken::Source(source, bytes))
            }
        }
    }

    /// Reads a document: one message, or several from an upstream that has batches. The reply must be among them.
    fn document(
        self: &Arc<Self>,
        mut messages: Vec<Incoming>,
        id: u64,
        session: Option<&Arc<Session>>,
        owner: Option<&PrincipalKey>,
    ) -> Result<Source, Fault> {
        let single = messages.len() == 1;
        match messages.pop() {
            Some(Incoming::Response { id: of, reply }) if single && of.as_u64() == Some(id) => return Ok(Source::Reply(reply)),
            Some(last) => messages.push(last),
            None => {}
        }
        // What is over already cannot wait for an answer.
        let mut inbox = Inbox::new(id, ClientCaps::NONE);
        let mut events = VecDeque::new();
        for message in messages {
            match self.sort(&mut inbox, message, session, owner)? {
                // The reply is the last event, wherever it stood; a second one is a stranger.
                Some(Event::Reply(reply)) => {
                    events.push_back(Event::Reply(reply));
                    return Ok(Source::Here(events));
                }
                Some(event) => events.push_back(event),
                None => {}
            }
        }
        Err(malformed("the answer holds no reply to the request"))
    }

    fn sort(
        self: &Arc<Self>,
        inbox: &mut Inbox,
        message: Incoming,
        session: Option<&Arc<Session>>,
        owner: Option<&PrincipalKey>,
    ) -> Result<Option<Event>, Fault> {
        match inbox.sort(message, self.name(), owner, &self.shared)? {
            Meaning::Event(event) => Ok(Some(event)),
            Meaning::Question { id, method } => {
                match session {
                    Some(session) => self.reply_to(session, &id, &method),
                    None => self.shared.count_dropped(),
                }
                Ok(None)
            }
            Meaning::News(news) => {
                self.announce(session, news);
                Ok(None)
            }
            Meaning::Nothing => Ok(None),
        }
    }

    /// Hands on what a session announces during a call.
    pub(super) fn announce(&self, session: Option<&Arc<Session>>, news: News) {
        match (session, &news) {
            (Some(session), _) => session.feed.publish(news),
            // Who keeps the list was told of it.
            (None, News::ListChanged(_)) => {}
            (None, _) => self.shared.count_dropped(),
        }
    }

    /// Whether the session of a refused request is over, and the request may go out in another. What may have started something goes
    /// out again only where the server says of the session itself what it said of the request: that it knows none of this name.
    async fn may_start_anew(
        self: &Arc<Self>,
        session: Option<&Arc<Session>>,
        replay: Replay,
        status: StatusCode,
        deadline: Deadline,
    ) -> bool {
        let Some(session) = session.filter(|session| session.id.is_some()) else { return false };
        if (status, replay) == (StatusCode::NOT_FOUND, Replay::Harmless) {
            return true;
        }
        let lost = self.lost(session, status, deadline).await;
        match replay {
            Replay::Harmless => lost.is_some(),
            Replay::Never => (status, lost) == (StatusCode::NOT_FOUND, Some(StatusCode::NOT_FOUND)),
        }
    }

    /// Whether an upstream refuses the newest revision, and names one with sessions that it has (2026-07-28, versioning).
    fn wants_older(&self, source: &Source) -> bool {
        let Source::Reply(Reply::Error(error)) = source else { return false };
        self.pinned.is_none() && error.code == codes::UNSUPPORTED_VERSION && error.data.as_ref().is_some_and(wire::names_older)
    }
}

pub(super) fn late() -> Fault {
    Fault::upstream(FaultKind::Timeout, "no answer in time")
}

fn disarm(cancel: Option<Cancel>) {
    if let Some(mut cancel) = cancel {
        cancel.disarm();
    }
}

/// A session that is gone is replaced once.
const SESSIONS_TRIED_MAX: usize = 2;
