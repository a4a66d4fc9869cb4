//! Over TLS: both sides know each other, or nothing is said.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::relay::{self, Front};
use super::{Kafka, KafkaSink, messages, mock, sink, stretch};
use crate::audit::LogId;
use crate::config::{KafkaSasl, KafkaTls};
use crate::net::tls;

type Own = CertifiedKey<KeyPair>;

fn own(name: &str) -> Own {
    generate_simple_self_signed([name.to_owned()]).unwrap()
}

/// Takes only whom `client` is.
fn acceptor(server: &Own, client: Option<&Own>) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions().unwrap();
    let config = match client {
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots.add(client.cert.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider()).build().unwrap();
            config.with_client_cert_verifier(verifier)
        }
        None => config.with_no_client_auth(),
    };
    let key = PrivatePkcs8KeyDer::from(server.signing_key.serialize_der());
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![server.cert.der().clone()], key.into()).unwrap()))
}

/// The files of `own`: certificate and key.
fn files(dir: &TempDir, name: &str, own: &Own) -> (PathBuf, PathBuf) {
    let (cert, key) = (dir.path().join(format!("{name}.pem")), dir.path().join(format!("{name}.key")));
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

#[tokio::test]
async fn brokers_and_gateway_are_who_they_say() {
    let (dir, mock) = (tempfile::tempdir().unwrap(), mock(1));
    let (server, client, other) = (own("127.0.0.1"), own("portcullis"), own("127.0.0.1"));
    let named = own("kafka.example.com");
    let (ca, _) = files(&dir, "server", &server);
    let (named_ca, _) = files(&dir, "named", &named);
    let (other_ca, other_key) = files(&dir, "other", &other);
    let mine = files(&dir, "client", &client);
    let both = Front { tls: Some(acceptor(&server, Some(&client))), ..Front::default() };
    let misnamed = Front { tls: Some(acceptor(&named, None)), ..Front::default() };
    let log = LogId::random().unwrap();
    let cases = [
        (&both, Some(&ca), Some(mine.clone()), true),
        (&both, Some(&ca), None, false),
        (&both, Some(&ca), Some((other_ca.clone(), other_key)), false),
        (&both, Some(&other_ca), Some(mine.clone()), false),
        (&both, None, Some(mine), false),
        (&misnamed, Some(&named_ca), None, false),
    ];
    // All at once: what is not taken is waited for.
    join_all(cases.into_iter().map(async |(front, ca, own, taken)| {
        let (brokers, produced) = relay::start(&mock, front.clone()).await;
        let tls = Some(KafkaTls { ca: ca.cloned(), own });
        let way = Kafka::open(KafkaSink { tls: tls.clone(), ..sink(&brokers) }).unwrap();
        let sent = way.send(&stretch(log, 1, 1, 0)).await;
        assert_eq!(sent.is_ok(), taken, "{tls:?} {sent:?}");
        assert_eq!(produced.load(Ordering::Relaxed), usize::from(taken), "{tls:?}");
    }))
    .await;
    assert_eq!(messages(&mock.bootstrap_servers(), 1).len(), 1);
}

#[tokio::test]
async fn a_password_is_shown_over_tls() {
    let (dir, mock, server) = (tempfile::tempdir().unwrap(), mock(1), own("127.0.0.1"));
    let (ca, _) = files(&dir, "server", &server);
    let front = Front { tls: Some(acceptor(&server, None)), password: Some("\0gateway\0canary"), ..Front::default() };
    for (password, taken) in [("canary", true), ("wrong-canary", false)] {
        let (brokers, produced) = relay::start(&mock, front.clone()).await;
        let password = SecretString::from(password.to_owned());
        let sasl = Some(KafkaSasl { mechanism: "PLAIN", username: "gateway".to_owned(), password });
        let sink = KafkaSink { tls: Some(KafkaTls { ca: Some(ca.clone()), own: None }), sasl, ..sink(&brokers) };
        assert!(!format!("{sink:?}").contains("canary"));
        let sent = Kafka::open(sink).unwrap().send(&stretch(LogId::random().unwrap(), 1, 1, 0)).await;
        assert_eq!((sent.is_ok(), produced.load(Ordering::Relaxed)), (taken, usize::from(taken)), "{sent:?}");
        assert!(!format!("{sent:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_an_error_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, _) = files(&dir, "one", &own("one"));
    let (_, key) = files(&dir, "two", &own("two"));
    let tls = Some(KafkaTls { ca: None, own: Some((cert, key)) });
    assert!(Kafka::open(KafkaSink { tls, ..sink("127.0.0.1:9") }).is_err());
}
