//! The consent page, what its form does, and what is remembered of a yes.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::authorize::failed;
use super::client::{Client, Kind};
use super::error::{Code, Refused};
use super::pending::Pending;
use super::{AUTHORIZE, AuthServer, CONTINUE, encode, redirect};
use crate::signin::Person;
use crate::store::{Space, StoreError};
use crate::web::{Html, Page, PageAnswer, PageRequest, Params, Verdict, csrf_holds, csrf_token, digest, is_from_us};

/// How long a yes is remembered, in seconds.
const CONSENT_S_MAX: u64 = 90 * 24 * 3_600;

/// What somebody allowed a client.
#[derive(Serialize, Deserialize)]
struct Consent {
    redirect_host: String,
    client_digest: String,
    resource: String,
    scopes: Vec<String>,
}

/// Consents of one person lie together; those of one client for another person are elsewhere. A yes for one route, or one address of a
/// client, lies beside that for another.
fn consent_key(person: &Person, pending: &Pending) -> Vec<u8> {
    let who = digest(&format!("{} {} {}", person.iss.len(), person.iss, person.sub));
    let place = format!("{} {} {}", pending.resource.len(), pending.resource, redirect::host(&pending.redirect_uri));
    [who, digest(&pending.client_id), digest(&place)].concat()
}

impl AuthServer {
    /// The page that asks. `id` finds the request again, `browser` is the secret of the cookie that its form is bound to.
    pub(super) async fn consent_page(
        &self,
        client: &Client,
        pending: &Pending,
        id: &str,
        browser: &str,
        person: Option<&Person>,
    ) -> PageAnswer {
        let host = redirect::host(&pending.redirect_uri);
        let name = client.name.as_deref().unwrap_or(&client.id);
        let mut body = Html::new().raw("<p><strong>").text(name).raw("</strong> asks for access in your name.</p><dl>");
        body = match &client.kind {
            Kind::Configured => body.raw("<dt>Client</dt><dd>").text(name).raw(", set up by your organization</dd>"),
            Kind::Document(from) => body.raw("<dt>Published by</dt><dd><strong>").text(from).raw("</strong></dd>"),
            Kind::Registered => body.raw("<dt>Client</dt><dd>").text(name).raw(" <em>(it chose this name itself)</em></dd>"),
        };
        body = body.raw("<dt>Client id</dt><dd><code>").text(&client.id).raw("</code></dd>");
        body = body.raw("<dt>The answer goes to</dt><dd><strong>").text(&host).raw("</strong></dd>");
        body = body.raw("<dt>For</dt><dd><code>").text(&pending.resource).raw("</code></dd><dt>It may</dt>");
        if pending.scopes.is_empty() {
            body = body.raw("<dd>What the policy lets you do</dd>");
        }
        for scope in &pending.scopes {
            let words = self.settings.scopes.get(scope).map_or("", String::as_str);
            body = body.raw("<dd>").text(words).raw(" <code>").text(scope).raw("</code></dd>");
        }
        if let Some(person) = person {
            body = body.raw("<dt>You are</dt><dd>").text(person.name.as_deref().unwrap_or(&person.sub)).raw("</dd>");
        }
        body = body.raw("</dl>");
        if redirect::is_local(&pending.redirect_uri) {
            body = body.raw(
                "<p class=\"warn\">The answer goes to a program on this computer. Any program on it could pretend to be this \
                 client. Go on only if you have just started it yourself.</p>",
            );
        }
        body = body
            .raw("<form method=\"post\" action=\"/oauth/authorize\">")
            .hidden("request", id)
            .hidden("csrf", &csrf_token(browser, &purpose(id)))
            .raw("<button class=\"go\" name=\"decision\" value=\"allow\">Allow</button>")
            .raw("<button name=\"decision\" value=\"deny\">Refuse</button></form>");
        let mut page = Page::new("Allow access?", body);
        // The provider may pass through hosts of its own before it comes back.
        page = page.form_leads_to("https:").form_leads_to(&redirect::form_source(&pending.redirect_uri));
        if let Some(provider) = self.sign_in.provider_origin().await {
            page = page.form_leads_to(&provider);
        }
        page.answer(StatusCode::OK)
    }

