//! The one table from refusals to what a client sees: status, code, sentence. Private detail ends here, in the log.

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::approve::in_words;
use super::ctx::Ctx;
use super::refusal::Refusal;
use super::reply::{Answered, lower, uri_data};
use super::task;
use crate::audit::{Kind, OutcomeNote, Status};
use crate::identity;
use crate::mcp::codes;
use crate::mcp::error::ProtocolError;
use crate::mcp::json::push_string;
use crate::mcp::{Method, RawJson, Reply, ResultBody, RpcError};
use crate::vocab::{Denial, Fault, FaultKind, Reason};

/// Turns a refusal into an answer and records it.
pub(super) fn rescue(ctx: &Ctx, refusal: Refusal) -> Answered {
    match refusal {
        Refusal::Head(refusal) => {
            ctx.ended(Status::Refused, refusal.reason);
            let code = if refusal.mcp { codes::HEADER_MISMATCH } else { codes::INVALID_REQUEST };
            plain(refusal.status, code, refusal.detail).closing()
        }
        Refusal::Http(status, reason, why) => {
            ctx.ended(Status::Refused, reason);
            let answer = plain(status, codes::INVALID_REQUEST, why).closing();
            match status {
                StatusCode::SERVICE_UNAVAILABLE => answer.with(header::RETRY_AFTER, HeaderValue::from_static("1")),
                _ => answer,
            }
        }
        Refusal::Method(allowed, reason, why) => {
            ctx.ended(Status::Refused, reason);
            let answer = plain(StatusCode::METHOD_NOT_ALLOWED, codes::INVALID_REQUEST, why).closing();
            answer.with(header::ALLOW, HeaderValue::from_static(allowed))
        }
        Refusal::Identity(refusal) => challenge(ctx, &refusal).closing(),
        Refusal::Protocol(error) => {
            ctx.ended(Status::Refused, Reason::BadRequest);
            Answered::json(error.status, error.to_json())
        }
        Refusal::Denied(denial) => denied(ctx, &denial),
        Refusal::Unapproved(unapproved) => in_words(ctx, &unapproved),
        Refusal::Unanswered(why) => {
            ctx.note(|draft| draft.outcome = Some(OutcomeNote::fault(FaultKind::Failed)));
            tracing::info!(record = %ctx.id, why, "an upstream's question was not answered");
            let denial = Denial::new(FaultKind::Failed.reason());
            lower(ctx, &refuse_saying(ctx, &denial, codes::INTERNAL_ERROR, why))
        }
        Refusal::Failed(fault) => failed(ctx, &fault),
    }
}

/// A JSON-RPC error without an id, for what was refused before a message was read.
fn plain(status: StatusCode, code: i64, why: &'static str) -> Answered {
    let error = ProtocolError { status: status.as_u16(), code, message: why, data: None, id: None };
    Answered::json(error.status, error.to_json())
}

fn challenge(ctx: &Ctx, refusal: &identity::Refusal) -> Answered {
    ctx.about(Kind::Auth);
    let why = match refusal {
        identity::Refusal::Missing => "a credential is needed: send an access token as Authorization: Bearer",
        identity::Refusal::Malformed => "the Authorization header is not one bearer credential",
        identity::Refusal::Invalid { private } => {
            tracing::info!(record = %ctx.id, why = private, "credential refused");
            "the credential is not valid here: it may be expired, or for another audience or issuer"
        }
        identity::Refusal::Proof { error, private, .. } => {
            tracing::info!(record = %ctx.id, why = private, "proof refused");
            match error {
                identity::ProofError::Invalid => "the DPoP proof is missing or not valid for this request",
                identity::ProofError::UseNonce => "the DPoP proof must hold the nonce of the DPoP-Nonce header",
                identity::ProofError::Token => "the credential is not valid here: it may need a proof of possession",
            }
        }
        identity::Refusal::InsufficientScope { holder, .. } => {
            // The credential holds, so that the record can say who was turned away.
            if let Some(identity::Holder(holder)) = holder {
                ctx.known(holder);
            }
            "the token lacks a scope that this route needs"
        }
        identity::Refusal::Unavailable => "the issuer cannot be asked now: try again shortly",
    };
    ctx.ended(Status::Refused, Reason::Unauthenticated);
    let Some(route) = &ctx.route else { return plain(StatusCode::UNAUTHORIZED, codes::INVALID_REQUEST, why) };
    let (status, challenge) = refusal.response_parts(&route.resource);
    let mut answer = plain(status, codes::INVALID_REQUEST, why);
    if let Some(nonce) = refusal.nonce() {
        answer = answer.with(HeaderName::from_static("dpop-nonce"), nonce);
    }
    match challenge {
        Some(challenge) => answer.with(header::WWW_AUTHENTICATE, challenge),
        None => answer.with(header::RETRY_AFTER, HeaderValue::from_static("5")),
    }
}

fn denied(ctx: &Ctx, denial: &Denial) -> Answered {
    ctx.ended(Status::Denied, denial.reason);
    // A name that leads nowhere is refused before any rule is asked; that is a decision too.
    let undecided = ctx.audit.with(|draft| draft.decision.is_none());
    if undecided {
        ctx.gateway.metrics.decided(false, denial.reason, None, None);
        ctx.decided(false, denial.reason);
    }
    match denial.reason {
        Reason::UnknownName | Reason::NotVisible => lower(ctx, &unknown(ctx)),
        Reason::ScopeRequired => step_up(ctx, denial),
        _ => lower(ctx, &refuse(ctx, denial, codes::POLICY_REFUSED)),
    }
}

