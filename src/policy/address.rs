//! IP addresses as texts write them: networks they lie in, and what kind of place they lead to.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::tri::Tri;

/// A network: an address and how many of its leading bits count (RFC 4632, RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Block {
    /// The bits beyond the prefix are zero. Never an IPv4-mapped address.
    base: IpAddr,
    prefix: u8,
}

impl Block {
    /// Reads a network, or one address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let base: IpAddr = address.parse().map_err(|_| "not a network")?;
        if base != base.to_canonical() {
            return Err("IPv4 inside IPv6 counts as IPv4");
        }
        let bits = bits_of(base);
        let prefix = match prefix {
            None => bits,
            Some(text) => {
                let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
                text.parse().ok().filter(|n| plain && *n <= bits).ok_or("not a network")?
            }
        };
        let block = Self { base, prefix };
        if block.tail(base) != 0 {
            return Err("bits are set beyond the prefix");
        }
        Ok(block)
    }

    /// Whether the address lies in it; an IPv4-mapped one counts as IPv4.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        bits_of(address) == bits_of(self.base) && self.head(address) == self.head(self.base)
    }

    /// Whether all of `other` lies in it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.has(other.base)
    }

    /// The network in canonical spelling.
    pub(super) fn canonical(&self) -> String {
        format!("{}/{}", self.base, self.prefix)
    }

    fn head(&self, address: IpAddr) -> u128 {
        number(address).checked_shr(u32::from(bits_of(address) - self.prefix)).unwrap_or(0)
    }

    fn tail(&self, address: IpAddr) -> u128 {
        number(address).checked_shl(128 - u32::from(bits_of(address) - self.prefix)).unwrap_or(0)
    }
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Whether `text` is an address in any of `blocks`. Unknown for a text that only some readers take for an address: shortened,
/// octal or hexadecimal parts, brackets, zones, ports, spaces, other digits.
pub(super) fn within(blocks: &[Block], text: &str) -> Tri {
    match text.parse::<IpAddr>() {
        Ok(address) => Tri::from(blocks.iter().any(|block| block.has(address))),
        Err(_) if is_odd(text) => Tri::Unknown,
        Err(_) => Tri::False,
    }
}

/// Longest text that is tried as an address in odd notation.
const ODD_BYTES_MAX: usize = 1_024;

fn is_odd(text: &str) -> bool {
    if text.len() > ODD_BYTES_MAX {
        return false;
    }
    let text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => (host, port),
            None => (rest, ""),
        },
        // Several colons are IPv6 without a port.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, port),
            _ => (text, ""),
        },
    };
    if !port.trim_start_matches(':').bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let zoneless = host.split('%').next().unwrap_or_default();
    zoneless.parse::<Ipv6Addr>().is_ok() || matches!(url::Host::parse(host), Ok(url::Host::Ipv4(_)))
}

/// What kind of place the host of a URL is, told by its spelling alone: names are not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// The internet.
    Public,
    /// Private, shared (RFC 6598) or unique local addresses; names that mean something in one network only.
    Private,
    /// This machine.
    Loopback,
    /// Link-local addresses, and the metadata services of clouds wherever they live.
    LinkLocal,
    /// Groups of machines.
    Multicast,
    /// What should lead nowhere: documentation, benchmarks, tunnels that hide where they lead, the rest.
    Reserved,
    /// Any other name.
    Name,
}

impl Reach {
    pub(super) const WORDS: [(&'static str, Self); 7] = [
        ("public", Self::Public),
        ("private", Self::Private),
        ("loopback", Self::Loopback),
        ("link_local", Self::LinkLocal),
        ("multicast", Self::Multicast),
        ("reserved", Self::Reserved),
        ("name", Self::Name),
    ];

    /// Judges an address (IANA special-purpose registries, RFC 6890 and its updates).
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => inner_v4(v6).map_or_else(|| Self::of_v6(v6), Self::of_v4),
        }
    }

    /// Judges a name in lower case, without a dot at its end.
    pub(super) fn of_name(name: &str) -> Self {
        let last = name.rsplit('.').next().unwrap_or_default();
        match last {
            "localhost" => Self::Loopback,
            "local" | "internal" | "lan" | "corp" | "intranet" => Self::Private,
            _ if !name.contains('.') || name == "home.arpa" || name.ends_with(".home.arpa") => Self::Private,
            _ => Self::Name,
        }
    }

    fn of_v4(v4: Ipv4Addr) -> Self {
        match v4.octets() {
            // Outside of link-local space, yet metadata: Alibaba, Azure, Oracle.
            [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Self::LinkLocal,
            // The unspecified address, where a connection reaches the machine itself.
            [0, 0, 0, 0] | [127, ..] => Self::Loopback,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Self::Private,
            [169, 254, ..] => Self::LinkLocal,
            [224..=239, ..] => Self::Multicast,
            [0 | 240..=255, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Reserved,
            [192, 88, 99, _] | [198, 18..=19, ..] => Self::Reserved,
            _ => Self::Public,
        }
    }

    fn of_v6(v6: Ipv6Addr) -> Self {
        match v6.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Self::Loopback,
            // Metadata in unique local space: Amazon, Google.
            [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] => Self::LinkLocal,
            // Unique local, site-local, and the local NAT64 prefix (RFC 8215).
            [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Self::Private,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xff00..=0xffff, ..] => Self::Multicast,
            // Protocol assignments (Teredo among them) and documentation.
            [0x2001, 0x0db8 | 0..=0x01ff, ..] | [0x3fff, 0..=0x0fff, ..] => Self::Reserved,
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Reserved,
        }
    }
}

/// The IPv4 address that an IPv6 address carries: IPv4-mapped and its relatives (RFC 4291, RFC 2765), NAT64 (RFC 6052), 6to4
/// (RFC 3056).
pub(super) fn inner_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return None,
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
}

#[cfg(test)]
mod tests;
