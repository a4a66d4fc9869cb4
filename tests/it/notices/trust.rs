//! Receivers whose certificate is of a private CA: told where that CA is named, and nothing is sent where it is not.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::receiver::{Manner, Receiver, SECRET};
use super::{ask, gate_with, mail};
use crate::bound::authority;
use crate::gate::soon;

/// TLS in front of `inner`, with a certificate of `ca` for `name`.
async fn behind_tls(inner: SocketAddr, ca: &CertifiedIssuer<'static, KeyPair>, name: &str) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, ca).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut inner = TcpStream::connect(inner).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut inner).await;
            });
        }
    });
    addr
}

fn hook(name: &str, addr: SocketAddr, ca: &str) -> String {
    format!("{{ name: {name}, webhook: {{ url: \"https://{addr}/\", secret: {SECRET}{ca} }} }}")
}

fn letter(name: &str, addr: SocketAddr, ca: &str) -> String {
    let host = format!("host: {}, port: {}, tls: implicit", addr.ip(), addr.port());
    format!("{{ name: {name}, smtp: {{ {host}, from: gw@example.com, to: [sre@example.com]{ca} }} }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_ca_vouches_for_the_receivers_that_name_it_and_for_no_others() {
    let (ours, others) = (authority("ours"), authority("others"));
    let receiver = Receiver::start(Manner::Takes).await;
    let (mail, mails) = mail::server(mail::Manner::Good).await;
    let hooks = behind_tls(receiver.addr, &ours, "127.0.0.1").await;
    let mails_at = behind_tls(mail, &ours, "127.0.0.1").await;
    let elsewhere = behind_tls(receiver.addr, &ours, "elsewhere.example").await;
    let channels = [
        hook("hook-ours", hooks, ", ca: ours.pem"),
        hook("hook-none", hooks, ""),
        hook("hook-others", hooks, ", ca: others.pem"),
        hook("hook-elsewhere", elsewhere, ", ca: ours.pem"),
        letter("mail-ours", mails_at, ", ca: ours.pem"),
        letter("mail-none", mails_at, ""),
        letter("mail-others", mails_at, ", ca: others.pem"),
    ];
    let files = [("ours.pem".to_owned(), ours.pem()), ("others.pem".to_owned(), others.pem())];
    let gate = gate_with(&channels.join(", "), &files).await;
    let request = ask(&gate, "up__write", "{}").await;
    let log = || gate.running().notices().unwrap().log(100);
    soon("an attempt by each", || log().iter().filter(|one| one.attempts > 0).count() == channels.len()).await;
    for one in log() {
        let told = one.channel.ends_with("-ours");
        assert_eq!(one.outcome.as_str(), if told { "delivered" } else { "waiting" }, "{one:?}");
        assert_eq!(one.problem.as_deref().is_some_and(|why| why.contains("certificate")), !told, "{one:?}");
    }
    assert_eq!((receiver.of(request.id.as_str()).len(), mails.messages.lock().len()), (1, 1));

    // Once the file holds the CA that vouches, what waits is told.
    gate.reload("others.pem", &ours.pem());
    let told = |name: &str| log().iter().any(|one| &*one.channel == name && one.outcome.as_str() == "delivered");
    soon("those with the other file", || told("hook-others") && told("mail-others")).await;
    assert!(!told("hook-none") && !told("mail-none") && !told("hook-elsewhere"));
}
