//! Refusals of identity, and the status and challenge each is answered with.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use super::binding::Binding;
use super::dpop::ALGORITHMS;
use crate::vocab::{Principal, Proof, Resource};

/// Why a request has no principal, or its principal may not use the route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No credential, and one is needed.
    Missing,
    /// The `Authorization` header is not one well-formed credential.
    Malformed,
    /// A credential that does not hold.
    Invalid {
        /// What is wrong with it, for the operator's log only: it would help an attacker, and a client cannot act on it.
        private: &'static str,
    },
    /// A credential that does not hold because of the key it is bound to, or for want of such a key (RFC 9449).
    Proof {
        /// What the client is told.
        error: ProofError,
        /// What is wrong, for the operator's log only.
        private: &'static str,
        /// What the next proof must hold, for the header `DPoP-Nonce`.
        nonce: Option<String>,
    },
    /// A valid credential without these scopes.
    InsufficientScope {
        /// Scopes the operation needs.
        scopes: Vec<String>,
        /// Who was verified, for the record; absent where whoever refuses knows already.
        holder: Option<Holder>,
    },
    /// The issuer's keys, or its answer, are not to be had, so nothing can be said about the credential.
    Unavailable,
}

/// Whose credential it is. Two are the same if issuer and subject are.
#[derive(Clone, Debug)]
pub struct Holder(pub Arc<Principal>);

impl PartialEq for Holder {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for Holder {}

/// Errors of RFC 9449 sections 7.1 and 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// `invalid_dpop_proof`: the proof is missing or does not hold.
    Invalid,
    /// `use_dpop_nonce`: the proof needs the nonce that comes with the refusal.
    UseNonce,
    /// `invalid_token`: the token itself.
    Token,
}

impl ProofError {
    fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid_dpop_proof",
            Self::UseNonce => "use_dpop_nonce",
            Self::Token => "invalid_token",
        }
    }
}

impl Refusal {
    /// The status, and the `WWW-Authenticate` challenge where the status has one (RFC 6750 section 3, RFC 9728 section 5.1,
    /// RFC 9449 section 7.1).
    ///
    /// The challenge names all scopes of the route at once, and those of the refusal, so that one new token suffices.
    pub fn response_parts(&self, resource: &Resource) -> (StatusCode, Option<HeaderValue>) {
        let bound = resource.proof == Proof::Dpop || matches!(self, Self::Proof { .. });
        self.parts(resource, bound)
    }

    /// As [`Self::response_parts`], for a principal that is known: one whose token is bound to a key is challenged for such a
    /// token.
    pub fn response_parts_for(&self, resource: &Resource, principal: &Principal) -> (StatusCode, Option<HeaderValue>) {
        self.parts(resource, resource.proof == Proof::Dpop || Binding::names_key(principal))
    }

    fn parts(&self, resource: &Resource, bound: bool) -> (StatusCode, Option<HeaderValue>) {
        let (status, error) = match self {
            Self::Missing => (StatusCode::UNAUTHORIZED, None),
            Self::Malformed => (StatusCode::BAD_REQUEST, Some("invalid_request")),
            Self::Invalid { .. } => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            Self::Proof { error, .. } => (StatusCode::UNAUTHORIZED, Some(error.as_str())),
            Self::InsufficientScope { .. } => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            Self::Unavailable => return (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        let mut scopes: Vec<&str> = resource.scopes.iter().map(String::as_str).collect();
        if let Self::InsufficientScope { scopes: more, .. } = self {
            for scope in more {
                if !scopes.contains(&scope.as_str()) {
                    scopes.push(scope);
                }
            }
        }
        (status, Some(challenge(bound, error, &resource.metadata_url, &scopes)))
    }

    /// The header `DPoP-Nonce` that goes with the answer, if one does.
    pub fn nonce(&self) -> Option<HeaderValue> {
        match self {
            Self::Proof { nonce: Some(nonce), .. } => HeaderValue::try_from(nonce).ok(),
            _ => None,
        }
    }

    /// One word for logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Invalid { .. } | Self::Proof { error: ProofError::Token, .. } => "invalid",
            Self::Proof { .. } => "proof",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::Unavailable => "unavailable",
        }
    }
}

fn challenge(bound: bool, error: Option<&str>, metadata_url: &str, scopes: &[&str]) -> HeaderValue {
    let mut text = String::from(if bound { "DPoP " } else { "Bearer " });
    if let Some(error) = error {
        text.push_str("error=\"");
        text.push_str(error);
        text.push_str("\", ");
    }
    if bound {
        let names: Vec<String> = ALGORITHMS.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        text.push_str("algs=\"");
        text.push_str(&names.join(" "));
        text.push_str("\", ");
    }
    text.push_str("resource_metadata=\"");
    push_quoted(&mut text, metadata_url);
    text.push('"');
    let scopes: Vec<&str> = scopes.iter().copied().filter(|s| is_scope(s)).collect();
    if !scopes.is_empty() {
        text.push_str(", scope=\"");
        text.push_str(&scopes.join(" "));
        text.push('"');
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// `scope-token` of RFC 6749 section 3.3.
pub(super) fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

fn push_quoted(text: &mut String, value: &str) {
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
}
