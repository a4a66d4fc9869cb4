//! URLs, honest and hostile.

use proptest::prelude::*;

use super::*;

fn globs(texts: &[&str]) -> Box<[Glob]> {
    texts.iter().map(|text| Glob::parse(text).unwrap()).collect()
}

fn host(texts: &[&str]) -> UrlTest {
    UrlTest { hosts: globs(texts), ..UrlTest::default() }
}

#[test]
fn parts_are_told_apart() {
    let test = UrlTest {
        schemes: Box::new(["https".into()]),
        hosts: globs(&["*.example.com", "2001:db8::1"]),
        ports: Box::new([443, 8443]),
        paths: globs(&["/v1/*"]),
        reaches: Box::default(),
    };
    for (text, expect) in [
        ("https://api.example.com/v1/x", Tri::True),
        ("HTTPS://API.Example.COM/v1/x?q=1&r=a@b#frag", Tri::True),
        ("https://api.example.com:443/v1/", Tri::True),
        ("https://api.example.com:8443/v1/a%20b", Tri::True),
        ("https://api.example.com./v1/x", Tri::True),
        ("https://[2001:DB8::1]/v1/x", Tri::True),
        ("https://[2001:db8:0:0::1]:8443/v1/x", Tri::True),
        ("https://xn--mnchen-3ya.example.com/v1/x", Tri::True),
        ("http://api.example.com:443/v1/x", Tri::False),
        ("https://example.com/v1/x", Tri::False),
        ("https://api.example.com.evil.test/v1/x", Tri::False),
        ("https://apiexample.com/v1/x", Tri::False),
        ("https://api.example.com:444/v1/x", Tri::False),
        ("https://api.example.com/v2/x", Tri::False),
        ("https://api.example.com/V1/x", Tri::False),
        ("https://api.example.com", Tri::False),
        ("https://api.example.com?/v1/x", Tri::False),
        ("https://evil.test#.example.com/v1/", Tri::False),
        ("https://evil.test?.example.com/v1/", Tri::False),
        ("wss://api.example.com/v1/x", Tri::False),
    ] {
        assert_eq!(test.holds(text), expect, "{text}");
    }
}

#[rustfmt::skip]
const HOSTILE: &[&str] = &[
    "", "example.com", "/v1/x", "//example.com/", "https:example.com", "https:/example.com/", "https:///example.com/", "https://",
    "https:////example.com", "mailto:a@example.com", "javascript:alert(1)", "data:text/plain,x", "https://user@example.com/",
    "https://user:pw@example.com/", "https://example.com@evil.test/", "https://evil.test\\@example.com/",
    "https://evil.test\\.example.com/", "https:\\\\example.com/", "https://example.com\\..\\x", "https://exa mple.com/",
    " https://example.com/", "https://example.com/ ", "https://example.com/\n", "https://exa\tmple.com/", "ht\ntps://example.com/",
    "https://example.com/a\0", "https://ex%61mple.com/", "https://example.com%2f@evil.test/", "https://example.com%00.evil.test/",
    "https://exämple.com/", "https://ｅxample.com/", "https://example。com/", "https://evil.test／.example.com/", "https://①②⑦.0.0.1/",
    "https://0x7f.1/", "https://127.1/", "https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://010.0.0.1/",
    "https://127.0.0.1./", "https://256.1.1.1/", "https://1.2.3.4.5/", "foo://0x7f.1/", "foo://2130706433/", "foo://ex%61mple.com/",
    "https://example..com/", "https://.example.com/", "https://example.com../", "https://exa*mple.com/", "https://exa<mple.com/",
    "https://[::1%25eth0]/", "https://[::1/", "https://::1/", "https://[v1.x]/", "https://xn--/", "https://xn--a-0/",
    "https://example.com:/", "https://example.com:080/", "https://example.com:0/", "https://example.com:65536/",
    "https://example.com:80:80/", "https://example.com:8o/", "https://example.com:+80/", "https://example.com/../x",
    "https://example.com/./x", "https://example.com/a/..", "https://example.com/%2e%2e/x", "https://example.com/..%2fx",
    "https://example.com/%252e%252e/x", "https://example.com//x", "https://example.com/a//b", "https://example.com/%2fx",
    "https://example.com/%5cx", "https://example.com/..;/x", "https://example.com/~root", "https://example.com/\u{200b}x",
    "https://example.com/\u{ff0e}\u{ff0e}/x", "https://example.com/%c0%ae", "https://example.com/a%00", "https://example.com/%u002e",
    "file://:80/x", "file:/etc/passwd", "file:///srv/../etc/passwd", "file:///C:/x", "1https://example.com/", "://example.com/",
    "https;//example.com/", "https://example.com\u{ad}/", "https://example.com\u{2028}/", "https://a_b\u{301}.example.com/",
];

#[test]
fn what_readers_could_disagree_about_is_not_told() {
    let everything = UrlTest { paths: globs(&["*"]), ..UrlTest::default() };
    for text in HOSTILE {
        assert_eq!(everything.holds(text), Tri::Unknown, "{text:?}");
    }
    let label = "a".repeat(64);
    assert_eq!(everything.holds(&format!("https://{label}.example.com/")), Tri::Unknown);
}

