//! Calls that wait for approval as tasks of the gateway's own (extension `io.modelcontextprotocol/tasks`, 2026-07-28): the client gets a
//! handle at once and looks from time to time; the call is made once it is approved, and the client reads what came of it.
//!
//! It is made as a request like any: with a record, a decision by the rules in force then, limits, intent and permit of its own, on
//! behalf of the same credential, which must still hold. A handle is sealed for its principal and route. What waits lives in this
//! process: after a restart the handle says that the call has to be made anew, and nothing runs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Gateway;
use super::approve::{Unapproved, from_whom, in_words};
use super::authorize::{authorize_task, met, task_step};
use super::cancel::InFlight;
use super::ctx::{Asked, Ctx};
use super::operate::{Done, line, measure};
use super::refusal::Refusal;
use super::reply::{Answered, Content, lower};
use super::rescue::rescue;
use super::standing::Standing;
use super::waiting::Place;
use super::world::Route;
use super::{route, task};
use crate::approval::RequestId;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::Operation;
use crate::mcp::headers::McpHeaders;
use crate::mcp::json::JsonError;
use crate::mcp::reply::ResultKind;
use crate::mcp::{Method, RawJson, Reply, ResultBody, pointer};
use crate::seal::{Binding, Purpose};
use crate::telemetry::trace::TraceContext;
use crate::vocab::limits::DEFERRED_RESULT_S;
use crate::vocab::{Deadline, Fault, FaultKind, Principal, PrincipalKey};

/// Leaves the call waiting, and answers with a handle for it; in words when there is no room.
///
/// # Errors
/// A fault when the handle cannot be sealed.
pub(super) fn defer(ctx: &Ctx, operation: &Operation, unapproved: &Unapproved) -> Result<Answered, Refusal> {
    let Some(request) = &unapproved.request else { return Ok(in_words(ctx, unapproved)) };
    let (who, now_s) = (ctx.principal()?.key(), ctx.gateway.clock.unix_s());
    let message = format!("waiting for approval by {} ({})", from_whom(request), request.id);
    let Some(place) = ctx.gateway.deferred.place(&who, &request.id, message.clone(), bytes(operation)) else {
        return Ok(in_words(ctx, unapproved));
    };
    let (made_ms, until_s) = (ctx.gateway.clock.unix_ms(), request.expires_unix_s.saturating_add(DEFERRED_RESULT_S));
    let mut payload = place.id.to_be_bytes().to_vec();
    payload.extend_from_slice(&made_ms.to_be_bytes());
    payload.extend_from_slice(format!("{}\0{}", request.bound.upstream, request.bound.name).as_bytes());
    let (route, actors) = (ctx.route()?.path.clone(), actors(ctx.principal()?));
    let sealed = ctx.gateway.sealer.seal(binding(&who, &route, &actors), &payload, until_s);
    let handle = sealed.map_err(|_| Fault::internal(FaultKind::Internal, "a handle could not be sealed"))?;
    let ttl_ms = until_s.saturating_sub(now_s).saturating_mul(1_000);
    let members = members(&handle, "working", Some(&message), (made_ms, ttl_ms));
    let later = Later::of(ctx, operation, request.id.clone(), place)?;
    let left = Duration::from_secs(request.expires_unix_s.saturating_sub(now_s).saturating_add(1));
    ctx.gateway.outlive(later.run(Deadline::after(left)));
    Ok(lower(ctx, &Reply::Result(ResultBody { kind: ResultKind::Task, members, ..ResultBody::default() })))
}

/// What is kept of a request whose answer is not waited for: who asks, by which route, and what.
struct Later {
    gateway: Arc<Gateway>,
    principal: Arc<Principal>,
    route: Arc<Route>,
    trace: TraceContext,
    asked: Asked,
    operation: Operation,
    request: RequestId,
    standing: Standing,
    place: Place,
}

impl Later {
    fn of(ctx: &Ctx, operation: &Operation, request: RequestId, place: Place) -> Result<Self, Refusal> {
        let Asked { id, method, revision, uri, .. } = ctx.asked.clone();
        // Nobody is there who could be asked.
        let asked = Asked { id, method, revision, uri, caps: ClientCaps::NONE, held: Some(request.clone()), ..Asked::default() };
        let mut operation = operation.clone();
        (operation.client_capabilities, operation.wants_progress, operation.log_level) = (None, None, None);
        Ok(Self {
            gateway: ctx.gateway.clone(),
            principal: ctx.principal()?.clone(),
            route: ctx.route()?.clone(),
            trace: ctx.trace.clone(),
            asked,
            operation,
            request,
            standing: Standing::of(ctx),
            place,
        })
    }

