//! Finds an issuer's keys from its name (RFC 8414, OpenID Connect Discovery 1.0).

use serde_json::Value;
use url::Url;

use super::strict_json;
use crate::net::{DialPolicy, Fetch, Origin};
use crate::vocab::limits::JWKS_BYTES_MAX;

/// Size of a metadata document.
const METADATA_BYTES_MAX: usize = JWKS_BYTES_MAX;

/// Where `issuer` says its keys are, and which addresses that place may have.
///
/// The metadata must name exactly `issuer`. Consent to a private or loopback address was given for the issuer's own origin;
/// an address learnt from its metadata has none.
///
/// # Errors
/// Why no metadata document was usable, for the log.
pub(super) async fn keys_of(issuer: &str, policy: DialPolicy, fetch: &Fetch) -> Result<(Url, DialPolicy), String> {
    let base: Url = issuer.parse().map_err(|e| format!("the issuer is not a URL: {e}"))?;
    let mut last = String::new();
    for place in places(&base) {
        match fetch.get(&place, policy, METADATA_BYTES_MAX).await {
            Err(error) => last = format!("{place}: {error}"),
            Ok(got) => match jwks_uri(&got.body, issuer) {
                Err(why) => last = format!("{place}: {why}"),
                Ok(url) => {
                    let own = Origin::of(&url) == Origin::of(&base);
                    return Ok((url, if own { policy } else { DialPolicy::default() }));
                }
            },
        }
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

fn jwks_uri(document: &[u8], issuer: &str) -> Result<Url, &'static str> {
    let members = strict_json::object(document).ok_or("not one strict JSON object")?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if text("issuer") != Some(issuer) {
        return Err("the metadata names another issuer");
    }
    text("jwks_uri").and_then(|uri| uri.parse().ok()).ok_or("the metadata names no key set")
}
