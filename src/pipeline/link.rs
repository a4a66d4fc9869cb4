//! Accounts that people link at upstreams: who must link one is told how, and the call goes through on retry.
//!
//! The gateway's own question travels as its client can take it: in a result (2026-07-28), as error -32042 (2025-11-25), or in
//! words. It needs no capability rule. The link names no person and is worth nothing to anybody else: whoever opens it signs in
//! and must be the principal who was told. Nothing of the question reaches an upstream.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use super::ctx::Ctx;
use super::refusal::Refusal;
use super::reply::{Answered, lower};
use super::rescue::refuse_saying;
use crate::audit::OutcomeNote;
use crate::catalog::{Entry, Part};
use crate::mcp::dialect::Operation;
use crate::mcp::error::ProtocolError;
use crate::mcp::json::{Kind, push_string};
use crate::mcp::reply::ResultKind;
use crate::mcp::{Method, RawJson, Reply, ResultBody, RpcError, codes, list, names, pointer};
use crate::seal::{Binding, Purpose};
use crate::upstream::Upstream;
use crate::vocab::limits::{LINK_S_MAX, LINK_STATE_BYTES_MAX};
use crate::vocab::{Class, Denial, Fault, FaultKind, PrincipalKey, Reason, Revision};

/// Key of our own question among those of an upstream, which may not use it.
pub(super) const QUESTION: &str = "dev.portcullis/link";
/// Name of the tool that stands in for an upstream whose account is not linked.
const TOOL: &str = "portcullis_connect";

/// What our question came back with.
#[derive(Clone, Debug)]
pub(super) struct Resumed {
    /// The state, to be used up when the call leaves.
    text: String,
    /// Until when we go on asking, in seconds since the Unix epoch.
    until_s: u64,
    /// The person said no.
    declined: bool,
}

/// Whether the principal can be served by `upstream`: true of every upstream that wants no account of a person's own.
///
/// # Errors
/// [`FaultKind::Unlinked`] without a usable account; the fault of its authorization server, where it has to be asked.
pub(super) async fn linked(ctx: &Ctx, upstream: &Upstream) -> Result<(), Fault> {
    let Some(link) = ctx.world.links.get(&*upstream.settings().name) else { return Ok(()) };
    let missing = || Fault::internal(FaultKind::Internal, "no desk where people link accounts");
    let (Some(desk), Ok(principal)) = (&ctx.gateway.desk, ctx.principal()) else { return Err(missing()) };
    Box::pin(desk.serves(link, &principal.key(), ctx.deadline)).await
}

/// As [`linked`], for a call that is about to leave.
///
/// # Errors
/// As [`linked`].
pub(super) async fn required(ctx: &Ctx, upstream: &Upstream) -> Result<(), Refusal> {
    Ok(linked(ctx, upstream).await?)
}

/// Whether what failed would not fail if the person linked an account, or linked it anew.
pub(super) fn helps(ctx: &Ctx, fault: &Fault) -> bool {
    let link = ctx.asked.upstream.as_ref().and_then(|upstream| ctx.world.links.get(upstream));
    match (fault.kind, link, &ctx.gateway.desk, ctx.principal()) {
        (FaultKind::Unlinked, ..) => true,
        (FaultKind::Unauthorized, Some(link), Some(desk), Ok(principal)) => desk.could_help(link, &principal.key()),
        _ => false,
    }
}

