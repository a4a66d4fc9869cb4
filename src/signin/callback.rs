//! The way back from the provider, and the way out.

use http::{Method, StatusCode};
use secrecy::ExposeSecret as _;

use super::{Begun, SignIn, SignInError, id_token, provider, session, state_cookie};
use crate::identity::StatementError;
use crate::vocab::FaultKind;
use crate::web::{
    Html, Page, PageAnswer, PageRequest, Params, Verdict, cookie, csrf_holds, csrf_token, digest, digest_text, is_from_us,
};

/// Length of a code or state that the provider may send.
const PARAMETER_BYTES_MAX: usize = 8 * 1024;
const SIGN_OUT: &str = "signout";

/// Why a code brought nobody.
enum Unredeemed {
    /// The provider's answer does not hold.
    Wrong(String),
    /// Nothing can be said of the answer now.
    Away(SignInError),
}

impl From<String> for Unredeemed {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

impl SignIn {
    /// Answers the provider's redirect: the state must be one that this browser was given, once, within ten minutes, and the
    /// response must come from the provider that it was sent to. Only then is the code sent anywhere.
    pub async fn callback(&self, request: &PageRequest) -> PageAnswer {
        if request.method != Method::GET {
            return PageAnswer::wrong_method("GET");
        }
        let answer = match Params::of_query(request) {
            Ok(params) => self.returned(request, &params).await,
            Err(error) => refused(&error.to_string()),
        };
        answer.action("signin/callback")
    }

    async fn returned(&self, request: &PageRequest, params: &Params) -> PageAnswer {
        let Some(state) = params.get("state").filter(|state| state.len() <= PARAMETER_BYTES_MAX) else {
            return refused("no state");
        };
        let cookie_name = state_cookie(state);
        // Taken before anything is compared: a state serves once, whoever brings it.
        let begun: Begun = match self.store.take(self.entrance.under_way, &digest(state)).await {
            Err(error) => return SignInError::from(error).page(),
            Ok(found) => match found.and_then(|value| serde_json::from_slice(&value).ok()) {
                Some(begun) => begun,
                None => return refused("an unknown, used or expired state"),
            },
        };
        let answer = match cookie(&request.headers, &self.site.cookie_name(&cookie_name)) {
            Some(browser) if digest_text(browser) == begun.browser => self.sign_in(params, &begun).await,
            _ => refused("a state of another browser"),
        };
        answer.cookie(self.site.set_cookie(&cookie_name, "", 0))
    }

    async fn sign_in(&self, params: &Params, begun: &Begun) -> PageAnswer {
        let provider = match self.provider().await {
            Ok(provider) => provider,
            Err(error) => return error.page(),
        };
        // RFC 9207 section 2.4: compared as text, for errors too, before anything else of the response counts.
        match params.get("iss") {
            Some(iss) if iss == begun.issuer && iss == self.idp.issuer => {}
            None if !provider.names_itself && begun.issuer == self.idp.issuer => {}
            _ => return refused("a response of another issuer"),
        }
        if let Some(error) = params.get("error") {
            let words = "The identity provider did not sign you in.";
            let page = PageAnswer::problem(StatusCode::FORBIDDEN, words, Verdict::Denied);
            let denied = if error == "access_denied" { error } else { "server_error" };
            return self.otherwise(begun, denied, page).because("the provider answered with an error");
        }
        let Some(code) = params.get("code").filter(|code| code.len() <= PARAMETER_BYTES_MAX) else { return refused("no code") };
        let (person, tokens) = match self.redeemed(&provider, code, begun).await {
            Ok(signed_in) => signed_in,
            Err(Unredeemed::Away(error)) => return error.page(),
            Err(Unredeemed::Wrong(why)) => {
                let words = "The identity provider's answer is not usable.";
                return PageAnswer::problem(StatusCode::BAD_GATEWAY, words, Verdict::Failed(FaultKind::Malformed)).because(why);
            }
        };
        if self.is_revoked(&person, None) {
            let words = "You have no access here any more.";
            return PageAnswer::problem(StatusCode::FORBIDDEN, words, Verdict::Denied)
                .because("the person is revoked")
                .by(person.principal(None));
        }
        if let Err(why) = self.keep_tokens(&person, tokens).await {
            let words = "The gateway cannot sign you in now. Try again shortly.";
            return PageAnswer::unavailable(words, FaultKind::Internal).because(why);
        }
        match session::create(self, &person).await {
            Err(error) => error.page(),
            Ok(id) => self.welcome(&begun.next, &id).by(person.principal(None)),
        }
    }

    /// To `next` with the session `id`. A strict cookie would not be sent after a redirect, which the provider's page caused.
    fn welcome(&self, next: &str, id: &str) -> PageAnswer {
        let url = self.site.url(next);
        let page = if self.entrance.strict {
            Page::new("Signed in", Html::new()).goes_on_to(&url).answer(StatusCode::OK)
        } else {
            PageAnswer::see_other(&url)
        };
        page.cookie(self.session_cookie(id, session::SESSION_S_MAX))
    }

