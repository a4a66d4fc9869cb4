//! Reading one cookie.

use http::HeaderMap;
use http::header::COOKIE;

use crate::vocab::limits::COOKIES_MAX;

/// The value of the cookie with the full name `name`. None if it is there twice: somebody else has set one of the two.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut found = None;
    for (at, pair) in pairs.enumerate() {
        if at >= COOKIES_MAX {
            return None;
        }
        let Some((key, value)) = pair.trim().split_once('=') else { continue };
        if key == name && found.replace(value).is_some() {
            return None;
        }
    }
    found.filter(|value| !value.is_empty())
}
