#![expect(clippy::disallowed_methods, reason = "tests")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::address::{AddressKind, kind_of};
use super::dial::dial_any;
use super::*;
use crate::vocab::Deadline;

const LOOPBACK: DialPolicy = DialPolicy { allow_private: false, allow_loopback: true };
const EVERYTHING: DialPolicy = DialPolicy { allow_private: true, allow_loopback: true };

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

#[test]
fn addresses_are_judged_by_where_they_lead() {
    use AddressKind::{Loopback, Never, Private, Public};
    let table = [
        (
            Public,
            "1.1.1.1 8.8.8.8 172.15.0.1 172.32.0.1 192.0.1.1 100.63.255.255 100.128.0.1 198.17.0.1 198.20.0.1 223.255.255.255",
        ),
        (Public, "2606:4700::1111 2a00:1450::1 2002:808:808::1 64:ff9b::808:808 ::ffff:8.8.8.8 ::8.8.8.8"),
        (Private, "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 192.0.0.1 192.0.2.1"),
        (Private, "198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 192.88.99.1 240.0.0.1 255.255.255.254"),
        (Private, "fc00::1 fd12::1 fec0::1 2001:db8::1 3fff::1 100::1 4000::1 ::ffff:10.0.0.1 ::10.0.0.1 ::ffff:0:10.0.0.1"),
        (Private, "2002:a00:1::1 64:ff9b::a00:1 64:ff9b:1::808:808 64:ff9b:1:808:8:800::"),
        (Loopback, "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 ::127.0.0.1 2002:7f00:1:: 64:ff9b::7f00:1 64:ff9b:1::7f00:1"),
        (Never, "0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.1 224.0.0.1 239.255.255.255 255.255.255.255 100.100.100.200"),
        (Never, "168.63.129.16 192.0.0.192 :: fe80::1 febf::1 ff02::1 fd00:ec2::254 fd20:ce::254 2001:0:1::1"),
        (Never, "::ffff:169.254.169.254 ::169.254.169.254 ::ffff:0:169.254.169.254 2002:a9fe:a9fe:: 64:ff9b::a9fe:a9fe"),
        (Never, "64:ff9b:1::a9fe:a9fe 64:ff9b:1:a9fe:a9:fe00:: ::ffff:0.0.0.0 64:ff9b:: 2002::"),
    ];
    for (want, addresses) in table {
        for address in addresses.split(' ') {
            assert_eq!(kind_of(address.parse().unwrap()), want, "{address}");
        }
    }
}

#[test]
fn consent_is_per_kind_and_never_covers_metadata() {
    let permits = |private, loopback, ip: &str| {
        DialPolicy { allow_private: private, allow_loopback: loopback }.permits(ip.parse::<IpAddr>().unwrap())
    };
    for (private, loopback) in [(false, false), (false, true), (true, false), (true, true)] {
        assert!(permits(private, loopback, "1.1.1.1"));
        assert_eq!(permits(private, loopback, "10.0.0.1"), private);
        assert_eq!(permits(private, loopback, "::1"), loopback);
        assert!(!permits(private, loopback, "169.254.169.254"));
        assert!(!permits(private, loopback, "0.0.0.0"));
    }
}

#[tokio::test]
async fn refused_hosts_see_no_connection_however_they_are_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "::ffff:7f00:1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "0",
    ] {
        let got = dial(host, port, DialPolicy::default(), soon()).await;
        assert!(matches!(got, Err(DialError::Refused | DialError::Resolve)), "{host}: {got:?}");
    }
    for host in ["", "a b", "fe80::1%1", "host/path", "user@host", "[::1", &"a".repeat(300)] {
        let got = dial(host, port, EVERYTHING, soon()).await;
        assert!(matches!(got, Err(DialError::Resolve)), "{host}: {got:?}");
    }
    let seen = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
    assert!(seen.is_err(), "a refused dial connected");
    dial("localhost", port, LOOPBACK, soon()).await.unwrap();
}

#[tokio::test]
async fn one_refused_address_refuses_the_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = listener.local_addr().unwrap();
    let bad: SocketAddr = "169.254.169.254:80".parse().unwrap();
    for addresses in [[good, bad], [bad, good]] {
        assert!(matches!(dial_any(&addresses, EVERYTHING, soon()).await, Err(DialError::Refused)));
    }
    let stream = dial_any(&[good], EVERYTHING, soon()).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
    assert!(stream.nodelay().unwrap());
}

