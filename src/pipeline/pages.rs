//! Pages and endpoints of the authorization server, and pages where people link accounts: a body within bounds in, an answer out, one
//! record of kind `auth`.

use http::request::Parts;
use hyper::body::Incoming;

use super::arriving;
use super::cancel::InFlight;
use super::confirm;
use super::ctx::Ctx;
use super::refusal::Refusal;
use super::reply::{Answered, Content};
use crate::audit::{Kind, OutcomeNote, Status};
use crate::authserver::AuthServer;
use crate::catalog::Part;
use crate::connect::{CALLBACK_PATH, Desktop, PAGES_PATH};
use crate::vocab::Reason;
use crate::web::{Note, PageAnswer, PageRequest, Verdict};

/// Has `server` answer.
///
/// # Errors
/// 408, 413 and 503 for the body, 503 when too much is under way; a record is made either way.
pub(super) async fn answer(ctx: &Ctx, server: &AuthServer, parts: &Parts, body: Incoming) -> Result<Answered, Refusal> {
    ctx.about(Kind::Auth);
    let bytes = arriving::form(ctx, body).await?;
    let _in_flight = InFlight::enter(ctx)?;
    let request = PageRequest {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers.clone(),
        body: bytes,
        // Whoever has no credential yet is counted by address, whichever page begins the sign-in.
        peer: ctx.memory.peer,
    };
    let answer = match &ctx.gateway.desk {
        _ if request.path.starts_with(confirm::PAGES_PATH) => {
            Box::pin(confirm::answer(&ctx.gateway, &ctx.world, server, &request)).await
        }
        Some(desk) if request.path.starts_with(PAGES_PATH) => {
            let (signin, site, links) = (server.sign_in(), server.site(), &*ctx.world.links);
            let answer = Box::pin(Desktop { desk, signin, links, site }.handle(&request)).await;
            if request.path == CALLBACK_PATH && answer.note.verdict == Verdict::Done {
                linked(ctx, &answer.note);
            }
            answer
        }
        _ => server.handle(&request).await,
    };
    if let (Some(desk), Some("signin/callback" | "signin/out"), Some(principal)) =
        (&ctx.gateway.desk, answer.note.action, &answer.note.principal)
    {
        desk.signed(&principal.key());
    }
    let PageAnswer { status, headers, body, note } = answer;
    record(ctx, *note);
    let content = if body.is_empty() { Content::Empty } else { Content::Json(body) };
    Ok(Answered { status, content, headers, close: false })
}

/// Somebody linked an account, maybe another than before: what was listed for the old one is no longer shown.
fn linked(ctx: &Ctx, note: &Note) {
    let (Some(upstream), Some(principal)) = (&note.target, &note.principal) else { return };
    for part in Part::ALL {
        ctx.gateway.catalog.changed(upstream, Some(&principal.key()), part);
    }
}

/// How a page's work ended, as records say it.
pub fn page_outcome(verdict: Verdict) -> OutcomeNote {
    match verdict {
        Verdict::Done => OutcomeNote::new(Status::Completed, Reason::Allowed),
        Verdict::Unauthenticated => OutcomeNote::new(Status::Refused, Reason::Unauthenticated),
        Verdict::BadRequest => OutcomeNote::new(Status::Refused, Reason::BadRequest),
        Verdict::Denied => OutcomeNote::new(Status::Denied, Reason::ApprovalDenied),
        Verdict::Limited => OutcomeNote::new(Status::Refused, Reason::RateLimited),
        Verdict::Failed(kind) => OutcomeNote::fault(kind),
    }
}

fn record(ctx: &Ctx, note: Note) {
    let Note { action, target, principal, verdict, private } = note;
    let action = action.unwrap_or("oauth");
    let outcome = page_outcome(verdict);
    if let Some(why) = private {
        tracing::info!(record = %ctx.id, action, why, "refused at the authorization server");
    }
    ctx.gateway.metrics.page(action, outcome.reason);
    ctx.note(|draft| {
        draft.set_method(action);
        draft.principal = principal;
        draft.outcome = Some(outcome);
        if let Some(target) = target {
            draft.set_name(target);
        }
    });
}
