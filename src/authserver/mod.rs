//! The gateway's own authorization server, in front of the identity provider of the organization.
//!
//! Layer 6. OAuth 2.1 with PKCE for clients that the provider does not know: metadata (RFC 8414), client id metadata documents,
//! dynamic registration (RFC 7591), the issuer in responses (RFC 9207), resource indicators (RFC 8707), access tokens of RFC 9068,
//! rotating refresh tokens, revocation (RFC 7009), client assertions (RFC 7523) and grants of a trusted identity provider (ID-JAG).
//! Who the person is, [`crate::signin`] finds out; what a token may do, policy decides.

mod assertion;
mod authorize;
mod cimd;
mod client;
mod client_auth;
mod code;
mod consent;
mod continued;
mod documents;
mod ended;
mod error;
mod finish;
mod grant;
mod id_jag;
mod machine;
mod metadata;
mod mint;
mod pace;
mod pending;
mod redirect;
mod refresh;
mod register;
mod registration;
mod revoke;
mod scope;
mod settings;

use std::sync::Arc;

use http::{Method, StatusCode};

pub use ended::EndedTokens;
pub use pace::Pace;
pub use redirect::{is_acceptable as is_acceptable_redirect, is_custom_scheme};
pub use settings::{CimdSettings, ClientSecret, ClientSettings, DcrSettings, Grants, KeySource, ResourceSettings, Settings};

use crate::net::Fetch;
use crate::signer::Signer;
use crate::signin::{CALLBACK_PATH, SIGN_OUT_PATH, SignIn};
use crate::store::{Store, StoreError};
use crate::vocab::{Clock, Principal};
use crate::web::{PageAnswer, PageRequest, PerAddress, Site, Verdict};
use client::Clients;
use id_jag::TrustedIssuer;

/// Where the metadata is (RFC 8414 section 3; our issuer has no path).
pub const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";
/// Beginning of every other path.
const PATH_PREFIX: &str = "/oauth/";
const AUTHORIZE: &str = "/oauth/authorize";
const CONTINUE: &str = "/oauth/authorize/continue";
const TOKEN: &str = "/oauth/token";
const REGISTER: &str = "/oauth/register";
const REVOKE: &str = "/oauth/revoke";
const JWKS: &str = "/oauth/jwks";

/// What outlives a reload of the configuration.
#[derive(Clone)]
pub struct Lasting {
    /// State.
    pub store: Store,
    /// Keys that sign.
    pub signer: Arc<Signer>,
    /// Access tokens that ended before their time.
    pub ended: Arc<EndedTokens>,
    /// How often strangers may cause work.
    pub pace: Arc<Pace>,
    /// How often one address may begin to sign in.
    pub sign_ins: Arc<PerAddress>,
}

/// The authorization server. One per configuration.
pub struct AuthServer {
    settings: Settings,
    site: Site,
    lasting: Lasting,
    sign_in: Arc<SignIn>,
    clients: Clients,
    trusted: Vec<TrustedIssuer>,
    clock: Clock,
}

