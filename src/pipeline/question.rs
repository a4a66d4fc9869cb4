//! Questions an upstream puts to a person, a model or a client: who may ask what, and how questions and answers travel in results
//! (multi round-trip requests, 2026-07-28).
//!
//! An upstream may ask only what this client declared and a capability rule allows; by default that is nothing. Between peers of
//! the same kind a question travels as it is: in results here, as a request in [`super::carry`]. Where an upstream asks in results
//! and the client takes requests, [`super::rounds`] asks and calls again; the other way round the call waits in [`super::parked`].
//! A result's `requestState` travels sealed, bound to the principal, the route and the very call, and opens once.

use aws_lc_rs::digest::{Context, SHA256};

use super::consult;
use super::ctx::Ctx;
use super::expected::{Expected, conceivable};
use super::link;
use super::refusal::Refusal;
use super::route::Target;
use super::sequel;
use super::world::World;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::{Operation, Question, input_request};
use crate::mcp::error::ProtocolError;
use crate::mcp::json::{JsonError, Kind, Scanner};
use crate::mcp::{Outgoing, RawJson, ResultBody, RpcError, codes, pointer};
use crate::policy::Moment;
use crate::seal::{Binding, Purpose};
use crate::vocab::limits::REQUEST_STATE_S_MAX;
use crate::vocab::{Fault, FaultKind, Principal, PrincipalKey, Revision};

/// What the upstream called `upstream` may ask this client: what the client declared and a rule allows. Nothing where there is no
/// way to ask, which for a client that takes requests is an answer that is no stream.
pub(super) fn granted(ctx: &Ctx, upstream: &str) -> ClientCaps {
    let declared = ctx.asked.caps;
    let in_results = ctx.asked.revision.is_some_and(|revision| revision > Revision::NEWEST_WITH_SESSIONS);
    if declared.is_empty() || !(in_results || ctx.streams) {
        return ClientCaps::NONE;
    }
    let Some(principal) = &ctx.principal else { return ClientCaps::NONE };
    declared.and(allowed(&ctx.world, principal, upstream, ctx.moment_of_record()))
}

/// What an upstream with sessions is told, when one is opened, that its client can be asked. Nothing for a session that all
/// principals share.
pub(super) fn told(ctx: &Ctx, upstream: &str) -> ClientCaps {
    if ctx.asked.caps.is_empty() {
        return ClientCaps::NONE;
    }
    let own = ctx.world.upstream(upstream).is_ok_and(|upstream| !upstream.settings().shared);
    if own { granted(ctx, upstream) } else { ClientCaps::NONE }
}

/// What the rules of `world` let `upstream` ask of `principal`.
pub(super) fn allowed(world: &World, principal: &Principal, upstream: &str, moment: Moment<'_>) -> ClientCaps {
    let rules = world.policy.capabilities(principal, upstream, moment);
    ClientCaps {
        elicitation_form: rules.elicitation_form,
        elicitation_url: rules.elicitation_url,
        sampling: rules.sampling,
        sampling_tools: rules.sampling,
        roots: rules.roots,
    }
}

/// What a client that says so with each request can be asked.
///
/// # Errors
/// -32602 for a capability that is no object.
pub(super) fn declared(operation: &Operation) -> Result<ClientCaps, ProtocolError> {
    let Some(raw) = &operation.client_capabilities else { return Ok(ClientCaps::default()) };
    let wrong = |_| ProtocolError::malformed_params("a client capability is not an object").with_id(Some(&operation.id));
    ClientCaps::parse(raw).map_err(wrong)
}

/// Puts a retry's answers and the upstream's own state into `outgoing`. If the state names a call that waits, that is its number.
///
/// # Errors
/// One and the same -32602 for a state that is forged, foreign, expired, of another call, was used before, or names a call that
/// does not wait here; -32602 for an answer of another kind than its question; in plain words when the person said no to a page.
pub(super) fn resume(
    ctx: &mut Ctx,
    target: &Target,
    operation: &Operation,
    outgoing: &mut Outgoing,
) -> Result<Option<u128>, Refusal> {
    let params = &operation.params;
    if let Some(text) = &params.request_state {
        let key = ctx.principal()?.key();
        let call = fingerprint(target, operation);
        let (gateway, now_s) = (ctx.gateway.clone(), ctx.gateway.clock.unix_s());
        if gateway.sessions.is_spent(text) {
            return Err(invalid(operation));
        }
        let route = ctx.route()?.path.clone();
        let open = |purpose| gateway.sealer.open_text(binding(purpose, &key, &route, &call), text, now_s).ok();
        let approved = || open(Purpose::ApprovedRound).and_then(|state| numbered(&state));
        let state = open(Purpose::RequestState).map(|state| (None, state)).or_else(approved);
        if let Some((sequel, state)) = state {
            ctx.sequel = sequel;
            let (expected, own) = Expected::read(&state).ok_or_else(|| invalid(operation))?;
            let answers = expected.among(responses(operation)?).map_err(|_| misfit(operation))?;
            outgoing.request_state = Some(String::from_utf8(own.to_vec()).map_err(|_| invalid(operation))?);
            if !ctx.asked.granted.is_empty() && params.input_responses.is_some() {
                outgoing.input_responses = Some(RawJson::object(&answers));
            }
            return Ok(None);
        } else if let Some(parked) = open(Purpose::Parked) {
            let id = u128::from_be_bytes(parked.try_into().map_err(|_| invalid(operation))?);
            let answers = responses(operation)?;
            let (expected, sequel) = gateway.parked.expects(id, &key).ok_or_else(|| invalid(operation))?;
            ctx.sequel = sequel;
            return expected.among(answers).map(|_| Some(id)).map_err(|_| misfit(operation));
        } else {
            let visits = open(Purpose::Visit).ok_or_else(|| invalid(operation))?;
            ctx.asked.visits = visits.first().copied().ok_or_else(|| invalid(operation))?;
            let said_no = |answer: &RawJson| pointer::at(answer, "/action").is_none_or(|action| action.as_str() != "\"accept\"");
            if responses(operation)?.iter().any(|(_, answer)| said_no(answer)) {
                return Err(Refusal::Unanswered(DECLINED));
            }
            return Ok(None);
        }
    }
    outgoing.input_responses = unasked(ctx, operation)?;
    Ok(None)
}

