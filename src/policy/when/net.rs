//! Addresses and hosts in texts, read the one way that leaves readers nothing to disagree about.

use std::net::IpAddr;

use url::{Host, Url};

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `ADDRESS/BITS` (RFC 4632, RFC 4291 section 2.3), or one address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| "not an address range")?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|n| *n <= most && bits.len() <= 3));
        let network = Self { address, bits: bits.ok_or("not a prefix length")? };
        if network.key(address) != number(address) {
            return Err("bits are set to the right of the prefix");
        }
        Ok(network)
    }

    fn key(self, address: IpAddr) -> u128 {
        let width = if address.is_ipv4() { 32 } else { 128 };
        let cut = u32::from(width - self.bits.min(width));
        number(address).checked_shr(cut).and_then(|kept| kept.checked_shl(cut)).unwrap_or(0)
    }

    fn holds(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.key(address) == number(self.address)
    }

    /// Whether `text` is an address in this range. An IPv4 address in IPv6 clothes counts as what it is.
    ///
    /// # Errors
    /// An address in a notation that only some readers take for one.
    pub(super) fn has(self, text: &str) -> Result<bool, &'static str> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(self.holds(address.to_canonical())),
            Err(_) if is_odd(text) => Err("an address in a notation that readers disagree about"),
            Err(_) => Ok(false),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// An IPv4 address in hexadecimal, octal, short or single-number form, or an IPv6 address in brackets.
fn is_odd(text: &str) -> bool {
    matches!(Host::parse(text.trim()), Ok(Host::Ipv4(_) | Host::Ipv6(_)))
}

/// The host of a URL: lower case, without brackets, without a dot at the end.
///
/// # Errors
/// What is no URL with a host, or one that readers could disagree about.
pub(super) fn host(text: &str) -> Result<String, &'static str> {
    const HOSTILE: &str = "a URL that readers disagree about";
    let (_, rest) = text.split_once("://").ok_or("not a URL")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    let misleading = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.chars().any(misleading) || authority.contains(['@', '%']) || !authority.is_ascii() {
        return Err(HOSTILE);
    }
    let url = Url::parse(text).map_err(|_| "not a URL")?;
    let written = url.host_str().ok_or("not a URL with a host")?;
    // Schemes that are not the web's keep a host as it stands.
    let host = written.to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(&host).trim_end_matches('.');
    let spelled = authority.to_ascii_lowercase();
    if host.is_empty()
        || (bare.is_none() && !spelled.starts_with(host))
        || (bare.is_none() && host.parse::<IpAddr>().is_err() && is_odd(host))
    {
        return Err(HOSTILE);
    }
    Ok(host.to_owned())
}
