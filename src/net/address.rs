//! What kind of network an IP address leads to.
//!
//! Addresses that carry another one inside (IPv4-mapped, 6to4, NAT64 and their relatives) are judged by what they carry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What consent a connection to an address needs. Ordered: of several readings of one address, the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressKind {
    /// The public internet.
    Public,
    /// Private, shared (CGNAT), unique local, benchmarking, documentation or reserved space.
    Private,
    /// This machine.
    Loopback,
    /// Unspecified, multicast, broadcast, link-local, a cloud's metadata service, or a tunnel nobody dials.
    Never,
}

/// Metadata services that live outside link-local space.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// IPv6 metadata services, both in unique local space.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254), Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)];

/// Judges `ip` (IANA special-purpose registries, RFC 6890 and its updates).
pub fn kind_of(ip: IpAddr) -> AddressKind {
    match ip {
        IpAddr::V4(ip) => kind_of_v4(ip),
        IpAddr::V6(ip) => kind_of_v6(ip),
    }
}

fn kind_of_v4(ip: Ipv4Addr) -> AddressKind {
    if METADATA_V4.contains(&ip) {
        return AddressKind::Never;
    }
    match ip.octets() {
        [0, ..] | [169, 254, ..] | [224..=239, ..] | [255, 255, 255, 255] => AddressKind::Never,
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => AddressKind::Private,
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => AddressKind::Private,
        [198, 18..=19, ..] | [240..=255, ..] => AddressKind::Private,
        _ => AddressKind::Public,
    }
}

fn kind_of_v6(ip: Ipv6Addr) -> AddressKind {
    if ip.is_unspecified() || ip.is_multicast() || METADATA_V6.contains(&ip) {
        return AddressKind::Never;
    }
    if ip.is_loopback() {
        return AddressKind::Loopback;
    }
    match ip.segments() {
        // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 4291, RFC 2765) and the well-known NAT64 prefix (RFC 6052).
        [0, 0, 0, 0, 0, 0, hi, lo]
        | [0, 0, 0, 0, 0, 0xffff, hi, lo]
        | [0, 0, 0, 0, 0xffff, 0, hi, lo]
        | [0x64, 0xff9b, 0, 0, 0, 0, hi, lo] => kind_of_v4(v4(hi, lo)),
        // 6to4 (RFC 3056).
        [0x2002, hi, lo, ..] => kind_of_v4(v4(hi, lo)),
        [0x64, 0xff9b, 1, a, b, c, d, e] => kind_of_local_nat64(a, b, c, d, e),
        // Link-local, and Teredo (RFC 4380), which hides the address it leads to.
        [0xfe80..=0xfebf, ..] | [0x2001, 0, ..] => AddressKind::Never,
        // Unique local, site-local, documentation, protocol assignments, and all that is not global unicast.
        [0x2001, 0x0db8 | 0x0001..=0x01ff, ..] | [0x3fff, 0..=0x0fff, ..] => AddressKind::Private,
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        _ => AddressKind::Private,
    }
}

/// The local-use NAT64 prefix `64:ff9b:1::/48` (RFC 8215). Where inside it the IPv4 address lies is the network's choice,
/// so it is read both after 48 and after 96 bits; it is never better than private.
fn kind_of_local_nat64(a: u16, b: u16, c: u16, d: u16, e: u16) -> AddressKind {
    let after_96 = kind_of_v4(v4(d, e));
    let after_48 = if a == 0 { AddressKind::Private } else { kind_of_v4(v4(a, (b << 8) | (c >> 8))) };
    AddressKind::Private.max(after_48).max(if d == 0 && e == 0 { AddressKind::Private } else { after_96 })
}

fn v4(hi: u16, lo: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(hi) << 16) | u32::from(lo))
}
