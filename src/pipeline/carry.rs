//! Questions that clients get as requests (2025-11-25 and older): on the stream of the very call, and the client's answer back. An
//! answer counts once, and only from the session that was asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::session::Session;
use crate::mcp::dialect::{Question, QuestionKind, lower_question, lower_withdrawn};
use crate::mcp::{Outcome, RawId, RawJson, codes};
use crate::upstream::QuestionReply;
use crate::vocab::PrincipalKey;
use crate::vocab::limits::{CALL_QUESTIONS_MAX, QUESTION_ERROR_BYTES_MAX, ROUNDS_PER_PRINCIPAL_MAX};

type Open = DashMap<(u128, Box<str>), oneshot::Sender<Outcome>>;

/// Questions that wait for a client, by session and our id. Bounded by the requests in flight times `CALL_QUESTIONS_MAX`.
#[derive(Default)]
pub struct Questions {
    open: Arc<Open>,
    /// Calls whose questions the gateway puts itself, by whose they are. Remembers nobody who has none.
    asking: Arc<DashMap<PrincipalKey, usize>>,
}

/// The place of a call whose questions the gateway puts itself.
pub(super) struct Asking {
    all: Arc<DashMap<PrincipalKey, usize>>,
    who: PrincipalKey,
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(mut own) = self.all.get_mut(&self.who) {
            *own = own.saturating_sub(1);
        }
        self.all.remove_if(&self.who, |_, own| *own == 0);
    }
}

impl Questions {
    /// Gives the answer of `session` to whoever waits for it. False when nobody does: never asked, asked of another session,
    /// answered before, or too late.
    pub(super) fn answer(&self, session: Session, id: &RawId, outcome: Outcome) -> bool {
        let waiting = self.open.remove(&(session.id, Box::from(id.as_str())));
        waiting.is_some_and(|(_, waiting)| waiting.send(outcome).is_ok())
    }

    /// A place for one more call of `who` whose questions the gateway puts itself. `None` when all of theirs are taken.
    pub(super) fn asking(&self, who: PrincipalKey) -> Option<Asking> {
        let mut own = self.asking.entry(who.clone()).or_default();
        *own += 1;
        let fits = *own <= ROUNDS_PER_PRINCIPAL_MAX;
        drop(own);
        // Gives back what was taken, if it was too much.
        let place = Asking { all: self.asking.clone(), who };
        fits.then_some(place)
    }

    /// The session is over: nobody can answer its questions any more.
    pub(super) fn end(&self, session: u128) {
        self.open.retain(|(of, _), _| *of != session);
    }

    fn register(&self, session: Session, id: &RawId) -> (Registered, oneshot::Receiver<Outcome>) {
        let (sender, receiver) = oneshot::channel();
        let key = (session.id, Box::from(id.as_str()));
        self.open.insert(key.clone(), sender);
        (Registered { open: self.open.clone(), key }, receiver)
    }
}

/// Takes a question out of [`Questions`] when nobody waits for its answer any more.
struct Registered {
    open: Arc<Open>,
    key: (u128, Box<str>),
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.open.remove(&self.key);
    }
}

/// The questions of one call that its client was sent.
#[derive(Default)]
pub(super) struct Carrier {
    waiting: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// What the client calls those that it has not answered.
    open: Vec<RawId>,
}

/// What came of a question.
struct Answered {
    ours: RawId,
    theirs: RawId,
    reply: QuestionReply,
}

/// To whom a question goes, and how long it may wait for its answer.
pub(super) struct Way<'a> {
    pub(super) questions: &'a Questions,
    pub(super) session: Session,
    pub(super) events: &'a mpsc::Sender<Bytes>,
    pub(super) longest: Duration,
}

impl Carrier {
    /// Takes over the question that its asker calls `theirs`; the message that puts it to the client, under an id of ours. `None`
    /// when too many are open already, or the client's revision has no words for it.
    pub(super) fn ask(&mut self, way: &Way<'_>, theirs: RawId, question: &Question) -> Option<Vec<u8>> {
        if self.waiting.len() >= CALL_QUESTIONS_MAX {
            return None;
        }
        let ours = format!("pq-{}", uuid::Uuid::now_v7().simple());
        let ours = RawId::of(&RawJson::of_text(&ours))?;
        let message = lower_question(way.session.revision, &ours, question)?;
        let kind = question.kind()?;
        let (registered, outcome) = way.questions.register(way.session, &ours);
        self.open.push(ours.clone());
        let (client, longest) = (way.events.clone(), way.longest);
        let wait = async move {
            let _registered = registered;
            let reply = tokio::select! {
                outcome = outcome => outcome.map_or_else(|_| failed("the client is gone"), |outcome| reply(kind, outcome)),
                // Its call goes on without the client; its question cannot.
                () = client.closed() => failed("the client is gone"),
                () = tokio::time::sleep(longest) => failed("nobody answered in time"),
            };
            Answered { ours, theirs, reply }
        };
        self.waiting.push(wait.boxed());
        Some(message)
    }

