//! What is known of one issuer before any of its tokens is seen.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jsonwebtoken::Algorithm;
use secrecy::SecretString;
use url::Url;

/// The algorithms of an issuer that names none.
pub const DEFAULT_ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Difference of clocks tolerated unless the operator says otherwise, in seconds.
pub const CLOCK_SKEW_S_DEFAULT: u64 = 30;

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
    /// Which types of JWT are access tokens.
    pub token_type: TokenType,
    /// Claims a token must have, by dotted path: each with one of these texts (of an array, one of its strings).
    pub required_claims: BTreeMap<String, Vec<String>>,
    /// Globs over subjects; empty means any. `*` is any run of characters, `?` one.
    pub subjects: Vec<String>,
    /// A scope -> the scopes that come with it, as far as that leads.
    pub scope_implies: BTreeMap<String, Vec<String>>,
    /// What is made of tokens that are bound to a key (RFC 9449).
    pub dpop: DpopUse,
    /// Difference of clocks tolerated, in seconds.
    pub clock_skew_s: u64,
    /// A token older than this is refused, whatever its expiry; in seconds. Then `iat` is needed.
    pub token_age_s_max: Option<u64>,
    /// How tokens are looked up that are no JWT.
    pub introspection: Option<IntrospectionSettings>,
}

impl IssuerSettings {
    /// An issuer with the defaults: its tokens are for the URL of the route, signed by [`DEFAULT_ALGORITHMS`].
    pub fn new(issuer: String, jwks: JwksSource) -> Self {
        Self {
            issuer,
            audience: Vec::new(),
            jwks,
            algorithms: DEFAULT_ALGORITHMS.to_vec(),
            claims: BTreeMap::new(),
            allow_private_addresses: false,
            token_type: TokenType::Any,
            required_claims: BTreeMap::new(),
            subjects: Vec::new(),
            scope_implies: BTreeMap::new(),
            dpop: DpopUse::Accept,
            clock_skew_s: CLOCK_SKEW_S_DEFAULT,
            token_age_s_max: None,
            introspection: None,
        }
    }

    /// The gateway's own authorization server: its tokens are RFC 9068, and stand for the person in their claim
    /// `idp: {iss, sub}` where they have one.
    pub fn own(issuer: String, jwks: Arc<ArcSwap<Bytes>>) -> Self {
        Self { token_type: TokenType::AccessToken, ..Self::new(issuer, JwksSource::Shared(jwks)) }
    }
}

/// Which JWTs of an issuer are taken for access tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenType {
    /// Also those without the type of RFC 9068, unless they bear the marks of another kind.
    #[default]
    Any,
    /// Those of type `at+jwt` only.
    AccessToken,
}

/// What is made of DPoP (RFC 9449) with tokens of an issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DpopUse {
    /// Bound tokens are refused.
    Off,
    /// A bound token needs its proof; others pass without.
    #[default]
    Accept,
    /// Only bound tokens pass.
    Require,
}

/// An introspection endpoint (RFC 7662).
#[derive(Clone, Debug)]
pub struct IntrospectionSettings {
    /// The endpoint.
    pub url: Url,
    /// Who we are there (HTTP Basic, RFC 6749 section 2.3.1).
    pub client_id: String,
    /// Our secret there.
    pub client_secret: SecretString,
    /// How long an answer is believed, in milliseconds.
    pub cache_ms: u64,
    /// JWTs are looked up as well, after they were verified.
    pub jwts_too: bool,
}

/// Where a JWKS document (RFC 7517) comes from.
#[derive(Clone, Debug)]
pub enum JwksSource {
    /// A file, read again when it changes.
    File(PathBuf),
    /// A document on the network that the issuer's metadata names, looked up at every load.
    Discovered,
    /// A document on the network, fetched again when it is no longer fresh.
    Url(Url),
    /// The document itself; never changes.
    Static(Bytes),
    /// The document of our own authorization server, which swaps it when keys rotate. Never fetched; seen at once.
    Shared(Arc<ArcSwap<Bytes>>),
    /// None: every token is looked up by introspection.
    None,
}

/// A shared document equals itself only.
impl PartialEq for JwksSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a), Self::File(b)) => a == b,
            (Self::Url(a), Self::Url(b)) => a == b,
            (Self::Static(a), Self::Static(b)) => a == b,
            (Self::Shared(a), Self::Shared(b)) => Arc::ptr_eq(a, b),
            (Self::Discovered, Self::Discovered) | (Self::None, Self::None) => true,
            _ => false,
        }
    }
}

impl Eq for JwksSource {}
