//! Who may call, checked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Serialize;
use url::Url;

/// Who may call.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Requests without a credential are served as `anonymous`; loopback only.
    pub anonymous: bool,
    /// Issuers of access tokens; unique.
    pub issuers: Vec<Issuer>,
    /// API keys; ids unique. Keys of one name are one subject.
    pub api_keys: Vec<ApiKey>,
    /// Client certificates that are credentials of their own; absent: none.
    pub client_certificates: Option<ClientCertificates>,
    /// Credentials that no longer hold.
    pub revocations: Vec<Revocation>,
    /// Groups beside those that tokens claim.
    pub directory: Vec<DirectoryGroup>,
    /// Proofs of possession need no nonce of ours.
    pub dpop_nonce_optional: bool,
    /// The embedded development issuer is on; loopback only.
    pub dev: bool,
}

impl Identity {
    /// Every issuer whose tokens are accepted, the embedded one included.
    pub fn issuer_names(&self) -> Vec<String> {
        let dev = self.dev.then(|| crate::vocab::DEV_ISSUER.to_owned());
        self.issuers.iter().map(|issuer| issuer.issuer.clone()).chain(dev).collect()
    }
}

/// An issuer of JWT access tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The `iss` claim, matched exactly.
    pub issuer: String,
    /// Accepted `aud` values; empty: the URL of the route called.
    pub audience: Vec<String>,
    /// Where its keys are.
    pub jwks: Jwks,
    /// Accepted signature algorithms, at least one, all asymmetric.
    pub algorithms: Vec<Algorithm>,
    /// Our claim name -> theirs, dotted paths allowed. Always has groups, scope, client_id and tenant.
    pub claims: BTreeMap<String, String>,
    /// Its keys may be fetched from a private address.
    pub allow_private_addresses: bool,
    /// Only JWTs that say `at+jwt` (RFC 9068) are access tokens.
    pub at_jwt_only: bool,
    /// Globs over subjects; empty: any.
    pub subjects: Vec<String>,
    /// Claims a token must have, by dotted path: one of these texts.
    pub required_claims: BTreeMap<String, Vec<String>>,
    /// A scope -> scopes that come with it.
    pub scope_implies: BTreeMap<String, Vec<String>>,
    /// What is made of key-bound tokens.
    pub dpop: Dpop,
    /// Difference of clocks tolerated, at most a minute.
    pub clock_skew: Duration,
    /// Older tokens are refused.
    pub max_token_age: Option<Duration>,
    /// How tokens are looked up that are no JWT. One issuer at most has it.
    pub introspection: Option<Introspection>,
}

/// What is made of key-bound tokens (RFC 9449).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dpop {
    /// They are refused.
    Off,
    /// They need their proof; others pass without.
    #[default]
    Accept,
    /// Only they pass.
    Require,
}

/// An introspection endpoint (RFC 7662).
#[derive(Clone, Debug)]
pub struct Introspection {
    /// The endpoint.
    pub url: Url,
    /// Who the gateway is there.
    pub client_id: String,
    /// Its secret there.
    pub client_secret: SecretString,
    /// How long an answer is believed.
    pub cache: Duration,
    /// JWTs are looked up as well.
    pub jwts_too: bool,
}

/// Which client certificates are principals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Globs over the name in the certificate; empty: any.
    pub subjects: Vec<String>,
    /// The SPIFFE trust domain that the name must be of.
    pub trust_domain: Option<String>,
}

/// Credentials that no longer hold: those to which everything given here applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocation {
    /// Issuer.
    pub iss: Option<String>,
    /// Subject; then there is an issuer.
    pub sub: Option<String>,
    /// Id of a token.
    pub jti: Option<String>,
    /// OAuth client.
    pub client_id: Option<String>,
    /// Id of an API key.
    pub key: Option<String>,
    /// Only what was issued before, in seconds since the Unix epoch.
    pub before_unix_s: Option<u64>,
}

/// A group of the directory file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryGroup {
    /// Its name; unique.
    pub name: String,
    /// Groups of the file whose members are members of this one.
    pub includes: Vec<String>,
    /// Who is in it.
    pub members: Vec<DirectoryMember>,
}

/// A principal as the directory names it: by subject, or by verified address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryMember {
    /// Issuer; given with a subject, and where there are several issuers.
    pub iss: Option<String>,
    /// Subject.
    pub sub: Option<String>,
    /// Address; given instead of a subject.
    pub email: Option<String>,
}

/// Where a key set (RFC 7517) is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// A file.
    File(PathBuf),
    /// An `https` URL; `http` to loopback, or where the operator said danger.
    Url(Url),
    /// Wherever the issuer's metadata says.
    Discovered,
    /// Nowhere: every token is looked up by introspection.
    None,
}

/// A signature algorithm of RFC 7518 or RFC 8037 that needs no shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "each variant is a registered name")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// Every algorithm that can be configured.
    pub const ALL: [Self; 9] =
        [Self::RS256, Self::RS384, Self::RS512, Self::PS256, Self::PS384, Self::PS512, Self::ES256, Self::ES384, Self::EdDSA];

    /// The `alg` value on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm an `alg` value means, if it can be configured.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }
}

/// An API key, known by its hash.
#[derive(Clone)]
pub struct ApiKey {
    /// The part of the key that names it: ASCII letters and digits.
    pub id: String,
    /// The subject is `key:` and this.
    pub name: String,
    /// SHA-256 of the whole key.
    pub sha256: [u8; 32],
    /// Its groups claim.
    pub groups: Vec<String>,
    /// Scopes it grants.
    pub scopes: Vec<String>,
    /// Unix time, seconds, from which it is refused; absent: never.
    pub expires_unix_s: Option<u64>,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, sha256: _, groups, scopes, expires_unix_s } = self;
        let mut out = f.debug_struct("ApiKey");
        out.field("id", id).field("name", name).field("groups", groups).field("scopes", scopes);
        out.field("expires_unix_s", expires_unix_s).finish_non_exhaustive()
    }
}