    /// Waits for no answer any more. What tells the client so, for each question that it has not answered.
    pub(super) fn withdraw(&mut self) -> Vec<Vec<u8>> {
        self.waiting.clear();
        self.open.drain(..).map(|ours| lower_withdrawn(&ours)).collect()
    }

    /// An answer, and to which question. Never returns while nothing is open. Safe to drop and call again.
    pub(super) async fn answered(&mut self) -> (RawId, QuestionReply) {
        match self.waiting.next().await {
            Some(Answered { ours, theirs, reply }) => {
                self.open.retain(|open| *open != ours);
                (theirs, reply)
            }
            None => std::future::pending().await,
        }
    }
}

/// What the client said to a question of this kind.
fn reply(kind: QuestionKind, outcome: Outcome) -> QuestionReply {
    match outcome {
        Outcome::Result(result) if kind.is_answered_by(&result) => QuestionReply::Result(result),
        Outcome::Result(_) => failed("the client answered something else"),
        Outcome::Error { code, message } => QuestionReply::Error { code, message: plain(&message) },
    }
}

/// The client's own words, short and without anything that could move a terminal's cursor.
fn plain(text: &str) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.truncate(text.floor_char_boundary(QUESTION_ERROR_BYTES_MAX));
    text
}

fn failed(why: &str) -> QuestionReply {
    QuestionReply::Error { code: codes::INTERNAL_ERROR, message: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::client_caps::ClientCaps;
    use crate::vocab::Revision;

    #[test]
    fn an_answer_counts_once_and_only_from_the_session_that_was_asked() {
        let session = |id| Session { id, revision: Revision::V2025_11_25, caps: ClientCaps::ALL, expires_s: u64::MAX };
        let id = |text: &str| RawId::of(&RawJson::of_text(text)).unwrap();
        let outcome = || Outcome::Result(RawJson::of_static("{}"));
        let questions = Questions::default();
        let (registered, mut receiver) = questions.register(session(1), &id("pq-1"));
        assert!(!questions.answer(session(2), &id("pq-1"), outcome()));
        assert!(!questions.answer(session(1), &id("pq-2"), outcome()));
        assert!(receiver.try_recv().is_err());
        assert!(questions.answer(session(1), &id("pq-1"), outcome()));
        assert!(matches!(receiver.try_recv(), Ok(Outcome::Result(_))));
        assert!(!questions.answer(session(1), &id("pq-1"), outcome()));
        let (late, _receiver) = questions.register(session(1), &id("pq-3"));
        drop((registered, late));
        assert!(questions.open.is_empty());
        let ((kept, mut over), (other, mut going)) =
            (questions.register(session(1), &id("a")), questions.register(session(2), &id("a")));
        questions.end(1);
        assert!(matches!(over.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(matches!(going.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        drop((kept, other));
        assert!(!questions.answer(session(1), &id("pq-3"), outcome()));
    }

    #[test]
    fn each_has_so_many_calls_that_ask_and_whoever_has_none_is_forgotten() {
        let questions = Questions::default();
        let ask = |sub: &str| questions.asking(PrincipalKey { iss: "i".into(), sub: sub.into() });
        let mut places: Vec<Asking> = (0..ROUNDS_PER_PRINCIPAL_MAX).map(|_| ask("alice").unwrap()).collect();
        assert!(ask("alice").is_none());
        let bobs = ask("bob").unwrap();
        places.pop();
        places.push(ask("alice").unwrap());
        assert!(ask("alice").is_none());
        drop((places, bobs));
        assert!(questions.asking.is_empty());
    }

    #[test]
    fn an_answer_to_something_else_is_none() {
        let of = |json: &'static str| reply(QuestionKind::Person, Outcome::Result(RawJson::of_static(json)));
        assert!(matches!(of(r#"{"action":"decline"}"#), QuestionReply::Result(_)));
        assert!(matches!(of(r#"{"roots":[]}"#), QuestionReply::Error { code: codes::INTERNAL_ERROR, .. }));
    }

    #[test]
    fn a_clients_error_is_cut_and_cleaned() {
        assert_eq!(plain("no\u{1b}[31m\r\n thanks\0"), "no[31m thanks");
        assert_eq!(plain(&"\u{e4}".repeat(1000)).len(), QUESTION_ERROR_BYTES_MAX);
    }
}