/// Takes our own part out of a retry, and puts back what it stood in front of.
///
/// # Errors
/// -32602 for a state of ours that was used before. What is not ours is left for [`super::question::resume`] to judge.
pub(super) fn resume(ctx: &mut Ctx, operation: &mut Operation) -> Result<(), Refusal> {
    let action = take(operation, QUESTION)?.and_then(|answer| pointer::at(&answer, "/action"));
    let declined = action.is_some_and(|action| matches!(action.as_str(), "\"decline\"" | "\"cancel\""));
    let Some(text) = operation.params.request_state.take() else { return Ok(()) };
    let key = ctx.principal()?.key();
    let call = fingerprint(operation);
    let opened = ctx.gateway.sealer.open_text(binding(ctx, &key, &call)?, &text, ctx.gateway.clock.unix_s());
    let Some((until_s, original)) = opened.ok().and_then(read_state) else {
        operation.params.request_state = Some(text);
        return Ok(());
    };
    if ctx.gateway.sessions.is_spent(&text) {
        return Err(used(operation));
    }
    operation.params.request_state = original;
    ctx.asked.resumed = Some(Resumed { text, until_s, declined });
    Ok(())
}

/// Uses up the state of a retry that is about to leave.
///
/// # Errors
/// -32602 when another retry with it was faster.
pub(super) fn spend(ctx: &Ctx, operation: &Operation) -> Result<(), Refusal> {
    match &ctx.asked.resumed {
        Some(resumed) if !ctx.gateway.sessions.spend(&resumed.text) => Err(used(operation)),
        _ => Ok(()),
    }
}

/// Tells how to link an account, in the way this client can take it.
///
/// # Errors
/// The fault itself where there is nobody to tell.
pub(super) fn ask(ctx: &Ctx, operation: &Operation, fault: &Fault) -> Result<Answered, Refusal> {
    let name = ctx.asked.upstream.clone().ok_or_else(|| fault.clone())?;
    let (Some(link), Some(desk)) = (ctx.world.links.get(&name), &ctx.gateway.desk) else { return Err(fault.clone().into()) };
    let who = ctx.principal()?.key();
    ctx.note(|draft| draft.outcome = Some(OutcomeNote::fault(FaultKind::Unlinked)));
    tracing::info!(record = %ctx.id, upstream = %name, why = %fault.detail, "an account has to be linked first");
    let denial = Denial::new(Reason::UpstreamUnavailable);
    // A machine cannot sign in: there is no use in showing it a page.
    if !link.is_for(&who) {
        return Ok(lower(ctx, &refuse_saying(ctx, &denial, codes::INTERNAL_ERROR, NOT_A_PERSON)));
    }
    let message =
        format!("To use {name}, link your own account: open the page, sign in, and allow the gateway to act for you there.");
    let reply = match way(ctx, operation) {
        Way::Result => in_result(ctx, operation, &message, &desk.invite(link, &who)?)?,
        Way::Error => in_error(&message, &desk.invite(link, &who)?),
        Way::Words => {
            let page = link.page();
            let words = format!("{name} needs your own account there: open {page} in a browser, link it, and try again.");
            refuse_saying(ctx, &denial, codes::INTERNAL_ERROR, &words)
        }
    };
    Ok(lower(ctx, &reply))
}

/// Calls the gateway's own tool, if that is what is called: `None` leaves it to the upstreams.
///
/// # Errors
/// [`FaultKind::Unlinked`] without a usable account.
pub(super) async fn own_tool(ctx: &mut Ctx, operation: &Operation) -> Result<Option<Answered>, Refusal> {
    let public = operation.params.name.as_deref().filter(|_| operation.method == Method::ToolsCall);
    let Some(public) = public.filter(|name| name.ends_with(TOOL)) else { return Ok(None) };
    let route = ctx.route()?.clone();
    let named = if route.bare { route.upstreams.first().map(|only| (&**only, public)) } else { names::split(public) };
    let Some((upstream, TOOL)) = named else { return Ok(None) };
    let Some(name) = route.upstreams.iter().find(|name| &***name == upstream).cloned() else { return Ok(None) };
    // Whoever could be allowed nothing there sees an unknown name, as in the list.
    if !ctx.world.links.contains_key(&name) || ctx.access()?.permit(&name).is_err() {
        return Ok(None);
    }
    ctx.asked.upstream = Some(name.clone());
    ctx.note(|draft| {
        draft.upstream = Some(name.clone());
        draft.set_name(names::full_name(&name, TOOL));
        draft.class = Some(Class::Read);
    });
    ctx.decided(true, Reason::Allowed);
    ctx.gateway.metrics.decided(true, Reason::Allowed, None, Some(Class::Read));
    let upstream = ctx.world.upstream(&name)?.clone();
    required(ctx, &upstream).await?;
    spend(ctx, operation)?;
    ctx.completed();
    let mut content = b"[{\"type\":\"text\",\"text\":".to_vec();
    push_string(&mut content, &format!("Your account at {name} is linked."));
    content.extend_from_slice(b"}]");
    let members = vec![(RawJson::of_static("\"content\""), RawJson::of_ours(content))];
    Ok(Some(lower(ctx, &Reply::Result(ResultBody { members, ..ResultBody::default() }))))
}

