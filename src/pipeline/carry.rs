//! Questions that travel as requests (2025-11-25 and older): from an upstream's stream to that of the very call, and the
//! client's answer back. An answer counts once, and only from the session that was asked.

use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::session::Session;
use super::watch::Watched;
use crate::inspect::Inspected;
use crate::mcp::dialect::lower_question;
use crate::mcp::{Outcome, RawId, RawJson, codes};
use crate::upstream::QuestionReply;
use crate::vocab::Fault;
use crate::vocab::limits::{CALL_QUESTIONS_MAX, QUESTION_ERROR_BYTES_MAX};

type Open = DashMap<(u128, Box<str>), oneshot::Sender<Outcome>>;

/// Questions that wait for a client, by session and our id. Bounded by the requests in flight times `CALL_QUESTIONS_MAX`.
#[derive(Default)]
pub struct Questions {
    open: Arc<Open>,
}

impl Questions {
    /// Gives the answer of `session` to whoever waits for it. False when nobody does: never asked, asked of another session,
    /// answered before, or too late.
    pub(super) fn answer(&self, session: Session, id: &RawId, outcome: Outcome) -> bool {
        let waiting = self.open.remove(&(session.id, Box::from(id.as_str())));
        waiting.is_some_and(|(_, waiting)| waiting.send(outcome).is_ok())
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

/// The questions of one call.
#[derive(Default)]
pub(super) struct Carrier {
    waiting: FuturesUnordered<BoxFuture<'static, (RawId, QuestionReply)>>,
    sending: FuturesUnordered<BoxFuture<'static, Result<(), Fault>>>,
}

impl Carrier {
    /// Takes over a question; the message that puts it to the client of `session`, under an id of ours. `None` when too many are
    /// open already: then it is refused.
    pub(super) fn ask(
        &mut self,
        questions: &Questions,
        session: Option<Session>,
        events: &mpsc::Sender<Bytes>,
        answer: &Watched,
        (theirs, method, params): (RawId, &str, Option<&Inspected<RawJson>>),
    ) -> Option<Vec<u8>> {
        let Some(session) = session.filter(|_| self.waiting.len() < CALL_QUESTIONS_MAX) else {
            self.sending.push(answer.answer(&theirs, QuestionReply::Refused));
            return None;
        };
        let ours = format!("pq-{}", uuid::Uuid::now_v7().simple());
        let ours = RawId::of(&RawJson::of_text(&ours))?;
        let (registered, outcome) = questions.register(session, &ours);
        let client = events.clone();
        let wait = async move {
            let _registered = registered;
            tokio::select! {
                outcome = outcome => (theirs, outcome.map_or_else(|_| gone(), reply)),
                // Its call goes on without the client; its question cannot.
                () = client.closed() => (theirs, gone()),
            }
        };
        self.waiting.push(wait.boxed());
        Some(lower_question(&ours, method, params.map(Inspected::get)))
    }

    /// Returns when there was something to do: an answer of the client is on its way to the upstream, or has arrived. Never
    /// returns while nothing is open. Safe to drop and call again.
    pub(super) async fn settled(&mut self) -> Settled {
        tokio::select! {
            Some((id, reply)) = self.waiting.next() => Settled::Answered(id, reply),
            Some(sent) = self.sending.next() => Settled::Sent(sent),
            else => std::future::pending().await,
        }
    }

    /// Sends an answer to the upstream.
    pub(super) fn send(&mut self, answer: &Watched, id: &RawId, reply: QuestionReply) {
        self.sending.push(answer.answer(id, reply));
    }
}

/// What happened to a question.
pub(super) enum Settled {
    /// There is an answer to send.
    Answered(RawId, QuestionReply),
    /// An answer was sent, or not.
    Sent(Result<(), Fault>),
}

fn reply(outcome: Outcome) -> QuestionReply {
    match outcome {
        Outcome::Result(result) => QuestionReply::Result(result),
        Outcome::Error { code, message } => QuestionReply::Error { code, message: plain(&message) },
    }
}

/// The client's own words, short and without anything that could move a terminal's cursor.
fn plain(text: &str) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.truncate(text.floor_char_boundary(QUESTION_ERROR_BYTES_MAX));
    text
}

fn gone() -> QuestionReply {
    QuestionReply::Error { code: codes::INTERNAL_ERROR, message: "the client is gone".to_owned() }
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
        assert!(!questions.answer(session(1), &id("pq-3"), outcome()));
    }

    #[test]
    fn a_clients_error_is_cut_and_cleaned() {
        assert_eq!(plain("no\u{1b}[31m\r\n thanks\0"), "no[31m thanks");
        assert_eq!(plain(&"\u{e4}".repeat(1000)).len(), QUESTION_ERROR_BYTES_MAX);
    }
}
