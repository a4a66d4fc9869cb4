//! By which names the gateway is asked for, and from which pages.

use super::*;

#[test]
fn host_on_http1() {
    for (text, expect) in [
        ("POST /mcp\nhost: gateway.example.com", OK),
        ("POST /mcp\nhost: gateway.example.com:8443", OK),
        ("POST /mcp\nhost: GateWay.Example.COM", OK),
        ("POST /mcp\nhost: named.example.com:8443", OK),
        ("POST /mcp\nhost: named.example.com", FOREIGN),
        ("POST /mcp\nhost: named.example.com:8444", FOREIGN),
        ("POST /mcp\nhost: localhost", OK),
        ("POST /mcp\nhost: localhost:8443", OK),
        ("POST /mcp\nhost: 127.0.0.1:8443", OK),
        ("POST /mcp\nhost: [::1]:8443", OK),
        ("POST /mcp\nhost: [0:0:0:0:0:0:0:1]", OK),
        ("POST /mcp\nhost: 10.1.2.3", OK),
        ("POST /mcp\nhost: [2001:db8::7]", OK),
        ("POST /mcp\nhost: 2001:db8::7", BAD),
        ("POST /mcp", BAD),
        ("POST /mcp\nhost:", BAD),
        ("POST /mcp\nhost: localhost\nhost: localhost", BAD),
        ("POST /mcp\nhost: localhost\nhost: evil.example", BAD),
        ("POST /mcp\nhost: localhost,evil.example", BAD),
        ("POST /mcp\nhost: localhost evil.example", BAD),
        ("POST /mcp\nhost: user@localhost", BAD),
        ("POST /mcp\nhost: localhost@evil.example", BAD),
        ("POST /mcp\nhost: localhost:", BAD),
        ("POST /mcp\nhost: localhost:0", BAD),
        ("POST /mcp\nhost: localhost:99999", BAD),
        ("POST /mcp\nhost: localhost:80:80", BAD),
        ("POST /mcp\nhost: localhost:+80", BAD),
        ("POST /mcp\nhost: localhost/x", BAD),
        ("POST /mcp\nhost: localhost?x", BAD),
        ("POST /mcp\nhost: localhost#x", BAD),
        ("POST /mcp\nhost: http://localhost", BAD),
        ("POST /mcp\nhost: [::1", BAD),
        ("POST /mcp\nhost: [::1]x", BAD),
        ("POST /mcp\nhost: [fe80::1%25lo]", BAD),
        ("POST /mcp\nhost: %6cocalhost", BAD),
        ("POST /mcp\nhost: l\u{f6}calhost", BAD),
        ("POST /mcp\nhost: evil.example", FOREIGN),
        ("POST /mcp\nhost: evil.example:8443", FOREIGN),
        ("POST /mcp\nhost: localhost.evil.example", FOREIGN),
        ("POST /mcp\nhost: gateway.example.com.evil.example", FOREIGN),
        ("POST /mcp\nhost: xgateway.example.com", FOREIGN),
        ("POST /mcp\nhost: localhost.", FOREIGN),
        ("POST /mcp\nhost: 127.0.0.2", FOREIGN),
        ("POST /mcp\nhost: 127.1", FOREIGN),
        ("POST /mcp\nhost: 0x7f000001", FOREIGN),
        ("POST /mcp\nhost: 2130706433", FOREIGN),
        ("POST /mcp\nhost: 0177.0.0.1", FOREIGN),
        ("POST /mcp\nhost: 0.0.0.0", FOREIGN),
        ("POST /mcp\nhost: [::ffff:127.0.0.1]", FOREIGN),
        ("POST /mcp\nhost: [::]", FOREIGN),
    ] {
        assert_eq!(h1(text), expect, "{text}");
    }
}

#[test]
fn absolute_targets_agree_with_host() {
    for (text, expect) in [
        ("POST http://localhost/mcp\nhost: localhost", OK),
        ("POST http://localhost:80/mcp\nhost: localhost", OK),
        ("POST https://localhost/mcp\nhost: localhost:443", OK),
        ("POST https://localhost/mcp\nhost: localhost:80", BAD),
        ("POST http://evil.example/mcp\nhost: localhost", BAD),
        ("POST http://localhost/mcp\nhost: evil.example", BAD),
        ("POST http://localhost:8443/mcp\nhost: localhost:8444", BAD),
        ("POST http://u:p@localhost/mcp\nhost: localhost", BAD),
        ("POST http://localhost/mcp", BAD),
        ("POST ftp://localhost/mcp\nhost: localhost", BAD),
        ("POST http://evil.example/mcp\nhost: evil.example", FOREIGN),
        ("POST localhost:8443\nhost: localhost:8443", BAD),
    ] {
        assert_eq!(h1(text), expect, "{text}");
    }
}

