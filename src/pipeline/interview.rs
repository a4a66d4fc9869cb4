//! Questions of a task that the gateway waits for (the tasks extension, "Task Update Requests"): put to the client by requests, on
//! the stream of the call that it knows, and answered together, under a permit of its own. Questions of a task of 2025-11-25 come
//! while its result is waited for, and are those of any call.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::authorize::{authorize_task, discharge};
use super::ctx::Ctx;
use super::errand::malformed;
use super::link;
use super::question::{DECLINED, UNABLE, entries};
use super::refusal::Refusal;
use super::route::{self, Target};
use super::stream::{Course, End, Relay};
use super::watch::Watched;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::{QuestionKind, cancelled_question, lower_question_result};
use crate::mcp::{RawId, RawJson};
use crate::policy::TaskStep;
use crate::policy::permit::Permit;
use crate::upstream::{Event, Patience, QuestionReply};
use crate::vocab::limits::{CALL_QUESTIONS_MAX, ROUNDS_MAX};
use crate::vocab::{Deadline, Fault, FaultKind, Revision};

/// What a task asked, and what of it is answered.
pub(super) struct Interview {
    patience: Patience,
    /// Every key that the task used; none is used twice.
    keys: HashSet<String>,
    rounds: u32,
    /// Not handed on yet.
    next: VecDeque<Event>,
    /// The task does not know the answers to these yet.
    open: Vec<Open>,
}

struct Open {
    key: String,
    /// Ours.
    id: RawId,
    kind: QuestionKind,
    answer: Option<RawJson>,
}

impl Interview {
    /// Nothing is asked yet, and the call ends at `deadline`.
    pub(super) fn new(deadline: Deadline) -> Self {
        let (keys, next, open) = Default::default();
        Self { patience: Patience::new(deadline), keys, rounds: 0, next, open }
    }

    /// When the call ends: later, while somebody is asked.
    pub(super) fn deadline(&self) -> Deadline {
        self.patience.deadline()
    }

    /// How long a question may wait for its answer.
    pub(super) fn longest_question(&self) -> Duration {
        self.patience.longest()
    }

    /// The next question to be put.
    pub(super) fn next(&mut self) -> Option<Event> {
        let next = self.next.pop_front();
        if next.is_some() {
            self.patience.asked();
        }
        next
    }

    /// Takes what the task asks for now. What it asked for before is known.
    ///
    /// # Errors
    /// A fault for a question that `granted` does not cover, and for too many.
    pub(super) fn read(&mut self, requests: &RawJson, granted: ClientCaps) -> Result<(), Fault> {
        let mut fresh = false;
        for (key, method, params) in entries(requests).map_err(|_| malformed("a task's questions cannot be read"))? {
            if self.keys.contains(&key) {
                continue;
            }
            let kind = QuestionKind::of(&method).filter(|_| granted.cover(&method, params.as_ref()));
            let kind = kind.ok_or_else(|| malformed("a task asks what it may not ask"))?;
            if self.open.len() >= CALL_QUESTIONS_MAX {
                return Err(malformed("a task asks too much at once"));
            }
            let id = RawId::number(self.keys.len() as u64);
            self.keys.insert(key.clone());
            self.open.push(Open { key, id: id.clone(), kind, answer: None });
            self.next.push_back(Event::Question { id, method, params });
            fresh = true;
        }
        self.rounds += u32::from(fresh);
        if self.rounds > ROUNDS_MAX {
            return Err(malformed("a task asks in too many rounds"));
        }
        Ok(())
    }

    /// Whether the question `id` is one of the task's, rather than one that the call asked before the task was made.
    pub(super) fn has(&self, id: &RawId) -> bool {
        id.as_u64().is_some_and(|id| id < self.keys.len() as u64)
    }

    /// Takes the client's answer to the question `id`; whether it was the last that was missing.
    ///
    /// # Errors
    /// A sentence for the client where there is no answer, and nobody who could say no.
    pub(super) fn answered(&mut self, id: &RawId, reply: QuestionReply) -> Result<bool, Refusal> {
        self.patience.answered();
        let Some(open) = self.open.iter_mut().find(|open| open.id == *id) else { return Ok(false) };
        let answer = match reply {
            QuestionReply::Result(result) => lower_question_result(Revision::V2026_07_28, &result),
            QuestionReply::Refused => return Err(Refusal::Unanswered(UNABLE)),
            QuestionReply::Error { .. } => Some(cancelled_question()).filter(|_| open.kind == QuestionKind::Person),
        };
        open.answer = Some(answer.ok_or(Refusal::Unanswered(DECLINED))?);
        Ok(self.open.iter().all(|open| open.answer.is_some()))
    }

