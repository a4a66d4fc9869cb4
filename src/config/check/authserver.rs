//! `authserver`: the authorization server, its identity provider and its clients.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use url::Url;

use super::Cx;
use super::address::{Consent, host_is_loopback, outward};
use super::files;
use super::identity::{hex32, scopes};
use super::issuer::{algorithms, issuer, issuer_url, required};
use super::settings::duration;
use crate::config::authserver::{AuthClient, AuthServer, AuthUpstream, Cimd, Dcr, Grant};
use crate::config::checked::{PublicUrl, Scheme};
use crate::config::limits::{ACCESS_TOKEN, KEY_ROTATION, REFRESH_TOKEN, REGISTRATION, REGISTRATIONS_PER_HOUR};
use crate::config::raw::authserver as raw;
use crate::config::report::{item_path, key_path};
use crate::config::{Algorithm, Issuer, Jwks};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Length of a client id or name.
const WORD_BYTES_MAX: usize = 256;

pub(super) fn check(raw: Option<raw::AuthServer>, public: Option<&PublicUrl>, cx: &mut Cx<'_>) -> Option<Option<AuthServer>> {
    let Some(raw) = raw else { return Some(None) };
    if let Some(public) = public {
        reachable_safely(public, cx);
    }
    let upstream = match raw.upstream {
        Some(table) => upstream("authserver.upstream", table, cx),
        None => {
            cx.missing("authserver.upstream", "the identity provider where people sign in: { issuer, client_id, client_secret }")
        }
    };
    let cimd = cimd(raw.cimd, cx);
    let dcr = dcr(raw.dcr, cx);
    let mut clients: Vec<AuthClient> = Vec::new();
    for (i, raw) in raw.clients.unwrap_or_default().into_iter().enumerate() {
        let path = item_path("authserver.clients", i);
        let Some(client) = client(&path, raw, cx) else { continue };
        if clients.iter().any(|other| other.client_id == client.client_id) {
            cx.report.problem(&format!("{path}.client_id"), "is the id of another client", "ids are unique");
        }
        clients.push(client);
    }
    let id_jag = raw.id_jag.unwrap_or_default().issuers.unwrap_or_default().into_iter().enumerate();
    let id_jag = id_jag.filter_map(|(i, raw)| granting(&item_path("authserver.id_jag.issuers", i), raw, cx)).collect();
    let minute = Duration::from_secs(60);
    let access_token = duration("authserver.access_token", raw.access_token.as_deref(), 10 * minute, ACCESS_TOKEN, cx);
    let refresh_token = duration("authserver.refresh_token", raw.refresh_token.as_deref(), 30 * DAY, REFRESH_TOKEN, cx);
    let key_rotation = duration("authserver.key_rotation", raw.key_rotation.as_deref(), 90 * DAY, KEY_ROTATION, cx);
    let algorithm = match raw.algorithm.as_deref() {
        None | Some("ES256") => Some(Algorithm::ES256),
        Some("EdDSA") => Some(Algorithm::EdDSA),
        Some(_) => cx.refuse("authserver.algorithm", "is not an algorithm that tokens are signed with", "ES256 or EdDSA"),
    };
    let words = raw.scopes.unwrap_or_default();
    scope_words(&words, cx);
    let checked = AuthServer {
        upstream: upstream?,
        cimd: cimd?,
        dcr: dcr?,
        clients,
        id_jag,
        access_token: access_token?,
        refresh_token: refresh_token?,
        algorithm: algorithm?,
        key_rotation: key_rotation?,
        scopes: words,
    };
    Some(raw.enabled.unwrap_or(true).then_some(checked))
}

/// The issuers that vouch for people by way of `raw`.
pub(super) fn vouching(raw: &raw::AuthServer) -> BTreeSet<String> {
    if raw.enabled == Some(false) {
        return BTreeSet::new();
    }
    let upstream = raw.upstream.iter().filter_map(|upstream| upstream.issuer.clone());
    let granting = raw.id_jag.iter().flat_map(|id_jag| &id_jag.issuers).flatten();
    upstream.chain(granting.filter_map(|granting| granting.issuer.clone())).collect()
}

/// Codes and tokens travel to it: plain http is for one machine only, whatever else is accepted.
fn reachable_safely(public: &PublicUrl, cx: &mut Cx<'_>) {
    let loopback = Url::parse(&public.origin()).is_ok_and(|url| url.host().is_some_and(|host| host_is_loopback(&host)));
    if public.scheme == Scheme::Http && !loopback {
        cx.report.problem("authserver", "needs a public_url with https", "people's sign-ins and tokens travel by it");
    }
}

