//! Tokens into verified ones: by signature, by introspection, or from memory.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::{Map, Value};

use super::binding::Binding;
use super::claims;
use super::crypto::{sha256, sha256_of};
use super::directory::Directory;
use super::introspection::{Answer, Introspection};
use super::issuer_settings::{DpopUse, JwksSource};
use super::judge::{Rules, Validity, is_other_token};
use super::jwks::Jwks;
use super::jwt::{self, Unverified};
use super::recall::Recall;
use crate::vocab::limits::TOKEN_CACHE_ENTRIES_MAX;
use crate::vocab::{Principal, Resource};

/// A verified token is verified anew after this, whatever its expiry.
const CACHE_TTL: Duration = Duration::from_secs(3_600);

/// One issuer, with what is known of it.
pub(super) struct Issuer {
    pub(super) rules: Rules,
    pub(super) jwks: Arc<Jwks>,
    pub(super) introspection: Option<Arc<Introspection>>,
}

/// A token that its issuer vouches for. Whether it may be used now, and in this way, is another question.
pub(super) struct Verified {
    pub(super) principal: Arc<Principal>,
    pub(super) validity: Validity,
    pub(super) binding: Binding,
    pub(super) dpop: DpopUse,
    /// The key that signed it.
    signed: Option<(Arc<Jwks>, [u8; 32])>,
    /// Until when the issuer's answer about it is believed, in milliseconds since the Unix epoch.
    until_ms: Option<u64>,
}

/// Why there is no verified token.
pub(super) enum Lack<'a> {
    Refused(&'static str),
    /// Loading keys might help; if it does not, the token is refused for this, or nothing can be said of it.
    Keys(&'a Arc<Jwks>, Option<&'static str>),
    /// The issuer must be asked.
    Answer(&'a Introspection),
    Unavailable,
}

impl From<&'static str> for Lack<'_> {
    fn from(why: &'static str) -> Self {
        Self::Refused(why)
    }
}

pub(super) struct Verifier {
    pub(super) issuers: Vec<Issuer>,
    directory: Directory,
    /// SHA-256 of (resource, token) -> what verification found. The token itself is not kept.
    known: Cache<[u8; 32], Arc<Verified>>,
    /// Stands for this very verifier where connections remember what it found.
    pub(super) mark: Arc<()>,
}

impl Verifier {
    pub(super) fn new(issuers: Vec<Issuer>, directory: Directory) -> Self {
        let known = Cache::builder().max_capacity(TOKEN_CACHE_ENTRIES_MAX).time_to_live(CACHE_TTL).build();
        Self { issuers, directory, known, mark: Arc::default() }
    }

    /// Takes over keys and answers that `old` got from the same places.
    pub(super) fn with_keys_of(&mut self, old: &Self) {
        for issuer in &mut self.issuers {
            let same = |other: &&Issuer| {
                let (a, b) = (&issuer.rules.settings, &other.rules.settings);
                (&a.issuer, &a.jwks, a.allow_private_addresses) == (&b.issuer, &b.jwks, b.allow_private_addresses)
            };
            if let Some(other) = old.issuers.iter().find(same) {
                issuer.jwks = other.jwks.clone();
            }
        }
    }

    /// Completes a new principal with the groups of the directory.
    ///
    /// # Errors
    /// Too many groups, for the log.
    pub(super) fn complete(&self, principal: &mut Principal) -> Result<(), &'static str> {
        if self.directory.is_empty() { Ok(()) } else { self.directory.enrich(principal) }
    }

    /// What is known of `token` as of `now_ms`, in milliseconds since the Unix epoch.
    pub(super) fn look(&self, token: &str, resource: &Resource, now_ms: u64) -> Result<Arc<Verified>, Lack<'_>> {
        let digest = sha256_of(&[resource.url.as_bytes(), token.as_bytes()]);
        if let Some(hit) = self.known.get(&digest) {
            if hit.is_vouched_for(now_ms) {
                return Ok(hit);
            }
            self.known.invalidate(&digest);
        }
        let found = if jwt::looks_like(token) { self.jwt(token, resource, now_ms) } else { self.opaque(token, resource, now_ms) };
        let verified = Arc::new(found?);
        self.known.insert(digest, verified.clone());
        Ok(verified)
    }

    /// The same for a connection, which may have brought the same token a moment ago.
    pub(super) fn look_again(
        &self,
        recall: &Recall,
        token: &str,
        resource: &Resource,
        now_ms: u64,
    ) -> Result<Arc<Verified>, Lack<'_>> {
        if let Some(found) = recall.find(&self.mark, token, resource, now_ms)
            && found.is_vouched_for(now_ms)
        {
            return Ok(found);
        }
        let verified = self.look(token, resource, now_ms)?;
        recall.keep(&self.mark, token, resource, &verified, now_ms);
        Ok(verified)
    }

    fn jwt(&self, token: &str, resource: &Resource, now_ms: u64) -> Result<Verified, Lack<'_>> {
        let unverified = jwt::parse(token)?;
        let named = |issuer: &&Issuer| unverified.issuer() == Some(issuer.rules.settings.issuer.as_str());
        let issuer = self.issuers.iter().find(named).ok_or("an issuer that is not configured")?;
        match (&issuer.rules.settings.jwks, &issuer.introspection) {
            (JwksSource::None, Some(introspection)) => self.looked_up(issuer, introspection, token, resource, now_ms),
            _ => self.signed(unverified, issuer, token, resource, now_ms),
        }
    }

    /// Everything that costs nothing is checked before keys are looked for, so that only plausible tokens cause loads.
    fn signed<'s>(
        &'s self,
        unverified: Unverified<'_>,
        issuer: &'s Issuer,
        token: &str,
        resource: &Resource,
        now_ms: u64,
    ) -> Result<Verified, Lack<'s>> {
        if !issuer.rules.settings.algorithms.contains(&unverified.alg) {
            return Err("an algorithm that the issuer may not use".into());
        }
        let validity = issuer.rules.judge(&unverified.claims, unverified.access_token_type, &resource.url)?;
        validity.check(now_ms / 1_000)?;
        let loaded = issuer.jwks.current().ok_or(Lack::Keys(&issuer.jwks, None))?;
        let candidates = loaded.candidates(unverified.kid.as_deref(), unverified.alg);
        let Some(key) = candidates.iter().find(|key| unverified.is_signed_by(key)) else {
            const WHY: &str = "no key of the issuer made the signature";
            // A known key id with a wrong signature is a forgery; anything else may be a rotation we have not seen.
            let known = unverified.kid.is_some() && !candidates.is_empty();
            return Err(if known { Lack::Refused(WHY) } else { Lack::Keys(&issuer.jwks, Some(WHY)) });
        };
        let signed = Some((issuer.jwks.clone(), key.fingerprint));
        let asked = issuer.introspection.as_ref().zip(issuer.rules.settings.introspection.as_ref());
        let until_ms = match asked.filter(|(_, settings)| settings.jwts_too) {
            Some((introspection, _)) => Some(still_active(introspection, token, &unverified.claims)?),
            None => None,
        };
        Ok(Verified { signed, until_ms, ..self.verified(unverified.claims, issuer, validity)? })
    }

    /// A token that only its issuer can read. Which issuer that is, it does not say: there is one at most.
    fn opaque(&self, token: &str, resource: &Resource, now_ms: u64) -> Result<Verified, Lack<'_>> {
        let able = self.issuers.iter().find_map(|issuer| Some((issuer, issuer.introspection.as_deref()?)));
        let (issuer, introspection) = able.ok_or("not a JWT")?;
        self.looked_up(issuer, introspection, token, resource, now_ms)
    }

    fn looked_up<'s>(
        &'s self,
        issuer: &Issuer,
        introspection: &'s Introspection,
        token: &str,
        resource: &Resource,
        now_ms: u64,
    ) -> Result<Verified, Lack<'s>> {
        let (claims, until_ms) = active(introspection, token)?;
        if is_other_token(&claims) {
            return Err("not an access token".into());
        }
        let validity = issuer.rules.judge(&claims, true, &resource.url)?;
        validity.check(now_ms / 1_000)?;
        Ok(Verified { until_ms: Some(until_ms), ..self.verified(Map::clone(&claims), issuer, validity)? })
    }

    fn verified(&self, claims: Map<String, Value>, issuer: &Issuer, validity: Validity) -> Result<Verified, &'static str> {
        let settings = &issuer.rules.settings;
        let binding = Binding::of(&claims)?;
        let mut principal = claims::principal(claims, settings, Some(validity.ends_s.saturating_sub(settings.clock_skew_s)))?;
        self.complete(&mut principal)?;
        Ok(Verified { principal: Arc::new(principal), validity, binding, dpop: settings.dpop, signed: None, until_ms: None })
    }
}

