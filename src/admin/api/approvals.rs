//! Requests for approval: looking, and deciding.

use http::{StatusCode, header};

use super::lease::{decide_on, terms};
use super::{Queries, json};
use crate::admin::look::Paged;
use crate::admin::look::approvals::{View, view, why_not};
use crate::admin::office::Asked;
use crate::admin::problem::Problem;
use crate::admin::role::Role;
use crate::approval::{ChangeError, Desk, Filter, LeaseError, Request, RequestId, State, Terms, VoteError, Voter};
use crate::identity::strict_object;
use crate::vocab::limits::APPROVAL_REASON_CHARS_MAX;
use crate::web::{PageAnswer, Verdict};

pub(super) fn list(asked: &Asked<'_>, query: &Queries) -> Result<PageAnswer, Problem> {
    let after = query.text("cursor").map(|text| RequestId::parse(text).ok_or_else(|| Problem::bad("`cursor` is none of ours.")));
    let state = query.text("state").and_then(State::parse);
    let (items, next) = page(asked, state, query.text("principal"), query.text("tool"), after.transpose()?, query.limit())?;
    Ok(json(&Paged { items, next }))
}

/// Up to `limit` requests after the one called `after`, newest first, and where to go on.
pub(in crate::admin) fn page(
    asked: &Asked<'_>,
    state: Option<State>,
    sub: Option<&str>,
    name: Option<&str>,
    after: Option<RequestId>,
    limit: usize,
) -> Result<(Vec<View>, Option<String>), Problem> {
    let desk = &asked.office.desk;
    let filter = Filter { state, name: name.map(str::to_owned), sub: sub.map(str::to_owned), ..Filter::default() };
    let mut found = desk.list(&filter, after.as_ref(), limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id.to_string());
    let items = found.iter().map(|request| view(desk, request, asked.caller, &asked.world.policy)).collect();
    Ok((items, next))
}

pub(super) async fn one(asked: &Asked<'_>) -> Result<PageAnswer, Problem> {
    let (desk, request) = found(asked)?;
    Ok(json(&whole(asked, desk, &request).await?))
}

/// The request of the path.
pub(in crate::admin) fn found<'a>(asked: &Asked<'a>) -> Result<(&'a Desk, std::sync::Arc<Request>), Problem> {
    let desk = &asked.office.desk;
    let request = RequestId::parse(asked.id).and_then(|id| desk.get(&id)).ok_or_else(Problem::unknown)?;
    Ok((desk, request))
}

/// `request` with its arguments.
pub(in crate::admin) async fn whole(asked: &Asked<'_>, desk: &Desk, request: &Request) -> Result<View, Problem> {
    let shown = desk
        .shown(&request.id)
        .await
        .map_err(|error| Problem::busy("The arguments cannot be looked up now. Try again shortly.").because(error.to_string()))?;
    let view = view(desk, request, asked.caller, &asked.world.policy);
    Ok(View { arguments: shown.map(Into::into), ..view })
}

pub(super) async fn vote(asked: &Asked<'_>, yes: bool) -> Result<PageAnswer, Problem> {
    let (reason, lease) = said(asked)?;
    let request = match lease {
        None => decide(asked, yes, &reason).await?,
        Some(terms) if yes => decide_on(asked, &terms, &reason).await?,
        Some(_) => return Err(Problem::bad("Only a yes can be a lease.")),
    };
    Ok(changed(asked, &request).await)
}

/// `request` after a change that is on disk: what cannot be read to show it takes nothing back.
async fn changed(asked: &Asked<'_>, request: &Request) -> PageAnswer {
    let desk = &asked.office.desk;
    match whole(asked, desk, request).await {
        Ok(view) => json(&view),
        Err(_) => json(&view(desk, request, asked.caller, &asked.world.policy)),
    }
}

/// Has the caller say yes or no to the request of the path.
pub(in crate::admin) async fn decide(asked: &Asked<'_>, yes: bool, reason: &str) -> Result<std::sync::Arc<Request>, Problem> {
    let (desk, request) = found(asked)?;
    let voter = Voter { principal: asked.caller.principal.clone(), name: asked.caller.name.clone() };
    desk.vote(&request.id, &voter, &asked.world.policy, yes, reason).await.map_err(|error| refused(&error))
}

pub(super) async fn withdraw(asked: &Asked<'_>) -> Result<PageAnswer, Problem> {
    let (_, None) = said(asked)? else { return Err(Problem::bad("Only a yes can be a lease.")) };
    let request = take_back(asked).await?;
    Ok(changed(asked, &request).await)
}

/// Takes back the request of the path, which must be the caller's own. A lease in force is ended by approvers too.
pub(in crate::admin) async fn take_back(asked: &Asked<'_>) -> Result<std::sync::Arc<Request>, Problem> {
    let (desk, request) = found(asked)?;
    let who = &asked.caller.principal;
    // What people agreed on is a lease, also when it is over: approvers end it too.
    let agreed = request.lease.is_some() && request.state != State::Pending;
    let withdrawn = match agreed && (asked.caller.role >= Some(Role::Approver) || request.requester() == who.key()) {
        true => desk.revoke(&request.id, who).await,
        false => desk.withdraw(&request.id, who).await,
    };
    withdrawn.map_err(|error| match error {
        ChangeError::NotFound => Problem::forbidden("Only whoever asked can take a request back."),
        other => refused(&VoteError::Change(other)),
    })
}

pub(super) fn refused(error: &VoteError) -> Problem {
    let (status, verdict) = match error {
        VoteError::Change(ChangeError::NotFound) => (StatusCode::NOT_FOUND, Verdict::BadRequest),
        VoteError::Change(ChangeError::Audit | ChangeError::Store(_)) => (StatusCode::SERVICE_UNAVAILABLE, Verdict::Limited),
        VoteError::Change(ChangeError::Over(_)) | VoteError::Void | VoteError::Voted => (StatusCode::CONFLICT, Verdict::Denied),
        VoteError::Lease(LeaseError::Taken | LeaseError::Differs) => (StatusCode::CONFLICT, Verdict::Denied),
        VoteError::Lease(_) => (StatusCode::BAD_REQUEST, Verdict::BadRequest),
        VoteError::Requester | VoteError::NotAnApprover => (StatusCode::FORBIDDEN, Verdict::Denied),
    };
    Problem::new(status, why_not(error), verdict).because(error.to_string())
}

/// The `reason` of a body, which may be empty, and the terms of a lease, where there are any.
fn said(asked: &Asked<'_>) -> Result<(String, Option<Terms>), Problem> {
    let request = asked.request;
    if request.body.is_empty() {
        return Ok((String::new(), None));
    }
    let media = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let words = "The body is not application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, words, Verdict::BadRequest));
    }
    let wrong =
        || Problem::bad("The body is not a JSON object with a `reason` of at most 500 characters, a `lease`, and nothing else.");
    let mut members = strict_object(&request.body).ok_or_else(wrong)?;
    let reason = match members.remove("reason") {
        None => String::new(),
        Some(serde_json::Value::String(text)) if text.chars().count() <= APPROVAL_REASON_CHARS_MAX => text,
        Some(_) => return Err(wrong()),
    };
    let lease = match members.remove("lease") {
        None => None,
        Some(serde_json::Value::Object(lease)) => Some(terms(&request.body, lease)?),
        Some(_) => return Err(wrong()),
    };
    if members.is_empty() { Ok((reason, lease)) } else { Err(wrong()) }
}
