//! Waiting for a task on behalf of a client that knows none: looked at from time to time until it is over, each time by a permit of
//! its own, then answered as the call that it is. Nobody waiting any more, the task is cancelled. Whatever comes of it is inspected
//! by [`super::watch`], which alone is handed it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::Gateway;
use super::authorize::task_permit;
use super::ctx::Ctx;
use super::refusal::Refusal;
use super::route::Target;
use crate::inspect::Members;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::outgoing::OwnTask;
use crate::mcp::reply::ResultKind;
use crate::mcp::task::{Form, Status, Task, outcome, required, unrelate};
use crate::mcp::{Method, Outgoing, RawJson, Reply, RpcError, codes};
use crate::policy::permit::Permit;
use crate::policy::{Hints, TaskStep};
use crate::upstream::{Answer, Event, Upstream};
use crate::vocab::limits::{TASK_CANCEL_MS_MAX, TASK_LOOKS_LOST_MAX, TASK_POLL_MS, TASK_POLL_MS_MAX, TASK_POLL_MS_MIN};
use crate::vocab::{Deadline, Fault, FaultKind, Principal, PrincipalKey};

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

enum Step {
    Looked(Box<Task>),
    Listening(Box<Answer>),
}

/// What came of waiting.
pub(super) enum Turn {
    /// Nothing yet.
    Still,
    /// Nothing yet, which can be told as progress.
    Progress(Members),
    /// The answer to the call.
    Over(Reply),
    /// Where the answer to the call comes from now on.
    Listen(Box<Answer>),
}

/// Everything it takes to ask about the task, whatever becomes of the request meanwhile.
struct Errand {
    gateway: Arc<Gateway>,
    principal: Arc<Principal>,
    who: PrincipalKey,
    route: Arc<str>,
    upstream: Arc<Upstream>,
    full: Arc<str>,
    tool: String,
    hints: Hints,
    form: Form,
    told: ClientCaps,
    traceparent: String,
    deadline: Deadline,
}

impl Polled {
    /// Waits for the task of a call of `target` until `deadline`, in a session that was told `told`.
    ///
    /// # Errors
    /// As [`Ctx::principal`].
    pub(super) fn new(ctx: &Ctx, target: &Target, form: Form, told: ClientCaps, deadline: Deadline) -> Result<Self, Refusal> {
        let principal = ctx.principal()?.clone();
        let errand = Errand {
            gateway: ctx.gateway.clone(),
            who: principal.key(),
            principal,
            route: ctx.route()?.path.clone(),
            upstream: target.view.upstream().clone(),
            full: target.full.clone(),
            tool: target.name.clone(),
            hints: target.entry.as_ref().map_or(Hints::default(), |entry| entry.hints),
            form,
            told,
            traceparent: ctx.trace.text(),
            deadline,
        };
        let cancel = Some(errand.permit(TaskStep::Cancel)?);
        let (stage, step) = (Stage::Calling, Mutex::new(None));
        Ok(Self { errand: Arc::new(errand), stage, open: None, cancel, step, looks: 0, progresses: false, made: None })
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
    /// The upstream's fault; one for a task that was cancelled, asks, or that policy does not let be looked at any more.
    pub(super) async fn turn(&mut self) -> Result<Turn, Fault> {
        let Stage::Waiting(task) = &self.stage else { return Ok(Turn::Still) };
        let step = self.step.get_mut().get_or_insert_with(|| Arc::clone(&self.errand).step(task));
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
                // Nobody was said to be there who could be asked.
                Status::InputRequired => return Err(malformed("a task asks what it may not ask")),
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

impl Errand {
    /// Looks how it stands; or, where the result comes by itself, waits for it.
    fn step(self: Arc<Self>, task: &Task) -> BoxFuture<'static, Result<Step, Fault>> {
        let id = task.id.clone();
        if self.form == Form::Session && task.status != Status::Working {
            return async move {
                self.ask(self.permit(TaskStep::Poll)?, Method::TasksResult, id, self.deadline)
                    .await
                    .map(|answer| Step::Listening(Box::new(answer)))
            }
            .boxed();
        }
        let pause = task.poll_ms.unwrap_or(TASK_POLL_MS).clamp(TASK_POLL_MS_MIN, TASK_POLL_MS_MAX);
        // What is over already needs no waiting for.
        let pause = if task.status == Status::Working { pause } else { 0 };
        async move {
            let mut lost = 0;
            loop {
                let wake = Deadline::after(Duration::from_millis(pause)).instant().min(self.deadline.instant());
                tokio::time::sleep_until(wake.into()).await;
                if self.deadline.remaining().is_zero() {
                    return Err(Fault::upstream(FaultKind::Timeout, "the task was not over in time"));
                }
                match self.look(id.clone()).await {
                    // The task goes on though a look at it failed.
                    Err(fault) if fault.kind == FaultKind::Unreachable && lost < TASK_LOOKS_LOST_MAX => lost += 1,
                    looked => return looked.map(|task| Step::Looked(Box::new(task))),
                }
            }
        }
        .boxed()
    }

    async fn look(&self, id: String) -> Result<Task, Fault> {
        let answer = self.ask(self.permit(TaskStep::Poll)?, Method::TasksGet, id, self.deadline).await?;
        match reply(answer).await? {
            Reply::Result(body) => Task::read(self.form, &body).map_err(|_| malformed("an answer about a task is none")),
            Reply::Error(error) => Err(Fault::upstream(FaultKind::Failed, format!("lost a task: error {}", error.code))),
        }
    }

    /// A permit for a step, by the rules in force now.
    fn permit(&self, step: TaskStep) -> Result<Permit, Fault> {
        task_permit(&self.gateway, &self.principal, &self.route, (&self.full, self.hints), step)
    }

    async fn ask(&self, permit: Permit, method: Method, id: String, deadline: Deadline) -> Result<Answer, Fault> {
        let mut out = Outgoing::new(method);
        out.task = Some(OwnTask { id, tool: self.tool.clone() });
        out.session_capabilities = self.told;
        out.traceparent = Some(self.traceparent.clone());
        if self.form == Form::Extension {
            // Nobody is there who could be asked.
            out.client_capabilities = required();
        }
        Box::pin(self.upstream.call(permit, &self.who, &out, deadline)).await
    }

    /// Whatever comes of it: nobody waits.
    async fn cancel(&self, permit: Permit, id: String) {
        let deadline = Deadline::after(Duration::from_millis(TASK_CANCEL_MS_MAX));
        let done = async { reply(self.ask(permit, Method::TasksCancel, id, deadline).await?).await };
        if let Err(fault) = done.await {
            tracing::info!(upstream = %self.upstream.settings().name, detail = %fault.detail, "a task could not be cancelled");
        }
    }
}

async fn reply(mut answer: Answer) -> Result<Reply, Fault> {
    while let Some(event) = answer.next().await {
        if let Event::Reply(reply) = event? {
            return Ok(reply);
        }
    }
    Err(malformed("the answer never came"))
}

fn malformed(detail: &'static str) -> Fault {
    Fault::upstream(FaultKind::Malformed, detail)
}
