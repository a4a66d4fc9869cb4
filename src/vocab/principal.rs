//! The authenticated party of a request.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::limits::ACTORS_MAX;

/// Who is asking, from verified claims only. Built once per credential and shared.
#[derive(Clone)]
pub struct Principal {
    /// The issuer that vouches for `sub`: the token's `iss`, `portcullis:keys` for API keys,
    /// `portcullis:mtls` for client certificates, `portcullis:anonymous` for nobody.
    pub iss: Arc<str>,
    /// The subject, unique within the issuer. `key:NAME` for API keys, `anonymous` for nobody.
    pub sub: Arc<str>,
    /// The OAuth client that acts for the subject, where the token names one.
    pub client_id: Option<Arc<str>>,
    /// Granted OAuth scopes.
    pub scopes: Vec<Box<str>>,
    /// Verified claims under our names (`groups`, `tenant`, and every claim of the token under its own name).
    pub claims: Map<String, Value>,
    /// When the credential ends, in seconds since the Unix epoch.
    pub expires_at_s: Option<u64>,
    /// The public part of the API key, where one was used.
    pub key_id: Option<Arc<str>>,
    /// True for the principal of requests without any credential.
    pub anonymous: bool,
}

/// Identity of a person across tokens: (issuer, subject). A refreshed token keeps it; it never holds token bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrincipalKey {
    /// Issuer.
    pub iss: Arc<str>,
    /// Subject.
    pub sub: Arc<str>,
}

/// Issuer of principals that came without a credential.
pub const ANONYMOUS_ISSUER: &str = "portcullis:anonymous";
/// The issuer of development tokens: the same whatever the address, so that tokens outlive a change of port. It resolves
/// nowhere (RFC 6761 section 6.4); the keys are known without being fetched.
pub const DEV_ISSUER: &str = "https://dev.portcullis.invalid";
/// Issuer of principals that came with an API key.
pub const KEY_ISSUER: &str = "portcullis:keys";
/// Issuer of principals that came with a client certificate and nothing else.
pub const CERTIFICATE_ISSUER: &str = "portcullis:mtls";

impl Principal {
    /// The principal of requests that carry no credential, where the operator allows them.
    pub fn anonymous() -> Self {
        Self {
            iss: Arc::from(ANONYMOUS_ISSUER),
            sub: Arc::from("anonymous"),
            client_id: None,
            scopes: Vec::new(),
            claims: Map::new(),
            expires_at_s: None,
            key_id: None,
            anonymous: true,
        }
    }

    /// The identity that sessions, limits and approvals are bound to.
    pub fn key(&self) -> PrincipalKey {
        PrincipalKey { iss: self.iss.clone(), sub: self.sub.clone() }
    }

    /// True if `scope` was granted.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|s| &**s == scope)
    }

    /// Who acts for the subject (RFC 8693 section 4.1): issuer, where one is named, and subject, the one that acts now first.
    pub fn actors(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        let mut next = self.claims.get("act");
        std::iter::from_fn(move || {
            let actor = next?.as_object()?;
            next = actor.get("act");
            let text = |name: &str| actor.get(name).and_then(Value::as_str);
            Some((text("iss"), text("sub")?))
        })
        .take(ACTORS_MAX)
    }

    /// The strings held by claim `name`: a string, or every string of an array; empty for anything else.
    pub fn claim_strings<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let (one, many) = match self.claims.get(name) {
            Some(Value::String(s)) => (Some(s.as_str()), None),
            Some(Value::Array(items)) => (None, Some(items.iter().filter_map(Value::as_str))),
            _ => (None, None),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

/// Claims may hold personal data, so only the identity is printed.
impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").field("iss", &self.iss).field("sub", &self.sub).finish_non_exhaustive()
    }
}
