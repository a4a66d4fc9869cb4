//! Finds an issuer's keys from its name (RFC 8414, OpenID Connect Discovery 1.0).

use serde_json::{Map, Value};
use url::Url;

use super::strict_json;
use crate::net::{DialPolicy, Fetch, FetchError, Origin};
use crate::vocab::limits::JWKS_BYTES_MAX;

/// Size of a metadata document.
const METADATA_BYTES_MAX: usize = JWKS_BYTES_MAX;

/// Where an issuer's keys are, and which addresses that place may have.
#[derive(Clone, PartialEq)]
pub(super) struct Place {
    pub(super) url: Url,
    pub(super) policy: DialPolicy,
}

/// Where `issuer` says its keys are.
///
/// The metadata must name exactly `issuer`. Consent to a private or loopback address was given for the issuer's own origin;
/// an address learnt from its metadata has none. The first document that is an answer is the only one: a second one is asked
/// for where the first is not there, and not where the server is.
///
/// # Errors
/// Why no metadata document was usable, for the log.
pub(super) async fn keys_of(issuer: &str, policy: DialPolicy, fetch: &Fetch) -> Result<Place, String> {
    let base: Url = issuer.parse().map_err(|e| format!("the issuer is not a URL: {e}"))?;
    let mut last = String::new();
    for place in places(&base) {
        let got = match fetch.get(&place, policy, METADATA_BYTES_MAX).await {
            Ok(got) => got,
            Err(error @ (FetchError::Status(_) | FetchError::Redirect(_))) => {
                last = format!("{place}: {error}");
                continue;
            }
            Err(error) => return Err(format!("{place}: {error}")),
        };
        // Some servers answer every path with a page.
        let Some(members) = strict_json::object(&got.body) else {
            last = format!("{place}: not one strict JSON object");
            continue;
        };
        let url = jwks_uri(&members, issuer).map_err(|why| format!("{place}: {why}"))?;
        let own = Origin::of(&url) == Origin::of(&base);
        return Ok(Place { url, policy: if own { policy } else { DialPolicy::default() } });
    }
    Err(last)
}

/// The well-known places, OpenID's first: the path is appended there, and inserted for OAuth.
fn places(base: &Url) -> [Url; 2] {
    let path = base.path().trim_end_matches('/');
    let at = |path: &str| {
        let mut url = base.clone();
        url.set_path(path);
        url.set_query(None);
        url.set_fragment(None);
        url
    };
    [at(&format!("{path}/.well-known/openid-configuration")), at(&format!("/.well-known/oauth-authorization-server{path}"))]
}

fn jwks_uri(members: &Map<String, Value>, issuer: &str) -> Result<Url, &'static str> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if text("issuer") != Some(issuer) {
        return Err("the metadata names another issuer");
    }
    text("jwks_uri").and_then(|uri| uri.parse().ok()).ok_or("the metadata names no key set")
}
