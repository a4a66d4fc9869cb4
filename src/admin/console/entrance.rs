//! Coming in and going out.

use std::sync::Arc;

use http::request::Parts;
use http::{Method, StatusCode};

use crate::admin::caller::{By, COOKIE, Caller};
use crate::admin::guard;
use crate::admin::link::{LINK_SESSION_S_MAX, OneTimeLink};
use crate::admin::office::{Office, Standing};
use crate::admin::problem::Problem;
use crate::admin::routes::{Act, HOME_PATH, LINK_PATH, SIGN_IN_PATH};
use crate::signin::Anew;
use crate::web::{Html, Page, PageAnswer, PageRequest, Params, Verdict, is_from_us};

/// Answers the addresses that need no session.
pub(in crate::admin) async fn entrance(
    office: &Arc<Office>,
    standing: &Standing,
    act: Act,
    request: &PageRequest,
    caller: Option<&Caller>,
) -> Result<PageAnswer, Problem> {
    match act {
        Act::SignIn => Ok(sign_in(office, standing, request, caller).await.action("console/signin")),
        Act::Callback => match &standing.sign_in {
            Some(sign_in) => Ok(sign_in.callback(request).await.action("console/signin")),
            None => Err(Problem::unknown()),
        },
        Act::SignOut => sign_out(office, standing, request, caller).await.map(|answer| answer.action("console/signout")),
        Act::Link => link(office, request),
        Act::Redeem => redeem(office, request).map(|answer| answer.action("console/link")),
        _ => Err(Problem::unknown()),
    }
}

async fn sign_in(office: &Office, standing: &Standing, request: &PageRequest, caller: Option<&Caller>) -> PageAnswer {
    let next = guard::next(Params::of_query(request).ok().and_then(|query| query.get("next").map(str::to_owned)).as_deref());
    if caller.is_some() {
        return PageAnswer::see_other(&office.site.url(&next));
    }
    match &standing.sign_in {
        Some(sign_in) => sign_in.begin(request.peer, &next, Anew::default()).await.unwrap_or_else(|error| error.page()),
        None => by_link_only().answer(StatusCode::OK),
    }
}

/// Tells somebody without a session how to get one. A visit from another site comes without the cookie of a session that may be
/// there: the visit that this page makes comes with it.
pub(in crate::admin) fn not_signed_in(office: &Office, parts: &Parts, problem: &Problem) -> PageAnswer {
    let standing = office.standing.load();
    let page = if standing.sign_in.is_none() {
        by_link_only()
    } else {
        let wanted = parts.uri.path_and_query().map(|path| path.as_str());
        let next = guard::next(wanted.filter(|_| parts.method == Method::GET));
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let url = format!("{SIGN_IN_PATH}?next={query}");
        let from_elsewhere = parts.headers.get("sec-fetch-site").is_some_and(|site| site.as_bytes() == b"cross-site");
        if from_elsewhere {
            Page::new("Sign in", Html::new()).goes_on_to(&office.site.url(&url))
        } else {
            let body = Html::new().raw("<p>This is for people of the organization.</p><p><a href=\"").text(&url);
            Page::new("Sign in", body.raw("\">Sign in</a></p>"))
        }
    };
    let mut answer = page.answer(problem.status).verdict(problem.verdict);
    answer.note.private.clone_from(&problem.private);
    answer
}

fn by_link_only() -> Page {
    let body = Html::new().raw(
        "<p>The gateway printed a link when it started: open that one. It works once, for ten minutes; \
         after that, restart the gateway.</p><p>With <code>admin.oidc</code> in the config people sign in here.</p>",
    );
    Page::new("Sign in", body)
}

/// The page of the link only asks: whatever looks at links for people must not use it up.
fn link(office: &Office, request: &PageRequest) -> Result<PageAnswer, Problem> {
    office.link.as_ref().ok_or_else(Problem::unknown)?;
    let query = Params::of_query(request).unwrap_or_default();
    let key = query.get("key").ok_or_else(|| Problem::bad("This link is not whole."))?;
    let body = Html::new()
        .raw("<p>You will be an operator of this gateway, in this browser, for eight hours.</p>")
        .raw("<form method=\"post\" action=\"")
        .raw(LINK_PATH)
        .raw("\">")
        .hidden("key", key)
        .raw("<button class=\"go\">Sign in</button></form>");
    Ok(Page::new("Sign in", body).answer(StatusCode::OK))
}

fn redeem(office: &Office, request: &PageRequest) -> Result<PageAnswer, Problem> {
    let link = office.link.as_ref().ok_or_else(Problem::unknown)?;
    if !is_from_us(&request.headers, &office.site) {
        return Err(Problem::forbidden("Another site asked for this."));
    }
    let form = Params::of_form(request).map_err(|_| Problem::bad("This is no form of ours."))?;
    let session = link.redeem(form.get("key").unwrap_or_default());
    let session = session.map_err(|error| Problem::busy("Try again shortly.").because(error.to_string()))?;
    let Some(session) = session else {
        let words = "This link was used, or is over. Restart the gateway for another one.";
        return Err(Problem::new(StatusCode::FORBIDDEN, words, Verdict::Unauthenticated).because("a link that does not hold"));
    };
    let answer = Page::new("Signed in", Html::new()).goes_on_to(&office.site.url(HOME_PATH)).answer(StatusCode::OK);
    Ok(answer.cookie(office.site.set_strict_cookie(COOKIE, &session, LINK_SESSION_S_MAX)).by(OneTimeLink::person()))
}

async fn sign_out(
    office: &Office,
    standing: &Standing,
    request: &PageRequest,
    caller: Option<&Caller>,
) -> Result<PageAnswer, Problem> {
    let out = Html::new().raw("<p>You are signed out here.</p><p><a href=\"").raw(SIGN_IN_PATH).raw("\">Sign in again</a></p>");
    let out = Page::new("Signed out", out).answer(StatusCode::OK);
    let Some(caller) = caller else { return Ok(out) };
    if request.method != Method::POST {
        let body = Html::new()
            .raw("<p>You are signed in as ")
            .text(&caller.name)
            .raw(".</p><form method=\"post\">")
            .hidden("csrf", &guard::token(caller))
            .raw("<button class=\"go\">Sign out</button></form>");
        return Ok(Page::new("Sign out", body).answer(StatusCode::OK));
    }
    guard::meant(request, caller, &office.site)?;
    let By::Session(secret) = &caller.by else { return Ok(out) };
    let ended = match &standing.sign_in {
        Some(sign_in) => sign_in
            .end(secret, out)
            .await
            .map_err(|error| Problem::busy("You cannot be signed out now. Try again shortly.").because(error.to_string()))?,
        None => {
            if let Some(link) = &office.link {
                link.end();
            }
            out.cookie(office.site.set_strict_cookie(COOKIE, "", 0))
        }
    };
    Ok(ended.by(caller.principal.clone()))
}
