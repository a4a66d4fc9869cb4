//! A batch was taken by a receiver of syslog only if that says, after our end, that it has read to it.

#![expect(clippy::disallowed_methods, reason = "tests wait for what they spawn")]

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::way::{TooMuch, Way};
use crate::audit::{LogId, Position, Stretch};
use crate::config::{SinkFormat, SinkWay, SyslogSink};
use crate::net::{Fetch, client_config, tls};
use crate::vocab::Clock;

fn stretch() -> Stretch {
    let line = br#"{"v":1,"seq":1,"time":"2026-11-22T04:38:36.123Z","id":"x","kind":"outcome"}"#;
    let bytes = [&line[..], b"\n"].concat().repeat(2_000);
    Stretch { first: 1, bytes, end: Position { seq: 2_000, ..Position::start(LogId::random().unwrap()) }, skipped: 0 }
}

/// A way to whoever listens at `port`.
fn syslog(port: u16, tls: bool, ca: Option<&Path>) -> Way {
    let (host, format) = ("127.0.0.1".to_owned(), SinkFormat::Json);
    let sink = SyslogSink { tls, host, port, format, ca: ca.map(Into::into), allow_private_addresses: false };
    let fetch = Fetch::new(client_config(None).unwrap());
    Way::open(&SinkWay::Syslog(sink), &fetch, &Clock::system(), CancellationToken::new()).unwrap()
}

/// Someone who listens, and the certificate that is shown.
async fn listener() -> (TcpListener, u16, TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let server = ServerConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port, TlsAcceptor::from(Arc::new(server)), made.cert.pem())
}

#[tokio::test]
async fn syslog_over_tls_needs_the_receivers_own_end() {
    let (listener, port, acceptor, pem) = listener().await;
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
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
        // Nobody is behind these: they close before they have read anything, with an end or without.
        for reads in [0, 0, 100] {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(tcp).await.unwrap();
            stream.read_exact(&mut vec![0; reads]).await.unwrap();
            stream.shutdown().await.unwrap();
        }
        lengths
    });
    let way = syslog(port, true, Some(&ca));
    let refused = way.send(&stretch()).await.unwrap_err();
    assert!(refused.words.contains("read to the end"), "{refused:?}");
    assert_eq!(refused.too_much, TooMuch::Perhaps);
    way.send(&stretch()).await.unwrap();
    for nth in 0..3 {
        assert_eq!(way.send(&stretch()).await.unwrap_err().too_much, TooMuch::Perhaps, "{nth}");
    }
    let lengths = receiver.await.unwrap();
    assert!(lengths[0] > 2_000 * 75 && lengths[0] == lengths[1]);
}

#[tokio::test]
async fn syslog_over_tcp_is_not_taken_by_who_closes_first() {
    let (listener, port, ..) = listener().await;
    let receiver = tokio::spawn(async move {
        let mut whole = Vec::new();
        for nth in 0..5 {
            let (mut stream, _) = listener.accept().await.unwrap();
            match nth {
                0 => {}
                1 => stream.shutdown().await.unwrap(),
                2 => drop(stream.read_exact(&mut [0; 100]).await.unwrap()),
                // It reads, having said before that it does not talk: it may as well have been told to go.
                3 => {
                    stream.shutdown().await.unwrap();
                    stream.read_to_end(&mut Vec::new()).await.unwrap();
                }
                _ => drop(stream.read_to_end(&mut whole).await.unwrap()),
            }
        }
        whole.len()
    });
    let way = syslog(port, false, None);
    for nth in 0..4 {
        assert_eq!(way.send(&stretch()).await.unwrap_err().too_much, TooMuch::Perhaps, "{nth}");
    }
    way.send(&stretch()).await.unwrap();
    assert!(receiver.await.unwrap() > 2_000 * 75);
}

#[tokio::test]
async fn a_receiver_that_nobody_vouches_for_gets_nothing() {
    let (listener, port, acceptor, _) = listener().await;
    let receiver = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await.is_err()
    });
    assert!(syslog(port, true, None).send(&stretch()).await.unwrap_err().words.contains("TLS"));
    assert!(receiver.await.unwrap());
}
