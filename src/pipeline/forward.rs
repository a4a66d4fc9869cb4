//! The call itself, with a permit in hand: out in the upstream's names, back in ours.

use std::time::Instant;

use super::completion::Completion;
use super::ctx::Ctx;
use super::parked::{self, Parking};
use super::question;
use super::refusal::Refusal;
use super::reply::{Answered, lower, screen};
use super::rounds;
use super::route::{Kind, Target};
use super::task::{self, Tasks};
use super::visit;
use super::watch::{Seen, Watched};
use crate::catalog::Part;
use crate::inspect::Inspected;
use crate::mcp::dialect::Operation;
use crate::mcp::headers::McpHeaders;
use crate::mcp::reply::ResultKind;
use crate::mcp::{LogLevel, Method, Outgoing, Reference, Reply, codes, mirror, rewrite};
use crate::policy::permit::Permit;
use crate::upstream::Transport;
use crate::vocab::{Fault, FaultKind, Revision};

/// What came of a call.
pub(super) enum Forwarded {
    /// The answer.
    Whole(Answered),
    /// Something to show before the answer: the rest is a stream.
    Streaming(Box<Watched>, Seen, Instant),
    /// Nothing but the word that it must be made in another way: as a task, or with the headers of a newer definition.
    Again,
}

/// Headers that mirror arguments must agree with the schema the client was shown (2026-07-28).
///
/// # Errors
/// 400 with -32020.
pub(super) fn mirrored(ctx: &Ctx, headers: &McpHeaders<'_>, target: &Target, operation: &Operation) -> Result<(), Refusal> {
    // A call that was held was looked at when it came; another definition would be another call to approve.
    let modern = operation.revision >= Revision::V2026_07_28 && ctx.asked.held.is_none();
    match target.entry.as_ref().filter(|entry| modern && !entry.mirrors.is_empty()) {
        Some(entry) => mirror::check(&entry.mirrors, headers, operation.params.arguments.as_ref())
            .map_err(|error| error.with_id(ctx.asked.id.as_ref()).into()),
        None => Ok(()),
    }
}

/// What leaves for a call.
pub(super) enum Leaving {
    /// The call itself.
    Call(Box<Outgoing>),
    /// Answers to questions of a call that was made before and waits under this number.
    Answers(u128),
}

/// Makes the call, or goes on with one that waits, and waits for its first event.
///
/// # Errors
/// The upstream's fault; an answer that the client has no way to understand.
pub(super) async fn forward(
    ctx: &mut Ctx,
    permit: Permit,
    target: &Target,
    operation: &Operation,
    leaving: Leaving,
) -> Result<Forwarded, Refusal> {
    question::spend(ctx, operation)?;
    let called = Instant::now();
    if let Some(turning) = &ctx.turning {
        turning.left.say();
    }
    let mut call = match leaving {
        Leaving::Answers(id) => Box::pin(parked::wake(ctx, target, operation, id, permit)).await?,
        Leaving::Call(outgoing) => match Watched::call(ctx, target, permit, outgoing)?.made().await {
            Ok(call) => call,
            Err(fault) => {
                took(ctx, target, called, Some(&fault));
                return Err(fault.into());
            }
        },
    };
    let mut early = None;
    let reply = loop {
        let event = match early.take() {
            Some(event) => Some(event),
            None => call.next().await,
        };
        match event {
            Some(Ok(Seen::Reply(reply))) if rounds::asks(ctx, operation, reply.get()) => {
                return Ok(Forwarded::Streaming(Box::new(call), Seen::Reply(reply), called));
            }
            Some(Ok(Seen::Reply(reply))) => break Ok(reply),
            // A client without a session answers in a retry; until then the call waits.
            Some(Ok(Seen::Question(asked))) if ctx.asked.session.is_none() => {
                match parked::park(ctx, target, operation, call, asked)? {
                    Parking::Asked(answered) => {
                        took(ctx, target, called, None);
                        return Ok(Forwarded::Whole(answered));
                    }
                    Parking::On(going, event) => (call, early) = (*going, event),
                }
            }
            Some(Ok(seen)) if ctx.streams && shows(ctx, operation, &seen) => {
                return Ok(Forwarded::Streaming(Box::new(call), seen, called));
            }
            Some(Ok(_)) => {}
            Some(Err(fault)) => break Err(fault),
            None => break Err(Fault::upstream(FaultKind::Malformed, "the answer never came")),
        }
    };
    took(ctx, target, called, reply.as_ref().err());
    let spoken = call.revision();
    // What the answer took is charged before it is shown.
    call.over(ctx);
    if reply.as_ref().is_ok_and(|reply| {
        task::wants(ctx, target, operation, reply.get()) || outdated(ctx, target, operation, spoken, reply.get())
    }) {
        return Ok(Forwarded::Again);
    }
    Ok(Forwarded::Whole(finish(ctx, target, operation, reply?)?))
}

