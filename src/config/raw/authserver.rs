//! `authserver` as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Issuer;
use crate::config::shape::Texts;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["upstream"]))]
pub(in crate::config) struct AuthServer {
    /// Default true.
    pub(in crate::config) enabled: Option<bool>,
    /// The identity provider where people sign in.
    pub(in crate::config) upstream: Option<AuthUpstream>,
    /// Clients named by the URL of their metadata document.
    pub(in crate::config) cimd: Option<Cimd>,
    /// Clients that register themselves.
    pub(in crate::config) dcr: Option<Dcr>,
    /// Clients that are known beforehand.
    pub(in crate::config) clients: Option<Vec<AuthClient>>,
    /// Identity providers whose grants (ID-JAG) are accepted.
    pub(in crate::config) id_jag: Option<IdJag>,
    /// Life of an access token. Default 10m.
    pub(in crate::config) access_token: Option<String>,
    /// Time after which a person signs in again. Default 30d.
    pub(in crate::config) refresh_token: Option<String>,
    /// Signature of access tokens. Default ES256.
    #[schemars(extend("enum" = ["ES256", "EdDSA"]))]
    pub(in crate::config) algorithm: Option<String>,
    /// How long a key signs. Default 90d.
    pub(in crate::config) key_rotation: Option<String>,
    /// Scopes that can be asked for beside those of the routes, and what each means in words for people.
    pub(in crate::config) scopes: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["issuer", "client_id"]))]
pub(in crate::config) struct AuthUpstream {
    /// Its issuer, matched exactly. Everything else about it is discovered.
    pub(in crate::config) issuer: Option<String>,
    /// The gateway's client id there.
    pub(in crate::config) client_id: Option<String>,
    /// The gateway's secret there. Without, the gateway is a public client.
    pub(in crate::config) client_secret: Option<String>,
    /// Default openid, profile, email.
    pub(in crate::config) scopes: Option<Vec<String>>,
    /// Claim with the groups, dotted paths allowed. Default groups. Where it is named, the userinfo is asked for it too.
    pub(in crate::config) groups_claim: Option<String>,
    /// Claims that an ID token must have: a text, or a list of which one suffices. Default none.
    pub(in crate::config) required_claims: Option<BTreeMap<String, Texts>>,
    /// Accepted signature algorithms of ID tokens. Default RS256, ES256, EdDSA.
    #[schemars(with = "Option<Vec<crate::config::Algorithm>>")]
    pub(in crate::config) algorithms: Option<Vec<String>>,
    /// Lets it be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Cimd {
    /// Default true.
    pub(in crate::config) enabled: Option<bool>,
    /// Hosts whose documents are accepted: names, or *.example.com for all below.
    pub(in crate::config) allow: Option<Vec<String>>,
    /// Lets listed hosts be at private addresses.
    pub(in crate::config) allow_private_addresses: Option<bool>,
    /// Accepts documents of any public host.
    pub(in crate::config) danger_allow_any: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Dcr {
    /// Default false.
    pub(in crate::config) enabled: Option<bool>,
    /// Registrations of an hour. Default 20.
    pub(in crate::config) per_hour: Option<u64>,
    /// Life of a registration. Default 30d.
    pub(in crate::config) expires: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["client_id"]))]
pub(in crate::config) struct AuthClient {
    /// Its id.
    pub(in crate::config) client_id: Option<String>,
    /// What the consent page calls it. Default: its id.
    pub(in crate::config) name: Option<String>,
    /// Where codes may be sent, byte for byte.
    pub(in crate::config) redirect_uris: Option<Vec<String>>,
    /// SHA-256 of its secret: `sha256:` and 64 hexadecimal digits.
    #[schemars(regex(pattern = r"^sha256:[0-9a-fA-F]{64}$"))]
    pub(in crate::config) secret_hash: Option<String>,
    /// Its keys: the URL of a key set, or file:PATH.
    pub(in crate::config) jwks: Option<String>,
    /// Lets its key set be fetched from a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
    /// Default authorization_code and refresh_token.
    #[schemars(inner(regex(pattern = r"^(authorization_code|refresh_token|client_credentials|jwt_bearer)$")))]
    pub(in crate::config) grants: Option<Vec<String>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["issuers"]))]
pub(in crate::config) struct IdJag {
    /// The providers.
    pub(in crate::config) issuers: Option<Vec<Issuer>>,
}
