//! Who may call, as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::{Texts, WordOr};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Identity {
    /// Lets callers without a credential in, as `anonymous`. Loopback only.
    pub(super) anonymous: Option<bool>,
    /// Issuers of access tokens.
    pub(super) issuers: Option<Vec<Issuer>>,
    /// API keys, by hash.
    pub(super) api_keys: Option<Vec<ApiKey>>,
    /// The embedded issuer for development. Loopback only.
    pub(super) dev: Option<Dev>,
    /// Client certificates that are credentials of their own. Needs `tls.client_ca`.
    pub(super) client_certificates: Option<ClientCertificates>,
    /// File with credentials that no longer hold.
    pub(super) revocations: Option<String>,
    /// File with groups beside those that tokens claim.
    pub(super) directory: Option<String>,
    /// Whether a proof of possession (DPoP) must hold a nonce of the gateway's. Default required.
    #[schemars(extend("enum" = ["required", "optional"]))]
    pub(super) dpop_nonce: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClientCertificates {
    /// Globs over the SPIFFE id, URI or DNS name in the certificate. Default any.
    pub(super) subjects: Option<Vec<String>>,
    /// SPIFFE trust domain that the name must be of.
    pub(super) trust_domain: Option<String>,
}

/// Lookup of tokens that are no JWT (RFC 7662).
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url", "client_id", "client_secret"]))]
pub(super) struct Introspection {
    /// The endpoint.
    pub(super) url: Option<String>,
    /// Who the gateway is there.
    pub(super) client_id: Option<String>,
    /// Its secret there.
    pub(super) client_secret: Option<String>,
    /// How long an answer is believed. Default 30s.
    pub(super) cache: Option<String>,
    /// `all` looks up JWTs as well, after they were verified. Default opaque.
    #[schemars(extend("enum" = ["opaque", "all"]))]
    pub(super) tokens: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dev {
    /// Default false.
    pub(super) enabled: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["issuer"]))]
pub(super) struct Issuer {
    /// The `iss` of its tokens, matched exactly.
    pub(super) issuer: Option<String>,
    /// Accepted `aud` values. Default: the URL of the route called.
    pub(super) audience: Option<Vec<String>>,
    /// URL of the key set, file:PATH, or none (then every token is introspected). Default: discovered from the issuer.
    pub(super) jwks: Option<String>,
    /// Accepted signature algorithms. Default RS256, ES256, EdDSA.
    #[schemars(with = "Option<Vec<super::Algorithm>>")]
    pub(super) algorithms: Option<Vec<String>>,
    /// Our name of a claim: theirs, dotted paths allowed.
    pub(super) claims: Option<BTreeMap<String, String>>,
    /// Lets the key set be fetched from a private address.
    pub(super) allow_private_addresses: Option<bool>,
    /// Lets the key set be fetched without TLS from more than loopback.
    pub(super) danger_plaintext: Option<bool>,
    /// Lookup of tokens that are no JWT.
    pub(super) introspection: Option<Introspection>,
    /// Which JWTs are access tokens: at+jwt, or any but those that are plainly something else. Default any.
    #[schemars(extend("enum" = ["at+jwt", "any"]))]
    pub(super) token_type: Option<String>,
    /// Globs over subjects. Default any.
    pub(super) subjects: Option<Vec<String>>,
    /// Claims a token must have: a text, or a list of which one suffices.
    pub(super) required_claims: Option<BTreeMap<String, Texts>>,
    /// A scope: scopes that come with it.
    pub(super) scope_implies: Option<BTreeMap<String, Texts>>,
    /// Tokens bound to a key (RFC 9449). Default accept.
    #[schemars(extend("enum" = ["off", "accept", "require"]))]
    pub(super) dpop: Option<String>,
    /// Difference of clocks tolerated, at most 60s. Default 30s.
    pub(super) clock_skew: Option<String>,
    /// Older tokens are refused, whatever their expiry.
    pub(super) max_token_age: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["id", "name", "hash"]))]
pub(super) struct ApiKey {
    /// The part of the key that names it.
    pub(super) id: Option<String>,
    /// Whose key it is; the subject is `key:NAME`.
    pub(super) name: Option<String>,
    /// `sha256:` and 64 hexadecimal digits.
    #[schemars(regex(pattern = r"^sha256:[0-9a-fA-F]{64}$"))]
    pub(super) hash: Option<String>,
    /// Groups, as if from the groups claim.
    pub(super) groups: Option<Vec<String>>,
    /// Scopes it grants.
    pub(super) scopes: Option<Vec<String>>,
    /// A date (start of that day, UTC) or an RFC 3339 time.
    pub(super) expires: Option<String>,
}

/// An entry of the file of `identity.revocations`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Revocation {
    pub(super) iss: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) jti: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) key: Option<String>,
    pub(super) before: Option<String>,
}

/// The file of `identity.directory`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Directory {
    pub(super) groups: Option<BTreeMap<String, Group>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Group {
    pub(super) includes: Option<Vec<String>>,
    pub(super) members: Option<Vec<WordOr<Member>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Member {
    pub(super) iss: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) email: Option<String>,
}
