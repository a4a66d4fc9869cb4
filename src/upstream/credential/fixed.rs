//! Credentials that are written in the config.

use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

pub(super) fn bearer(token: &SecretString) -> Result<(HeaderName, HeaderValue), &'static str> {
    Ok((AUTHORIZATION, value(format!("Bearer {}", token.expose_secret()))?))
}

pub(super) fn header(name: &HeaderName, secret: &SecretString) -> Result<(HeaderName, HeaderValue), &'static str> {
    let ours = [HOST, CONTENT_TYPE, ACCEPT, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE, TE, TRAILER, EXPECT];
    if ours.contains(name) || name.as_str().starts_with("mcp-") {
        return Err("the credential's header is one the protocol itself uses");
    }
    Ok((name.clone(), value(secret.expose_secret().to_owned())?))
}

pub(super) fn value(text: String) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::try_from(text).map_err(|_| "the credential cannot stand in a header")?;
    value.set_sensitive(true);
    Ok(value)
}
