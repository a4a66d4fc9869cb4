//! People signing in at the gateway: the code flow of OpenID Connect to the identity provider of the organization.
//!
//! Layer 5. Relying party of OpenID Connect Core 1.0 with PKCE (RFC 7636) and the issuer in responses (RFC 9207). What is kept of a
//! sign-in is a browser session: its id is in a cookie, the SHA-256 of the id in the store. Whoever needs a person asks
//! [`SignIn::session`], and where there is none answers with [`SignIn::begin`].

mod callback;
mod entrance;
mod id_token;
mod kept;
mod person;
mod provider;
mod session;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use governor::Quota;
use http::HeaderMap;
use jsonwebtoken::Algorithm;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

pub use entrance::Entrance;
pub use kept::{KEPT_AS, Keep, RenewError};
pub use person::Person;
pub use session::Session;

use crate::identity::{IssuerSettings, JwksSource, Revocations, StatementKeys};
use crate::net::Fetch;
use crate::store::{Store, StoreError};
use crate::vocab::{Clock, FaultKind, Principal};
use crate::web::{NoRandomness, PageAnswer, PerAddress, Site, digest, digest_text, fresh_secret};
use entrance::state_cookie;
use provider::Provider;

/// The way back from the identity provider.
pub const CALLBACK_PATH: &str = "/oauth/callback";
/// Ends the browser session.
pub const SIGN_OUT_PATH: &str = "/oauth/signout";
/// Parameter that says why nobody was signed in.
pub const FAILED: &str = "failed";
/// Time for a person to sign in.
const SIGN_IN_S_MAX: u64 = 600;
/// Sign-ins under way at once.
const SIGN_INS_MAX: u64 = 20_000;
/// Sign-ins that one address may begin in a minute, so that few cannot use up what is there for all.
const SIGN_INS_PER_MINUTE_OF_ONE: u32 = 120;

/// The identity provider, and who we are there.
#[derive(Clone, Debug)]
pub struct IdpSettings {
    /// Its issuer identifier, matched exactly.
    pub issuer: String,
    /// Our client id there.
    pub client_id: String,
    /// Our secret there; none for a public client.
    pub client_secret: Option<SecretString>,
    /// Scopes to ask for; `openid` among them.
    pub scopes: Vec<String>,
    /// Claim with the groups, by dotted path; in the ID token, else in the userinfo.
    pub groups_claim: Option<String>,
    /// Claims that an ID token must have, by dotted path: one of these texts.
    pub required_claims: BTreeMap<String, Vec<String>>,
    /// Signature algorithms accepted for ID tokens; asymmetric ones only.
    pub algorithms: Vec<Algorithm>,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
}

/// Why a person cannot be signed in now. Private text: it is logged, never shown.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many sign-ins are under way.
    #[error("too many sign-ins are under way")]
    Full,
    /// Too many were begun from there.
    #[error("too many sign-ins were begun from this address")]
    Paced,
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The provider cannot be used.
    #[error("the identity provider: {0}")]
    Provider(String),
}

impl SignInError {
    /// The page that says so.
    pub fn page(&self) -> PageAnswer {
        let (words, kind) = match self {
            Self::Paced => {
                let words = "Too many sign-ins were begun from your address. Try again in a minute.";
                return PageAnswer::paced(words).because(self.to_string());
            }
            Self::Provider(_) => ("The identity provider cannot be reached. Try again shortly.", FaultKind::Unreachable),
            Self::Full => ("Too many people are signing in. Try again shortly.", FaultKind::Exhausted),
            Self::Store(_) | Self::Randomness(_) => {
                ("The gateway cannot sign you in now. Try again shortly.", FaultKind::Internal)
            }
        };
        PageAnswer::unavailable(words, kind).because(self.to_string())
    }
}

/// What the provider shall ask a person, even if somebody is signed in there (OpenID Connect Core 1.0 section 3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anew {
    /// To sign in again.
    pub login: bool,
    /// Which account it shall be.
    pub select_account: bool,
}

impl Anew {
    /// Whether a sign-in of before will not do.
    pub fn is_wanted(self) -> bool {
        self.login || self.select_account
    }

