//! Access tokens as JWT: read strictly, then verified, then judged (RFC 7515, 7519, 8725, 9068).
//!
//! The library only verifies signatures. Its own reading of headers and claims is lenient (a missing `aud` or `iss` passes),
//! so nothing of it is used.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::jwk::{self, KID_BYTES_MAX, Key};
use super::strict_json;

/// Header members that name the key or change what is signed: never obeyed, so their token is refused.
const REFUSED_MEMBERS: [&str; 8] = ["crit", "jwk", "jku", "x5u", "x5c", "b64", "enc", "zip"];

/// A token as it claims to be. Nothing in it is true yet.
pub(super) struct Unverified<'a> {
    pub(super) alg: Algorithm,
    pub(super) kid: Option<String>,
    /// True if the type says access token (RFC 9068), false for a plain JWT.
    pub(super) access_token_type: bool,
    signed: &'a str,
    signature: &'a str,
    pub(super) claims: Map<String, Value>,
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

/// Whether `token` has the form of a JWT: three parts, of which the first is an encoded object, or begins like one.
pub(super) fn looks_like(token: &str) -> bool {
    let Some((header, rest)) = token.split_once('.') else { return false };
    let begins = header.starts_with("ey") || header.starts_with("ew");
    rest.bytes().filter(|b| *b == b'.').count() == 1 && (begins || object(header).is_some())
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
        key.made(self.signature, self.signed.as_bytes(), self.alg)
    }
}
