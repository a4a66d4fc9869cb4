//! URLs: which part of one a policy speaks about, and which texts readers could disagree about.

use core::net::IpAddr;

use super::address::{Reach, inner_v4};
use super::glob::Glob;
use super::path::{misleading, url_path};
use super::tri::Tri;

/// What a URL must be. Empty lists ask nothing; at least one is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UrlTest {
    /// In lower case.
    pub(super) schemes: Box<[Box<str>]>,
    /// Over the host in lower-case ASCII, without a dot at its end, without brackets.
    pub(super) hosts: Box<[Glob]>,
    pub(super) ports: Box<[u16]>,
    pub(super) paths: Box<[Glob]>,
    pub(super) reaches: Box<[Reach]>,
}

impl UrlTest {
    /// Whether `text` is such a URL. Unknown for a text that is no URL, or one that readers could disagree about.
    pub(super) fn holds(&self, text: &str) -> Tri {
        let Some(url) = Web::read(text) else { return Tri::Unknown };
        let Self { schemes, hosts, ports, paths, reaches } = self;
        let asked = |empty: bool, truth: &dyn Fn() -> Tri| if empty { Tri::True } else { truth() };
        Tri::all([
            asked(schemes.is_empty(), &|| Tri::from(schemes.iter().any(|scheme| **scheme == url.scheme))),
            asked(hosts.is_empty(), &|| url.host.as_ref().map_or(Tri::Unknown, |host| host.matches(hosts))),
            asked(ports.is_empty(), &|| url.port.map_or(Tri::Unknown, |port| Tri::from(ports.contains(&port)))),
            asked(paths.is_empty(), &|| {
                url_path(url.path, &mut |path| paths.iter().any(|glob| glob.matches(path))).map_or(Tri::Unknown, Tri::from)
            }),
            asked(reaches.is_empty(), &|| {
                url.host.as_ref().map_or(Tri::Unknown, |host| Tri::from(reaches.contains(&host.reach())))
            }),
        ])
    }

    /// The test in canonical spelling.
    pub(super) fn canonical(&self) -> String {
        let Self { schemes, hosts, ports, paths, reaches } = self;
        let globs = |globs: &[Glob]| globs.iter().map(Glob::canonical).collect::<Vec<_>>();
        format!("{schemes:?} {:?} {ports:?} {:?} {reaches:?}", globs(hosts), globs(paths))
    }
}

/// The host of a URL: lower case, without brackets, without a dot at the end. `None` for what has none, and for what readers could
/// disagree about.
pub(super) fn host_of(text: &str) -> Option<String> {
    Web::read(text)?.host.map(|host| host.text())
}

/// A URL that every reader takes for the same.
#[derive(Debug)]
struct Web<'t> {
    /// In lower case.
    scheme: String,
    /// `None` without any, as in `file:///x`.
    host: Option<Host>,
    /// As written, or the default of the scheme where it is known.
    port: Option<u16>,
    /// As written; `/` if empty.
    path: &'t str,
}

/// The host of a URL.
#[derive(Debug)]
enum Host {
    /// In lower case, without a dot at its end.
    Name(String),
    Address(IpAddr),
}

/// Longest host name (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Longest part of one.
const LABEL_BYTES_MAX: usize = 63;

impl<'t> Web<'t> {
    /// Reads a URL as the WHATWG URL standard does, if readers of RFC 3986 and all others find the same parts.
    fn read(text: &'t str) -> Option<Self> {
        if text.chars().any(|c| c.is_whitespace() || misleading(c)) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let parsed = url::Url::parse(text).ok()?;
        let scheme = scheme.to_ascii_lowercase();
        let authority = rest.split(['/', '?', '#']).next()?;
        let path = rest.strip_prefix(authority)?.split(['?', '#']).next()?;
        let path = if path.is_empty() { "/" } else { path };
        let odd = authority.bytes().any(|b| !b.is_ascii() || matches!(b, b'@' | b'%'));
        if odd || parsed.scheme() != scheme || url_path(path, &mut |_| true).is_none() {
            return None;
        }
        let (host, port) = split_port(authority)?;
        // Only here may the host be missing; elsewhere some readers find one in the path.
        if host.is_empty() && (scheme != "file" || port.is_some()) {
            return None;
        }
        let host = if host.is_empty() { None } else { Some(Host::read(host)?) };
        let same_host = match (&host, parsed.host()) {
            (Some(Host::Address(IpAddr::V4(own))), Some(url::Host::Ipv4(other))) => *own == other,
            (Some(Host::Address(IpAddr::V6(own))), Some(url::Host::Ipv6(other))) => *own == other,
            // The host of a scheme the standard does not know stays as it is written.
            (Some(host), Some(url::Host::Domain(other))) => {
                let other = other.to_ascii_lowercase();
                other.strip_suffix('.').unwrap_or(&other) == host.text()
            }
            // `file://localhost` loses its host on the way.
            (host, None) => host.is_none() || scheme == "file",
            _ => false,
        };
        same_host.then(|| Self { scheme, host, port: port.or_else(|| parsed.port_or_known_default()), path })
    }
}

/// Host and port of an authority; `None` for a port that is not a plain number.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let at = authority.rfind(':').filter(|at| authority.rfind(']').is_none_or(|bracket| *at > bracket));
    let Some((host, port)) = at.and_then(|at| authority.split_at_checked(at)) else { return Some((authority, None)) };
    let port = port.strip_prefix(':')?;
    let plain = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
    Some((host, Some(port.parse().ok().filter(|_| plain)?)))
}

impl Host {
    /// Reads a host that is written in the one way every reader knows.
    fn read(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return Some(Self::Address(IpAddr::V6(inner.parse().ok()?)));
        }
        if let Ok(v4) = text.parse() {
            return Some(Self::Address(IpAddr::V4(v4)));
        }
        let name = text.to_ascii_lowercase();
        // Numbers in any other notation are addresses to some; and labels in Punycode must decode.
        match url::Host::parse(&name) {
            Ok(url::Host::Domain(other)) if other == name => {}
            _ => return None,
        }
        let name = name.strip_suffix('.').unwrap_or(&name);
        let plain = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        (name.len() <= NAME_BYTES_MAX && name.split('.').all(plain)).then(|| Self::Name(name.to_owned()))
    }

    fn text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(address) => address.to_string(),
        }
    }

    /// An IPv6 address that carries an IPv4 address leads to that; so a pattern which knows only the one or the other form of it
    /// cannot tell.
    fn matches(&self, globs: &[Glob]) -> Tri {
        let any = |text: &str| globs.iter().any(|glob| glob.matches(text));
        match self {
            Self::Name(name) => Tri::from(any(name)),
            Self::Address(address @ IpAddr::V6(v6)) => match inner_v4(*v6) {
                Some(v4) if any(&v4.to_string()) != any(&address.to_string()) => Tri::Unknown,
                _ => Tri::from(any(&address.to_string())),
            },
            Self::Address(address) => Tri::from(any(&address.to_string())),
        }
    }

    fn reach(&self) -> Reach {
        match self {
            Self::Name(name) => Reach::of_name(name),
            Self::Address(address) => Reach::of(*address),
        }
    }
}

#[cfg(test)]
mod tests;
