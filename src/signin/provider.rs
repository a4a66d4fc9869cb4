//! The provider's own description of itself (OpenID Connect Discovery 1.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::IdpSettings;
use crate::identity::strict_object;
use crate::net::fetch::Payload;
use crate::net::{DialPolicy, Fetch, Origin};

/// Size of a document of the provider.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// How long the description is taken as it is, and how long it serves when there is no newer one, in seconds.
const FRESH_S: u64 = 3_600;
const USABLE_S: u64 = 24 * 3_600;

pub(super) struct Provider {
    pub(super) authorization: Url,
    token: Url,
    userinfo: Option<Url>,
    /// Responses carry `iss` (RFC 9207 section 3).
    pub(super) names_itself: bool,
    found_s: u64,
}

impl Provider {
    pub(super) fn is_fresh(&self, now_s: u64) -> bool {
        now_s.saturating_sub(self.found_s) < FRESH_S
    }

    pub(super) fn is_usable(&self, now_s: u64) -> bool {
        now_s.saturating_sub(self.found_s) < USABLE_S
    }
}

/// Asks the provider about itself. The document must name exactly the configured issuer.
pub(super) async fn discover(idp: &IdpSettings, fetch: &Fetch, now_s: u64) -> Result<Provider, String> {
    let place = format!("{}/.well-known/openid-configuration", idp.issuer.trim_end_matches('/'));
    let place: Url = place.parse().map_err(|e| format!("the issuer is not a URL: {e}"))?;
    let got = fetch.get(&place, policy(idp, &place), DOCUMENT_BYTES_MAX).await.map_err(|e| format!("{place}: {e}"))?;
    let members = strict_object(&got.body).ok_or("the metadata is not one strict JSON object")?;
    if members.get("issuer").and_then(Value::as_str) != Some(idp.issuer.as_str()) {
        return Err("the metadata names another issuer".to_owned());
    }
    let endpoint = |name: &str| -> Result<Option<Url>, String> {
        let Some(value) = members.get(name) else { return Ok(None) };
        let url: Option<Url> = value.as_str().and_then(|text| text.parse().ok());
        let url = url.filter(is_endpoint).ok_or(format!("{name} is not an https URL"))?;
        Ok(Some(url))
    };
    Ok(Provider {
        authorization: endpoint("authorization_endpoint")?.ok_or("the metadata names no authorization endpoint")?,
        token: endpoint("token_endpoint")?.ok_or("the metadata names no token endpoint")?,
        userinfo: endpoint("userinfo_endpoint")?,
        names_itself: members.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        found_s: now_s,
    })
}

/// https, or http on this machine; a browser is sent there, so nothing else will do.
fn is_endpoint(url: &Url) -> bool {
    Origin::of(url).is_some_and(|origin| origin.https || origin.names_loopback())
}

/// Consent to a loopback or private address was given for the issuer's own origin; private ones for all that it names.
fn policy(idp: &IdpSettings, place: &Url) -> DialPolicy {
    let own = idp.issuer.parse::<Url>().ok().as_ref().and_then(Origin::of);
    let loopback = own.is_some_and(|own| own.names_loopback() && Origin::of(place) == Some(own));
    DialPolicy { allow_private: idp.allow_private_addresses, allow_loopback: loopback }
}

/// What the provider gave for a code or a refresh token.
pub(super) struct Redeemed {
    /// Not verified yet.
    pub(super) id_token: SecretString,
    pub(super) access: Option<SecretString>,
    pub(super) refresh: Option<SecretString>,
    /// When the ID token ends, in seconds since the Unix epoch, once that was looked at.
    pub(super) expires_at_s: Option<u64>,
}

/// Why the provider gave none.
pub(super) struct NotGiven {
    /// It says that what was shown is of no use any more (`invalid_grant`).
    pub(super) over: bool,
    pub(super) why: String,
}

/// Redeems `code`.
pub(super) async fn redeem(
    idp: &IdpSettings,
    fetch: &Fetch,
    provider: &Provider,
    code: &str,
    redirect_uri: &str,
    verifier: &str,
) -> Result<Redeemed, String> {
    let form =
        vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect_uri), ("code_verifier", verifier)];
    tokens(idp, fetch, provider, form).await.map_err(|error| error.why)
}

/// Asks for another ID token (OpenID Connect Core 1.0 section 12).
pub(super) async fn refresh(
    idp: &IdpSettings,
    fetch: &Fetch,
    provider: &Provider,
    token: &SecretString,
) -> Result<Redeemed, NotGiven> {
    tokens(idp, fetch, provider, vec![("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())]).await
}

async fn tokens(
    idp: &IdpSettings,
    fetch: &Fetch,
    provider: &Provider,
    mut form: Vec<(&str, &str)>,
) -> Result<Redeemed, NotGiven> {
    let failed = |why: String| NotGiven { over: false, why };
    let mut headers = Vec::new();
    match &idp.client_secret {
        None => form.push(("client_id", &idp.client_id)),
        Some(secret) => {
            let proof = basic(&idp.client_id, secret.expose_secret()).map_err(failed)?;
            headers.push((header::AUTHORIZATION, proof));
        }
    }
    let place = &provider.token;
    let sent = fetch.send(place, policy(idp, place), &headers, Payload::Form(&form), DOCUMENT_BYTES_MAX).await;
    let got = sent.map_err(|e| failed(format!("the token endpoint: {e}")))?;
    let members = strict_object(&got.body);
    if got.status != StatusCode::OK {
        let over = members.is_some_and(|members| members.get("error").and_then(Value::as_str) == Some("invalid_grant"));
        return Err(NotGiven { over, why: format!("the token endpoint answered {}", got.status) });
    }
    let members = members.ok_or_else(|| failed("the token endpoint's answer is not one strict JSON object".to_owned()))?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(SecretString::from);
    let id_token = text("id_token").ok_or_else(|| failed("the token endpoint gave no ID token".to_owned()))?;
    Ok(Redeemed { id_token, access: text("access_token"), refresh: text("refresh_token"), expires_at_s: None })
}

/// The claims of the userinfo endpoint, where the provider has one.
pub(super) async fn userinfo(
    idp: &IdpSettings,
    fetch: &Fetch,
    provider: &Provider,
    access_token: &str,
) -> Result<Option<Map<String, Value>>, String> {
    let Some(place) = &provider.userinfo else { return Ok(None) };
    let value = HeaderValue::try_from(format!("Bearer {access_token}"));
    let mut value = value.map_err(|_| "the access token is not one line of text")?;
    value.set_sensitive(true);
    let headers: [(HeaderName, HeaderValue); 1] = [(header::AUTHORIZATION, value)];
    let sent = fetch.send(place, policy(idp, place), &headers, Payload::None, DOCUMENT_BYTES_MAX).await;
    let got = sent.map_err(|e| format!("the userinfo endpoint: {e}"))?;
    if got.status != StatusCode::OK {
        return Err(format!("the userinfo endpoint answered {}", got.status));
    }
    strict_object(&got.body).map(Some).ok_or_else(|| "the userinfo is not one strict JSON object".to_owned())
}

/// HTTP Basic with both parts form-encoded first (RFC 6749 section 2.3.1).
fn basic(id: &str, secret: &str) -> Result<HeaderValue, String> {
    let part = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let value = format!("Basic {}", STANDARD.encode(format!("{}:{}", part(id), part(secret))));
    let mut value = HeaderValue::try_from(value).map_err(|_| "the client secret is not usable".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
