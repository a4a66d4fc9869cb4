//! The checked `authserver` section.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use super::{Algorithm, Issuer, Jwks};

/// The authorization server in front of the identity provider.
#[derive(Clone, Debug)]
pub struct AuthServer {
    /// Where people sign in.
    pub upstream: AuthUpstream,
    /// Clients named by their document; none where it is off.
    pub cimd: Option<Cimd>,
    /// Clients that register themselves; none where it is off.
    pub dcr: Option<Dcr>,
    /// Known clients; ids unique.
    pub clients: Vec<AuthClient>,
    /// Providers of grants (ID-JAG).
    pub id_jag: Vec<Issuer>,
    /// Life of an access token.
    pub access_token: Duration,
    /// Life of a family of refresh tokens.
    pub refresh_token: Duration,
    /// What signs: ES256 or EdDSA.
    pub algorithm: Algorithm,
    /// How long a key signs.
    pub key_rotation: Duration,
    /// Scopes in words.
    pub scopes: BTreeMap<String, String>,
}

/// The identity provider.
#[derive(Clone, Debug)]
pub struct AuthUpstream {
    /// Its issuer, matched exactly.
    pub issuer: String,
    /// Our client id.
    pub client_id: String,
    /// Our secret.
    pub client_secret: Option<SecretString>,
    /// Scopes to ask for; `openid` among them.
    pub scopes: Vec<String>,
    /// Claim with the groups.
    pub groups_claim: Option<String>,
    /// Claims that an ID token must have, by dotted path: one of these texts.
    pub required_claims: BTreeMap<String, Vec<String>>,
    /// Accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
}

/// Which metadata documents are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cimd {
    /// Hosts, lower case; `*.` before a name for all below.
    pub allow: Vec<String>,
    /// Any host.
    pub any: bool,
    /// Listed hosts may be at private addresses; never together with `any`.
    pub allow_private_addresses: bool,
}

/// Registration by clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dcr {
    /// Registrations of an hour.
    pub per_hour: u32,
    /// Life of a registration.
    pub expires: Duration,
}

/// A known client.
#[derive(Clone)]
pub struct AuthClient {
    /// Its id.
    pub client_id: String,
    /// Its name.
    pub name: String,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// SHA-256 of its secret.
    pub secret_sha256: Option<[u8; 32]>,
    /// Its keys.
    pub jwks: Option<Jwks>,
    /// Its keys may be at a private address.
    pub allow_private_addresses: bool,
    /// What it may ask for.
    pub grants: Vec<Grant>,
}

impl fmt::Debug for AuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("AuthClient");
        out.field("client_id", &self.client_id).field("redirect_uris", &self.redirect_uris);
        out.field("jwks", &self.jwks).field("grants", &self.grants).finish_non_exhaustive()
    }
}

/// A grant that a client may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A person's consent.
    AuthorizationCode,
    /// Tokens without asking again.
    RefreshToken,
    /// Tokens for itself.
    ClientCredentials,
    /// Grants of a trusted provider.
    JwtBearer,
}

impl Grant {
    /// All, in the order of the words in the config.
    pub const ALL: [Self; 4] = [Self::AuthorizationCode, Self::RefreshToken, Self::ClientCredentials, Self::JwtBearer];

    /// The word in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer => "jwt_bearer",
        }
    }
}
