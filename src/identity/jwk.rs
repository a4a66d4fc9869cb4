//! One JWKS document (RFC 7517) into the keys we are willing to verify with.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::crypto::{sha256, sha256_of};
use super::strict_json;
use crate::vocab::limits::{JWKS_BYTES_MAX, JWKS_KEYS_MAX};

/// Length of a key id, in a document or a token.
pub(super) const KID_BYTES_MAX: usize = 256;
/// RSA moduli accepted, in bits (RFC 7518 section 3.3; the upper end bounds the work per signature).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// RSA public exponents accepted, in bytes.
const RSA_EXPONENT_BYTES_MAX: usize = 8;

/// One public key.
pub(super) struct Key {
    pub(super) kid: Option<Box<str>>,
    /// The only algorithm the document allows for it, if it says so.
    alg: Option<Algorithm>,
    shape: Shape,
    verifier: Verifier,
    /// Tells whether a later document still holds the same key under the same terms.
    pub(super) fingerprint: [u8; 32],
}

/// The key, ready to verify: a key on a curve is read once, not with every signature.
enum Verifier {
    Curve(ParsedPublicKey),
    Rsa(DecodingKey),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Key {
    /// Whether signatures of `alg` can be verified with this key.
    pub(super) fn fits(&self, alg: Algorithm) -> bool {
        self.alg.is_none_or(|only| only == alg) && self.shape.fits(alg)
    }

    /// Whether this key made `signature` (base64url) over `message` by `alg`; never for an `alg` that does not fit.
    pub(super) fn made(&self, signature: &str, message: &[u8], alg: Algorithm) -> bool {
        match &self.verifier {
            _ if !self.fits(alg) => false,
            Verifier::Curve(key) => {
                URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| key.verify_sig(message, &signature).is_ok())
            }
            Verifier::Rsa(key) => jsonwebtoken::crypto::verify(signature, message, key, alg).unwrap_or(false),
        }
    }
}

impl Shape {
    fn fits(self, alg: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa => matches!(alg, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Self::P256 => alg == ES256,
            Self::P384 => alg == ES384,
            Self::Ed25519 => alg == EdDSA,
        }
    }
}

/// The keys of one document, and the digest of its bytes.
pub(super) struct KeyList {
    pub(super) keys: Vec<Arc<Key>>,
    pub(super) digest: [u8; 32],
}

/// Reads a document. Keys that are symmetric, private, weak, malformed, or meant for something else are left out.
///
/// # Errors
/// Not one JSON object with a bounded `keys` array, or no usable key in it: such a document never replaces a good one.
pub(super) fn parse(document: &[u8]) -> Result<KeyList, &'static str> {
    if document.len() > JWKS_BYTES_MAX {
        return Err("the document is too large");
    }
    let members = strict_json::object(document).ok_or("not a JSON object, or a member is named twice")?;
    let entries = members.get("keys").and_then(Value::as_array).ok_or("no array of keys")?;
    if entries.len() > JWKS_KEYS_MAX {
        return Err("too many keys");
    }
    let keys: Vec<_> = entries.iter().filter_map(Value::as_object).filter_map(key).map(Arc::new).collect();
    if keys.is_empty() {
        return Err("no usable public key");
    }
    Ok(KeyList { keys, digest: sha256(document) })
}

/// A key that came with what it signed. Stricter than a published one: not one private member.
pub(super) fn public(jwk: &Map<String, Value>) -> Option<Key> {
    const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if PRIVATE.iter().any(|member| jwk.contains_key(*member)) { None } else { key(jwk) }
}

/// SHA-256 over the members that make the key, in the one form of RFC 7638 section 3.
pub(super) fn thumbprint(jwk: &Map<String, Value>) -> Option<[u8; 32]> {
    let names: &[&str] = match text(jwk, "kty")?? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let mut members = Vec::with_capacity(names.len());
    for name in names {
        members.push(format!("{}:{}", Value::from(*name), Value::from(text(jwk, name)??)));
    }
    Some(sha256(format!("{{{}}}", members.join(",")).as_bytes()))
}

fn key(jwk: &Map<String, Value>) -> Option<Key> {
    let for_signatures = text(jwk, "use")?.is_none_or(|u| u == "sig")
        && jwk.get("key_ops").is_none_or(|ops| ops.as_array().is_some_and(|o| o.iter().any(|op| op == "verify")));
    // A private key in a published document is everybody's key.
    if !for_signatures || jwk.contains_key("d") || jwk.contains_key("k") {
        return None;
    }
    let kid = text(jwk, "kid")?;
    if kid.is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
        return None;
    }
    let (shape, verifier, material) = match text(jwk, "kty")?? {
        "RSA" => rsa(jwk)?,
        "EC" => ec(jwk)?,
        "OKP" => ed25519(jwk)?,
        _ => return None,
    };
    let alg = match text(jwk, "alg")? {
        None => None,
        Some(name) => Some(algorithm(name).filter(|alg| shape.fits(*alg))?),
    };
    let name = alg.map_or(String::new(), |a| format!("{a:?}"));
    let fingerprint = sha256_of(&[&material, name.as_bytes(), kid.unwrap_or_default().as_bytes()]);
    Some(Key { kid: kid.map(Box::from), alg, shape, verifier, fingerprint })
}

/// The algorithm of a JOSE name, RFC 9864's fully specified `Ed25519` included.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    if name == "Ed25519" { Some(Algorithm::EdDSA) } else { name.parse().ok() }
}

/// A string member: `Some(None)` if absent, `None` if it is not a string.
fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<Option<&'a str>> {
    match jwk.get(name) {
        None => Some(None),
        Some(value) => value.as_str().map(Some),
    }
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)??).ok()
}

fn rsa(jwk: &Map<String, Value>) -> Option<(Shape, Verifier, Vec<u8>)> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let n: Vec<u8> = n.into_iter().skip_while(|b| *b == 0).collect();
    let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
    let exponent_fits = e.len() <= RSA_EXPONENT_BYTES_MAX && e.last().is_some_and(|b| b % 2 == 1) && e != [1];
    if !RSA_BITS.contains(&bits) || !exponent_fits {
        return None;
    }
    let decoding = DecodingKey::from_rsa_raw_components(&n, &e);
    Some((Shape::Rsa, Verifier::Rsa(decoding), [b"RSA", &n[..], b"/", &e].concat()))
}

fn ec(jwk: &Map<String, Value>) -> Option<(Shape, Verifier, Vec<u8>)> {
    let (shape, size) = match text(jwk, "crv")?? {
        "P-256" => (Shape::P256, 32),
        "P-384" => (Shape::P384, 48),
        _ => return None,
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != size || y.len() != size {
        return None;
    }
    // The uncompressed point of SEC 1; one that is not on the curve is no key.
    let point = [&[4], &x[..], &y].concat();
    let key = match shape {
        Shape::P256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point),
        _ => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &point),
    };
    Some((shape, Verifier::Curve(key.ok()?), point))
}

fn ed25519(jwk: &Map<String, Value>) -> Option<(Shape, Verifier, Vec<u8>)> {
    let x = bytes(jwk, "x")?;
    if text(jwk, "crv")?? != "Ed25519" || x.len() != 32 {
        return None;
    }
    Some((Shape::Ed25519, Verifier::Curve(ParsedPublicKey::new(&ED25519, &x).ok()?), x))
}
