//! What an operator says about a credential, checked.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::person::{PersonTokens, Subject, SubjectAssertions};

/// What an HTTP upstream is shown.
#[derive(Clone)]
pub enum Credential {
    /// Nothing.
    None,
    /// `Authorization: Bearer …`
    Bearer(SecretString),
    /// A header of the operator's choice.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value.
        value: SecretString,
    },
    /// A client certificate (PEM texts).
    Mtls {
        /// The chain.
        chain: Vec<u8>,
        /// The private key.
        key: SecretString,
    },
    /// A token that an authorization server makes when it is needed.
    Issued(Box<Issuance>),
    /// A token of the person's own.
    PerUser(Arc<dyn PersonTokens>),
}

/// How tokens for an upstream come about.
#[derive(Clone)]
pub struct Issuance {
    /// By which grant.
    pub issue: Issue,
    /// The server that makes tokens for the upstream.
    pub server: TokenServer,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// The `resource` parameter; `None`: the upstream's URL.
    pub resource: Option<String>,
}

/// A grant.
#[derive(Clone)]
pub enum Issue {
    /// For the gateway itself: one token for everybody.
    ClientCredentials,
    /// On behalf of a person (RFC 8693).
    Exchange {
        /// The `audience` parameter.
        audience: Option<String>,
        /// Whether the gateway is named as actor.
        actor: bool,
        /// Whose principals are people there.
        subjects: Subjects,
    },
    /// On behalf of a person, by an identity assertion of the identity provider (ID-JAG).
    IdJag {
        /// The identity provider's token endpoint.
        idp: TokenServer,
        /// On whose behalf.
        subject: JagSubject,
    },
}

/// Whose token an identity provider is shown.
#[derive(Clone)]
pub enum JagSubject {
    /// The caller's, as the gateway asserts.
    Caller(Subjects),
    /// A workload's own: one token for everybody.
    Workload(Subject),
}

/// Who is asserted, and by whom.
#[derive(Clone)]
pub struct Subjects {
    /// The only issuer whose principals are asserted: a subject means nothing without its issuer.
    pub issuer: String,
    /// Makes the assertions.
    pub assertions: Arc<dyn SubjectAssertions>,
}

/// An authorization server and the gateway as its client. Either its issuer or its token endpoint is written.
#[derive(Clone)]
pub struct TokenServer {
    /// Its issuer.
    pub issuer: Option<String>,
    /// Its token endpoint.
    pub token_url: Option<Url>,
    /// The gateway's client id there.
    pub client_id: String,
    /// The gateway's proof.
    pub proof: ClientProof,
    /// The written URLs may be at private addresses.
    pub allow_private: bool,
}

/// What a client proves itself with.
#[derive(Clone)]
pub enum ClientProof {
    /// A shared secret.
    Secret(SecretString),
    /// A private key.
    PrivateKey {
        /// As PEM text.
        pem: SecretString,
        /// Its `kid`; `None`: the thumbprint (RFC 7638).
        key_id: Option<String>,
    },
}

impl Credential {
    /// True if nothing differs. Secrets are compared in constant time.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Bearer(a), Self::Bearer(b)) => same_secret(a, b),
            (Self::Header { name, value }, Self::Header { name: n, value: v }) => name == n && same_secret(value, v),
            (Self::Mtls { chain, key }, Self::Mtls { chain: c, key: k }) => chain == c && same_secret(key, k),
            (Self::Issued(a), Self::Issued(b)) => a.same_as(b),
            (Self::PerUser(a), Self::PerUser(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// The kind, as the config calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer(_) => "bearer",
            Self::Header { .. } => "header",
            Self::Mtls { .. } => "mtls",
            Self::PerUser(_) => "per_user",
            Self::Issued(issuance) => match issuance.issue {
                Issue::ClientCredentials => "client_credentials",
                Issue::Exchange { .. } => "token_exchange",
                Issue::IdJag { .. } => "id_jag",
            },
        }
    }
}

impl Issuance {
    fn same_as(&self, other: &Self) -> bool {
        let issue = match (&self.issue, &other.issue) {
            (Issue::ClientCredentials, Issue::ClientCredentials) => true,
            (Issue::Exchange { audience, actor, subjects }, Issue::Exchange { audience: a, actor: b, subjects: s }) => {
                (audience, actor) == (a, b) && subjects.same_as(s)
            }
            (Issue::IdJag { idp, subject }, Issue::IdJag { idp: i, subject: s }) => idp.same_as(i) && subject.same_as(s),
            _ => false,
        };
        issue && self.server.same_as(&other.server) && (&self.scopes, &self.resource) == (&other.scopes, &other.resource)
    }
}

impl JagSubject {
    fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Caller(a), Self::Caller(b)) => a.same_as(b),
            (Self::Workload(a), Self::Workload(b)) => a.kind == b.kind && same_secret(&a.token, &b.token),
            _ => false,
        }
    }
}

impl Subjects {
    fn same_as(&self, other: &Self) -> bool {
        self.issuer == other.issuer && Arc::ptr_eq(&self.assertions, &other.assertions)
    }
}

impl TokenServer {
    fn same_as(&self, other: &Self) -> bool {
        let proof = match (&self.proof, &other.proof) {
            (ClientProof::Secret(a), ClientProof::Secret(b)) => same_secret(a, b),
            (ClientProof::PrivateKey { pem, key_id }, ClientProof::PrivateKey { pem: p, key_id: k }) => {
                key_id == k && same_secret(pem, p)
            }
            _ => false,
        };
        proof
            && (&self.issuer, &self.token_url, &self.client_id, self.allow_private)
                == (&other.issuer, &other.token_url, &other.client_id, other.allow_private)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credential").field(&self.kind()).finish()
    }
}

pub(crate) fn same_secret(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret().as_bytes().ct_eq(b.expose_secret().as_bytes()).into()
}
