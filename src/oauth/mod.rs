//! The client side of OAuth 2.1: discovery, registration, grants, revocation. It knows no policy and no upstream.
//!
//! Everything an authorization server or a resource says is hostile: bounded, parsed once, compared exactly. A URL that was
//! learnt from outside is dialled only at public addresses, over https, unless the operator wrote its very origin
//! ([`Consent`]). Redirects are never followed. Tokens, codes and verifiers are secrets: no `Debug` or error shows one, and an
//! error holds nothing of a peer's text but a code of the registered shape.

mod challenge;
mod client_auth;
mod consent;
mod error;
mod flow;
mod grant;
mod key;
mod register;
mod resource;
mod revoke;
mod server;
mod token;

pub use challenge::{Challenge, challenges};
pub use client_auth::{ClientAuth, Registration, fresh_id};
pub use consent::Consent;
pub use error::{OAuthError, OAuthErrorKind};
pub use flow::{Code, Flow, PendingFlow};
pub use grant::{At, Exchange, TYPE_ACCESS_TOKEN, TYPE_ID_JAG, TYPE_ID_TOKEN, TYPE_JWT};
pub use key::{KeyError, SigningKey};
pub use register::OwnClient;
pub use resource::{ProtectedResource, canonical};
pub use revoke::Introspection;
pub use server::ServerMetadata;
pub use token::Tokens;

use http::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use url::Url;

use crate::net::{Fetch, Payload, Replied};
use crate::vocab::Clock;

/// Size of a metadata document, or of an answer of an authorization server.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Scopes of one list, and authorization servers of one resource, that are looked at.
pub const LIST_ENTRIES_MAX: usize = 64;
/// Length of a scope.
pub const SCOPE_BYTES_MAX: usize = 256;

/// An OAuth client: a way to fetch, and a clock. Cheap to clone; what it is registered as comes with every request.
#[derive(Clone, Debug)]
pub struct Client {
    fetch: Fetch,
    clock: Clock,
}

impl Client {
    /// A client that fetches with `fetch` and dates its assertions by `clock`.
    pub fn new(fetch: Fetch, clock: Clock) -> Self {
        Self { fetch, clock }
    }

    /// The document at `url`.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Refused`], [`OAuthErrorKind::Unreachable`], [`OAuthErrorKind::Malformed`].
    async fn document<T: DeserializeOwned>(&self, url: &Url, consent: &Consent) -> Result<T, OAuthError> {
        let policy = consent.policy(url)?;
        let got = self.fetch.get(url, policy, ANSWER_BYTES_MAX).await.map_err(|error| OAuthError::fetch(url, &error))?;
        parse(&got.body, url)
    }

    async fn post(
        &self,
        url: &Url,
        consent: &Consent,
        headers: &[(HeaderName, HeaderValue)],
        payload: Payload<'_>,
    ) -> Result<Replied, OAuthError> {
        let policy = consent.policy(url)?;
        let sent = self.fetch.send(url, policy, headers, payload, ANSWER_BYTES_MAX).await;
        sent.map_err(|error| OAuthError::fetch(url, &error))
    }
}

/// One JSON object with the members of `T`; a member of it that stands twice is an error, strangers are ignored.
fn parse<T: DeserializeOwned>(body: &[u8], url: &Url) -> Result<T, OAuthError> {
    serde_json::from_slice(body).map_err(|error| {
        // Of the error only where it is: its text may quote the document, which may hold a secret.
        let place = format!("line {} column {}", error.line(), error.column());
        OAuthError::new(OAuthErrorKind::Malformed, format!("{} is not what it should be ({place})", shown(url)))
    })
}

/// A URL fit for a log: without query and user, where secrets hide.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// Whether `text` is a scope token (RFC 6749 section 3.3) of acceptable length.
pub fn is_scope(text: &str) -> bool {
    let legal = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !text.is_empty() && text.len() <= SCOPE_BYTES_MAX && text.bytes().all(legal)
}

#[cfg(test)]
pub(crate) mod tests;
