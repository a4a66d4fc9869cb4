use super::*;

fn rules() -> HeadRules {
    HeadRules::new(
        &["gateway.example.com".into(), "named.example.com:8443".into(), "10.1.2.3".into(), "2001:db8::7".into()],
        &["https://app.example.com".into(), "http://dev.example.com:3000".into()],
    )
    .unwrap()
    .with_loopback()
}

/// A request head as rows of a table write it: `METHOD target`, then `name: value` lines.
fn head(text: &str) -> (Method, Uri, HeaderMap) {
    let mut lines = text.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").or(line.strip_suffix(':').map(|n| (n, ""))).unwrap();
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    (method.parse().unwrap(), target.parse().unwrap(), headers)
}

fn ask(version: Version, text: &str, rules: &HeadRules) -> Result<(), HeadRefusal> {
    let (method, uri, headers) = head(text);
    check(version, &method, &uri, &headers, rules)
}

/// Status and reason of the answer; 200 for a head that passes.
fn h1(text: &str) -> (u16, &'static str) {
    outcome(ask(Version::HTTP_11, text, &rules()))
}

fn h2(text: &str) -> (u16, &'static str) {
    outcome(ask(Version::HTTP_2, text, &rules()))
}

fn outcome(result: Result<(), HeadRefusal>) -> (u16, &'static str) {
    result.map_or_else(|r| (r.status.as_u16(), r.reason.as_str()), |()| (200, ""))
}

const OK: (u16, &str) = (200, "");
const BAD: (u16, &str) = (400, "bad_request");
const FOREIGN: (u16, &str) = (403, "host_refused");
const ORIGIN_REFUSED: (u16, &str) = (403, "origin_refused");

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

#[test]
fn framing_and_hop_fields() {
    for (lines, expect) in [
        ("content-length: 5", OK),
        ("transfer-encoding: chunked", OK),
        ("transfer-encoding: Chunked", OK),
        ("transfer-encoding: gzip, chunked", BAD),
        ("transfer-encoding: identity", BAD),
        ("transfer-encoding: identity, chunked", BAD),
        ("transfer-encoding: chunked, chunked", BAD),
        ("transfer-encoding: ,chunked", BAD),
        ("transfer-encoding: chunked;q=1", BAD),
        ("transfer-encoding: \"chunked\"", BAD),
        ("transfer-encoding: chunked\ntransfer-encoding: chunked", BAD),
        ("transfer-encoding: chunked\ntransfer-encoding: identity", BAD),
        ("transfer-encoding: chunked\ncontent-length: 5", BAD),
        ("transfer-encoding:", BAD),
        ("content-length: 5\ncontent-length: 5", BAD),
        ("content-length: 5\ncontent-length: 6", BAD),
        ("content-length: 5, 5", BAD),
        ("content-length: +5", BAD),
        ("content-length:", BAD),
        ("transfer_encoding: chunked", BAD),
        ("content_length: 5", BAD),
        ("x_forwarded_for: 1", BAD),
        ("connection: close", OK),
        ("connection: Keep-Alive, TE\nte: trailers", OK),
        ("connection: authorization", BAD),
        ("connection: close, mcp-name", BAD),
        ("connection: close\nconnection: host", BAD),
        ("connection: upgrade\nupgrade: h2c", BAD),
        ("upgrade: websocket", BAD),
        ("expect: 100-continue", OK),
        ("expect: 100-Continue", OK),
        ("expect: 200-ok", (417, "bad_request")),
    ] {
        let text = format!("POST /mcp\nhost: localhost\n{lines}");
        assert_eq!(h1(&text), expect, "{text}");
    }
}

#[test]
fn fields_that_decide_stand_once() {
    for name in [
        "authorization",
        "content-type",
        "content-encoding",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-param-path",
        "mcp-session-id",
        "last-event-id",
    ] {
        let once = format!("POST /mcp\nhost: localhost\n{name}: a");
        assert_eq!(h1(&once), OK, "{once}");
        let twice = format!("{once}\n{name}: a");
        let refusal = ask(Version::HTTP_11, &twice, &rules()).unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.reason), (400, Reason::BadRequest), "{twice}");
        assert_eq!(refusal.mcp, name.starts_with("mcp-"), "{twice}");
        let odd = format!("{once}\u{e9}");
        assert_eq!(h1(&odd), BAD, "{odd}");
        let tab = format!("{once}\tb");
        assert_eq!(h1(&tab), BAD, "{tab}");
    }
    for name in ["accept", "accept-language", "cookie", "x-request-id"] {
        let twice = format!("POST /mcp\nhost: localhost\n{name}: a\n{name}: b");
        assert_eq!(h1(&twice), OK, "{twice}");
    }
}