/// The number of the round, before what a state of [`Purpose::RequestState`] holds.
fn numbered(state: &[u8]) -> Option<(Option<u128>, Vec<u8>)> {
    let (number, rest) = state.split_first_chunk()?;
    Some((Some(u128::from_be_bytes(*number)), rest.to_vec()))
}

/// Answers to an upstream that keeps its questions to itself: only it knows what it asked. To questions that it may not ask none
/// are passed on.
///
/// # Errors
/// As [`responses`].
pub(super) fn unasked(ctx: &Ctx, operation: &Operation) -> Result<Option<RawJson>, ProtocolError> {
    if ctx.asked.granted.is_empty() || operation.params.input_responses.is_none() {
        return Ok(None);
    }
    Ok(Some(RawJson::object(&conceivable(ctx.asked.granted, responses(operation)?))))
}

fn misfit(operation: &Operation) -> Refusal {
    ProtocolError::invalid_params("An answer is of another kind than its question").with_id(Some(&operation.id)).into()
}

/// The one answer to every state that is not good.
pub(super) fn invalid(operation: &Operation) -> Refusal {
    ProtocolError::invalid_params("Invalid or expired requestState").with_id(Some(&operation.id)).into()
}

/// What a retry answers, by key.
///
/// # Errors
/// -32602 for what are no answers.
pub(super) fn responses(operation: &Operation) -> Result<Vec<(String, RawJson)>, ProtocolError> {
    let mut answers = Vec::new();
    let Some(responses) = &operation.params.input_responses else { return Ok(answers) };
    let read = responses.scanner().object(|scan, key| {
        if scan.peek()? != Kind::Object {
            return Err(JsonError::Shape("an answer is an object"));
        }
        answers.push((key.as_ref().to_owned(), responses.part(scan.value()?)));
        Ok(())
    });
    let wrong = |_| ProtocolError::malformed_params("inputResponses cannot be read").with_id(Some(&operation.id));
    read.map(|_| answers).map_err(wrong)
}

/// Uses up the state of a retry that is about to leave. Of two that race, one leaves.
///
/// # Errors
/// As [`resume`].
pub(super) fn spend(ctx: &Ctx, operation: &Operation) -> Result<(), Refusal> {
    match &operation.params.request_state {
        Some(text) if !ctx.gateway.sessions.spend(text) => Err(invalid(operation)),
        _ => link::spend(ctx, operation),
    }
}

/// Checks an upstream's questions against what it may ask, says who asks, and seals its state.
///
/// # Errors
/// A fault for a question that was not granted or that no client could show.
pub(super) fn relay(ctx: &mut Ctx, target: &Target, operation: &Operation, body: &mut ResultBody) -> Result<(), Refusal> {
    let forbidden = || Fault::upstream(FaultKind::Malformed, "the upstream asks what it may not ask");
    let questions = requests(ctx, target, body).ok_or_else(forbidden)?;
    if body.member("inputRequests").is_some() {
        let questions: Vec<_> = questions.iter().map(|(key, question)| (key.clone(), input_request(question))).collect();
        body.replace("inputRequests", RawJson::object(&questions));
    }
    if let Some(state) = state(body).map_err(|_| forbidden())? {
        let asked = questions.iter().map(|(key, question)| (key.as_str(), question));
        let payload = Expected::of(asked).ok_or_else(forbidden)?.before(state.as_bytes());
        let (purpose, payload) = match sequel::keep(ctx) {
            Some(number) => (Purpose::ApprovedRound, [&number.to_be_bytes()[..], &payload].concat()),
            None => (Purpose::RequestState, payload),
        };
        body.replace("requestState", sealed(ctx, target, operation, purpose, (&payload, REQUEST_STATE_S_MAX))?);
    }
    Ok(())
}

