//! Tasks that a client follows: told how they stand when their upstream says that they moved (the tasks extension, "Task Status
//! Notifications"; 2025-11-25, tasks). What an upstream says is only that; how a task stands is then asked for, decided and shown as
//! if the client had asked itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::authorize::{hear_task, task_permit};
use super::ctx::Ctx;
use super::errand::malformed;
use super::question::{self, allowed};
use super::refusal::Refusal;
use super::route::{self, Target};
use super::task::shown;
use super::task_id::TaskId;
use super::watch::{Seen, Watched};
use crate::mcp::outgoing::OwnTask;
use crate::mcp::task::{Form, Task, declaring};
use crate::mcp::{Method, Outgoing, RawJson, Reply, codes};
use crate::policy::permit::Permit;
use crate::policy::{Hints, TaskStep};
use crate::vocab::limits::FOLLOWED_MS_MAX;
use crate::vocab::{Deadline, Fault, FaultKind};

/// A task, and what its client calls it.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub(super) upstream: Arc<str>,
    pub(super) text: Arc<str>,
    task: Arc<TaskId>,
    /// The tool that made it, as rules call it, and what it says of itself.
    full: Arc<str>,
    hints: Hints,
}

/// The members of a task as its client may see it.
pub(super) type State = Vec<(RawJson, RawJson)>;

/// What was found out about tasks that moved.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How they stand, as the client may be told.
    pub(super) states: Vec<State>,
    /// Those that are over: what the client calls them. There is nothing more to hear of them.
    pub(super) over: Vec<Arc<str>>,
}

impl Followed {
    /// The task that `text` names to this client, on the route of the request. `None` for a text that opens nothing here, and where
    /// the tool that made it cannot be found out about.
    pub(super) async fn open(ctx: &Ctx, form: Form, text: &str) -> Option<Self> {
        let (who, route) = (ctx.principal().ok()?.key(), ctx.route().ok()?);
        let now_s = ctx.gateway.clock.unix_s();
        let task = TaskId::open(&ctx.gateway.sealer, (&who, &route.path), form, text, now_s).ok()?;
        let upstream = route.upstreams.iter().find(|name| ***name == *task.upstream)?.clone();
        let target = route::tool(ctx, &task.upstream, &task.tool).await.ok()?;
        let hints = target.entry.as_ref()?.hints;
        Some(Self { upstream, text: text.into(), task: Arc::new(task), full: target.full, hints })
    }

    /// The task that a call of `target` made, which its client calls `text`.
    pub(super) fn made(target: &Target, task: TaskId, text: &str) -> Self {
        let upstream = target.view.upstream().settings().name.clone();
        let hints = target.entry.as_ref().map_or(Hints::default(), |entry| entry.hints);
        Self { upstream, text: text.into(), task: Arc::new(task), full: target.full.clone(), hints }
    }

    /// About how much it takes to remember it.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.task.id.len() + self.task.tool.len() + self.full.len()
    }

    /// The upstream's own id.
    pub(super) fn own(&self) -> &str {
        &self.task.id
    }

    /// The right to hear of it, by the rules in force now; with the upstream's own id.
    pub(super) fn permit(&self, ctx: &Ctx) -> Option<(String, Permit)> {
        let (principal, route) = (ctx.principal().ok()?, &ctx.route().ok()?.path);
        let permit = task_permit(&ctx.gateway, principal, route, (&self.full, self.hints), TaskStep::Poll);
        Some((self.task.id.clone(), permit.ok()?))
    }

    /// How it stands, as the client may see it, and whether it is over. `None` where its upstream does not know it any more.
    async fn state(&self, ctx: &mut Ctx) -> Result<Option<(State, bool)>, Refusal> {
        let target = route::tool(ctx, &self.upstream, &self.task.tool).await?;
        let granted = ctx.asked.caps.and(allowed(&ctx.world, ctx.principal()?, &self.upstream, ctx.moment_now()));
        let mut out = Outgoing::new(Method::TasksGet);
        out.task = Some(OwnTask { id: self.task.id.clone(), tool: target.name.clone() });
        out.session_capabilities = self.task.caps.and(question::told(ctx, &self.upstream));
        if self.task.form == Form::Extension {
            ctx.asked.granted = granted;
            out.client_capabilities = declaring(&granted.to_json());
        }
        ctx.place(&mut out);
        let permit = hear_task(ctx, &target)?;
        let mut call = Watched::call(ctx, &target, permit, Box::new(out))?.made().await?;
        let reply = loop {
            match call.next().await {
                Some(Ok(Seen::Reply(reply))) => break reply.into_inner(),
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Err(fault.into()),
                None => return Err(malformed("the answer never came").into()),
            }
        };
        call.over(ctx);
        let body = match reply {
            Reply::Result(body) => body,
            Reply::Error(error) if error.code == codes::INVALID_PARAMS => return Ok(None),
            Reply::Error(_) => return Err(Fault::upstream(FaultKind::Failed, "lost a task").into()),
        };
        let task = Task::read(self.task.form, &body).map_err(|_| malformed("an answer about a task is none"))?;
        if task.id != self.task.id {
            return Err(malformed("an answer about another task").into());
        }
        Ok(Some((shown(ctx, &target, &task, &self.text)?, task.status.is_final())))
    }
}

/// Tasks that moved, and the look at how they stand. It goes on beside whatever else happens on the stream.
#[derive(Default)]
pub(super) struct Looks {
    /// Not looked at yet, each once.
    moved: Vec<Followed>,
    /// Looked at now.
    under_way: Vec<Followed>,
    look: Option<BoxFuture<'static, Found>>,
}

impl Looks {
    /// These moved.
    pub(super) fn add(&mut self, moved: Vec<Followed>) {
        let known = moved.into_iter().filter(|task| self.moved.iter().all(|other| other.text != task.text));
        let known: Vec<Followed> = known.collect();
        self.moved.extend(known);
    }

    /// Other rules are in force: whatever is under way is looked at by those.
    pub(super) fn begin_anew(&mut self) {
        self.look = None;
        let again = std::mem::take(&mut self.under_way);
        self.add(again);
    }

    /// How those stand that moved, as the client may be told. Never returns while none did. Safe to drop and call again.
    pub(super) async fn next(&mut self, ctx: &Ctx) -> Found {
        if self.look.is_none() {
            if self.moved.is_empty() {
                return std::future::pending().await;
            }
            self.under_way = std::mem::take(&mut self.moved);
            let aside = ctx.beside(Deadline::after(Duration::from_millis(FOLLOWED_MS_MAX)));
            self.look = Some(states(aside, self.under_way.clone()).boxed());
        }
        let found = match &mut self.look {
            Some(look) => look.await,
            None => Found::default(),
        };
        (self.look, self.under_way) = (None, Vec::new());
        found
    }
}

/// How those of `moved` stand that the client may be told of now. What cannot be found out in time is not told: whoever follows a task
/// can ask.
async fn states(mut ctx: Ctx, moved: Vec<Followed>) -> Found {
    let mut found = Found::default();
    let until = ctx.deadline.instant();
    for followed in moved {
        match tokio::time::timeout_at(until.into(), Box::pin(followed.state(&mut ctx))).await {
            Ok(Ok(Some((state, over)))) => {
                found.states.push(state);
                found.over.extend(over.then_some(followed.text));
            }
            Ok(Ok(None)) => found.over.push(followed.text),
            Ok(Err(refusal)) => {
                tracing::debug!(record = %ctx.id, upstream = %followed.upstream, ?refusal, "a task is not told of")
            }
            Err(_) => break,
        }
    }
    found
}
