//! People as their identity provider vouches for them (ID-JAG): by the ID token of their own sign-in at the gateway, renewed once,
//! shown to that provider only. Whoever has none signs in, on the same page where others link an account.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use secrecy::SecretString;

use super::pages::{Desktop, refused};
use super::renew::{SWAPS_TRIED_MAX, internal, lasts, unlinked, usable};
use super::start::{over, path};
use super::tokens::{Usable, landed};
use super::{Desk, Link, Whose, ticket};
use crate::oauth::TYPE_ID_TOKEN;
use crate::signin::{Anew, KEPT_AS, RenewError, SignIn};
use crate::upstream::{Subject, SubjectAssertions};
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey};
use crate::web::{Html, Page, PageAnswer, PageRequest, Params, Verdict};

/// Gives identity providers the ID tokens that they made. One serves all upstreams and every reload.
pub struct Identities(Arc<Desk>);

impl Identities {
    /// Of `desk`.
    pub fn of(desk: &Arc<Desk>) -> Arc<Self> {
        Arc::new(Self(desk.clone()))
    }
}

impl SubjectAssertions for Identities {
    fn subject<'a>(&'a self, who: &'a PrincipalKey, audience: &'a str, _: &'a str) -> BoxFuture<'a, Result<Subject, Fault>> {
        async move {
            let signin = self.0.signin()?;
            // The config says so, too.
            if signin.issuer() != audience {
                return Err(Fault::internal(FaultKind::Credential, "an ID token is for the provider that made it"));
            }
            let token = self.0.identity(who, Deadline::after(TOKEN_TIME)).await?.secret;
            Ok(Subject { token, kind: TYPE_ID_TOKEN })
        }
        .boxed()
    }

    fn stands<'a>(&'a self, who: &'a PrincipalKey) -> BoxFuture<'a, Result<(), Fault>> {
        self.0.stands(who).boxed()
    }

    fn actor(&self, _: &str, _: &str) -> Result<SecretString, Fault> {
        Err(Fault::internal(FaultKind::Credential, "nobody acts but the person"))
    }
}

impl Desk {
    fn signin(&self) -> Result<Arc<SignIn>, Fault> {
        let gone = || Fault::internal(FaultKind::Credential, "nobody can sign in any more");
        self.signin.load_full().ok_or_else(gone)
    }

    /// Whether what `who` signed in with is kept: until they sign out, are revoked, or it is too long ago.
    pub(super) async fn stands(&self, who: &PrincipalKey) -> Result<(), Fault> {
        let (epoch, signin, whose) = (self.epoch(), self.signin()?, identity_of(who));
        if self.fresh.get(&whose).is_some_and(|fresh| fresh.epoch == epoch) {
            return Ok(());
        }
        let held = self.vault.tokens(who, KEPT_AS).await.map_err(internal)?.filter(|held| signin.vouches_for(held));
        let held = held.ok_or_else(|| unlinked("the person has to sign in at the gateway"))?;
        self.learn(&whose, &held, epoch);
        Ok(())
    }

    /// The ID token of `who`, renewed if it is about to end: once, however many ask.
    async fn identity(self: &Arc<Self>, who: &PrincipalKey, deadline: Deadline) -> Result<Usable, Fault> {
        let (signin, whose) = (self.signin()?, identity_of(who));
        let flight = self.under_way(&whose, || {
            let (desk, whose) = (self.clone(), whose.clone());
            async move { desk.identified(&signin, &whose).await }.boxed()
        });
        landed(flight, deadline).await
    }

