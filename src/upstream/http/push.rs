//! What servers with sessions say outside of the streams of calls: on one GET stream per session, which is open while somebody watches,
//! and from the first call on that may be asked something (2025-03-26 and later, transports: listening for messages).

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::DropGuard;

use super::Http;
use super::events::{Events, Resumption};
use super::exchange::Exchange;
use super::housekeeping::{Asked, aside};
use super::post::{Answered, Content, GetFor, Sending};
use super::session::Session;
use crate::mcp::{Incoming, Method, Notification, Outgoing, Reply, dialect};
use crate::upstream::feed::{Announcer, Feed, News, Tended};
use crate::upstream::pause::Pauses;
use crate::upstream::shared::Shared;
use crate::upstream::wire::{self, Facts};
use crate::vocab::limits::{RESUME_MS, SSE_EVENT_BYTES_MAX, WATCH_OPEN_MS_MAX, WATCH_SILENCE_MS_MAX};
use crate::vocab::{Deadline, Fault, FaultKind, Revision};

/// The GET stream of a session. Dropped, it ends.
pub(super) struct Push {
    /// Closed when nobody listens to it any more.
    standing: watch::Receiver<Standing>,
    _stop: DropGuard,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is opened for the first time.
    Opening,
    Open,
    /// It broke, and is opened again.
    Broken,
}

impl Standing {
    /// How long it is waited for.
    pub(super) fn patience(self) -> Duration {
        match self {
            // A server may send the head of its stream with the first message only.
            Self::Opening | Self::Open => SETTLE_TIME,
            // Not at once is it opened again.
            Self::Broken => SETTLE_TIME + Duration::from_millis(RESUME_MS),
        }
    }
}

impl Push {
    fn has_ended(&self) -> bool {
        self.standing.has_changed().is_err()
    }
}

/// The stream of one session.
#[derive(Default)]
pub(super) struct PushSlot {
    current: Weak<Push>,
    /// For as long as the session lives.
    kept: Option<Arc<Push>>,
    /// Its place among those that are kept, while it is listened to.
    place: Option<OwnedSemaphorePermit>,
}

/// A session as somebody who announces.
pub(super) struct InSession {
    pub(super) http: Arc<Http>,
    pub(super) session: Arc<Session>,
}

impl Announcer for InSession {
    fn feed(&self) -> &Feed {
        &self.session.feed
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.http.shared
    }

    fn facts(&self) -> Result<Facts, Fault> {
        Ok(self.session.facts.clone())
    }

    fn ask(self: Arc<Self>, out: Outgoing) -> BoxFuture<'static, Result<Reply, Fault>> {
        async move {
            let id = self.http.next_id();
            let revision = self.session.facts.revision;
            let question = dialect::lower_request(revision, &out, id);
            let deadline = Deadline::after(self.http.settings.timeout);
            match self.http.ask_in(&self.session, question, id, deadline).await? {
                Asked::Reply { reply, .. } => Ok(reply),
                Asked::Refused(status) => {
                    // It may be about what was asked. If the session is over, that is noted on it.
                    self.http.lost(&self.session, status, deadline).await;
                    Err(Fault::upstream(FaultKind::Failed, format!("answered {}", status.as_u16())))
                }
            }
        }
        .boxed()
    }

    fn tend(self: Arc<Self>) -> BoxFuture<'static, Option<Tended>> {
        async move {
            let push = self.push();
            let _ = timeout(SETTLE_TIME, settled(&mut push.standing.clone())).await;
            Some(push as Tended)
        }
        .boxed()
    }
}

