//! What the server is told, already read and resolved.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use crate::identity::IssuerSettings;
use crate::net::DialPolicy;
use crate::signer::SigningAlgorithm;

/// Everything the server needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our issuer: the origin clients see, without a slash at the end.
    pub issuer: String,
    /// What tokens can be asked for: the routes.
    pub resources: Vec<ResourceSettings>,
    /// Every scope that can be granted, and what it means, for the consent page.
    pub scopes: BTreeMap<String, String>,
    /// Clients that the operator knows.
    pub clients: Vec<ClientSettings>,
    /// Clients named by the URL of their metadata document; none where it is off.
    pub cimd: Option<CimdSettings>,
    /// Clients that register themselves; none where it is off.
    pub dcr: Option<DcrSettings>,
    /// Identity providers whose grants (ID-JAG) are accepted.
    pub id_jag: Vec<IssuerSettings>,
    /// Life of an access token.
    pub access_token: Duration,
    /// Life of a family of refresh tokens, from its first token on: then the person signs in again.
    pub refresh_token: Duration,
    /// What signs.
    pub algorithm: SigningAlgorithm,
    /// Public keys (RFC 7517) that are served beside those that sign tokens, for what else others verify of us. No token of ours is
    /// judged by them.
    pub other_keys: Vec<serde_json::Value>,
}

/// One route as a protected resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceSettings {
    /// Its URL, the audience of tokens for it.
    pub url: String,
    /// Scopes that any request there needs: granted where a client asks for none.
    pub scopes: Vec<String>,
}

/// A client that the operator knows.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Its id.
    pub client_id: String,
    /// What the consent page calls it.
    pub name: String,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// How it shows that it is itself; public without.
    pub secret: Option<ClientSecret>,
    /// What it may ask for.
    pub grants: Grants,
}

/// How a client shows that it is itself.
#[derive(Clone, Debug)]
pub enum ClientSecret {
    /// A secret with this SHA-256, by HTTP Basic.
    Sha256([u8; 32]),
    /// Assertions signed with keys of its own (`private_key_jwt`).
    Keys(KeySource),
}

/// Where a client's keys are.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A key set.
    Document(Bytes),
    /// A URL of one, written by the operator.
    Url {
        /// The URL.
        url: Url,
        /// It may be at a private address.
        allow_private_addresses: bool,
    },
}

/// Grants of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Codes.
    pub authorization_code: bool,
    /// Refresh tokens.
    pub refresh_token: bool,
    /// Tokens for itself.
    pub client_credentials: bool,
    /// Grants of a trusted identity provider.
    pub jwt_bearer: bool,
}

/// Which metadata documents are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CimdSettings {
    /// Hosts: exact names, or `*.example.com` for every name below.
    pub allow: Vec<String>,
    /// Any host.
    pub any: bool,
    /// Addresses that documents and keys may be fetched from. The client chose the URL: public ones only, unless the operator listed the
    /// hosts and says that they are private.
    pub dial: DialPolicy,
}

/// Registration by clients.
#[derive(Clone, Copy, Debug)]
pub struct DcrSettings {
    /// Registrations of one hour, of all together.
    pub per_hour: u32,
    /// A registration ends after this.
    pub expires: Duration,
}