/// The gateway's own tool, as it stands in a list in place of those of `upstream`.
pub(super) fn tool_of(upstream: &str) -> Option<Arc<Entry>> {
    let mut raw = b"{\"name\":".to_vec();
    push_string(&mut raw, TOOL);
    raw.extend_from_slice(b",\"description\":");
    push_string(&mut raw, &format!("Link your {upstream} account"));
    raw.extend_from_slice(b",\"inputSchema\":{\"type\":\"object\",\"properties\":{}}}");
    let page = list::list_body(Method::ToolsList, [RawJson::of_ours(raw)].iter(), None);
    let item = list::items(Method::ToolsList, &page).ok()?.items.pop()?;
    Entry::read(upstream, Part::Tools, &item).ok().map(Arc::new)
}

/// An upstream's own tool by the name of ours could never be called.
pub(super) fn shadows(ctx: &Ctx, part: Part, entry: &Entry) -> bool {
    let upstream = entry.full.split_once(names::SEPARATOR).map_or("", |(upstream, _)| upstream);
    part == Part::Tools && &*entry.name == TOOL && ctx.world.links.contains_key(upstream)
}

/// How the client is told.
enum Way {
    /// A result that asks for input (2026-07-28).
    Result,
    /// -32042 (2025-11-25).
    Error,
    /// In words.
    Words,
}

fn way(ctx: &Ctx, operation: &Operation) -> Way {
    // Whoever said no is not asked again, but told.
    if !operation.method.asks_back() || ctx.asked.resumed.as_ref().is_some_and(|resumed| resumed.declined) {
        return Way::Words;
    }
    match operation.revision {
        Revision::V2026_07_28 if ctx.asked.caps.elicitation_url => Way::Result,
        Revision::V2025_11_25 if ctx.asked.caps.elicitation_url => Way::Error,
        _ => Way::Words,
    }
}

/// `input_required` with one question, and a state that tells our retry from others.
fn in_result(ctx: &Ctx, operation: &Operation, message: &str, url: &str) -> Result<Reply, Refusal> {
    let mut params = b"{\"mode\":\"url\",\"message\":".to_vec();
    push_string(&mut params, message);
    params.extend_from_slice(b",\"url\":");
    push_string(&mut params, url);
    params.push(b'}');
    let request = RawJson::object(&[
        ("method".to_owned(), RawJson::of_static("\"elicitation/create\"")),
        ("params".to_owned(), RawJson::of_ours(params)),
    ]);
    let members = vec![
        (RawJson::of_static("\"inputRequests\""), RawJson::object(&[(QUESTION.to_owned(), request)])),
        (RawJson::of_static("\"requestState\""), RawJson::of_text(&state(ctx, operation)?)),
    ];
    Ok(Reply::Result(ResultBody { kind: ResultKind::InputRequired, members, ..ResultBody::default() }))
}

/// -32042 (2025-11-25, elicitation).
fn in_error(message: &str, url: &str) -> Reply {
    let mut data = b"{\"elicitations\":[{\"mode\":\"url\",\"message\":".to_vec();
    push_string(&mut data, message);
    data.extend_from_slice(b",\"url\":");
    push_string(&mut data, url);
    data.extend_from_slice(b",\"elicitationId\":");
    push_string(&mut data, &uuid::Uuid::now_v7().to_string());
    data.extend_from_slice(b"}]}");
    let code = codes::URL_ELICITATION_REQUIRED;
    Reply::Error(RpcError { code, message: message.to_owned(), data: Some(RawJson::of_ours(data)) })
}

