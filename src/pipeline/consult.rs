//! How whoever calls is told that people have to approve, chosen by what the client declared.
//!
//! A question of the gateway's own, as in [`super::link`]: with a page to go to, or for `from: [caller]` a form. A client of 2026-07-28
//! gets it in a result, an older one as a request while its call is held ([`super::hold`]). It needs no capability rule. The answer
//! to a page is no vote: people vote where they sign in. The answer to a form is one, of who calls and in that place only. A client
//! without any of it is told of progress, if it asked to be, or gets words.

use super::approve::{Unapproved, from_whom};
use super::ctx::Ctx;
use super::deferred;
use super::hold::{self, Held};
use super::link::{fingerprint, take};
use super::operate::{Done, line};
use super::refusal::Refusal;
use super::reply::{Answered, lower};
use super::task::declares;
use crate::approval::{Request, RequestId, State, Voter};
use crate::audit::Status;
use crate::mcp::dialect::{Operation, Question, input_request};
use crate::mcp::headers::McpHeaders;
use crate::mcp::json::push_string;
use crate::mcp::reply::ResultKind;
use crate::mcp::{Method, RawJson, Reply, ResultBody, RpcError, codes, pointer};
use crate::seal::{Binding, Purpose};
use crate::telemetry::escape::visible;
use crate::vocab::limits::{APPROVAL_FORM_BYTES_MAX, LINK_STATE_BYTES_MAX};
use crate::vocab::{Fault, FaultKind, PrincipalKey, Reason, Revision};

/// Key of our own question among those of an upstream, which may not use it.
pub(super) const QUESTION: &str = "dev.portcullis/approval";

/// What our question came back with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resumed {
    /// The person turned away: nothing more is asked.
    declined: bool,
}

/// A question of ours.
pub(super) struct Consultation {
    pub(super) question: Question,
    /// Its answer is a vote of who calls.
    pub(super) form: bool,
}

/// How the client is told.
pub(super) enum Way {
    /// A result that asks (2026-07-28).
    Result(Consultation),
    /// -32042 (2025-11-25).
    Error(String),
    /// With a handle by which the client finds what comes of it (the tasks extension, 2026-07-28).
    Task,
    /// The call is held as a stream, on which a question may be asked and progress is told.
    Stream(Option<Consultation>),
    /// The call is held as it is.
    Hold,
    /// In words.
    Words,
}

/// Tells that people have to approve, and how; or waits for them and tries again, once.
///
/// # Errors
/// What is told in words; whatever the call meets when it is tried again.
pub(super) async fn tell(
    ctx: &mut Ctx,
    operation: &Operation,
    headers: &McpHeaders<'_>,
    unapproved: Box<Unapproved>,
) -> Result<Done, Refusal> {
    let way = way(ctx, operation, &unapproved).await?;
    let Some(request) = unapproved.request.clone() else { return Err(Refusal::Unapproved(unapproved)) };
    // Whoever holds more calls than their share is told in words.
    let seat = match way {
        Way::Stream(_) | Way::Hold => ctx.gateway.holds.seat(ctx.principal()?.key()),
        _ => None,
    };
    match way {
        Way::Result(consultation) => in_result(ctx, operation, &request, &consultation).map(|told| asked(ctx, told)),
        Way::Error(url) => Ok(asked(ctx, in_error(ctx, &request, &url))),
        Way::Task => deferred::defer(ctx, operation, &unapproved).map(|told| asked(ctx, told)),
        Way::Stream(consultation) => match seat {
            Some(seat) => Ok(Done::Held(Box::new(Held { seat, unapproved, consultation }))),
            None => Err(Refusal::Unapproved(unapproved)),
        },
        Way::Hold if seat.is_none() => Err(Refusal::Unapproved(unapproved)),
        Way::Hold => {
            if hold::until_decided(ctx, &unapproved).await == State::Pending {
                return Err(Refusal::Unapproved(unapproved));
            }
            drop(seat);
            ctx.renew()?;
            line(ctx, operation, headers).await
        }
        Way::Words => Err(Refusal::Unapproved(unapproved)),
    }
}

