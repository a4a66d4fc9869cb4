//! The pages under `/connect/`.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{CALLBACK_PATH, Desk, Links, PAGES_PATH};
use crate::oauth::{OAuthError, OAuthErrorKind};
use crate::signin::{Anew, KEPT_AS, Session, SignIn};
use crate::vault::Held;
use crate::vocab::FaultKind;
use crate::web::{Html, Page, PageAnswer, PageRequest, Params, Site, Verdict, csrf_holds, csrf_token, is_from_us};

/// The desk as one configuration has it: who signs people in, and what can be linked.
pub struct Desktop<'a> {
    /// What outlives the configuration.
    pub desk: &'a Arc<Desk>,
    /// Who signs people in.
    pub signin: &'a SignIn,
    /// Upstreams at which people link accounts.
    pub links: &'a Links,
    /// Ourselves as browsers know us.
    pub site: &'a Site,
}

impl Desktop<'_> {
    /// Answers a request for a path under [`PAGES_PATH`].
    pub async fn handle(&self, request: &PageRequest) -> PageAnswer {
        if request.path == CALLBACK_PATH {
            return self.callback(request).await;
        }
        let name = request.path.strip_prefix(PAGES_PATH).unwrap_or_default();
        match self.links.get(name) {
            Some(link) => self.link_page(request, link).await,
            None if request.path == PAGES_PATH => self.list(request).await.action("connect/list"),
            None => {
                let words = "There is nothing here to link an account at.";
                PageAnswer::problem(StatusCode::NOT_FOUND, words, Verdict::BadRequest).action("connect/start")
            }
        }
    }

    /// Who is signed in; else the answer that signs them in and comes back to `next`.
    pub(super) async fn session(&self, request: &PageRequest, next: &str) -> Result<Session, Box<PageAnswer>> {
        match self.signin.session(&request.headers).await {
            Ok(Some(session)) => Ok(session),
            // A form cannot be sent again after a sign-in: the page is shown anew.
            Ok(None) => {
                Err(Box::new(self.signin.begin(request.peer, next, Anew::default()).await.unwrap_or_else(|error| error.page())))
            }
            Err(error) => Err(Box::new(crate::signin::SignInError::from(error).page())),
        }
    }

    /// What is linked, and how to end it.
    async fn list(&self, request: &PageRequest) -> PageAnswer {
        let session = match self.session(request, PAGES_PATH).await {
            Ok(session) => session,
            Err(answer) => return *answer,
        };
        let answer = match request.method {
            Method::GET => self.listed(&session, None).await,
            Method::POST => self.unlink(request, &session).await,
            _ => PageAnswer::wrong_method("GET, POST"),
        };
        answer.by(session.person.principal(None))
    }

    async fn unlink(&self, request: &PageRequest, session: &Session) -> PageAnswer {
        let form = match Params::of_form(request) {
            Ok(form) => form,
            Err(error) => return refused(&error.to_string()),
        };
        let (upstream, csrf) = (form.get("upstream").unwrap_or_default(), form.get("csrf").unwrap_or_default());
        if !is_from_us(&request.headers, self.site) || !csrf_holds(session.form_secret(), &unlinking(upstream), csrf) {
            return refused("a form of another page").action("connect/unlink");
        }
        let who = session.person.key();
        let mut gone = Vec::new();
        let held = match self.desk.vault.list(&who).await {
            Ok(held) => held,
            Err(error) => return failed(&error.to_string()).action("connect/unlink"),
        };
        for held in held.into_iter().filter(|held| &*held.key.upstream == upstream) {
            match self.desk.vault.unlink(&held.key).await {
                Ok(dropped) => gone.extend(dropped),
                Err(error) => return failed(&error.to_string()).action("connect/unlink"),
            }
        }
        let upstream: Arc<str> = upstream.into();
        self.desk.unlearn(&who, &upstream);
        for held in &gone {
            self.desk.revoke(self.links.get(&upstream).map(|link| &**link), held).await;
        }
        self.listed(session, Some(&upstream)).await.action("connect/unlink").about(&upstream)
    }

    async fn listed(&self, session: &Session, ended: Option<&str>) -> PageAnswer {
        let held = match self.desk.vault.list(&session.person.key()).await {
            Ok(held) => held,
            Err(error) => return failed(&error.to_string()),
        };
        let name = session.person.name.as_deref().unwrap_or(&session.person.sub);
        let mut body = Html::new().raw("<p>You are signed in as ").text(name).raw(".</p>");
        if let Some(ended) = ended {
            body = body.raw("<p>Your account at <strong>").text(ended).raw("</strong> is no longer linked.</p>");
        }
        let held: Vec<Held> = held.into_iter().filter(|held| &*held.key.upstream != KEPT_AS).collect();
        if held.is_empty() {
            body = body.raw("<p>You linked no account. An agent that needs one gives you the page to link it.</p>");
        }
        for held in &held {
            body = body.html(&entry(session, held));
        }
        Page::new("Accounts you linked", body).answer(StatusCode::OK)
    }
}

fn entry(session: &Session, held: &Held) -> Html {
    let upstream = &*held.key.upstream;
    Html::new()
        .raw("<dl><dt>")
        .text(upstream)
        .raw("</dt><dd>from <code>")
        .text(&held.key.issuer)
        .raw("</code></dd><dd>")
        .text(&held.account.tokens.scopes.join(" "))
        .raw("</dd></dl><form method=\"post\">")
        .hidden("csrf", &csrf_token(session.form_secret(), &unlinking(upstream)))
        .hidden("upstream", upstream)
        .raw("<button>Unlink</button></form>")
}

fn unlinking(upstream: &str) -> String {
    format!("unlink:{upstream}")
}

/// What does not hold together is refused in the same words, whatever it is.
pub(super) fn refused(why: &str) -> PageAnswer {
    let words = "This does not hold: it is over, was used, or began in another browser. Ask your agent to try again.";
    PageAnswer::problem(StatusCode::BAD_REQUEST, words, Verdict::BadRequest).because(why)
}

/// The upstream, or its authorization server, cannot be used as it is. What exactly is for the operator.
pub(super) fn unusable(error: &OAuthError) -> PageAnswer {
    let (words, kind) = match error.kind {
        OAuthErrorKind::Unreachable => ("The server's sign-in cannot be reached. Try again shortly.", FaultKind::Unreachable),
        OAuthErrorKind::Internal => ("The gateway cannot link accounts now. Try again shortly.", FaultKind::Internal),
        _ => ("The server's sign-in cannot be used safely, so nothing was linked. Tell your operator.", FaultKind::Malformed),
    };
    tracing::warn!(why = %error, "an account cannot be linked");
    PageAnswer::problem(StatusCode::BAD_GATEWAY, words, Verdict::Failed(kind)).because(error.to_string())
}

fn failed(why: &str) -> PageAnswer {
    let words = "The gateway cannot show or change what you linked now. Try again shortly.";
    PageAnswer::unavailable(words, FaultKind::Internal).because(why)
}
