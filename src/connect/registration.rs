//! Which client the gateway is at an authorization server: as the operator registered it, as its own document says, or as it
//! registered itself. A registration belongs to one server and is never shown to another.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{Desk, Link};
use crate::net::Origin;
use crate::oauth::{ClientAuth, OAuthError, OAuthErrorKind, Registration, ServerMetadata};
use crate::store::Space;
use crate::web::digest;

/// A registration that was made by asking (RFC 7591), as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    client_id: String,
    secret: Option<String>,
    keyed: bool,
    /// When the secret ends, in seconds since the Unix epoch.
    #[serde(default)]
    secret_ends_s: Option<u64>,
}

const CONTEXT: &str = "registration";

impl Desk {
    /// The metadata of the server `issuer`, lately asked for.
    pub(super) async fn server(&self, link: &Link, issuer: &str) -> Result<Arc<ServerMetadata>, OAuthError> {
        if let Some(written) = link.written_as(issuer) {
            return Ok(Arc::new(written.clone()));
        }
        // What was found under another upstream's consent says nothing about what may be contacted for this one: endpoints are
        // judged again whenever they are used.
        if let Some(known) = self.servers.get(issuer) {
            return Ok(known);
        }
        let found = Arc::new(self.client.discover_server(issuer, &link.consent).await?);
        self.servers.insert(issuer.to_owned(), found.clone());
        Ok(found)
    }

    /// The registration at `server` under which a new link is made.
    pub(super) async fn registration(&self, link: &Link, server: &ServerMetadata) -> Result<Registration, OAuthError> {
        if let Some(known) = link.registered_at(&server.issuer) {
            return Ok(known);
        }
        let stored = self.stored(link, &server.issuer).await?;
        if let Some(kept) = self.usable(link, &server.issuer, stored.as_deref()) {
            return Ok(kept);
        }
        let own = self.own(link.site.origin());
        let mut server = server.clone();
        // Nobody else can read a document of this machine.
        server.client_id_metadata_document_supported &= !is_loopback(link.site.origin());
        let made = self.client.registration(&server, None, &own, &link.consent).await?;
        if made.client_id == own.client_id() || self.keep(link, &made, stored.as_deref()).await? {
            return Ok(made);
        }
        // Somebody else registered us meanwhile: what is kept is what their account can be renewed with, and so is used by all.
        let kept = self.kept(link, &made.issuer).await?;
        kept.ok_or_else(|| failed(OAuthErrorKind::Internal, "a registration changes too fast"))
    }

    /// The registration under which the client `client_id` of `server` was made.
    pub(super) async fn registration_of(
        &self,
        link: &Link,
        server: &ServerMetadata,
        client_id: &str,
    ) -> Result<Registration, OAuthError> {
        if let Some(known) = link.registered_at(&server.issuer).filter(|known| known.client_id == client_id) {
            return Ok(known);
        }
        if let Some(kept) = self.kept(link, &server.issuer).await?.filter(|kept| kept.client_id == client_id) {
            return Ok(kept);
        }
        let own = self.own(link.site.origin());
        if own.client_id() == client_id && server.client_id_metadata_document_supported {
            // Described by our own document, nothing is kept and nothing is asked for.
            return self.client.registration(server, None, &own, &link.consent).await;
        }
        Err(failed(OAuthErrorKind::Unregistered, "the gateway is no longer registered as the client of this account"))
    }

    /// Forgets a registration that its server does not know any more, if it still is that of `client_id`: the next link registers
    /// anew. False if it was another, or there was none.
    pub(super) async fn forget_registration(&self, link: &Link, issuer: &str, client_id: &str) -> bool {
        let removed = async {
            let stored = self.stored(link, issuer).await?;
            if self.opened(link, issuer, stored.as_deref()).is_none_or(|kept| kept.client_id != client_id) {
                return Ok(false);
            }
            let key = digest(&name(link, issuer));
            let swapped = self.store.swap(Space::Registration, &key, stored.as_deref(), None, None).await;
            swapped.map_err(|error| failed(OAuthErrorKind::Internal, &error.to_string()))
        };
        removed.await.unwrap_or_else(|error: OAuthError| {
            tracing::warn!(%error, "a registration stays although it is of no use");
            false
        })
    }

    pub(super) async fn kept(&self, link: &Link, issuer: &str) -> Result<Option<Registration>, OAuthError> {
        let stored = self.stored(link, issuer).await?;
        Ok(self.usable(link, issuer, stored.as_deref()))
    }

    async fn stored(&self, link: &Link, issuer: &str) -> Result<Option<Vec<u8>>, OAuthError> {
        let stored = self.store.get(Space::Registration, &digest(&name(link, issuer))).await;
        stored.map_err(|error| failed(OAuthErrorKind::Internal, &error.to_string()))
    }

    fn opened(&self, link: &Link, issuer: &str, stored: Option<&[u8]>) -> Option<Kept> {
        let plain = self.vault.open_own(CONTEXT, &name(link, issuer), stored?).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// What is stored as a registration, unless it does not open, or its secret is over.
    fn usable(&self, link: &Link, issuer: &str, stored: Option<&[u8]>) -> Option<Registration> {
        let kept = self.opened(link, issuer, stored)?;
        if kept.secret_ends_s.is_some_and(|end| end <= self.clock.unix_s()) {
            return None;
        }
        let auth = match (kept.secret, kept.keyed, &self.key) {
            (Some(secret), ..) => ClientAuth::Secret(secret.into()),
            (None, true, Some(key)) => ClientAuth::PrivateKey(key.clone()),
            (None, true, None) => return None,
            (None, false, _) => ClientAuth::None,
        };
        Some(Registration { issuer: issuer.to_owned(), client_id: kept.client_id, auth, secret_ends_s: kept.secret_ends_s })
    }

    /// Keeps a registration in the place of `stored`; false if that is no longer what is there.
    pub(super) async fn keep(&self, link: &Link, made: &Registration, stored: Option<&[u8]>) -> Result<bool, OAuthError> {
        let internal = |why: &str| failed(OAuthErrorKind::Internal, why);
        let (secret, keyed) = match &made.auth {
            ClientAuth::Secret(secret) => (Some(exposed(secret)), false),
            ClientAuth::PrivateKey(_) => (None, true),
            ClientAuth::None | ClientAuth::Tls => (None, false),
        };
        let kept = Kept { client_id: made.client_id.clone(), secret, keyed, secret_ends_s: made.secret_ends_s };
        let plain = serde_json::to_vec(&kept).map(crate::vault::KeptBytes::new);
        let plain = plain.map_err(|_| internal("a registration cannot be written"))?;
        let name = name(link, &made.issuer);
        let closed = self.vault.close_own(CONTEXT, &name, &plain).map_err(|error| internal(&error.to_string()))?;
        let swapped = self.store.swap(Space::Registration, &digest(&name), stored, Some(&closed), None).await;
        swapped.map_err(|error| internal(&error.to_string()))
    }
}

fn exposed(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}

/// A registration holds for one server, and for the address that people come back to.
fn name(link: &Link, issuer: &str) -> String {
    format!("{} {issuer}", link.site.origin())
}

fn is_loopback(origin: &str) -> bool {
    origin.parse().ok().as_ref().and_then(Origin::of).is_some_and(|origin| origin.names_loopback())
}

pub(super) fn failed(kind: OAuthErrorKind, detail: &str) -> OAuthError {
    OAuthError { kind, detail: detail.to_owned() }
}