/// A question of our own is how this request ends: denied for now.
fn asked(ctx: &Ctx, told: Answered) -> Done {
    ctx.ended(Status::Denied, Reason::ApprovalRequired);
    Done::Answered(told)
}

/// Chooses.
///
/// # Errors
/// A fault when the store does not say what is to be confirmed.
pub(super) async fn way(ctx: &Ctx, operation: &Operation, unapproved: &Unapproved) -> Result<Way, Refusal> {
    let pending = unapproved.denial.reason == Reason::ApprovalRequired;
    let Some(request) = unapproved.request.as_ref().filter(|_| pending && ctx.asked.held.is_none()) else {
        return Ok(Way::Words);
    };
    let holds = !ctx.world.approvals.wait.is_zero();
    let progress = ctx.streams && holds && operation.wants_progress.is_some();
    let modern = operation.revision > Revision::NEWEST_WITH_SESSIONS;
    match ctx.asked.consulted {
        Some(Resumed { declined: true }) => return Ok(Way::Words),
        // Whoever was at the page comes back: people may need some time yet.
        Some(_) if progress => return Ok(Way::Stream(None)),
        Some(_) => return Ok(if holds { Way::Hold } else { Way::Words }),
        None => {}
    }
    // The retry of a question of ours answers that one: what this call answers to its server's would be lost.
    let consultation = match operation.params.input_responses {
        Some(_) => None,
        None => consultation(ctx, operation, request).await?,
    };
    Ok(match consultation {
        Some(consultation) if modern => Way::Result(consultation),
        Some(consultation) if ctx.streams && holds && ctx.asked.session.is_some() => Way::Stream(Some(consultation)),
        Some(Consultation { form: false, .. }) if operation.revision == Revision::V2025_11_25 => {
            page(ctx, request).map_or(Way::Words, Way::Error)
        }
        _ if operation.method == Method::ToolsCall && declares(operation) => Way::Task,
        _ if progress => Way::Stream(None),
        _ => Way::Words,
    })
}

/// The question, if this client can be asked one. A page is better than a form: there the person signs in.
async fn consultation(ctx: &Ctx, operation: &Operation, request: &Request) -> Result<Option<Consultation>, Refusal> {
    let caps = ctx.asked.caps;
    if let Some(url) = page(ctx, request).filter(|_| caps.elicitation_url && operation.revision >= Revision::V2025_11_25) {
        let name = visible(&request.bound.name);
        let message =
            format!("{name} waits for a yes from {}: open the page, sign in, and look at the call.", from_whom(request));
        let mut params = b"{\"mode\":\"url\",\"message\":".to_vec();
        push_string(&mut params, &message);
        params.extend_from_slice(b",\"url\":");
        push_string(&mut params, &url);
        params.push(b'}');
        return Ok(question(params).map(|question| Consultation { question, form: false }));
    }
    let asks_caller = request.bound.gates.iter().any(|gate| gate.from.iter().any(|word| word == "caller"));
    if !(asks_caller && caps.elicitation_form && operation.revision >= Revision::V2025_06_18) {
        return Ok(None);
    }
    let mut params = b"{\"mode\":\"form\",\"message\":".to_vec();
    push_string(&mut params, &form_text(ctx, request).await?);
    params.extend_from_slice(FORM);
    Ok(question(params).map(|question| Consultation { question, form: true }))
}

/// A page of ours begins with our own name.
fn question(params: Vec<u8>) -> Option<Question> {
    Question::of("portcullis", "elicitation/create", Some(RawJson::of_ours(params)))
}