/// Whether the upstream misses headers that its definition of the tool wants (-32020): then what is known of it is out of date, and
/// is read again for one more try (2026-07-28, transports, "Client Behavior"). Elsewhere the code is any server's own, and says
/// nothing of whether the call was done: what may have been done goes out once.
fn outdated(ctx: &mut Ctx, target: &Target, operation: &Operation, spoken: Revision, reply: &Reply) -> bool {
    let headed = spoken >= Revision::V2026_07_28 && matches!(target.view.upstream().settings().transport, Transport::Http { .. });
    let refused = headed && matches!(reply, Reply::Error(error) if error.code == codes::HEADER_MISMATCH);
    // What a retry brought is used up.
    let retried = operation.params.request_state.is_some() || ctx.asked.resumed.is_some();
    let fresh = operation.method == Method::ToolsCall && !retried && !ctx.asked.relisted;
    let (true, true, Ok(principal)) = (refused, fresh, ctx.principal()) else { return false };
    let who = principal.key();
    ctx.gateway.catalog.changed(&target.view.upstream().settings().name, Some(&who), Part::Tools);
    ctx.asked.relisted = true;
    true
}

/// Records and measures the time an upstream took.
pub(super) fn took(ctx: &Ctx, target: &Target, called: Instant, fault: Option<&Fault>) {
    let took = called.elapsed();
    let method = ctx.asked.method.unwrap_or(Method::Unknown).as_str();
    let error = fault.map_or("", |fault| fault.kind.as_str());
    ctx.gateway.metrics.called(
        &target.view.upstream().settings().name,
        method,
        ctx.asked.tool.as_deref(),
        error,
        took,
        ctx.recorded_trace(),
    );
    ctx.spans(|spans| spans.called(error));
    // Of several rounds together.
    ctx.note(|draft| {
        draft.upstream_us = u64::try_from(took.as_micros()).ok().map(|us| us.saturating_add(draft.upstream_us.unwrap_or(0)))
    });
}

