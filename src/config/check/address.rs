//! URLs the gateway will call: scheme, and which addresses written in them are consent enough.
//!
//! Names are judged again when they are resolved; here only what the file itself says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::Cx;

/// Consents an operator gave for one URL.
pub(super) struct Consent<'a> {
    /// Private addresses are meant.
    pub(super) private: bool,
    /// Plain HTTP beyond loopback is meant.
    pub(super) plaintext: bool,
    /// Path of the key that would give the plain HTTP consent.
    pub(super) plaintext_key: &'a str,
}

/// A URL that something is sent to: in clear to loopback only.
pub(super) fn outward_url(path: &str, given: Option<&str>, private: bool, cx: &mut Cx<'_>) -> Option<Url> {
    match given {
        Some(text) => outward(path, text, &Consent { private, plaintext: false, plaintext_key: "" }, cx),
        None => cx.missing(path, "where to"),
    }
}

/// A URL to call, if its scheme and address may be called.
pub(super) fn outward(path: &str, text: &str, consent: &Consent<'_>, cx: &mut Cx<'_>) -> Option<Url> {
    let Ok(url) = Url::parse(text) else { return cx.refuse(path, "is not a URL", "such as https://mcp.example.com/mcp") };
    if !matches!(url.scheme(), "http" | "https") {
        return cx.refuse(path, "is neither https nor http", "such as https://mcp.example.com/mcp");
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "put it into `credential` instead";
        cx.report.problem_unshown(path, "holds a user name or password", hint);
        return None;
    }
    if url.fragment().is_some() {
        return cx.refuse(path, "has a fragment", "leave out the # and what follows");
    }
    if url.port() == Some(0) {
        return cx.refuse(path, "has port 0", "name the port of the server");
    }
    let Some(host) = url.host() else { return cx.refuse(path, "has no host", "such as https://mcp.example.com/mcp") };
    let zone = zone(&host);
    if !host_may_be(path, &host, consent.private, cx) {
        return None;
    }
    if url.scheme() == "http" && zone != Zone::Loopback && !consent.plaintext {
        let hint = format!("use https, or say `danger_plaintext: true` ({})", consent.plaintext_key);
        return cx.refuse(path, "is plain http to more than loopback", hint);
    }
    Some(url)
}

/// Whether a host, as written, is this machine: `localhost`, or a loopback address.
pub(super) fn host_is_loopback(host: &Host<&str>) -> bool {
    zone(host) == Zone::Loopback
}

/// Whether `host`, as written, may be called; says why not.
pub(super) fn host_may_be(path: &str, host: &Host<&str>, private: bool, cx: &mut Cx<'_>) -> bool {
    let (message, hint) = match zone(host) {
        Zone::Never => ("is an address that is never called", "link-local and metadata addresses are not servers"),
        Zone::Private if !private => ("is a private address", "say `allow_private_addresses: true` if that is meant"),
        _ => return true,
    };
    cx.report.problem(path, message, hint);
    false
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    Loopback,
    Private,
    Public,
    Never,
}

fn zone(host: &Host<&str>) -> Zone {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            match name {
                "localhost" => Zone::Loopback,
                "metadata.google.internal" | "metadata.goog" => Zone::Never,
                _ if name.ends_with(".localhost") => Zone::Loopback,
                _ => Zone::Public,
            }
        }
        Host::Ipv4(address) => zone_v4(*address),
        Host::Ipv6(address) => zone_v6(*address),
    }
}

fn zone_v4(address: Ipv4Addr) -> Zone {
    let [a, b, ..] = address.octets();
    // 100.100.100.200 is a cloud's metadata service inside the shared address space.
    if a == 0 || a >= 224 || address.is_link_local() || address == Ipv4Addr::new(100, 100, 100, 200) {
        return Zone::Never;
    }
    if address.is_loopback() {
        return Zone::Loopback;
    }
    let shared = a == 100 && b & 0xc0 == 64;
    if address.is_private() || shared { Zone::Private } else { Zone::Public }
}

fn zone_v6(address: Ipv6Addr) -> Zone {
    if let IpAddr::V4(mapped) = address.to_canonical() {
        return zone_v4(mapped);
    }
    // fd00:ec2::/32 is a cloud's metadata service inside the unique local addresses.
    let [first, second, ..] = address.segments();
    let metadata = first == 0xfd00 && second == 0x0ec2;
    if address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local() || metadata {
        return Zone::Never;
    }
    if address.is_loopback() {
        return Zone::Loopback;
    }
    if address.is_unique_local() { Zone::Private } else { Zone::Public }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_hosts() {
        for (host, expected) in [
            ("localhost", Zone::Loopback),
            ("mcp.localhost", Zone::Loopback),
            ("127.9.9.9", Zone::Loopback),
            ("0x7f.1", Zone::Loopback),
            ("[::1]", Zone::Loopback),
            ("[::ffff:127.0.0.1]", Zone::Loopback),
            ("10.0.0.1", Zone::Private),
            ("172.31.0.1", Zone::Private),
            ("192.168.0.1", Zone::Private),
            ("100.64.0.1", Zone::Private),
            ("[fd12::1]", Zone::Private),
            ("[::ffff:10.0.0.1]", Zone::Private),
            ("169.254.169.254", Zone::Never),
            ("[::ffff:169.254.169.254]", Zone::Never),
            ("100.100.100.200", Zone::Never),
            ("0.0.0.0", Zone::Never),
            ("224.0.0.1", Zone::Never),
            ("255.255.255.255", Zone::Never),
            ("[fe80::1]", Zone::Never),
            ("[fd00:ec2::254]", Zone::Never),
            ("[::]", Zone::Never),
            ("metadata.google.internal", Zone::Never),
            ("metadata.google.internal.", Zone::Never),
            ("192.0.2.1", Zone::Public),
            ("100.128.0.1", Zone::Public),
            ("172.32.0.1", Zone::Public),
            ("localhost.example.com", Zone::Public),
            ("[2001:db8::1]", Zone::Public),
        ] {
            let url = Url::parse(&format!("http://{host}/")).unwrap();
            assert_eq!(zone(&url.host().unwrap()), expected, "{host}");
        }
    }
}
