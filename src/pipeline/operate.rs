//! Doing what is asked: one straight line for every operation.

use futures_util::FutureExt as _;
use http::{HeaderMap, Response, StatusCode};
use std::panic::AssertUnwindSafe;

use super::authorize::{authorize, discharge};
use super::body::ReplyBody;
use super::cancel::InFlight;
use super::completion::Completion;
use super::consult;
use super::ctx::Ctx;
use super::decode::{self, Asking};
use super::forward::{Forwarded, Leaving, forward, leaving, mirrored};
use super::hold::{self, Held};
use super::refusal::Refusal;
use super::reply::Answered;
use super::rescue::rescue;
use super::rounds::Before;
use super::route::{Target, resolve};
use super::stream::Streaming;
use super::{batch, deferred, handshake, link, listen, lists, resumable, sequel, stream, subscribed, task};
use crate::audit::Status;
use crate::catalog::Part;
use crate::mcp::dialect::Operation;
use crate::mcp::error::ProtocolError;
use crate::mcp::headers::McpHeaders;
use crate::mcp::{Message, Method, Outcome, RawId, RawJson};
use crate::policy::permit::Permit;
use crate::telemetry::names;
use crate::telemetry::spans::Stage;
use crate::vocab::{Fault, FaultKind, Reason};

/// What an operation came to.
pub(super) enum Done {
    Answered(Answered),
    Streaming(Box<Streaming>),
    /// People have to decide first.
    Held(Box<Held>),
}

/// Serves one operation.
pub(super) async fn operate(
    mut ctx: Box<Ctx>,
    mut operation: Box<Operation>,
    headers: &McpHeaders<'_>,
    in_flight: InFlight,
) -> Response<ReplyBody> {
    ctx.speaks();
    if operation.method == Method::Listen {
        return Box::pin(listen::serve(*ctx, &operation, in_flight)).await;
    }
    // What came back of a question of our own is ours: no later stage, and no upstream, sees it.
    let done = match own_part(&mut ctx, &mut operation).await {
        Ok(()) => run(&mut ctx, &operation, headers).await,
        Err(refusal) => Err(refusal),
    };
    if !matches!(done, Ok(Done::Streaming(_) | Done::Held(_))) {
        measure(&ctx, done.as_ref().err());
    }
    match done {
        Ok(Done::Answered(answered)) => answered.respond(&ctx),
        Ok(Done::Streaming(streaming)) => stream::relay(*ctx, operation, *streaming, in_flight),
        Ok(Done::Held(held)) => hold::stream(*ctx, operation, *held, in_flight),
        Err(refusal) => rescue(&ctx, refusal).respond(&ctx),
    }
}

/// Takes what is the gateway's own out of a retry.
async fn own_part(ctx: &mut Ctx, operation: &mut Operation) -> Result<(), Refusal> {
    link::resume(ctx, operation)?;
    consult::resume(ctx, operation).await
}

/// Whoever must link an account first is told how, and whoever needs an approval that people have to give.
pub(super) async fn run(ctx: &mut Ctx, operation: &Operation, headers: &McpHeaders<'_>) -> Result<Done, Refusal> {
    match line(ctx, operation, headers).await {
        Err(Refusal::Failed(fault)) if link::helps(ctx, &fault) => link::ask(ctx, operation, &fault).map(Done::Answered),
        Err(Refusal::Unapproved(unapproved)) => Box::pin(consult::tell(ctx, operation, headers, unapproved)).await,
        done => done,
    }
}