impl InSession {
    /// The stream of the session: the one that is listened to, or a new one.
    fn push(&self) -> Arc<Push> {
        let mut slot = self.session.push.lock();
        if let Some(push) = slot.current.upgrade().filter(|push| !push.has_ended()) {
            return push;
        }
        let (stop, (stands, standing)) = (self.http.stop.child_token(), watch::channel(Standing::Opening));
        let push = Arc::new(Push { standing, _stop: stop.clone().drop_guard() });
        slot.current = Arc::downgrade(&push);
        let listener = Listener { http: Arc::clone(&self.http), session: Arc::downgrade(&self.session) };
        let listening = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = listener.listen(&stands) => {}
            }
            // Closed before the place is given back: whoever keeps the stream from now on sees that it has none.
            drop(stands);
            listener.with(|session| session.push.lock().place = None);
        };
        self.http.shared.tasks.spawn_on(listening, &self.http.shared.handle);
        push
    }

    /// Opens the stream for as long as the session lives, once, and says how it stands from now on. `None` while the streams of too
    /// many other sessions are open so.
    pub(super) fn keep_push(&self) -> Option<watch::Receiver<Standing>> {
        if let Some(push) = &self.session.push.lock().kept {
            return Some(push.standing.clone());
        }
        let place = Arc::clone(&self.http.kept_streams).try_acquire_owned().ok()?;
        let push = self.push();
        let mut slot = self.session.push.lock();
        let kept = Arc::clone(slot.kept.get_or_insert(push));
        slot.place = Some(place).filter(|_| !kept.has_ended());
        Some(kept.standing.clone())
    }
}

/// Waits until the stream is open, or it is known that there is none.
pub(super) async fn settled(standing: &mut watch::Receiver<Standing>) {
    let _ = standing.wait_for(|standing| *standing == Standing::Open).await;
}

/// Who listens to the stream of a session. Does not keep the session from being closed.
struct Listener {
    http: Arc<Http>,
    session: Weak<Session>,
}

