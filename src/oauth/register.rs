//! Becoming a client: pre-registered, by metadata document, or by dynamic registration, in this order.

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::client_auth::{ClientAuth, Registration};
use super::consent::Consent;
use super::error::{OAuthError, OAuthErrorKind};
use super::key::SigningKey;
use super::server::ServerMetadata;
use super::{Client, parse, token};
use crate::net::{Origin, Payload};
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
        let key = self.key.as_deref();
        json!(Metadata { client_id: Some(self.client_id()), ..self.metadata(key.map_or("none", |_| "private_key_jwt"), key) })
    }

    /// As a client that authenticates by `method`, with `key` if that needs one.
    fn metadata(&self, method: &'static str, key: Option<&SigningKey>) -> Metadata {
        Metadata {
            client_id: None,
            client_name: CLIENT_NAME,
            client_uri: self.public_url.clone(),
            redirect_uris: [self.redirect_uri()],
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            application_type: self.application_type(),
            token_endpoint_auth_method: method,
            token_endpoint_auth_signing_alg: key.map(SigningKey::algorithm),
            jwks: key.map(|key| json!({ "keys": [key.public_jwk()] })),
        }
    }

    /// `native` where responses come to a loopback address over plain HTTP, which a web client may not name; a native client in
    /// turn may not name one over https (OpenID Connect Registration 1.0 section 2).
    fn application_type(&self) -> &'static str {
        let origin = self.public_url.parse().ok().as_ref().and_then(Origin::of);
        if origin.is_some_and(|origin| !origin.https && origin.names_loopback()) { "native" } else { "web" }
    }

    fn auth(&self) -> ClientAuth {
        self.key.clone().map_or(ClientAuth::None, ClientAuth::PrivateKey)
    }
}

/// Client metadata (RFC 7591 section 2).
#[derive(Serialize)]
struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    client_name: &'static str,
    client_uri: String,
    redirect_uris: [String; 1],
    grant_types: [&'static str; 2],
    response_types: [&'static str; 1],
    application_type: &'static str,
    token_endpoint_auth_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg: Option<Algorithm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<SecretString>,
    token_endpoint_auth_method: Option<String>,
    /// 0: never.
    client_secret_expires_at: Option<u64>,
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
            return Ok(Registration { issuer: server.issuer.clone(), client_id: own.client_id(), auth, secret_ends_s: None });
        }
        self.register(server, own, consent).await
    }

    /// Registers the gateway anew at `server` (RFC 7591), as a `native` application if its address is plain HTTP on loopback, else `web`.
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
        let asked = match own.key.as_deref().filter(|_| server.accepts("private_key_jwt")) {
            Some(key) => own.metadata("private_key_jwt", Some(key)),
            None => {
                // A program on somebody's machine keeps no secret (RFC 8252 section 8.5).
                let native = own.application_type() == "native";
                let weaker = ["none", "client_secret_basic", "client_secret_post", "none"];
                let method = weaker.into_iter().skip(usize::from(!native)).find(|method| server.accepts(method));
                own.metadata(method.unwrap_or("client_secret_basic"), None)
            }
        };
        let reply = self.post(endpoint, consent, &[], Payload::Json(&json!(asked).to_string())).await?;
        token::succeeded(&reply, endpoint)?;
        registered(parse(&reply.body, endpoint)?, server, own, endpoint)
    }
}

fn registered(got: Registered, server: &ServerMetadata, own: &OwnClient, url: &Url) -> Result<Registration, OAuthError> {
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
    let secret_ends_s = got.client_secret_expires_at.filter(|end| *end > 0 && matches!(auth, ClientAuth::Secret(_)));
    Ok(Registration { issuer: server.issuer.clone(), client_id: id, auth, secret_ends_s })
}
