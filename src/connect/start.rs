//! From the page that says what linking means to the authorization server.

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::pages::{Desktop, refused, unusable};
use super::plan::Plan;
use super::{CALLBACK_PATH, Desk, Link, ticket};
use crate::oauth::{Flow, PendingFlow};
use crate::signin::Session;
use crate::store::Space;
use crate::vault::KeptBytes;
use crate::vocab::FaultKind;
use crate::vocab::limits::{LINK_S_MAX, LINKS_UNDER_WAY_MAX};
use crate::web::{
    Html, Page, PageAnswer, PageRequest, Params, Verdict, csrf_holds, csrf_token, digest, digest_text, fresh_secret, is_from_us,
};

/// What is kept between the page and its form.
#[derive(Serialize, Deserialize)]
struct Shown {
    plan: Plan,
    /// Digest of the browser session that it was shown to.
    browser: String,
    /// The ticket that led here, to be used up.
    ticket: Option<[u8; 16]>,
}

/// What is kept until the authorization server answers.
#[derive(Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) plan: Plan,
    pub(super) pending: PendingFlow,
    pub(super) browser: String,
}

impl Desktop<'_> {
    /// `/connect/UPSTREAM`.
    pub(super) async fn link_page(&self, request: &PageRequest, link: &Link) -> PageAnswer {
        let answer = match request.method {
            _ if link.by_sign_in => self.sign_in_page(request, link).await,
            Method::GET => self.show(request, link).await,
            Method::POST => self.begin(request, link).await,
            _ => PageAnswer::wrong_method("GET, POST"),
        };
        answer.action("connect/start").about(&link.upstream)
    }

    async fn show(&self, request: &PageRequest, link: &Link) -> PageAnswer {
        let params = match Params::of_query(request) {
            Ok(params) => params,
            Err(error) => return refused(&error.to_string()),
        };
        let sealed = params.get("ticket");
        let opened = sealed.map(|text| ticket::open(&self.desk.sealer, text, &link.upstream, self.desk.clock.unix_s()));
        let ticket = match opened.transpose() {
            Ok(ticket) => ticket,
            Err(_) => return over("a ticket that does not open"),
        };
        // The ticket waits in the store for the sign-in to end; the provider does not see it.
        let next = sealed.map_or_else(|| path(link), |text| format!("{}?ticket={text}", path(link)));
        let session = match self.session(request, &next).await {
            Ok(session) => session,
            Err(answer) => return *answer,
        };
        let who = session.person.key();
        if ticket.is_some_and(|ticket| !ticket.is_for(&who)) {
            return self.foreign(&session);
        }
        match self.desk.is_used(ticket.map(|ticket| ticket.id)).await {
            Ok(false) => {}
            Ok(true) => return over("a ticket that was used").by(session.person.principal(None)),
            Err(answer) => return *answer,
        }
        if let Err(wait_s) = self.desk.pace.admit(&who) {
            let words = "You opened this page too often. Try again shortly.";
            let answer = PageAnswer::problem(StatusCode::TOO_MANY_REQUESTS, words, Verdict::Limited);
            return answer.after(wait_s).because("too many pages of one person").by(session.person.principal(None));
        }
        let plan = match self.desk.plan(link, &who).await {
            Ok(plan) => plan,
            Err(error) => return unusable(&error).by(session.person.principal(None)),
        };
        let shown = Shown { plan, browser: digest_text(session.form_secret()), ticket: ticket.map(|ticket| ticket.id) };
        match self.desk.put("plan", &shown).await {
            Ok(id) => page(&session, &shown.plan, &id).by(session.person.principal(None)),
            Err(answer) => *answer,
        }
    }

    /// Somebody else's link.
    pub(super) fn foreign(&self, session: &Session) -> PageAnswer {
        self.desk.metrics.link("refused");
        let words = "This link was made for somebody else. Open the link that your own agent gave you, or sign out and sign in as \
                     the person whose agent it was.";
        let answer = PageAnswer::problem(StatusCode::FORBIDDEN, words, Verdict::Denied);
        answer.by(session.person.principal(None)).because("another person than the one who was led here")
    }

    async fn begin(&self, request: &PageRequest, link: &Link) -> PageAnswer {
        let session = match self.session(request, &path(link)).await {
            Ok(session) => session,
            Err(answer) => return *answer,
        };
        let by = session.person.principal(None);
        let form = match Params::of_form(request) {
            Ok(form) => form,
            Err(error) => return refused(&error.to_string()).by(by),
        };
        let (plan, csrf) = (form.get("plan").unwrap_or_default(), form.get("csrf").unwrap_or_default());
        if !is_from_us(&request.headers, &link.site) || !csrf_holds(session.form_secret(), &purpose(plan), csrf) {
            return refused("a form of another page").by(by);
        }
        let shown: Shown = match self.desk.take("plan", plan).await {
            Ok(Some(shown)) => shown,
            Ok(None) => return over("a page that is over").by(by),
            Err(answer) => return *answer,
        };
        // A plan of another upstream, or of another browser.
        if *shown.plan.upstream != *link.upstream || shown.browser != digest_text(session.form_secret()) {
            return refused("a page of another browser").by(by);
        }
        if form.get("do") == Some("deny") {
            let body = Html::new().raw("<p>Nothing was linked. You can close this page.</p>");
            return Page::new("Not linked", body).answer(StatusCode::OK).verdict(Verdict::Denied).by(by);
        }
        match self.desk.use_up(shown.ticket).await {
            Ok(true) => {}
            Ok(false) => return over("a ticket that was used").by(by),
            Err(answer) => return *answer,
        }
        self.depart(link, shown, &session).await.by(by)
    }

    /// Registers where that is needed, keeps what the answer will be compared with, and leaves.
    async fn depart(&self, link: &Link, shown: Shown, session: &Session) -> PageAnswer {
        let Shown { plan, .. } = shown;
        let registration = match self.desk.registration(link, &plan.server).await {
            Ok(registration) => registration,
            Err(error) => return unusable(&error),
        };
        let redirect_uri = link.site.url(CALLBACK_PATH);
        let resource = link.resource_sent(&plan.resource);
        let started = Flow::start(&plan.server, &registration, &link.consent, &redirect_uri, &plan.scopes, resource);
        let (url, pending) = match started {
            Ok(started) => started,
            Err(error) => return unusable(&error),
        };
        let state = pending.state.clone();
        let begun = Begun { plan, pending, browser: digest_text(session.form_secret()) };
        match self.desk.put_as("flow", &state, &begun).await {
            Ok(()) => PageAnswer::see_other(url.as_str()),
            Err(answer) => *answer,
        }
    }
}

