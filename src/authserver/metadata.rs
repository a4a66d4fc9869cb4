//! The server's description of itself (RFC 8414).

use bytes::Bytes;
use serde_json::{Value, json};

use super::{AUTHORIZE, AuthServer, JWKS, REGISTER, REVOKE, TOKEN};

/// Grant type of RFC 7523.
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Grant profile of ID-JAG.
const ID_JAG_PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

impl AuthServer {
    pub(super) fn metadata(&self) -> Bytes {
        let settings = &self.settings;
        let mut grants = vec!["authorization_code", "refresh_token"];
        if settings.clients.iter().any(|client| client.grants.client_credentials) {
            grants.push("client_credentials");
        }
        if !settings.id_jag.is_empty() {
            grants.push(JWT_BEARER);
        }
        // The scopes that routes need at least, not everything that could be asked for.
        let mut scopes: Vec<&str> = settings.resources.iter().flat_map(|r| &r.scopes).map(String::as_str).collect();
        scopes.sort_unstable();
        scopes.dedup();
        let methods = ["none", "private_key_jwt", "client_secret_basic"];
        let algorithms = ["ES256", "EdDSA", "RS256"];
        let mut document = json!({
            "issuer": settings.issuer,
            "authorization_endpoint": self.site.url(AUTHORIZE),
            "token_endpoint": self.site.url(TOKEN),
            "jwks_uri": self.site.url(JWKS),
            "revocation_endpoint": self.site.url(REVOKE),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": grants,
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "revocation_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
            "authorization_response_iss_parameter_supported": true,
            "client_id_metadata_document_supported": settings.cimd.is_some(),
            "protected_resources": settings.resources.iter().map(|r| r.url.as_str()).collect::<Vec<_>>(),
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
        });
        let mut add = |name: &str, value: Value| {
            if let Some(members) = document.as_object_mut() {
                members.insert(name.to_owned(), value);
            }
        };
        if !scopes.is_empty() {
            add("scopes_supported", json!(scopes));
        }
        if settings.dcr.is_some() {
            add("registration_endpoint", json!(self.site.url(REGISTER)));
        }
        if !settings.id_jag.is_empty() {
            add("authorization_grant_profiles_supported", json!([ID_JAG_PROFILE]));
        }
        Bytes::from(document.to_string())
    }
}