/// `requestState` of a result.
///
/// # Errors
/// When it is no text.
pub(super) fn state(body: &ResultBody) -> Result<Option<String>, JsonError> {
    body.member("requestState")
        .map(|state| crate::mcp::json::unquote(state.as_str()).map(std::borrow::Cow::into_owned))
        .transpose()
}

/// A state for the client to carry, for this principal, route and call, for so many seconds.
///
/// # Errors
/// A fault when the system has no randomness.
pub(super) fn sealed(
    ctx: &Ctx,
    target: &Target,
    operation: &Operation,
    purpose: Purpose,
    (payload, life_s): (&[u8], u64),
) -> Result<RawJson, Refusal> {
    let (key, call) = (ctx.principal()?.key(), fingerprint(target, operation));
    let expires_s = ctx.gateway.clock.unix_s().saturating_add(life_s);
    let sealed = ctx.gateway.sealer.seal(binding(purpose, &key, &ctx.route()?.path, &call), payload, expires_s);
    let sealed = sealed.map_err(|_| Fault::internal(FaultKind::Internal, "a state could not be sealed"))?;
    Ok(RawJson::of_text(&sealed))
}

/// The questions of a result that asks for input, by key. `None` when one of them may not be asked, or could not be shown.
pub(super) fn requests(ctx: &Ctx, target: &Target, body: &ResultBody) -> Option<Vec<(String, Question)>> {
    body.member("inputRequests").map_or_else(|| Some(Vec::new()), |requests| questions_in(ctx, target, requests))
}

/// As [`requests`], of `inputRequests` wherever they stand.
pub(super) fn questions_in(ctx: &Ctx, target: &Target, requests: &RawJson) -> Option<Vec<(String, Question)>> {
    let upstream = &target.view.upstream().settings().name;
    let questions = entries(requests).ok()?.into_iter().map(|(key, method, params)| {
        let granted = ctx.asked.granted.cover(&method, params.as_ref());
        let question = Some(params).filter(|_| granted).and_then(|params| Question::of(upstream, &method, params));
        Some((key, question?))
    });
    questions.collect()
}

/// `inputRequests` by key: method and params.
///
/// # Errors
/// [`JsonError`] for what are no requests, and for a key that the gateway uses itself.
pub(super) fn entries(requests: &RawJson) -> Result<Vec<(String, String, Option<RawJson>)>, JsonError> {
    let mut entries = Vec::new();
    requests.scanner().object(|scan, key| {
        if key == link::QUESTION || key == consult::QUESTION {
            return Err(JsonError::Shape("a key of the gateway's own"));
        }
        let (method, params) = request(scan, requests)?;
        entries.push((key.as_ref().to_owned(), method, params));
        Ok(())
    })?;
    Ok(entries)
}

/// One entry of `inputRequests`.
fn request(scan: &mut Scanner<'_>, whole: &RawJson) -> Result<(String, Option<RawJson>), JsonError> {
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
    Ok((method, params))
}

/// An upstream needs a capability that it was not promised. A client of the newest revision that did not declare it is told which
/// one (-32021), an older one in plain words.
///
/// `None` when the client did declare all of it; then it is policy that holds it back, which is no business of the client's.
pub(super) fn missing(ctx: &Ctx, operation: &Operation, error: &RpcError) -> Option<Refusal> {
    if error.code != codes::MISSING_CAPABILITY {
        return None;
    }
    if operation.revision <= Revision::NEWEST_WITH_SESSIONS {
        return Some(Refusal::Unanswered(UNABLE));
    }
    let required = pointer::at(error.data.as_ref()?, "/requiredCapabilities")?;
    let required = ClientCaps::parse(&required).ok()?;
    let missing = ClientCaps::from_bits(required.bits() & !ctx.asked.caps.bits());
    (!missing.is_empty()).then(|| ProtocolError::missing_capability(&missing.to_json()).with_id(Some(&operation.id)).into())
}

fn binding<'a>(purpose: Purpose, principal: &'a PrincipalKey, route: &'a str, call: &'a [u8]) -> Binding<'a> {
    Binding { purpose, principal, route, context: call }
}

/// The call that a state belongs to: method, target and arguments, byte for byte.
fn fingerprint(target: &Target, operation: &Operation) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    let arguments = operation.params.arguments.as_ref().map_or(&[][..], RawJson::as_bytes);
    // Behind the same name there may be another server after a reload.
    let server = target.view.upstream().settings().server().0;
    for part in [operation.method.as_str().as_bytes(), target.full.as_bytes(), arguments, &server] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// To whom an upstream's question cannot be put.
pub(super) const UNABLE: &str = "This operation needs an answer that this client cannot give, or may not be asked for: use another client, or ask the operator.";
/// Whose other calls wait for answers already.
pub(super) const BUSY: &str =
    "Too many operations of yours wait for an answer already: answer or cancel one of them, then try again.";
/// Who said no.
pub(super) const DECLINED: &str = "The server's question was declined, and it cannot go on without an answer.";
