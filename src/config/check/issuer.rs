//! One entry of `identity.issuers`.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::Cx;
use super::address::{Consent, host_is_loopback, outward};
use super::files;
use super::identity::{WORD_BYTES_MAX, scopes, word};
use super::settings::duration;
use crate::config::checked_identity::{Algorithm, Dpop, Introspection, Issuer, Jwks};
use crate::config::limits::{CLOCK_SKEW, INTROSPECTION_CACHE, TOKEN_AGE};
use crate::config::near::nearest;
use crate::config::raw;
use crate::config::report::{item_path, key_path};
use crate::config::shape::Texts;

/// Claims with a meaning of ours, and where they are unless `claims` says otherwise.
const CLAIMS: [&str; 4] = ["groups", "scope", "client_id", "tenant"];
/// Claims whose meaning RFC 7519, 7800 and 8693 fix; mapping another onto one would change who somebody is.
const FIXED_CLAIMS: [&str; 9] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "act"];
/// Difference of clocks tolerated unless said otherwise.
const CLOCK_SKEW_DEFAULT: Duration = Duration::from_secs(30);
/// How long an introspection answer is believed unless said otherwise.
const CACHE_DEFAULT: Duration = Duration::from_secs(30);

/// One entry of `identity.issuers`.
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
        None => Some(Jwks::Discovered),
        Some("none") if raw.introspection.is_some() => Some(Jwks::None),
        Some("none") => cx.refuse(&at("jwks"), "is none, and there is no introspection", "its tokens could not be verified"),
        Some(text) => match text.strip_prefix("file:") {
            Some(file) => files::readable(&at("jwks"), file, cx).map(Jwks::File),
            None => outward(&at("jwks"), text, &consent, cx).map(Jwks::Url),
        },
    };
    let introspection = match raw.introspection {
        Some(raw) => introspection(&at("introspection"), raw, &consent, cx).map(Some),
        None => Some(None),
    };
    let at_jwt_only = word_of(&at("token_type"), raw.token_type.as_deref(), &[("any", false), ("at+jwt", true)], cx);
    let uses = [("accept", Dpop::Accept), ("off", Dpop::Off), ("require", Dpop::Require)];
    let dpop = word_of(&at("dpop"), raw.dpop.as_deref(), &uses, cx);
    let algorithms = algorithms(&at("algorithms"), raw.algorithms, cx);
    let claims = claims(&at("claims"), raw.claims.unwrap_or_default(), cx);
    let subjects = globs(&at("subjects"), raw.subjects, cx);
    let required_claims = required(&at("required_claims"), raw.required_claims.unwrap_or_default(), cx);
    let scope_implies = implies(&at("scope_implies"), raw.scope_implies.unwrap_or_default(), cx);
    let clock_skew = duration(&at("clock_skew"), raw.clock_skew.as_deref(), CLOCK_SKEW_DEFAULT, CLOCK_SKEW, cx);
    let max_token_age = match raw.max_token_age.as_deref() {
        None => Some(None),
        Some(text) => duration(&at("max_token_age"), Some(text), CLOCK_SKEW_DEFAULT, TOKEN_AGE, cx).map(Some),
    };
    Some(Issuer {
        issuer: issuer?,
        audience,
        jwks: jwks?,
        algorithms: algorithms?,
        claims,
        allow_private_addresses,
        at_jwt_only: at_jwt_only?,
        subjects,
        required_claims,
        scope_implies,
        dpop: dpop?,
        clock_skew: clock_skew?,
        max_token_age: max_token_age?,
        introspection: introspection?,
    })
}

/// The first of `words` is the default.
pub(super) fn word_of<T: Copy>(path: &str, raw: Option<&str>, words: &[(&str, T)], cx: &mut Cx<'_>) -> Option<T> {
    let Some(text) = raw else { return words.first().map(|(_, value)| *value) };
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Some(*value),
        None => {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            cx.refuse(path, "is not one of the words for it", format!("one of {}", known.join(", ")))
        }
    }
}

fn introspection(path: &str, raw: raw::Introspection, consent: &Consent<'_>, cx: &mut Cx<'_>) -> Option<Introspection> {
    let at = |key: &str| format!("{path}.{key}");
    let url = match raw.url.as_deref() {
        Some(text) => outward(&at("url"), text, consent, cx),
        None => cx.missing(&at("url"), "its introspection endpoint"),
    };
    let mut given = |key: &str, value: Option<String>, hint: &str| match value {
        Some(text) if !text.is_empty() && !text.chars().any(char::is_control) => Some(text),
        Some(_) => {
            cx.report.problem_unshown(&at(key), "is empty or not printable", hint);
            None
        }
        None => cx.missing(&at(key), hint),
    };
    let client_id = given("client_id", raw.client_id, "who the gateway is at the issuer");
    let client_secret = given("client_secret", raw.client_secret, "such as ${env:NAME}");
    let cache = duration(&at("cache"), raw.cache.as_deref(), CACHE_DEFAULT, INTROSPECTION_CACHE, cx);
    let jwts_too = word_of(&at("tokens"), raw.tokens.as_deref(), &[("opaque", false), ("all", true)], cx);
    let client_secret = SecretString::from(client_secret?);
    Some(Introspection { url: url?, client_id: client_id?, client_secret, cache: cache?, jwts_too: jwts_too? })
}

/// Globs that can be compiled.
pub(super) fn globs(path: &str, raw: Option<Vec<String>>, cx: &mut Cx<'_>) -> Vec<String> {
    let raw = raw.unwrap_or_default();
    for (i, text) in raw.iter().enumerate() {
        let path = item_path(path, i);
        word(&path, text, cx);
        let escaped = text.chars().rev().take_while(|c| *c == '\\').count();
        if escaped % 2 == 1 {
            cx.report.problem(&path, "ends with a `\\` that escapes nothing", "write `\\\\` for one");
        }
    }
    raw
}

pub(super) fn required(path: &str, raw: BTreeMap<String, Texts>, cx: &mut Cx<'_>) -> BTreeMap<String, Vec<String>> {
    let mut required = BTreeMap::new();
    for (claim, Texts(values)) in raw {
        let path = key_path(path, &claim);
        if claim.split('.').any(str::is_empty) || claim.len() > WORD_BYTES_MAX || claim.chars().any(char::is_control) {
            cx.report.problem(&path, "is not the name of a claim", "a claim of the token, or a dotted path");
        }
        if values.is_empty() {
            cx.report.problem(&path, "is empty: no token could have it", "a text, or a list of which one suffices");
        }
        values.iter().for_each(|text| word(&path, text, cx));
        required.insert(claim, values);
    }
    required
}

fn implies(path: &str, raw: BTreeMap<String, Texts>, cx: &mut Cx<'_>) -> BTreeMap<String, Vec<String>> {
    let mut implied = BTreeMap::new();
    for (scope, Texts(more)) in raw {
        let path = key_path(path, &scope);
        drop(scopes(&path, Some(vec![scope.clone()]), cx));
        let more = scopes(&path, Some(more), cx);
        implied.insert(scope, more);
    }
    implied
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
