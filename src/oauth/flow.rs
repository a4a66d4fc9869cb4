//! The authorization-code flow with PKCE (OAuth 2.1 section 4.1, RFC 7636, RFC 9207): the part a browser takes.

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::client_auth::Registration;
use super::consent::Consent;
use super::error::{OAuthError, OAuthErrorKind};
use super::server::ServerMetadata;

/// Length of any parameter of an authorization response.
const PARAM_BYTES_MAX: usize = 16 * 1024;

/// Starts flows.
pub struct Flow;

/// A flow whose answer has not come yet. Holds the verifier: to be kept where nobody else reads it, once, for minutes.
#[derive(Clone, Serialize, Deserialize)]
pub struct PendingFlow {
    /// The server, as validated before the redirect.
    pub issuer: String,
    /// Whether its answers must name it.
    pub iss_announced: bool,
    /// The client.
    pub client_id: String,
    /// Where the answer comes.
    pub redirect_uri: String,
    /// The resource the token will be for; empty where the server is not told.
    pub resource: String,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// The `state` sent, 256 bits.
    pub state: String,
    verifier: String,
}

impl std::fmt::Debug for PendingFlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingFlow").field("issuer", &self.issuer).field("resource", &self.resource).finish_non_exhaustive()
    }
}

/// A code that came back to the flow that asked for it.
#[derive(Debug)]
pub struct Code {
    pub(super) code: SecretString,
    pub(super) verifier: SecretString,
    pub(super) redirect_uri: String,
    pub(super) resource: String,
    issuer: String,
    client_id: String,
}

impl Flow {
    /// Where to send the browser, and what to keep until it comes back. An empty `resource` is not sent. `redirect_uri` is ours and
    /// registered; `consent` says which origins the operator wrote, the only ones that may be http.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Unsupported`] for a server without an authorization endpoint or without S256;
    /// [`OAuthErrorKind::Refused`] for an endpoint that is not https; [`OAuthErrorKind::Mismatch`] for a client of another
    /// server.
    pub fn start(
        server: &ServerMetadata,
        registration: &Registration,
        consent: &Consent,
        redirect_uri: &str,
        scopes: &[String],
        resource: &str,
    ) -> Result<(Url, PendingFlow), OAuthError> {
        let unsupported = |why: &str| OAuthError::new(OAuthErrorKind::Unsupported, why);
        if registration.issuer != server.issuer {
            return Err(OAuthError::mismatch("the client is registered at another authorization server"));
        }
        if !server.has_s256() {
            return Err(unsupported("the authorization server does not announce PKCE with S256"));
        }
        let endpoint = server.authorization_endpoint.as_ref().ok_or_else(|| unsupported("it has no authorization endpoint"))?;
        // The address is the browser's business; the scheme is ours, and the rule for it is the same.
        consent.policy(endpoint)?;
        if endpoint.fragment().is_some() {
            return Err(OAuthError::malformed("the authorization endpoint has a fragment"));
        }
        let redirect = RedirectUrl::new(redirect_uri.to_owned()).map_err(|_| unsupported("the redirect URI is no URL"))?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = BasicClient::new(ClientId::new(registration.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(endpoint.clone()))
            .set_redirect_uri(redirect);
        let mut request = client
            .authorize_url(|| CsrfToken::new_random_len(32))
            .add_scopes(scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge);
        if !resource.is_empty() {
            request = request.add_extra_param("resource", resource);
        }
        let (url, state) = request.url();
        let pending = PendingFlow {
            issuer: server.issuer.clone(),
            iss_announced: server.authorization_response_iss_parameter_supported,
            client_id: registration.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            resource: resource.to_owned(),
            scopes: scopes.to_vec(),
            state: state.into_secret(),
            verifier: verifier.into_secret(),
        };
        Ok((url, pending))
    }
}

impl PendingFlow {
    /// Judges an authorization response by its decoded parameters: `state`, then `iss` (RFC 9207 section 2.4, also for errors,
    /// compared byte for byte), then what it says.
    ///
    /// # Errors
    /// [`OAuthErrorKind::Mismatch`] for a response that is not the answer to this flow: then nothing it says is acted on or
    /// shown. [`OAuthErrorKind::AccessDenied`] and others for an error it says; [`OAuthErrorKind::Malformed`] for a parameter that
    /// stands twice, or neither code nor error.
    pub fn accept(self, params: &[(String, String)]) -> Result<Code, OAuthError> {
        // One that stands twice is no answer to this flow either.
        let state = single(params, "state").ok().flatten().unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(self.state.as_bytes())) {
            return Err(OAuthError::mismatch("the response has another state"));
        }
        match single(params, "iss")? {
            Some(iss) if iss != self.issuer => return Err(OAuthError::mismatch("the response is of another issuer")),
            None if self.iss_announced => return Err(OAuthError::mismatch("the response does not name its issuer")),
            _ => {}
        }
        if let Some(error) = single(params, "error")? {
            let endpoint = Url::parse(&self.issuer).map_err(|_| OAuthError::malformed("the issuer is no URL"))?;
            return Err(OAuthError::answered(&endpoint, http::StatusCode::BAD_REQUEST, Some(error)));
        }
        let code = single(params, "code")?.filter(|code| !code.is_empty());
        let code = code.ok_or_else(|| OAuthError::malformed("the response has neither code nor error"))?;
        Ok(Code {
            code: code.into(),
            verifier: self.verifier.into(),
            redirect_uri: self.redirect_uri,
            resource: self.resource,
            issuer: self.issuer,
            client_id: self.client_id,
        })
    }
}

impl Code {
    /// A code is redeemed where it was asked for, by whom.
    pub(super) fn check(&self, server: &ServerMetadata, registration: &Registration) -> Result<(), OAuthError> {
        if self.issuer == server.issuer && self.client_id == registration.client_id {
            return Ok(());
        }
        Err(OAuthError::mismatch("the code was asked for at another server, or by another client"))
    }
}

fn single<'a>(params: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, OAuthError> {
    let mut found = params.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let first = found.next();
    if found.next().is_some() || first.is_some_and(|value| value.len() > PARAM_BYTES_MAX) {
        return Err(OAuthError::malformed(format!("the response has {name} twice, or too long")));
    }
    Ok(first)
}