impl Listener {
    /// Listens until there is nothing to listen to any more.
    async fn listen(&self, stands: &watch::Sender<Standing>) {
        let (mut resumption, mut pauses) = (Resumption::default(), Pauses::default());
        let (mut missed, mut was_open) = (false, false);
        loop {
            let mut lived = Duration::ZERO;
            // Boxed: what opening takes is given back for as long as the stream is open.
            match Box::pin(self.open(&resumption)).await {
                Opened::Stream(exchange, revision) => {
                    was_open = true;
                    stands.send_replace(Standing::Open);
                    if std::mem::take(&mut missed) {
                        self.with(|session| session.feed.publish(News::Missed));
                    }
                    let began = Instant::now();
                    let fault = self.read(exchange, revision, &mut resumption).await.err();
                    stands.send_replace(Standing::Broken);
                    if fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::TooLarge) {
                        // The same would come again.
                        resumption.forget();
                    }
                    tracing::debug!(upstream = self.http.name(), detail = fault.map(|f| f.detail), "an announcing stream ended");
                    self.with(|session| self.http.refuse_held(session));
                    lived = began.elapsed();
                }
                // A server that had one has one: something on the way may have refused it this time.
                Opened::None if was_open => {}
                Opened::None => return,
                Opened::Gone => return self.with(|session| session.feed.end()),
                Opened::Later => {}
                Opened::Anew => resumption.forget(),
            }
            missed |= resumption.last_event().is_none();
            sleep(pauses.after(lived).max(resumption.wait())).await;
        }
    }

    fn with(&self, does: impl FnOnce(&Arc<Session>)) {
        if let Some(session) = self.session.upgrade() {
            does(&session);
        }
    }

    async fn open(&self, resumption: &Resumption) -> Opened {
        let last_event = resumption.last_event().cloned();
        let resumes = last_event.is_some();
        let Some(shown) = self.session.upgrade().map(|session| session.shown()) else { return Opened::Gone };
        let credential = self.credential(&shown).await;
        // The head may come late, with the first event.
        let patience = Duration::from_millis(WATCH_SILENCE_MS_MAX);
        let answered = match timeout(patience, self.http.get(&shown, last_event, GetFor::News)).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(fault)) if matches!(fault.kind, FaultKind::Unauthorized | FaultKind::Unlinked) => {
                return self.refused(&shown, credential).await;
            }
            Ok(Err(_)) | Err(_) => return Opened::Later,
        };
        let Some(session) = self.session.upgrade() else { return Opened::Gone };
        match answered.status {
            StatusCode::OK if answered.content == Content::Stream => Opened::Stream(answered.exchange, session.facts.revision),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST
                if session.id.is_some() && self.is_unknown(&session, answered.status).await =>
            {
                Opened::Gone
            }
            StatusCode::NOT_FOUND if resumes => Opened::Anew,
            StatusCode::BAD_REQUEST if resumes => Opened::Anew,
            // One stream per session, and the one before is not known to be over.
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Opened::Later,
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => Opened::Later,
            _ => Opened::None,
        }
    }

    /// What is shown now.
    async fn credential(&self, session: &Session) -> Option<HeaderValue> {
        self.http.show(session.whom()).await.ok().and_then(|shown| shown.header).map(|(_, value)| value)
    }

    /// The credential was refused, or there is none to show. That may be about the stream, so something else is asked, for which what is
    /// shown is renewed if it must be: whoever watches finds out on opening anew whether there is anything to show.
    async fn refused(&self, session: &Session, credential: Option<HeaderValue>) -> Opened {
        let id = self.http.next_id();
        let ping = dialect::lower_request(session.facts.revision, &Outgoing::new(Method::Ping), id);
        let until = aside(Deadline::after(self.http.settings.timeout));
        let asked = timeout_at(until.instant().into(), Box::pin(self.http.ask_in(session, ping, id, until))).await;
        match asked {
            Ok(Ok(Asked::Refused(StatusCode::NOT_FOUND))) => Opened::Gone,
            Ok(Ok(_)) if self.credential(session).await != credential => Opened::Later,
            Ok(Ok(_)) => Opened::None,
            Ok(Err(fault)) if matches!(fault.kind, FaultKind::Unauthorized | FaultKind::Unlinked) => Opened::Gone,
            Ok(Err(_)) | Err(_) => Opened::Later,
        }
    }

    /// Whether the server does not know the session any more. One that has no such streams may say so in the same way.
    async fn is_unknown(&self, session: &Arc<Session>, status: StatusCode) -> bool {
        self.http.lost(session, status, Deadline::after(self.http.settings.timeout)).await;
        session.feed.is_over()
    }

    async fn read(&self, exchange: Exchange, revision: Revision, resumption: &mut Resumption) -> Result<(), Fault> {
        let http = &self.http;
        let bytes_max = http.response_bytes().min(SSE_EVENT_BYTES_MAX);
        let mut events = Events::new(exchange, bytes_max, revision, http.depth());
        while let Some(message) = self.next(&mut events, resumption).await? {
            self.with(|session| self.take(session, message));
        }
        Ok(())
    }

    /// The next message. Meanwhile questions that were held too long are refused.
    async fn next(&self, events: &mut Events, resumption: &mut Resumption) -> Result<Option<Incoming>, Fault> {
        while self.session.upgrade().is_some_and(|session| session.is_holding()) {
            if let Ok(next) = timeout(HELD_LOOK_EVERY, events.next(resumption)).await {
                return next;
            }
            self.with(|session| self.http.refuse_unasked(session));
        }
        events.next(resumption).await
    }

    fn take(&self, session: &Arc<Session>, message: Incoming) {
        let (http, feed) = (&self.http, &session.feed);
        match message {
            Incoming::Notification(Notification::ListChanged(listing)) => {
                (http.shared.hook)(http.name(), session.owner.as_ref(), listing);
                feed.publish(News::ListChanged(listing));
            }
            Incoming::Notification(Notification::Updated { uri }) => feed.publish(News::Updated(Arc::from(uri))),
            Incoming::Notification(Notification::Task { id }) => feed.publish(News::Task(Arc::from(id))),
            message => http.hand_on(session, message),
        }
    }
}

enum Opened {
    Stream(Exchange, Revision),
    /// The server announces nothing this way.
    None,
    /// The session is over.
    Gone,
    /// It may work later.
    Later,
    /// It works without going on where it broke, if at all.
    Anew,
}

impl Http {
    /// Asks for the stream of a session, or for what came after an event of any of its streams.
    pub(super) async fn get(&self, session: &Session, last_event: Option<HeaderValue>, why: GetFor) -> Result<Answered, Fault> {
        let headers = wire::initialized(session.facts.revision).headers;
        let sending = Sending::Get { headers, last_event, why };
        // That of the connection.
        let deadline = Deadline::after(Duration::from_millis(WATCH_OPEN_MS_MAX));
        self.send_through(&self.streams, session.whom(), sending, Some(session), deadline).await
    }
}

/// How long the first who watches, or may be asked something, waits for the stream.
const SETTLE_TIME: Duration = Duration::from_secs(1);
/// How often a silent stream looks whether a question was held too long.
const HELD_LOOK_EVERY: Duration = Duration::from_secs(1);
