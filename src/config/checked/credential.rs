//! What the gateway shows an upstream, checked.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

/// What the gateway shows an upstream. Never anything a client sent.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Nothing.
    None,
    /// `Authorization: Bearer`; visible ASCII without spaces.
    Bearer(SecretString),
    /// A header of its own.
    Header {
        /// Lower-case header name; none that the gateway sets itself.
        name: String,
        /// A valid header value.
        value: SecretString,
    },
    /// A client certificate, from PEM files.
    Mtls {
        /// The chain.
        cert: PathBuf,
        /// The private key; not readable by group or others.
        key: PathBuf,
    },
    /// A token for the gateway itself (OAuth 2.1 section 4.2).
    ClientCredentials {
        /// Who makes it.
        server: TokenServer,
        /// What is asked for.
        asked: TokenAsked,
    },
    /// A token on behalf of the caller (RFC 8693).
    TokenExchange {
        /// Who makes it.
        server: TokenServer,
        /// What is asked for.
        asked: TokenAsked,
        /// The `audience` parameter.
        audience: Option<String>,
        /// The gateway is named as actor.
        actor: bool,
        /// The issuer whose callers are people there.
        subject_issuer: String,
    },
    /// A token on behalf of the caller, by an ID-JAG.
    IdJag {
        /// Who vouches for the caller.
        idp: TokenServer,
        /// Who makes the token.
        server: TokenServer,
        /// What is asked for.
        asked: TokenAsked,
        /// On whose behalf.
        subject: JagSubject,
    },
    /// A token of the caller's own, who linked an account.
    PerUser(PerUser),
}

impl Credential {
    /// Whether two callers are shown as two.
    pub fn is_personal(&self) -> bool {
        self.is_asserted() || self.signs_in() || matches!(self, Self::PerUser(_))
    }

    /// Whether it takes the caller's own sign-in at the gateway.
    pub fn signs_in(&self) -> bool {
        matches!(self, Self::IdJag { subject: JagSubject::Person, .. })
    }

    /// Whether the gateway asserts who the caller is.
    pub fn is_asserted(&self) -> bool {
        matches!(self, Self::TokenExchange { .. } | Self::IdJag { subject: JagSubject::Caller { .. }, .. })
    }
}

/// How people link accounts at an upstream.
#[derive(Clone, Debug, Default)]
pub struct PerUser {
    /// The only authorization server that is used; absent: the first that the upstream names.
    pub issuer: Option<String>,
    /// The gateway's client id there; absent: a metadata document, else registration.
    pub client_id: Option<String>,
    /// Its secret; never without an issuer.
    pub client_secret: Option<SecretString>,
    /// Scopes to ask for; empty: as the upstream says.
    pub scopes: Vec<String>,
    /// Its authorization and token endpoints, instead of its metadata; never without an issuer and a client id.
    pub endpoints: Option<(Url, Url)>,
    /// The `resource` parameter: as the upstream says, as written, or (never without an issuer) none.
    pub resource: ResourceSent,
    /// The issuer takes PKCE although it does not say so; never without an issuer.
    pub pkce_unannounced: bool,
}

/// What is sent as `resource` (RFC 8707).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResourceSent {
    /// What the upstream's metadata says.
    #[default]
    Said,
    /// This.
    Written(String),
    /// Nothing.
    None,
}

/// An authorization server, and the gateway as its client.
#[derive(Clone, Debug)]
pub struct TokenServer {
    /// Its issuer; this or the token endpoint is given.
    pub issuer: Option<String>,
    /// Its token endpoint.
    pub token_url: Option<Url>,
    /// The gateway's client id.
    pub client_id: String,
    /// The gateway's proof.
    pub proof: ClientProof,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
}

/// What a client proves itself with.
#[derive(Clone, Debug)]
pub enum ClientProof {
    /// A shared secret.
    Secret(SecretString),
    /// A private key.
    PrivateKey {
        /// A PEM file; not readable by group or others.
        file: PathBuf,
        /// What the server calls it; absent: its thumbprint.
        key_id: Option<String>,
    },
}

/// On whose behalf an identity provider is asked for an assertion.
#[derive(Clone, Debug)]
pub enum JagSubject {
    /// Each caller, whom the gateway names.
    Caller {
        /// The issuer whose callers are people there.
        issuer: String,
    },
    /// Each caller, by the ID token of their own sign-in at the gateway: the identity provider is that of `authserver.upstream`.
    Person,
    /// One workload for everybody.
    Workload {
        /// Its token at the identity provider; visible ASCII.
        token: SecretString,
        /// What kind of token that is.
        kind: SubjectTokenType,
    },
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct TokenAsked {
    /// Scopes.
    pub scopes: Vec<String>,
    /// The resource; absent: the upstream's URL.
    pub resource: Option<String>,
}

/// Kinds of a token that names somebody (RFC 8693 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectTokenType {
    /// An ID token (OpenID Connect).
    IdToken,
    /// A JWT of another kind.
    Jwt,
    /// An access token of the identity provider.
    AccessToken,
}
