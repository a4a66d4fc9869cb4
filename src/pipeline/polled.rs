//! Waiting for a task on behalf of a client that knows none: looked at from time to time until it is over, each time by a permit of
//! its own, then answered as the call that it is. Nobody waiting any more, the task is cancelled. Whatever comes of it is inspected
//! by [`super::watch`], which alone is handed it.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::ctx::Ctx;
use super::errand::{Errand, Step, malformed};
use super::interview::Interview;
use super::refusal::Refusal;
use super::route::Target;
use crate::inspect::Members;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::reply::ResultKind;
use crate::mcp::task::{Form, Status, Task, outcome, unrelate};
use crate::mcp::{RawJson, Reply, RpcError, codes};
use crate::policy::TaskStep;
use crate::policy::permit::Permit;
use crate::upstream::{Answer, Event};
use crate::vocab::{Deadline, Fault, FaultKind};

/// A call whose task is waited for. Dropped before the end, it cancels the task.
pub(super) struct Polled {
    errand: Arc<Errand>,
    stage: Stage,
    /// The upstream's own id, until the task is over.
    open: Option<String>,
    /// To cancel it with, made while the call's own decision held: whatever ends the wait, the task does not go on.
    cancel: Option<Permit>,
    /// What is under way; behind a lock that is never taken, for a future cannot be shared.
    step: Mutex<Option<BoxFuture<'static, Result<Step, Fault>>>>,
    looks: u64,
    /// What the task asks, where that stands in how it is (the extension).
    interview: Interview,
    /// Answers on their way to the task; behind a lock as above.
    answering: Option<Mutex<BoxFuture<'static, Result<(), Fault>>>>,
    /// The upstream tells its progress itself.
    progresses: bool,
    /// The call that made the task, kept for what its permit holds, while its result comes as an answer of its own.
    made: Option<Answer>,
}

enum Stage {
    /// The call was not answered yet.
    Calling,
    /// A task was made; as it was seen last.
    Waiting(Box<Task>),
    /// The task's result is coming as an answer of its own (2025-11-25).
    Listening,
}

/// What came of waiting.
pub(super) enum Turn {
    /// Nothing yet.
    Still,
    /// Nothing yet, which can be told as progress.
    Progress(Members),
    /// The task asks something.
    Asks(Event),
    /// The answer to the call.
    Over(Reply),
    /// Where the answer to the call comes from now on.
    Listen(Box<Answer>),
}

impl Polled {
    /// Waits for the task of a call of `target` until `deadline`, in a session that was told `told`.
    ///
    /// # Errors
    /// As [`Ctx::principal`].
    pub(super) fn new(ctx: &Ctx, target: &Target, form: Form, told: ClientCaps, deadline: Deadline) -> Result<Self, Refusal> {
        let errand = Errand::new(ctx, target, form, told)?;
        let cancel = Some(errand.permit(TaskStep::Cancel)?);
        let (stage, step, interview) = (Stage::Calling, Mutex::new(None), Interview::new(deadline));
        let (open, answering, made) = (None, None, None);
        let errand = Arc::new(errand);
        Ok(Self { errand, stage, open, cancel, step, looks: 0, interview, answering, progresses: false, made })
    }

    /// Whether there is a task to wait for, rather than an answer to read.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    /// The upstream told of progress: nothing is made up beside it.
    pub(super) fn progressed(&mut self) {
        self.progresses = true;
    }

    /// Keeps the call that made the task.
    pub(super) fn keep(&mut self, made: Answer) {
        self.made = Some(made);
    }

    /// See [`Self::keep`].
    pub(super) fn made(&mut self) -> Option<&mut Answer> {
        self.made.as_mut()
    }

    /// Takes over a task that was made instead of an answer, or gives the answer back.
    ///
    /// # Errors
    /// A fault for a task that is none.
    pub(super) fn take(&mut self, mut reply: Reply) -> Result<Option<Reply>, Fault> {
        let Reply::Result(body) = &mut reply else { return Ok(Some(self.over(reply))) };
        let task = match (&self.stage, self.errand.form) {
            (Stage::Calling, Form::Session) => Task::created_in_session(body),
            (Stage::Calling, Form::Extension) if body.kind == ResultKind::Task => Task::read(Form::Extension, body).map(Some),
            _ => Ok(None),
        };
        match task.map_err(|_| malformed("the upstream made a task that is none"))? {
            Some(task) => {
                self.open = Some(task.id.clone());
                self.stage = Stage::Waiting(Box::new(task));
                Ok(None)
            }
            None => {
                unrelate(body);
                Ok(Some(self.over(reply)))
            }
        }
    }