#[test]
fn escapes_in_a_path_do_not_hide_it() {
    let test = |glob: &str| UrlTest { paths: globs(&[glob]), ..UrlTest::default() };
    for (glob, path, expect) in [
        ("/admin/*", "/admin/x", Tri::True),
        ("/admin/*", "/%61dmin/x", Tri::Unknown),
        ("/admin/*", "/%2561dmin/x", Tri::Unknown),
        ("/admin/*", "/admin/%61", Tri::True),
        ("/admin/*", "/other/%61", Tri::False),
        ("/grö*", "/gr%C3%B6%C3%9Fe", Tri::Unknown),
        ("/", "", Tri::True),
    ] {
        assert_eq!(test(glob).holds(&format!("https://example.com{path}")), expect, "{glob} {path}");
    }
}

#[test]
fn hosts_that_are_not_there_are_not_told() {
    let public = UrlTest { reaches: Box::new([Reach::Public, Reach::Name]), ..UrlTest::default() };
    let ports = UrlTest { ports: Box::new([22]), ..UrlTest::default() };
    let file = UrlTest { schemes: Box::new(["file".into()]), ..UrlTest::default() };
    assert_eq!(file.holds("file:///srv/x"), Tri::True);
    assert_eq!(file.holds("https://example.com/"), Tri::False);
    for test in [&host(&["*"]), &public, &ports] {
        assert_eq!(test.holds("file:///srv/x"), Tri::Unknown);
    }
    assert_eq!(ports.holds("ssh://example.com/"), Tri::Unknown);
    assert_eq!(ports.holds("ssh://example.com:22/"), Tri::True);
    assert_eq!(ports.holds("http://example.com/"), Tri::False);
}

#[test]
fn hosts_lead_somewhere() {
    for (text, reach) in [
        ("https://example.com/", Reach::Name),
        ("https://1.1.1.1/", Reach::Public),
        ("https://10.0.0.1:8080/", Reach::Private),
        ("https://intranet/", Reach::Private),
        ("https://PRINTER.local./", Reach::Private),
        ("http://metadata.google.internal/", Reach::Private),
        ("http://LOCALHOST:80/", Reach::Loopback),
        ("http://a.localhost./", Reach::Loopback),
        ("http://0.0.0.0/", Reach::Loopback),
        ("http://[::1]/", Reach::Loopback),
        ("http://[::ffff:127.0.0.1]/", Reach::Loopback),
        ("http://[::]/", Reach::Loopback),
        ("http://169.254.169.254/latest/meta-data/", Reach::LinkLocal),
        ("http://[::ffff:a9fe:a9fe]/", Reach::LinkLocal),
        ("http://[64:ff9b::a9fe:a9fe]/", Reach::LinkLocal),
        ("gopher://169.254.169.254/", Reach::LinkLocal),
        ("http://224.0.0.1/", Reach::Multicast),
        ("http://192.0.2.1/", Reach::Reserved),
    ] {
        for (_, class) in Reach::WORDS {
            let test = UrlTest { reaches: Box::new([class]), ..UrlTest::default() };
            assert_eq!(test.holds(text), Tri::from(class == reach), "{text} {class:?}");
        }
    }
}

#[test]
fn an_address_inside_an_address_is_not_told_by_one_spelling() {
    let test = host(&["169.254.*"]);
    assert_eq!(test.holds("http://169.254.169.254/"), Tri::True);
    assert_eq!(test.holds("http://[::ffff:169.254.169.254]/"), Tri::Unknown);
    assert_eq!(test.holds("http://[64:ff9b::a9fe:a9fe]/"), Tri::Unknown);
    assert_eq!(test.holds("http://[2001:db8::1]/"), Tri::False);
    assert_eq!(host(&["*"]).holds("http://[::ffff:169.254.169.254]/"), Tri::True);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn nothing_panics(text in r"(https?|file|x)?:?[/\\]{0,4}[a-c0-9xX.@:%\[\]\\/?#~ _-]{0,24}|\PC{0,24}") {
        let test = UrlTest { schemes: Box::new(["https".into()]), hosts: globs(&["*a*"]), ports: Box::new([443]),
            paths: globs(&["/a*"]), reaches: Box::new([Reach::Name]) };
        let _ = test.holds(&text);
    }

    /// What is read has the parts that the URL crate finds.
    #[test]
    fn readings_agree(text in r"(https|ws|foo)://[a-c0-9.:\[\]-]{1,16}[a-c/?#.%]{0,12}") {
        if let Some(web) = Web::read(&text) {
            let url = url::Url::parse(&text).unwrap();
            prop_assert_eq!(&web.scheme, url.scheme());
            prop_assert_eq!(web.port, url.port_or_known_default());
            let host = url.host_str().unwrap().to_ascii_lowercase();
            let host = host.trim_end_matches('.').trim_matches(['[', ']']);
            prop_assert_eq!(web.host.unwrap().text().parse::<IpAddr>().map_or(host.to_owned(), |ip| ip.to_string()), host);
            prop_assert_eq!(web.path, if url.path().is_empty() { "/" } else { url.path() });
        }
    }
}
