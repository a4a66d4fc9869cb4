//! `identity`: issuers, API keys, and the two ways in that are for loopback only.

use std::collections::{BTreeMap, HashSet};

use url::Url;

use super::Cx;
use super::address::{Consent, host_is_loopback, outward};
use super::door::Reach;
use super::files;
use crate::config::checked::{Algorithm, ApiKey, Identity, Issuer, Jwks};
use crate::config::near::nearest;
use crate::config::raw;
use crate::config::report::{item_path, key_path};
use crate::config::scalar;

/// Claims with a meaning of ours, and where they are unless `claims` says otherwise.
const CLAIMS: [&str; 4] = ["groups", "scope", "client_id", "tenant"];
/// Claims whose meaning RFC 7519 fixes; mapping another onto one would change who somebody is.
const FIXED_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
/// Length of a name, a claim path or a scope.
const WORD_BYTES_MAX: usize = 256;

pub(super) fn check(raw: raw::Identity, reach: Reach, cx: &mut Cx<'_>) -> Option<Identity> {
    let anonymous = raw.anonymous.unwrap_or(false);
    if anonymous {
        reach.demand_loopback("identity.anonymous", cx);
    }
    let dev = raw.dev.unwrap_or_default().enabled.unwrap_or(false);
    if dev {
        reach.demand_loopback("identity.dev.enabled", cx);
    }
    let mut issuers: Vec<Issuer> = Vec::new();
    for (i, raw) in raw.issuers.unwrap_or_default().into_iter().enumerate() {
        let path = item_path("identity.issuers", i);
        let Some(checked) = issuer(&path, raw, cx) else { continue };
        if issuers.iter().any(|other| other.issuer == checked.issuer) {
            cx.report.problem(&format!("{path}.issuer"), "is configured twice", "give each issuer one entry");
        }
        issuers.push(checked);
    }
    let mut api_keys: Vec<ApiKey> = Vec::new();
    for (i, raw) in raw.api_keys.unwrap_or_default().into_iter().enumerate() {
        let path = item_path("identity.api_keys", i);
        let Some(key) = api_key(&path, raw, cx) else { continue };
        if api_keys.iter().any(|other| other.id == key.id) {
            cx.report.problem(&format!("{path}.id"), "is the id of another key", "make a new key with `portcullis key new`");
        }
        if api_keys.iter().any(|other| other.name == key.name) {
            cx.report.problem(&format!("{path}.name"), "is the name of another key", "two keys of one name would be one subject");
        }
        api_keys.push(key);
    }
    Some(Identity { anonymous, issuers, api_keys, dev })
}

pub(super) fn issuer(path: &str, raw: raw::Issuer, cx: &mut Cx<'_>) -> Option<Issuer> {
    let at = |key: &str| format!("{path}.{key}");
    let issuer = match raw.issuer {
        Some(text) => issuer_url(&at("issuer"), text, cx),
        None => cx.missing(&at("issuer"), "the `iss` of its tokens, such as https://idp.example.com"),
    };
    let audience = raw.audience.unwrap_or_default();
    for (i, text) in audience.iter().enumerate() {
        word(&item_path(&at("audience"), i), text, cx);
    }
    let allow_private_addresses = raw.allow_private_addresses.unwrap_or(false);
    let plaintext_key = at("danger_plaintext");
    let plaintext = raw.danger_plaintext.unwrap_or(false);
    let consent = Consent { private: allow_private_addresses, plaintext, plaintext_key: &plaintext_key };
    let jwks = match raw.jwks.as_deref() {
        Some(text) => match text.strip_prefix("file:") {
            Some(file) => files::readable(&at("jwks"), file, cx).map(Jwks::File),
            None => outward(&at("jwks"), text, &consent, cx).map(Jwks::Url),
        },
        None => {
            let hint = "give `jwks`: the URL of its key set, or file:PATH";
            cx.report.not_built(&at("jwks"), "discovery", hint);
            None
        }
    };
    let algorithms = algorithms(&at("algorithms"), raw.algorithms, cx);
    let claims = claims(&at("claims"), raw.claims.unwrap_or_default(), cx);
    Some(Issuer { issuer: issuer?, audience, jwks: jwks?, algorithms: algorithms?, claims, allow_private_addresses })
}

/// An issuer identifier (RFC 8414 section 2). Kept as written: it is compared, never rebuilt.
pub(super) fn issuer_url(path: &str, text: String, cx: &mut Cx<'_>) -> Option<String> {
    let hint = "such as https://idp.example.com, exactly as in its tokens";
    let Ok(url) = Url::parse(&text) else { return cx.refuse(path, "is not a URL", hint) };
    let loopback = url.host().is_some_and(|host| host_is_loopback(&host));
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return cx.refuse(path, "is http beyond loopback", "an issuer must be https"),
        _ => return cx.refuse(path, "is not https", hint),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return cx.refuse(path, "has a user name, password, query or fragment", hint);
    }
    Some(text)
}

