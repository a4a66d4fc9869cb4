//! Authorization-server metadata (RFC 8414, OpenID Connect Discovery 1.0).

use serde::{Deserialize, Serialize};
use url::Url;

use super::consent::Consent;
use super::error::{OAuthError, OAuthErrorKind};
use super::{Client, LIST_ENTRIES_MAX, is_scope, shown};

/// What an authorization server says of itself. Its endpoints are learnt: each is judged by [`Consent`] when it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMetadata {
    /// Its identifier, exactly as asked for.
    pub issuer: String,
    /// Where people consent.
    #[serde(default)]
    pub authorization_endpoint: Option<Url>,
    /// Where tokens are made.
    pub token_endpoint: Url,
    /// Where clients register (RFC 7591).
    #[serde(default)]
    pub registration_endpoint: Option<Url>,
    /// Where tokens are revoked (RFC 7009).
    #[serde(default)]
    pub revocation_endpoint: Option<Url>,
    /// Where tokens are looked into (RFC 7662).
    #[serde(default)]
    pub introspection_endpoint: Option<Url>,
    /// Its keys.
    #[serde(default)]
    pub jwks_uri: Option<Url>,
    /// Scopes it knows.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
    /// PKCE methods. Absent means none, in documents of both kinds.
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    /// How clients may prove who they are; absent means `client_secret_basic` (RFC 8414 section 2).
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Grants.
    #[serde(default)]
    pub grant_types_supported: Option<Vec<String>>,
    /// Whether authorization responses carry `iss` (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// Whether a client id may be the URL of a metadata document.
    #[serde(default)]
    pub client_id_metadata_document_supported: bool,
    /// Profiles of grants, such as that of ID-JAG.
    #[serde(default)]
    pub authorization_grant_profiles_supported: Vec<String>,
}

impl ServerMetadata {
    /// A server of which the operator wrote the token endpoint, and perhaps its issuer; nothing else is known. Without an
    /// issuer assertions are addressed to the endpoint.
    pub fn written(token_endpoint: Url, issuer: Option<&str>) -> Self {
        Self {
            issuer: issuer.map_or_else(|| token_endpoint.as_str().to_owned(), str::to_owned),
            authorization_endpoint: None,
            token_endpoint,
            registration_endpoint: None,
            revocation_endpoint: None,
            introspection_endpoint: None,
            jwks_uri: None,
            scopes_supported: Vec::new(),
            code_challenge_methods_supported: Vec::new(),
            token_endpoint_auth_methods_supported: None,
            grant_types_supported: None,
            authorization_response_iss_parameter_supported: false,
            client_id_metadata_document_supported: false,
            authorization_grant_profiles_supported: Vec::new(),
        }
    }

    /// Whether PKCE with S256 is announced, without which no flow is started.
    pub fn has_s256(&self) -> bool {
        self.code_challenge_methods_supported.iter().any(|method| method == "S256")
    }

    /// Whether clients may authenticate by `method`; where the server says nothing, as RFC 8414 has it.
    pub fn accepts(&self, method: &str) -> bool {
        match &self.token_endpoint_auth_methods_supported {
            Some(methods) => methods.iter().any(|one| one == method),
            None => method == "client_secret_basic",
        }
    }
}

impl Client {
    /// The metadata of the authorization server called `issuer`: three well-known places in order (MCP authorization,
    /// "Authorization Server Metadata Discovery"), two without a path.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Mismatch`] if a document names another issuer, compared byte for byte; otherwise what went wrong at
    /// the last place.
    pub async fn discover_server(&self, issuer: &str, consent: &Consent) -> Result<ServerMetadata, OAuthError> {
        let base = Url::parse(issuer).map_err(|_| OAuthError::malformed("the issuer is no URL"))?;
        if base.query().is_some() || base.fragment().is_some() {
            return Err(OAuthError::malformed("the issuer has a query or fragment"));
        }
        let mut last = None;
        for place in places(&base) {
            match self.document::<ServerMetadata>(&place, consent).await {
                Ok(found) if found.issuer == issuer => return Ok(bounded(found)),
                Ok(_) => return Err(OAuthError::mismatch(format!("{} names another issuer", shown(&place)))),
                Err(error) if error.kind == OAuthErrorKind::Refused => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| OAuthError::malformed("there is no place to look at")))
    }
}

fn bounded(mut found: ServerMetadata) -> ServerMetadata {
    found.scopes_supported.retain(|scope| is_scope(scope));
    found.scopes_supported.truncate(LIST_ENTRIES_MAX);
    found
}

fn places(base: &Url) -> Vec<Url> {
    let path = base.path().trim_end_matches('/');
    let at = |path: String| {
        let mut url = base.clone();
        url.set_path(&path);
        url
    };
    let mut places = vec![
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("/.well-known/openid-configuration{path}")),
    ];
    if !path.is_empty() {
        places.push(at(format!("{path}/.well-known/openid-configuration")));
    }
    places
}
