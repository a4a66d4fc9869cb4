//! One request for approval: everything that an approver judges, and the decision.

use std::sync::Arc;

use http::StatusCode;

use super::approvals::EVENTS;
use super::lease;
use super::screen::{Screen, badge, code_fact, fact, lines, moment, query_value};
use crate::admin::api::{decide, decide_on, found, take_back, whole};
use crate::admin::guard;
use crate::admin::look::approvals::View;
use crate::admin::look::time;
use crate::admin::office::Asked;
use crate::admin::problem::Problem;
use crate::admin::routes::{HOME_PATH, Sight};
use crate::approval::{Filter, Request};
use crate::vocab::PrincipalKey;
use crate::vocab::limits::APPROVAL_REASON_CHARS_MAX;
use crate::web::{Html, PageAnswer, Params};

/// Requests of before that are shown.
const BEFORE_MAX: usize = 5;

pub(super) async fn page(asked: &Asked<'_>) -> Result<PageAnswer, Problem> {
    let (desk, request) = found(asked)?;
    let view = whole(asked, desk, &request).await?;
    Ok(shown(asked, &view, None, StatusCode::OK))
}

/// Answers the form of the page.
pub(super) async fn decided(asked: &Asked<'_>) -> Result<PageAnswer, Problem> {
    let form = Params::of_form(asked.request).map_err(|_| Problem::bad("This is no form of ours."))?;
    let reason: String = form.get("reason").unwrap_or_default().replace("\r\n", "\n");
    if reason.chars().count() > APPROVAL_REASON_CHARS_MAX {
        return Err(Problem::bad("The reason is too long."));
    }
    let (action, done) = match form.get("decision") {
        Some("approve") => ("admin/approve", decide(asked, true, &reason).await),
        Some("lease") => {
            let done = match lease::terms(&form) {
                Ok(terms) => decide_on(asked, &terms, &reason).await,
                Err(problem) => Err(problem),
            };
            ("admin/approve", done)
        }
        Some("deny") => ("admin/deny", decide(asked, false, &reason).await),
        _ => return Err(Problem::bad("There is no decision in it.")),
    };
    told(asked, done).await.map(|answer| answer.action(action))
}

/// Answers the form by which whoever asked takes the request back.
pub(super) async fn withdrawn(asked: &Asked<'_>) -> Result<PageAnswer, Problem> {
    told(asked, take_back(asked).await).await
}

/// The page of the request, once it is changed; or as it is, with why it is not.
async fn told(asked: &Asked<'_>, done: Result<Arc<Request>, Problem>) -> Result<PageAnswer, Problem> {
    match done {
        Ok(request) => Ok(PageAnswer::see_other(&asked.office.site.url(&format!("{HOME_PATH}/{}", request.id)))),
        Err(problem) => {
            // What it looks like now says more than an error page.
            let (desk, request) = found(asked)?;
            let view = whole(asked, desk, &request).await?;
            let mut answer = shown(asked, &view, Some(&problem.detail), problem.status).verdict(problem.verdict);
            answer.note.private = problem.private;
            Ok(answer)
        }
    }
}

fn shown(asked: &Asked<'_>, view: &View, trouble: Option<&str>, status: StatusCode) -> PageAnswer {
    let mut body = Html::new();
    if let Some(trouble) = trouble {
        body = body.raw("<p class=\"alert\" role=\"alert\">").text(trouble).raw("</p>");
    }
    body = body.raw("<div id=\"state\" data-live data-says=\"").raw(view.state).raw("\"><p>");
    body = badge(badge(body, view.state).raw(" "), view.class);
    body = if view.void { badge(body.raw(" "), "void").raw(" The policy has changed since.") } else { body };
    body = body.raw(" asked ");
    body = moment(body, &view.asked_at).raw(", ends ");
    body = votes(gates(moment(body, &view.expires_at).raw("</p>"), view), view).raw("</div>");
    body = form(agreed(arguments(call(body, view), view), asked, view), asked, view);
    body = before(body, asked, view);
    Screen::new(asked, Sight::Approvals, view.name.clone(), body).live(EVENTS).answer(status)
}

