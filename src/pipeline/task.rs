//! Tasks: calls that go on after they were answered. What a client gets of one is an id of ours, which belongs to it alone; every
//! request about it is decided anew, under the tool that made it, and answered as that tool's call would be.
//!
//! A client that knows tasks gets them from upstreams of its own era. For others the gateway waits itself: [`super::polled`].

use std::sync::atomic::Ordering;

use super::authorize::{authorize_task, task_step};
use super::ctx::Ctx;
use super::errand::malformed;
use super::followed::Followed;
use super::question;
use super::refusal::Refusal;
use super::reply::{Answered, lower, screen};
use super::route::{self, Target};
use super::task_id::TaskId;
use crate::catalog::Part;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::{Operation, input_request};
use crate::mcp::error::ProtocolError;
use crate::mcp::outgoing::{Augment, OwnTask};
use crate::mcp::reply::ResultKind;
use crate::mcp::task::{Form, Support, Task, declaring, inlined, is_declared, is_demanded_by, outcome, relate, related};
use crate::mcp::task::{required, unrelate, wanted_ttl_ms};
use crate::mcp::{Method, Outgoing, RawJson, Reply, ResultBody, RpcError, codes, rewrite};
use crate::policy::Decision;
use crate::upstream::Facts;
use crate::vocab::limits::TASK_S_MAX;
use crate::vocab::{Denial, Fault, FaultKind, Reason, Revision};

/// What a request has to do with tasks.
#[derive(Clone, Debug, Default)]
pub(super) enum Tasks {
    /// Nothing.
    #[default]
    None,
    /// The client declared the extension and the upstream offers it: the call may come back as a task.
    Offered,
    /// The client asked for a task (2025-11-25).
    Asked,
    /// The gateway waits for the task itself.
    Awaited(Form),
    /// It is about this task, which the client knows by this text.
    About(Box<TaskId>, Box<str>),
}

/// Whether `method` is about a task that was made before. `tasks/list` is not offered: it would show what is not the client's.
pub(super) fn is_about(method: Method) -> bool {
    matches!(method, Method::TasksGet | Method::TasksResult | Method::TasksUpdate | Method::TasksCancel)
}

fn is_modern(operation: &Operation) -> bool {
    operation.revision > Revision::NEWEST_WITH_SESSIONS
}

pub(super) fn declares(operation: &Operation) -> bool {
    is_modern(operation) && operation.client_capabilities.as_ref().is_some_and(is_declared)
}

/// Finds the task and decides.
///
/// # Errors
/// -32021 for a client that did not declare the extension; one and the same -32602 for an id that does not open, and for a task
/// of a tool that this principal may not know of any more.
pub(super) async fn open(ctx: &mut Ctx, operation: &Operation) -> Result<(Target, Decision), Refusal> {
    require_declared(operation)?;
    let form = if is_modern(operation) { Form::Extension } else { Form::Session };
    let text = operation.params.task_id.as_deref().unwrap_or_default();
    let (who, route) = (ctx.principal()?.key(), ctx.route()?.path.clone());
    let opened = TaskId::open(&ctx.gateway.sealer, (&who, &route), form, text, ctx.gateway.clock.unix_s());
    let task = opened.map_err(|_| unknown())?;
    let target = route::tool(ctx, &task.upstream, &task.tool).await?;
    ctx.asked.tasks = Tasks::About(Box::new(task), text.into());
    let decision = authorize_task(ctx, &target, task_step(operation.method))?;
    Ok((target, decision))
}

/// Whoever names a task knows of the extension.
///
/// # Errors
/// -32021 for a client that did not declare it.
pub(super) fn require_declared(operation: &Operation) -> Result<(), Refusal> {
    if is_modern(operation) && !declares(operation) {
        return Err(ProtocolError::missing_capability(&required()).with_id(Some(&operation.id)).into());
    }
    Ok(())
}

fn unknown() -> Refusal {
    Refusal::Denied(Denial::new(Reason::UnknownName))
}

fn out_of_order() -> Refusal {
    Fault::internal(FaultKind::Internal, "stage out of order: no task").into()
}

