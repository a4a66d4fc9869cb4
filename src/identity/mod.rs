//! Who is asking: bearer tokens and API keys become principals, anything else becomes a challenge.
//!
//! Layer 4. Implements the resource server of OAuth 2.1 for MCP: RFC 6750 (bearer), RFC 8725 (JWT best practice), RFC 9068
//! (access token profile), RFC 8707 (audience), RFC 9728 (protected-resource metadata), RFC 7662 (introspection), RFC 9449
//! (DPoP) and RFC 8705 (certificate-bound tokens).

mod api_key;
mod authenticator;
mod bearer;
mod binding;
mod certificates;
mod challenge;
mod claims;
mod crypto;
pub mod dev;
mod directory;
mod discovery;
mod dpop;
mod groups;
mod introspection;
mod issuer_settings;
mod judge;
mod jwk;
mod jwks;
mod jwt;
mod metadata;
mod recall;
mod revocations;
mod settings;
mod standing;
mod statement;
mod strict_json;
mod verify;
mod vouching;

pub use api_key::{GeneratedKey, generate_api_key};
pub use authenticator::{Asked, Authenticator, IssuerHealth};
pub use challenge::{Holder, ProofError, Refusal};
pub use crypto::{CryptoError, install_crypto};
pub use groups::claimed_groups;
pub use issuer_settings::{
    CLOCK_SKEW_S_DEFAULT, DEFAULT_ALGORITHMS, DpopUse, IntrospectionSettings, IssuerSettings, JwksSource, TokenType,
};
pub use judge::has_claims;
pub use metadata::{METADATA_PREFIX, metadata_path, resource_metadata};
pub use recall::Recall;
pub use revocations::Revocations;
pub use settings::{CertificateSettings, DirectoryGroup, KeySettings, Member, Revocation, Settings, SettingsError};
pub use statement::{StatementError, StatementKeys, seconds, strict_object, unverified_claims};
pub use vouching::Vouching;

#[cfg(test)]
mod tests;