#[test]
fn origins_are_read_from_urls() {
    let of = |url: &str| Origin::of(&Url::parse(url).unwrap());
    for (url, host, port, https, authority, loopback) in [
        ("https://a.example/x", "a.example", 443, true, "a.example", false),
        ("https://a.example:8443", "a.example", 8443, true, "a.example:8443", false),
        ("http://[::1]:81/", "::1", 81, false, "[::1]:81", true),
        ("http://0x7f.1/", "127.0.0.1", 80, false, "127.0.0.1", true),
        ("http://localhost:80/", "localhost", 80, false, "localhost", true),
        ("https://localhost.example/", "localhost.example", 443, true, "localhost.example", false),
    ] {
        let origin = of(url).unwrap();
        assert_eq!((origin.host.as_str(), origin.port, origin.https), (host, port, https), "{url}");
        assert_eq!((origin.authority().as_str(), origin.names_loopback()), (authority, loopback), "{url}");
    }
    assert!(of("file:///etc/passwd").is_none());
}

#[test]
fn a_bad_ca_file_is_an_error_and_none_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    assert!(matches!(client_config(Some(&path)), Err(TlsError::CaFile { .. })));
    std::fs::write(&path, "hello").unwrap();
    assert!(matches!(client_config(Some(&path)), Err(TlsError::CaFile { .. })));
    assert_eq!(client_config(None).unwrap().alpn_protocols, [b"http/1.1".to_vec()]);
}

/// A TLS server with a certificate for `names`, and the CA file that trusts it.
async fn tls_server(dir: &std::path::Path, names: &[&str]) -> (SocketAddr, std::path::PathBuf) {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let ca = dir.join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            let mut seen = [0; 1024];
            let _ = stream.read(&mut seen).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
            let _ = stream.shutdown().await;
        }
    });
    (address, ca)
}

#[tokio::test]
async fn tls_needs_a_trusted_certificate_for_the_very_host() {
    let dir = tempfile::tempdir().unwrap();
    let (address, ca) = tls_server(dir.path(), &["localhost", "127.0.0.1"]).await;
    let trusting = client_config(Some(&ca)).unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let url = Url::parse(&format!("https://{host}:{}/jwks", address.port())).unwrap();
        let got = Fetch::new(trusting.clone()).get(&url, LOOPBACK, 100).await.unwrap();
        assert_eq!(&got.body[..], b"{}");
        let untrusting = Fetch::new(client_config(None).unwrap()).get(&url, LOOPBACK, 100).await;
        assert!(matches!(untrusting, Err(FetchError::Dial(DialError::Tls(_)))), "{untrusting:?}");
    }
    let url = Url::parse(&format!("https://localhost:{}/jwks", address.port())).unwrap();
    let rootless = Fetch::new(tls::config_without_roots()).get(&url, LOOPBACK, 100).await.unwrap_err();
    assert!(rootless.to_string().contains("no CA certificates"), "{rootless}");
    let (address, ca) = tls_server(dir.path(), &["other.example"]).await;
    let url = Url::parse(&format!("https://localhost:{}/", address.port())).unwrap();
    let got = Fetch::new(client_config(Some(&ca)).unwrap()).get(&url, LOOPBACK, 100).await;
    assert!(matches!(got, Err(FetchError::Dial(DialError::Tls(_)))), "{got:?}");
}

/// A server that answers every connection with `answer` and closes.
async fn plain_server(answer: &'static str) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/keys?v=1", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = [0; 1024];
            let n = stream.read(&mut seen).await.unwrap_or(0);
            assert!(seen[..n].starts_with(b"GET /keys?v=1 HTTP/1.1\r\n"));
            let _ = stream.write_all(answer.as_bytes()).await;
            let hang = answer.is_empty() || answer.contains("content-length: 9\r\n");
            if hang {
                std::future::pending::<()>().await;
            }
        }
    });
    url
}

async fn fetched(answer: &'static str) -> Result<Fetched, FetchError> {
    let url = plain_server(answer).await;
    let fetch = Fetch::new(client_config(None).unwrap()).with_time_max(Duration::from_secs(2));
    fetch.get(&url, LOOPBACK, 8).await
}

#[tokio::test]
async fn documents_are_fetched_whole_or_not_at_all() {
    for (answer, body, max_age_s) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\ncache-control: public, Max-Age=90\r\n\r\n12345678", "12345678", Some(90)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "{}", None),
        ("HTTP/1.1 200 OK\r\ncache-control: max-age=9, no-store\r\n\r\n{}", "{}", Some(0)),
    ] {
        let got = fetched(answer).await.unwrap();
        assert_eq!((&got.body[..], got.max_age_s), (body.as_bytes(), max_age_s), "{answer}");
    }
    let check = |got: Result<Fetched, FetchError>, word: &str| {
        let text = got.expect_err(word).to_string();
        assert!(text.contains(word), "{text} does not say {word}");
    };
    check(fetched("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n").await, "redirected");
    check(fetched("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await, "404");
    check(fetched("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n").await, "over 8 bytes");
    check(fetched("HTTP/1.1 200 OK\r\n\r\n123456789").await, "over 8 bytes");
    check(fetched("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n").await, "over 8 bytes");
    check(fetched("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}").await, "compressed");
    check(fetched("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{}").await, "exchange failed");
    check(fetched("nonsense\r\n\r\n").await, "exchange failed");
    check(fetched("").await, "in time");
}

#[tokio::test]
async fn plain_http_is_for_loopback_only() {
    let fetch = Fetch::new(client_config(None).unwrap());
    for url in ["http://example.com/", "http://10.0.0.1/", "ftp://localhost/", "http://[fe80::1]/"] {
        let got = fetch.get(&Url::parse(url).unwrap(), EVERYTHING, 8).await;
        assert!(matches!(got, Err(FetchError::Scheme)), "{url}: {got:?}");
    }
    let url = plain_server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let got = fetch.get(&url, DialPolicy::default(), 8).await;
    assert!(matches!(got, Err(FetchError::Dial(DialError::Refused))), "{got:?}");
}

/// A server that hands each whole request to the test, and answers it with `answer`.
async fn listening_server(answer: &'static str) -> (Url, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/token?v=1", listener.local_addr().unwrap())).unwrap();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Vec::new();
            let mut piece = [0; 1024];
            while !seen.ends_with(b"END") {
                let n = stream.read(&mut piece).await.unwrap_or(0);
                if n == 0 {
                    break;
                }
                seen.extend_from_slice(&piece[..n]);
            }
            let _ = tell.send(String::from_utf8(seen).unwrap());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, told)
}

