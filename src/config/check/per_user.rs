//! `upstreams[].credential.per_user`: accounts that people link.

use url::Url;

use super::Cx;
use super::address::{Consent, outward};
use super::credential::{identifier, resource};
use super::identity::scopes;
use super::issuer::issuer_url;
use crate::config::checked::{Credential, PerUser, ResourceSent};
use crate::config::raw;

/// Accounts that people link. A secret is shown to the server that the operator named, to no other.
pub(super) fn check(path: &str, raw: raw::PerUser, cx: &mut Cx<'_>) -> Option<Credential> {
    let at = |key: &str| format!("{path}.{key}");
    let issuer = match raw.issuer {
        Some(text) => issuer_url(&at("issuer"), text, cx).map(Some),
        None => Some(None),
    };
    let client_id = match raw.client_id {
        Some(text) => identifier(&at("client_id"), text, cx).map(Some),
        None => Some(None),
    };
    if raw.client_secret.is_some() && matches!((&issuer, &client_id), (Some(None), _) | (_, Some(None))) {
        let hint = "name the `issuer` and the `client_id` that it belongs to: an upstream could otherwise have it sent anywhere";
        cx.report.problem_unshown(&at("client_secret"), "stands alone", hint);
    }
    if raw.client_secret.as_ref().is_some_and(|secret| secret.is_empty() || secret.chars().any(char::is_control)) {
        cx.report.problem_unshown(&at("client_secret"), "is not a client secret", "such as \"${file:client-secret}\"");
    }
    let scopes = scopes(&at("scopes"), raw.scopes, cx);
    let pkce_unannounced = raw.danger_pkce_unannounced.unwrap_or(false);
    if pkce_unannounced && matches!(issuer, Some(None)) {
        let hint = "name the `issuer` of which you know that it takes PKCE";
        cx.report.problem(&at("danger_pkce_unannounced"), "is said of no authorization server", hint);
    }
    let named = matches!((&issuer, &client_id), (Some(Some(_)), Some(Some(_))));
    let endpoints = endpoints(path, raw.authorization_url, raw.token_url, named && pkce_unannounced, cx);
    let resource = match (raw.resource, raw.danger_no_resource) {
        (Some(_), Some(true)) => cx.refuse(&at("danger_no_resource"), "stands beside `resource`", "give one of the two"),
        (Some(text), _) => resource(&at("resource"), text, cx).map(ResourceSent::Written),
        (None, Some(true)) if matches!(issuer, Some(None)) => {
            let hint = "name the `issuer` of which you know that it refuses the parameter";
            cx.refuse(&at("danger_no_resource"), "is said of no authorization server", hint)
        }
        (None, Some(true)) => Some(ResourceSent::None),
        (None, _) => Some(ResourceSent::Said),
    };
    let client_secret = raw.client_secret.map(Into::into);
    Some(Credential::PerUser(PerUser {
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        scopes,
        endpoints: endpoints?,
        resource: resource?,
        pkce_unannounced,
    }))
}

/// Endpoints that are written in the place of metadata: both, for an issuer and a client that are written, too, and with a word about
/// PKCE, as nobody announces it then.
fn endpoints(
    path: &str,
    authorization: Option<String>,
    token: Option<String>,
    complete: bool,
    cx: &mut Cx<'_>,
) -> Option<Option<(Url, Url)>> {
    let (authorization_path, token_path) = (format!("{path}.authorization_url"), format!("{path}.token_url"));
    let consent = Consent { private: true, plaintext: false, plaintext_key: "tokens need https" };
    match (authorization, token) {
        (None, None) => Some(None),
        (Some(_), None) => cx.missing(&token_path, "both endpoints are written, or none"),
        (None, Some(_)) => cx.missing(&authorization_path, "both endpoints are written, or none"),
        (Some(_), Some(_)) if !complete => {
            let hint =
                "write `issuer`, `client_id` and `danger_pkce_unannounced: true` as well: without metadata nobody says them";
            cx.refuse(&authorization_path, "does not suffice", hint)
        }
        (Some(authorization), Some(token)) => {
            let authorization = outward(&authorization_path, &authorization, &consent, cx);
            let token = outward(&token_path, &token, &consent, cx);
            Some(Some((authorization?, token?)))
        }
    }
}