/// The line below the message: target, decision, obligations, call. Only `?`.
pub(super) async fn line(ctx: &mut Ctx, operation: &Operation, headers: &McpHeaders<'_>) -> Result<Done, Refusal> {
    // Lists ask every upstream; the same decision filters what they show.
    if let Some(part) = Part::of(operation.method) {
        ctx.mark(Stage::List);
        return Box::pin(lists::answer(ctx, operation, part)).await.map(Done::Answered);
    }
    // What the gateway answers for itself reaches no upstream's tools, prompts or resources.
    if handshake::is_local(operation.method) {
        return Box::pin(handshake::local(ctx, operation)).await.map(Done::Answered);
    }
    if operation.method == Method::ResourcesUnsubscribe {
        return Ok(Done::Answered(subscribed::unsubscribe(ctx, operation)));
    }
    // A task that was made before leads back to the tool that made it.
    if task::is_about(operation.method) {
        // Or to a call that waits for approval.
        if let Some(answered) = deferred::about(ctx, operation).await? {
            return Ok(Done::Answered(answered));
        }
        return Box::pin(about_task(ctx, operation)).await;
    }
    if !has_target(operation.method) {
        return Err(ProtocolError::method_not_found(operation.revision).with_id(ctx.asked.id.as_ref()).into());
    }
    // The gateway's own tool stands in for an upstream that cannot be listed for want of an account.
    if let Some(answered) = Box::pin(link::own_tool(ctx, operation)).await? {
        return Ok(Done::Answered(answered));
    }
    let Cleared { mut target, permit, leaving } = clear(ctx, operation, headers, None).await?;
    // What a session wants to be told of is remembered here; the stream that tells it asks for permits of its own.
    if operation.method == Method::ResourcesSubscribe {
        return Box::pin(subscribed::subscribe(ctx, operation, &target, permit)).await.map(Done::Answered);
    }
    // The permit is the only way out.
    let mut forwarded = forward(ctx, permit, &target, operation, leaving).await?;
    // Refused for want of tasks that the client does not know, or of headers that were not known here: made once more, by a decision
    // of its own.
    if matches!(forwarded, Forwarded::Again) {
        // Refused undone, it has not used the approval that it left with.
        ctx.sequel = sequel::keep_undone(ctx);
        let again = Box::pin(clear(ctx, operation, headers, None)).await?;
        target = again.target;
        forwarded = Box::pin(forward(ctx, again.permit, &target, operation, again.leaving)).await?;
    }
    done(target, forwarded)
}

/// The same line for a request about a task.
async fn about_task(ctx: &mut Ctx, operation: &Operation) -> Result<Done, Refusal> {
    let (target, decision) = task::open(ctx, operation).await?;
    let outgoing = task::outgoing(ctx, &target, operation)?;
    link::required(ctx, target.view.upstream()).await?;
    if let Some(fault) = target.unread.clone() {
        return Err(fault.into());
    }
    let permit = discharge(ctx, decision, &target, None).await?;
    let forwarded = forward(ctx, permit, &target, operation, Leaving::Call(Box::new(outgoing))).await?;
    done(target, forwarded)
}

fn done(target: Target, forwarded: Forwarded) -> Result<Done, Refusal> {
    Ok(match forwarded {
        Forwarded::Whole(answered) => Done::Answered(answered),
        Forwarded::Streaming(answer, first, called) => Done::Streaming(Box::new(Streaming { target, answer, first, called })),
        Forwarded::Again => {
            return Err(Fault::upstream(FaultKind::Failed, "the upstream wants the call to be made in yet another way").into());
        }
    })
}

/// A call that may leave.
pub(super) struct Cleared {
    pub(super) target: Target,
    pub(super) permit: Permit,
    pub(super) leaving: Leaving,
}

/// The line up to the permit, for a request of a client and for every round that the gateway makes on its behalf. A round leads to
/// the target of the one `before` it, or nowhere: it carries what a person answered to that one.
///
/// # Errors
/// Whatever a stage refuses; a fault where the upstream of the round before was replaced.
pub(super) async fn clear(
    ctx: &mut Ctx,
    operation: &Operation,
    headers: &McpHeaders<'_>,
    before: Option<Before<'_>>,
) -> Result<Cleared, Refusal> {
    // Read before anything is known of the name, so that a broken completion is answered the same for every name.
    let completion = Completion::of(operation)?;
    ctx.mark(Stage::Route);
    // The public name becomes an upstream's own name, a class and a definition.
    let target = resolve(ctx, operation).await?;
    if before.as_ref().is_some_and(|before| !before.target.is_still(&target)) {
        return Err(Fault::internal(FaultKind::Failed, "the upstream that asked is not there any more").into());
    }
    ctx.mark(Stage::Authorize);
    // The decision is made on the parsed message and recorded whatever it is.
    let decision = authorize(ctx, &target, arguments(operation, completion.as_ref()).as_ref())?;
    // Headers that repeat arguments must repeat them truly.
    mirrored(ctx, headers, &target, operation)?;
    // What would leave is made first, so that a call that cannot leave takes nothing and leaves no intent.
    let mut leaving = leaving(ctx, &target, operation, completion)?;
    if let Some(before) = before {
        before.goes_into(&mut leaving);
    }
    // Nor does the call of a person who has to link an account first.
    link::required(ctx, target.view.upstream()).await?;
    // An allowed call of an upstream whose list cannot be read stops here: its definition is unknown.
    if let Some(fault) = target.unread.clone() {
        return Err(fault.into());
    }
    // Who waits for a task that may come of it.
    if let Leaving::Call(outgoing) = &mut leaving {
        task::plan(ctx, &target, operation, outgoing).await?;
    }
    ctx.mark(Stage::Discharge);
    // Approvals are used, limits are taken, the intent is on record: only this makes a permit.
    let permit = discharge(ctx, decision, &target, Some((operation, &leaving))).await?;
    Ok(Cleared { target, permit, leaving })
}

