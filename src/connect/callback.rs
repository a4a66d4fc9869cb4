//! The way back from an upstream's authorization server.

use http::{Method, StatusCode};

use super::pages::{Desktop, refused, unusable};
use super::start::Begun;
use super::tokens::kept;
use super::{CALLBACK_PATH, Link};
use crate::oauth::{At, OAuthError, OAuthErrorKind};
use crate::signin::Session;
use crate::vault::{Account, VaultKey};
use crate::vocab::FaultKind;
use crate::web::{Html, Page, PageAnswer, PageRequest, Params, Verdict, digest_text};

impl Desktop<'_> {
    /// `/connect/callback`: the state must be one that this browser was given, once, within ten minutes, and the response must come
    /// from the server it was sent to. Only then is the code sent anywhere.
    pub(super) async fn callback(&self, request: &PageRequest) -> PageAnswer {
        let answer = if request.method == Method::GET { self.returned(request).await } else { PageAnswer::wrong_method("GET") };
        answer.action("connect/callback")
    }

    async fn returned(&self, request: &PageRequest) -> PageAnswer {
        let params = match Params::of_query(request) {
            Ok(params) => params,
            Err(error) => return refused(&error.to_string()),
        };
        let Some(state) = params.get("state").filter(|state| state.len() <= STATE_BYTES_MAX) else { return refused("no state") };
        // Taken before anything is compared: a state serves once, whoever brings it.
        let begun: Begun = match self.desk.take("flow", state).await {
            Ok(Some(begun)) => begun,
            Ok(None) => return refused("an unknown, used or expired state"),
            Err(answer) => return *answer,
        };
        let session = match self.signin.session(&request.headers).await {
            Ok(Some(session)) if digest_text(session.form_secret()) == begun.browser => session,
            Ok(_) => return refused("a state of another browser").about(&begun.plan.upstream),
            Err(error) => return refused(&error.to_string()),
        };
        let by = session.person.principal(None);
        let upstream = begun.plan.upstream.clone();
        let Some(link) = self.links.get(&*upstream) else { return refused("an upstream that is gone").by(by) };
        let pairs: Vec<(String, String)> =
            params.names().map(|name| (name.to_owned(), params.get(name).unwrap_or_default().to_owned())).collect();
        let answer = match self.redeemed(link, begun, &pairs, &session).await {
            Ok(()) => {
                self.desk.metrics.link("linked");
                done(&upstream)
            }
            Err(error) => {
                self.desk.metrics.link("refused");
                failed(&error)
            }
        };
        answer.about(&upstream).by(by)
    }

    async fn redeemed(
        &self,
        link: &Link,
        begun: Begun,
        params: &[(String, String)],
        session: &Session,
    ) -> Result<(), OAuthError> {
        let Begun { plan, pending, .. } = begun;
        // An operator who names another server meanwhile means it.
        if link.issuer.as_deref().is_some_and(|issuer| issuer != plan.server.issuer)
            || pending.redirect_uri != link.site.url(CALLBACK_PATH)
        {
            return Err(error(OAuthErrorKind::Mismatch, "the config names another server now"));
        }
        let (client_id, asked) = (pending.client_id.clone(), pending.scopes.clone());
        let code = pending.accept(params)?;
        // The server as it was when the browser left: nobody has put another token endpoint in its place since.
        let registration = self.desk.registration_of(link, &plan.server, &client_id).await?;
        let at = At { server: &plan.server, registration: &registration, consent: &link.consent };
        let granted = self.desk.client.exchange_code(at, &code).await;
        if granted.as_ref().is_err_and(|error| error.kind == OAuthErrorKind::InvalidClient) {
            self.desk.forget_registration(link, &plan.server.issuer, &client_id).await;
        }
        let granted = granted?;
        let key = VaultKey {
            principal: session.person.key(),
            upstream: link.upstream.clone(),
            issuer: plan.server.issuer.as_str().into(),
            client_id: client_id.into(),
        };
        let mut serial = [0_u8; 8];
        aws_lc_rs::rand::fill(&mut serial).map_err(|_| error(OAuthErrorKind::Internal, "no randomness"))?;
        let account = Account {
            tokens: kept(granted, &asked, None),
            resource: plan.resource.into(),
            serial: u64::from_be_bytes(serial),
            linked_at_s: self.desk.clock.unix_s(),
            asked,
            wanted: Vec::new(),
        };
        let linked = self.desk.vault.link(&key, &account).await;
        linked.map_err(|why| error(OAuthErrorKind::Internal, &why.to_string()))?;
        self.desk.unlearn(&key.principal, &link.upstream);
        Ok(())
    }
}

fn done(upstream: &str) -> PageAnswer {
    let body = Html::new()
        .raw("<p>Your account at <strong>")
        .text(upstream)
        .raw("</strong> is linked. Go back to your agent: what it was doing goes on when it tries again.</p>")
        .raw("<p><a href=\"/connect/\">Accounts you linked</a></p>");
    Page::new("Account linked", body).answer(StatusCode::OK)
}

/// Nothing that the response says is shown: it may be anybody's.
fn failed(why: &OAuthError) -> PageAnswer {
    match why.kind {
        OAuthErrorKind::AccessDenied => {
            let words = "You did not allow it, or the server did not. Nothing was linked.";
            PageAnswer::problem(StatusCode::FORBIDDEN, words, Verdict::Denied).because(why.to_string())
        }
        OAuthErrorKind::Mismatch => refused(&why.to_string()),
        OAuthErrorKind::Internal => {
            let words = "The gateway could not keep the account. Nothing was linked.";
            PageAnswer::unavailable(words, FaultKind::Internal).because(why.to_string())
        }
        _ => unusable(why),
    }
}

fn error(kind: OAuthErrorKind, detail: &str) -> OAuthError {
    super::registration::failed(kind, detail)
}

/// Length of a state that anybody may send.
const STATE_BYTES_MAX: usize = 1024;
