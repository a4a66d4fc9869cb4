//! Calls in a session whose server asks on the stream of the session, that of a GET, instead of that of the call (2025-11-25,
//! transports: listening for messages). What it asks there names no call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{timeout, timeout_at};

use super::Http;
use super::hear::{Heard, Hearing};
use super::housekeeping::aside;
use super::push::{InSession, Standing, settled};
use super::session::Session;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Incoming, Notification, RawJson};
use crate::upstream::pipe::{Calls, Delivery, Role, Turns};
use crate::vocab::limits::HELD_QUESTION_MS_MAX;
use crate::vocab::{Deadline, Fault, FaultKind};

/// What a session knows of its calls that may be asked something. Most sessions have none.
pub(super) struct Asking {
    calls: Calls,
    turns: Turns,
    /// The stream was waited for in vain since it was last open.
    awaited: AtomicBool,
    /// What any of its calls may be asked, as bits.
    askable: AtomicU8,
}

impl Asking {
    /// `question_bytes_max` bounds all questions of one call together.
    fn new(question_bytes_max: usize) -> Self {
        let (calls, turns) = (Calls::new(question_bytes_max), Turns::default());
        Self { calls, turns, awaited: AtomicBool::new(false), askable: AtomicU8::new(ClientCaps::NONE.bits()) }
    }

    /// Whether any call could be asked this.
    fn covers(&self, method: &str, params: Option<&RawJson>) -> bool {
        ClientCaps::from_bits(self.askable.load(Ordering::Relaxed)).cover(method, params)
    }
}

impl Session {
    /// True while a question waits until it is clear whose it is.
    pub(super) fn is_holding(&self) -> bool {
        self.asking.get().is_some_and(|asking| asking.calls.is_holding())
    }
}

/// What comes first of a call.
pub(super) enum First {
    /// It is known what the answer is.
    Heard(Result<Heard, Fault>),
    /// Something is asked: some servers send the head of their answer with its first message.
    Asked(Incoming),
}

