//! `identity`: issuers, API keys, and the two ways in that are for loopback only.

use std::collections::{BTreeSet, HashSet};

use super::Cx;
use super::door::Reach;
use super::issuer::{globs, issuer, word_of};
use super::roster;
use crate::config::checked_identity::{ApiKey, ClientCertificates, Identity, Issuer};
use crate::config::raw;
use crate::config::raw_identity as raw_parts;
use crate::config::report::item_path;
use crate::config::scalar;

/// Length of a name, a claim path or a scope.
pub(super) const WORD_BYTES_MAX: usize = 256;

/// `others`: issuers of people that are named elsewhere. `mutual`: clients show certificates.
pub(super) fn check(
    raw: raw::Identity,
    others: &BTreeSet<String>,
    reach: Reach,
    mutual: bool,
    cx: &mut Cx<'_>,
) -> Option<Identity> {
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
        api_keys.push(key);
    }
    let opaque: Vec<usize> = issuers.iter().enumerate().filter(|(_, i)| i.introspection.is_some()).map(|(at, _)| at).collect();
    if let Some(second) = opaque.get(1) {
        let path = format!("{}.introspection", item_path("identity.issuers", *second));
        let hint = "an opaque token does not say whose it is, and none is shown to two issuers";
        cx.report.problem_unshown(&path, "is the introspection of a second issuer", hint);
    }
    let client_certificates = raw.client_certificates.map(|raw| client_certificates(raw, mutual, cx));
    let vouching: BTreeSet<&str> =
        issuers.iter().map(|issuer| issuer.issuer.as_str()).chain(others.iter().map(String::as_str)).collect();
    let several = vouching.len() + usize::from(dev) > 1;
    let revocations = raw.revocations.map(|file| roster::revocations("identity.revocations", &file, cx));
    let directory = raw.directory.map(|file| roster::directory("identity.directory", &file, several, cx));
    let nonces = [("required", false), ("optional", true)];
    Some(Identity {
        anonymous,
        issuers,
        api_keys,
        client_certificates,
        revocations: revocations.unwrap_or_default(),
        directory: directory.unwrap_or_default(),
        dpop_nonce_optional: word_of("identity.dpop_nonce", raw.dpop_nonce.as_deref(), &nonces, cx)?,
        dev,
    })
}

fn client_certificates(raw: raw_parts::ClientCertificates, mutual: bool, cx: &mut Cx<'_>) -> ClientCertificates {
    let path = "identity.client_certificates";
    if !mutual {
        cx.report.problem(path, "needs client certificates, and none are asked for", "give `tls.client_ca`");
    }
    if raw.subjects.is_none() && raw.trust_domain.is_none() {
        cx.report.missing(path, "name `subjects`, a `trust_domain`, or both");
    }
    let subjects = globs(&format!("{path}.subjects"), raw.subjects, cx);
    if let Some(domain) = &raw.trust_domain {
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
        if domain.is_empty() || domain.len() > WORD_BYTES_MAX || !domain.bytes().all(letters) {
            cx.report.problem(&format!("{path}.trust_domain"), "is not a SPIFFE trust domain", "such as example.org");
        }
    }
    ClientCertificates { subjects, trust_domain: raw.trust_domain }
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

/// A text that names something.
pub(super) fn word(path: &str, text: &str, cx: &mut Cx<'_>) {
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