fn call(body: Html, view: &View) -> Html {
    let mut body = body.raw("<section aria-labelledby=\"who\"><h2 id=\"who\">Who asks for what</h2><dl>");
    body = fact(body, "Person", view.requester.label());
    if !view.requester.label().is_ascii() {
        body = body
            .raw("<dd class=\"note\">The name has letters beyond ASCII, which can look like others: compare the subject.</dd>");
    }
    body = code_fact(code_fact(body, "Subject", &view.requester.sub), "Issuer", &view.requester.iss);
    if let Some(client) = &view.client {
        body = code_fact(body, "Client", client);
    }
    for actor in &view.actors {
        body = code_fact(body, "Acting for them", actor);
    }
    body = code_fact(code_fact(body, "Tool", &view.name), "Server", &view.upstream);
    body = code_fact(code_fact(body, "Method", &view.method), "Route", &view.route);
    body = code_fact(code_fact(body, "Definition", &view.definition), "Digest of the arguments", &view.arguments_digest);
    body = code_fact(code_fact(body, "Digest of all that is approved", &view.digest), "Policy", &view.policy);
    body = body.raw("<dt>Record</dt><dd><a href=\"/console/activity/").text(&view.record).raw("\"><code>").text(&view.record);
    body.raw("</code></a></dd></dl></section>")
}

fn arguments(body: Html, view: &View) -> Html {
    let body = body.raw("<section aria-labelledby=\"args\"><h2 id=\"args\">Arguments</h2>");
    let Some(arguments) = &view.arguments else {
        return body.raw("<p class=\"empty\">They are not kept any more.</p></section>");
    };
    let mut body = body.raw("<pre class=\"arguments\" tabindex=\"0\" role=\"region\" aria-label=\"All arguments\">");
    body = lines(body, &arguments.text).raw("</pre>");
    if arguments.left_out_bytes > 0 {
        body = body
            .raw("<p class=\"alert\">")
            .number(arguments.left_out_bytes)
            .raw(" more bytes are not shown. The digest covers them.</p>");
    }
    if arguments.masked > 0 {
        body = body.raw("<p class=\"note\">").number(arguments.masked);
        body = body.raw(" secrets are masked here. The digest covers what they are.</p>");
    }
    if arguments.unverified > 0 {
        body = body.raw("<p class=\"alert\">Of what is masked, ").number(arguments.unverified);
        body = body.raw(
            " cannot be verified: no known format tells that it is a secret, or it is long. Anything may be hidden there.</p>",
        );
    }
    body.raw("</section>")
}

fn gates(body: Html, view: &View) -> Html {
    let mut body = body.raw("<h2>Why somebody has to say yes</h2><ul class=\"plainlist\">");
    for gate in &view.gates {
        body = body.raw("<li>Rule <code>").text(&gate.rule).raw("</code> wants ").number(gate.quorum.into());
        body = body.raw(" of <code>").text(&gate.from.join(", ")).raw("</code>");
        body = if gate.requester { body } else { body.raw(", never whoever asks") };
        body = body.raw(": <strong>").number(gate.yes as u64).raw(" of ").number(gate.quorum.into()).raw("</strong> so far. ");
        body = body.raw("<progress max=\"").number(gate.quorum.into()).raw("\" value=\"").number(gate.yes as u64);
        body = body.raw("\" aria-label=\"approvals of ").text(&gate.rule).raw("\"></progress></li>");
    }
    body.raw("</ul>")
}

fn votes(body: Html, view: &View) -> Html {
    if view.votes.is_empty() {
        return body;
    }
    let mut body = body.raw("<h2>What people said</h2><ul class=\"plainlist\">");
    for vote in &view.votes {
        body = badge(body.raw("<li>"), if vote.yes { "yes" } else { "no" });
        body = body.raw(" <strong>").text(vote.by.label()).raw("</strong> (<code>").text(&vote.by.sub).raw("</code>) ");
        body = moment(body, &vote.at);
        if !vote.reason.is_empty() {
            body = lines(body.raw("<blockquote>"), &vote.reason).raw("</blockquote>");
        }
        body = body.raw("</li>");
    }
    body.raw("</ul>")
}

