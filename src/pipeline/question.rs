//! Questions an upstream puts to a person through the client: who may ask what, and how they travel in results (multi
//! round-trip requests, 2026-07-28). How they travel as requests (2025-11-25 and older) is [`super::carry`].
//!
//! An upstream may ask only what this client declared and a capability rule allows; by default that is nothing. A question does
//! not cross from one way to the other. A result's `requestState` travels sealed, bound to the principal, the route and the very
//! call, and opens once.

use aws_lc_rs::digest::{Context, SHA256};

use super::ctx::Ctx;
use super::link;
use super::refusal::Refusal;
use super::route::Target;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::Operation;
use crate::mcp::error::ProtocolError;
use crate::mcp::json::{JsonError, Scanner};
use crate::mcp::{Outgoing, RawJson, ResultBody, RpcError, codes};
use crate::seal::{Binding, Purpose};
use crate::vocab::limits::REQUEST_STATE_S_MAX;
use crate::vocab::{Fault, FaultKind, PrincipalKey, Revision};

/// What an upstream with sessions is told, when one is opened, that the client of this session can be asked.
///
/// Nothing where the answer is no stream, for there is no way to ask; nothing for a session that all principals share.
pub(super) fn told(ctx: &Ctx, upstream: &str) -> ClientCaps {
    let declared = ctx.asked.caps;
    if declared.is_empty() || !ctx.streams {
        return ClientCaps::NONE;
    }
    let own = ctx.world.upstream(upstream).is_ok_and(|upstream| !upstream.settings().shared);
    if own { declared.and(allowed(ctx, upstream)) } else { ClientCaps::NONE }
}

fn allowed(ctx: &Ctx, upstream: &str) -> ClientCaps {
    let Some(principal) = &ctx.principal else { return ClientCaps::NONE };
    let rules = ctx.world.policy.capabilities(principal, upstream, ctx.moment_of_record());
    ClientCaps {
        elicitation_form: rules.elicitation_form,
        elicitation_url: rules.elicitation_url,
        sampling: rules.sampling,
        sampling_tools: rules.sampling,
        roots: rules.roots,
    }
}

/// What the upstream of `target` may ask in its answer to this operation: of clients that say with each request what they can be
/// asked. Upstreams with sessions never see it.
pub(super) fn granted(ctx: &Ctx, target: &Target, operation: &Operation) -> Result<ClientCaps, Refusal> {
    let declared = declared(operation)?;
    if declared.is_empty() {
        return Ok(declared);
    }
    Ok(declared.and(allowed(ctx, &target.view.upstream().settings().name)))
}

pub(super) fn declared(operation: &Operation) -> Result<ClientCaps, Refusal> {
    let Some(raw) = &operation.client_capabilities else { return Ok(ClientCaps::default()) };
    let wrong = |_| ProtocolError::malformed_params("a client capability is not an object").with_id(Some(&operation.id));
    Ok(ClientCaps::parse(raw).map_err(wrong)?)
}

/// Puts a retry's answers and the upstream's own state into `outgoing`.
///
/// # Errors
/// One and the same -32602 for a state that is forged, foreign, expired, of another call, or was used before.
pub(super) fn resume(ctx: &Ctx, target: &Target, operation: &Operation, outgoing: &mut Outgoing) -> Result<(), Refusal> {
    let params = &operation.params;
    // Answers to questions that may not be asked are not passed on.
    if !ctx.asked.granted.is_empty() || params.request_state.is_some() {
        outgoing.input_responses.clone_from(&params.input_responses);
    }
    let Some(text) = &params.request_state else { return Ok(()) };
    let invalid = || ProtocolError::invalid_params("Invalid or expired requestState").with_id(Some(&operation.id));
    let key = ctx.principal()?.key();
    let call = fingerprint(target, operation);
    let opened = ctx.gateway.sealer.open_text(binding(ctx, &key, &call)?, text, ctx.gateway.clock.unix_s());
    let state = opened.ok().and_then(|state| String::from_utf8(state).ok()).ok_or_else(invalid)?;
    if ctx.gateway.sessions.is_spent(text) {
        return Err(invalid().into());
    }
    outgoing.request_state = Some(state);
    Ok(())
}