    fn prompt(self) -> Option<&'static str> {
        match (self.login, self.select_account) {
            (false, false) => None,
            (true, false) => Some("login"),
            (false, true) => Some("select_account"),
            (true, true) => Some("login select_account"),
        }
    }
}

/// Signs people in. One per configuration.
pub struct SignIn {
    site: Site,
    store: Store,
    clock: Clock,
    fetch: Fetch,
    idp: IdpSettings,
    keys: StatementKeys,
    revocations: Arc<Revocations>,
    pace: Arc<PerAddress>,
    /// Where ID tokens are kept.
    keep: Option<Keep>,
    entrance: Entrance,
    provider: ArcSwapOption<Provider>,
}

/// A sign-in that is on its way through the provider; in the store under the SHA-256 of its state.
#[derive(Serialize, Deserialize)]
struct Begun {
    /// SHA-256 of the cookie of the browser that began it.
    browser: String,
    nonce: String,
    verifier: String,
    /// The provider it was sent to (RFC 9207: a response must come from there).
    issuer: String,
    /// Where the browser goes then: a path of ours.
    next: String,
    /// What the provider was told to ask.
    #[serde(default)]
    anew: Anew,
    /// When it began, in seconds since the Unix epoch.
    #[serde(default)]
    begun_s: u64,
    /// Where it goes if nobody is signed in, in the place of a page that says so.
    #[serde(default)]
    otherwise: Option<String>,
}

