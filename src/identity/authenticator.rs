//! From a request to a principal. Most requests repeat a credential, so the answer is usually one hash and one lookup away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use tokio_util::sync::CancellationToken;

use super::api_key::{ApiKeys, KEY_PREFIX};
use super::bearer::{self, Presented, Scheme};
use super::certificates::Certificates;
use super::challenge::{Holder, ProofError, Refusal};
use super::crypto::sha256;
use super::directory::Directory;
use super::dpop::Dpop;
use super::install_crypto;
use super::introspection::Introspection;
use super::issuer_settings::{DpopUse, IssuerSettings};
use super::judge::Rules;
use super::jwks::Jwks;
use super::recall::Recall;
use super::revocations::Revocations;
use super::settings::{Settings, SettingsError};
use super::verify::{Issuer, Lack, Verified, Verifier};
use crate::net::Fetch;
use crate::vocab::{Clock, PeerCertificate, Principal, Proof, Resource};

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
    /// What the connection of the request remembers, if it does.
    pub recall: Option<&'a Recall>,
}

/// Verifies credentials. One per configuration; shared by all connections.
pub struct Authenticator {
    pub(super) anonymous: Option<Arc<Principal>>,
    pub(super) verifier: Verifier,
    pub(super) api_keys: ApiKeys,
    pub(super) certificates: Option<Certificates>,
    pub(super) revocations: Arc<Revocations>,
    dpop: Arc<Dpop>,
    nonce_optional: bool,
    clock: Clock,
    /// The latest time seen. A clock that is set back does not revive what has expired; a new authenticator starts afresh.
    latest_ms: AtomicU64,
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
    NeedsKeys(&'a Arc<Jwks>, Refusal),
    /// The issuer must be asked.
    NeedsAnswer(&'a Introspection),
}

impl Authenticator {
    /// Checks `settings` and loads keys from files. Keys from the network are loaded by [`Self::run`], or by the first token.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(settings: Settings, clock: Clock, fetch: Fetch) -> Result<Self, SettingsError> {
        install_crypto();
        settings.check()?;
        let directory = Directory::new(&settings.directory);
        let issuer = |settings: IssuerSettings| -> Result<Issuer, SettingsError> {
            let jwks = Jwks::new(&settings, clock.clone(), fetch.clone());
            let jwks = jwks.map_err(|why| SettingsError::Jwks { issuer: settings.issuer.clone(), why })?;
            let introspection = settings.introspection.as_ref();
            let introspection =
                introspection.map(|asked| Arc::new(Introspection::new(&settings, asked, clock.clone(), fetch.clone())));
            let rules = Rules::new(settings).map_err(SettingsError::Rule)?;
            Ok(Issuer { rules, jwks: Arc::new(jwks), introspection })
        };
        let certificates = settings.client_certificates.as_ref().map(Certificates::new).transpose();
        Ok(Self {
            anonymous: settings.anonymous.then(|| Arc::new(Principal::anonymous())),
            api_keys: ApiKeys::new(&settings.api_keys, &directory).map_err(SettingsError::Rule)?,
            certificates: certificates.map_err(SettingsError::Rule)?,
            revocations: Arc::new(Revocations::new(settings.revocations)),
            verifier: Verifier::new(settings.issuers.into_iter().map(issuer).collect::<Result<_, _>>()?, directory),
            dpop: Arc::new(Dpop::new().map_err(|error| SettingsError::Rule(error.to_string()))?),
            nonce_optional: settings.nonce_optional,
            clock,
            latest_ms: AtomicU64::new(0),
        })
    }

    /// The same, with the keys that `old` already loaded from the same places: a reload does not forget keys, so it cannot
    /// fail for an issuer that happens to be away. Proofs that were used stay used, and uses of API keys are counted on.
    #[must_use]
    pub fn with_keys_of(mut self, old: &Self) -> Self {
        self.verifier.with_keys_of(&old.verifier);
        self.api_keys.with_uses_of(&old.api_keys);
        self.dpop = old.dpop.clone();
        self
    }

    /// The principal of a request, which holds all scopes of the resource and met the proof that the resource asks for.
    ///
    /// A credential that is presented but does not hold is refused even where anonymous requests are allowed, and even where
    /// the connection has a certificate that would do.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn authenticate(&self, asked: Asked<'_>) -> Result<Arc<Principal>, Refusal> {
        let (mut loaded, mut answered) = (false, false);
        loop {
            match self.step(asked) {
                Step::Done(answer) => return answer,
                Step::NeedsKeys(_, refusal) if loaded => return Err(refusal),
                Step::NeedsAnswer(_) if answered => return Err(Refusal::Unavailable),
                // Boxed: rare, and larger than everything else that a request waits for.
                Step::NeedsKeys(jwks, _) => {
                    loaded = true;
                    Box::pin(jwks.demand()).await;
                }
                Step::NeedsAnswer(introspection) => {
                    answered = true;
                    let Ok(Some(presented)) = bearer::token(asked.headers) else { return Err(Refusal::Malformed) };
                    let token = presented.token;
                    Box::pin(introspection.ask(token, sha256(token.as_bytes()))).await;
                }
            }
        }
    }

