//! Protected-resource metadata (RFC 9728): which authorization servers an upstream names, and that it is the one meant.

use serde::Deserialize;
use url::Url;

use super::challenge::Challenge;
use super::consent::Consent;
use super::error::{OAuthError, OAuthErrorKind};
use super::{Client, LIST_ENTRIES_MAX, is_scope, shown};

/// What a resource says of itself, after it was found to be the resource meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedResource {
    /// The `resource` parameter of every request for a token for it (RFC 8707).
    pub resource: String,
    /// Issuers of its authorization servers, at least one.
    pub authorization_servers: Vec<String>,
    /// Scopes it knows.
    pub scopes_supported: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// The canonical URI of a resource (MCP authorization, "Canonical Server URI"): no fragment, no slash for an empty path.
pub fn canonical(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    let empty_path = url.path() == "/" && url.query().is_none();
    let text = url.as_str();
    if empty_path { text.strip_suffix('/').unwrap_or(text) } else { text }.to_owned()
}

impl Client {
    /// The metadata of the upstream at `upstream`: where `challenge` says, else at the well-known place of its path, else at
    /// the root.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Mismatch`] if the metadata is of another resource; otherwise what went wrong at the last place.
    pub async fn discover_protected(
        &self,
        upstream: &Url,
        challenge: Option<&Challenge>,
        consent: &Consent,
    ) -> Result<ProtectedResource, OAuthError> {
        if let Some(place) = challenge.and_then(Challenge::resource_metadata) {
            let place = Url::parse(place).map_err(|_| OAuthError::malformed("the challenge's resource_metadata is no URL"))?;
            return read(self.document(&place, consent).await?, upstream, false);
        }
        let [own, root] = places(upstream);
        let first = self.document(&own, consent).await;
        match first {
            Err(error) if own != root && error.kind != OAuthErrorKind::Refused => {
                read(self.document(&root, consent).await?, upstream, true)
            }
            document => read(document?, upstream, own == root),
        }
    }
}

/// The well-known places of a resource: with its path inserted, and at the root (RFC 9728 section 3.1).
fn places(upstream: &Url) -> [Url; 2] {
    let at = |path: &str| {
        let mut url = upstream.clone();
        url.set_path(path);
        url.set_query(None);
        url.set_fragment(None);
        url
    };
    let path = upstream.path().trim_end_matches('/');
    [at(&format!("/.well-known/oauth-protected-resource{path}")), at("/.well-known/oauth-protected-resource")]
}

/// RFC 9728 section 3.3: a document of another resource is not used. The one at the root may also be about the whole origin.
fn read(document: Document, upstream: &Url, at_root: bool) -> Result<ProtectedResource, OAuthError> {
    let wanted = canonical(upstream);
    let named = Url::parse(&document.resource).map_err(|_| OAuthError::malformed("the metadata's resource is no URL"))?;
    let origin = upstream.origin().ascii_serialization();
    if canonical(&named) != wanted && !(at_root && canonical(&named) == origin) {
        let near = canonical(&named).trim_end_matches('/') == wanted.trim_end_matches('/');
        let hint = if near { ": they differ in a slash at the end; write the URL as the upstream does" } else { "" };
        return Err(OAuthError::mismatch(format!("the metadata of {} is of another resource{hint}", shown(upstream))));
    }
    let authorization_servers: Vec<String> = document.authorization_servers.into_iter().take(LIST_ENTRIES_MAX).collect();
    if authorization_servers.is_empty() {
        return Err(OAuthError::malformed(format!("{} names no authorization server", shown(upstream))));
    }
    Ok(ProtectedResource {
        resource: document.resource,
        authorization_servers,
        scopes_supported: document.scopes_supported.into_iter().filter(|scope| is_scope(scope)).take(LIST_ENTRIES_MAX).collect(),
    })
}
