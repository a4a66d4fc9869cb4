//! `upstreams[].credential`: one kind each, complete, and addressed to somebody the operator named.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use secrecy::SecretString;
use url::Url;

use super::Cx;
use super::address::{Consent, outward};
use super::files;
use super::identity::scopes;
use super::issuer::{issuer_url, word_of};
use super::per_user;
use crate::config::checked::{ClientProof, Credential, JagSubject, SubjectTokenType, TokenAsked, TokenServer};
use crate::config::raw;
use crate::config::report::resolve;
use crate::config::shape::WordOr;
use crate::vocab::limits::TOKEN_BYTES_MAX;

/// Headers that the gateway or HTTP itself sets; a credential may not.
const RESERVED_HEADERS: [&str; 17] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "last-event-id",
    "origin",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// Length of a client id or audience.
const ID_BYTES_MAX: usize = 2 * 1024;
const KINDS: &str = "none, or a table with one of: bearer, header, client_credentials, token_exchange, id_jag, per_user, mtls";

/// The checked credential. `issuers` are those of callers, of which the only one is whose callers are people elsewhere.
pub(super) fn check(path: &str, raw: Option<WordOr<raw::Credential>>, issuers: &[String], cx: &mut Cx<'_>) -> Option<Credential> {
    let raw = match raw {
        None => return Some(Credential::None),
        Some(WordOr::Word(word)) => match word.as_str() {
            "none" => return Some(Credential::None),
            "per_user" | "client_credentials" | "token_exchange" | "id_jag" | "mtls" | "bearer" | "header" => {
                return cx.refuse(path, "needs settings", format!("write a table: {word}: {{ .. }}"));
            }
            _ => return cx.refuse(path, "is not a kind of credential", KINDS),
        },
        Some(WordOr::Table(table)) => table,
    };
    let at = |key: &str| format!("{path}.{key}");
    let raw::Credential { bearer: token, header: own, client_credentials: own_token, token_exchange, id_jag, mtls, per_user } =
        raw;
    let given = [
        token.is_some(),
        own.is_some(),
        own_token.is_some(),
        token_exchange.is_some(),
        id_jag.is_some(),
        mtls.is_some(),
        per_user.is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        return cx.refuse(path, "has two kinds at once", KINDS);
    }
    if let Some(token) = token {
        return bearer(&at("bearer"), token, cx);
    }
    if let Some(raw) = own {
        return header(&at("header"), raw, cx);
    }
    if let Some(raw) = mtls {
        return certificate(&at("mtls"), raw, cx);
    }
    if let Some(raw) = own_token {
        return client_credentials(&at("client_credentials"), raw, cx);
    }
    if let Some(raw) = token_exchange {
        return exchange(&at("token_exchange"), raw, issuers, cx);
    }
    if let Some(raw) = id_jag {
        return identity_assertion(&at("id_jag"), raw, issuers, cx);
    }
    if let Some(raw) = per_user {
        return per_user::check(&at("per_user"), raw, cx);
    }
    // An empty table, unless it held a kind that has been reported as not built.
    if cx.report.any_below(path) { None } else { cx.refuse(path, "is empty", KINDS) }
}

fn bearer(path: &str, token: String, cx: &mut Cx<'_>) -> Option<Credential> {
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        cx.report.problem_unshown(path, "is not a token", "visible ASCII without spaces, without the word Bearer");
        return None;
    }
    Some(Credential::Bearer(token.into()))
}

fn header(path: &str, raw: raw::Header, cx: &mut Cx<'_>) -> Option<Credential> {
    let name_path = format!("{path}.name");
    let name = match raw.name.as_deref().map(|name| HeaderName::from_bytes(name.as_bytes())) {
        None => cx.missing(&name_path, "such as X-Api-Key"),
        Some(Err(_)) => cx.refuse(&name_path, "is not a header name", "such as X-Api-Key"),
        Some(Ok(name)) if is_reserved(name.as_str()) => cx.refuse(&name_path, "is a header that the gateway sets itself", ""),
        Some(Ok(name)) => Some(name.as_str().to_owned()),
    };
    let value_path = format!("{path}.value");
    let value = match raw.value {
        None => cx.missing(&value_path, "such as \"${env:API_KEY}\""),
        Some(value) if value.trim() != value || value.is_empty() || HeaderValue::from_str(&value).is_err() => {
            let hint = "visible ASCII, no line breaks, no space at either end";
            cx.report.problem_unshown(&value_path, "is not a header value", hint);
            None
        }
        Some(value) => Some(value.into()),
    };
    Some(Credential::Header { name: name?, value: value? })
}

fn is_reserved(name: &str) -> bool {
    RESERVED_HEADERS.contains(&name) || name.starts_with("mcp-") || name.starts_with("x-forwarded-")
}

