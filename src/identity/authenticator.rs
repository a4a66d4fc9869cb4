//! From headers to a principal. Most requests repeat a credential, so the answer is usually one hash and one lookup away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderMap, Method};
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;

use super::api_key::{ApiKeys, KEY_PREFIX};
use super::challenge::Refusal;
use super::crypto::sha256_of;
use super::jwks::Jwks;
use super::jwt::{self, Unverified, Validity};
use super::settings::{IssuerSettings, Settings, SettingsError};
use super::{bearer, claims, install_crypto};
use crate::net::Fetch;
use crate::vocab::limits::TOKEN_CACHE_ENTRIES_MAX;
use crate::vocab::{Clock, PeerCertificate, Principal, Resource};

/// A verified token is verified anew after this, whatever its expiry.
const CACHE_TTL: Duration = Duration::from_secs(3_600);
/// How often [`Authenticator::run`] looks for keys that are due.
const TICK: Duration = Duration::from_secs(1);

/// What is looked at to find out who is asking.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The header of the request.
    pub headers: &'a HeaderMap,
    /// What is asked for, by its public URL.
    pub resource: &'a Resource,
    /// The method of the request.
    pub method: &'a Method,
    /// The certificate that the client showed in its handshake, which the client authorities vouch for.
    pub peer_certificate: Option<&'a PeerCertificate>,
}

/// Verifies credentials. One per configuration; shared by all connections.
pub struct Authenticator {
    anonymous: Option<Arc<Principal>>,
    issuers: Vec<Issuer>,
    api_keys: ApiKeys,
    clock: Clock,
    /// The latest time seen. A clock that is set back does not revive what has expired; a new authenticator starts afresh.
    latest_ms: AtomicU64,
    /// SHA-256 of (resource, token) -> what verification found. The token itself is not kept.
    verified: Cache<[u8; 32], Arc<Verified>>,
}

struct Issuer {
    settings: IssuerSettings,
    jwks: Arc<Jwks>,
}

struct Verified {
    principal: Arc<Principal>,
    validity: Validity,
    jwks: Arc<Jwks>,
    fingerprint: [u8; 32],
}

/// Whether tokens of an issuer can be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerHealth {
    /// The issuer.
    pub issuer: String,
    /// Usable keys; with none, its tokens are answered with 503.
    pub keys: usize,
}

/// What can be said without waiting.
enum Step<'a> {
    Done(Result<Arc<Principal>, Refusal>),
    /// A key is missing that a load might bring; if it does not, this is the answer.
    NeedsKeys(&'a Jwks, Refusal),
}

