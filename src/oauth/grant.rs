//! Requests for tokens. Every one names the resource it is for (RFC 8707), unless the operator says that the server refuses that,
//! and goes out once.

use secrecy::{ExposeSecret as _, SecretString};

use super::client_auth::Registration;
use super::consent::Consent;
use super::error::OAuthError;
use super::flow::Code;
use super::server::ServerMetadata;
use super::token::{self, Tokens};
use super::{Client, OAuthErrorKind};
use crate::net::Payload;

/// RFC 8693 section 3.
pub const TYPE_ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// RFC 8693 section 3.
pub const TYPE_ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// RFC 8693 section 3.
pub const TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Identity assertion authorization grant.
pub const TYPE_ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

const GRANT_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const GRANT_JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Where a request goes, as which client, and at which addresses that may be.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The server.
    pub server: &'a ServerMetadata,
    /// The gateway there.
    pub registration: &'a Registration,
    /// What the operator wrote.
    pub consent: &'a Consent,
}

/// A token exchange (RFC 8693 section 2.1).
pub struct Exchange<'a> {
    /// On whose behalf.
    pub subject_token: &'a SecretString,
    /// What kind of token that is.
    pub subject_token_type: &'a str,
    /// Who acts, as a JWT.
    pub actor_token: Option<&'a SecretString>,
    /// The logical name of where the result will be used.
    pub audience: Option<&'a str>,
    /// What is wanted; an access token if nothing is said.
    pub requested_token_type: Option<&'a str>,
    /// Scopes asked for.
    pub scopes: &'a [String],
    /// The resource.
    pub resource: &'a str,
}

type Fields<'a> = Vec<(&'a str, &'a str)>;

impl Client {
    /// Redeems an authorization code (OAuth 2.1 section 4.1.3, RFC 7636 section 4.5).
    ///
    /// # Errors
    /// [`OAuthErrorKind::Mismatch`] if the code is of another server or client; [`OAuthError`].
    pub async fn exchange_code(&self, at: At<'_>, code: &Code) -> Result<Tokens, OAuthError> {
        code.check(at.server, at.registration)?;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code.code.expose_secret()),
            ("redirect_uri", &code.redirect_uri),
            ("code_verifier", code.verifier.expose_secret()),
        ];
        with_resource(&mut fields, &code.resource);
        self.token(at, fields).await.and_then(bearer)
    }

    /// A new access token for a refresh token; also a new refresh token where the server rotates them. An empty `resource` is not sent.
    ///
    /// # Errors
    /// [`OAuthErrorKind::InvalidGrant`] when the refresh token is of no use any more; [`OAuthError`].
    pub async fn refresh(
        &self,
        at: At<'_>,
        refresh: &SecretString,
        scopes: &[String],
        resource: &str,
    ) -> Result<Tokens, OAuthError> {
        let scope = scopes.join(" ");
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        with_resource(&mut fields, resource);
        with_scope(&mut fields, &scope);
        self.token(at, fields).await.and_then(bearer)
    }

    /// A token for the gateway itself (OAuth 2.1 section 4.2).
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn client_credentials(&self, at: At<'_>, scopes: &[String], resource: &str) -> Result<Tokens, OAuthError> {
        let scope = scopes.join(" ");
        let mut fields = vec![("grant_type", "client_credentials"), ("resource", resource)];
        with_scope(&mut fields, &scope);
        self.token(at, fields).await.and_then(bearer)
    }

    /// Exchanges a token for another (RFC 8693). An ID-JAG comes with [`Tokens::bearer`] false.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Malformed`] if something else than asked for is issued; [`OAuthError`].
    pub async fn exchange_token(&self, at: At<'_>, exchange: &Exchange<'_>) -> Result<Tokens, OAuthError> {
        let scope = exchange.scopes.join(" ");
        let wanted = exchange.requested_token_type.unwrap_or(TYPE_ACCESS_TOKEN);
        let mut fields = vec![
            ("grant_type", GRANT_EXCHANGE),
            ("subject_token", exchange.subject_token.expose_secret()),
            ("subject_token_type", exchange.subject_token_type),
            ("requested_token_type", wanted),
            ("resource", exchange.resource),
        ];
        if let Some(actor) = exchange.actor_token {
            fields.extend([("actor_token", actor.expose_secret()), ("actor_token_type", TYPE_JWT)]);
        }
        fields.extend(exchange.audience.map(|audience| ("audience", audience)));
        with_scope(&mut fields, &scope);
        let tokens = self.token(at, fields).await?;
        if tokens.issued_type.as_deref().is_some_and(|issued| issued != wanted) {
            return Err(OAuthError::malformed("the exchange issued another kind of token than was asked for"));
        }
        if wanted == TYPE_ID_JAG { Ok(tokens) } else { bearer(tokens) }
    }

    /// A token for an assertion made by somebody else, such as an ID-JAG (RFC 7523 section 2.1).
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn jwt_bearer(
        &self,
        at: At<'_>,
        assertion: &SecretString,
        scopes: &[String],
        resource: &str,
    ) -> Result<Tokens, OAuthError> {
        let scope = scopes.join(" ");
        let mut fields = vec![("grant_type", GRANT_JWT_BEARER), ("assertion", assertion.expose_secret()), ("resource", resource)];
        with_scope(&mut fields, &scope);
        self.token(at, fields).await.and_then(bearer)
    }

    async fn token(&self, at: At<'_>, fields: Fields<'_>) -> Result<Tokens, OAuthError> {
        let url = &at.server.token_endpoint;
        let reply = self.authenticated(at, url, fields).await?;
        token::read(&reply, url, self.clock.unix_s())
    }

    /// Posts `fields` to `url`, an endpoint of the server, as the client.
    pub(super) async fn authenticated(
        &self,
        at: At<'_>,
        url: &url::Url,
        mut fields: Fields<'_>,
    ) -> Result<crate::net::Replied, OAuthError> {
        let proof = at.registration.proof(at.server, &self.clock)?;
        fields.extend(proof.fields.iter().map(|(name, value)| (*name, value.expose_secret())));
        self.post(url, at.consent, &proof.headers, Payload::Form(&fields)).await
    }
}

/// A server that refuses the parameter is sent none.
fn with_resource<'a>(fields: &mut Fields<'a>, resource: &'a str) {
    if !resource.is_empty() {
        fields.push(("resource", resource));
    }
}

fn with_scope<'a>(fields: &mut Fields<'a>, scope: &'a str) {
    if !scope.is_empty() {
        fields.push(("scope", scope));
    }
}

fn bearer(tokens: Tokens) -> Result<Tokens, OAuthError> {
    if tokens.bearer { Ok(tokens) } else { Err(OAuthError::new(OAuthErrorKind::Malformed, "the token is not a bearer token")) }
}
