//! Signed statements that are no access tokens: ID tokens, client assertions, grants of an identity provider.
//!
//! Read as strictly as access tokens and verified with the same keys; what they must say is for whoever asked for them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::issuer_settings::{IssuerSettings, JwksSource};
use super::jwk::{self, KID_BYTES_MAX};
use super::jwks::Jwks;
use super::strict_json;
use crate::net::Fetch;
use crate::vocab::Clock;
use crate::vocab::limits::TOKEN_BYTES_MAX;

/// Header members that name the key or change what is signed: never obeyed.
const REFUSED_MEMBERS: [&str; 8] = ["crit", "jwk", "jku", "x5u", "x5c", "b64", "enc", "zip"];

/// Why a statement does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// What is wrong with it, for the log.
    #[error("{0}")]
    Refused(&'static str),
    /// No keys are known, so nothing can be said of it now.
    #[error("no keys are to be had")]
    NoKeys,
}

impl From<&'static str> for StatementError {
    fn from(why: &'static str) -> Self {
        Self::Refused(why)
    }
}

/// The keys of somebody who makes statements.
pub struct StatementKeys {
    jwks: Arc<Jwks>,
    algorithms: Vec<Algorithm>,
    /// Whose they are, where they come from, and whether that may be a private address.
    place: (String, JwksSource, bool),
}

impl StatementKeys {
    /// The keys of an issuer, fetched and kept fresh as for access tokens.
    ///
    /// # Errors
    /// What is wrong with a file or a built-in document.
    pub fn of_issuer(settings: &IssuerSettings, clock: Clock, fetch: Fetch) -> Result<Self, String> {
        let place = (settings.issuer.clone(), settings.jwks.clone(), settings.allow_private_addresses);
        Ok(Self { jwks: Arc::new(Jwks::new(settings, clock, fetch)?), algorithms: settings.algorithms.clone(), place })
    }

    /// The keys of the document (RFC 7517) `jwks`, which never change.
    ///
    /// # Errors
    /// What is wrong with the document.
    pub fn of_document(jwks: Bytes, clock: Clock, fetch: Fetch) -> Result<Self, String> {
        Self::of_issuer(&IssuerSettings::new(String::new(), JwksSource::Static(jwks)), clock, fetch)
    }

    /// Takes over the keys that `old` got, if they are from the same place.
    pub fn with_keys_of(&mut self, old: &Self) {
        if self.place == old.place {
            self.jwks = old.jwks.clone();
        }
    }

    /// The claims of `statement`, if one of the keys signed it and its type is one of `types` (compared without case; the empty
    /// text stands for no type).
    ///
    /// # Errors
    /// [`StatementError`].
    pub async fn claims(&self, statement: &str, types: &[&str]) -> Result<Map<String, Value>, StatementError> {
        let read = Read::of(statement)?;
        let typ = read.typ.as_deref().unwrap_or_default();
        if !types.iter().any(|t| t.eq_ignore_ascii_case(typ)) {
            return Err("the type is another".into());
        }
        if !self.algorithms.contains(&read.alg) {
            return Err("an algorithm that may not be used".into());
        }
        self.jwks.refresh_due().await;
        if !self.signed(&read) {
            self.jwks.demand().await;
            if self.jwks.current().is_none() {
                return Err(StatementError::NoKeys);
            }
            if !self.signed(&read) {
                return Err("none of the keys made the signature".into());
            }
        }
        Ok(read.claims)
    }

    fn signed(&self, read: &Read<'_>) -> bool {
        let Some(loaded) = self.jwks.current() else { return false };
        let candidates = loaded.candidates(read.kid.as_deref(), read.alg);
        candidates.iter().any(|key| key.made(read.signature, read.signed.as_bytes(), read.alg))
    }
}

struct Read<'a> {
    alg: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    signed: &'a str,
    signature: &'a str,
    claims: Map<String, Value>,
}

impl<'a> Read<'a> {
    fn of(statement: &'a str) -> Result<Self, &'static str> {
        if statement.len() > TOKEN_BYTES_MAX {
            return Err("too long");
        }
        let (signed, signature) = statement.rsplit_once('.').ok_or("not a JWT")?;
        let (header, payload) = signed.split_once('.').ok_or("not a JWT")?;
        if payload.contains('.') || signature.is_empty() {
            return Err("not a JWT of three parts");
        }
        let header = object(header).ok_or("the header is not one strict JSON object")?;
        if REFUSED_MEMBERS.iter().any(|m| header.contains_key(*m)) {
            return Err("the header holds a member that is not accepted");
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if (1..=KID_BYTES_MAX).contains(&text.len()) => Ok(Some(text.clone())),
            Some(_) => Err("a member of the header is not a string of acceptable length"),
        };
        let alg = text("alg")?.as_deref().and_then(jwk::algorithm).ok_or("unknown algorithm")?;
        let (kid, typ) = (text("kid")?, text("typ")?);
        let claims = object(payload).ok_or("the claims are not one strict JSON object")?;
        Ok(Self { alg, kid, typ, signed, signature, claims })
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    strict_json::object(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

/// What `statement` claims, unverified: only to find out whose keys are to be asked.
pub fn unverified_claims(statement: &str) -> Option<Map<String, Value>> {
    Read::of(statement).ok().map(|read| read.claims)
}

/// A claim that is a NumericDate in whole seconds.
pub fn seconds(claims: &Map<String, Value>, name: &str) -> Option<u64> {
    let value = claims.get(name)?;
    value.as_u64().or_else(|| {
        // Beyond this a double no longer tells seconds apart.
        let seconds = value.as_f64().filter(|s| (0.0..9_007_199_254_740_992.0).contains(s))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        Some(seconds as u64)
    })
}

/// The object that `bytes` are, read so that no two readings are possible.
pub fn strict_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    strict_json::object(bytes)
}
