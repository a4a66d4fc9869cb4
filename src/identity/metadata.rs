//! Protected-resource metadata (RFC 9728).

use bytes::Bytes;
use serde_json::{Value, json};

use super::dpop::ALGORITHMS;
use crate::vocab::{Proof, Resource};

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
/// route, never the catalogue of what policy might ask for. A route that asks for proof says which it takes: a client learns
/// here, before its first request, what kind of token to get.
pub fn resource_metadata(resource: &Resource, issuers: &[&str]) -> Bytes {
    let mut document = json!({
        "resource": resource.url,
        "authorization_servers": issuers,
        "bearer_methods_supported": ["header"],
    });
    if let Some(members) = document.as_object_mut() {
        let mut say = |name: &str, value: Value| members.insert(name.to_owned(), value);
        if !resource.scopes.is_empty() {
            say("scopes_supported", json!(resource.scopes));
        }
        if matches!(resource.proof, Proof::Dpop | Proof::Any) {
            let names: Vec<String> = ALGORITHMS.iter().map(|algorithm| format!("{algorithm:?}")).collect();
            say("dpop_signing_alg_values_supported", json!(names));
        }
        if resource.proof == Proof::Dpop {
            say("dpop_bound_access_tokens_required", json!(true));
        }
        if matches!(resource.proof, Proof::Mtls | Proof::Any) {
            say("tls_client_certificate_bound_access_tokens", json!(true));
        }
    }
    Bytes::from(document.to_string())
}