    async fn identified(&self, signin: &SignIn, whose: &Whose) -> Result<Usable, Fault> {
        for _ in 0..SWAPS_TRIED_MAX {
            let epoch = self.epoch();
            let held = self.vault.tokens(&whose.0, &whose.1).await.map_err(internal)?.filter(|held| signin.vouches_for(held));
            let held = held.ok_or_else(|| unlinked("the person has to sign in at the gateway"))?;
            if lasts(held.account.tokens.expires_at_s, self.clock.unix_s()) {
                return Ok(self.learn(whose, &held, epoch));
            }
            let Some(refresh) = held.account.tokens.refresh.clone() else {
                return Err(unlinked("the ID token is over, and there is no refresh token"));
            };
            match signin.renewed(&whose.0, &refresh).await {
                Ok(tokens) => {
                    if let Some(held) = self.put_back(None, whose, held, tokens).await? {
                        return Ok(usable(&held));
                    }
                }
                Err(RenewError::Over) => {
                    if self.vault.drop_seen(&held).await.map_err(internal)? {
                        self.unlearn(&whose.0, &whose.1);
                        return Err(unlinked("the provider renews the ID token no more"));
                    }
                }
                Err(error @ RenewError::Failed(_)) => {
                    return Err(Fault::upstream(FaultKind::Credential, format!("the ID token could not be renewed: {error}")));
                }
            }
        }
        Err(Fault::internal(FaultKind::Internal, "a sign-in changes too fast"))
    }

    /// `who` signed in or out: what is known of before says nothing any more.
    pub fn signed(&self, who: &PrincipalKey) {
        self.unlearn(who, &KEPT_AS.into());
    }
}

impl Desktop<'_> {
    /// `/connect/UPSTREAM` of an upstream that takes the person's own sign-in: there is nothing to consent to, so that signing in is all.
    pub(super) async fn sign_in_page(&self, request: &PageRequest, link: &Link) -> PageAnswer {
        if request.method != Method::GET {
            return PageAnswer::wrong_method("GET");
        }
        let params = match Params::of_query(request) {
            Ok(params) => params,
            Err(error) => return refused(&error.to_string()),
        };
        let sealed = params.get("ticket");
        let opened = sealed.map(|text| ticket::open(&self.desk.sealer, text, &link.upstream, self.desk.clock.unix_s()));
        let Ok(ticket) = opened.transpose() else { return over("a ticket that does not open") };
        let next = sealed.map_or_else(|| path(link), |text| format!("{}?ticket={text}", path(link)));
        let session = match self.session(request, &next).await {
            Ok(session) => session,
            Err(answer) => return *answer,
        };
        let (who, by) = (session.person.key(), session.person.principal(None));
        if ticket.is_some_and(|ticket| !ticket.is_for(&who)) {
            return self.foreign(&session);
        }
        match self.desk.identity(&who, Deadline::after(TOKEN_TIME)).await {
            Ok(_) => {
                self.desk.metrics.link("linked");
                let words = "You are signed in. Go back to your agent: what it was doing goes on when it tries again.";
                Page::new("Signed in", Html::new().raw("<p>").text(words).raw("</p>")).answer(StatusCode::OK).by(by)
            }
            // Signed in just now, and nothing of it is kept: signing in again would change nothing.
            Err(fault) if self.desk.clock.unix_s().saturating_sub(session.person.signed_in_s) < JUST_NOW_S => {
                let words = "The gateway cannot use your sign-in. Tell your operator.";
                let answer = PageAnswer::problem(StatusCode::BAD_GATEWAY, words, Verdict::Failed(fault.kind));
                answer.by(by).because(fault.detail.to_string())
            }
            Err(fault) if fault.kind == FaultKind::Unlinked => {
                self.signin.begin(request.peer, &next, Anew::default()).await.unwrap_or_else(|error| error.page()).by(by)
            }
            Err(fault) => {
                let words = "The identity provider cannot be asked now. Try again shortly.";
                let answer = PageAnswer::problem(StatusCode::BAD_GATEWAY, words, Verdict::Failed(fault.kind));
                answer.by(by).because(fault.detail.to_string())
            }
        }
    }
}

fn identity_of(who: &PrincipalKey) -> Whose {
    (who.clone(), KEPT_AS.into())
}

/// How long a call waits for an ID token; the call's own deadline may be shorter.
const TOKEN_TIME: Duration = Duration::from_secs(10);
/// A sign-in this young is not asked for again, in seconds.
const JUST_NOW_S: u64 = 30;
