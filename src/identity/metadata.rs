//! Protected-resource metadata (RFC 9728).

use bytes::Bytes;
use serde_json::json;

use super::challenge::Resource;

/// Where metadata lives; the path of the route follows.
pub const METADATA_PREFIX: &str = "/.well-known/oauth-protected-resource";

/// The path of the metadata of the route at path `route` (RFC 9728 section 3.1): the well-known part goes before the route's
/// path, and `/` alone adds nothing.
pub fn metadata_path(route: &str) -> String {
    format!("{METADATA_PREFIX}{}", if route == "/" { "" } else { route })
}

/// The metadata document of `resource`, with the issuers a client can get a token from.
///
/// `resource` is byte for byte the URL that clients use (RFC 9728 section 3.3). `scopes_supported` are the scopes of the
/// route, never the catalogue of what policy might ask for.
pub fn resource_metadata(resource: &Resource, issuers: &[&str]) -> Bytes {
    let mut document = json!({
        "resource": resource.url,
        "authorization_servers": issuers,
        "bearer_methods_supported": ["header"],
    });
    if let (Some(members), false) = (document.as_object_mut(), resource.scopes.is_empty()) {
        members.insert("scopes_supported".to_owned(), json!(resource.scopes));
    }
    Bytes::from(document.to_string())
}
