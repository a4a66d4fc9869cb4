//! The rules that every request head meets on every listener, in HTTP/1.1 and HTTP/2 alike, before anything is believed.
//!
//! Two readers of one message must not disagree, and a browser must not be talked into calling us: so one Host, one length,
//! one value for each field that decides something, and no field that another hop would read differently.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode, Uri, Version};

use crate::vocab::Reason;
use crate::vocab::limits::{HEADER_BYTES_MAX, HEADER_COUNT_MAX};

mod authority;
mod target;

use authority::Authority;

/// A request refused by its head. The body is unread: the answer must close an HTTP/1.1 connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadRefusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The reason of the record.
    pub reason: Reason,
    /// What was wrong, in words that hold no byte of the request.
    pub detail: &'static str,
    /// True if the offending field is one that MCP defines, so that its own error code for headers applies.
    pub mcp: bool,
}

impl HeadRefusal {
    fn bad(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Reason::BadRequest, detail)
    }

    fn new(status: StatusCode, reason: Reason, detail: &'static str) -> Self {
        Self { status, reason, detail, mcp: false }
    }

    fn field(name: &HeaderName, detail: &'static str) -> Self {
        Self { mcp: name.as_str().starts_with(MCP_PREFIX), ..Self::bad(detail) }
    }
}

/// Which hosts and origins a listener answers. Clones share their lists.
#[derive(Clone, Debug)]
pub struct HeadRules {
    lists: Arc<Lists>,
    local: Option<IpAddr>,
}

#[derive(Clone, Debug, Default)]
struct Lists {
    hosts: Vec<HostRule>,
    origins: Vec<Box<str>>,
    own_origin: Option<Box<str>>,
    loopback: bool,
}

#[derive(Clone, Debug)]
struct HostRule {
    host: Box<str>,
    ip: Option<IpAddr>,
    /// `None`: any port.
    port: Option<u16>,
}

impl HeadRules {
    /// Rules that answer `hosts` (`name`, `name:port`, `[address]`; without a port any port will do) and `origins`
    /// (`scheme://host[:port]`, compared exactly). Names the first entry that is neither.
    pub fn new(hosts: &[String], origins: &[String]) -> Result<Self, String> {
        let hosts = hosts.iter().map(|h| HostRule::parse(h)).collect::<Result<_, _>>()?;
        let origins = origins.iter().map(|o| listed_origin(o)).collect::<Result<_, _>>()?;
        Ok(Self { lists: Arc::new(Lists { hosts, origins, ..Lists::default() }), local: None })
    }

    /// Also answers `localhost` and the loopback addresses, as a listener on loopback does.
    #[must_use]
    pub fn with_loopback(mut self) -> Self {
        Arc::make_mut(&mut self.lists).loopback = true;
        self
    }

    /// Also takes requests from pages of our own. For listeners or paths that have such pages, no others.
    pub fn with_own_origin(mut self, origin: &str) -> Result<Self, String> {
        Arc::make_mut(&mut self.lists).own_origin = Some(listed_origin(origin)?);
        Ok(self)
    }

    /// Also answers the address literal `local`, that of the connection's own end. Costs no allocation.
    #[must_use]
    pub fn for_local(&self, local: IpAddr) -> Self {
        Self { lists: self.lists.clone(), local: Some(local.to_canonical()) }
    }

    /// True if `origin` is one that the operator listed; these, and no others, get CORS answers.
    pub fn lists_origin(&self, origin: &str) -> bool {
        self.lists.origins.iter().any(|o| **o == *origin)
    }

    fn answers(&self, asked: &Authority<'_>) -> bool {
        let listed = |rule: &HostRule| rule.names(asked);
        let loopback = || match asked.ip {
            Some(ip) => ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST),
            None => asked.host.eq_ignore_ascii_case("localhost"),
        };
        self.lists.hosts.iter().any(listed)
            || (self.lists.loopback && loopback())
            || (self.local.is_some() && asked.ip == self.local)
    }
}

