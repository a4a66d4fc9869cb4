//! What a token is bound to (RFC 7800): a key that signs requests (RFC 9449), a client certificate (RFC 8705).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::vocab::{PeerCertificate, Principal};

/// The confirmation of one token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Binding {
    /// Thumbprint of a key (RFC 7638).
    pub(super) key: Option<[u8; 32]>,
    /// SHA-256 of a certificate.
    pub(super) certificate: Option<[u8; 32]>,
}

impl Binding {
    /// Reads the claim `cnf`.
    ///
    /// # Errors
    /// A confirmation of which nothing is understood: a token is never taken for less bound than its issuer meant.
    pub(super) fn of(claims: &Map<String, Value>) -> Result<Self, &'static str> {
        const WRONG: &str = "the token is bound in a way that is not understood";
        let Some(confirmation) = claims.get("cnf") else { return Ok(Self::default()) };
        let members = confirmation.as_object().ok_or(WRONG)?;
        let digest = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().and_then(digest_of).map(Some).ok_or(WRONG),
        };
        let binding = Self { key: digest("jkt")?, certificate: digest("x5t#S256")? };
        if binding == Self::default() { Err(WRONG) } else { Ok(binding) }
    }

    /// Whether `principal` came with a token that is bound to a key. Cheap: for challenges.
    pub(super) fn names_key(principal: &Principal) -> bool {
        principal.claims.get("cnf").and_then(|confirmation| confirmation.get("jkt")).is_some()
    }

    /// Checks the certificate of the connection, if the token is bound to one.
    ///
    /// # Errors
    /// Another certificate, or none.
    pub(super) fn check_certificate(&self, shown: Option<&PeerCertificate>) -> Result<(), &'static str> {
        let Some(wanted) = &self.certificate else { return Ok(()) };
        match shown {
            Some(shown) if bool::from(shown.sha256.ct_eq(wanted)) => Ok(()),
            Some(_) => Err("the token is bound to another client certificate"),
            None => Err("the token is bound to a client certificate, and the connection has none"),
        }
    }
}

/// The 32 bytes that base64url `text` stands for.
pub(super) fn digest_of(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