/// An identity provider, and who the gateway is there; `path` is where it stands.
pub(super) fn upstream(path: &str, raw: raw::AuthUpstream, cx: &mut Cx<'_>) -> Option<AuthUpstream> {
    let at = |key: &str| format!("{path}.{key}");
    let issuer = match raw.issuer {
        Some(text) => issuer_url(&at("issuer"), text, cx),
        None => cx.missing(&at("issuer"), "the issuer of the identity provider, such as https://idp.example.com"),
    };
    let client_id = match raw.client_id {
        Some(id) => word(&at("client_id"), id, cx),
        None => cx.missing(&at("client_id"), "the id that the provider gave the gateway"),
    };
    if raw.client_secret.as_deref() == Some("") {
        cx.report.problem_unshown(&at("client_secret"), "is empty", "leave it out for a public client");
    }
    let mut wanted = scopes(&at("scopes"), raw.scopes, cx);
    if wanted.is_empty() {
        wanted = ["openid", "profile", "email"].map(str::to_owned).to_vec();
    }
    if !wanted.iter().any(|scope| scope == "openid") {
        cx.report.problem(&at("scopes"), "lacks openid: there would be no ID token", "add openid");
    }
    let required_claims = required(&at("required_claims"), raw.required_claims.unwrap_or_default(), cx);
    let algorithms = algorithms(&at("algorithms"), raw.algorithms, cx);
    Some(AuthUpstream {
        issuer: issuer?,
        client_id: client_id?,
        client_secret: raw.client_secret.map(Into::into),
        scopes: wanted,
        groups_claim: raw.groups_claim.filter(|claim| !claim.is_empty()),
        required_claims,
        algorithms: algorithms?,
        allow_private_addresses: raw.allow_private_addresses.unwrap_or(false),
    })
}

fn cimd(raw: Option<raw::Cimd>, cx: &mut Cx<'_>) -> Option<Option<Cimd>> {
    let Some(raw) = raw else { return Some(None) };
    let private = raw.allow_private_addresses.unwrap_or(false);
    let mut allow = Vec::new();
    for (i, text) in raw.allow.unwrap_or_default().into_iter().enumerate() {
        let name = text.strip_prefix("*.").unwrap_or(&text);
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let is_host = name.bytes().all(plain) && !name.split('.').any(str::is_empty);
        // Numbers are addresses however they are written.
        let is_name = is_host && matches!(url::Host::parse(name), Ok(url::Host::Domain(_)));
        // A name without a dot is of this machine or this network, and nothing public is below it.
        let is_local = !name.contains('.');
        let path = item_path("authserver.cimd.allow", i);
        if !is_name || is_local && name.len() < text.len() {
            cx.report.problem(&path, "is not the name of a host", "such as client.example.com, or *.example.com for all below");
        } else if is_local && !private {
            cx.report.problem(&path, "is the name of a private host", "say `allow_private_addresses: true` beside it");
        } else {
            allow.push(text.to_ascii_lowercase());
        }
    }
    let any = raw.danger_allow_any.unwrap_or(false);
    if raw.enabled == Some(false) {
        return Some(None);
    }
    if allow.is_empty() && !any && !cx.report.any() {
        return cx.refuse("authserver.cimd", "accepts no host", "list hosts in `allow`, or say `danger_allow_any: true`");
    }
    if any && private {
        let hint = "list the hosts that are private in `allow`";
        return cx.refuse("authserver.cimd.danger_allow_any", "would let anybody make the gateway call private addresses", hint);
    }
    Some(Some(Cimd { allow, any, allow_private_addresses: private }))
}

fn dcr(raw: Option<raw::Dcr>, cx: &mut Cx<'_>) -> Option<Option<Dcr>> {
    let raw = raw.unwrap_or_default();
    let per_hour = raw.per_hour.unwrap_or(20);
    let expires = duration("authserver.dcr.expires", raw.expires.as_deref(), 30 * DAY, REGISTRATION, cx);
    if !REGISTRATIONS_PER_HOUR.contains(&per_hour) {
        let (low, high) = (REGISTRATIONS_PER_HOUR.start(), REGISTRATIONS_PER_HOUR.end());
        cx.report.problem("authserver.dcr.per_hour", "is out of range", format!("between {low} and {high}"));
    }
    let dcr = Dcr { per_hour: u32::try_from(per_hour).ok()?, expires: expires? };
    Some(raw.enabled.unwrap_or(false).then_some(dcr))
}

