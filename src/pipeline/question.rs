//! Questions an upstream puts to a person through the client (multi round-trip requests, 2026-07-28).
//!
//! An upstream may ask only what this client declared and a capability rule allows; by default that is nothing. Its
//! `requestState` travels sealed, bound to the principal, the route and the very call, and opens once.

use aws_lc_rs::digest::{Context, SHA256};

use super::ctx::Ctx;
use super::refusal::Refusal;
use super::route::Target;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::Operation;
use crate::mcp::error::ProtocolError;
use crate::mcp::json::{JsonError, Kind, Scanner};
use crate::mcp::{Outgoing, RawJson, ResultBody, RpcError, codes};
use crate::policy::permit::Permit;
use crate::seal::{Binding, Purpose};
use crate::vocab::limits::REQUEST_STATE_S_MAX;
use crate::vocab::{Fault, FaultKind, PrincipalKey, Revision};

/// What the upstream of `target` may ask during this operation. Nothing across eras: there the question has no carrier.
pub(super) async fn granted(ctx: &Ctx, target: &Target, operation: &Operation, permit: &Permit) -> Result<ClientCaps, Refusal> {
    let declared = declared(operation)?;
    if declared.is_empty() {
        return Ok(declared);
    }
    let principal = ctx.principal()?;
    let upstream = target.view.upstream();
    let rules = ctx.world.policy.capabilities(principal, &upstream.settings().name);
    let allowed = declared.and(ClientCaps {
        elicitation_form: rules.elicitation_form,
        elicitation_url: rules.elicitation_url,
        sampling: rules.sampling,
        sampling_tools: rules.sampling,
        roots: rules.roots,
    });
    if allowed.is_empty() {
        return Ok(allowed);
    }
    let (key, none) = (principal.key(), RawJson::of_static("{}"));
    let facts = Box::pin(upstream.ready(&key, &none, permit, ctx.deadline)).await?;
    Ok(if facts.revision > Revision::NEWEST_WITH_SESSIONS { allowed } else { ClientCaps::default() })
}

fn declared(operation: &Operation) -> Result<ClientCaps, Refusal> {
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
    outgoing.input_responses.clone_from(&params.input_responses);
    let Some(text) = &params.request_state else { return Ok(()) };
    let invalid = || ProtocolError::invalid_params("Invalid or expired requestState").with_id(Some(&operation.id));
    let key = ctx.principal()?.key();
    let call = fingerprint(target, operation);
    let opened = ctx.gateway.sealer.open_text(binding(ctx, &key, &call)?, text, ctx.gateway.clock.unix_s());
    let state = opened.ok().and_then(|state| String::from_utf8(state).ok()).ok_or_else(invalid)?;
    if !ctx.gateway.sessions.spend(text) {
        return Err(invalid().into());
    }
    outgoing.request_state = Some(state);
    Ok(())
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
        let asked = requests.scanner().object(|scan, _| request(scan, granted));
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
fn request(scan: &mut Scanner<'_>, granted: ClientCaps) -> Result<(), JsonError> {
    let (mut method, mut url_mode, mut has_tools) = (String::new(), false, false);
    scan.object(|scan, key| match key.as_ref() {
        "method" => {
            method = scan.string()?.into_owned();
            Ok(())
        }
        "params" if scan.peek()? == Kind::Object => {
            scan.object(|scan, key| match key.as_ref() {
                "mode" => {
                    url_mode = scan.string()? == "url";
                    Ok(())
                }
                "url" => {
                    let secure = scan.string()?.starts_with("https://");
                    if secure { Ok(()) } else { Err(JsonError::Shape("a URL for a person is https")) }
                }
                "tools" => {
                    has_tools = true;
                    scan.value().map(|_| ())
                }
                _ => scan.value().map(|_| ()),
            })?;
            Ok(())
        }
        _ => scan.value().map(|_| ()),
    })?;
    let may = match method.as_str() {
        "elicitation/create" if url_mode => granted.elicitation_url,
        "elicitation/create" => granted.elicitation_form,
        "sampling/createMessage" => granted.sampling && (granted.sampling_tools || !has_tools),
        "roots/list" => granted.roots,
        _ => false,
    };
    if may { Ok(()) } else { Err(JsonError::Shape("not granted")) }
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