    async fn run(mut self, until: Deadline) {
        let desk = self.gateway.approvals.clone();
        let stopping = self.gateway.drain.clone();
        tokio::select! {
            // However it was decided: the call meets what people said, and its answer says so.
            _ = desk.settled(&self.request, until) => {}
            () = self.place.cancel.cancelled() => return,
            () = stopping.wait() => return,
            why = self.standing.over() => {
                tracing::info!(approval = %self.request, why, "a call that waits ends with its credential");
            }
        }
        self.place.is_made();
        let Self { gateway, principal, route, trace, asked, operation, place, .. } = self;
        // Without room for its record there is no call.
        let Ok(slot) = gateway.audit.reserve() else { return };
        let ctx = Ctx::later(gateway.clone(), slot.into_handle(), trace, (route, principal), asked);
        ctx.note(|draft| {
            draft.set_rpc_id(operation.id.as_str());
            draft.set_method(operation.method.as_str());
        });
        let cancel = place.cancel.clone();
        tokio::select! {
            result = Box::pin(make(ctx, &operation)) => gateway.deferred.results.keep(&place.who, place.id, result),
            () = cancel.cancelled() => {}
        }
    }
}

/// Makes the call; the JSON-RPC response.
async fn make(mut ctx: Ctx, operation: &Operation) -> Bytes {
    let done = match InFlight::enter(&ctx) {
        Ok(_place) => match ctx.renew() {
            Ok(()) => Box::pin(line(&mut ctx, operation, &McpHeaders::default())).await,
            Err(refusal) => Err(refusal),
        },
        Err(refusal) => Err(refusal),
    };
    measure(&ctx, done.as_ref().err());
    let answered = match done {
        Ok(Done::Answered(answered)) => answered,
        // Neither is wanted by an operation without progress, session or stream.
        Ok(Done::Streaming(_) | Done::Held(_)) => {
            rescue(&ctx, Fault::internal(FaultKind::Internal, "a call that waited streamed").into())
        }
        Err(refusal) => rescue(&ctx, refusal),
    };
    match answered.content {
        Content::Json(body) => body,
        Content::Empty | Content::Events(_) => Bytes::new(),
    }
}

/// Answers a request about a task, if it is one of the gateway's own.
///
/// # Errors
/// As [`task::open`].
pub(super) async fn about(ctx: &mut Ctx, operation: &Operation) -> Result<Option<Answered>, Refusal> {
    let text = operation.params.task_id.as_deref().unwrap_or_default();
    let (who, path) = (ctx.principal()?.key(), ctx.route()?.path.clone());
    let now_s = ctx.gateway.clock.unix_s();
    let actors = actors(ctx.principal()?);
    let Ok((payload, until_s)) = ctx.gateway.sealer.open_with_expiry(binding(&who, &path, &actors), text, now_s) else {
        return Ok(None);
    };
    task::require_declared(operation)?;
    let Some(Handle { id, made_ms, upstream, tool }) = Handle::read(&payload) else { return Ok(None) };
    let times = (made_ms, until_s.saturating_mul(1_000).saturating_sub(made_ms));
    // What came of a call is for those who may make it.
    let target = route::tool(ctx, upstream, tool).await?;
    // Whatever the decision obliges to was met when the call was made.
    let decision = authorize_task(ctx, &target, task_step(operation.method))?;
    met(ctx, &decision);
    let body = match operation.method {
        Method::TasksGet => seen(ctx, text, id, times),
        Method::TasksCancel => {
            cancel(ctx, id).await?;
            ResultBody::default()
        }
        // There is nothing to answer; what is acknowledged is ignored.
        _ => ResultBody::default(),
    };
    ctx.completed();
    Ok(Some(lower(ctx, &Reply::Result(body))))
}

/// What a handle says: which call, made when (ms since the Unix epoch), of which tool of which upstream.
struct Handle<'a> {
    id: u128,
    made_ms: u64,
    upstream: &'a str,
    tool: &'a str,
}

impl<'a> Handle<'a> {
    fn read(payload: &'a [u8]) -> Option<Self> {
        let (id, rest) = payload.split_first_chunk()?;
        let (made_ms, rest) = rest.split_first_chunk()?;
        let (upstream, full) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
        let tool = full.strip_prefix(upstream)?.strip_prefix("__")?;
        Some(Self { id: u128::from_be_bytes(*id), made_ms: u64::from_be_bytes(*made_ms), upstream, tool })
    }
}

/// How the task stands.
fn seen(ctx: &Ctx, text: &str, id: u128, times: (u64, u64)) -> ResultBody {
    let deferred = &ctx.gateway.deferred;
    let waits = deferred.message(id);
    let members = match (waits, deferred.results.get(id)) {
        (Some(message), _) => members(text, "working", message.as_deref(), times),
        (None, Some(response)) => over(text, response, times),
        (None, None) => failed(text, GONE, times),
    };
    ResultBody { members, ..ResultBody::default() }
}