/// The client's answer, from the upstream's.
///
/// # Errors
/// As [`screen`]; a question or task that was never agreed to.
pub(super) fn finish(
    ctx: &mut Ctx,
    target: &Target,
    operation: &Operation,
    reply: Inspected<Reply>,
) -> Result<Answered, Refusal> {
    let reply = reply.into_inner();
    if task::is_about(operation.method) {
        return task::finish(ctx, target, operation, reply);
    }
    if let Reply::Error(error) = &reply {
        if let Some(missing) = task::missing(operation, error) {
            return Err(missing.into());
        }
        if let Some(missing) = question::missing(ctx, operation, error) {
            return Err(missing);
        }
        if let Some(asking) = visit::asked(ctx, target, operation, error)? {
            ctx.completed();
            return Ok(lower(ctx, &asking));
        }
    }
    let mut reply = screen(ctx, reply)?;
    if let Reply::Result(body) = &mut reply {
        if operation.method == Method::ToolsCall && body.member("isError").is_some_and(|value| value.as_str() == "true") {
            ctx.note(|draft| draft.tool_error = true);
        }
        match body.kind {
            ResultKind::Complete if !matches!(ctx.asked.tasks, Tasks::Asked) => {}
            ResultKind::Complete | ResultKind::Task => task::created(ctx, target, body)?,
            ResultKind::InputRequired if !operation.method.asks_back() => {
                return Err(
                    Fault::upstream(FaultKind::Malformed, "the upstream asks during a request that has no questions").into()
                );
            }
            ResultKind::InputRequired if operation.revision > Revision::NEWEST_WITH_SESSIONS => {
                question::relay(ctx, target, operation, body)?;
            }
            ResultKind::InputRequired => return Err(Refusal::Unanswered(question::UNABLE)),
        }
        // What was decided for one principal is nobody else's.
        body.public = false;
        if !ctx.route()?.bare {
            let method = ctx.asked.method.unwrap_or(Method::Unknown);
            rewrite::prefix_uris(method, body, &target.view.upstream().settings().name);
        }
    }
    ctx.completed();
    Ok(lower(ctx, &reply))
}

/// Whether the client wants to see an event before the answer.
pub(super) fn shows(ctx: &Ctx, operation: &Operation, seen: &Seen) -> bool {
    match seen {
        Seen::Progress { .. } => operation.wants_progress.is_some(),
        Seen::Log { level, .. } => wants_log(ctx, operation, *level),
        // Only what this client can be asked comes this far.
        Seen::Question(_) => true,
        Seen::Reply(_) => false,
    }
}

fn wants_log(ctx: &Ctx, operation: &Operation, level: LogLevel) -> bool {
    match ctx.asked.session {
        // A session that set no level leaves the choice to the server.
        Some(session) => ctx.gateway.sessions.level(session).is_none_or(|least| level >= least),
        None => operation.log_level.is_some_and(|least| level >= least),
    }
}

/// The request in the upstream's own names. Made before anything is taken or written for the call, so that what cannot leave
/// costs nothing.
///
/// # Errors
/// -32602 for a `requestState` that does not open.
pub(super) fn leaving(
    ctx: &mut Ctx,
    target: &Target,
    operation: &Operation,
    completion: Option<Completion>,
) -> Result<Leaving, Refusal> {
    let params = &operation.params;
    let mut out = Outgoing::new(operation.method);
    match (operation.method, target.kind) {
        (Method::Complete, Kind::Prompt) => out.reference = Some(Reference::Prompt(target.name.clone())),
        (Method::Complete, _) => out.reference = Some(Reference::Resource(target.name.clone())),
        (_, Kind::Resource) => out.uri = Some(target.name.clone()),
        _ => out.name = Some(target.name.clone()),
    }
    let upstream = &target.view.upstream().settings().name;
    ctx.asked.granted = question::granted(ctx, upstream);
    out.client_capabilities = ctx.asked.granted.to_json();
    out.session_capabilities = question::told(ctx, upstream);
    if let Some(waiting) = question::resume(ctx, target, operation, &mut out)? {
        return Ok(Leaving::Answers(waiting));
    }
    // What leaves is what the decision saw: nothing that the method does not define, and no `_meta` of the client's.
    match operation.method {
        Method::ToolsCall | Method::PromptsGet => out.arguments.clone_from(&params.arguments),
        Method::Complete => {
            let (argument, context) = completion.map(Completion::into_params).unzip();
            (out.argument, out.context) = (argument, context.flatten());
        }
        _ => {}
    }
    out.session_level = ctx.asked.session.and_then(|session| ctx.gateway.sessions.level(session));
    out.log_level = if ctx.asked.session.is_some() { out.session_level } else { operation.log_level };
    out.wants_progress = operation.wants_progress.is_some() && ctx.streams;
    ctx.place(&mut out);
    if let Some(entry) = &target.entry {
        out.mirrored = mirror::values(&entry.mirrors, params.arguments.as_ref());
    }
    Ok(Leaving::Call(Box::new(out)))
}
