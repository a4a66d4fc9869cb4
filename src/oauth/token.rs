//! What a token endpoint answers (RFC 6749 sections 5.1 and 5.2, RFC 8693 section 2.2).

use http::StatusCode;
use oauth2::basic::BasicTokenType;
use oauth2::{ExtraTokenFields, StandardTokenResponse, TokenResponse as _};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::error::OAuthError;
use super::{LIST_ENTRIES_MAX, is_scope, parse, shown};
use crate::net::Replied;
use crate::vocab::limits::TOKEN_BYTES_MAX;

/// The longest life that is believed, in seconds.
const LIFE_S_MAX: u64 = 30 * 24 * 3_600;

/// Tokens of one answer. Bearer tokens, but for an ID-JAG, which is none (`N_A`).
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token, or what was exchanged for. Visible ASCII without spaces.
    pub access: SecretString,
    /// A refresh token, if there is one.
    pub refresh: Option<SecretString>,
    /// An ID token, unverified.
    pub id_token: Option<SecretString>,
    /// When it ends, in seconds since the Unix epoch; `None` where the server does not say.
    pub expires_at_s: Option<u64>,
    /// The scopes granted, where they differ from those asked for.
    pub scopes: Option<Vec<String>>,
    /// What an exchange issued (RFC 8693 section 3).
    pub issued_type: Option<String>,
    /// False for `N_A`.
    pub bearer: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct Extra {
    id_token: Option<String>,
    issued_token_type: Option<String>,
}

impl ExtraTokenFields for Extra {}

/// An error answer; nothing else of it is looked at.
#[derive(Deserialize)]
struct Refusal {
    error: Option<String>,
}

/// Reads an answer of the token endpoint at `url`.
pub(super) fn read(reply: &Replied, url: &Url, now_s: u64) -> Result<Tokens, OAuthError> {
    succeeded(reply, url)?;
    // Some servers say no with 200.
    if let Some(error) = serde_json::from_slice::<Refusal>(&reply.body).ok().and_then(|refusal| refusal.error) {
        return Err(OAuthError::answered(url, StatusCode::BAD_REQUEST, Some(&error)));
    }
    let answer: StandardTokenResponse<Extra, BasicTokenType> = parse(&reply.body, url)?;
    let bearer = match answer.token_type() {
        BasicTokenType::Bearer => true,
        BasicTokenType::Extension(word) if word.eq_ignore_ascii_case("n_a") => false,
        _ => return Err(OAuthError::malformed(format!("{} gives tokens that are not bearer tokens", shown(url)))),
    };
    let access = secret(answer.access_token().secret(), url)?;
    let refresh = answer.refresh_token().map(|token| secret(token.secret(), url)).transpose()?;
    let extra = answer.extra_fields();
    let id_token = extra.id_token.as_deref().map(|token| secret(token, url)).transpose()?;
    let life_s = answer.expires_in().map(|life| life.as_secs().min(LIFE_S_MAX));
    let expires_at_s = life_s.map(|life_s| now_s.saturating_add(life_s));
    let scopes = answer.scopes().map(|scopes| {
        let scopes = scopes.iter().map(|scope| scope.as_str()).filter(|scope| is_scope(scope));
        scopes.take(LIST_ENTRIES_MAX).map(str::to_owned).collect()
    });
    let issued_type = extra.issued_token_type.clone();
    Ok(Tokens { access, refresh, id_token, expires_at_s, scopes, issued_type, bearer })
}

/// Anything but a 2xx is an error, with the code of its body where there is one.
pub(super) fn succeeded(reply: &Replied, url: &Url) -> Result<(), OAuthError> {
    if reply.status.is_success() {
        return Ok(());
    }
    let refusal = serde_json::from_slice::<Refusal>(&reply.body).ok();
    Err(OAuthError::answered(url, reply.status, refusal.and_then(|refusal| refusal.error).as_deref()))
}

/// A token that can stand in a header, bounded.
fn secret(text: &str, url: &Url) -> Result<SecretString, OAuthError> {
    if text.is_empty() || text.len() > TOKEN_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(OAuthError::malformed(format!("{} gives a token that is none", shown(url))));
    }
    Ok(text.into())
}
