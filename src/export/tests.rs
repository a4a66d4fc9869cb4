//! Over TLS a batch was taken only if the receiver says that it has read to the end.

#![expect(clippy::disallowed_methods, reason = "tests wait for what they spawn")]

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::way::Way;
use crate::audit::{LogId, Position, Stretch};
use crate::config::{SinkFormat, SinkWay, SyslogSink};
use crate::net::{Fetch, client_config, tls};
use crate::vocab::Clock;

fn stretch() -> Stretch {
    let line = br#"{"v":1,"seq":1,"time":"2026-11-22T04:38:36.123Z","id":"x","kind":"outcome"}"#;
    let bytes = [&line[..], b"\n"].concat().repeat(2_000);
    Stretch { first: 1, bytes, end: Position { seq: 2_000, ..Position::start(LogId::random().unwrap()) }, skipped: 0 }
}

#[tokio::test]
async fn syslog_over_tls_needs_the_receivers_own_end() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let server = ServerConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = tokio::spawn(async move {
        let mut lengths = Vec::new();
        for says_so in [false, true] {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(tcp).await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            lengths.push(bytes.len());
            if says_so {
                stream.shutdown().await.unwrap();
            } else {
                // Whoever is on the way can do as much.
                stream.get_mut().0.shutdown().await.unwrap();
            }
        }
        lengths
    });
    let open = |ca: Option<&std::path::Path>| {
        let sink = SyslogSink {
            tls: true,
            host: "127.0.0.1".to_owned(),
            port,
            format: SinkFormat::Json,
            ca: ca.map(Into::into),
            allow_private_addresses: false,
        };
        let fetch = Fetch::new(client_config(None).unwrap());
        Way::open(&SinkWay::Syslog(sink), &fetch, &Clock::system(), CancellationToken::new()).unwrap()
    };
    let way = open(Some(&ca));
    let refused = way.send(&stretch()).await.unwrap_err();
    assert!(refused.words.contains("read to the end"), "{refused:?}");
    way.send(&stretch()).await.unwrap();
    let lengths = receiver.await.unwrap();
    assert!(lengths[0] > 2_000 * 75 && lengths[0] == lengths[1]);
}

#[tokio::test]
async fn a_receiver_that_nobody_vouches_for_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let server = ServerConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let receiver = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(server)).accept(tcp).await.is_err()
    });
    let sink = SyslogSink {
        tls: true,
        host: "127.0.0.1".to_owned(),
        port,
        format: SinkFormat::Json,
        ca: None,
        allow_private_addresses: false,
    };
    let fetch = Fetch::new(client_config(None).unwrap());
    let way = Way::open(&SinkWay::Syslog(sink), &fetch, &Clock::system(), CancellationToken::new()).unwrap();
    assert!(way.send(&stretch()).await.unwrap_err().words.contains("TLS"));
    assert!(receiver.await.unwrap());
}