fn client(path: &str, raw: raw::AuthClient, cx: &mut Cx<'_>) -> Option<AuthClient> {
    let at = |key: &str| format!("{path}.{key}");
    let client_id = match raw.client_id {
        Some(id) if id.starts_with("https://") || id.starts_with("dcr_") => {
            cx.refuse(&at("client_id"), "could be the id of a client that is not configured", "take another id")
        }
        Some(id) => word(&at("client_id"), id, cx),
        None => cx.missing(&at("client_id"), "its id"),
    };
    let secret_sha256 = match raw.secret_hash.as_deref() {
        None => None,
        Some(text) => match text.strip_prefix("sha256:").and_then(hex32) {
            Some(hash) => Some(hash),
            None => cx.refuse(&at("secret_hash"), "is not `sha256:` and 64 hexadecimal digits", "the SHA-256 of the secret"),
        },
    };
    let private = raw.allow_private_addresses.unwrap_or(false);
    let consent = Consent { private, plaintext: false, plaintext_key: "no such key" };
    let jwks = match raw.jwks.as_deref() {
        None => None,
        Some(text) => match text.strip_prefix("file:") {
            Some(file) => files::readable(&at("jwks"), file, cx).map(Jwks::File),
            None => outward(&at("jwks"), text, &consent, cx).map(Jwks::Url),
        },
    };
    if raw.secret_hash.is_some() && raw.jwks.is_some() {
        cx.report.problem(path, "has both `secret_hash` and `jwks`", "a client authenticates in one way");
    }
    let grants = grants(&at("grants"), raw.grants, cx);
    let public = secret_sha256.is_none() && jwks.is_none();
    for grant in [Grant::ClientCredentials, Grant::JwtBearer] {
        if public && grants.contains(&grant) {
            cx.report.problem(&at("grants"), format!("{} needs a client that authenticates", grant.as_str()), "give it `jwks`");
        }
    }
    let redirect_uris = raw.redirect_uris.unwrap_or_default();
    for (i, uri) in redirect_uris.iter().enumerate() {
        if !is_redirect(uri) {
            let hint = "https, http to 127.0.0.1, [::1] or localhost, or a scheme of the client's own; no fragment";
            cx.report.problem(&item_path(&at("redirect_uris"), i), "is not an address that codes are sent to", hint);
        }
    }
    if redirect_uris.is_empty() && grants.contains(&Grant::AuthorizationCode) {
        cx.report.missing(&at("redirect_uris"), "where codes are sent; or leave authorization_code out of `grants`");
    }
    let client_id = client_id?;
    let name = raw.name.filter(|name| !name.is_empty()).unwrap_or_else(|| client_id.clone());
    Some(AuthClient { name, client_id, redirect_uris, secret_sha256, jwks, allow_private_addresses: private, grants })
}

fn grants(path: &str, raw: Option<Vec<String>>, cx: &mut Cx<'_>) -> Vec<Grant> {
    let Some(raw) = raw else { return vec![Grant::AuthorizationCode, Grant::RefreshToken] };
    let mut grants = Vec::new();
    for (i, word) in raw.iter().enumerate() {
        match Grant::ALL.into_iter().find(|grant| grant.as_str() == word) {
            Some(grant) => grants.push(grant),
            None => {
                let known = Grant::ALL.map(Grant::as_str).join(", ");
                cx.report.problem(&item_path(path, i), "is not a grant", format!("one of {known}"));
            }
        }
    }
    grants
}

/// An issuer whose grants are accepted: what is said of access tokens says nothing of grants, and is not passed over in silence.
fn granting(path: &str, raw: crate::config::raw::Issuer, cx: &mut Cx<'_>) -> Option<Issuer> {
    for (key, said) in [
        ("audience", raw.audience.is_some()),
        ("token_type", raw.token_type.is_some()),
        ("scope_implies", raw.scope_implies.is_some()),
        ("dpop", raw.dpop.is_some()),
        ("introspection", raw.introspection.is_some()),
    ] {
        if said {
            let hint = "a grant is for the gateway, of one type, used once, and not bound to a key: leave it out";
            cx.report.problem_unshown(&format!("{path}.{key}"), "is about access tokens, and these are grants", hint);
        }
    }
    issuer(path, raw, cx)
}

/// What the operator may write. What strangers may is less.
fn is_redirect(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    let plain = uri.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') && url.fragment().is_none();
    let alone = url.username().is_empty() && url.password().is_none();
    let goes = match url.scheme() {
        "https" => true,
        "http" => url.host().is_some_and(|host| host_is_loopback(&host)),
        "javascript" | "data" | "vbscript" | "file" | "blob" | "about" | "ftp" | "ws" | "wss" | "view-source" => false,
        _ => true,
    };
    plain && alone && goes
}

fn scope_words(words: &BTreeMap<String, String>, cx: &mut Cx<'_>) {
    for scope in words.keys() {
        let path = key_path("authserver.scopes", scope);
        scopes(&path, Some(vec![scope.clone()]), cx);
        if scope == "offline_access" {
            cx.report.problem(&path, "is not a scope of a route", "clients get refresh tokens by their `grants`");
        }
    }
}

fn word(path: &str, text: String, cx: &mut Cx<'_>) -> Option<String> {
    if text.is_empty() || text.len() > WORD_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return cx.refuse(path, "is empty, too long or not visible ASCII", format!("1 to {WORD_BYTES_MAX} characters"));
    }
    Some(text)
}
