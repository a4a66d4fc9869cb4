//! What the authenticator is told, already read and resolved.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use url::Url;

use super::api_key::valid_id;
use crate::vocab::principal::{ANONYMOUS_ISSUER, KEY_ISSUER};

/// The algorithms of an issuer that names none.
pub const DEFAULT_ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Claims that cannot be mapped: they carry the identity and its validity.
const FIXED_CLAIMS: [&str; 6] = ["iss", "sub", "aud", "exp", "nbf", "iat"];

/// Everything [`super::Authenticator`] needs to know.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Requests without a credential are the anonymous principal.
    pub anonymous: bool,
    /// Issuers whose tokens are accepted.
    pub issuers: Vec<IssuerSettings>,
    /// API keys.
    pub api_keys: Vec<KeySettings>,
}

/// One token issuer.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Compared with `iss` byte by byte.
    pub issuer: String,
    /// Accepted audiences, compared byte by byte; empty means the URL of the resource called.
    pub audience: Vec<String>,
    /// Where the issuer's keys come from.
    pub jwks: JwksSource,
    /// Signature algorithms accepted from this issuer; asymmetric ones only.
    pub algorithms: Vec<Algorithm>,
    /// Our claim name -> theirs: the name of a top-level claim, or a dotted path.
    pub claims: BTreeMap<String, String>,
    /// The keys may be fetched from a private address.
    pub allow_private_addresses: bool,
}

/// Where a JWKS document (RFC 7517) comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// A file, read again when it changes.
    File(PathBuf),
    /// A document on the network that the issuer's metadata names, looked up at every load.
    Discovered,
    /// A document on the network, fetched again when it is no longer fresh.
    Url(Url),
    /// The document itself; never changes.
    Static(Bytes),
}

/// One API key. The hash is not secret against guessing: the key has 256 bits.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The public part of the key.
    pub id: String,
    /// The subject is `key:NAME`.
    pub name: String,
    /// SHA-256 of the whole key text.
    pub sha256: [u8; 32],
    /// Becomes the `groups` claim.
    pub groups: Vec<String>,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// The key ends at this time, in seconds since the Unix epoch.
    pub expires_unix_s: Option<u64>,
}

/// Settings that cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An issuer is empty, reserved, or listed twice.
    #[error("issuer {0:?} is empty, reserved or listed twice")]
    Issuer(String),
    /// An issuer without algorithms, or with a symmetric one.
    #[error("issuer {0:?}: algorithms must be a list of asymmetric signature algorithms")]
    Algorithms(String),
    /// A mapping of a claim that carries identity or validity.
    #[error("issuer {issuer:?}: the claim {claim:?} cannot be mapped")]
    Claim {
        /// The issuer.
        issuer: String,
        /// Our name in the mapping.
        claim: String,
    },
    /// A key file or built-in key set that does not hold usable keys.
    #[error("issuer {issuer:?}: jwks: {why}")]
    Jwks {
        /// The issuer.
        issuer: String,
        /// What is wrong.
        why: String,
    },
    /// An API key id that is malformed or listed twice, or a name that is empty or holds control characters.
    #[error("api key {0:?}: the id is malformed or listed twice, or the name is not usable")]
    ApiKey(String),
}

impl Settings {
    /// Checks everything that can be checked without reading or fetching keys.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        for (index, issuer) in self.issuers.iter().enumerate() {
            let name = &issuer.issuer;
            let twice = self.issuers.iter().take(index).any(|other| other.issuer == *name);
            if name.is_empty() || name == KEY_ISSUER || name == ANONYMOUS_ISSUER || twice {
                return Err(SettingsError::Issuer(name.clone()));
            }
            let symmetric = issuer.algorithms.iter().any(|a| a.family() == AlgorithmFamily::Hmac);
            if issuer.algorithms.is_empty() || symmetric {
                return Err(SettingsError::Algorithms(name.clone()));
            }
            if let Some(claim) = issuer.claims.keys().find(|c| FIXED_CLAIMS.contains(&c.as_str())) {
                return Err(SettingsError::Claim { issuer: name.clone(), claim: claim.clone() });
            }
        }
        for (index, key) in self.api_keys.iter().enumerate() {
            let twice = self.api_keys.iter().take(index).any(|other| other.id == key.id);
            if !valid_id(&key.id) || twice || key.name.is_empty() || key.name.chars().any(char::is_control) {
                return Err(SettingsError::ApiKey(key.id.clone()));
            }
        }
        Ok(())
    }
}
