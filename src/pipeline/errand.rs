//! What the gateway asks about a task that it waits for on behalf of a client: each time by a permit of its own, made by the rules in
//! force then.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Gateway;
use super::authorize::task_permit;
use super::ctx::Ctx;
use super::question::allowed;
use super::refusal::Refusal;
use super::route::Target;
use super::traced;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::outgoing::OwnTask;
use crate::mcp::task::{Form, Status, Task, declaring};
use crate::mcp::{Method, Outgoing, RawJson, Reply};
use crate::policy::permit::Permit;
use crate::policy::{Hints, Moment, TaskStep};
use crate::telemetry::trace::TraceContext;
use crate::upstream::{Answer, Event, Upstream};
use crate::vocab::limits::{TASK_CANCEL_MS_MAX, TASK_LOOKS_LOST_MAX, TASK_POLL_MS, TASK_POLL_MS_MAX, TASK_POLL_MS_MIN};
use crate::vocab::{Deadline, Fault, FaultKind, Principal, PrincipalKey};

/// Everything it takes to ask about the task, whatever becomes of the request meanwhile.
pub(super) struct Errand {
    pub(super) gateway: Arc<Gateway>,
    principal: Arc<Principal>,
    who: PrincipalKey,
    route: Arc<str>,
    pub(super) upstream: Arc<Upstream>,
    full: Arc<str>,
    tool: String,
    hints: Hints,
    pub(super) form: Form,
    told: ClientCaps,
    /// What the client can be asked, by its own word.
    declared: ClientCaps,
    trace: TraceContext,
}

/// What a step came to.
pub(super) enum Step {
    Looked(Box<Task>),
    Listening(Box<Answer>),
}

impl Errand {
    /// About the task of a call of `target`, in a session that was told `told`.
    ///
    /// # Errors
    /// As [`Ctx::principal`].
    pub(super) fn new(ctx: &Ctx, target: &Target, form: Form, told: ClientCaps) -> Result<Self, Refusal> {
        let principal = ctx.principal()?.clone();
        Ok(Self {
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
            // Questions go by the stream of the call.
            declared: if ctx.streams { ctx.asked.caps } else { ClientCaps::NONE },
            trace: ctx.trace.clone(),
        })
    }

    /// Looks how it stands, after so many looks before; or, where the result comes by itself, waits for it.
    pub(super) fn step(self: Arc<Self>, task: &Task, looks: u64, deadline: Deadline) -> BoxFuture<'static, Result<Step, Fault>> {
        let id = task.id.clone();
        if self.form == Form::Session && task.status != Status::Working {
            return async move {
                let out = self.about(Method::TasksResult, id);
                let answer = self.ask(self.permit(TaskStep::Poll)?, out, deadline).await?;
                Ok(Step::Listening(Box::new(answer)))
            }
            .boxed();
        }
        let pause = task.poll_ms.unwrap_or(TASK_POLL_MS).clamp(TASK_POLL_MS_MIN, TASK_POLL_MS_MAX);
        // What is over already needs no waiting for, nor what asks from the beginning.
        let at_once = task.status.is_final() || (looks == 0 && task.status == Status::InputRequired);
        let pause = if at_once { 0 } else { pause };
        async move {
            let mut lost = 0;
            loop {
                let wake = Deadline::after(Duration::from_millis(pause)).instant().min(deadline.instant());
                tokio::time::sleep_until(wake.into()).await;
                if deadline.remaining().is_zero() {
                    return Err(Fault::upstream(FaultKind::Timeout, "the task was not over in time"));
                }
                match self.look(id.clone(), deadline).await {
                    // The task goes on though a look at it failed.
                    Err(fault) if fault.kind == FaultKind::Unreachable && lost < TASK_LOOKS_LOST_MAX => lost += 1,
                    looked => return looked.map(|task| Step::Looked(Box::new(task))),
                }
            }
        }
        .boxed()
    }

    async fn look(&self, id: String, deadline: Deadline) -> Result<Task, Fault> {
        let answer = self.ask(self.permit(TaskStep::Poll)?, self.about(Method::TasksGet, id), deadline).await?;
        match reply(answer).await? {
            Reply::Result(body) => Task::read(self.form, &body).map_err(|_| malformed("an answer about a task is none")),
            Reply::Error(error) => Err(Fault::upstream(FaultKind::Failed, format!("lost a task: error {}", error.code))),
        }
    }

    /// A permit for a step, by the rules in force now.
    pub(super) fn permit(&self, step: TaskStep) -> Result<Permit, Fault> {
        task_permit(&self.gateway, &self.principal, &self.route, (&self.full, self.hints), step)
    }

    /// What the client can be asked by the rules in force now.
    pub(super) fn granted(&self) -> ClientCaps {
        let now_unix_ms = i64::try_from(self.gateway.clock.unix_ms()).unwrap_or(0);
        let (world, upstream) = (self.gateway.world.load(), &self.upstream.settings().name);
        self.declared.and(allowed(&world, &self.principal, upstream, Moment { now_unix_ms, route: &self.route }))
    }

    fn about(&self, method: Method, id: String) -> Outgoing {
        let mut out = Outgoing::new(method);
        out.task = Some(OwnTask { id, tool: self.tool.clone() });
        out.session_capabilities = self.told;
        (out.traceparent, out.tracestate) = traced::of(&self.trace);
        if self.form == Form::Extension {
            out.client_capabilities = declaring(&self.granted().to_json());
        }
        out
    }

    async fn ask(&self, permit: Permit, out: Outgoing, deadline: Deadline) -> Result<Answer, Fault> {
        Box::pin(self.upstream.call(permit, &self.who, &out, deadline)).await
    }

    pub(super) async fn answer(&self, permit: Permit, id: String, responses: RawJson, deadline: Deadline) -> Result<(), Fault> {
        let mut out = self.about(Method::TasksUpdate, id);
        out.input_responses = Some(responses);
        match reply(self.ask(permit, out, deadline).await?).await? {
            Reply::Result(_) => Ok(()),
            Reply::Error(error) => Err(Fault::upstream(FaultKind::Failed, format!("took no answer: error {}", error.code))),
        }
    }

    /// Whatever comes of it: nobody waits.
    pub(super) async fn cancel(&self, permit: Permit, id: String) {
        let deadline = Deadline::after(Duration::from_millis(TASK_CANCEL_MS_MAX));
        let done = async { reply(self.ask(permit, self.about(Method::TasksCancel, id), deadline).await?).await };
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

/// What an upstream said of a task is none of what it can be.
pub(super) fn malformed(detail: &'static str) -> Fault {
    Fault::upstream(FaultKind::Malformed, detail)
}
