use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::{TlsFiles, self_signed};
use super::*;
use crate::vocab::Clock;

struct Site {
    dir: tempfile::TempDir,
    files: TlsFiles,
    handle: TlsHandle,
}

fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let files = self_signed(dir.path(), &Clock::system()).unwrap();
    let handle = TlsHandle::load(&files, &Clock::system()).unwrap();
    Site { dir, files, handle }
}

fn client(site: &Site, alpn: &[&[u8]], versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.dir.path().join("tls/ca.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config
}

async fn handshake(running: &Running, config: ClientConfig, name: &'static str) -> io::Result<TlsStream<TcpStream>> {
    let stream = connect(running).await;
    soon("handshake", TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream)).await
}

async fn h2(running: &Running, site: &Site) -> http2::SendRequest<Full<Bytes>> {
    let stream = handshake(running, client(site, &[b"h2"], rustls::ALL_VERSIONS), "localhost").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (send, conn) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(conn);
    send
}

fn request(text: &str) -> Request<Full<Bytes>> {
    let (uri, fields) = text.split_once('\n').unwrap_or((text, ""));
    let mut builder = Request::post(uri);
    for field in fields.lines() {
        let (name, value) = field.split_once(": ").unwrap();
        builder = builder.header(name, value);
    }
    builder.body(Full::new("abcd".into())).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = read_body(response.into_body(), 1 << 20, Deadline::after(SOON)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn both_versions_of_tls_and_http_are_spoken() {
    let site = site();
    let running = start(DoorSettings::default(), Some(site.handle.clone()), SOON);
    for (version, expect) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        for name in ["localhost", "127.0.0.1", "::1"] {
            let stream = handshake(&running, client(&site, &[b"http/1.1"], &[version]), name).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(expect));
            let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
            if expect == ProtocolVersion::TLSv1_3 {
                assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
            }
            let (mut send, conn) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(conn);
            let answer = soon("h1", send.send_request(request("/\nhost: localhost"))).await.unwrap();
            assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (200, "abcd"));
        }
    }
    let mut send = h2(&running, &site).await;
    let answer = soon("h2", send.send_request(request("https://localhost/"))).await.unwrap();
    assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (200, "abcd"));
    assert!(handshake(&running, client(&site, &[b"spdy/3"], rustls::ALL_VERSIONS), "localhost").await.is_err());
    finish(running).await;
}

#[tokio::test]
async fn the_rules_for_heads_hold_on_http2() {
    let site = site();
    let running = start(DoorSettings::default(), Some(site.handle.clone()), SOON);
    let mut send = h2(&running, &site).await;
    for (head, expect) in [
        ("https://localhost/", 200),
        ("https://localhost:8443/\nhost: localhost:8443", 200),
        ("https://evil.example/", 403),
        ("https://localhost/\nhost: evil.example", 400),
        ("https://evil.example/\nhost: localhost", 400),
        ("https://u:p@localhost/", 400),
        ("https://localhost/\norigin: https://app.example.com", 200),
        ("https://localhost/\norigin: https://evil.example", 403),
        ("https://localhost/\norigin: null", 403),
        ("https://localhost/\nauthorization: a\nauthorization: a", 400),
        ("https://localhost/\nmcp-name: a\nmcp-name: b", 400),
        ("https://localhost/\nmcp_name: a", 400),
        ("https://localhost//x", 400),
        ("https://localhost/refuse", 401),
    ] {
        let answer = soon(head, send.send_request(request(head))).await.unwrap();
        assert_eq!(answer.status().as_u16(), expect, "{head}");
        assert!(!answer.headers().contains_key("connection"), "{head}");
    }
    assert_eq!(running.stats.accepted(), 1, "a refused stream does not end its connection");
    finish(running).await;
}

#[tokio::test]
async fn cleartext_http2_needs_its_preface() {
    let running = start(DoorSettings::default(), None, SOON);
    let (mut send, conn) = http2::handshake(TokioExecutor::new(), TokioIo::new(connect(&running).await)).await.unwrap();
    tokio::spawn(conn);
    let answer = soon("h2c", send.send_request(request("http://localhost/"))).await.unwrap();
    assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (200, "abcd"));
    finish(running).await;
}

/// What a peer may have under way that nobody has read: of one body, and of all of a connection (RFC 9113 sections 6.5.2 and 6.9).
#[tokio::test]
async fn http2_windows_hold_64_kib_of_a_stream_and_1_mib_of_a_connection() {
    let running = start(DoorSettings::default(), None, SOON);
    let mut stream = connect(&running).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let (mut of_stream, mut of_connection) = (None, None);
    while of_stream.is_none() || of_connection.is_none() {
        let mut head = [0; 9];
        soon("a frame", stream.read_exact(&mut head)).await.unwrap();
        let mut payload = vec![0; usize::from_be_bytes([0, 0, 0, 0, 0, head[0], head[1], head[2]])];
        soon("its payload", stream.read_exact(&mut payload)).await.unwrap();
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        match head[3] {
            // SETTINGS, of which the fourth is the window of each stream.
            4 => of_stream = payload.chunks_exact(6).find(|one| one[..2] == [0, 4]).map(|one| number(&one[2..])).or(of_stream),
            // WINDOW_UPDATE adds to what a connection begins with.
            8 => of_connection = Some(65_535 + number(&payload)),
            _ => {}
        }
    }
    assert_eq!((of_stream, of_connection), (Some(64 * 1024), Some(1024 * 1024)));
    drop(stream);
    finish(running).await;
}