/// A call that was made, from its response.
fn over(text: &str, response: Bytes, times: (u64, u64)) -> Vec<(RawJson, RawJson)> {
    if response == CANCELLED {
        return members(text, "cancelled", None, times);
    }
    let Ok(response) = RawJson::parse(response, usize::MAX) else { return failed(text, FAILED, times) };
    if let Some(result) = pointer::at(&response, "/result").and_then(|result| bare(&result)) {
        let mut members = members(text, "completed", None, times);
        members.push((RawJson::of_static("\"result\""), result));
        return members;
    }
    let mut members = members(text, "failed", None, times);
    let error = pointer::at(&response, "/error").unwrap_or_else(|| RawJson::of_static(FAILED));
    members.push((RawJson::of_static("\"error\""), error));
    members
}

/// A result without the word that it is one: inside a task it stands for itself.
fn bare(result: &RawJson) -> Option<RawJson> {
    let mut members = Vec::new();
    let read: Result<_, JsonError> = result.scanner().object(|scan, key| {
        let value = result.part(scan.value()?);
        if key != "resultType" {
            members.push((key.as_ref().to_owned(), value));
        } else if value.as_str() != "\"complete\"" {
            return Err(JsonError::Shape("a task ended in a result that is not final"));
        }
        Ok(())
    });
    read.ok().map(|_| RawJson::object(&members))
}

fn failed(text: &str, error: &'static str, times: (u64, u64)) -> Vec<(RawJson, RawJson)> {
    let mut members = members(text, "failed", None, times);
    members.push((RawJson::of_static("\"error\""), RawJson::of_static(error)));
    members
}

/// Nobody waits for it any more: the request is taken back, a call under way is dropped.
async fn cancel(ctx: &Ctx, id: u128) -> Result<(), Refusal> {
    let call = ctx.gateway.deferred.waits_for(id);
    let Some((token, request)) = call else { return Ok(()) };
    token.cancel();
    ctx.gateway.deferred.results.keep(&ctx.principal()?.key(), id, Bytes::from_static(CANCELLED));
    // It may be decided or over by now, which is as good, or a lease, which other calls are made under.
    if let Err(error) = ctx.gateway.approvals.give_up(&request, ctx.principal()?).await {
        tracing::info!(approval = %request, %error, "a request was not taken back");
    }
    Ok(())
}

/// The members of a task that was made at the first of `times`, in milliseconds since the Unix epoch, for the second of them.
fn members(text: &str, status: &'static str, message: Option<&str>, (made_ms, ttl_ms): (u64, u64)) -> Vec<(RawJson, RawJson)> {
    let made = std::time::UNIX_EPOCH + Duration::from_millis(made_ms.min(YEAR_9999_MS));
    let made = RawJson::of_text(&humantime::format_rfc3339_millis(made).to_string());
    let number = |number: u64| RawJson::of_ours(number.to_string().into_bytes());
    let mut members = vec![
        (RawJson::of_static("\"taskId\""), RawJson::of_text(text)),
        (RawJson::of_static("\"status\""), RawJson::of_text(status)),
        (RawJson::of_static("\"createdAt\""), made.clone()),
        (RawJson::of_static("\"lastUpdatedAt\""), made),
        (RawJson::of_static("\"ttlMs\""), number(ttl_ms)),
        (RawJson::of_static("\"pollIntervalMs\""), number(POLL_MS)),
    ];
    members.extend(message.map(|message| (RawJson::of_static("\"statusMessage\""), RawJson::of_text(message))));
    members
}

fn binding<'a>(principal: &'a PrincipalKey, route: &'a str, actors: &'a [u8]) -> Binding<'a> {
    Binding { purpose: Purpose::Task, principal, route, context: actors }
}

/// Who acts for the principal, as the call is bound to them: nobody else's handle opens.
fn actors(principal: &Principal) -> Vec<u8> {
    let mut context = b"approval".to_vec();
    let mut part = |text: Option<&str>| {
        context.extend_from_slice(&text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
        context.extend_from_slice(text.unwrap_or_default().as_bytes());
    };
    part(principal.client_id.as_deref());
    for (iss, sub) in principal.actors() {
        part(iss);
        part(Some(sub));
    }
    context
}

/// About how much of the memory a call takes while it waits.
fn bytes(operation: &Operation) -> usize {
    let params = &operation.params;
    let of = |raw: &Option<RawJson>| raw.as_ref().map_or(0, |raw| raw.as_bytes().len());
    of(&params.arguments)
        .saturating_add(of(&params.input_responses))
        .saturating_add(params.request_state.as_ref().map_or(0, String::len))
}

/// How often a client should look.
const POLL_MS: u64 = 2_000;
const YEAR_9999_MS: u64 = 253_402_300_799_999;
const GONE: &str = r#"{"code":-32603,"message":"The gateway was restarted or kept this for too long: whether the call was made is on record, and it will not be made any more."}"#;
const FAILED: &str = r#"{"code":-32603,"message":"The gateway could not complete this call."}"#;
/// Stands for the response of a call that was cancelled.
const CANCELLED: &[u8] = b"cancelled";