/// The request about a task in its upstream's own words.
///
/// # Errors
/// A denial for answers to questions that the upstream may not ask.
pub(super) fn outgoing(ctx: &mut Ctx, target: &Target, operation: &Operation) -> Result<Outgoing, Refusal> {
    let Tasks::About(task, _) = &ctx.asked.tasks else { return Err(out_of_order()) };
    let (form, id, caps) = (task.form, task.id.clone(), task.caps);
    let mut out = Outgoing::new(operation.method);
    out.task = Some(OwnTask { id, tool: target.name.clone() });
    // The session that the task was made in, unless that was told more than this client can be asked now.
    out.session_capabilities = caps.and(question::told(ctx, &target.view.upstream().settings().name));
    if form == Form::Extension {
        ctx.asked.granted = question::granted(ctx, &target.view.upstream().settings().name);
        out.client_capabilities = declaring(&ctx.asked.granted.to_json());
        if ctx.asked.granted.is_empty() && operation.params.input_responses.as_ref().is_some_and(|them| !is_empty(them)) {
            return Err(unasked(ctx));
        }
        out.input_responses = question::unasked(ctx, operation)?;
    }
    out.log_level = match ctx.asked.session {
        Some(session) => ctx.gateway.sessions.level(session),
        None => operation.log_level,
    };
    out.wants_progress = operation.wants_progress.is_some() && ctx.streams;
    ctx.place(&mut out);
    Ok(out)
}

fn is_empty(object: &RawJson) -> bool {
    let mut empty = true;
    let read = object.scanner().object(|scan, _| {
        empty = false;
        scan.value().map(|_| ())
    });
    read.is_ok() && empty
}

/// What was never asked is not answered.
fn unasked(ctx: &Ctx) -> Refusal {
    let reason = Reason::NoRule;
    ctx.note(|draft| {
        if let Some(decision) = &mut draft.decision {
            (decision.allowed, decision.reason) = (false, reason);
            decision.rules = Vec::new();
        }
    });
    Refusal::Denied(Denial::new(reason))
}

/// Settles, for a call of a tool, who waits for a task that may come of it, and has `out` say so.
///
/// # Errors
/// -32601 for a task asked of a tool that makes none (2025-11-25); the fault of an upstream that cannot be asked what it can do.
pub(super) async fn plan(ctx: &mut Ctx, target: &Target, operation: &Operation, out: &mut Outgoing) -> Result<(), Refusal> {
    let declared = declares(operation);
    let wanted = operation.params.task.as_ref().filter(|_| operation.revision == Revision::V2025_11_25);
    let support = target.entry.as_ref().map_or(Support::Forbidden, |entry| entry.task_support);
    let demanded = !is_modern(operation) && target.entry.as_ref().is_some_and(|entry| entry.demands_task.load(Ordering::Relaxed));
    let concerned = declared || wanted.is_some() || demanded || support == Support::Required;
    // A round of a call is planned anew.
    ctx.asked.tasks = Tasks::None;
    if operation.method != Method::ToolsCall || !concerned {
        return Ok(());
    }
    let Some(facts) = facts(ctx, target, out.session_capabilities).await? else { return Ok(()) };
    let stateless = facts.revision > Revision::NEWEST_WITH_SESSIONS;
    let session = facts.revision == Revision::V2025_11_25 && facts.capabilities.session_tasks;
    let tasks = if stateless && declared && facts.capabilities.tasks {
        Tasks::Offered
    } else if stateless && demanded {
        Tasks::Awaited(Form::Extension)
    } else if let Some(task) = wanted.filter(|_| session) {
        if support == Support::Forbidden {
            return Err(ProtocolError::method_not_found(operation.revision).with_id(Some(&operation.id)).into());
        }
        let ttl_ms = wanted_ttl_ms(task).map(|ms| ms.min(TASK_S_MAX.saturating_mul(1_000)));
        out.augment = Some(Augment { ttl_ms });
        Tasks::Asked
    } else if session && support == Support::Required {
        out.augment = Some(Augment { ttl_ms: u64::try_from(ctx.deadline.remaining().as_millis()).ok() });
        Tasks::Awaited(Form::Session)
    } else {
        Tasks::None
    };
    match tasks {
        Tasks::Offered | Tasks::Awaited(Form::Extension) => out.client_capabilities = declaring(&out.client_capabilities),
        _ => {}
    }
    ctx.asked.tasks = tasks;
    Ok(())
}

