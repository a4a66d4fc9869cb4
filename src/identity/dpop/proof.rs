//! One proof: read strictly, then checked (RFC 9449 sections 4.2 and 4.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use url::Url;

use super::super::binding::digest_of;
use super::super::crypto::sha256;
use super::super::judge::time;
use super::super::jwk::{self, Key};
use super::super::strict_json;

/// Algorithms a proof may use.
pub(in super::super) const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::ES256, Algorithm::EdDSA, Algorithm::ES384, Algorithm::PS256, Algorithm::RS256];
/// Size of a proof.
const PROOF_BYTES_MAX: usize = 8 * 1024;
/// Length of the id of a proof.
const ID_BYTES_MAX: usize = 256;
/// Members of a proof's header; any other would change what the signature means.
const MEMBERS: [&str; 4] = ["typ", "alg", "jwk", "kid"];

/// A proof as it claims to be; its signature is checked last.
pub(super) struct Proof<'a> {
    alg: Algorithm,
    key: Key,
    /// Thumbprint of the key it came with.
    pub(super) thumbprint: [u8; 32],
    claims: Map<String, Value>,
    /// `jti`.
    pub(super) id: String,
    /// `iat`.
    pub(super) issued_s: u64,
    /// `nonce`.
    pub(super) nonce: Option<String>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Proof<'a> {
    /// # Errors
    /// What is wrong with it, for the log.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.len() > PROOF_BYTES_MAX {
            return Err("the proof is too large");
        }
        let (signed, signature) = text.rsplit_once('.').ok_or("the proof is not a JWT")?;
        let (header, payload) = signed.split_once('.').ok_or("the proof is not a JWT")?;
        if payload.contains('.') {
            return Err("the proof is not a JWT of three parts");
        }
        let header = object(header).ok_or("the header of the proof is not one strict JSON object")?;
        if header.get("typ").and_then(Value::as_str) != Some("dpop+jwt") {
            return Err("the type of the proof is not dpop+jwt");
        }
        if !header.keys().all(|member| MEMBERS.contains(&member.as_str())) {
            return Err("the header of the proof holds a member that is not accepted");
        }
        let alg = header.get("alg").and_then(Value::as_str).and_then(jwk::algorithm);
        let alg = alg.filter(|alg| ALGORITHMS.contains(alg)).ok_or("the algorithm of the proof is not accepted")?;
        let public = header.get("jwk").and_then(Value::as_object).ok_or("the proof has no key")?;
        let key = jwk::public(public).filter(|key| key.fits(alg)).ok_or("the key of the proof is not a public key that fits")?;
        let thumbprint = jwk::thumbprint(public).ok_or("the key of the proof has no thumbprint")?;
        let claims = object(payload).ok_or("the claims of the proof are not one strict JSON object")?;
        let id = match claims.get("jti").and_then(Value::as_str) {
            Some(id) if (1..=ID_BYTES_MAX).contains(&id.len()) => id.to_owned(),
            _ => return Err("the proof has no id of acceptable length"),
        };
        let issued_s = time(&claims, "iat").map_err(|_| "the time of the proof is not one")?.ok_or("the proof has no time")?;
        let nonce = match claims.get("nonce") {
            None => None,
            Some(nonce) => Some(nonce.as_str().ok_or("the nonce of the proof is not a text")?.to_owned()),
        };
        Ok(Self { alg, key, thumbprint, claims, id, issued_s, nonce, signed, signature })
    }

    /// Checks that the proof is for this method, this URL and this token.
    ///
    /// # Errors
    /// What it is not for.
    pub(super) fn check_for(&self, method: &Method, url: &str, token: &str) -> Result<(), &'static str> {
        let text = |name: &str| self.claims.get(name).and_then(Value::as_str);
        if text("htm") != Some(method.as_str()) {
            return Err("the proof is for another method");
        }
        if !text("htu").is_some_and(|htu| same_url(htu, url)) {
            return Err("the proof is for another URL");
        }
        let wanted = sha256(token.as_bytes());
        let given = text("ath").and_then(digest_of).ok_or("the proof names no token")?;
        if bool::from(given.ct_eq(&wanted)) { Ok(()) } else { Err("the proof is for another token") }
    }

    pub(super) fn is_signed(&self) -> bool {
        self.key.made(self.signature, self.signed.as_bytes(), self.alg)
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    strict_json::object(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

/// The same URL but for query and fragment, both normalised (RFC 3986 section 6.2, RFC 9449 section 4.3).
fn same_url(given: &str, ours: &str) -> bool {
    if given == ours {
        return true;
    }
    let bare = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        (url.username().is_empty() && url.password().is_none()).then_some(url)
    };
    matches!((bare(given), bare(ours)), (Some(given), Some(ours)) if given == ours)
}