    /// Answers the form of the consent page. Only from here on, and only after a yes, is there a state towards the provider.
    pub(super) async fn decided(&self, request: &PageRequest) -> PageAnswer {
        if !is_from_us(&request.headers, &self.site) {
            return foreign("a form of another site");
        }
        let Ok(form) = Params::of_form(request) else { return foreign("not a form") };
        let (Some(id), Some(token)) = (form.get("request"), form.get("csrf")) else { return foreign("parts are missing") };
        let pending = match self.kept(id).await {
            Ok(Some(pending)) if !pending.approved => pending,
            Ok(_) => return foreign("the request is unknown, used or over"),
            Err(error) => return failed(error),
        };
        let holds = self.browser(&request.headers).is_ok_and(|browser| csrf_holds(&browser, &purpose(id), token));
        if !self.is_of_browser(&request.headers, &pending) || !holds {
            return foreign("a form of another browser");
        }
        let about = pending.client_id.clone();
        let answer = match form.get("decision") {
            Some("allow") => self.allowed(request, id, pending).await,
            Some("deny") => {
                if let Err(error) = self.take(id).await {
                    return failed(error);
                }
                let refused = Refused::new(Code::AccessDenied, "the person refused");
                self.told(&pending.redirect_uri, pending.state.as_deref(), refused)
            }
            _ => foreign("no decision"),
        };
        answer.about(&about)
    }

    async fn allowed(&self, request: &PageRequest, id: &str, pending: Pending) -> PageAnswer {
        match self.approve(id, &pending).await {
            Ok(true) => {}
            Ok(false) => return foreign("the request was decided before"),
            Err(error) => return failed(error),
        }
        let next = format!("{CONTINUE}?request={id}");
        match self.sign_in.session(&request.headers).await {
            Ok(Some(session)) if session.person.signed_in_s >= pending.signed_in_after_s => {
                PageAnswer::see_other(&self.site.url(&next)).by(session.person.principal(Some(&pending.client_id)))
            }
            Ok(_) => {
                self.sign_in.begin_or(request.peer, &next, pending.anew, Some(&next)).await.unwrap_or_else(|error| error.page())
            }
            Err(error) => failed(error),
        }
    }

    /// Whether `person` has allowed `client` all of this before. Never so where any program on a machine could be the client
    /// (RFC 8252 section 8.6): there a person is asked every time.
    pub(super) async fn consented(&self, person: &Person, client: &Client, pending: &Pending) -> Result<bool, StoreError> {
        if redirect::is_local(&pending.redirect_uri) {
            return Ok(false);
        }
        let Some(consent) = self.remembered(person, pending).await? else { return Ok(false) };
        Ok(consent.redirect_host == redirect::host(&pending.redirect_uri)
            && consent.client_digest == client.digest
            && consent.resource == pending.resource
            && pending.scopes.iter().all(|scope| consent.scopes.contains(scope)))
    }

    async fn remembered(&self, person: &Person, pending: &Pending) -> Result<Option<Consent>, StoreError> {
        let value = self.store().get(Space::Consent, &consent_key(person, pending)).await?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Remembers that `person` allowed all of `pending`, beside what they allowed the same registration before.
    pub(super) async fn remember(&self, person: &Person, pending: &Pending) -> Result<(), StoreError> {
        let mut scopes = pending.scopes.clone();
        if let Some(before) = self.remembered(person, pending).await?.filter(|c| c.client_digest == pending.client_digest) {
            // Bounded by what can be asked for.
            let known = before.scopes.into_iter().filter(|scope| self.settings.scopes.contains_key(scope));
            scopes.extend(known.filter(|scope| !pending.scopes.contains(scope)));
        }
        let consent = Consent {
            redirect_host: redirect::host(&pending.redirect_uri),
            client_digest: pending.client_digest.clone(),
            resource: pending.resource.clone(),
            scopes,
        };
        let ends_s = self.clock.unix_s().saturating_add(CONSENT_S_MAX);
        let key = consent_key(person, pending);
        self.store().put(Space::Consent, &key, &encode(&consent)?, Some(ends_s)).await
    }
}

fn purpose(id: &str) -> String {
    format!("{AUTHORIZE} {id}")
}

fn foreign(private: &str) -> PageAnswer {
    let words = "This form does not hold: it is over, was used, or belongs to another browser. Start again from your client.";
    PageAnswer::problem(StatusCode::BAD_REQUEST, words, Verdict::BadRequest).because(private)
}