    /// The same answer as [`Self::authenticate`] where it needs no waiting; `None` if keys would have to be loaded first, or
    /// the issuer asked.
    pub fn authenticate_now(&self, asked: Asked<'_>) -> Option<Result<Arc<Principal>, Refusal>> {
        match self.step(asked) {
            Step::Done(answer) => Some(answer),
            Step::NeedsKeys(..) | Step::NeedsAnswer(_) => None,
        }
    }

    /// The principal that `token` stands for at `resource`, for a tool that judges without serving: neither a proof nor the
    /// scopes of the resource are asked for.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn examine(&self, token: &str, resource: &Resource) -> Result<Arc<Principal>, Refusal> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Refusal::Malformed)?;
        headers.insert(AUTHORIZATION, value);
        let open = Resource { scopes: Vec::new(), proof: Proof::None, ..resource.clone() };
        let asked = Asked { headers: &headers, resource: &open, method: &Method::POST, peer_certificate: None, recall: None };
        match self.authenticate(asked).await {
            // Bound, and good but for the proof.
            Err(Refusal::Proof { error: ProofError::Token, .. } | Refusal::Invalid { .. }) if !token.starts_with(KEY_PREFIX) => {
                let (now_ms, why) = (self.now_ms(), |lack| match lack {
                    Lack::Refused(private) => Refusal::Invalid { private },
                    Lack::Keys(_, Some(private)) => Refusal::Invalid { private },
                    Lack::Keys(_, None) | Lack::Answer(_) | Lack::Unavailable => Refusal::Unavailable,
                });
                let verified = self.verifier.look(token, &open, now_ms).map_err(why)?;
                verified.validity.check(now_ms / 1_000).map_err(|private| Refusal::Invalid { private })?;
                self.unrevoked(verified.principal.clone(), Scheme::Bearer)
            }
            other => other,
        }
    }

    /// The issuers, in the order of the configuration, and whether their tokens can be verified.
    pub fn health(&self) -> Vec<IssuerHealth> {
        let health = self.verifier.issuers.iter().map(|issuer| issuer.jwks.health());
        health.map(|(issuer, keys)| IssuerHealth { issuer: issuer.to_owned(), keys }).collect()
    }

    /// The names of the issuers, for protected-resource metadata.
    pub fn issuers(&self) -> Vec<&str> {
        self.verifier.issuers.iter().map(|issuer| issuer.rules.settings.issuer.as_str()).collect()
    }

    /// Every API key that was used since the process started: its id, and the second since the Unix epoch it was last used.
    pub fn key_uses(&self) -> Vec<(Arc<str>, u64)> {
        self.api_keys.uses()
    }

    /// Loads the keys that are no longer fresh, of all issuers at once.
    pub async fn refresh_due(&self) {
        join_all(self.verifier.issuers.iter().map(|issuer| issuer.jwks.refresh_due())).await;
    }

    /// Keeps the keys fresh until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let work = async {
            loop {
                self.refresh_due().await;
                self.dpop.sweep(self.now_ms() / 1_000);
                tokio::time::sleep(TICK).await;
            }
        };
        stop.run_until_cancelled(work).await;
    }

    fn step(&self, asked: Asked<'_>) -> Step<'_> {
        let presented = match bearer::token(asked.headers) {
            Ok(presented) => presented,
            Err(refusal) => return Step::Done(Err(refusal)),
        };
        let now_ms = self.now_ms();
        let answer = match presented {
            None => self.without_token(asked, now_ms / 1_000),
            Some(presented) if presented.token.starts_with(KEY_PREFIX) => self.api_key(presented, asked, now_ms / 1_000),
            Some(presented) => match self.look(presented.token, asked, now_ms) {
                Ok(verified) => self.admit(&verified, presented, asked, now_ms / 1_000),
                Err(Lack::Refused(why)) => Err(refused(presented.scheme, why)),
                Err(Lack::Unavailable) => Err(Refusal::Unavailable),
                Err(Lack::Keys(jwks, Some(why))) => return Step::NeedsKeys(jwks, refused(presented.scheme, why)),
                Err(Lack::Keys(jwks, None)) => return Step::NeedsKeys(jwks, Refusal::Unavailable),
                Err(Lack::Answer(introspection)) => return Step::NeedsAnswer(introspection),
            },
        };
        Step::Done(answer.and_then(|principal| within_scopes(principal, asked.resource)))
    }

    fn look(&self, token: &str, asked: Asked<'_>, now_ms: u64) -> Result<Arc<Verified>, Lack<'_>> {
        match asked.recall {
            Some(recall) => self.verifier.look_again(recall, token, asked.resource, now_ms),
            None => self.verifier.look(token, asked.resource, now_ms),
        }
    }

    /// A certificate, if certificates are credentials here; else nobody, if nobody may ask.
    fn without_token(&self, asked: Asked<'_>, now_s: u64) -> Result<Arc<Principal>, Refusal> {
        let proof = asked.resource.proof;
        if let (Some(certificates), Some(shown)) = (&self.certificates, asked.peer_certificate)
            && proof != Proof::Dpop
        {
            let named = certificates.named(shown, |principal| self.verifier.complete(principal));
            let named = named.and_then(|named| named.validity.check(now_s).map(|()| named));
            let principal = named.map_err(|private| Refusal::Invalid { private })?.principal.clone();
            return self.unrevoked(principal, Scheme::Bearer);
        }
        match &self.anonymous {
            // Nobody can have been granted a scope or bound a token, and signing in is what would help.
            Some(principal) if asked.resource.scopes.is_empty() && proof == Proof::None => Ok(principal.clone()),
            _ => Err(Refusal::Missing),
        }
    }

    fn api_key(&self, presented: Presented<'_>, asked: Asked<'_>, now_s: u64) -> Result<Arc<Principal>, Refusal> {
        if presented.scheme != Scheme::Bearer || asked.resource.proof != Proof::None {
            let scheme = if asked.resource.proof == Proof::Dpop { Scheme::Dpop } else { presented.scheme };
            return Err(refused(scheme, "an API key is bound to nothing"));
        }
        let principal = self.api_keys.verify(presented.token, now_s)?;
        self.unrevoked(principal, presented.scheme)
    }

    /// A verified token may be used now, in this way, on this connection, for this route.
    fn admit(
        &self,
        verified: &Verified,
        presented: Presented<'_>,
        asked: Asked<'_>,
        now_s: u64,
    ) -> Result<Arc<Principal>, Refusal> {
        let Verified { principal, validity, binding, dpop, .. } = verified;
        let no = |why| refused(presented.scheme, why);
        let unbound = |private| Refusal::Proof { error: ProofError::Token, private, nonce: None };
        validity.check(now_s).map_err(no)?;
        let principal = self.unrevoked(principal.clone(), presented.scheme)?;
        binding.check_certificate(asked.peer_certificate).map_err(no)?;
        match (presented.scheme, &binding.key, dpop) {
            (_, Some(_), DpopUse::Off) => return Err(no("the token is bound to a key, and proofs are off for its issuer")),
            (Scheme::Dpop, Some(key), _) => self.dpop.check(asked, presented.token, key, self.nonce_optional, now_s)?,
            (Scheme::Dpop, None, _) => return Err(unbound("the token is bound to no key, but comes as if it were")),
            (Scheme::Bearer, Some(_), _) => return Err(unbound("the token is bound to a key, but comes without proof")),
            (Scheme::Bearer, None, DpopUse::Require) => return Err(unbound("tokens of the issuer must be bound to a key")),
            (Scheme::Bearer, None, _) => {}
        }
        match asked.resource.proof {
            Proof::Dpop if binding.key.is_none() => Err(unbound("the route wants a token that is bound to a key")),
            Proof::Mtls if binding.certificate.is_none() => Err(no("the route wants a token that is bound to a certificate")),
            Proof::Any if binding.key.is_none() && binding.certificate.is_none() => Err(no("the route wants a bound token")),
            _ => Ok(principal),
        }
    }

    fn unrevoked(&self, principal: Arc<Principal>, scheme: Scheme) -> Result<Arc<Principal>, Refusal> {
        if self.revocations.hit(&principal) { Err(refused(scheme, "the credential is revoked")) } else { Ok(principal) }
    }

    /// Milliseconds since the Unix epoch, never less than before.
    pub(super) fn now_ms(&self) -> u64 {
        let now_ms = self.clock.unix_ms();
        let latest_ms = self.latest_ms.load(Ordering::Relaxed);
        // Written once a second at most: every request on every core reads it.
        if now_ms >= latest_ms.saturating_add(1_000) {
            self.latest_ms.fetch_max(now_ms, Ordering::Relaxed);
        }
        now_ms.max(latest_ms)
    }
}

/// A credential that does not hold, said in the scheme it came by.
fn refused(scheme: Scheme, private: &'static str) -> Refusal {
    match scheme {
        Scheme::Bearer => Refusal::Invalid { private },
        Scheme::Dpop => Refusal::Proof { error: ProofError::Token, private, nonce: None },
    }
}

fn within_scopes(principal: Arc<Principal>, resource: &Resource) -> Result<Arc<Principal>, Refusal> {
    if resource.scopes.iter().all(|scope| principal.has_scope(scope)) {
        Ok(principal)
    } else {
        Err(Refusal::InsufficientScope { scopes: resource.scopes.clone(), holder: Some(Holder(principal)) })
    }
}
