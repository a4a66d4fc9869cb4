//! Revocation (RFC 7009) and introspection (RFC 7662).

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{OAuthError, OAuthErrorKind};
use super::grant::At;
use super::token::succeeded;
use super::{Client, parse};

/// What a server says of a token.
#[derive(Debug, Deserialize)]
pub struct Introspection {
    /// Whether it holds.
    pub active: bool,
    /// Everything else it says.
    #[serde(flatten)]
    pub claims: Map<String, Value>,
}

impl Client {
    /// Revokes a token; `hint` is `access_token` or `refresh_token`. One that the server does not know counts as revoked.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Unsupported`] if the server has no revocation endpoint; [`OAuthError`].
    pub async fn revoke(&self, at: At<'_>, token: &SecretString, hint: &str) -> Result<(), OAuthError> {
        let url = at.server.revocation_endpoint.as_ref();
        let url = url.ok_or_else(|| OAuthError::new(OAuthErrorKind::Unsupported, "the server revokes no tokens"))?;
        let fields = vec![("token", token.expose_secret()), ("token_type_hint", hint)];
        let reply = self.authenticated(at, url, fields).await?;
        succeeded(&reply, url)
    }

    /// Asks whether a token holds.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Unsupported`] if the server has no introspection endpoint; [`OAuthError`].
    pub async fn introspect(&self, at: At<'_>, token: &SecretString) -> Result<Introspection, OAuthError> {
        let url = at.server.introspection_endpoint.as_ref();
        let url = url.ok_or_else(|| OAuthError::new(OAuthErrorKind::Unsupported, "the server looks into no tokens"))?;
        let reply = self.authenticated(at, url, vec![("token", token.expose_secret())]).await?;
        succeeded(&reply, url)?;
        parse(&reply.body, url)
    }
}