fn form(body: Html, asked: &Asked<'_>, view: &View) -> Html {
    let own = lease::is_own(asked, view);
    let open = matches!(view.state, "pending" | "approved");
    let body = body.raw("<section id=\"decision\" data-live aria-labelledby=\"decide\"><h2 id=\"decide\">Decision</h2>");
    let can_act = view.may_decide || (own && open && !in_force(view));
    if !can_act {
        return body.raw("<p>").text(view.why_not.as_deref().unwrap_or_default()).raw("</p></section>");
    }
    let begin = |body: Html| body.raw("<form method=\"post\" action=\"/console/approvals/").text(&view.id);
    let token = guard::token(asked.caller);
    let mut body = body;
    if view.may_decide {
        body = begin(body).raw("\">").hidden("csrf", &token);
        body = body.raw("<p><label for=\"reason\">Reason, for the record (optional)</label>");
        body = body.raw("<textarea id=\"reason\" name=\"reason\" maxlength=\"500\" rows=\"3\"></textarea></p>");
        body = body.raw("<p class=\"note\">A yes is for this very call, once. A no ends the request.</p>");
        body = body.raw("<button class=\"go\" name=\"decision\" value=\"approve\">Approve this call</button> ");
        body = body.raw("<button class=\"stop\" name=\"decision\" value=\"deny\">Deny</button></form>");
    }
    if own && open && !in_force(view) {
        body = begin(body).raw("/withdraw\">").hidden("csrf", &token).raw("<button>Take it back</button></form>");
    }
    if view.may_decide {
        body = lease::choice(body, asked, view);
    }
    body.raw("</section>")
}

fn in_force(view: &View) -> bool {
    view.lease.as_ref().is_some_and(|lease| lease.in_force)
}

/// The lease that people said yes to.
fn agreed(body: Html, asked: &Asked<'_>, view: &View) -> Html {
    let Some(lease) = &view.lease else { return body };
    let mut body = lease::words(body.raw("<section aria-labelledby=\"lease\"><h2 id=\"lease\">Lease</h2>"), lease);
    if lease.in_force && lease::may_revoke(asked, view) {
        body = lease::revoke(body, asked, view);
    }
    body.raw("</section>")
}

/// What this person asked for before, at this tool.
fn before(body: Html, asked: &Asked<'_>, view: &View) -> Html {
    let mut body = body.raw("<section aria-labelledby=\"before\"><h2 id=\"before\">Asked before, for this tool</h2>");
    // As one issuer vouches for them: a name of another issuer is somebody else.
    let who = PrincipalKey { iss: view.requester.iss.as_str().into(), sub: view.requester.sub.as_str().into() };
    let filter = Filter { requester: Some(who), name: Some(view.name.clone()), ..Filter::default() };
    let before = asked.office.desk.list(&filter, None, BEFORE_MAX + 1);
    let mut others = before.iter().filter(|other| *other.id.as_str() != *view.id).take(BEFORE_MAX).peekable();
    if others.peek().is_none() {
        body = body.raw("<p class=\"empty\">Nothing that is still kept.</p>");
    } else {
        body = body.raw("<ul class=\"plainlist\">");
        for other in others {
            body = badge(body.raw("<li>"), other.state.as_str()).raw(" <a href=\"/console/approvals/").text(other.id.as_str());
            body = moment(body.raw("\">"), &time(other.asked_unix_ms)).raw("</a> <code>");
            body = body.text(&other.excerpt.chars().take(120).collect::<String>());
            body = body.raw("</code></li>");
        }
        body = body.raw("</ul>");
    }
    body = body
        .raw("<p><a href=\"/console/activity?principal=")
        .text(&query_value(&view.requester.sub))
        .raw("\">Activity of this person</a> ");
    body = body.raw("<a href=\"/console/activity?tool=").text(&query_value(&view.name)).raw("\">Activity of this tool</a></p>");
    body.raw("</section>")
}