impl Desk {
    /// Keeps `value` for minutes, under a name that nobody guesses.
    async fn put(&self, kind: &str, value: &impl Serialize) -> Result<String, Box<PageAnswer>> {
        let name = fresh_secret().map_err(|error| broken(&error.to_string()))?;
        self.put_as(kind, &name, value).await.map(|()| name)
    }

    async fn put_as(&self, kind: &str, name: &str, value: &impl Serialize) -> Result<(), Box<PageAnswer>> {
        let plain = serde_json::to_vec(value).map(KeptBytes::new).map_err(|_| broken("a link cannot be written"))?;
        let closed = self.vault.close_own(kind, name, &plain).map_err(|error| broken(&error.to_string()))?;
        let ends_s = self.clock.unix_s().saturating_add(LINK_S_MAX);
        let added = self.store.add(Space::Linking, &key(kind, name), &closed, ends_s, LINKS_UNDER_WAY_MAX).await;
        match added {
            Ok(true) => Ok(()),
            Ok(false) => Err(broken("too many links are under way")),
            Err(error) => Err(broken(&error.to_string())),
        }
    }

    /// What was kept under `name`; gone from then on, whoever asks.
    pub(super) async fn take<T: serde::de::DeserializeOwned>(
        &self,
        kind: &str,
        name: &str,
    ) -> Result<Option<T>, Box<PageAnswer>> {
        let taken = self.store.take(Space::Linking, &key(kind, name)).await.map_err(|error| broken(&error.to_string()))?;
        let opened = taken.and_then(|value| self.vault.open_own(kind, name, &value).ok());
        Ok(opened.and_then(|plain| serde_json::from_slice(&plain).ok()))
    }