impl Authenticator {
    /// Checks `settings` and loads keys from files. Keys from the network are loaded by [`Self::run`], or by the first token.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(settings: Settings, clock: Clock, fetch: Fetch) -> Result<Self, SettingsError> {
        install_crypto();
        settings.check()?;
        let issuer = |settings: IssuerSettings| match Jwks::new(&settings, clock.clone(), fetch.clone()) {
            Ok(jwks) => Ok(Issuer { settings, jwks: Arc::new(jwks) }),
            Err(why) => Err(SettingsError::Jwks { issuer: settings.issuer, why }),
        };
        Ok(Self {
            anonymous: settings.anonymous.then(|| Arc::new(Principal::anonymous())),
            issuers: settings.issuers.into_iter().map(issuer).collect::<Result<_, _>>()?,
            api_keys: ApiKeys::new(&settings.api_keys),
            clock,
            latest_ms: AtomicU64::new(0),
            verified: Cache::builder().max_capacity(TOKEN_CACHE_ENTRIES_MAX).time_to_live(CACHE_TTL).build(),
        })
    }

    /// The same, with the keys that `old` already loaded from the same places: a reload does not forget keys, so it cannot
    /// fail for an issuer that happens to be away.
    #[must_use]
    pub fn with_keys_of(mut self, old: &Self) -> Self {
        for issuer in &mut self.issuers {
            let same = |other: &&Issuer| {
                let (a, b) = (&issuer.settings, &other.settings);
                (&a.issuer, &a.jwks, a.allow_private_addresses) == (&b.issuer, &b.jwks, b.allow_private_addresses)
            };
            if let Some(other) = old.issuers.iter().find(same) {
                issuer.jwks = other.jwks.clone();
            }
        }
        self
    }

    /// The principal of a request for `resource`, which holds all scopes of the resource.
    ///
    /// A credential that is presented but does not hold is refused even where anonymous requests are allowed.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn authenticate(&self, asked: Asked<'_>) -> Result<Arc<Principal>, Refusal> {
        match self.step(asked) {
            Step::Done(answer) => answer,
            Step::NeedsKeys(jwks, _) => {
                // Boxed: rare, and larger than everything else that a request waits for.
                Box::pin(jwks.demand()).await;
                match self.step(asked) {
                    Step::Done(answer) => answer,
                    Step::NeedsKeys(_, refusal) => Err(refusal),
                }
            }
        }
    }

    /// The same answer as [`Self::authenticate`] where it needs no waiting; `None` if keys would have to be loaded first.
    pub fn authenticate_now(&self, asked: Asked<'_>) -> Option<Result<Arc<Principal>, Refusal>> {
        match self.step(asked) {
            Step::Done(answer) => Some(answer),
            Step::NeedsKeys(..) => None,
        }
    }

    /// The issuers, in the order of the configuration, and whether their tokens can be verified.
    pub fn health(&self) -> Vec<IssuerHealth> {
        let health = self.issuers.iter().map(|issuer| issuer.jwks.health());
        health.map(|(issuer, keys)| IssuerHealth { issuer: issuer.to_owned(), keys }).collect()
    }

    /// The names of the issuers, for protected-resource metadata.
    pub fn issuers(&self) -> Vec<&str> {
        self.issuers.iter().map(|issuer| issuer.settings.issuer.as_str()).collect()
    }

    /// Loads the keys that are no longer fresh, of all issuers at once.
    pub async fn refresh_due(&self) {
        join_all(self.issuers.iter().map(|issuer| issuer.jwks.refresh_due())).await;
    }

    /// Keeps the keys fresh until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let work = async {
            loop {
                self.refresh_due().await;
                tokio::time::sleep(TICK).await;
            }
        };
        stop.run_until_cancelled(work).await;
    }

    fn step(&self, asked: Asked<'_>) -> Step<'_> {
        let resource = asked.resource;
        let step = match bearer::token(asked.headers) {
            Ok(None) => Step::Done(self.without_credential(resource)),
            Ok(Some(token)) if token.starts_with(KEY_PREFIX) => Step::Done(self.api_keys.verify(token, self.now_ms() / 1_000)),
            Ok(Some(token)) => self.token(token, resource),
            Err(refusal) => Step::Done(Err(refusal)),
        };
        match step {
            Step::Done(Ok(principal)) => Step::Done(within_scopes(principal, resource)),
            other => other,
        }
    }

    fn without_credential(&self, resource: &Resource) -> Result<Arc<Principal>, Refusal> {
        match &self.anonymous {
            // Nobody can have been granted a scope, and signing in is what would help.
            Some(principal) if resource.scopes.is_empty() => Ok(principal.clone()),
            _ => Err(Refusal::Missing),
        }
    }

    /// Milliseconds since the Unix epoch, never less than before.
    fn now_ms(&self) -> u64 {
        let now_ms = self.clock.unix_ms();
        let latest_ms = self.latest_ms.load(Ordering::Relaxed);
        // Written once a second at most: every request on every core reads it.
        if now_ms >= latest_ms.saturating_add(1_000) {
            self.latest_ms.fetch_max(now_ms, Ordering::Relaxed);
        }
        now_ms.max(latest_ms)
    }

    fn token(&self, token: &str, resource: &Resource) -> Step<'_> {
        let now_ms = self.now_ms();
        let cache_key = sha256_of(&[resource.url.as_bytes(), token.as_bytes()]);
        if let Some(hit) = self.verified.get(&cache_key) {
            if hit.jwks.holds(&hit.fingerprint) {
                let in_time = hit.validity.check(now_ms / 1_000);
                return Step::Done(in_time.map(|()| hit.principal.clone()).map_err(invalid));
            }
            self.verified.invalidate(&cache_key);
        }
        let found = jwt::parse(token).and_then(|token| {
            let issuer = self.issuers.iter().find(|i| token.issuer() == Some(i.settings.issuer.as_str()));
            Ok((token, issuer.ok_or("an issuer that is not configured")?))
        });
        match found {
            Ok((token, issuer)) => self.verify(token, issuer, cache_key, resource, now_ms / 1_000),
            Err(why) => Step::Done(Err(invalid(why))),
        }
    }

    /// Everything that costs nothing is checked before keys are looked for, so that only plausible tokens cause loads.
    fn verify<'a>(
        &'a self,
        token: Unverified<'_>,
        issuer: &'a Issuer,
        cache_key: [u8; 32],
        resource: &Resource,
        now_s: u64,
    ) -> Step<'a> {
        if !issuer.settings.algorithms.contains(&token.alg) {
            return Step::Done(Err(invalid("an algorithm that the issuer may not use")));
        }
        let checked = token.check(&issuer.settings, &resource.url).and_then(|v| v.check(now_s).map(|()| v));
        let validity = match checked {
            Ok(validity) => validity,
            Err(why) => return Step::Done(Err(invalid(why))),
        };
        let Some(loaded) = issuer.jwks.current() else {
            return Step::NeedsKeys(&issuer.jwks, Refusal::Unavailable);
        };
        let candidates = loaded.candidates(token.kid.as_deref(), token.alg);
        let Some(key) = candidates.iter().find(|key| token.is_signed_by(key)) else {
            // A known key id with a wrong signature is a forgery; anything else may be a rotation we have not seen.
            let known = token.kid.is_some() && !candidates.is_empty();
            let refusal = invalid("no key of the issuer made the signature");
            return if known { Step::Done(Err(refusal)) } else { Step::NeedsKeys(&issuer.jwks, refusal) };
        };
        let expires_at_s = token.time("exp").ok().flatten();
        let principal = match claims::principal(token.claims, &issuer.settings, expires_at_s) {
            Ok(principal) => Arc::new(principal),
            Err(why) => return Step::Done(Err(invalid(why))),
        };
        let (jwks, fingerprint) = (issuer.jwks.clone(), key.fingerprint);
        let verified = Verified { principal: principal.clone(), validity, jwks, fingerprint };
        self.verified.insert(cache_key, Arc::new(verified));
        Step::Done(Ok(principal))
    }
}

fn invalid(private: &'static str) -> Refusal {
    Refusal::Invalid { private }
}

fn within_scopes(principal: Arc<Principal>, resource: &Resource) -> Result<Arc<Principal>, Refusal> {
    if resource.scopes.iter().all(|scope| principal.has_scope(scope)) {
        Ok(principal)
    } else {
        Err(Refusal::InsufficientScope { scopes: resource.scopes.clone() })
    }
}
