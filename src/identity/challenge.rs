//! Refusals of identity, and the status and challenge each is answered with.

use http::{HeaderValue, StatusCode};

/// What a request asks for, as far as identity is concerned: one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The URL clients use for the route; the expected audience (RFC 8707).
    pub url: String,
    /// Where the route's metadata is served (RFC 9728).
    pub metadata_url: String,
    /// Scopes that any request to the route needs.
    pub scopes: Vec<String>,
}

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
    /// A valid credential without these scopes.
    InsufficientScope {
        /// Scopes the operation needs.
        scopes: Vec<String>,
    },
    /// The issuer's keys are not known, so nothing can be said about the credential.
    Unavailable,
}

impl Refusal {
    /// The status, and the `WWW-Authenticate` challenge where the status has one (RFC 6750 section 3, RFC 9728 section 5.1).
    ///
    /// The challenge names all scopes of the route at once, and those of the refusal, so that one new token suffices.
    pub fn response_parts(&self, resource: &Resource) -> (StatusCode, Option<HeaderValue>) {
        let (status, error) = match self {
            Self::Missing => (StatusCode::UNAUTHORIZED, None),
            Self::Malformed => (StatusCode::BAD_REQUEST, Some("invalid_request")),
            Self::Invalid { .. } => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            Self::InsufficientScope { .. } => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            Self::Unavailable => return (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        let mut scopes: Vec<&str> = resource.scopes.iter().map(String::as_str).collect();
        if let Self::InsufficientScope { scopes: more } = self {
            for scope in more {
                if !scopes.contains(&scope.as_str()) {
                    scopes.push(scope);
                }
            }
        }
        (status, Some(challenge(error, &resource.metadata_url, &scopes)))
    }

    /// One word for logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Invalid { .. } => "invalid",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::Unavailable => "unavailable",
        }
    }
}

fn challenge(error: Option<&str>, metadata_url: &str, scopes: &[&str]) -> HeaderValue {
    let mut text = String::from("Bearer ");
    if let Some(error) = error {
        text.push_str("error=\"");
        text.push_str(error);
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