impl SignIn {
    /// Signs in at `idp`, for browsers that know us as `site`, at [`Self::pace`]; nobody whom `revocations` name.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn new(
        idp: IdpSettings,
        site: Site,
        store: Store,
        clock: Clock,
        fetch: Fetch,
        revocations: Arc<Revocations>,
        pace: Arc<PerAddress>,
    ) -> Result<Self, String> {
        let settings = IssuerSettings {
            algorithms: idp.algorithms.clone(),
            allow_private_addresses: idp.allow_private_addresses,
            ..IssuerSettings::new(idp.issuer.clone(), JwksSource::Discovered)
        };
        let keys = StatementKeys::of_issuer(&settings, clock.clone(), fetch.clone())?;
        let (entrance, provider) = (Entrance::AGENTS, ArcSwapOption::empty());
        Ok(Self { site, store, clock, fetch, idp, keys, revocations, pace, keep: None, entrance, provider })
    }

    /// The same for another listener.
    #[must_use]
    pub fn at(mut self, entrance: Entrance) -> Self {
        self.entrance = entrance;
        self
    }

    /// The same, which keeps the ID tokens of people who sign in as `keep` says.
    #[must_use]
    pub fn keeping(mut self, keep: Keep) -> Self {
        self.keep = Some(keep);
        self
    }

    /// Takes over what `old` already knew of the same provider: a reload forgets nothing, so that the provider may be away.
    pub fn with_keys_of(&mut self, old: &Self) {
        self.keys.with_keys_of(&old.keys);
        if (&self.idp.issuer, self.idp.allow_private_addresses) == (&old.idp.issuer, old.idp.allow_private_addresses) {
            self.provider.store(old.provider.load_full());
        }
    }

    /// How often one address may begin. It outlives a reload, so that reloading does not refill it.
    pub fn pace() -> PerAddress {
        PerAddress::new(Quota::per_minute(NonZeroU32::new(SIGN_INS_PER_MINUTE_OF_ONE).unwrap_or(NonZeroU32::MIN)))
    }

    /// Sends the browser at `peer` to the provider, which asks `anew`, and then to `next`, a path of ours. What [`Self::callback`]
    /// compares is made here and nowhere else: the state in the store, its cookie in the browser.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn begin(&self, peer: Option<IpAddr>, next: &str, anew: Anew) -> Result<PageAnswer, SignInError> {
        self.begin_or(peer, next, anew, None).await
    }

    /// As [`Self::begin`]; where the provider signs nobody in, the browser goes to `otherwise`, a path of ours with a query, to which
    /// [`FAILED`] is added: `access_denied` if the provider said so, else `server_error`.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn begin_or(
        &self,
        peer: Option<IpAddr>,
        next: &str,
        anew: Anew,
        otherwise: Option<&str>,
    ) -> Result<PageAnswer, SignInError> {
        self.pace.admit(peer).map_err(|_| SignInError::Paced)?;
        let provider = self.provider().await?;
        let (state, browser) = (fresh_secret()?, fresh_secret()?);
        let begun = Begun {
            browser: digest_text(&browser),
            nonce: fresh_secret()?,
            verifier: fresh_secret()?,
            issuer: self.idp.issuer.clone(),
            next: next.to_owned(),
            anew,
            begun_s: self.clock.unix_s(),
            otherwise: otherwise.map(str::to_owned),
        };
        let value = serde_json::to_vec(&begun).map_err(|e| SignInError::Provider(e.to_string()))?;
        let ends_s = self.clock.unix_s().saturating_add(SIGN_IN_S_MAX);
        if !self.store.add(self.entrance.under_way, &digest(&state), &value, ends_s, SIGN_INS_MAX).await? {
            return Err(SignInError::Full);
        }
        let url = self.authorization_url(&provider.authorization, &state, &begun);
        let cookie = self.site.set_cookie(&state_cookie(&state), &browser, SIGN_IN_S_MAX);
        Ok(PageAnswer::see_other(url.as_str()).cookie(cookie))
    }

    /// The person who is signed in with this browser, if anybody is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(&self, headers: &HeaderMap) -> Result<Option<Session>, StoreError> {
        session::find(self, headers, true).await
    }

    /// Whether `person` was revoked, or what `client_id` does in their name. All that came of a sign-in counts as made with it, by the
    /// provider and by us.
    pub fn is_revoked(&self, person: &Person, client_id: Option<&str>) -> bool {
        let mut principal = Principal::clone(&person.principal(client_id));
        principal.claims.insert("iss".to_owned(), self.site.origin().into());
        principal.claims.insert("iat".to_owned(), person.signed_in_s.into());
        self.revocations.hit(&principal)
    }

    /// Whether everything that the client `client_id` is granted was revoked, or what it is granted for itself.
    pub fn is_client_revoked(&self, client_id: &str) -> bool {
        let itself: Arc<str> = Arc::from(client_id);
        let mut principal = Principal {
            iss: Arc::from(self.site.origin()),
            sub: itself.clone(),
            client_id: Some(itself),
            anonymous: false,
            ..Principal::anonymous()
        };
        principal.claims.insert("iat".to_owned(), self.clock.unix_s().into());
        self.revocations.hit(&principal)
    }

    /// Where the provider's pages are: a form that leads there must be allowed to.
    pub async fn provider_origin(&self) -> Option<String> {
        let provider = self.provider().await.ok()?;
        Some(provider.authorization.origin().ascii_serialization())
    }

    /// The issuer of everybody who signs in here.
    pub fn issuer(&self) -> &str {
        &self.idp.issuer
    }

    fn authorization_url(&self, endpoint: &Url, state: &str, begun: &Begun) -> Url {
        let mut url = endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.idp.client_id)
            .append_pair("redirect_uri", &self.site.url(self.entrance.callback))
            .append_pair("scope", &self.idp.scopes.join(" "))
            .append_pair("state", state)
            .append_pair("nonce", &begun.nonce)
            .append_pair("code_challenge", &digest_text(&begun.verifier))
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(begun.anew.prompt().map(|prompt| ("prompt", prompt)));
        url
    }

    async fn provider(&self) -> Result<Arc<Provider>, SignInError> {
        let now_s = self.clock.unix_s();
        let known = self.provider.load_full();
        if let Some(known) = known.as_ref().filter(|known| known.is_fresh(now_s)) {
            return Ok(known.clone());
        }
        match provider::discover(&self.idp, &self.fetch, now_s).await {
            Ok(found) => {
                let found = Arc::new(found);
                self.provider.store(Some(found.clone()));
                Ok(found)
            }
            // What was right an hour ago is better than nobody signing in.
            Err(why) => known.filter(|known| known.is_usable(now_s)).ok_or(SignInError::Provider(why)),
        }
    }
}

#[cfg(test)]
mod tests;