/// One such call, from before it is sent until it is answered.
pub(super) struct Askable {
    http: Arc<Http>,
    session: Arc<Session>,
    id: u64,
    questions: Mutex<mpsc::Receiver<Delivery>>,
    turn: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Askable {
    /// `None` for a call that nobody can be asked anything for (`caps`), or that is in no session.
    pub(super) async fn of(
        http: &Arc<Http>,
        session: Option<&Arc<Session>>,
        caps: ClientCaps,
        id: u64,
        deadline: Deadline,
    ) -> Option<Arc<Self>> {
        let session = session.filter(|session| session.id.is_some() && !caps.is_empty())?;
        let asking = session.asking.get_or_init(|| Box::new(Asking::new(http.response_bytes())));
        asking.askable.fetch_or(caps.bits(), Ordering::Relaxed);
        Some(Box::pin(Self::begin(http, session, asking, id, deadline)).await)
    }

    /// Waits for the stream of the session where it is being opened, and for the turn of this call, but keeps half of what is left until
    /// `deadline`.
    async fn begin(http: &Arc<Http>, session: &Arc<Session>, asking: &Asking, id: u64, deadline: Deadline) -> Arc<Self> {
        let until = aside(deadline).instant().into();
        let in_session = InSession { http: Arc::clone(http), session: Arc::clone(session) };
        if let Some(mut standing) = in_session.keep_push() {
            let stands = *standing.borrow();
            if stands == Standing::Open {
                asking.awaited.store(false, Ordering::Relaxed);
            } else if !asking.awaited.load(Ordering::Relaxed) {
                // Only once: it may open with the first message, or not for a long time.
                let waited = timeout_at(until, timeout(stands.patience(), settled(&mut standing))).await;
                asking.awaited.store(!matches!(waited, Ok(Ok(()))), Ordering::Relaxed);
            }
        }
        let turn = timeout_at(until, asking.turns.take(&asking.calls)).await.ok().flatten();
        let questions = Mutex::new(asking.calls.enter(id, Role::Askable));
        let InSession { http, session } = in_session;
        Arc::new(Self { http, session, id, questions, turn: Mutex::new(turn) })
    }

    /// What was asked next, or said of its progress. Safe to drop and call again.
    ///
    /// # Errors
    /// More was asked than was read: what it asks now could be taken for another's.
    pub(super) async fn next(&self) -> Result<Incoming, Fault> {
        let next = std::future::poll_fn(|context| self.questions.lock().poll_recv(context)).await;
        let Delivery { message, .. } = next.ok_or_else(|| Fault::upstream(FaultKind::Exhausted, "asked more than was read"))?;
        Ok(message)
    }

    /// What comes first.
    pub(super) async fn first(&self, hearing: &mut Hearing) -> First {
        let heard = tokio::select! {
            biased;
            heard = hearing => heard,
            asked = self.next() => match asked {
                Ok(asked) => return First::Asked(asked),
                Err(fault) => Err(fault),
            },
        };
        // It was refused, or nothing was sent: nothing more is asked for it. Else it may go on.
        let gone_on = |fault: &Fault| matches!(fault.kind, FaultKind::Timeout | FaultKind::Unreachable | FaultKind::Exhausted);
        if heard.as_ref().is_err_and(|fault| !gone_on(fault)) {
            self.over();
        }
        First::Heard(heard)
    }

    /// The call was answered: nothing more is asked for it.
    pub(super) fn over(&self) {
        if let Some(asking) = self.session.asking.get() {
            asking.calls.over(self.id);
        }
        drop(self.turn.lock().take());
        self.refuse_the_rest();
    }

    /// Refuses what was asked and not read. Nobody hands it anything any more.
    fn refuse_the_rest(&self) {
        let mut questions = self.questions.lock();
        questions.close();
        while let Ok(Delivery { message, .. }) = questions.try_recv() {
            if let Incoming::Request { id, method, .. } = message {
                self.http.reply_to(&self.session, &id, &method);
            }
        }
        drop(questions);
        self.http.refuse_unasked(&self.session);
    }
}

impl Drop for Askable {
    fn drop(&mut self) {
        if let Some(asking) = self.session.asking.get() {
            asking.calls.leave(self.id, self.turn.lock().take());
        }
        self.refuse_the_rest();
    }
}

impl Http {
    /// Hands what came on the stream of `session` to the call that it is for.
    pub(super) fn hand_on(self: &Arc<Self>, session: &Arc<Session>, message: Incoming) {
        match (message, session.asking.get()) {
            (Incoming::Notification(Notification::Progress { token, members }), Some(asking)) => {
                let (id, bytes) =
                    (token.as_u64(), members.iter().map(|(key, value)| key.as_str().len() + value.as_str().len()).sum());
                if !asking.calls.offer(id, Incoming::Notification(Notification::Progress { token, members }), bytes) {
                    self.shared.count_dropped();
                }
            }
            // It has given up waiting, and nobody is asked yet.
            (Incoming::Notification(Notification::Cancelled(id)), Some(asking)) => asking.calls.withdraw(&id),
            (Incoming::Request { id, method, params }, Some(asking)) if asking.covers(&method, params.as_ref()) => {
                let bytes = params.as_ref().map_or(0, |params| params.as_bytes().len());
                if asking.calls.ask(Incoming::Request { id, method, params }, bytes) {
                    asking.turns.asked();
                }
                self.refuse_unasked(session);
            }
            // What nobody can be asked is in the way of nothing. Nor is anybody outside of a call: there is none of a client that the
            // question could belong to.
            (Incoming::Request { id, method, .. }, _) => self.reply_to(session, &id, &method),
            _ => self.shared.count_dropped(),
        }
    }

    /// Tells the server which of the questions on the stream of `session` nobody is asked.
    pub(super) fn refuse_unasked(self: &Arc<Self>, session: &Arc<Session>) {
        self.refuse_by(session, Instant::now());
    }

    /// As [`Self::refuse_unasked`], with those that are held: nobody looks after them any more.
    pub(super) fn refuse_held(self: &Arc<Self>, session: &Arc<Session>) {
        self.refuse_by(session, Instant::now() + Duration::from_millis(HELD_QUESTION_MS_MAX));
    }

    fn refuse_by(self: &Arc<Self>, session: &Arc<Session>, now: Instant) {
        let Some(asking) = session.asking.get() else { return };
        for (id, method) in asking.calls.take_refused(now) {
            self.reply_to(session, &id, &method);
        }
    }
}