/// What is confirmed: which tool of which server, with what, and the digest of what runs.
async fn form_text(ctx: &Ctx, request: &Request) -> Result<String, Refusal> {
    let failed = |error| Fault::internal(FaultKind::Internal, format!("approvals: {error}"));
    let shown = ctx.gateway.approvals.shown(&request.id).await.map_err(failed)?.unwrap_or_default();
    let bound = &request.bound;
    let end = shown.text.floor_char_boundary(APPROVAL_FORM_BYTES_MAX);
    let left_out = shown.left_out_bytes.saturating_add((shown.text.len() - end) as u64);
    let text = shown.text.get(..end).unwrap_or_default();
    let more = if left_out > 0 { format!("\n... and {left_out} bytes more") } else { String::new() };
    let masked = match (shown.masked, shown.unverified) {
        (0, _) => String::new(),
        (masked, 0) => format!("\n({masked} secrets are masked)"),
        (masked, unverified) => {
            format!("\n({masked} secrets are masked; {unverified} of them not verified: anything may be hidden there)")
        }
    };
    let (name, upstream, class, digest) = (visible(&bound.name), &bound.upstream, bound.class.as_str(), bound.arguments);
    Ok(format!("Run {name} of the server {upstream} ({class})?\n{text}{more}{masked}\nArguments {digest}"))
}

/// Where people decide on `request`: who calls on a page of this listener, everybody else at the console.
pub(super) fn page(ctx: &Ctx, request: &Request) -> Option<String> {
    let pages = &ctx.world.approvals;
    let by_caller = request.bound.gates.iter().any(|gate| gate.is_of_caller());
    let base = if by_caller { &pages.confirm } else { &pages.console };
    base.as_ref().map(|base| format!("{base}/{}", request.id))
}

/// The rest of a form, behind its message.
const FORM: &[u8] = br#","requestedSchema":{"type":"object","properties":{"approve":{"type":"boolean","title":"Run this call","description":"Yes runs it once, exactly as shown. No refuses it.","default":false}},"required":["approve"]}}"#;

/// `input_required` with our question, and a state that tells our retry from others.
///
/// # Errors
/// A fault when the state cannot be sealed.
pub(super) fn in_result(ctx: &Ctx, operation: &Operation, request: &Request, asks: &Consultation) -> Result<Answered, Refusal> {
    let original = operation.params.request_state.as_deref();
    let original = original.filter(|text| text.len() <= LINK_STATE_BYTES_MAX && !ctx.gateway.sessions.is_spent(text));
    let mut payload = vec![u8::from(asks.form)];
    payload.extend_from_slice(request.id.as_str().as_bytes());
    payload.extend_from_slice(original.unwrap_or_default().as_bytes());
    let (key, call) = (ctx.principal()?.key(), fingerprint(operation));
    let sealed = ctx.gateway.sealer.seal(binding(ctx, &key, &call)?, &payload, request.expires_unix_s);
    let state = sealed.map_err(|_| Fault::internal(FaultKind::Internal, "a state could not be sealed"))?;
    let question = input_request(&asks.question);
    let members = vec![
        (RawJson::of_static("\"inputRequests\""), RawJson::object(&[(QUESTION.to_owned(), question)])),
        (RawJson::of_static("\"requestState\""), RawJson::of_text(&state)),
    ];
    Ok(lower(ctx, &Reply::Result(ResultBody { kind: ResultKind::InputRequired, members, ..ResultBody::default() })))
}

/// -32042 (2025-11-25, elicitation).
pub(super) fn in_error(ctx: &Ctx, request: &Request, url: &str) -> Answered {
    let name = visible(&request.bound.name);
    let message = format!("{name} waits for a yes from {}: open the page, then try again.", from_whom(request));
    let mut data = b"{\"elicitations\":[{\"mode\":\"url\",\"message\":".to_vec();
    push_string(&mut data, &message);
    data.extend_from_slice(b",\"url\":");
    push_string(&mut data, url);
    data.extend_from_slice(b",\"elicitationId\":");
    push_string(&mut data, request.id.as_str());
    data.extend_from_slice(b"}]}");
    let code = codes::URL_ELICITATION_REQUIRED;
    lower(ctx, &Reply::Error(RpcError { code, message, data: Some(RawJson::of_ours(data)) }))
}

