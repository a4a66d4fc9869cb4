//! The agents' listener: address, public URL, TLS, Host and Origin lists, and what is for loopback only.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::Cx;
use super::address::host_is_loopback;
use super::files;
use super::issuer::word_of;
use crate::config::checked::{PublicUrl, Scheme, Tls};
use crate::config::raw::{self, Raw};
use crate::config::report::item_path;
use crate::config::shape::WordOr;

/// What the listener's settings come to.
pub(super) struct Door {
    pub(super) listen: Option<SocketAddr>,
    pub(super) public_url: Option<PublicUrl>,
    pub(super) tls: Option<Tls>,
    pub(super) allowed_origins: Vec<String>,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) reach: Reach,
}

/// Whether anybody but this machine can reach the listener. What could not be read counts as loopback: it was reported.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    listen_is_loopback: bool,
    public_is_loopback: bool,
}

impl Reach {
    /// Reports `path` unless both the listener and its public name are loopback.
    pub(super) fn demand_loopback(self, path: &str, cx: &mut Cx<'_>) {
        let which = match (self.listen_is_loopback, self.public_is_loopback) {
            (true, true) => return,
            (false, true) => "`listen` is not",
            (true, false) => "the host of `public_url` is not",
            (false, false) => "neither `listen` nor the host of `public_url` is",
        };
        cx.report.problem(
            path,
            format!("is for loopback only, and {which} loopback"),
            "for development, listen on 127.0.0.1 and leave public_url out",
        );
    }
}

pub(super) fn check(raw: &Raw, cx: &mut Cx<'_>) -> Door {
    let listen = socket("listen", raw.listen.as_deref().unwrap_or("127.0.0.1:8443"), cx);
    let public_url = raw.public_url.as_deref().and_then(|text| public_url("public_url", text, cx));
    let listen_is_loopback = listen.is_none_or(|address| address.ip().to_canonical().is_loopback());
    let public_is_loopback = match &public_url {
        Some(url) => Url::parse(&url.origin()).is_ok_and(|url| url.host().is_some_and(|host| host_is_loopback(&host))),
        // Left out, it is the address of `listen`, which is judged by itself; given and wrong, it has been reported.
        None => true,
    };
    let reach = Reach { listen_is_loopback, public_is_loopback };
    let plaintext_ok = raw.danger_plaintext.unwrap_or(false);
    let tls = match &raw.tls {
        None => cx.missing("tls", "name `cert` and `key`; `tls: self_signed` for development on loopback"),
        Some(WordOr::Table(table)) => tls_files("tls", table, cx),
        Some(WordOr::Word(word)) => tls_word(word, reach, plaintext_ok, cx),
    };
    if let (Some(public), Some(tls)) = (&public_url, &tls) {
        agree(public, tls, public_is_loopback || plaintext_ok, cx);
    }
    let origins = raw.allowed_origins.iter().flatten().enumerate();
    let allowed_origins = origins.filter_map(|(i, text)| origin(&item_path("allowed_origins", i), text, cx)).collect();
    let allowed_hosts = hosts("allowed_hosts", raw.allowed_hosts.as_deref(), cx);
    Door { listen, public_url, tls, allowed_origins, allowed_hosts, reach }
}

/// An address and port to listen on.
pub(super) fn socket(path: &str, text: &str, cx: &mut Cx<'_>) -> Option<SocketAddr> {
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => cx.refuse(path, "is not an IP address and a port", "such as 127.0.0.1:8443, 0.0.0.0:8443 or [::]:8443"),
    }
}

/// Host names, with a port if one is meant, as they will be compared: lower case, names in ASCII.
pub(super) fn hosts(path: &str, raw: Option<&[String]>, cx: &mut Cx<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for (i, text) in raw.unwrap_or_default().iter().enumerate() {
        match host_and_port(text) {
            Some(host) => hosts.push(host),
            None => {
                let hint = "a name or address, such as gateway.example.com or gateway.example.com:8443; no wildcards";
                cx.report.problem(&item_path(path, i), "is not a host name", hint);
            }
        }
    }
    hosts
}

fn host_and_port(text: &str) -> Option<String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => {
            (host, Some(port.parse::<u16>().ok().filter(|port| *port != 0)?))
        }
        _ => (text, None),
    };
    // An IPv6 address may stand here bare; in a Host header it has brackets.
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => Host::parse(host).ok().filter(|_| is_host_text(host))?.to_string(),
    };
    Some(port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
}

fn is_host_text(text: &str) -> bool {
    !text.is_empty() && !text.contains(['*', '%', '/', '_', ' ']) && !text.starts_with('.')
}

