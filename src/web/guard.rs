//! Forms that only our own pages can send.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::ORIGIN;
use http::{HeaderMap, HeaderName};

use super::Site;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The token that a form for `purpose` carries, for the browser that holds the cookie `secret`. Whoever does not know the cookie
/// cannot make it; a token of one purpose is none for another.
pub fn csrf_token(secret: &str, purpose: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(&key(secret), purpose.as_bytes()))
}

/// Whether `token` is that of [`csrf_token`]; takes the same time whatever is wrong with it.
pub fn csrf_holds(secret: &str, purpose: &str, token: &str) -> bool {
    let token = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    hmac::verify(&key(secret), purpose.as_bytes(), &token).is_ok()
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

/// Whether a browser says that a page of `site` sent this. At least one of `Sec-Fetch-Site` and `Origin` must say so, and neither
/// may say otherwise: browsers send them with every form, and pages cannot choose them.
pub fn is_from_us(headers: &HeaderMap, site: &Site) -> bool {
    let says = |name: &HeaderName, expected: &str| {
        let mut values = headers.get_all(name).into_iter();
        match (values.next(), values.next()) {
            (None, _) => None,
            (Some(value), None) => Some(value.as_bytes() == expected.as_bytes()),
            (Some(_), Some(_)) => Some(false),
        }
    };
    let (fetch, origin) = (says(&SEC_FETCH_SITE, "same-origin"), says(&ORIGIN, site.origin()));
    fetch.or(origin).is_some() && fetch != Some(false) && origin != Some(false)
}