#[test]
fn authority_on_http2() {
    for (text, expect) in [
        ("POST https://gateway.example.com/mcp", OK),
        ("POST https://localhost:8443/mcp", OK),
        ("POST https://localhost:8443/mcp\nhost: localhost:8443", OK),
        ("POST https://localhost/mcp\nhost: localhost:443", OK),
        ("POST /mcp\nhost: localhost", OK),
        ("POST https://localhost:8443/mcp\nhost: localhost:8444", BAD),
        ("POST https://localhost/mcp\nhost: evil.example", BAD),
        ("POST https://evil.example/mcp\nhost: localhost", BAD),
        ("POST https://user@localhost/mcp", BAD),
        ("POST https://localhost@evil.example/mcp", BAD),
        ("POST https://localhost/mcp\nhost:", BAD),
        ("POST https://localhost/mcp\nhost: localhost\nhost: localhost", BAD),
        ("POST /mcp", BAD),
        ("POST https://evil.example/mcp", FOREIGN),
        ("POST https://localhost/mcp\ntransfer-encoding: chunked", BAD),
        ("POST https://localhost/mcp\norigin: https://evil.example", ORIGIN_REFUSED),
        ("POST https://localhost/mcp\nauthorization: a\nauthorization: b", BAD),
        ("POST https://localhost/mcp\nmcp-name: a\nmcp-name: a", BAD),
    ] {
        assert_eq!(h2(text), expect, "{text}");
    }
}

#[test]
fn origins() {
    for (lines, expect) in [
        ("", OK),
        ("\norigin: https://app.example.com", OK),
        ("\norigin: http://dev.example.com:3000", OK),
        ("\norigin: http://app.example.com", ORIGIN_REFUSED),
        ("\norigin: https://app.example.com:443", ORIGIN_REFUSED),
        ("\norigin: https://app.example.com/", ORIGIN_REFUSED),
        ("\norigin: https://app.example.com.evil.example", ORIGIN_REFUSED),
        ("\norigin: https://evil.example", ORIGIN_REFUSED),
        ("\norigin: https://localhost", ORIGIN_REFUSED),
        ("\norigin: https://gateway.example.com", ORIGIN_REFUSED),
        ("\norigin: null", ORIGIN_REFUSED),
        ("\norigin: NULL", ORIGIN_REFUSED),
        ("\norigin:", ORIGIN_REFUSED),
        ("\norigin: https://app.example.com https://app.example.com", ORIGIN_REFUSED),
        ("\norigin: https://app.example.com\norigin: https://app.example.com", ORIGIN_REFUSED),
        ("\norigin: https://app.example.com\norigin: https://evil.example", ORIGIN_REFUSED),
    ] {
        let text = format!("POST /mcp\nhost: localhost{lines}");
        assert_eq!(h1(&text), expect, "{text}");
    }
}

#[test]
fn our_own_origin_only_where_there_are_pages() {
    let own = "https://gateway.example.com:8443";
    let text = format!("GET /connect\nhost: localhost\norigin: {own}");
    assert_eq!(outcome(ask(Version::HTTP_11, &text, &rules())), ORIGIN_REFUSED);
    let pages = rules().with_own_origin(own).unwrap();
    assert_eq!(outcome(ask(Version::HTTP_11, &text, &pages)), OK);
    assert!(!pages.lists_origin(own), "our own pages need no CORS");
}

#[test]
fn the_local_address_is_answered_where_asked_for() {
    let text = "GET /healthz\nhost: 192.0.2.9:9443";
    assert_eq!(outcome(ask(Version::HTTP_11, text, &rules())), FOREIGN);
    for local in ["192.0.2.9", "::ffff:192.0.2.9"] {
        assert_eq!(outcome(ask(Version::HTTP_11, text, &rules().for_local(local.parse().unwrap()))), OK);
    }
    assert_eq!(outcome(ask(Version::HTTP_11, text, &rules().for_local("192.0.2.8".parse().unwrap()))), FOREIGN);
}