/// What the upstream says of itself; `None` where policy leaves nothing of it to see.
async fn facts(ctx: &Ctx, target: &Target, caps: ClientCaps) -> Result<Option<Facts>, Refusal> {
    let upstream = target.view.upstream();
    let Ok(permit) = ctx.access()?.permit(&upstream.settings().name) else { return Ok(None) };
    Ok(Some(Box::pin(upstream.ready(&ctx.principal()?.key(), caps, &permit, ctx.deadline)).await?))
}

/// Whether the call was refused because the client of an older revision knows no tasks: then it is made once more, and waited for.
pub(super) fn wants(ctx: &Ctx, target: &Target, operation: &Operation, reply: &Reply) -> bool {
    let (Reply::Error(error), Some(entry)) = (reply, &target.entry) else { return false };
    let first = matches!(ctx.asked.tasks, Tasks::None) && !is_modern(operation) && operation.method == Method::ToolsCall;
    let wants = first && is_demanded_by(error);
    if wants {
        entry.demands_task.store(true, Ordering::Relaxed);
        // The list may have been read again since.
        if let Some(now) = target.view.known(Part::Tools).as_ref().and_then(|listing| listing.named(&target.name)) {
            now.inherit(entry);
        }
    }
    wants
}

/// An upstream that serves no client without tasks: a client that could declare them is told so (-32021).
pub(super) fn missing(operation: &Operation, error: &RpcError) -> Option<ProtocolError> {
    let tell = is_modern(operation) && !declares(operation) && is_demanded_by(error);
    tell.then(|| ProtocolError::missing_capability(&required()).with_id(Some(&operation.id)))
}

/// The answer to a call that made a task, with an id of ours in it. Leaves alone what made none.
///
/// # Errors
/// A fault for what is no task, or for one that nobody wanted.
pub(super) fn created(ctx: &Ctx, target: &Target, body: &mut ResultBody) -> Result<(), Refusal> {
    let broken = |_| malformed("the upstream made a task that is none");
    let (form, task) = match ctx.asked.tasks {
        Tasks::Offered => (Form::Extension, Some(Task::read(Form::Extension, body).map_err(broken)?)),
        Tasks::Asked => (Form::Session, Task::created_in_session(body).map_err(broken)?),
        _ => return Err(malformed("the upstream made a task although it may not").into()),
    };
    let Some(task) = task else { return Ok(()) };
    let upstream = target.view.upstream().settings().name.to_string();
    let caps = question::told(ctx, &upstream);
    let sealed = TaskId { form, upstream, tool: target.name.clone(), id: task.id.clone(), caps };
    let (who, route) = (ctx.principal()?.key(), ctx.route()?.path.clone());
    let text = sealed.seal(&ctx.gateway.sealer, (&who, &route), task.ttl_ms, ctx.gateway.clock.unix_s());
    let text = text.map_err(|_| Fault::internal(FaultKind::Internal, "a task's id could not be sealed"))?;
    let meta = std::mem::take(&mut body.meta);
    *body = ResultBody { meta, ..task.created(form, &text) };
    // A session is told of its tasks unasked.
    if let Some(session) = ctx.asked.session.filter(|_| form == Form::Session) {
        let subscriptions = &ctx.gateway.streams.subscriptions;
        subscriptions.follow(session.id, Followed::made(target, sealed, &text));
        subscriptions.keep_no_longer(&ctx.gateway, &who, session);
    }
    unrelate(body);
    Ok(())
}