pub(super) fn algorithms(path: &str, raw: Option<Vec<String>>, cx: &mut Cx<'_>) -> Option<Vec<Algorithm>> {
    let Some(raw) = raw else { return Some(vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]) };
    if raw.is_empty() {
        return cx.refuse(path, "is empty: no token could be verified", "leave it out for RS256, ES256, EdDSA");
    }
    let mut algorithms = Vec::new();
    for (i, name) in raw.iter().enumerate() {
        let path = item_path(path, i);
        match Algorithm::parse(name) {
            Some(algorithm) if !algorithms.contains(&algorithm) => algorithms.push(algorithm),
            Some(_) => cx.report.problem(&path, "is listed twice", ""),
            None => {
                let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
                cx.report.problem(
                    &path,
                    "is not an accepted algorithm",
                    format!("one of {known}; `none` and shared secrets never"),
                );
            }
        }
    }
    Some(algorithms)
}

fn claims(path: &str, raw: BTreeMap<String, String>, cx: &mut Cx<'_>) -> BTreeMap<String, String> {
    let mut claims: BTreeMap<String, String> = CLAIMS.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect();
    for (ours, theirs) in raw {
        let path = key_path(path, &ours);
        let known = CLAIMS.contains(&ours.as_str());
        let is_name = ours.starts_with(|c: char| c.is_ascii_lowercase())
            && ours.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if FIXED_CLAIMS.contains(&ours.as_str()) {
            cx.report.problem(&path, "is a claim whose meaning is fixed", "map another name");
        } else if let (false, Some(near)) = (known, nearest(&ours, CLAIMS.into_iter())) {
            cx.report.problem(&path, "is not a claim name of ours", format!("did you mean `{near}`?"));
        } else if !known && !is_name {
            cx.report.problem(&path, "is not a claim name", "lower-case letters, digits and `_`");
        }
        if theirs.split('.').any(str::is_empty) || theirs.len() > WORD_BYTES_MAX || theirs.chars().any(char::is_control) {
            cx.report.problem(
                &path,
                "is not the name of a claim",
                "a claim of the token, or a dotted path such as realm_access.roles",
            );
        }
        claims.insert(ours, theirs);
    }
    claims
}

fn api_key(path: &str, raw: raw::ApiKey, cx: &mut Cx<'_>) -> Option<ApiKey> {
    let at = |key: &str| format!("{path}.{key}");
    let hint = "make one with `portcullis key new`";
    let id = match raw.id {
        Some(id) if (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()) => Some(id),
        Some(_) => cx.refuse(&at("id"), "is not a key id", "1 to 32 letters and digits"),
        None => cx.missing(&at("id"), hint),
    };
    let name = match raw.name {
        Some(name) if is_key_name(&name) => Some(name),
        Some(_) => cx.refuse(&at("name"), "is not a key name", "1 to 64 letters, digits, `.`, `_` and `-`"),
        None => cx.missing(&at("name"), "whose key it is; the subject will be key:NAME"),
    };
    let sha256 = match raw.hash {
        Some(hash) => match hash.strip_prefix("sha256:").and_then(hex32) {
            Some(bytes) => Some(bytes),
            None => cx.refuse(&at("hash"), "is not `sha256:` and 64 hexadecimal digits", hint),
        },
        None => cx.missing(&at("hash"), hint),
    };
    let groups = raw.groups.unwrap_or_default();
    for (i, group) in groups.iter().enumerate() {
        word(&item_path(&at("groups"), i), group, cx);
    }
    let scopes = scopes(&at("scopes"), raw.scopes, cx);
    let expires_unix_s = match raw.expires.as_deref() {
        None => Some(None),
        Some(text) => match scalar::unix_s(text) {
            Some(time) => Some(Some(time)),
            None => cx.refuse(&at("expires"), "is not a date", "such as 2027-01-01 or 2027-01-01T12:00:00Z"),
        },
    };
    Some(ApiKey { id: id?, name: name?, sha256: sha256?, groups, scopes, expires_unix_s: expires_unix_s? })
}

/// Scope tokens (RFC 6749 section 3.3), no two the same.
pub(super) fn scopes(path: &str, raw: Option<Vec<String>>, cx: &mut Cx<'_>) -> Vec<String> {
    let raw = raw.unwrap_or_default();
    let mut seen = HashSet::new();
    for (i, scope) in raw.iter().enumerate() {
        let path = item_path(path, i);
        let legal = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if scope.is_empty() || scope.len() > WORD_BYTES_MAX || !scope.bytes().all(legal) {
            cx.report.problem(
                &path,
                "is not a scope",
                "visible ASCII without spaces, quotes and backslashes; one scope per entry",
            );
        } else if !seen.insert(scope) {
            cx.report.problem(&path, "is listed twice", "");
        }
    }
    raw
}

fn word(path: &str, text: &str, cx: &mut Cx<'_>) {
    if text.is_empty() || text.len() > WORD_BYTES_MAX || text.chars().any(char::is_control) {
        let hint = format!("1 to {WORD_BYTES_MAX} bytes without control characters");
        cx.report.problem(path, "is empty, too long or not printable", hint);
    }
}

fn is_key_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

pub(super) fn hex32(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 2 * out.len() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, i) in out.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(i..i + 2)?, 16).ok()?;
    }
    Some(out)
}