/// Uses up the state of a retry that is about to leave. Of two that race, one leaves.
///
/// # Errors
/// As [`resume`].
pub(super) fn spend(ctx: &Ctx, operation: &Operation) -> Result<(), Refusal> {
    match &operation.params.request_state {
        Some(text) if !ctx.gateway.sessions.spend(text) => {
            Err(ProtocolError::invalid_params("Invalid or expired requestState").with_id(Some(&operation.id)).into())
        }
        _ => link::spend(ctx, operation),
    }
}

/// Checks an upstream's question against what it may ask, and seals its state.
///
/// # Errors
/// A fault for a question that was not granted or that no client could show.
pub(super) fn relay(
    ctx: &Ctx,
    target: &Target,
    operation: &Operation,
    granted: ClientCaps,
    body: &mut ResultBody,
) -> Result<(), Refusal> {
    let forbidden = || Fault::upstream(FaultKind::Malformed, "the upstream asks what it may not ask");
    if let Some(requests) = body.member("inputRequests") {
        let asked = requests.scanner().object(|scan, key| match key.as_ref() {
            link::QUESTION => Err(JsonError::Shape("a key of the gateway's own")),
            _ => request(scan, requests, granted),
        });
        asked.map_err(|_| forbidden())?;
    }
    let Some(state) = body.member("requestState").cloned() else { return Ok(()) };
    let state = crate::mcp::json::unquote(state.as_str()).map_err(|_| forbidden())?.into_owned();
    let key = ctx.principal()?.key();
    let call = fingerprint(target, operation);
    let expires = ctx.gateway.clock.unix_s().saturating_add(REQUEST_STATE_S_MAX);
    let sealed = ctx.gateway.sealer.seal(binding(ctx, &key, &call)?, state.as_bytes(), expires);
    let sealed = sealed.map_err(|_| Fault::internal(FaultKind::Internal, "a state could not be sealed"))?;
    body.replace("requestState", RawJson::of_text(&sealed));
    Ok(())
}

/// One entry of `inputRequests`.
fn request(scan: &mut Scanner<'_>, whole: &RawJson, granted: ClientCaps) -> Result<(), JsonError> {
    let (mut method, mut params) = (String::new(), None);
    scan.object(|scan, key| {
        match key.as_ref() {
            "method" => method = scan.string()?.into_owned(),
            "params" => params = Some(whole.part(scan.value()?)),
            _ => {
                scan.value()?;
            }
        }
        Ok(())
    })?;
    if granted.cover(&method, params.as_ref()) { Ok(()) } else { Err(JsonError::Shape("not granted")) }
}

/// An upstream needs a capability that the client did not declare: the client is told which (-32021).
///
/// `None` when the client did declare all of it; then it is policy that holds it back, which is no business of the client's.
pub(super) fn missing(operation: &Operation, error: &RpcError) -> Option<ProtocolError> {
    if error.code != codes::MISSING_CAPABILITY || operation.revision <= Revision::NEWEST_WITH_SESSIONS {
        return None;
    }
    let required = crate::mcp::pointer::at(error.data.as_ref()?, "/requiredCapabilities")?;
    let required = ClientCaps::parse(&required).ok()?;
    let declared = declared(operation).ok()?;
    let missing = ClientCaps::from_bits(required.bits() & !declared.bits());
    (!missing.is_empty()).then(|| ProtocolError::missing_capability(&missing.to_json()).with_id(Some(&operation.id)))
}

fn binding<'a>(ctx: &'a Ctx, principal: &'a PrincipalKey, call: &'a [u8]) -> Result<Binding<'a>, Refusal> {
    Ok(Binding { purpose: Purpose::RequestState, principal, route: &ctx.route()?.path, context: call })
}

/// The call that a state belongs to: method, target and arguments, byte for byte.
fn fingerprint(target: &Target, operation: &Operation) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    let arguments = operation.params.arguments.as_ref().map_or(&[][..], RawJson::as_bytes);
    for part in [operation.method.as_str().as_bytes(), target.full.as_bytes(), arguments] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}
