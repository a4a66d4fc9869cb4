//! What the authenticator is told, already read and resolved.

use jsonwebtoken::AlgorithmFamily;

use super::api_key::valid_id;
use super::issuer_settings::{IssuerSettings, JwksSource};
use crate::policy::Glob;

/// Largest difference of clocks that can be tolerated, in seconds.
const CLOCK_SKEW_S_MAX: u64 = 60;
/// Claims that cannot be mapped: they carry the identity and its validity, what a token is bound to and who acts.
const FIXED_CLAIMS: [&str; 9] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "act"];

/// Everything [`super::Authenticator`] needs to know.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Requests without a credential are the anonymous principal.
    pub anonymous: bool,
    /// Issuers whose tokens are accepted.
    pub issuers: Vec<IssuerSettings>,
    /// API keys.
    pub api_keys: Vec<KeySettings>,
    /// Client certificates that are credentials of their own; `None`: none is.
    pub client_certificates: Option<CertificateSettings>,
    /// Credentials that no longer hold.
    pub revocations: Vec<Revocation>,
    /// Groups beside those that tokens claim.
    pub directory: Vec<DirectoryGroup>,
    /// Proofs need no nonce of ours (RFC 9449 section 9), only freshness.
    pub nonce_optional: bool,
}

/// Which client certificates are principals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateSettings {
    /// Globs over the name in the certificate; empty means any.
    pub subjects: Vec<String>,
    /// The name must be a SPIFFE id of this trust domain.
    pub trust_domain: Option<String>,
}

/// Credentials that no longer hold: those to which everything given here applies. At least one thing is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocation {
    /// The issuer: of the principal, or of the token.
    pub iss: Option<String>,
    /// The subject.
    pub sub: Option<String>,
    /// The one token with this id.
    pub jti: Option<String>,
    /// Every token of this client.
    pub client_id: Option<String>,
    /// The API key with this id.
    pub key: Option<String>,
    /// Only tokens that were made before this time, in seconds since the Unix epoch, or do not say when.
    pub before_s: Option<u64>,
}

/// A group, who is in it, and which groups are part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryGroup {
    /// Its name, as it appears in the `groups` claim.
    pub name: String,
    /// Groups whose members are members of this one.
    pub includes: Vec<String>,
    /// Who is in it.
    pub members: Vec<Member>,
}

/// A principal as a directory names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// By issuer and subject.
    Subject {
        /// The issuer.
        iss: String,
        /// The subject.
        sub: String,
    },
    /// By an address that a token calls verified (`email`, `email_verified`).
    Email {
        /// Who says so; `None` where there is one issuer only.
        iss: Option<String>,
        /// The address; case does not matter.
        email: String,
    },
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
    /// Rules of an issuer or for certificates that cannot be followed.
    #[error("{0}")]
    Rule(String),
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

fn issuer_rules(issuer: &IssuerSettings) -> Result<(), SettingsError> {
    let refuse = |why: &str| Err(SettingsError::Rule(format!("issuer {:?}: {why}", issuer.issuer)));
    if issuer.jwks == JwksSource::None && issuer.introspection.is_none() {
        return refuse("neither keys nor introspection");
    }
    if issuer.clock_skew_s > CLOCK_SKEW_S_MAX {
        return refuse("a clock skew over a minute");
    }
    globs(&issuer.subjects).map(drop).or_else(|why| refuse(&why))
}

/// Compiles globs over subjects.
///
/// # Errors
/// Which is none, and why.
pub(super) fn globs(texts: &[String]) -> Result<Vec<Glob>, String> {
    texts.iter().map(|text| Glob::parse(text).map_err(|why| format!("{text:?}: {why}"))).collect()
}

/// Whether `issuer` is nobody, or one of the names under which the gateway itself vouches for somebody.
pub(super) fn is_reserved(issuer: &str) -> bool {
    issuer.is_empty() || issuer.starts_with("portcullis:")
}

impl Settings {
    /// Checks everything that can be checked without reading or fetching keys.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        for (index, issuer) in self.issuers.iter().enumerate() {
            let name = &issuer.issuer;
            let twice = self.issuers.iter().take(index).any(|other| other.issuer == *name);
            if is_reserved(name) || twice {
                return Err(SettingsError::Issuer(name.clone()));
            }
            let symmetric = issuer.algorithms.iter().any(|a| a.family() == AlgorithmFamily::Hmac);
            if issuer.algorithms.is_empty() || symmetric {
                return Err(SettingsError::Algorithms(name.clone()));
            }
            issuer_rules(issuer)?;
            if let Some(claim) = issuer.claims.keys().find(|c| FIXED_CLAIMS.contains(&c.as_str())) {
                return Err(SettingsError::Claim { issuer: name.clone(), claim: claim.clone() });
            }
        }
        let opaque = self.issuers.iter().filter(|issuer| issuer.introspection.is_some()).count();
        if opaque > 1 {
            return Err(SettingsError::Rule(
                "an opaque token does not name its issuer: one issuer can have introspection".into(),
            ));
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