fn certificate(path: &str, raw: raw::Mtls, cx: &mut Cx<'_>) -> Option<Credential> {
    let at = |key: &str| format!("{path}.{key}");
    let cert = match raw.cert {
        Some(text) => file(files::readable, &at("cert"), &text, cx),
        None => cx.missing(&at("cert"), "a PEM file with the certificate chain"),
    };
    let key = match raw.key {
        Some(text) => file(files::private_key, &at("key"), &text, cx),
        None => cx.missing(&at("key"), "a PEM file with its private key"),
    };
    Some(Credential::Mtls { cert: cert?, key: key? })
}

/// A file that an upstream or its authorization server is shown, judged by `check` unless nobody is going to contact one.
fn file(check: fn(&str, &str, &mut Cx<'_>) -> Option<PathBuf>, path: &str, text: &str, cx: &mut Cx<'_>) -> Option<PathBuf> {
    if cx.upstreams_unset { Some(resolve(&cx.dir, text)) } else { check(path, text, cx) }
}

fn client_credentials(path: &str, raw: raw::ClientCredentials, cx: &mut Cx<'_>) -> Option<Credential> {
    let raw::ClientCredentials {
        issuer, token_url, client_id, client_secret, private_key, key_id, allow_private_addresses, ..
    } = raw;
    let server = raw::TokenServer { issuer, token_url, client_id, client_secret, private_key, key_id, allow_private_addresses };
    let server = token_server(path, server, cx);
    let asked = asked(path, raw.scopes, raw.resource, cx);
    Some(Credential::ClientCredentials { server: server?, asked: asked? })
}

fn exchange(path: &str, raw: raw::TokenExchange, issuers: &[String], cx: &mut Cx<'_>) -> Option<Credential> {
    let raw::TokenExchange { issuer, token_url, client_id, client_secret, private_key, key_id, allow_private_addresses, .. } =
        raw;
    let server = raw::TokenServer { issuer, token_url, client_id, client_secret, private_key, key_id, allow_private_addresses };
    let server = token_server(path, server, cx);
    let asked = asked(path, raw.scopes, raw.resource, cx);
    let audience = match raw.audience {
        Some(text) => identifier(&format!("{path}.audience"), text, cx).map(Some),
        None => Some(None),
    };
    let subject_issuer = subject_issuer(path, raw.subject_issuer, issuers, cx);
    let actor = raw.actor.unwrap_or(true);
    Some(Credential::TokenExchange {
        server: server?,
        asked: asked?,
        audience: audience?,
        actor,
        subject_issuer: subject_issuer?,
    })
}

fn identity_assertion(path: &str, raw: raw::IdJag, issuers: &[String], cx: &mut Cx<'_>) -> Option<Credential> {
    let raw::IdJag { issuer, token_url, client_id, client_secret, private_key, key_id, allow_private_addresses, .. } = raw;
    if issuer.is_none() {
        // The assertion is addressed to it.
        cx.report.missing(&format!("{path}.issuer"), "the issuer of the upstream's authorization server");
    }
    let server = raw::TokenServer { issuer, token_url, client_id, client_secret, private_key, key_id, allow_private_addresses };
    let server = token_server(path, server, cx);
    let idp = match raw.idp {
        Some(idp) => token_server(&format!("{path}.idp"), idp, cx),
        None => cx.missing(&format!("{path}.idp"), "the identity provider, and the gateway as its client"),
    };
    let asked = asked(path, raw.scopes, raw.resource, cx);
    let person = word_of(&format!("{path}.subject"), raw.subject.as_deref(), &JAG_SUBJECTS, cx);
    let subject = match (raw.subject_token, raw.subject_token_type) {
        (token, kind) if person == Some(true) => {
            let beside = [
                ("subject_token", token.is_some()),
                ("subject_token_type", kind.is_some()),
                ("subject_issuer", raw.subject_issuer.is_some()),
            ];
            let beside: Vec<&str> = beside.into_iter().filter_map(|(key, given)| given.then_some(key)).collect();
            for key in &beside {
                let hint = "give one of the two: a person is who signed in at the gateway";
                cx.report.problem_unshown(&format!("{path}.{key}"), "stands beside `subject: person`", hint);
            }
            beside.is_empty().then_some(JagSubject::Person)
        }
        (Some(token), kind) => {
            if raw.subject_issuer.is_some() {
                let hint = "give one of the two: with a token, nobody is asserted";
                cx.report.problem(&format!("{path}.subject_issuer"), "stands beside `subject_token`", hint);
            }
            let kind = word_of(&format!("{path}.subject_token_type"), kind.as_deref(), &SUBJECT_TOKEN_TYPES, cx);
            let token = subject_token(&format!("{path}.subject_token"), token, cx);
            token.zip(kind).map(|(token, kind)| JagSubject::Workload { token, kind })
        }
        (None, Some(_)) => cx.refuse(&format!("{path}.subject_token_type"), "stands alone", "it says what `subject_token` is"),
        (None, None) => subject_issuer(path, raw.subject_issuer, issuers, cx).map(|issuer| JagSubject::Caller { issuer }),
    };
    Some(Credential::IdJag { idp: idp?, server: server?, asked: asked?, subject: subject? })
}

/// Whether it is the person's own sign-in; the first is the default.
const JAG_SUBJECTS: [(&str, bool); 2] = [("caller", false), ("person", true)];

/// What a configured token may be; the first is the default.
const SUBJECT_TOKEN_TYPES: [(&str, SubjectTokenType); 3] =
    [("id_token", SubjectTokenType::IdToken), ("jwt", SubjectTokenType::Jwt), ("access_token", SubjectTokenType::AccessToken)];

/// A token that the operator has from the identity provider.
fn subject_token(path: &str, token: String, cx: &mut Cx<'_>) -> Option<SecretString> {
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|b| b.is_ascii_graphic()) {
        cx.report.problem_unshown(path, "is not a token", "such as \"${file:identity.jwt}\": visible ASCII without spaces");
        return None;
    }
    Some(token.into())
}

