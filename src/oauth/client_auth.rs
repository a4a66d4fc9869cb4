//! How the gateway proves to an authorization server which client it is.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use url::form_urlencoded::byte_serialize;

use super::error::{OAuthError, OAuthErrorKind};
use super::key::SigningKey;
use super::server::ServerMetadata;
use crate::vocab::Clock;

/// Life of a client assertion, in seconds.
const ASSERTION_S_MAX: u64 = 60;
/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client at one authorization server. It is never used at another (MCP authorization, "Authorization Server Binding").
#[derive(Clone, Debug)]
pub struct Registration {
    /// The server's issuer, exactly.
    pub issuer: String,
    /// The client id there.
    pub client_id: String,
    /// Its proof.
    pub auth: ClientAuth,
    /// When that ends, in seconds since the Unix epoch, where the server said so (RFC 7591 section 3.2.1).
    pub secret_ends_s: Option<u64>,
}

/// What a client proves itself with.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// Nothing: a public client (`none`).
    None,
    /// A shared secret: `client_secret_basic`, or `client_secret_post` at a server that only has that.
    Secret(SecretString),
    /// A key of ours: `private_key_jwt` (RFC 7523, RFC 7521).
    PrivateKey(Arc<SigningKey>),
    /// The certificate of the connection: `tls_client_auth` (RFC 8705).
    Tls,
}

/// What one request carries for it.
#[derive(Default)]
pub(super) struct Proof {
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) fields: Vec<(&'static str, SecretString)>,
}

impl Registration {
    /// The proof for one request to `server`.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Mismatch`] if this is a client of another server.
    pub(super) fn proof(&self, server: &ServerMetadata, clock: &Clock) -> Result<Proof, OAuthError> {
        if self.issuer != server.issuer {
            return Err(OAuthError::mismatch("the client is registered at another authorization server"));
        }
        let mut proof = Proof::default();
        let id = || ("client_id", SecretString::from(self.client_id.clone()));
        match &self.auth {
            ClientAuth::None | ClientAuth::Tls => proof.fields.push(id()),
            ClientAuth::Secret(secret) => {
                if !server.accepts("client_secret_basic") && server.accepts("client_secret_post") {
                    proof.fields = vec![id(), ("client_secret", secret.clone())];
                } else {
                    proof.headers.push((AUTHORIZATION, basic(&self.client_id, secret)?));
                }
            }
            ClientAuth::PrivateKey(key) => {
                let assertion = self.assertion(key, server, clock)?;
                let kind = SecretString::from(ASSERTION_TYPE);
                proof.fields = vec![id(), ("client_assertion_type", kind), ("client_assertion", assertion)];
            }
        }
        Ok(proof)
    }

    /// A client assertion (RFC 7523 section 3) for the issuer alone: one that names an endpoint could be redirected by
    /// metadata that names somebody else's.
    fn assertion(&self, key: &SigningKey, server: &ServerMetadata, clock: &Clock) -> Result<SecretString, OAuthError> {
        let now_s = clock.unix_s();
        let claims = json!({
            "iss": self.client_id, "sub": self.client_id, "aud": server.issuer,
            "iat": now_s, "exp": now_s + ASSERTION_S_MAX, "jti": fresh_id()?,
        });
        key.sign(None, &claims).map_err(|error| OAuthError::new(OAuthErrorKind::Internal, error.to_string()))
    }
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
fn basic(id: &str, secret: &SecretString) -> Result<HeaderValue, OAuthError> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose_secret()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| OAuthError::new(OAuthErrorKind::Internal, "the client secret cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// 128 bits that nobody guesses, as text: a `jti`.
///
/// # Errors
/// [`OAuthErrorKind::Internal`] without randomness.
pub fn fresh_id() -> Result<String, OAuthError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| OAuthError::new(OAuthErrorKind::Internal, "no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