impl AuthServer {
    /// A server with `settings`, where people sign in by `sign_in`.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn new(settings: Settings, lasting: Lasting, sign_in: Arc<SignIn>, clock: Clock, fetch: Fetch) -> Result<Self, String> {
        let clients = Clients::new(&settings, &lasting, &clock, &fetch)?;
        let trusted = id_jag::trusted(&settings, &clock, &fetch)?;
        Ok(Self { site: Site::new(&settings.issuer), settings, lasting, sign_in, clients, trusted, clock })
    }

    /// The same, with the keys and the documents of clients that `old` already has from the same places: a reload forgets none, so
    /// that nobody is turned away because they happen to be away.
    #[must_use]
    pub fn with_keys_of(mut self, old: &Self) -> Self {
        // Nobody else holds it before the server runs.
        if let Some(sign_in) = Arc::get_mut(&mut self.sign_in) {
            sign_in.with_keys_of(&old.sign_in);
        }
        self.clients.with_keys_of(&old.clients);
        for trusted in &mut self.trusted {
            trusted.with_keys_of(&old.trusted);
        }
        self
    }

    /// Whether `path` is one of ours.
    pub fn serves(&self, path: &str) -> bool {
        path == METADATA_PATH || path.starts_with(PATH_PREFIX)
    }

    /// Answers a request for one of our paths.
    pub async fn handle(&self, request: &PageRequest) -> PageAnswer {
        let get = matches!(request.method, Method::GET | Method::HEAD);
        let post = request.method == Method::POST;
        match request.path.as_str() {
            METADATA_PATH if get => PageAnswer::document(self.metadata(), DOCUMENT_S).action("oauth/metadata"),
            JWKS if get => PageAnswer::document(self.jwks(), DOCUMENT_S).action("oauth/jwks"),
            AUTHORIZE if request.method == Method::GET => Box::pin(self.authorize(request)).await.action("oauth/authorize"),
            AUTHORIZE if post => Box::pin(self.decided(request)).await.action("oauth/consent"),
            CONTINUE if request.method == Method::GET => Box::pin(self.continued(request)).await.action("oauth/continue"),
            CALLBACK_PATH => Box::pin(self.sign_in.callback(request)).await,
            SIGN_OUT_PATH if post || request.method == Method::GET => Box::pin(self.sign_in.sign_out(request)).await,
            TOKEN if post => Box::pin(self.token(request)).await.action("oauth/token"),
            REVOKE if post => Box::pin(self.revoke(request)).await.action("oauth/revoke"),
            REGISTER if post && self.settings.dcr.is_some() => Box::pin(self.register(request)).await.action("oauth/register"),
            path => match self.methods(path) {
                Some(allowed) => PageAnswer::wrong_method(allowed),
                None => PageAnswer::problem(StatusCode::NOT_FOUND, "There is nothing at this address.", Verdict::BadRequest),
            }
            .action("oauth"),
        }
    }

    /// The methods that one of our paths takes, as `Allow` lists them; nothing where there is nothing.
    pub fn methods(&self, path: &str) -> Option<&'static str> {
        match path {
            METADATA_PATH | JWKS => Some("GET, HEAD"),
            AUTHORIZE | SIGN_OUT_PATH => Some("GET, POST"),
            CONTINUE | CALLBACK_PATH => Some("GET"),
            TOKEN | REVOKE => Some("POST"),
            REGISTER if self.settings.dcr.is_some() => Some("POST"),
            _ => None,
        }
    }

    /// Whether the access token behind `principal` is one of ours that was revoked.
    pub fn has_ended(&self, principal: &Principal) -> bool {
        let text = |name: &str| principal.claims.get(name).and_then(serde_json::Value::as_str);
        text("iss") == Some(self.settings.issuer.as_str()) && text("jti").is_some_and(|jti| self.lasting.ended.holds(jti))
    }

    /// Changes when a token ends before its time.
    pub fn endings(&self) -> tokio::sync::watch::Receiver<()> {
        self.lasting.ended.changes()
    }

    /// Where people sign in.
    pub fn sign_in(&self) -> &Arc<SignIn> {
        &self.sign_in
    }

    /// The issuer, which is the origin clients see.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Ourselves as browsers know us.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The keys that sign now, or did, and the other keys.
    fn jwks(&self) -> bytes::Bytes {
        let signing = bytes::Bytes::clone(&self.lasting.signer.document().load());
        let other = &self.settings.other_keys;
        let set = serde_json::from_slice::<serde_json::Value>(&signing).ok().filter(|_| !other.is_empty());
        let Some(mut set) = set else { return signing };
        if let Some(keys) = set.get_mut("keys").and_then(serde_json::Value::as_array_mut) {
            keys.extend(other.iter().cloned());
        }
        set.to_string().into()
    }

    fn store(&self) -> &Store {
        &self.lasting.store
    }
}

/// How long metadata and keys may be kept by whoever reads them, in seconds.
const DOCUMENT_S: u64 = 300;

/// What cannot be written or read is a failure of the store's, whatever its cause.
fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Failed(error.to_string()))
}

#[cfg(test)]
mod tests;
