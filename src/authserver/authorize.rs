//! The authorization endpoint (OAuth 2.1 section 4.1.1): what is asked, and whether a person must be.

use http::StatusCode;

use super::AuthServer;
use super::client::Client;
use super::error::{Code, Refused};
use super::pending::Pending;
use super::redirect;
use crate::signin::{Anew, Session, SignInError};
use crate::web::{PageAnswer, PageRequest, Params, Verdict, digest_text};

/// Length of a client's `state`.
const STATE_BYTES_MAX: usize = 2_048;

/// What a client asks about the person.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Prompt {
    none: bool,
    consent: bool,
    anew: Anew,
}

impl AuthServer {
    /// Answers `GET /oauth/authorize`. What is wrong with client or address is said on a page; from then on the client is told, by
    /// redirect and with our issuer.
    pub(super) async fn authorize(&self, request: &PageRequest) -> PageAnswer {
        if !self.lasting.pace.authorize(request.peer) {
            return PageAnswer::paced("Too many requests. Try again in a minute.");
        }
        let params = match Params::of_query(request) {
            Ok(params) => params,
            Err(error) => return wrong("The request of the client is not well formed.", error.to_string()),
        };
        let Some(client_id) = params.get("client_id") else { return wrong("The client did not say who it is.", "no client_id") };
        let client = match self.clients.find(client_id, request.peer).await {
            Ok(client) => client,
            Err(refused) => return refused.page("The client is not known here, or may not be used here.").about(client_id),
        };
        let redirect_uri = params.get("redirect_uri").unwrap_or_default();
        if !client.redirect_uris.iter().any(|registered| redirect::matches(registered, redirect_uri)) {
            return wrong("The address that the client wants the answer at is not one of its own.", "redirect_uri")
                .about(client_id);
        }
        let state = params.get("state");
        match self.asked(request, &client, redirect_uri, &params).await {
            Ok(answer) => answer.about(client_id),
            Err(refused) => self.told(redirect_uri, state, refused).about(client_id),
        }
    }

    async fn asked(&self, request: &PageRequest, client: &Client, uri: &str, params: &Params) -> Result<PageAnswer, Refused> {
        let prompt = prompt(params.get("prompt"))?;
        let browser = self.browser(&request.headers)?;
        let mut pending = self.understood(client, uri, params)?;
        pending.browser = digest_text(&browser);
        pending.anew = prompt.anew;
        if prompt.anew.is_wanted() {
            pending.signed_in_after_s = self.clock.unix_s();
        }
        let session = self.sign_in.session(&request.headers).await?.filter(|_| !prompt.anew.is_wanted());
        // Only for somebody who is signed in here and now can a consent of before be looked up: it is theirs, not the browser's.
        if let (Some(session), false) = (&session, prompt.consent)
            && self.consented(&session.person, client, &pending).await?
        {
            return self.finish(client, pending, &session.person).await;
        }
        if prompt.none {
            let code = if session.is_some() { Code::ConsentRequired } else { Code::LoginRequired };
            return Err(Refused::new(code, "a person has to be asked"));
        }
        let id = self.keep(&pending).await?;
        let page = self.consent_page(client, &pending, &id, &browser, session.as_ref().map(|s: &Session| &s.person)).await;
        Ok(self.with_browser(page, &browser))
    }

    /// Everything about the request but who is asking.
    fn understood(&self, client: &Client, uri: &str, params: &Params) -> Result<Pending, Refused> {
        let invalid = |words| Refused::new(Code::InvalidRequest, words);
        for (name, code) in [("request", Code::RequestNotSupported), ("request_uri", Code::RequestUriNotSupported)] {
            if params.get(name).is_some() {
                return Err(Refused::new(code, "request objects are not supported"));
            }
        }
        if params.get("response_type") != Some("code") {
            return Err(Refused::new(Code::UnsupportedResponseType, "the only response type is code"));
        }
        if params.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(invalid("the only response mode is query"));
        }
        if !client.grants.authorization_code {
            return Err(Refused::new(Code::UnauthorizedClient, "the client may not ask for codes"));
        }
        let challenge = params.get("code_challenge").filter(|challenge| is_challenge(challenge));
        let challenge = challenge.ok_or(invalid("PKCE is needed: send a code_challenge"))?;
        if params.get("code_challenge_method") != Some("S256") {
            return Err(invalid("PKCE is needed with code_challenge_method S256"));
        }
        if params.get("state").is_some_and(|state| state.len() > STATE_BYTES_MAX) {
            return Err(invalid("the state is too long"));
        }
        let resource = self.resource(params.get("resource"))?;
        Ok(Pending {
            browser: String::new(),
            client_id: client.id.clone(),
            client_digest: client.digest.clone(),
            redirect_uri: uri.to_owned(),
            state: params.get("state").map(str::to_owned),
            challenge: challenge.to_owned(),
            resource: resource.url.clone(),
            scopes: self.scopes(params.get("scope"), resource)?,
            approved: false,
            signed_in_after_s: 0,
            anew: Anew::default(),
        })
    }

    /// Tells the client of an error, at an address that is its own (OAuth 2.1 section 4.1.2.1, RFC 9207).
    pub(super) fn told(&self, redirect_uri: &str, state: Option<&str>, refused: Refused) -> PageAnswer {
        let mut parameters = vec![("error", refused.code.as_str()), ("error_description", refused.words)];
        parameters.extend(state.filter(|state| state.len() <= STATE_BYTES_MAX).map(|state| ("state", state)));
        parameters.push(("iss", &self.settings.issuer));
        let private = refused.private.as_deref().unwrap_or(refused.words);
        PageAnswer::see_other(&redirect::with_parameters(redirect_uri, &parameters))
            .verdict(refused.code.verdict())
            .because(format!("{}: {private}", refused.code.as_str()))
    }
}

/// 256 bits in base64, as S256 makes them (RFC 7636 section 4.2).
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn prompt(text: Option<&str>) -> Result<Prompt, Refused> {
    let mut prompt = Prompt::default();
    for word in text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
        match word {
            "none" => prompt.none = true,
            "consent" => prompt.consent = true,
            "login" => prompt.anew.login = true,
            "select_account" => prompt.anew.select_account = true,
            _ => return Err(Refused::new(Code::InvalidRequest, "a prompt that is not known")),
        }
    }
    if prompt.none && (prompt.consent || prompt.anew.is_wanted()) {
        return Err(Refused::new(Code::InvalidRequest, "prompt none stands alone"));
    }
    Ok(prompt)
}

/// A mistake that is not told to the client, as its address is not to be trusted.
fn wrong(words: &'static str, private: impl Into<String>) -> PageAnswer {
    PageAnswer::problem(StatusCode::BAD_REQUEST, words, Verdict::BadRequest).because(private)
}

/// A failure of ours that a person sees.
pub(super) fn failed(error: impl Into<SignInError>) -> PageAnswer {
    error.into().page()
}