impl HostRule {
    fn parse(text: &str) -> Result<Self, String> {
        // An IPv6 address may be listed with or without its brackets; a request always has them.
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            return Ok(Self { host: text.into(), ip: Some(IpAddr::V6(ip)), port: None });
        }
        let a = Authority::parse(text).ok_or_else(|| format!("not a host or host:port: {text}"))?;
        Ok(Self { host: a.host.into(), ip: a.ip, port: a.port })
    }

    fn names(&self, asked: &Authority<'_>) -> bool {
        let own = Authority { host: &self.host, ip: self.ip, port: self.port };
        own.same_host(asked) && (self.port.is_none() || self.port == asked.port)
    }
}

/// Checks the head of one request. `Ok` says nothing about who is asking or whether the path exists.
///
/// RFC 9112 sections 3.2, 6.1 and 6.3, RFC 9113 section 8.3, MCP transports (Origin), and the operator's lists.
pub fn check(version: Version, method: &Method, uri: &Uri, headers: &HeaderMap, rules: &HeadRules) -> Result<(), HeadRefusal> {
    line(version, method)?;
    fields(uri, headers)?;
    framing(version, headers)?;
    hops(headers)?;
    target::check(method, uri)?;
    host(version, uri, headers, rules)?;
    origin(headers, rules)
}

/// Marks an answer that is sent before the request's body was read: an HTTP/1.1 connection ends with it, so that the rest of the
/// body is never taken for a request. The door removes the mark in HTTP/2, where streams end on their own.
pub fn close_after(answer: &mut HeaderMap) {
    answer.insert(CONNECTION, HeaderValue::from_static("close"));
}

fn line(version: Version, method: &Method) -> Result<(), HeadRefusal> {
    if version != Version::HTTP_11 && version != Version::HTTP_2 {
        return Err(HeadRefusal::bad("only HTTP/1.1 and HTTP/2 are spoken here"));
    }
    if method == Method::CONNECT || method == Method::TRACE {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        return Err(HeadRefusal::new(status, Reason::BadRequest, "CONNECT and TRACE are never served"));
    }
    Ok(())
}

/// Count, size, names, and repeats: one pass, then a second only where some name repeats.
fn fields(uri: &Uri, headers: &HeaderMap) -> Result<(), HeadRefusal> {
    let too_large = |detail| HeadRefusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Reason::BadRequest, detail);
    if headers.len() > HEADER_COUNT_MAX {
        return Err(too_large("too many header fields"));
    }
    let target = uri.path_and_query().map_or(0, |p| p.as_str().len());
    let mut bytes = target.saturating_add(uri.authority().map_or(0, |a| a.as_str().len()));
    for (name, value) in headers {
        bytes = bytes.saturating_add(name.as_str().len()).saturating_add(value.len()).saturating_add(4);
        if name.as_str().contains('_') {
            return Err(HeadRefusal::bad("a header name has an underscore"));
        }
        if (single(name) || also_read(name)) && !printable(value.as_bytes()) {
            return Err(HeadRefusal::field(name, "a header value has characters outside visible ASCII"));
        }
    }
    if bytes > HEADER_BYTES_MAX {
        return Err(too_large("the header fields are too large"));
    }
    if headers.keys_len() == headers.len() {
        return Ok(());
    }
    match headers.keys().find(|name| single(name) && repeats(headers, name)) {
        Some(name) if *name == ORIGIN => {
            Err(HeadRefusal::new(StatusCode::FORBIDDEN, Reason::OriginRefused, "Origin is repeated"))
        }
        Some(name) => Err(HeadRefusal::field(name, "a header that may stand once is repeated")),
        None => Ok(()),
    }
}

/// Visible ASCII and spaces. Looks at every byte, which lets the compiler look at many at once: a token has hundreds.
fn printable(value: &[u8]) -> bool {
    value.iter().fold(true, |so_far, b| so_far & (b' '..=b'~').contains(b))
}