/// What people and clients type.
pub(super) fn public_url(path: &str, text: &str, cx: &mut Cx<'_>) -> Option<PublicUrl> {
    let hint = "scheme, host and port only, such as https://gateway.example.com";
    let Ok(url) = Url::parse(text) else { return cx.refuse(path, "is not a URL", hint) };
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return cx.refuse(path, "is neither https nor http", hint),
    };
    let Some(host) = url.host_str().filter(|host| is_host_text(host)) else {
        return cx.refuse(path, "has no usable host", hint);
    };
    if !url.username().is_empty() || url.password().is_some() {
        return cx.refuse(path, "holds a user name or password", hint);
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return cx.refuse(path, "has a path, query or fragment", hint);
    }
    if url.port() == Some(0) {
        return cx.refuse(path, "has port 0", "leave public_url out to derive it from the bound address");
    }
    Some(PublicUrl { scheme, host: host.to_owned(), port: url.port() })
}

/// The files at `path`.
pub(super) fn tls_files(path: &str, raw: &raw::Tls, cx: &mut Cx<'_>) -> Option<Tls> {
    let at = |key: &str| format!("{path}.{key}");
    let cert = match &raw.cert {
        Some(text) => files::readable(&at("cert"), text, cx),
        None => cx.missing(&at("cert"), "a PEM file with the certificate chain"),
    };
    let key = match &raw.key {
        Some(text) => files::private_key(&at("key"), text, cx),
        None => cx.missing(&at("key"), "a PEM file with the private key"),
    };
    let client_ca = raw.client_ca.as_deref().map(|text| files::readable(&at("client_ca"), text, cx));
    // A client CA that was asked for and is not there must not turn into none.
    let client_ca = client_ca.map_or(Some(None), |found| found.map(Some));
    let path = &at("client_certificates");
    let client_optional = word_of(path, raw.client_certificates.as_deref(), &[("required", false), ("optional", true)], cx);
    if raw.client_certificates.is_some() && raw.client_ca.is_none() {
        cx.report.problem(path, "is about client certificates, and none are asked for", "give `client_ca` beside it");
    }
    Some(Tls::Files { cert: cert?, key: key?, client_ca: client_ca?, client_optional: client_optional? })
}

fn tls_word(word: &str, reach: Reach, plaintext_ok: bool, cx: &mut Cx<'_>) -> Option<Tls> {
    match word {
        "self_signed" => {
            reach.demand_loopback("tls", cx);
            Some(Tls::SelfSigned)
        }
        "none" if reach.listen_is_loopback || plaintext_ok => Some(Tls::None),
        "none" => cx.refuse("tls", "`none` needs a loopback `listen`", "give a certificate, or say `danger_plaintext: true`"),
        _ => cx.refuse("tls", "is not a way to encrypt", "{ cert: FILE, key: FILE }, self_signed or none"),
    }
}

/// The public URL must be one that clients can really use without giving their tokens away.
fn agree(public: &PublicUrl, tls: &Tls, plaintext_ok: bool, cx: &mut Cx<'_>) {
    if public.scheme == Scheme::Https {
        return; // With `tls: none`, whatever stands in front speaks TLS.
    }
    if *tls != Tls::None {
        cx.report.problem("public_url", "is http, but the listener speaks TLS", "write https://");
    } else if !plaintext_ok {
        let hint = "write https:// if something in front speaks TLS, or say `danger_plaintext: true`";
        cx.report.problem("public_url", "would have clients send their credentials without TLS", hint);
    }
}

/// A web origin in the form browsers send it (RFC 6454 section 6.2).
fn origin(path: &str, text: &str, cx: &mut Cx<'_>) -> Option<String> {
    let hint = "scheme, host and port only, such as https://app.example.com; no wildcards";
    let plain = text.split_once("://").filter(|(scheme, rest)| {
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '.' | '-'));
        scheme_ok
            && !rest.is_empty()
            && !rest.contains(['/', '?', '#', '@', '*', '%', ' '])
            && rest.chars().all(|c| !c.is_control())
    });
    let Some((scheme, _)) = plain else { return cx.refuse(path, "is not an origin", hint) };
    match Url::parse(text) {
        Ok(url) if matches!(scheme, "http" | "https") => Some(url.origin().ascii_serialization()),
        // Editors and extensions have schemes of their own, whose origins are compared as they are.
        Ok(url) if url.has_host() => Some(text.to_owned()),
        _ => cx.refuse(path, "is not an origin", hint),
    }
}
