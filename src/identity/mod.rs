//! Who is asking: bearer tokens and API keys become principals, anything else becomes a challenge.
//!
//! Layer 4. Implements the resource server of OAuth 2.1 for MCP: RFC 6750 (bearer), RFC 8725 (JWT best practice), RFC 9068
//! (access token profile), RFC 8707 (audience) and RFC 9728 (protected-resource metadata).

mod api_key;
mod authenticator;
mod bearer;
mod challenge;
mod claims;
mod crypto;
pub mod dev;
mod discovery;
mod jwk;
mod jwks;
mod jwt;
mod metadata;
mod settings;
mod statement;
mod strict_json;

pub use api_key::{GeneratedKey, generate_api_key};
pub use authenticator::{Asked, Authenticator, IssuerHealth};
pub use challenge::Refusal;
pub use crypto::{CryptoError, install_crypto};
pub use metadata::{METADATA_PREFIX, metadata_path, resource_metadata};
pub use settings::{
    CLOCK_SKEW_S_DEFAULT, DEFAULT_ALGORITHMS, DpopUse, IntrospectionSettings, IssuerSettings, JwksSource, KeySettings, Settings,
    SettingsError, TokenType,
};
pub use statement::{StatementKeys, seconds, strict_object, unverified_claims};

#[cfg(test)]
mod tests;