/// Takes our own part out of a retry, puts back what it stood in front of, and counts the answer to a form.
///
/// # Errors
/// A fault when the vote could not be kept. What is not ours is left for [`super::question::resume`] to judge.
pub(super) async fn resume(ctx: &mut Ctx, operation: &mut Operation) -> Result<(), Refusal> {
    let answer = take(operation, QUESTION)?;
    let Some(text) = operation.params.request_state.take() else { return Ok(()) };
    let key = ctx.principal()?.key();
    let call = fingerprint(operation);
    let opened = ctx.gateway.sealer.open_text(binding(ctx, &key, &call)?, &text, ctx.gateway.clock.unix_s());
    let Some((form, id, original)) = opened.ok().and_then(|payload| read_state(&payload)) else {
        operation.params.request_state = Some(text);
        return Ok(());
    };
    operation.params.request_state = original;
    let said = answer.as_ref().map(if form { Said::of_form } else { Said::of });
    if let Some(said) = said.filter(|_| form) {
        confirm(ctx, &id, said).await?;
    }
    ctx.asked.consulted = Some(Resumed { declined: said.is_some_and(|said| said != Said::Yes) || (form && said.is_none()) });
    Ok(())
}

/// What an answer to a question of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Yes,
    No,
    /// Neither: the question was waved away.
    Away,
}

impl Said {
    /// Reads an answer. To a page `accept` says nothing but that the person went there.
    pub(super) fn of(answer: &RawJson) -> Self {
        let at = |pointer: &str| pointer::at(answer, pointer);
        match at("/action").as_ref().map(RawJson::as_str) {
            Some("\"accept\"") if at("/content/approve").is_some_and(|approve| approve.as_str() == "false") => Self::No,
            Some("\"accept\"") => Self::Yes,
            Some("\"decline\"") => Self::No,
            _ => Self::Away,
        }
    }

    /// As [`Self::of`], of a form: nothing but `true` is a yes.
    pub(super) fn of_form(answer: &RawJson) -> Self {
        let approves = pointer::at(answer, "/content/approve").is_some_and(|approve| approve.as_str() == "true");
        match Self::of(answer) {
            Self::Yes if !approves => Self::Away,
            said => said,
        }
    }
}

/// Counts what whoever calls said to a form, where rules let them confirm.
///
/// # Errors
/// A fault when the vote could not be kept.
pub(super) async fn confirm(ctx: &Ctx, id: &RequestId, said: Said) -> Result<(), Refusal> {
    let yes = match said {
        Said::Yes => true,
        Said::No => false,
        Said::Away => return Ok(()),
    };
    let desk = &ctx.gateway.approvals;
    // Whatever became of it meanwhile is told by what the call meets next.
    if desk.get(id).is_none_or(|request| request.state != State::Pending) {
        return Ok(());
    }
    let principal = ctx.principal()?.clone();
    let name = principal.sub.to_string();
    let voter = Voter { principal, name };
    match desk.confirm(id, &voter, &ctx.world.policy, yes).await {
        Err(crate::approval::VoteError::Change(
            error @ (crate::approval::ChangeError::Store(_) | crate::approval::ChangeError::Audit),
        )) => Err(Fault::internal(FaultKind::Internal, format!("approvals: {error}")).into()),
        _ => Ok(()),
    }
}

fn binding<'a>(ctx: &'a Ctx, principal: &'a PrincipalKey, call: &'a [u8]) -> Result<Binding<'a>, Refusal> {
    Ok(Binding { purpose: Purpose::ApprovalState, principal, route: &ctx.route()?.path, context: call })
}

fn read_state(payload: &[u8]) -> Option<(bool, RequestId, Option<String>)> {
    let (form, rest) = payload.split_first()?;
    let (id, original) = rest.split_at_checked(RequestId::BYTES)?;
    let (id, original) = (std::str::from_utf8(id).ok()?, std::str::from_utf8(original).ok()?);
    Some((*form == 1, RequestId::parse(id)?, (!original.is_empty()).then(|| original.to_owned())))
}
