//! Access tokens as JWT: read strictly, then verified, then judged (RFC 7515, 7519, 8725, 9068).
//!
//! The library only verifies signatures. Its own reading of headers and claims is lenient (a missing `aud` or `iss` passes),
//! so nothing of it is used.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::jwk::{self, KID_BYTES_MAX, Key};
use super::settings::IssuerSettings;
use super::strict_json;

/// Difference of clocks tolerated.
pub(super) const LEEWAY_S: u64 = 30;
/// Length of a subject.
const SUB_BYTES_MAX: usize = 256;
/// Header members that name the key or change what is signed: never obeyed, so their token is refused.
const REFUSED_MEMBERS: [&str; 8] = ["crit", "jwk", "jku", "x5u", "x5c", "b64", "enc", "zip"];

/// A token as it claims to be. Nothing in it is true yet.
pub(super) struct Unverified<'a> {
    pub(super) alg: Algorithm,
    pub(super) kid: Option<String>,
    /// True if the type says access token (RFC 9068), false for a plain JWT.
    access_token_type: bool,
    signed: &'a str,
    signature: &'a str,
    pub(super) claims: Map<String, Value>,
}

/// When a verified token holds, in seconds since the Unix epoch, leeway included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) not_before_s: u64,
    /// The first second at which it no longer holds.
    pub(super) ends_s: u64,
}

impl Validity {
    pub(super) fn check(self, now_s: u64) -> Result<(), &'static str> {
        if now_s >= self.ends_s {
            return Err("the token has expired");
        }
        if now_s < self.not_before_s {
            return Err("the token is not valid yet");
        }
        Ok(())
    }
}

/// Takes a token apart.
///
/// # Errors
/// What is wrong with it, for the log.
pub(super) fn parse(token: &str) -> Result<Unverified<'_>, &'static str> {
    let (signed, signature) = token.rsplit_once('.').ok_or("not a JWT")?;
    let (header, payload) = signed.split_once('.').ok_or("not a JWT")?;
    if payload.contains('.') || signature.is_empty() {
        return Err("not a JWT of three parts");
    }
    let mut header = object(header).ok_or("the header is not one strict JSON object")?;
    if REFUSED_MEMBERS.iter().any(|m| header.contains_key(*m)) {
        return Err("the header holds a member that is not accepted");
    }
    let alg = header.get("alg").and_then(Value::as_str).and_then(jwk::algorithm).ok_or("unknown algorithm")?;
    let access_token_type = match header.get("typ").map(Value::as_str) {
        None => false,
        Some(Some(typ)) if typ.eq_ignore_ascii_case("JWT") => false,
        Some(Some(typ)) if typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt") => true,
        Some(_) => return Err("the type is not that of an access token"),
    };
    let kid = match header.remove("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=KID_BYTES_MAX).contains(&kid.len()) => Some(kid),
        Some(_) => return Err("the key id is not a string of acceptable length"),
    };
    let claims = object(payload).ok_or("the claims are not one strict JSON object")?;
    Ok(Unverified { alg, kid, access_token_type, signed, signature, claims })
}

/// Whether `sub` can be a subject.
pub(super) fn is_subject(sub: &str) -> bool {
    !sub.is_empty() && sub.len() <= SUB_BYTES_MAX && !sub.chars().any(char::is_control)
}

fn object(part: &str) -> Option<Map<String, Value>> {
    strict_json::object(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

impl Unverified<'_> {
    /// The issuer the token claims.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Whether `key` made the signature.
    pub(super) fn is_signed_by(&self, key: &Key) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &key.decoding, self.alg).unwrap_or(false)
    }

    /// Checks everything but signature and time: that this is an access token of `issuer` for one of the audiences.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub(super) fn check(&self, issuer: &IssuerSettings, resource_url: &str) -> Result<Validity, &'static str> {
        if self.issuer() != Some(issuer.issuer.as_str()) {
            return Err("another issuer");
        }
        if !self.access_token_type && self.is_other_token() {
            return Err("not an access token");
        }
        let sub = self.claims.get("sub").and_then(Value::as_str).ok_or("no subject")?;
        if !is_subject(sub) {
            return Err("the subject is empty, too long, or holds control characters");
        }
        let expected = |aud: &str| {
            if issuer.audience.is_empty() { aud == resource_url } else { issuer.audience.iter().any(|a| a == aud) }
        };
        let meant_for_us = match self.claims.get("aud") {
            Some(Value::String(aud)) => expected(aud),
            Some(Value::Array(all)) if all.iter().all(Value::is_string) => all.iter().filter_map(Value::as_str).any(expected),
            Some(_) => return Err("the audience is not a string or an array of strings"),
            None => return Err("no audience"),
        };
        if !meant_for_us {
            return Err("another audience");
        }
        let expires_s = self.time("exp")?.ok_or("no expiry")?;
        let not_before_s = self.time("nbf")?.unwrap_or(0).saturating_sub(LEEWAY_S);
        self.time("iat")?;
        Ok(Validity { not_before_s, ends_s: expires_s.saturating_add(LEEWAY_S) })
    }

    /// Marks of id, refresh and logout tokens, which some issuers sign with the same key and type.
    fn is_other_token(&self) -> bool {
        let says = |name: &str, words: &[&str]| {
            self.claims.get(name).and_then(Value::as_str).is_some_and(|v| words.iter().any(|w| v.eq_ignore_ascii_case(w)))
        };
        ["at_hash", "c_hash", "events"].iter().any(|c| self.claims.contains_key(*c))
            || says("token_use", &["id", "refresh"])
            || says("typ", &["ID", "Refresh", "Offline", "Logout"])
    }

    /// A NumericDate (RFC 7519 section 2) in whole seconds.
    pub(super) fn time(&self, claim: &str) -> Result<Option<u64>, &'static str> {
        let Some(value) = self.claims.get(claim) else { return Ok(None) };
        if let Some(seconds) = value.as_u64() {
            return Ok(Some(seconds));
        }
        /// Beyond this a double no longer tells seconds apart.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        match value.as_f64() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
            Some(seconds) if (0.0..EXACT_MAX).contains(&seconds) => Ok(Some(seconds as u64)),
            _ => Err("a time is not a number of seconds"),
        }
    }
}
