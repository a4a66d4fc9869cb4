//! Addresses, plain and odd.

use proptest::prelude::*;

use super::*;

fn blocks(texts: &[&str]) -> Vec<Block> {
    texts.iter().map(|text| Block::parse(text).unwrap()).collect()
}

#[test]
fn addresses_lie_in_networks() {
    let nets = blocks(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "172.16.0.0/12"]);
    for (text, expect) in [
        ("10.0.0.0", Tri::True),
        ("10.255.255.255", Tri::True),
        ("11.0.0.0", Tri::False),
        ("9.255.255.255", Tri::False),
        ("192.0.2.7", Tri::True),
        ("192.0.2.6", Tri::False),
        ("172.31.255.255", Tri::True),
        ("172.32.0.0", Tri::False),
        ("::ffff:10.1.2.3", Tri::True),
        ("::ffff:a01:203", Tri::True),
        ("::10.1.2.3", Tri::False),
        ("2001:db8::1", Tri::True),
        ("2001:DB8:0:0::1", Tri::True),
        ("2001:db9::", Tri::False),
        ("", Tri::False),
        ("example.com", Tri::False),
        ("10.0.0.0/8", Tri::False),
        ("10.0.0.1.example.com", Tri::False),
        ("1.2.3.4.5", Tri::False),
        ("256.1.1.1", Tri::False),
        ("http://10.0.0.1/", Tri::False),
    ] {
        assert_eq!(within(&nets, text), expect, "{text}");
    }
}

#[test]
fn odd_spellings_cannot_be_told() {
    let nets = blocks(&["10.0.0.0/8"]);
    for text in [
        "0x7f.1",
        "127.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "010.0.0.1",
        "10.1",
        "10.0.0.1.",
        " 10.0.0.1",
        "10.0.0.1\n",
        "10.0.0.1:80",
        "[::1]",
        "[::1]:443",
        "[::1",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "１０.0.0.1",
        "10。0。0。1",
        "%31%30.0.0.1",
        "⑩.0.0.1",
        " ::1",
        "10.0.0.00001",
    ] {
        assert_eq!(within(&nets, text), Tri::Unknown, "{text}");
    }
}

#[test]
fn networks_are_plain() {
    for (text, says) in [
        ("", "not a network"),
        ("10.0.0.0/33", "not a network"),
        ("10.0.0.0/08", "not a network"),
        ("10.0.0.0/+8", "not a network"),
        ("10.0.0.0/", "not a network"),
        ("10.0.0/8", "not a network"),
        ("::/129", "not a network"),
        ("10.0.0.1/8", "beyond"),
        ("2001:db8::1/32", "beyond"),
        ("::ffff:10.0.0.0/104", "counts as IPv4"),
    ] {
        assert!(Block::parse(text).unwrap_err().contains(says), "{text}");
    }
    assert_eq!(Block::parse("2001:DB8:0::/32").unwrap().canonical(), "2001:db8::/32");
    assert_eq!(Block::parse("10.1.2.3").unwrap().canonical(), "10.1.2.3/32");
    for (outer, inner, expect) in [
        ("10.0.0.0/8", "10.1.0.0/16", true),
        ("10.1.0.0/16", "10.0.0.0/8", false),
        ("0.0.0.0/0", "10.0.0.0/8", true),
        ("::/0", "10.0.0.0/8", false),
        ("::/0", "2001:db8::/32", true),
        ("10.0.0.0/8", "11.0.0.0/9", false),
    ] {
        assert_eq!(Block::parse(outer).unwrap().covers(&Block::parse(inner).unwrap()), expect, "{outer} {inner}");
    }
}

#[test]
fn everything_has_its_place() {
    for (class, texts) in [
        (
            Reach::Public,
            "1.1.1.1 8.8.8.8 100.63.0.1 100.128.0.1 172.32.0.1 2606:4700::1111 ::ffff:8.8.8.8 2002:808:808:: 64:ff9b::808:808",
        ),
        (
            Reach::Private,
            "10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 fd12::1 fc00:: fec0::1 ::ffff:10.0.0.1 2002:a00:1:: 64:ff9b::a00:1 64:ff9b:1::808:808",
        ),
        (
            Reach::Loopback,
            "127.0.0.1 127.255.0.9 0.0.0.0 :: ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: ::ffff:0:127.0.0.1 ::127.0.0.1 ::ffff:0.0.0.0",
        ),
        (
            Reach::LinkLocal,
            "169.254.169.254 169.254.0.1 fe80::1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 fd00:ec2::254 168.63.129.16 100.100.100.200",
        ),
        (Reach::Multicast, "224.0.0.1 239.255.255.255 ff02::1 ::ffff:224.0.0.1"),
        (
            Reach::Reserved,
            "0.1.2.3 192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1 240.0.0.1 255.255.255.255 192.0.0.8 2001:db8::1 2001::1 3fff::1 100::1 4000::1",
        ),
    ] {
        for text in texts.split(' ') {
            assert_eq!(Reach::of(text.parse().unwrap()), class, "{text}");
        }
    }
    for (class, names) in [
        (Reach::Loopback, "localhost a.localhost"),
        (Reach::Private, "intranet db a.local x.internal metadata.google.internal home.arpa nas.home.arpa r.lan w.corp"),
        (Reach::Name, "example.com localhost.example.com internal.example arpa.example xhome.arpa"),
    ] {
        for name in names.split(' ') {
            assert_eq!(Reach::of_name(name), class, "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn prefixes_agree_with_bits(base in any::<u32>(), address in any::<u32>(), prefix in 0_u8..=32, near in 0_u32..=32) {
        let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
        let block = Block::parse(&format!("{}/{prefix}", Ipv4Addr::from_bits(base & mask))).unwrap();
        let flipped = base ^ 1_u32.checked_shl(near).unwrap_or(0);
        for address in [address, flipped] {
            let text = Ipv4Addr::from_bits(address).to_string();
            prop_assert_eq!(within(&[block], &text), Tri::from(address & mask == base & mask));
            prop_assert_eq!(within(&[block], &format!("::ffff:{text}")), Tri::from(address & mask == base & mask));
        }
    }

    #[test]
    fn prefixes_agree_with_bits_in_ipv6(base in any::<u128>(), prefix in 0_u8..=128, near in 0_u32..=128) {
        let mask = u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0);
        let base = base | (1 << 127);
        let block = Block { base: IpAddr::V6(Ipv6Addr::from_bits(base & mask)), prefix };
        let address = base ^ 1_u128.checked_shl(near).unwrap_or(0);
        prop_assert_eq!(block.has(IpAddr::V6(Ipv6Addr::from_bits(address))), address & mask == base & mask);
        prop_assert!(Block::parse(&block.canonical()) == Ok(block) || base & mask == 0);
    }

    #[test]
    fn nothing_panics(text in r"[0-9a-fx:.%/\[\] ]{0,24}|\PC{0,16}") {
        let _ = (Block::parse(&text), within(&blocks(&["0.0.0.0/0", "::/0"]), &text), Reach::of_name(&text));
    }
}
