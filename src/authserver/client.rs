//! Clients, whichever way they became known: by the operator, by their document, by registration.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use url::Url;

use super::documents::Documents;
use super::error::{Code, Refused};
use super::registration::{ClientKeys, Registration};
use super::settings::{CimdSettings, ClientSecret, ClientSettings, Grants, KeySource, Settings};
use super::{Lasting, cimd};
use crate::identity::{IssuerSettings, JwksSource, StatementKeys};
use crate::net::{DialPolicy, Fetch};
use crate::store::Space;
use crate::vocab::Clock;
use crate::vocab::limits::JWKS_BYTES_MAX;
use crate::web::{digest, digest_text};

/// Length of a client id; those that are URLs are long.
pub(super) const CLIENT_ID_BYTES_MAX: usize = 1_024;

/// A client.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) kind: Kind,
    pub(super) redirect_uris: Vec<String>,
    pub(super) auth: Auth,
    pub(super) grants: Grants,
    /// Changes when what a person said yes to changes.
    pub(super) digest: String,
}

/// How it became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The operator configured it.
    Configured,
    /// Its id is the URL of its document, at this host.
    Document(String),
    /// It registered itself.
    Registered,
}

/// How it shows that it is itself.
pub(super) enum Auth {
    /// It does not: a public client.
    None,
    /// A secret with this SHA-256.
    Secret([u8; 32]),
    /// Assertions.
    Keys(Box<StatementKeys>),
}

/// Where clients are looked up.
pub(super) struct Clients {
    configured: HashMap<String, Arc<Client>>,
    pub(super) documents: Documents,
    pub(super) cimd: Option<CimdSettings>,
    dcr: bool,
    pub(super) lasting: Lasting,
    pub(super) clock: Clock,
    pub(super) fetch: Fetch,
}

impl Clients {
    pub(super) fn new(settings: &Settings, lasting: &Lasting, clock: &Clock, fetch: &Fetch) -> Result<Self, String> {
        let mut configured = HashMap::new();
        for client in &settings.clients {
            configured.insert(client.client_id.clone(), Arc::new(known(client, clock, fetch)?));
        }
        Ok(Self {
            configured,
            documents: Documents::new(),
            cimd: settings.cimd.clone(),
            dcr: settings.dcr.is_some(),
            lasting: lasting.clone(),
            clock: clock.clone(),
            fetch: fetch.clone(),
        })
    }

    /// The client `id`, for somebody at `peer`.
    pub(super) async fn find(&self, id: &str, peer: Option<IpAddr>) -> Result<Arc<Client>, Refused> {
        let unknown = || Refused::new(Code::InvalidClient, "the client is not known here");
        if id.len() > CLIENT_ID_BYTES_MAX {
            return Err(unknown());
        }
        if let Some(client) = self.configured.get(id) {
            return Ok(client.clone());
        }
        if let (Some(cimd), true) = (&self.cimd, id.starts_with("https://")) {
            return self.document(cimd, id, peer).await;
        }
        if !self.dcr {
            return Err(unknown());
        }
        let value = self.lasting.store.get(Space::Client, &digest(id)).await?.ok_or_else(unknown)?;
        let registration: Registration = serde_json::from_slice(&value).map_err(|_| unknown())?;
        self.of_registration(id, Kind::Registered, &registration).await.map(Arc::new)
    }

    /// Takes over the keys of configured clients that `old` got from the same places, and its documents if the same are accepted.
    pub(super) fn with_keys_of(&mut self, old: &Self) {
        for (id, client) in &mut self.configured {
            if let (Some(client), Some(same)) = (Arc::get_mut(client), old.configured.get(id))
                && let (Auth::Keys(keys), Auth::Keys(known)) = (&mut client.auth, &same.auth)
            {
                keys.with_keys_of(known);
            }
        }
        if self.cimd == old.cimd {
            self.documents = old.documents.clone();
        }
    }

    pub(super) fn fetcher(&self) -> Fetch {
        self.fetch.clone()
    }

    /// A client by its registration, whose keys are fetched where they are elsewhere.
    pub(super) async fn of_registration(&self, id: &str, kind: Kind, registration: &Registration) -> Result<Client, Refused> {
        let unusable = |why: String| Refused::new(Code::InvalidClient, "the client's keys cannot be used").because(why);
        let of_document = |document| StatementKeys::of_document(document, self.clock.clone(), self.fetch.clone());
        let auth = match &registration.keys {
            ClientKeys::None => Auth::None,
            ClientKeys::Document(jwks) => Auth::Keys(Box::new(of_document(jwks.clone().into()).map_err(unusable)?)),
            ClientKeys::Url(url) => {
                // An address that a stranger wrote: consent to private ones was given for the hosts of the list only.
                let url: Url = url.parse().map_err(|_| unusable("not a URL".to_owned()))?;
                let cimd = self.cimd.as_ref().filter(|cimd| cimd::is_listed(cimd, &url));
                let dial = cimd.map_or(DialPolicy::default(), |cimd| cimd::dial(cimd, &url));
                let got = self.fetch.get(&url, dial, JWKS_BYTES_MAX).await;
                let got = got.map_err(|error| match cimd::is_temporary(&error) {
                    true => Refused::new(Code::ServerError, "the client's keys cannot be fetched now").because(error.to_string()),
                    false => unusable(error.to_string()),
                })?;
                Auth::Keys(Box::new(of_document(got.body).map_err(unusable)?))
            }
        };
        Ok(Client {
            id: id.to_owned(),
            name: registration.name.clone(),
            kind,
            redirect_uris: registration.redirect_uris.clone(),
            auth,
            grants: registration.grants(),
            digest: registration.digest(),
        })
    }
}

/// A client of the operator's.
fn known(settings: &ClientSettings, clock: &Clock, fetch: &Fetch) -> Result<Client, String> {
    let id = &settings.client_id;
    let keys = |source: &KeySource| {
        let issuer = match source {
            KeySource::Document(document) => IssuerSettings::new(id.clone(), JwksSource::Static(document.clone())),
            KeySource::Url { url, allow_private_addresses } => IssuerSettings {
                allow_private_addresses: *allow_private_addresses,
                ..IssuerSettings::new(id.clone(), JwksSource::Url(url.clone()))
            },
        };
        StatementKeys::of_issuer(&issuer, clock.clone(), fetch.clone()).map_err(|why| format!("client {id:?}: jwks: {why}"))
    };
    let auth = match &settings.secret {
        None => Auth::None,
        Some(ClientSecret::Sha256(hash)) => Auth::Secret(*hash),
        Some(ClientSecret::Keys(source)) => Auth::Keys(Box::new(keys(source)?)),
    };
    Ok(Client {
        id: id.clone(),
        name: Some(settings.name.clone()),
        kind: Kind::Configured,
        redirect_uris: settings.redirect_uris.clone(),
        auth,
        grants: settings.grants,
        digest: digest_text(&format!("{id} {:?}", settings.redirect_uris)),
    })
}