/// Until when we go on asking, and the state that an upstream gave before.
fn state(ctx: &Ctx, operation: &Operation) -> Result<String, Refusal> {
    let now_s = ctx.gateway.clock.unix_s();
    // Asking again does not begin anew: a client that never comes back linked is told so in the end.
    let until_s = ctx.asked.resumed.as_ref().map_or(now_s.saturating_add(LINK_S_MAX), |resumed| resumed.until_s);
    let original = operation.params.request_state.as_deref();
    let original = original.filter(|text| text.len() <= LINK_STATE_BYTES_MAX && !ctx.gateway.sessions.is_spent(text));
    let mut payload = until_s.to_be_bytes().to_vec();
    payload.extend_from_slice(original.unwrap_or_default().as_bytes());
    let (key, call) = (ctx.principal()?.key(), fingerprint(operation));
    let sealed = ctx.gateway.sealer.seal(binding(ctx, &key, &call)?, &payload, until_s);
    Ok(sealed.map_err(|_| Fault::internal(FaultKind::Internal, "a state could not be sealed"))?)
}

fn read_state(payload: Vec<u8>) -> Option<(u64, Option<String>)> {
    let (until_s, original) = payload.split_first_chunk::<8>()?;
    let original = std::str::from_utf8(original).ok()?;
    Some((u64::from_be_bytes(*until_s), (!original.is_empty()).then(|| original.to_owned())))
}

/// Takes the answer to our question `key` out of the retry.
///
/// # Errors
/// -32602 for answers that cannot be read.
pub(super) fn take(operation: &mut Operation, key: &str) -> Result<Option<RawJson>, Refusal> {
    let Some(responses) = operation.params.input_responses.take() else { return Ok(None) };
    let (mut kept, mut ours) = (Vec::new(), None);
    if responses.kind() != Some(Kind::Object) {
        operation.params.input_responses = Some(responses);
        return Ok(None);
    }
    let read = responses.scanner().object(|scan, name| {
        let value = responses.part(scan.value()?);
        match name.as_ref() {
            name if name == key => ours = Some(value),
            other => kept.push((other.to_owned(), value)),
        }
        Ok(())
    });
    let id = operation.id.clone();
    read.map_err(|_| ProtocolError::malformed_params("inputResponses cannot be read").with_id(Some(&id)))?;
    if ours.is_none() {
        operation.params.input_responses = Some(responses);
        return Ok(None);
    }
    operation.params.input_responses = (!kept.is_empty()).then(|| RawJson::object(&kept));
    Ok(ours)
}

fn used(operation: &Operation) -> Refusal {
    ProtocolError::invalid_params("Invalid or expired requestState").with_id(Some(&operation.id)).into()
}

fn binding<'a>(ctx: &'a Ctx, principal: &'a PrincipalKey, call: &'a [u8]) -> Result<Binding<'a>, Refusal> {
    Ok(Binding { purpose: Purpose::LinkState, principal, route: &ctx.route()?.path, context: call })
}

/// The call that a state belongs to: method, name as the client says it, and arguments, byte for byte.
pub(super) fn fingerprint(operation: &Operation) -> Vec<u8> {
    let params = &operation.params;
    let mut context = Context::new(&SHA256);
    let texts = [Some(operation.method.as_str()), params.name.as_deref(), params.uri.as_deref()];
    let arguments = params.arguments.as_ref().map(RawJson::as_bytes);
    for part in texts.map(|text| text.map(str::as_bytes)).into_iter().chain([arguments]) {
        let part = part.unwrap_or_default();
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

const NOT_A_PERSON: &str =
    "The server behind the gateway needs a person's own account, and this credential is not that of a person who can link one.";