    /// `inputResponses` for what is answered.
    pub(super) fn responses(&mut self) -> RawJson {
        let answers = std::mem::take(&mut self.open).into_iter().filter_map(|open| Some((open.key, open.answer?)));
        RawJson::object(&answers.collect::<Vec<_>>())
    }
}

impl Relay {
    /// Takes the client's answer to a question of the task that `call` waits for. The last one lets the task go on.
    pub(super) async fn answered_task(
        &mut self,
        mut call: Box<Watched>,
        id: &RawId,
        reply: QuestionReply,
    ) -> Result<Course, End> {
        let refusal = match call.task_answered(id, reply) {
            Ok(false) => return Ok(Course::Answering(call)),
            Ok(true) => match permit(&mut self.ctx, &self.target).await {
                Ok(permit) => {
                    call.task_goes_on(permit);
                    return Ok(Course::Answering(call));
                }
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        Err(self.refuse(call, refusal))
    }
}

/// The right to answer a task of `before`, decided as if the client answered it now.
async fn permit(ctx: &mut Ctx, before: &Target) -> Result<Permit, Refusal> {
    ctx.renew()?;
    let upstream = before.view.upstream().settings().name.clone();
    let target = route::tool(ctx, &upstream, &before.name).await?;
    if !before.is_still(&target) {
        return Err(Fault::internal(FaultKind::Failed, "the upstream that asked is not there any more").into());
    }
    let decision = authorize_task(ctx, &target, TaskStep::Answer)?;
    link::required(ctx, target.view.upstream()).await?;
    discharge(ctx, decision, &target, None).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn asked(keys: &[&str]) -> RawJson {
        let form = r#"{"method":"elicitation/create","params":{"message":"m","requestedSchema":{}}}"#;
        let roots = r#"{"method":"roots/list"}"#;
        let of = |key: &&str| format!("\"{key}\":{}", if key.starts_with('r') { roots } else { form });
        let text = format!("{{{}}}", keys.iter().map(of).collect::<Vec<_>>().join(","));
        RawJson::parse(Bytes::from(text), 8).unwrap()
    }

    fn begun() -> Interview {
        Interview::new(Deadline::after(Duration::from_secs(9)))
    }

    fn next(interview: &mut Interview) -> RawId {
        match interview.next() {
            Some(Event::Question { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_is_asked_once_and_answers_go_back_together() {
        let mut interview = begun();
        let said = |text: &'static str| QuestionReply::Result(RawJson::of_static(text));
        interview.read(&asked(&["a", "r"]), ClientCaps::ALL).unwrap();
        interview.read(&asked(&["a", "r"]), ClientCaps::ALL).unwrap();
        let (first, second) = (next(&mut interview), next(&mut interview));
        assert!(interview.next().is_none() && interview.patience.is_asking());
        assert!(!interview.answered(&second, said(r#"{"roots":[]}"#)).unwrap());
        assert!(!interview.answered(&RawId::number(99), said("{}")).unwrap(), "nobody asked that");
        let no = QuestionReply::Error { code: -1, message: String::new() };
        assert!(interview.answered(&first, no).unwrap(), "a person who does not answer says no");
        assert_eq!(interview.responses().as_str(), r#"{"a":{"action":"cancel"},"r":{"roots":[]}}"#);
        interview.read(&asked(&["a", "r", "b"]), ClientCaps::ALL).unwrap();
        next(&mut interview);
        assert!(interview.next().is_none());
    }

    #[test]
    fn what_is_not_granted_too_much_or_unanswered_ends_it() {
        assert!(begun().read(&asked(&["a"]), ClientCaps { roots: true, ..ClientCaps::NONE }).is_err());
        let many: Vec<String> = (0..=CALL_QUESTIONS_MAX).map(|n| format!("k{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(begun().read(&asked(&many), ClientCaps::ALL).is_err());
        assert!(begun().read(&asked(&many[1..]), ClientCaps::ALL).is_ok());
        let mut interview = begun();
        for round in 0..ROUNDS_MAX {
            interview.read(&asked(&[&format!("k{round}")]), ClientCaps::ALL).unwrap();
            let id = next(&mut interview);
            assert!(interview.answered(&id, QuestionReply::Result(RawJson::of_static(r#"{"action":"accept"}"#))).unwrap());
            interview.responses();
        }
        assert!(interview.read(&asked(&["last"]), ClientCaps::ALL).is_err());
        for (key, reply) in [("r", QuestionReply::Error { code: -1, message: String::new() }), ("a", QuestionReply::Refused)] {
            let mut interview = begun();
            interview.read(&asked(&[key]), ClientCaps::ALL).unwrap();
            let id = next(&mut interview);
            assert!(interview.answered(&id, reply).is_err());
        }
    }
}
