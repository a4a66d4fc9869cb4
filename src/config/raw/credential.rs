//! `upstreams[].credential` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(in crate::config) struct Credential {
    /// Sent as `Authorization: Bearer`.
    pub(in crate::config) bearer: Option<String>,
    /// Sent as a header of its own.
    pub(in crate::config) header: Option<Header>,
    /// A token for the gateway itself.
    pub(in crate::config) client_credentials: Option<ClientCredentials>,
    /// A token on behalf of the caller (RFC 8693).
    pub(in crate::config) token_exchange: Option<TokenExchange>,
    /// A token on behalf of the caller, by an assertion of the identity provider (enterprise-managed authorization).
    pub(in crate::config) id_jag: Option<IdJag>,
    /// A client certificate.
    pub(in crate::config) mtls: Option<Mtls>,
    /// A token of the caller's own, who links an account at the upstream (`/connect/`).
    pub(in crate::config) per_user: Option<PerUser>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct PerUser {
    /// The only authorization server to use. Default: the first that the upstream names.
    pub(in crate::config) issuer: Option<String>,
    /// The gateway's client id there. Default: a metadata document, else registration.
    pub(in crate::config) client_id: Option<String>,
    /// Its secret; needs `issuer`.
    pub(in crate::config) client_secret: Option<String>,
    /// Scopes to ask people for. Default: as the upstream says.
    pub(in crate::config) scopes: Option<Vec<String>>,
    /// Where people consent, instead of reading metadata; needs `token_url`, `issuer` and `client_id`.
    pub(in crate::config) authorization_url: Option<String>,
    /// Where tokens are made, instead of reading metadata.
    pub(in crate::config) token_url: Option<String>,
    /// The `resource` parameter. Default: as the upstream's metadata says.
    pub(in crate::config) resource: Option<String>,
    /// Sends no `resource` parameter, to a server that refuses it; needs `issuer`.
    pub(in crate::config) danger_no_resource: Option<bool>,
    /// Goes on, with PKCE, at an authorization server that does not announce it; needs `issuer`.
    pub(in crate::config) danger_pkce_unannounced: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "value"]))]
pub(in crate::config) struct Header {
    /// Name of the header.
    pub(in crate::config) name: Option<String>,
    /// Its value.
    pub(in crate::config) value: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["cert", "key"]))]
pub(in crate::config) struct Mtls {
    /// PEM file with the certificate chain.
    pub(in crate::config) cert: Option<String>,
    /// PEM file with the private key, readable by its owner only.
    pub(in crate::config) key: Option<String>,
}

/// An authorization server, and the gateway as its client.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["client_id"]))]
pub(in crate::config) struct TokenServer {
    /// Its issuer, whose metadata says where tokens are made.
    pub(in crate::config) issuer: Option<String>,
    /// Where tokens are made, instead of reading metadata.
    pub(in crate::config) token_url: Option<String>,
    /// The gateway's client id there.
    pub(in crate::config) client_id: Option<String>,
    /// Its secret.
    pub(in crate::config) client_secret: Option<String>,
    /// PEM file with a private key, instead of a secret (private_key_jwt).
    pub(in crate::config) private_key: Option<String>,
    /// What the server calls that key. Default: its thumbprint (RFC 7638).
    pub(in crate::config) key_id: Option<String>,
    /// Lets the server be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["client_id"]))]
pub(in crate::config) struct ClientCredentials {
    /// The authorization server's issuer, whose metadata says where tokens are made.
    pub(in crate::config) issuer: Option<String>,
    /// Where tokens are made, instead of reading metadata.
    pub(in crate::config) token_url: Option<String>,
    /// The gateway's client id there.
    pub(in crate::config) client_id: Option<String>,
    /// Its secret.
    pub(in crate::config) client_secret: Option<String>,
    /// PEM file with a private key, instead of a secret (private_key_jwt).
    pub(in crate::config) private_key: Option<String>,
    /// What the server calls that key. Default: its thumbprint (RFC 7638).
    pub(in crate::config) key_id: Option<String>,
    /// Lets the authorization server be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
    /// Scopes asked for.
    pub(in crate::config) scopes: Option<Vec<String>>,
    /// The resource the token is for. Default: the upstream's URL.
    pub(in crate::config) resource: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["client_id"]))]
pub(in crate::config) struct TokenExchange {
    /// The authorization server's issuer, whose metadata says where tokens are made.
    pub(in crate::config) issuer: Option<String>,
    /// Where tokens are made, instead of reading metadata.
    pub(in crate::config) token_url: Option<String>,
    /// The gateway's client id there.
    pub(in crate::config) client_id: Option<String>,
    /// Its secret.
    pub(in crate::config) client_secret: Option<String>,
    /// PEM file with a private key, instead of a secret (private_key_jwt).
    pub(in crate::config) private_key: Option<String>,
    /// What the server calls that key. Default: its thumbprint (RFC 7638).
    pub(in crate::config) key_id: Option<String>,
    /// Lets the authorization server be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
    /// Scopes asked for.
    pub(in crate::config) scopes: Option<Vec<String>>,
    /// The resource the token is for. Default: the upstream's URL.
    pub(in crate::config) resource: Option<String>,
    /// The `audience` parameter.
    pub(in crate::config) audience: Option<String>,
    /// Names the gateway as the one who acts. Default true.
    pub(in crate::config) actor: Option<bool>,
    /// The issuer whose callers are people there. Default: the only one.
    pub(in crate::config) subject_issuer: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["idp", "client_id"]))]
pub(in crate::config) struct IdJag {
    /// The identity provider that vouches for callers.
    pub(in crate::config) idp: Option<TokenServer>,
    /// The issuer of the upstream's authorization server.
    pub(in crate::config) issuer: Option<String>,
    /// Where that makes tokens, instead of reading metadata.
    pub(in crate::config) token_url: Option<String>,
    /// The gateway's client id there.
    pub(in crate::config) client_id: Option<String>,
    /// Its secret.
    pub(in crate::config) client_secret: Option<String>,
    /// PEM file with a private key, instead of a secret (private_key_jwt).
    pub(in crate::config) private_key: Option<String>,
    /// What the server calls that key. Default: its thumbprint (RFC 7638).
    pub(in crate::config) key_id: Option<String>,
    /// Lets the authorization server be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
    /// Scopes asked for.
    pub(in crate::config) scopes: Option<Vec<String>>,
    /// The resource the token is for. Default: the upstream's URL.
    pub(in crate::config) resource: Option<String>,
    /// The issuer whose callers are people there. Default: the only one.
    pub(in crate::config) subject_issuer: Option<String>,
    /// Whom the identity provider is told about, and how: `caller`, whom the gateway asserts (default), or `person`, by the ID token
    /// of their own sign-in at the gateway.
    pub(in crate::config) subject: Option<String>,
    /// A workload's token at the identity provider, shown for everybody instead of an assertion about the caller.
    pub(in crate::config) subject_token: Option<String>,
    /// What kind of token that is: id_token, jwt or access_token. Default: id_token.
    pub(in crate::config) subject_token_type: Option<String>,
}