    async fn is_used(&self, ticket: Option<[u8; 16]>) -> Result<bool, Box<PageAnswer>> {
        let Some(id) = ticket else { return Ok(false) };
        let found = self.store.get(Space::Linking, &ticket_key(id)).await.map_err(|error| broken(&error.to_string()))?;
        Ok(found.is_some())
    }

    /// True the first time.
    async fn use_up(&self, ticket: Option<[u8; 16]>) -> Result<bool, Box<PageAnswer>> {
        let Some(id) = ticket else { return Ok(true) };
        let ends_s = self.clock.unix_s().saturating_add(LINK_S_MAX);
        let swapped = self.store.swap(Space::Linking, &ticket_key(id), None, Some(b"used"), Some(ends_s)).await;
        swapped.map_err(|error| broken(&error.to_string()))
    }
}

/// What linking means, and the one button that does it.
fn page(session: &Session, plan: &Plan, id: &str) -> PageAnswer {
    let name = session.person.name.as_deref().unwrap_or(&session.person.sub);
    let mut scopes = Html::new();
    for scope in &plan.scopes {
        scopes = scopes.raw("<dd><code>").text(scope).raw("</code></dd>");
    }
    if plan.scopes.is_empty() {
        scopes = scopes.raw("<dd>what ").text(plan.host()).raw(" gives by default</dd>");
    }
    let body = Html::new()
        .raw("<p>You are signed in as ")
        .text(name)
        .raw(". Agents that act for you through this gateway will use your account at <strong>")
        .text(&plan.upstream)
        .raw("</strong>, as far as the rules of your organization allow.</p><dl><dt>You sign in at</dt><dd><code>")
        .text(plan.host())
        .raw("</code></dd><dt>For</dt><dd><code>")
        .text(&plan.resource)
        .raw("</code></dd><dt>Asked for</dt>")
        .html(&scopes)
        .raw("</dl><p>If you did not ask an agent for this, close this page.</p><form method=\"post\">")
        .hidden("csrf", &csrf_token(session.form_secret(), &purpose(id)))
        .hidden("plan", id)
        .raw("<button class=\"go\" name=\"do\" value=\"approve\">Link account</button>")
        .raw("<button name=\"do\" value=\"deny\">Cancel</button></form>");
    // Browsers hold every redirect after the form against this, and a server's sign-in may lead through other hosts of its own.
    Page::new("Link an account", body).form_leads_to("https:").form_leads_to(&plan.origin()).answer(StatusCode::OK)
}

fn purpose(plan: &str) -> String {
    format!("connect:{plan}")
}

pub(super) fn path(link: &Link) -> String {
    format!("{}{}", super::PAGES_PATH, link.upstream)
}

fn key(kind: &str, name: &str) -> Vec<u8> {
    [kind.as_bytes(), b":", &digest(name)].concat()
}

fn ticket_key(id: [u8; 16]) -> Vec<u8> {
    [b"ticket:".as_slice(), &id].concat()
}

pub(super) fn over(why: &str) -> PageAnswer {
    let words = "This link is over or was used. Ask your agent to try again: it gets a new one.";
    PageAnswer::problem(StatusCode::GONE, words, Verdict::BadRequest).because(why)
}

fn broken(why: &str) -> Box<PageAnswer> {
    let words = "The gateway cannot link accounts now. Try again shortly.";
    Box::new(PageAnswer::unavailable(words, FaultKind::Internal).because(why))
}