impl Verified {
    /// Whether the key that signed it is still one of the issuer's, and the issuer's word on it still fresh.
    fn is_vouched_for(&self, now_ms: u64) -> bool {
        self.signed.as_ref().is_none_or(|(jwks, fingerprint)| jwks.holds(fingerprint))
            && self.until_ms.is_none_or(|until_ms| now_ms < until_ms)
    }
}

type Said = (Arc<Map<String, Value>>, u64);

/// What the issuer says of an active token, and until when that is believed.
fn active<'a>(introspection: &'a Introspection, token: &str) -> Result<Said, Lack<'a>> {
    match introspection.known(&sha256(token.as_bytes())) {
        None => Err(Lack::Answer(introspection)),
        Some(Answer::Unavailable) => Err(Lack::Unavailable),
        Some(Answer::Inactive) => Err("the issuer says that the token is not active".into()),
        Some(Answer::Active { claims, until_ms }) => Ok((claims, until_ms)),
    }
}

/// Until when a verified JWT counts as active; its issuer must speak of the same subject.
fn still_active<'a>(introspection: &'a Introspection, token: &str, claims: &Map<String, Value>) -> Result<u64, Lack<'a>> {
    let (said, until_ms) = active(introspection, token)?;
    if ["iss", "sub"].iter().any(|name| said.get(*name).is_some_and(|value| claims.get(*name) != Some(value))) {
        return Err("the issuer speaks of another subject".into());
    }
    Ok(until_ms)
}
