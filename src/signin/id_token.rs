//! Judging an ID token whose signature holds (OpenID Connect Core 1.0 section 3.1.3.7).

use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use super::{IdpSettings, Person};
use crate::identity::{claimed_groups, has_claims, seconds};

/// Difference of clocks tolerated.
const LEEWAY_S: u64 = 30;
/// An ID token older than this was not made for this sign-in.
const AGE_S_MAX: u64 = 600;
/// Length of a subject.
const SUB_BYTES_MAX: usize = 255;
/// Length of a name that pages show.
const NAME_CHARS_MAX: usize = 100;

/// The subject of `claims`, which answer the sign-in of `nonce`.
///
/// # Errors
/// What is wrong, for the log.
pub(super) fn check(claims: &Map<String, Value>, idp: &IdpSettings, nonce: &str, now_s: u64) -> Result<String, &'static str> {
    let given = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
    let sub = subject(claims, idp, now_s)?;
    if bool::from(given.as_bytes().ct_eq(nonce.as_bytes())) { Ok(sub) } else { Err("another nonce") }
}

/// The subject of `claims`, which need not answer any sign-in: those of a token that was renewed (section 12.2).
///
/// # Errors
/// What is wrong, for the log.
pub(super) fn subject(claims: &Map<String, Value>, idp: &IdpSettings, now_s: u64) -> Result<String, &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(idp.issuer.as_str()) {
        return Err("another issuer");
    }
    let ours = idp.client_id.as_str();
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(aud)) => vec![aud],
        Some(Value::Array(all)) => all.iter().map(Value::as_str).collect::<Option<_>>().ok_or("an audience that is no text")?,
        _ => return Err("no audience"),
    };
    if !audiences.contains(&ours) {
        return Err("another audience");
    }
    // With several audiences the token must say that it was made for us.
    match claims.get("azp") {
        None if audiences.len() == 1 => {}
        Some(Value::String(azp)) if azp == ours => {}
        _ => return Err("another authorized party"),
    }
    let expires_s = seconds(claims, "exp").ok_or("no expiry")?;
    let issued_s = seconds(claims, "iat").ok_or("no time of issue")?;
    if now_s >= expires_s.saturating_add(LEEWAY_S) {
        return Err("expired");
    }
    if issued_s > now_s.saturating_add(LEEWAY_S) || now_s.saturating_sub(issued_s) > AGE_S_MAX {
        return Err("issued at another time");
    }
    if claims.contains_key("nbf") && seconds(claims, "nbf").is_none_or(|s| s > now_s.saturating_add(LEEWAY_S)) {
        return Err("not valid yet");
    }
    if !has_claims(claims, &idp.required_claims) {
        return Err("a claim that is required is missing or different");
    }
    match text("sub") {
        Some(sub) if (1..=SUB_BYTES_MAX).contains(&sub.len()) && !sub.chars().any(char::is_control) => Ok(sub.to_owned()),
        _ => Err("no usable subject"),
    }
}

/// Whether the person signed in at the provider after `since_s`, where the token tells (OpenID Connect Core 1.0 section 2).
pub(super) fn is_signed_in_since(claims: &Map<String, Value>, since_s: u64) -> bool {
    !claims.contains_key("auth_time") || seconds(claims, "auth_time").is_some_and(|at_s| at_s.saturating_add(LEEWAY_S) >= since_s)
}

/// The person that `claims` are about, with groups by `groups_claim`.
///
/// # Errors
/// Groups that cannot be read whole, for the log.
pub(super) fn person(claims: &Map<String, Value>, idp: &IdpSettings, sub: String, now_s: u64) -> Result<Person, &'static str> {
    let mut kept = Map::new();
    if let Some(groups) = groups(claims, idp)? {
        kept.insert("groups".to_owned(), groups.into());
    }
    for name in ["email", "email_verified"] {
        if let Some(value @ (Value::String(_) | Value::Bool(_))) = claims.get(name) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    let name = ["name", "preferred_username", "email"].iter().find_map(|name| claims.get(*name).and_then(Value::as_str));
    let name = name.map(|name| name.chars().take(NAME_CHARS_MAX).collect());
    Ok(Person { iss: idp.issuer.clone(), sub, name, claims: kept, signed_in_s: now_s })
}

/// The groups, where the claims have any; `None` where they have to be looked for elsewhere.
///
/// # Errors
/// Groups that cannot be read whole, for the log.
pub(super) fn groups(claims: &Map<String, Value>, idp: &IdpSettings) -> Result<Option<Vec<String>>, &'static str> {
    claimed_groups(claims, idp.groups_claim.as_deref().unwrap_or("groups"))
}
