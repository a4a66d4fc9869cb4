//! `routes`: exact paths and what is behind them.

use std::collections::HashSet;

use super::Cx;
use super::identity::scopes;
use super::upstreams::revisions;
use crate::config::checked::Route;
use crate::config::checked_identity::Identity;
use crate::config::near::nearest;
use crate::config::raw;
use crate::config::report::item_path;
use crate::vocab::{Proof, Revision};

/// First segments that the gateway answers itself.
const RESERVED: [&str; 4] = [".well-known", "oauth", "connect", "confirm"];
/// Length of a route's path.
const PATH_BYTES_MAX: usize = 256;

pub(super) fn check(raw: Option<Vec<raw::Route>>, upstreams: &HashSet<String>, cx: &mut Cx<'_>) -> Vec<Route> {
    let raw = raw.unwrap_or_default();
    if raw.is_empty() {
        cx.report.missing("routes", "name at least one path, such as { path: /mcp, upstreams: [NAME] }");
    }
    let mut paths = HashSet::new();
    let mut routes = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let at = item_path("routes", i);
        if let Some(path) = &raw.path
            && !paths.insert(path.clone())
        {
            cx.report.problem(&format!("{at}.path"), "is the path of another route", "paths are unique");
        }
        routes.extend(route(&at, raw, upstreams, cx));
    }
    routes
}

/// Every proof can be brought by somebody. `mutual`: clients show certificates; `own`: there is an authorization server of ours.
pub(super) fn proofs(routes: &[Route], mutual: bool, own: bool, identity: Option<&Identity>, cx: &mut Cx<'_>) {
    for (i, route) in routes.iter().enumerate() {
        if route.proof == Proof::Mtls && !mutual {
            let path = format!("{}.proof", item_path("routes", i));
            cx.report.problem(&path, "needs client certificates, and none are asked for", "give `tls.client_ca`");
        }
        let bound = |identity: &Identity| {
            !identity.issuers.is_empty() || (identity.client_certificates.is_some() && route.proof != Proof::Dpop)
        };
        if route.proof != Proof::None && own && !identity.is_none_or(bound) {
            let path = format!("{}.proof", item_path("routes", i));
            let hint = "name an issuer of bound tokens under `identity.issuers`, or leave it out";
            cx.report.problem(&path, "could be met by nobody: tokens of `authserver` are bound to nothing", hint);
        }
    }
}

fn route(at: &str, raw: raw::Route, upstreams: &HashSet<String>, cx: &mut Cx<'_>) -> Option<Route> {
    let key = |key: &str| format!("{at}.{key}");
    let path = match raw.path {
        Some(text) => path(&key("path"), text, cx),
        None => cx.missing(&key("path"), "such as /mcp"),
    };
    let names = behind(&key("upstreams"), raw.upstreams.unwrap_or_default(), upstreams, cx);
    let bare = match raw.names.as_deref() {
        None => false,
        Some("bare") => {
            if names.len() > 1 {
                cx.report.problem(
                    &key("names"),
                    "`bare` needs a single upstream",
                    "leave it out, or give each upstream its route",
                );
            }
            true
        }
        Some(_) => cx.refuse(&key("names"), "is not a way to name", "bare; leave it out for UPSTREAM__NAME").unwrap_or(false),
    };
    let min_version = match raw.min_version.as_deref() {
        None => Some(Revision::OLDEST_STREAMABLE),
        Some(text) => match Revision::parse(text) {
            Some(revision) => Some(revision),
            None => cx.refuse(&key("min_version"), "is not a protocol revision", format!("one of {}", revisions())),
        },
    };
    let scopes = scopes(&key("scopes"), raw.scopes, cx);
    let proof = match raw.proof.as_deref().map(Proof::parse) {
        None => Proof::None,
        Some(Some(proof)) => proof,
        Some(None) => cx.refuse(&key("proof"), "is not a sender constraint", "none, dpop, mtls or any").unwrap_or_default(),
    };
    Some(Route { path: path?, upstreams: names, bare, min_version: min_version?, scopes, proof })
}

/// Only characters that nothing on the way rewrites, so that an exact match means what it says.
fn path(at: &str, text: String, cx: &mut Cx<'_>) -> Option<String> {
    let Some(rest) = text.strip_prefix('/') else { return cx.refuse(at, "does not start with `/`", "such as /mcp") };
    if text.len() > PATH_BYTES_MAX {
        return cx.refuse(at, "is too long", format!("at most {PATH_BYTES_MAX} bytes"));
    }
    if text.contains(['?', '#']) {
        return cx.refuse(at, "has a query or fragment", "a path only, such as /mcp");
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/');
    if !text.bytes().all(legal) {
        return cx.refuse(at, "has a character that a path may not have here", "letters, digits, `-`, `.`, `_`, `~` and `/`");
    }
    if text != "/" && rest.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return cx.refuse(at, "has an empty or dot segment", "no `//`, `/./`, `/../`, and no `/` at the end");
    }
    let first = rest.split('/').next().unwrap_or_default();
    if RESERVED.contains(&first) {
        return cx.refuse(at, format!("is under /{first}/, which the gateway answers itself"), "such as /mcp");
    }
    Some(text)
}

fn behind(at: &str, names: Vec<String>, upstreams: &HashSet<String>, cx: &mut Cx<'_>) -> Vec<String> {
    if names.is_empty() {
        cx.report.missing(at, "name at least one upstream");
    }
    let mut seen = HashSet::new();
    for (i, name) in names.iter().enumerate() {
        let at = item_path(at, i);
        if !seen.insert(name) {
            cx.report.problem(&at, "is listed twice", "");
        } else if !upstreams.contains(name) {
            let mut known: Vec<&str> = upstreams.iter().map(String::as_str).collect();
            known.sort_unstable();
            let hint = nearest(name, known.iter().copied())
                .map_or_else(|| format!("configured: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
            cx.report.problem(&at, "is not the name of an upstream", hint);
        }
    }
    names
}