#[tokio::test]
async fn an_http2_stream_that_nobody_reads_ends_its_connection() {
    let settings = DoorSettings { write_timeout: Duration::from_millis(200), ..DoorSettings::default() };
    let running = start(settings, None, SOON);
    let (mut send, conn) = http2::handshake(TokioExecutor::new(), TokioIo::new(connect(&running).await)).await.unwrap();
    tokio::spawn(conn);
    let unread = soon("head", send.send_request(request("http://localhost/big"))).await.unwrap();
    soon("the connection is cut", async {
        while running.stats.open() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(running.stats.cut(), 1);
    drop(unread);
    finish(running).await;
}

#[tokio::test]
async fn an_http2_drain_finishes_streams_under_way() {
    let site = site();
    let running = start(DoorSettings::default(), Some(site.handle.clone()), SOON);
    let mut send = h2(&running, &site).await;
    let waiting = tokio::spawn(send.send_request(request("https://localhost/wait")));
    soon("the request", running.came.notified()).await;
    running.stop.begin();
    running.go.notify_one();
    let answer = soon("the answer", waiting).await.unwrap().unwrap();
    assert_eq!(text(answer).await, "waited");
    finish(running).await;
}

#[tokio::test]
async fn certificates_change_under_open_connections() {
    let old = site();
    let running = start(DoorSettings::default(), Some(old.handle.clone()), SOON);
    let mut send = h2(&running, &old).await;
    let waiting = tokio::spawn(send.send_request(request("https://localhost/wait")));
    soon("the request", running.came.notified()).await;

    let new = site();
    assert!(old.handle.reload(&TlsFiles { cert: "missing.pem".into(), ..new.files.clone() }, &Clock::system()).is_err());
    drop(handshake(&running, client(&old, &[b"h2"], rustls::ALL_VERSIONS), "localhost").await.unwrap());
    old.handle.reload(&new.files, &Clock::system()).unwrap();
    assert!(handshake(&running, client(&old, &[b"h2"], rustls::ALL_VERSIONS), "localhost").await.is_err());
    let mut fresh = h2(&running, &new).await;
    assert_eq!(soon("new", fresh.send_request(request("https://localhost/"))).await.unwrap().status(), 200);

    running.go.notify_one();
    assert_eq!(text(soon("the answer", waiting).await.unwrap().unwrap()).await, "waited");
    assert_eq!(soon("old", send.send_request(request("https://localhost/"))).await.unwrap().status(), 200);
    finish(running).await;
}

#[tokio::test]
async fn a_client_authority_is_asked_of_everybody_or_of_whoever_shows_a_certificate() {
    let site = site();
    let other = self::site();
    // Any authority that may sign for a client will do; the key pair's own certificate is the simplest.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["agent".into()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let agent_key = rcgen::KeyPair::generate().unwrap();
    let agent = rcgen::CertificateParams::new(vec!["agent".into()]).unwrap().signed_by(&agent_key, &issuer).unwrap();
    let ca_file = site.dir.path().join("agents-ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let running = start(DoorSettings::default(), Some(site.handle.clone()), SOON);

    let with = |cert: &rcgen::Certificate, key: &rcgen::KeyPair| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(site.dir.path().join("tls/ca.pem")).unwrap()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![cert.der().clone()], key)
            .unwrap()
    };
    let stranger_key = rcgen::KeyPair::generate().unwrap();
    let stranger = rcgen::CertificateParams::new(vec!["agent".into()]).unwrap().self_signed(&stranger_key).unwrap();
    for (client_optional, what, config, expect) in [
        (false, "none", client(&site, &[], rustls::ALL_VERSIONS), false),
        (false, "none with TLS 1.2", client(&site, &[], &[&rustls::version::TLS12]), false),
        (false, "stranger", with(&stranger, &stranger_key), false),
        (false, "agent", with(&agent, &agent_key), true),
        (true, "none", client(&site, &[], rustls::ALL_VERSIONS), true),
        (true, "none with TLS 1.2", client(&site, &[], &[&rustls::version::TLS12]), true),
        (true, "stranger", with(&stranger, &stranger_key), false),
        (true, "agent", with(&agent, &agent_key), true),
        (false, "none again", client(&site, &[], rustls::ALL_VERSIONS), false),
    ] {
        let files = TlsFiles { client_ca: Some(ca_file.clone()), client_optional, ..site.files.clone() };
        site.handle.reload(&files, &Clock::system()).unwrap();
        // In TLS 1.3 a client learns of its refusal with the first read.
        let passed = match handshake(&running, config, "localhost").await {
            Err(_) => false,
            Ok(mut stream) => {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
                let mut answer = Vec::new();
                drop(soon(what, stream.read_to_end(&mut answer)).await);
                answer.starts_with(b"HTTP/1.1 200")
            }
        };
        assert_eq!(passed, expect, "{what}, optional: {client_optional}");
    }
    drop(other);
    finish(running).await;
}

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let site = site();
    let settings = DoorSettings { handshake_timeout: Duration::from_millis(200), ..DoorSettings::default() };
    let running = start(settings, Some(site.handle.clone()), SOON);
    for opening in [&b""[..], &[22, 3, 1, 2], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = connect(&running).await;
        stream.write_all(opening).await.unwrap();
        let mut seen = Vec::new();
        drop(soon("reaped", stream.read_to_end(&mut seen)).await);
    }
    assert_eq!(running.stats.cut(), 2, "the third fails at once");
    finish(running).await;
}