fn failed(ctx: &Ctx, fault: &Fault) -> Answered {
    let reason = fault.kind.reason();
    ctx.note(|draft| draft.outcome = Some(OutcomeNote::fault(fault.kind)));
    tracing::warn!(record = %ctx.id, kind = fault.kind.as_str(), detail = %fault.detail, "request failed");
    if ctx.asked.id.is_none() {
        let status = if reason == Reason::Internal { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::SERVICE_UNAVAILABLE };
        return plain(status, codes::INTERNAL_ERROR, sentence(reason));
    }
    // It is there, and said that it cannot do this.
    let why = if fault.kind == FaultKind::Failed { FAILED } else { sentence(reason) };
    lower(ctx, &refuse_saying(ctx, &Denial::new(reason), codes::INTERNAL_ERROR, why))
}

/// A hidden name and one that does not exist read the same.
fn unknown(ctx: &Ctx) -> Reply {
    let message = match ctx.asked.method {
        Some(Method::ToolsCall) => "Unknown tool",
        Some(Method::PromptsGet) => "Unknown prompt",
        Some(Method::Complete) => "Unknown reference",
        Some(method) if task::is_about(method) => "Unknown task",
        _ => "Resource not found",
    };
    let data = ctx.asked.uri.as_deref().map(uri_data);
    Reply::Error(RpcError { code: codes::INVALID_PARAMS, message: message.to_owned(), data })
}

/// HTTP 403 that names every scope that would help (RFC 6750 section 3.1).
fn step_up(ctx: &Ctx, denial: &Denial) -> Answered {
    let mut answer = lower(ctx, &refuse(ctx, denial, codes::POLICY_REFUSED));
    answer.status = StatusCode::FORBIDDEN;
    let scopes = denial.scopes.iter().map(|scope| scope.to_string()).collect();
    let refusal = identity::Refusal::InsufficientScope { scopes, holder: None };
    let asked = ctx.route.as_ref().zip(ctx.principal.as_ref());
    match asked.and_then(|(route, principal)| refusal.response_parts_for(&route.resource, principal).1) {
        Some(challenge) => answer.with(header::WWW_AUTHENTICATE, challenge),
        None => answer,
    }
}

/// [`refuse_saying`], in the words that go with the reason.
fn refuse(ctx: &Ctx, denial: &Denial, code: i64) -> Reply {
    refuse_saying(ctx, denial, code, sentence(denial.reason))
}

/// For a tool call a result that says so, because a model reads results; for anything else an error.
pub(super) fn refuse_saying(ctx: &Ctx, denial: &Denial, code: i64, sentence: &str) -> Reply {
    let detail = detail(ctx, denial);
    let shown = ctx.asked.method == Some(Method::ToolsCall) && denial.reason != Reason::ScopeRequired;
    if !shown {
        return Reply::Error(RpcError { code, message: sentence.to_owned(), data: Some(detail) });
    }
    let mut content = b"[{\"type\":\"text\",\"text\":".to_vec();
    push_string(&mut content, sentence);
    content.extend_from_slice(b"}]");
    Reply::Result(ResultBody {
        meta: vec![(RawJson::of_static("\"dev.portcullis/denial\""), detail)],
        members: vec![
            (RawJson::of_static("\"content\""), RawJson::of_ours(content)),
            (RawJson::of_static("\"isError\""), RawJson::of_static("true")),
        ],
        ..ResultBody::default()
    })
}

/// `{reason, rule?, retry_after_ms?, approval_id?, record}`.
fn detail(ctx: &Ctx, denial: &Denial) -> RawJson {
    let mut out = b"{\"reason\":".to_vec();
    push_string(&mut out, denial.reason.as_str());
    if let Some(rule) = &denial.rule {
        out.extend_from_slice(b",\"rule\":");
        push_string(&mut out, rule);
    }
    if let Some(after) = denial.retry_after {
        out.extend_from_slice(format!(",\"retry_after_ms\":{}", after.as_millis()).as_bytes());
    }
    if let Some(id) = &denial.approval_id {
        out.extend_from_slice(b",\"approval_id\":");
        push_string(&mut out, id);
    }
    out.extend_from_slice(b",\"record\":");
    push_string(&mut out, &ctx.id.to_string());
    out.push(b'}');
    RawJson::of_ours(out)
}

/// Of an upstream that answered with an error of its own, or could not be made to answer.
const FAILED: &str = "The server behind the gateway failed at this: try again later, or ask something else of it.";

/// One plain sentence that says what would help.
fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::ScopeRequired => "The access token lacks a scope that this operation needs: ask for a token with it.",
        Reason::RuleDenied => "A rule of the gateway's policy forbids this call with these arguments.",
        Reason::Indeterminate => "The gateway could not evaluate its policy for these arguments, so it refused the call.",
        Reason::NoRule => "No rule of the gateway's policy allows this call with these arguments: ask the operator for access.",
        Reason::ApprovalRequired | Reason::ApprovalDenied | Reason::ApprovalExpired => "This call needs a person's approval.",
        Reason::Unauthenticated => "The credential this call was made with expired or was revoked: sign in again.",
        Reason::RateLimited => "The limit for this call is used up: wait and try again.",
        Reason::ConcurrencyLimited => "Too many of these calls are running: try again when one has finished.",
        Reason::ResponseTooLarge => "The server's answer is larger than the gateway passes on: ask for less.",
        Reason::UpstreamTimeout => "The server did not answer in time: try again, or ask for less.",
        Reason::UpstreamUnavailable => "The server behind the gateway is not available: try again later.",
        Reason::AuditUnavailable => "The gateway cannot record this call, so it did not make it: try again later.",
        Reason::ShuttingDown => "The gateway is stopping: try again shortly.",
        Reason::Overloaded => "The gateway is busy: try again shortly.",
        _ => "The gateway could not complete this call.",
    }
}
