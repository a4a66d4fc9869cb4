//! What a client says of itself, in a metadata document or a registration (RFC 7591 section 2): read with one set of rules.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::error::{Code, Refused};
use super::metadata::JWT_BEARER;
use super::redirect;
use super::settings::Grants;
use crate::web::digest_text;

/// Redirect URIs of one client.
const REDIRECT_URIS_MAX: usize = 20;
/// Length of a client's name.
const NAME_CHARS_MAX: usize = 80;

/// A client's own words, as far as they count.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Registration {
    pub(super) name: Option<String>,
    pub(super) redirect_uris: Vec<String>,
    pub(super) keys: ClientKeys,
    pub(super) refresh_token: bool,
    pub(super) jwt_bearer: bool,
}

/// How it shows that it is itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum ClientKeys {
    /// It does not: a public client.
    None,
    /// Assertions, verified with this key set.
    Document(String),
    /// Assertions, verified with the key set at this URL.
    Url(String),
}

fn wrong(words: &'static str) -> Refused {
    Refused::new(Code::InvalidClientMetadata, words)
}

impl Registration {
    /// Reads `members`. `native` says whether the client runs on a person's machine; without, its addresses tell.
    pub(super) fn read(members: &Map<String, Value>, native: Option<bool>) -> Result<Self, Refused> {
        let redirect_uris = texts(members, "redirect_uris")?.unwrap_or_default();
        if redirect_uris.is_empty() || redirect_uris.len() > REDIRECT_URIS_MAX {
            return Err(Refused::new(Code::InvalidRedirectUri, "redirect_uris must hold 1 to 20 addresses"));
        }
        for uri in &redirect_uris {
            // OpenID Connect Registration 1.0 section 2: what runs on a server has https, what runs on a machine may have loopback.
            if !redirect::is_acceptable(uri) || (native == Some(false) && redirect::is_local(uri)) {
                let words = "a redirect URI must be https, or (application_type native) http to 127.0.0.1, [::1] or localhost";
                return Err(Refused::new(Code::InvalidRedirectUri, words));
            }
        }
        let grants = texts(members, "grant_types")?;
        let grant = |name: &str| grants.as_ref().is_some_and(|grants| grants.iter().any(|grant| grant == name));
        if grants.is_some() && !grant("authorization_code") && !grant(JWT_BEARER) {
            return Err(wrong("grant_types must hold authorization_code"));
        }
        if texts(members, "response_types")?.is_some_and(|types| types.iter().any(|kind| kind != "code")) {
            return Err(wrong("the only response type is code"));
        }
        let name = text(members, "client_name")?.map(|name| name.chars().take(NAME_CHARS_MAX).collect());
        let keys = keys(members)?;
        let jwt_bearer = grant(JWT_BEARER) && !matches!(keys, ClientKeys::None);
        Ok(Self { name, redirect_uris, keys, refresh_token: grant("refresh_token"), jwt_bearer })
    }

    pub(super) fn grants(&self) -> Grants {
        Grants {
            authorization_code: true,
            refresh_token: self.refresh_token,
            client_credentials: false,
            jwt_bearer: self.jwt_bearer,
        }
    }

    /// Tells whether a registration is the one that a person said yes to.
    pub(super) fn digest(&self) -> String {
        digest_text(&serde_json::to_string(self).unwrap_or_default())
    }
}

fn keys(members: &Map<String, Value>) -> Result<ClientKeys, Refused> {
    match text(members, "token_endpoint_auth_method")?.as_deref() {
        None | Some("none") => Ok(ClientKeys::None),
        Some("private_key_jwt") => match (members.get("jwks"), text(members, "jwks_uri")?) {
            (Some(jwks @ Value::Object(_)), None) => Ok(ClientKeys::Document(jwks.to_string())),
            (None, Some(uri)) => {
                let https = Url::parse(&uri).is_ok_and(|url| url.scheme() == "https");
                https.then_some(ClientKeys::Url(uri)).ok_or(wrong("jwks_uri must be an https URL"))
            }
            _ => Err(wrong("private_key_jwt needs one of jwks and jwks_uri")),
        },
        // A secret in a public document is none; and nobody is given one here.
        Some(_) => Err(wrong("token_endpoint_auth_method must be none or private_key_jwt")),
    }
}

pub(super) fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Refused> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong("a member that must be a text is not")),
    }
}

fn texts(members: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, Refused> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(all)) => {
            let all: Option<Vec<String>> = all.iter().map(|one| one.as_str().map(str::to_owned)).collect();
            all.map(Some).ok_or(wrong("a member that must be a list of texts is not"))
        }
        Some(_) => Err(wrong("a member that must be a list of texts is not")),
    }
}