fn repeats(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

/// Fields whose value decides something, so that a second one would leave it open which.
fn single(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with(MCP_PREFIX)
        || matches!(
            name,
            "authorization"
                | "content-encoding"
                | "content-length"
                | "content-type"
                | "expect"
                | "host"
                | "last-event-id"
                | "origin"
                | "transfer-encoding"
                | "upgrade"
        )
}

/// Fields that are read and may stand several times.
fn also_read(name: &HeaderName) -> bool {
    matches!(name.as_str(), "accept" | "connection" | "te")
}

fn framing(version: Version, headers: &HeaderMap) -> Result<(), HeadRefusal> {
    if let Some(coding) = headers.get(TRANSFER_ENCODING) {
        if version != Version::HTTP_11 {
            return Err(HeadRefusal::bad("Transfer-Encoding in HTTP/2"));
        }
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(HeadRefusal::bad("Transfer-Encoding is not exactly chunked"));
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(HeadRefusal::bad("Transfer-Encoding and Content-Length together"));
        }
    }
    match headers.get(CONTENT_LENGTH) {
        Some(v) if v.is_empty() || !v.as_bytes().iter().all(u8::is_ascii_digit) => {
            Err(HeadRefusal::bad("Content-Length is not a number"))
        }
        _ => Ok(()),
    }
}

/// Fields that talk to the next hop. There is no tunnel behind this door, and nobody may have a field dropped on the way.
fn hops(headers: &HeaderMap) -> Result<(), HeadRefusal> {
    if headers.contains_key(UPGRADE) {
        return Err(HeadRefusal::bad("Upgrade is not offered"));
    }
    let harmless =
        |t: &[u8]| t.is_empty() || [&b"close"[..], b"keep-alive", b"te"].iter().any(|known| t.eq_ignore_ascii_case(known));
    for value in headers.get_all(CONNECTION) {
        if !value.as_bytes().split(|b| *b == b',').all(|token| harmless(token.trim_ascii())) {
            return Err(HeadRefusal::bad("Connection names another header"));
        }
    }
    match headers.get(EXPECT) {
        Some(v) if !v.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(HeadRefusal::new(StatusCode::EXPECTATION_FAILED, Reason::BadRequest, "Expect is not 100-continue"))
        }
        _ => Ok(()),
    }
}

fn host(version: Version, uri: &Uri, headers: &HeaderMap, rules: &HeadRules) -> Result<(), HeadRefusal> {
    let field = match headers.get(HOST) {
        Some(value) => Some(parse_host(value)?),
        None => None,
    };
    let target = match uri.authority() {
        Some(a) => Some(Authority::parse(a.as_str()).ok_or(HeadRefusal::bad("the target's authority is malformed"))?),
        None => None,
    };
    let asked = match (field, target) {
        (None, _) if version == Version::HTTP_11 => return Err(HeadRefusal::bad("Host is missing")),
        (None, None) => return Err(HeadRefusal::bad("neither :authority nor Host is present")),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(field), Some(target)) => {
            let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
            let same_port = field.port.unwrap_or(default) == target.port.unwrap_or(default);
            if !(field.same_host(&target) && same_port) {
                return Err(HeadRefusal::bad("Host is not the authority of the target"));
            }
            field
        }
    };
    if rules.answers(&asked) {
        return Ok(());
    }
    Err(HeadRefusal::new(StatusCode::FORBIDDEN, Reason::HostRefused, "Host is not one that is served here"))
}

fn parse_host(value: &HeaderValue) -> Result<Authority<'_>, HeadRefusal> {
    value.to_str().ok().and_then(Authority::parse).ok_or(HeadRefusal::bad("Host is malformed"))
}

/// An absent Origin is fine: no browser. A present one must be listed; `null` never is.
fn origin(headers: &HeaderMap, rules: &HeadRules) -> Result<(), HeadRefusal> {
    let Some(value) = headers.get(ORIGIN) else { return Ok(()) };
    let allowed = |o: &str| o != "null" && (rules.lists_origin(o) || rules.lists.own_origin.as_deref() == Some(o));
    match value.to_str() {
        Ok(o) if allowed(o) => Ok(()),
        _ => Err(HeadRefusal::new(StatusCode::FORBIDDEN, Reason::OriginRefused, "Origin is not one that is allowed here")),
    }
}

/// An origin as browsers write it: lower case, no path, so that comparing is exact.
fn listed_origin(text: &str) -> Result<Box<str>, String> {
    let wrong = || format!("not an origin (scheme://host[:port]): {text}");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    if scheme.is_empty() || !scheme.bytes().all(plain) || Authority::parse(rest).is_none() {
        return Err(wrong());
    }
    Ok(text.to_ascii_lowercase().into())
}

/// Every field that MCP defines starts so.
const MCP_PREFIX: &str = "mcp-";

#[cfg(test)]
mod tests;
