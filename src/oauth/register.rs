//! Becoming a client: pre-registered, by metadata document, or by dynamic registration, in this order.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use url::Url;

use super::client_auth::{ClientAuth, Registration};
use super::consent::Consent;
use super::error::{OAuthError, OAuthErrorKind};
use super::key::SigningKey;
use super::server::ServerMetadata;
use super::{Client, parse, token};
use crate::net::Payload;
use crate::vocab::limits::TOKEN_BYTES_MAX;

/// Length of a client id.
const CLIENT_ID_BYTES_MAX: usize = 2 * 1024;
/// What authorization servers show people.
const CLIENT_NAME: &str = "Portcullis";

/// The gateway as a client of authorization servers it has no registration at.
#[derive(Clone, Debug)]
pub struct OwnClient {
    /// `scheme://host[:port]` as clients see the gateway.
    pub public_url: String,
    /// Proves it is this gateway; without one it is a public client.
    pub key: Option<Arc<SigningKey>>,
}

impl OwnClient {
    /// The client id: the URL of [`OwnClient::document`].
    pub fn client_id(&self) -> String {
        format!("{}/oauth/client.json", self.public_url)
    }

    /// Where authorization responses come.
    pub fn redirect_uri(&self) -> String {
        format!("{}/connect/callback", self.public_url)
    }

    /// The client id metadata document (draft-ietf-oauth-client-id-metadata-document), to be served at
    /// [`OwnClient::client_id`].
    pub fn document(&self) -> Value {
        let mut document = self.metadata();
        document["client_id"] = self.client_id().into();
        document
    }

    fn metadata(&self) -> Value {
        let mut metadata = json!({
            "client_name": CLIENT_NAME, "client_uri": self.public_url, "redirect_uris": [self.redirect_uri()],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "application_type": "web", "token_endpoint_auth_method": "none",
        });
        if let Some(key) = &self.key {
            metadata["token_endpoint_auth_method"] = "private_key_jwt".into();
            metadata["token_endpoint_auth_signing_alg"] = json!(key.algorithm());
            metadata["jwks"] = json!({ "keys": [key.public_jwk()] });
        }
        metadata
    }

    fn auth(&self) -> ClientAuth {
        self.key.clone().map_or(ClientAuth::None, ClientAuth::PrivateKey)
    }
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<SecretString>,
    token_endpoint_auth_method: Option<String>,
}

impl Client {
    /// A registration at `server`: `known`, which must be of this very server; else by metadata document where the server takes
    /// those and the gateway's public URL is https; else a new one (RFC 7591).
    ///
    /// # Errors
    /// [`OAuthErrorKind::Mismatch`] if `known` is of another server; [`OAuthErrorKind::Unsupported`] if the server offers no
    /// way; what the registration endpoint refused with.
    pub async fn registration(
        &self,
        server: &ServerMetadata,
        known: Option<&Registration>,
        own: &OwnClient,
        consent: &Consent,
    ) -> Result<Registration, OAuthError> {
        if let Some(known) = known {
            if known.issuer != server.issuer {
                return Err(OAuthError::mismatch("the configured client is registered at another authorization server"));
            }
            return Ok(known.clone());
        }
        if server.client_id_metadata_document_supported && own.public_url.starts_with("https://") {
            let auth = if server.accepts("private_key_jwt") { own.auth() } else { ClientAuth::None };
            return Ok(Registration { issuer: server.issuer.clone(), client_id: own.client_id(), auth });
        }
        self.register(server, own, consent).await
    }

    /// Registers the gateway anew at `server` (RFC 7591), as a `web` application.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Unsupported`] if the server has no registration endpoint; [`OAuthError`].
    pub async fn register(
        &self,
        server: &ServerMetadata,
        own: &OwnClient,
        consent: &Consent,
    ) -> Result<Registration, OAuthError> {
        let unsupported = |why| OAuthError::new(OAuthErrorKind::Unsupported, why);
        let endpoint = server.registration_endpoint.as_ref();
        let endpoint =
            endpoint.ok_or_else(|| unsupported("the authorization server takes no registrations: configure a client_id"))?;
        let mut asked = own.metadata();
        let keyed = own.key.is_some() && server.accepts("private_key_jwt");
        if !keyed {
            let method = ["none", "client_secret_basic", "client_secret_post"].into_iter().find(|method| server.accepts(method));
            asked["token_endpoint_auth_method"] = method.unwrap_or("client_secret_basic").into();
            if let Some(members) = asked.as_object_mut() {
                members.remove("jwks");
                members.remove("token_endpoint_auth_signing_alg");
            }
        }
        let reply = self.post(endpoint, consent, &[], Payload::Json(&asked.to_string())).await?;
        token::succeeded(&reply, endpoint)?;
        registered(parse(&reply.body, endpoint)?, server, own, endpoint)
    }
}

fn registered(got: Registered, server: &ServerMetadata, own: &OwnClient, url: &Url) -> Result<Registration, OAuthError> {
    use secrecy::ExposeSecret as _;
    let malformed = |why: &str| OAuthError::malformed(format!("{}: {why}", super::shown(url)));
    let id = got.client_id;
    if id.is_empty() || id.len() > CLIENT_ID_BYTES_MAX || !id.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Err(malformed("the client id is none"));
    }
    let method = got.token_endpoint_auth_method.as_deref();
    let auth = match (method, got.client_secret) {
        (Some("none"), _) => ClientAuth::None,
        (Some("private_key_jwt"), _) => own.auth(),
        (_, Some(secret)) if secret.expose_secret().len() <= TOKEN_BYTES_MAX => ClientAuth::Secret(secret),
        (None, None) => ClientAuth::None,
        _ => return Err(malformed("the client got no secret to authenticate with")),
    };
    Ok(Registration { issuer: server.issuer.clone(), client_id: id, auth })
}