#[tokio::test]
async fn what_is_posted_is_sent_once_and_any_status_is_read() {
    let fetch = Fetch::new(client_config(None).unwrap());
    let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-type: Application/JSON; charset=utf-8\r\ndpop-nonce: n1\r\ncontent-length: 2\r\n\r\n{}";
    let (url, mut told) = listening_server(refusal).await;
    let secret = [
        (http::header::AUTHORIZATION, http::HeaderValue::from_static("Basic eA==")),
        (http::header::HOST, http::HeaderValue::from_static("evil")),
    ];
    let form = Payload::Form(&[("a", "1 &2"), ("ü", "END")]);
    let got = fetch.send(&url, LOOPBACK, &secret, form, 8).await.unwrap();
    assert_eq!((got.status.as_u16(), &got.body[..], got.media_type().as_deref()), (400, &b"{}"[..], Some("application/json")));
    assert_eq!(got.headers["dpop-nonce"], "n1");
    assert!(!format!("{got:?}").contains("n1"));
    let seen = told.recv().await.unwrap();
    assert!(seen.starts_with("POST /token?v=1 HTTP/1.1\r\n"), "{seen}");
    for part in
        ["authorization: Basic eA==\r\n", "content-type: application/x-www-form-urlencoded\r\n", "\r\n\r\na=1+%262&%C3%BC=END"]
    {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert!(!seen.contains("evil"), "{seen}");
    fetch.send(&url, LOOPBACK, &[], Payload::Json("{}END"), 8).await.unwrap();
    let seen = told.recv().await.unwrap();
    assert!(seen.contains("content-type: application/json\r\n") && seen.ends_with("\r\n\r\n{}END"), "{seen}");
    let got = fetch.send(&url, LOOPBACK, &[], form, 1).await;
    assert!(matches!(got, Err(FetchError::TooLarge(1))), "{got:?}");

    let (elsewhere, mut told_elsewhere) = listening_server(refusal).await;
    let redirect = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
    let (url, _told) = listening_server(Box::leak(redirect.into_boxed_str())).await;
    let got = fetch.send(&url, LOOPBACK, &secret, form, 8).await;
    assert!(matches!(got, Err(FetchError::Redirect(_))), "{got:?}");
    assert!(told_elsewhere.try_recv().is_err());
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_anew_for_every_connection() {
    let (url, mut told) = listening_server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let port = url.port().unwrap();
    dial::names::teach("rebind.test", &["1.1.1.1 127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1"]);
    let fetch = Fetch::new(client_config(None).unwrap());
    for _ in 0..5 {
        let url = Url::parse(&format!("https://rebind.test:{port}/")).unwrap();
        let got = fetch.send(&url, DialPolicy::default(), &[], Payload::Form(&[("a", "END")]), 8).await;
        assert!(matches!(got, Err(FetchError::Dial(DialError::Refused))), "{got:?}");
    }
    assert!(told.try_recv().is_err());
}

#[test]
fn a_certificate_of_ours_needs_its_own_key() {
    let base = client_config(None).unwrap();
    let made = || rcgen::generate_simple_self_signed(vec!["gateway".to_owned()]).unwrap();
    let (one, other) = (made(), made());
    let pem = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes())
    };
    let ((cert, key), (_, other_key)) = (pem(&one), pem(&other));
    assert!(!base.client_auth_cert_resolver.has_certs());
    assert!(with_certificate(&base, &cert, &key).unwrap().client_auth_cert_resolver.has_certs());
    for (cert, key) in [(&cert, &other_key), (&key, &key), (&cert, &cert), (&b"x".to_vec(), &key)] {
        assert!(matches!(with_certificate(&base, cert, key), Err(TlsError::Certificate(_))));
    }
}