    fn session_cookie(&self, id: &str, max_age_s: u64) -> Option<http::HeaderValue> {
        let name = self.entrance.cookie;
        if self.entrance.strict {
            self.site.set_strict_cookie(name, id, max_age_s)
        } else {
            self.site.set_cookie(name, id, max_age_s)
        }
    }

    /// Ends `session` here, and has the browser forget its cookie with `answer`.
    ///
    /// # Errors
    /// [`SignInError`]; the session goes on.
    pub async fn end(&self, session_secret: &str, answer: PageAnswer) -> Result<PageAnswer, SignInError> {
        session::end(self, session_secret).await?;
        Ok(answer.cookie(self.session_cookie("", 0)))
    }

    /// To whoever is to be told that nobody was signed in; else `page`.
    fn otherwise(&self, begun: &Begun, failed: &str, page: PageAnswer) -> PageAnswer {
        let Some(otherwise) = &begun.otherwise else { return page };
        let verdict = page.note.verdict;
        PageAnswer::see_other(&self.site.url(&format!("{otherwise}&{}={failed}", super::FAILED))).verdict(verdict)
    }

    async fn redeemed(
        &self,
        provider: &provider::Provider,
        code: &str,
        begun: &Begun,
    ) -> Result<(super::Person, provider::Redeemed), Unredeemed> {
        let (idp, fetch) = (&self.idp, &self.fetch);
        let redirect_uri = self.site.url(self.entrance.callback);
        let tokens = provider::redeem(idp, fetch, provider, code, &redirect_uri, &begun.verifier).await?;
        let wrong = |why: &str| Unredeemed::Wrong(format!("the ID token: {why}"));
        let mut claims = self.keys.claims(tokens.id_token.expose_secret(), &["", "JWT"]).await.map_err(|error| match error {
            StatementError::Refused(why) => wrong(why),
            StatementError::NoKeys => Unredeemed::Away(SignInError::Provider(error.to_string())),
        })?;
        let now_s = self.clock.unix_s();
        let sub = id_token::check(&claims, idp, &begun.nonce, now_s).map_err(wrong)?;
        if begun.anew.login && !id_token::is_signed_in_since(&claims, begun.begun_s) {
            return Err(wrong("the person was to sign in again, and did not"));
        }
        let said = id_token::groups(&claims, idp).map_err(wrong)?;
        if let (Some(_), None, Some(access)) = (&idp.groups_claim, said, &tokens.access)
            && let Some(more) = provider::userinfo(idp, fetch, provider, access.expose_secret()).await?
        {
            // OpenID Connect Core 1.0 section 5.3.2: otherwise it is about somebody else.
            if more.get("sub").and_then(serde_json::Value::as_str) != Some(sub.as_str()) {
                return Err(Unredeemed::Wrong("the userinfo is about another subject".to_owned()));
            }
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        let tokens = provider::Redeemed { expires_at_s: crate::identity::seconds(&claims, "exp"), ..tokens };
        Ok((id_token::person(&claims, idp, sub, now_s).map_err(wrong)?, tokens))
    }

    /// The page that ends a session, and what its form does.
    pub async fn sign_out(&self, request: &PageRequest) -> PageAnswer {
        let session = match self.session(&request.headers).await {
            Ok(Some(session)) => session,
            Ok(None) => {
                let body = Html::new().raw("<p>You are not signed in at this gateway.</p>");
                return Page::new("Signed out", body).answer(StatusCode::OK).action("signin/out");
            }
            Err(error) => return SignInError::from(error).page().action("signin/out"),
        };
        if request.method != Method::POST {
            let name = session.person.name.as_deref().unwrap_or(&session.person.sub);
            let token = csrf_token(session.form_secret(), SIGN_OUT);
            let body = Html::new()
                .raw("<p>You are signed in as ")
                .text(name)
                .raw(".</p><form method=\"post\">")
                .hidden("csrf", &token)
                .raw("<button class=\"go\">Sign out</button></form>");
            return Page::new("Sign out", body).answer(StatusCode::OK).action("signin/out");
        }
        let token = Params::of_form(request).ok().and_then(|form| form.get("csrf").map(str::to_owned)).unwrap_or_default();
        if !is_from_us(&request.headers, &self.site) || !csrf_holds(session.form_secret(), SIGN_OUT, &token) {
            return refused("a form of another page").action("signin/out");
        }
        if let Err(error) = session::end(self, session.form_secret()).await {
            return SignInError::from(error).page().action("signin/out");
        }
        if let Err(why) = self.drop_tokens(&session.person.key()).await {
            let words = "The gateway cannot sign you out everywhere now. Try again shortly.";
            return PageAnswer::unavailable(words, FaultKind::Internal).because(why).action("signin/out");
        }
        let body = Html::new().raw("<p>You are signed out of this gateway. Clients that you allowed keep their access.</p>");
        Page::new("Signed out", body)
            .answer(StatusCode::OK)
            .cookie(self.session_cookie("", 0))
            .by(session.person.principal(None))
            .action("signin/out")
    }
}

fn refused(why: &str) -> PageAnswer {
    let words = "This sign-in does not hold: it is over, was used, or began in another browser. Start again from your client.";
    PageAnswer::problem(StatusCode::BAD_REQUEST, words, Verdict::Unauthenticated).because(why)
}