/// The client's answer to a request about a task.
///
/// # Errors
/// A fault for what is no answer of this kind; the one -32602 for a task that the upstream does not know.
pub(super) fn finish(ctx: &Ctx, target: &Target, operation: &Operation, reply: Reply) -> Result<Answered, Refusal> {
    let Tasks::About(task, text) = &ctx.asked.tasks else { return Err(out_of_order()) };
    let body = match screen(ctx, reply)? {
        Reply::Error(error) if error.code == codes::INVALID_PARAMS => return Err(unknown()),
        Reply::Error(error) => {
            ctx.completed();
            return Ok(lower(ctx, &Reply::Error(error)));
        }
        Reply::Result(body) if body.kind == ResultKind::Complete => body,
        Reply::Result(_) => return Err(malformed("an answer about a task asks back").into()),
    };
    let body = match (operation.method, task.form) {
        // Acknowledged, and nothing else is said.
        (Method::TasksUpdate, _) | (Method::TasksCancel, Form::Extension) => ResultBody::default(),
        (Method::TasksResult, _) => {
            let mut body = ResultBody { ttl_ms: None, public: false, ..body };
            publish(ctx, target, &mut body)?;
            relate(&mut body, text);
            body
        }
        (_, form) => {
            let said = Task::read(form, &body).map_err(|_| malformed("an answer about a task is none"))?;
            if said.id != task.id {
                return Err(malformed("an answer about another task").into());
            }
            ResultBody { members: shown(ctx, target, &said, text)?, ..ResultBody::default() }
        }
    };
    ctx.completed();
    Ok(lower(ctx, &Reply::Result(body)))
}

/// A message before the answer, tied to the task that it is about (2025-11-25); any other as it is.
pub(super) fn tied(ctx: &Ctx, message: Vec<u8>) -> Vec<u8> {
    match &ctx.asked.tasks {
        Tasks::About(task, text) if task.form == Form::Session => related(message, text),
        _ => message,
    }
}

/// A task as the client may see it: its questions checked as those of a call, its result as the answer of one.
pub(super) fn shown(ctx: &Ctx, target: &Target, task: &Task, text: &str) -> Result<Vec<(RawJson, RawJson)>, Refusal> {
    let mut members = task.members(text);
    if let Some(requests) = &task.input_requests {
        let questions = question::questions_in(ctx, target, requests);
        let questions = questions.ok_or_else(|| malformed("a task asks what it may not ask"))?;
        let requests: Vec<_> = questions.iter().map(|(key, question)| (key.clone(), input_request(question))).collect();
        members.push((RawJson::of_static("\"inputRequests\""), RawJson::object(&requests)));
    }
    if let Some(result) = &task.result {
        let mut result = outcome(result).map_err(|_| malformed("a task's result is none"))?;
        publish(ctx, target, &mut result)?;
        members.push((RawJson::of_static("\"result\""), inlined(&result)));
    }
    if let Some(error) = &task.error {
        members.push((RawJson::of_static("\"error\""), in_our_words(error)));
    }
    Ok(members)
}

fn publish(ctx: &Ctx, target: &Target, result: &mut ResultBody) -> Result<(), Refusal> {
    if !ctx.route()?.bare {
        rewrite::prefix_uris(Method::ToolsCall, result, &target.view.upstream().settings().name);
    }
    Ok(())
}

/// Of an upstream's error only the code is shown, as far as it says something about the call.
fn in_our_words(error: &RpcError) -> RawJson {
    RawJson::of_static(match error.code {
        codes::INVALID_PARAMS => r#"{"code":-32602,"message":"The server does not accept these parameters."}"#,
        _ => r#"{"code":-32603,"message":"The server could not complete this task."}"#,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::json::Kind;
    use bytes::Bytes;

    #[test]
    fn an_empty_object_holds_no_answer() {
        for (json, empty) in [("{}", true), ("{ }", true), (r#"{"k":{}}"#, false), ("[]", false)] {
            let raw = RawJson::parse(Bytes::from_static(json.as_bytes()), 8).unwrap();
            assert_eq!(is_empty(&raw), empty && raw.kind() == Some(Kind::Object), "{json}");
        }
    }

    #[test]
    fn no_word_of_an_upstreams_error_is_shown() {
        for (code, shown) in [(codes::INVALID_PARAMS, codes::INVALID_PARAMS), (-32_000, codes::INTERNAL_ERROR), (7, -32_603)] {
            let error = RpcError { code, message: "canary".to_owned(), data: Some(RawJson::of_static("\"canary\"")) };
            let text = in_our_words(&error);
            assert!(!text.as_str().contains("canary") && text.as_str().contains(&format!("\"code\":{shown}")), "{code}");
        }
    }
}