/// Where it is, is always written: a secret would otherwise go wherever the upstream says.
fn token_server(path: &str, raw: raw::TokenServer, cx: &mut Cx<'_>) -> Option<TokenServer> {
    let at = |key: &str| format!("{path}.{key}");
    if raw.issuer.is_none() && raw.token_url.is_none() {
        cx.report.missing(&at("issuer"), "the authorization server's issuer, or give `token_url`");
    }
    let issuer = match raw.issuer {
        Some(text) => issuer_url(&at("issuer"), text, cx).map(Some),
        None => Some(None),
    };
    let allow_private_addresses = raw.allow_private_addresses.unwrap_or(false);
    let token_url = match raw.token_url {
        Some(text) => {
            let consent = Consent { private: allow_private_addresses, plaintext: false, plaintext_key: "tokens need https" };
            outward(&at("token_url"), &text, &consent, cx).map(Some)
        }
        None => Some(None),
    };
    let client_id = match raw.client_id {
        Some(text) => identifier(&at("client_id"), text, cx),
        None => cx.missing(&at("client_id"), "what the authorization server calls the gateway"),
    };
    if raw.key_id.is_some() && raw.private_key.is_none() {
        cx.report.problem(&at("key_id"), "stands alone", "it says what the server calls the `private_key`");
    }
    let proof = match (raw.client_secret, raw.private_key) {
        (Some(secret), None) if secret.is_empty() || secret.chars().any(char::is_control) => {
            cx.report.problem_unshown(&at("client_secret"), "is not a client secret", "such as \"${file:client-secret}\"");
            None
        }
        (Some(secret), None) => Some(ClientProof::Secret(secret.into())),
        (None, Some(text)) => {
            let file = file(files::private_key, &at("private_key"), &text, cx);
            let key_id = match raw.key_id {
                Some(text) => identifier(&at("key_id"), text, cx).map(Some),
                None => Some(None),
            };
            file.zip(key_id).map(|(file, key_id)| ClientProof::PrivateKey { file, key_id })
        }
        (Some(_), Some(_)) => cx.refuse(&at("private_key"), "stands beside `client_secret`", "give one of the two"),
        (None, None) => cx.missing(&at("client_secret"), "such as \"${file:client-secret}\", or give `private_key`: FILE"),
    };
    Some(TokenServer { issuer: issuer?, token_url: token_url?, client_id: client_id?, proof: proof?, allow_private_addresses })
}

fn asked(path: &str, raw_scopes: Option<Vec<String>>, raw_resource: Option<String>, cx: &mut Cx<'_>) -> Option<TokenAsked> {
    let scopes = scopes(&format!("{path}.scopes"), raw_scopes, cx);
    match raw_resource {
        None => Some(TokenAsked { scopes, resource: None }),
        Some(text) => Some(TokenAsked { scopes, resource: Some(resource(&format!("{path}.resource"), text, cx)?) }),
    }
}

pub(super) fn resource(path: &str, text: String, cx: &mut Cx<'_>) -> Option<String> {
    match Url::parse(&text) {
        Ok(url) if url.fragment().is_none() => Some(text),
        _ => cx.refuse(path, "is not an absolute URI without fragment", "leave it out for the upstream's URL"),
    }
}

/// Whose callers are people elsewhere. A subject means nothing without its issuer, so it is never guessed among several.
fn subject_issuer(path: &str, raw: Option<String>, issuers: &[String], cx: &mut Cx<'_>) -> Option<String> {
    let path = format!("{path}.subject_issuer");
    match (raw, issuers) {
        (Some(text), _) => identifier(&path, text, cx),
        (None, [only]) => Some(only.clone()),
        (None, _) => cx.missing(&path, "the issuer (of `identity.issuers`) whose callers the authorization server knows"),
    }
}

pub(super) fn identifier(path: &str, text: String, cx: &mut Cx<'_>) -> Option<String> {
    if text.is_empty() || text.len() > ID_BYTES_MAX || text.chars().any(char::is_control) {
        cx.report.problem_unshown(path, "is empty, too long or not printable", "");
        return None;
    }
    Some(text)
}
