//! Verified claims into a principal.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::challenge::is_scope;
use super::groups::claimed_groups;
use super::issuer_settings::{IssuerSettings, JwksSource};
use super::judge::is_subject;
use super::settings::is_reserved;
use crate::vocab::Principal;
use crate::vocab::limits::ACTORS_MAX;

/// Scopes of one token.
const SCOPES_MAX: usize = 256;
/// Length of a client id; client id metadata documents are URLs.
const CLIENT_ID_BYTES_MAX: usize = 2_048;
/// Levels of a dotted path.
const PATH_LEVELS_MAX: usize = 16;

/// Builds the principal of a verified token. The mapping of claims is our name -> theirs.
///
/// Every claim keeps its own name, except that a mapped name holds what it is mapped to and nothing else: a token cannot
/// supply `groups` directly where the operator says groups come from elsewhere.
///
/// # Errors
/// Groups, scopes or a client id that cannot be read, for the log. Left out they would loosen a deny rule.
pub(super) fn principal(
    mut claims: Map<String, Value>,
    issuer: &IssuerSettings,
    expires_at_s: Option<u64>,
) -> Result<Principal, &'static str> {
    rename(&mut claims, &issuer.claims)?;
    let (iss, sub) = person(&claims, issuer)?;
    actors(&claims)?;
    let mut scopes = scopes(claims.get("scope"))?;
    imply(&mut scopes, &issuer.scope_implies);
    Ok(Principal { iss, sub, client_id: client_id(&claims)?, scopes, expires_at_s, key_id: None, anonymous: false, claims })
}

/// Puts every claim of `names` (ours -> theirs) under our name, and nothing else there.
///
/// # Errors
/// Groups that cannot be read whole, for the log.
pub(super) fn rename(claims: &mut Map<String, Value>, names: &BTreeMap<String, String>) -> Result<(), &'static str> {
    claimed_groups(claims, names.get("groups").map_or("groups", String::as_str))?;
    // A claim under its own name is where it belongs.
    let others = names.iter().filter(|(ours, theirs)| ours != theirs);
    let found: Vec<(&String, Option<Value>)> = others.map(|(ours, theirs)| (ours, lookup(claims, theirs).cloned())).collect();
    for (ours, value) in found {
        match value {
            Some(value) => claims.insert(ours.clone(), value),
            None => claims.remove(ours),
        };
    }
    Ok(())
}

/// Checks the chain of actors (RFC 8693 section 4.1): each is somebody, and there are not too many to be looked at.
fn actors(claims: &Map<String, Value>) -> Result<(), &'static str> {
    let mut next = claims.get("act");
    for _ in 0..ACTORS_MAX {
        let Some(actor) = next else { return Ok(()) };
        let actor = actor.as_object().ok_or("an actor is not an object")?;
        if !actor.get("sub").and_then(Value::as_str).is_some_and(is_subject) {
            return Err("an actor is nobody");
        }
        if actor.get("iss").is_some_and(|iss| !iss.as_str().is_some_and(is_subject)) {
            return Err("the issuer of an actor is not a text");
        }
        next = actor.get("act");
    }
    next.map_or(Ok(()), |_| Err("the chain of actors is too long"))
}

/// Adds what comes with the scopes, as far as that leads. The additions are bounded by what the operator wrote.
fn imply(scopes: &mut Vec<Box<str>>, implies: &BTreeMap<String, Vec<String>>) {
    let mut at = 0;
    if implies.is_empty() {
        return;
    }
    while let Some(scope) = scopes.get(at) {
        for more in implies.get(&**scope).into_iter().flatten() {
            if !scopes.iter().any(|known| **known == **more) {
                scopes.push(Box::from(more.as_str()));
            }
        }
        at += 1;
    }
}

/// Who the token stands for: its own issuer and subject, or, if our own authorization server made it, the person that the
/// corporate issuer vouched for. So the same person is the same principal by every door.
fn person(claims: &Map<String, Value>, issuer: &IssuerSettings) -> Result<(Arc<str>, Arc<str>), &'static str> {
    let text = |of: &Map<String, Value>, name: &str| of.get(name).and_then(Value::as_str).map(Arc::<str>::from);
    let own = (text(claims, "iss").ok_or("no issuer")?, text(claims, "sub").ok_or("no subject")?);
    let idp = match (&issuer.jwks, claims.get("idp")) {
        (JwksSource::Shared(_), Some(idp)) => idp.as_object().ok_or("the claim `idp` is not an object")?,
        _ => return Ok(own),
    };
    let (iss, sub) = (text(idp, "iss").ok_or("no issuer in `idp`")?, text(idp, "sub").ok_or("no subject in `idp`")?);
    if is_reserved(&iss) || !is_subject(&sub) {
        return Err("the claim `idp` names nobody");
    }
    Ok((iss, sub))
}

/// The claim named `path`, else what the dotted `path` leads to. Names with dots in them (URLs) are claims in their own right.
pub(super) fn lookup<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut names = path.split('.').take(PATH_LEVELS_MAX + 1);
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.as_object()?.get(name))
}

fn client_id(claims: &Map<String, Value>) -> Result<Option<Arc<str>>, &'static str> {
    match claims.get("client_id").or_else(|| claims.get("azp")) {
        None => Ok(None),
        Some(Value::String(id)) if (1..=CLIENT_ID_BYTES_MAX).contains(&id.len()) => Ok(Some(Arc::from(id.as_str()))),
        Some(_) => Err("the client id is not a string of acceptable length"),
    }
}

/// Scopes as RFC 8693 section 4.2 writes them, or as an array of strings.
fn scopes(value: Option<&Value>) -> Result<Vec<Box<str>>, &'static str> {
    const WRONG: &str = "the scopes are not a string or an array of strings, or too many";
    let found: Vec<&str> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(all)) => all.split(' ').filter(|s| !s.is_empty()).collect(),
        Some(Value::Array(all)) => all.iter().map(Value::as_str).collect::<Option<_>>().ok_or(WRONG)?,
        Some(_) => return Err(WRONG),
    };
    if found.len() > SCOPES_MAX || !found.iter().all(|s| is_scope(s)) {
        return Err(WRONG);
    }
    Ok(found.into_iter().map(Box::from).collect())
}