/// The arguments that rules look at. Of a completion those are the values the client fills in, the one being typed included.
fn arguments(operation: &Operation, completion: Option<&Completion>) -> Option<RawJson> {
    match operation.method {
        Method::ToolsCall | Method::PromptsGet => operation.params.arguments.clone(),
        _ => completion.map(Completion::arguments),
    }
}

fn has_target(method: Method) -> bool {
    matches!(
        method,
        Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead | Method::ResourcesSubscribe | Method::Complete
    )
}

/// Counts a request that is over, and how long it took.
pub(super) fn measure(ctx: &Ctx, refusal: Option<&Refusal>) {
    let method = ctx.asked.method.unwrap_or(Method::Unknown).as_str();
    let error = match refusal {
        None if ctx.audit.with(|draft| draft.tool_error) => names::TOOL_ERROR,
        None => "",
        Some(Refusal::Denied(denial)) => denial.reason.as_str(),
        Some(Refusal::Unapproved(unapproved)) => unapproved.denial.reason.as_str(),
        Some(Refusal::Failed(fault)) => fault.kind.as_str(),
        Some(Refusal::Unanswered(_)) => FaultKind::Failed.as_str(),
        Some(_) => "protocol",
    };
    ctx.gateway.metrics.served(method, ctx.asked.tool.as_deref(), error, ctx.started.elapsed(), ctx.recorded_trace());
}

/// Serves a message of a legacy session, or the opening of one. Runs to its end whatever becomes of the connection.
pub(super) async fn legacy(ctx: Box<Ctx>, asking: Asking, in_flight: InFlight) -> Response<ReplyBody> {
    let (gateway, audit) = (ctx.gateway.clone(), ctx.audit.clone());
    let served = AssertUnwindSafe(legacy_line(ctx, asking, in_flight)).catch_unwind().await;
    served.unwrap_or_else(|_| gateway.panicked(&audit))
}

async fn legacy_line(mut ctx: Box<Ctx>, asking: Asking, in_flight: InFlight) -> Response<ReplyBody> {
    let answered = match asking {
        Asking::Operation(operation) => return resumable::cancellable(ctx, operation, in_flight).await,
        Asking::Handshake(message) => Box::pin(handshake::initialize(&mut ctx, &message)).await,
        Asking::Notification(message) => Ok(notified(&ctx, &message)),
        Asking::Response(id, outcome) => Ok(responded(&ctx, &id, outcome)),
        Asking::Batch(messages) => Box::pin(batch::serve(&ctx, messages)).await,
    };
    answered.unwrap_or_else(|refusal| rescue(&ctx, refusal)).respond(&ctx)
}

pub(super) fn notified(ctx: &Ctx, message: &Message) -> Answered {
    if let (Some(session), Some(id), "notifications/cancelled") =
        (ctx.asked.session, &message.params.request_id, message.method_name.as_str())
    {
        ctx.gateway.cancels.cancel(session, id);
    }
    accepted(ctx)
}

/// A client's answer to a question goes to the call that asked it. One that nobody waits for is accepted, as the protocol has
/// no other word for it, and dropped.
pub(super) fn responded(ctx: &Ctx, id: &RawId, outcome: Outcome) -> Answered {
    if ctx.asked.session.is_some_and(|session| ctx.gateway.questions.answer(session, id, outcome)) {
        return accepted(ctx);
    }
    ctx.ended(Status::Refused, Reason::NotFound);
    Answered::empty(StatusCode::ACCEPTED)
}

pub(super) fn accepted(ctx: &Ctx) -> Answered {
    ctx.completed();
    Answered::empty(StatusCode::ACCEPTED)
}

/// Ends the legacy session that the headers name, and what is under way in it.
///
/// # Errors
/// 400 without a session id or with another revision than the session's, 404 for one that is not this principal's.
pub(super) fn end_session(ctx: &Ctx, headers: &HeaderMap) -> Result<Answered, Refusal> {
    let session = decode::named(ctx, &McpHeaders::read(headers)?)?;
    ctx.gateway.sessions.end(&ctx.principal()?.key(), session);
    ctx.gateway.cancels.end(session.id);
    ctx.gateway.forget(session.id);
    ctx.completed();
    Ok(Answered::empty(StatusCode::NO_CONTENT))
}
