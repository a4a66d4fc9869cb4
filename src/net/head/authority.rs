//! Strict reading of `host[:port]`, as in a Host field, an `:authority` or an absolute target.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host with an optional port (RFC 9110 section 7.2), without userinfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// The host as written; a literal without its brackets.
    pub(super) host: &'a str,
    /// The address, where the host is an address literal in its canonical form.
    pub(super) ip: Option<IpAddr>,
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads the whole of `text`; `None` for userinfo, an empty host, an odd port or any character that a host cannot have.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (literal, after) = rest.split_once(']')?;
            let ip: Ipv6Addr = literal.parse().ok()?;
            return Some(Self { host: literal, ip: Some(IpAddr::V6(ip)), port: port(after)? });
        }
        let (host, after) = match text.find(':') {
            Some(at) => text.split_at_checked(at)?,
            None => (text, ""),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(plain) {
            return None;
        }
        let ip = host.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
        Some(Self { host, ip, port: port(after)? })
    }

    /// True if both name the same host; addresses are compared as addresses, names without regard to case.
    pub(super) fn same_host(&self, other: &Authority<'_>) -> bool {
        match (self.ip, other.ip) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.host.eq_ignore_ascii_case(other.host),
            _ => false,
        }
    }
}

/// `""` or `":1"` to `":65535"`. The outer `None` means neither.
#[expect(clippy::option_option, reason = "absent, present and wrong are three different things here")]
fn port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.strip_prefix(':')?;
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|p| *p != 0).map(Some)
}

/// Longest name in the DNS (RFC 1035), with room for the final dot.
const HOST_BYTES_MAX: usize = 254;