#[test]
fn versions_and_methods() {
    let (method, uri, headers) = head("POST /mcp\nhost: localhost");
    for (version, expect) in [
        (Version::HTTP_09, (505, "bad_request")),
        (Version::HTTP_10, (505, "bad_request")),
        (Version::HTTP_11, OK),
        (Version::HTTP_2, OK),
        (Version::HTTP_3, (505, "bad_request")),
    ] {
        assert_eq!(outcome(check(version, &method, &uri, &headers, &rules())), expect, "{version:?}");
    }
    for (method, expect) in [("GET", 200), ("DELETE", 200), ("OPTIONS", 200), ("TRACE", 405), ("CONNECT", 405)] {
        assert_eq!(h1(&format!("{method} /mcp\nhost: localhost")).0, expect, "{method}");
    }
}

#[test]
fn targets() {
    for (target, expect) in [
        ("/", OK),
        ("/mcp", OK),
        ("/mcp/", OK),
        ("/mcp/files?x=1%2f..//", OK),
        ("/.well-known/oauth-protected-resource/mcp", OK),
        ("/a%20b", OK),
        ("/..a/b..", OK),
        ("//mcp", BAD),
        ("/mcp//files", BAD),
        ("/mcp//", BAD),
        ("/./mcp", BAD),
        ("/mcp/.", BAD),
        ("/mcp/..", BAD),
        ("/mcp/../admin", BAD),
        ("/mcp/%2e%2e/admin", BAD),
        ("/mcp/%2E/admin", BAD),
        ("/mcp%2fadmin", BAD),
        ("/mcp%2Fadmin", BAD),
        ("/mcp%5cadmin", BAD),
        ("/mcp%252fadmin", BAD),
        ("/mcp%00", BAD),
        ("/mcp%0d%0a", BAD),
        ("/mcp%7f", BAD),
        ("/mcp%", BAD),
        ("/mcp%2", BAD),
        ("/mcp%zz", BAD),
        ("/mcp\\admin", BAD),
        ("/m\u{e9}", BAD),
        ("*", BAD),
    ] {
        // Some of these the URI parser itself refuses; a parser that does not must find them refused here.
        if target.parse::<Uri>().is_ok() {
            assert_eq!(h1(&format!("POST {target}\nhost: localhost")), expect, "{target}");
        } else {
            assert_eq!(expect, BAD, "{target} should be a URI");
        }
    }
    assert_eq!(h1("OPTIONS *\nhost: localhost"), OK);
}

#[test]
fn sizes() {
    let with = |count: usize, bytes: usize| {
        let mut text = String::from("POST /mcp\nhost: localhost");
        for n in 1..count {
            text.push_str(&format!("\nx-{n}: {}", "v".repeat(bytes)));
        }
        h1(&text)
    };
    assert_eq!(with(100, 1), OK);
    assert_eq!(with(101, 1), (431, "bad_request"));
    assert_eq!(with(90, 300), OK);
    assert_eq!(with(90, 400), (431, "bad_request"));
    let long = format!("POST /{}\nhost: localhost", "a".repeat(HEADER_BYTES_MAX));
    assert_eq!(h1(&long), (431, "bad_request"));
}

#[test]
fn lists_that_are_not_hosts_or_origins_are_named() {
    for host in ["", "a b", "https://x", "user@x", "x:0", "*"] {
        assert!(HeadRules::new(&[host.to_owned()], &[]).is_err(), "{host}");
    }
    for origin in ["", "null", "*", "app.example.com", "https://", "https://x/", "https://x/path", "https://u@x"] {
        assert!(HeadRules::new(&[], &[origin.to_owned()]).is_err(), "{origin}");
    }
}
