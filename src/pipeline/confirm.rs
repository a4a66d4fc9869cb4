//! The page where a person confirms a call of their own (`from: [caller]`): signed in as whoever's agent asked, shown what will run, and
//! asked with a form that only this page can send.
//!
//! Whoever is signed in as somebody else learns nothing of the request, not even that there is one.

use http::{Method, StatusCode};

use super::Gateway;
use super::world::World;
use crate::approval::{ChangeError, Request, RequestId, State, VoteError, Voter};
use crate::authserver::AuthServer;
use crate::signin::{Anew, Session, SignInError};
use crate::vocab::FaultKind;
use crate::web::{Html, Page, PageAnswer, PageRequest, Params, Verdict, csrf_holds, csrf_token, is_from_us};

/// Path of the pages; the id of a request follows.
pub(crate) const PAGES_PATH: &str = "/confirm/";

/// Answers a request for a path under [`PAGES_PATH`].
pub(super) async fn answer(gateway: &Gateway, world: &World, server: &AuthServer, request: &PageRequest) -> PageAnswer {
    let signin = server.sign_in();
    // The sign-in comes first, whatever the id: the page of a stranger and that of nothing are one.
    let session = match signin.session(&request.headers).await {
        Ok(Some(session)) => session,
        Ok(None) => {
            let begun = signin.begin(request.peer, &request.path, Anew::default()).await;
            return begun.unwrap_or_else(|error| error.page()).action("confirm/show");
        }
        Err(error) => return SignInError::from(error).page().action("confirm/show"),
    };
    let id = request.path.strip_prefix(PAGES_PATH).and_then(RequestId::parse);
    let found = id.and_then(|id| gateway.approvals.get(&id)).filter(|found| found.requester() == session.person.key());
    let answer = match found {
        None => {
            let words = "There is nothing here for you to confirm. It may be over, or of somebody else: sign in as the person whose agent \
                         sent you.";
            PageAnswer::problem(StatusCode::NOT_FOUND, words, Verdict::BadRequest).action("confirm/show")
        }
        Some(found) => match request.method {
            Method::GET => show(gateway, &session, &found).await.action("confirm/show"),
            Method::POST => decide(gateway, world, server, &session, &found, request).await.action("confirm/decide"),
            _ => PageAnswer::wrong_method("GET, POST"),
        }
        .about(&found.bound.name),
    };
    answer.by(session.person.principal(None))
}

async fn show(gateway: &Gateway, session: &Session, request: &Request) -> PageAnswer {
    let bound = &request.bound;
    let shown = match gateway.approvals.shown(&request.id).await {
        Ok(shown) => shown.unwrap_or_default(),
        Err(error) => return failed(&error.to_string()),
    };
    let term = |html: Html, name: &'static str, value: &str| html.raw("<dt>").raw(name).raw("</dt><dd>").text(value).raw("</dd>");
    let mut body = Html::new().raw("<dl>");
    body = term(body, "Tool", &bound.name);
    body = term(body, "Server", &bound.upstream);
    body = term(body, "Class", bound.class.as_str());
    body = term(body, "Asked by the client", bound.client.as_deref().unwrap_or("not named"));
    body = body.raw("<dt>Arguments</dt>");
    for line in shown.text.lines() {
        body = body.raw("<dd><code>").text(line).raw("</code></dd>");
    }
    if shown.left_out_bytes > 0 {
        body = term(body, "Left out here", &format!("{} bytes", shown.left_out_bytes));
    }
    if shown.masked > 0 {
        body = term(body, "Secrets replaced here", &shown.masked.to_string());
    }
    if shown.unverified > 0 {
        body = term(body, "Of these not verified, so anything may be hidden there", &shown.unverified.to_string());
    }
    body = term(body, "Digest of the arguments", &bound.arguments.to_string());
    body = body.raw("</dl>");
    if request.state != State::Pending {
        return state_page(request.state);
    }
    let purpose = purpose(&request.id);
    body = body
        .raw("<p class=\"warn\">Your agent wants to run this, once. If you did not ask for it, refuse.</p><form method=\"post\">")
        .hidden("csrf", &csrf_token(session.form_secret(), &purpose))
        .raw("<button class=\"go\" name=\"do\" value=\"approve\">Run it</button>")
        .raw("<button name=\"do\" value=\"deny\">Refuse</button></form>");
    Page::new("Confirm a call", body).answer(StatusCode::OK)
}

async fn decide(
    gateway: &Gateway,
    world: &World,
    server: &AuthServer,
    session: &Session,
    request: &Request,
    sent: &PageRequest,
) -> PageAnswer {
    let refused = |why: &str| {
        let words = "This form does not hold: it is of another page or browser. Open the page again.";
        PageAnswer::problem(StatusCode::BAD_REQUEST, words, Verdict::BadRequest).because(why)
    };
    let form = match Params::of_form(sent) {
        Ok(form) => form,
        Err(error) => return refused(&error.to_string()),
    };
    let csrf = form.get("csrf").unwrap_or_default();
    if !is_from_us(&sent.headers, server.site()) || !csrf_holds(session.form_secret(), &purpose(&request.id), csrf) {
        return refused("a form of another page");
    }
    let yes = match form.get("do") {
        Some("approve") => true,
        Some("deny") => false,
        _ => return refused("neither yes nor no"),
    };
    let person = &session.person;
    let name = person.name.clone().unwrap_or_else(|| person.sub.clone());
    let voter = Voter { principal: person.principal(None), name };
    match gateway.approvals.confirm(&request.id, &voter, &world.policy, yes).await {
        Ok(request) => state_page(request.state).verdict(if yes { Verdict::Done } else { Verdict::Denied }),
        Err(VoteError::Change(ChangeError::Over(state))) => state_page(state),
        Err(VoteError::Change(error)) => failed(&error.to_string()),
        Err(error) => {
            let words = match error {
                VoteError::Voted => "You decided on this already.",
                VoteError::Void => "The gateway's policy changed since: your agent has to make the call again.",
                _ => "You cannot confirm this.",
            };
            PageAnswer::problem(StatusCode::CONFLICT, words, Verdict::Denied).because(error.to_string())
        }
    }
}

fn state_page(state: State) -> PageAnswer {
    let (title, words) = match state {
        State::Pending => ("Noted", "Others have to decide too. Your agent may go on waiting."),
        State::Approved => ("Confirmed", "Your agent may run it now, once. You can close this page."),
        State::Denied => ("Refused", "It is not run. You can close this page."),
        State::Expired => ("Over", "The time to confirm this is over. Your agent may ask again."),
        State::Withdrawn => ("Over", "It was taken back."),
        State::Used => ("Done", "This was run, or was about to be. Nothing more comes of this page."),
    };
    Page::new(title, Html::new().raw("<p>").raw(words).raw("</p>")).answer(StatusCode::OK)
}

fn failed(why: &str) -> PageAnswer {
    let words = "The gateway cannot show or note this now. Try again shortly.";
    PageAnswer::unavailable(words, FaultKind::Internal).because(why)
}

fn purpose(id: &RequestId) -> String {
    format!("confirm:{id}")
}
