//! What the config says of upstreams at which people link accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use url::Url;

use super::PAGES_PATH;
use crate::net::DialPolicy;
use crate::oauth::{ClientAuth, Consent, Registration, ServerMetadata};
use crate::vault::{Held, VaultKey};
use crate::vocab::PrincipalKey;
use crate::web::Site;

/// Upstreams at which people link accounts, by name.
pub type Links = BTreeMap<Arc<str>, Arc<Link>>;

/// One such upstream.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name.
    pub upstream: Arc<str>,
    /// Its endpoint.
    pub url: Url,
    /// There is no account: the upstream takes the person's own sign-in at the gateway (ID-JAG).
    pub by_sign_in: bool,
    /// Addresses at which the endpoint may be.
    pub dial: DialPolicy,
    /// The only authorization server that is used, where the operator named one.
    pub issuer: Option<String>,
    /// How the gateway is registered there, where the operator did that.
    pub registered: Option<OwnRegistration>,
    /// Scopes to ask for, whatever the upstream says; empty: as it says.
    pub scopes: Vec<String>,
    /// The operator knows that [`Self::issuer`] takes PKCE although its metadata does not say so.
    pub pkce_unannounced: bool,
    /// The server as the operator wrote it, in the place of its metadata.
    pub written: Option<ServerMetadata>,
    /// What is sent as `resource`: `None` as the upstream says, an empty text for nothing.
    pub resource: Option<String>,
    /// What the operator wrote, and so may be contacted.
    pub consent: Consent,
    /// Ourselves as browsers know us.
    pub site: Site,
    /// The issuer of the people who can sign in at the gateway.
    pub people: Arc<str>,
}

/// A registration that the operator made.
#[derive(Clone, Debug)]
pub struct OwnRegistration {
    /// The client id.
    pub client_id: String,
    /// The secret, unless the client is public. Only with [`Link::issuer`]: it is shown to nobody else.
    pub secret: Option<SecretString>,
}

/// What a token is for: where it may be shown.
#[derive(Debug)]
pub(super) struct Grant {
    resource: Option<Url>,
    issuer: Arc<str>,
    client_id: Arc<str>,
}

impl Grant {
    pub(super) fn of(held: &Held) -> Self {
        let VaultKey { issuer, client_id, .. } = held.key.clone();
        Self { resource: Url::parse(&held.account.resource).ok(), issuer, client_id }
    }
}

impl Link {
    /// The page where the account is linked, for whoever signs in there.
    pub fn page(&self) -> String {
        self.site.url(&format!("{PAGES_PATH}{}", self.upstream))
    }

    /// Whether `who` is somebody who could sign in and link an account.
    pub fn is_for(&self, who: &PrincipalKey) -> bool {
        who.iss == self.people
    }

    /// Whether tokens may still be shown to this upstream: they are for its present endpoint, of the server and for the client that
    /// the config names.
    pub(super) fn covers(&self, grant: &Grant) -> bool {
        let here = grant.resource.as_ref().is_some_and(|resource| {
            resource.origin() == self.url.origin() && (resource.path() == self.url.path() || resource.path() == "/")
        });
        let issuer = self.issuer.as_deref().is_none_or(|issuer| issuer == &*grant.issuer);
        let client = self.registered.as_ref().is_none_or(|own| own.client_id == *grant.client_id);
        here && issuer && client
    }

    /// The `resource` parameter for tokens for `resource`, this upstream; empty: none is sent.
    pub(super) fn resource_sent<'a>(&'a self, resource: &'a str) -> &'a str {
        self.resource.as_deref().unwrap_or(resource)
    }

    /// The server as the operator wrote it, if `issuer` is its name.
    pub(super) fn written_as(&self, issuer: &str) -> Option<&ServerMetadata> {
        self.written.as_ref().filter(|server| server.issuer == issuer)
    }

    /// Whether the operator registered the gateway as `client_id`.
    pub(super) fn is_registered_as(&self, client_id: &str) -> bool {
        self.registered.as_ref().is_some_and(|own| own.client_id == client_id)
    }

    /// The registration that the operator made, at `issuer`.
    pub(super) fn registered_at(&self, issuer: &str) -> Option<Registration> {
        let own = self.registered.as_ref()?;
        let auth = own.secret.clone().map_or(ClientAuth::None, ClientAuth::Secret);
        Some(Registration { issuer: issuer.to_owned(), client_id: own.client_id.clone(), auth, secret_ends_s: None })
    }
}
