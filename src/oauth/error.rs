//! Why something did not come about.

use http::StatusCode;
use url::Url;

use super::shown;
use crate::net::{DialError, FetchError};

/// What went wrong, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuthErrorKind {
    /// A URL that may not be contacted: not https, or it leads to an address nobody consented to.
    Refused,
    /// No answer, or one that is no answer to this.
    Unreachable,
    /// An answer that breaks the specification.
    Malformed,
    /// Issuer, resource, `state` or `iss` are not the expected ones: a mix-up, by mistake or on purpose.
    Mismatch,
    /// The server cannot do what is needed, such as PKCE with S256.
    Unsupported,
    /// `invalid_grant`: the code, refresh token or assertion is of no use any more.
    InvalidGrant,
    /// `invalid_client` or `unauthorized_client`: the registration is wrong.
    InvalidClient,
    /// We are no longer the client that something was made for.
    Unregistered,
    /// `invalid_scope`.
    InvalidScope,
    /// `access_denied`, by a person.
    AccessDenied,
    /// Any other refusal.
    Denied,
    /// Our own failure.
    Internal,
}

/// A failure. The text is for the operator's log: it holds no secret, and of a peer's text at most a registered error code.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct OAuthError {
    /// What.
    pub kind: OAuthErrorKind,
    /// Private text.
    pub detail: String,
}

impl OAuthError {
    pub(super) fn new(kind: OAuthErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(OAuthErrorKind::Malformed, detail)
    }

    pub(super) fn mismatch(detail: impl Into<String>) -> Self {
        Self::new(OAuthErrorKind::Mismatch, detail)
    }

    pub(super) fn fetch(url: &Url, error: &FetchError) -> Self {
        let kind = match error {
            FetchError::Scheme | FetchError::Dial(DialError::Refused) => OAuthErrorKind::Refused,
            _ => OAuthErrorKind::Unreachable,
        };
        Self::new(kind, format!("{}: {error}", shown(url)))
    }

    /// From the `error` of an answer (RFC 6749 section 5.2; RFC 8693 section 2.2.2). Anything that is no registered shape of
    /// code is not repeated.
    pub(super) fn answered(url: &Url, status: StatusCode, code: Option<&str>) -> Self {
        let code = code.filter(|code| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        let kind = match code {
            // The other words are those of GitHub.
            Some("invalid_grant" | "bad_refresh_token" | "bad_verification_code") => OAuthErrorKind::InvalidGrant,
            Some("invalid_client" | "unauthorized_client" | "incorrect_client_credentials") => OAuthErrorKind::InvalidClient,
            Some("invalid_scope") => OAuthErrorKind::InvalidScope,
            Some("access_denied") => OAuthErrorKind::AccessDenied,
            Some("temporarily_unavailable" | "server_error") => OAuthErrorKind::Unreachable,
            Some(_) => OAuthErrorKind::Denied,
            None if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => OAuthErrorKind::Unreachable,
            None if status == StatusCode::UNAUTHORIZED => OAuthErrorKind::InvalidClient,
            None => OAuthErrorKind::Denied,
        };
        Self::new(kind, format!("{} answered {}: {}", shown(url), status.as_u16(), code.unwrap_or("no error code")))
    }
}