    /// One step further. Safe to drop and call again.
    ///
    /// # Errors
    /// The upstream's fault; one for a task that was cancelled, asks what it may not, or that policy does not let be looked at any
    /// more.
    pub(super) async fn turn(&mut self) -> Result<Turn, Fault> {
        let Stage::Waiting(task) = &self.stage else { return Ok(Turn::Still) };
        if let Some(answering) = &mut self.answering {
            let answered = answering.get_mut().await;
            self.answering = None;
            answered?;
        }
        if let Some(question) = self.interview.next() {
            return Ok(Turn::Asks(question));
        }
        let (looks, deadline) = (self.looks, self.interview.deadline());
        let step = self.step.get_mut().get_or_insert_with(|| Arc::clone(&self.errand).step(task, looks, deadline));
        let done = step.await;
        *self.step.get_mut() = None;
        match done? {
            Step::Listening(answer) => {
                self.stage = Stage::Listening;
                Ok(Turn::Listen(answer))
            }
            Step::Looked(task) => self.looked(*task),
        }
    }

    fn looked(&mut self, task: Task) -> Result<Turn, Fault> {
        if self.open.as_ref() != Some(&task.id) {
            return Err(malformed("an answer about another task"));
        }
        let message = task.message.clone();
        if self.errand.form == Form::Extension {
            match task.status {
                Status::Working => {}
                Status::InputRequired => {
                    let requests = task.input_requests.as_ref().ok_or_else(|| malformed("a task asks, and does not say what"))?;
                    self.interview.read(requests, self.errand.granted())?;
                }
                Status::Completed => {
                    let result = task.result.as_ref().ok_or_else(|| malformed("a task is completed without a result"))?;
                    let result = outcome(result).map_err(|_| malformed("a task's result is none"))?;
                    return Ok(Turn::Over(self.over(Reply::Result(result))));
                }
                Status::Failed => {
                    let unsaid = || RpcError { code: codes::INTERNAL_ERROR, message: String::new(), data: None };
                    return Ok(Turn::Over(self.over(Reply::Error(task.error.unwrap_or_else(unsaid)))));
                }
                Status::Cancelled => {
                    self.open = None;
                    return Err(Fault::upstream(FaultKind::Failed, "the upstream cancelled the task"));
                }
            }
        }
        self.stage = Stage::Waiting(Box::new(task));
        self.looks += 1;
        if self.progresses {
            return Ok(Turn::Still);
        }
        let looks = RawJson::of_ours(self.looks.to_string().into_bytes());
        let mut members = vec![(RawJson::of_static("\"progress\""), looks)];
        members.extend(message.map(|message| (RawJson::of_static("\"message\""), message)));
        Ok(Turn::Progress(members))
    }

    fn over(&mut self, reply: Reply) -> Reply {
        self.open = None;
        reply
    }

    /// What the task asks, while it is waited for and tells so in how it is.
    pub(super) fn interview(&mut self) -> Option<&mut Interview> {
        Some(&mut self.interview).filter(|_| matches!(self.stage, Stage::Waiting(_)))
    }

    /// Answers what the task asked.
    pub(super) fn go_on(&mut self, permit: Permit) {
        let Some(id) = self.open.clone() else { return };
        let (responses, deadline) = (self.interview.responses(), self.interview.deadline());
        let errand = self.errand.clone();
        self.answering = Some(Mutex::new(async move { errand.answer(permit, id, responses, deadline).await }.boxed()));
        // How it stood before is of no interest.
        *self.step.get_mut() = None;
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        let inside = tokio::runtime::Handle::try_current().is_ok() && !std::thread::panicking();
        if let Some((id, permit)) = self.open.take().zip(self.cancel.take()).filter(|_| inside) {
            let errand = self.errand.clone();
            self.errand.gateway.outlive(async move { errand.cancel(permit, id).await });
        }
    }
}
