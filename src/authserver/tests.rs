#![expect(clippy::disallowed_methods, reason = "tests")]

mod documents;
mod ending;
mod whole_way;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::cimd;
use super::client::{Auth, Clients, Kind};
use super::pace::Pace;
use super::redirect::{is_acceptable, is_custom_scheme, matches, with_parameters};
use super::{AuthServer, CimdSettings, DcrSettings, EndedTokens, Grants, Lasting, ResourceSettings, Settings};
use crate::identity::Revocations;
use crate::net::{DialPolicy, Fetch};
use crate::signer::{Signer, SignerSettings, SigningAlgorithm};
use crate::signin::{IdpSettings, SignIn};
use crate::store::Store;
use crate::vocab::Clock;
use crate::web::{PageRequest, Site};

const LOOPBACK: DialPolicy = DialPolicy { allow_private: false, allow_loopback: true };

fn settings(cimd: CimdSettings) -> Settings {
    Settings {
        issuer: "https://gw.example".to_owned(),
        resources: vec![ResourceSettings { url: "https://gw.example/mcp".to_owned(), scopes: Vec::new() }],
        scopes: Default::default(),
        clients: Vec::new(),
        cimd: Some(cimd),
        dcr: Some(DcrSettings { per_hour: 10, expires: std::time::Duration::from_secs(3_600) }),
        id_jag: Vec::new(),
        access_token: std::time::Duration::from_secs(600),
        refresh_token: std::time::Duration::from_secs(86_400),
        algorithm: SigningAlgorithm::Es256,
        other_keys: Vec::new(),
    }
}

async fn lasting(dir: &TempDir, clock: &Clock) -> Lasting {
    let store = Store::open(&dir.path().join("state.db"), clock.clone()).unwrap();
    let day = std::time::Duration::from_secs(86_400);
    let keys =
        SignerSettings { dir: dir.path().join("keys"), algorithm: SigningAlgorithm::Es256, rotate_every: day, signed_for: day };
    let ended = EndedTokens::load(store.clone(), clock.clone()).await.unwrap();
    Lasting {
        store,
        signer: Arc::new(Signer::open(keys, clock.clone()).unwrap()),
        ended: Arc::new(ended),
        pace: Arc::new(Pace::new(10)),
        sign_ins: Arc::new(SignIn::pace()),
    }
}

/// An https server at `localhost` that answers everything with the same bytes, and a fetcher that trusts it.
struct Host {
    port: u16,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    fetch: Fetch,
}

impl Host {
    async fn start() -> Self {
        crate::identity::install_crypto();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let server =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, asked): (Arc<Mutex<String>>, Arc<AtomicUsize>) = Default::default();
        let (acceptor, told, count) = (TlsAcceptor::from(Arc::new(server)), answer.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = [0; 4_096];
                let _ = stream.read(&mut head).await;
                count.fetch_add(1, Ordering::SeqCst);
                let text = told.lock().clone();
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { port, answer, asked, fetch: Fetch::new(Arc::new(client)) }
    }

    fn id(&self) -> String {
        format!("https://localhost:{}/client.json", self.port)
    }

    fn says(&self, media: &str, more: &str, document: &str) {
        *self.answer.lock() =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\n{more}content-length: {}\r\n\r\n{document}", document.len());
    }
}

fn document(id: &str, changes: Value) -> String {
    let mut document = json!({
        "client_id": id, "client_name": "Doc", "redirect_uris": ["https://app.example/cb", "http://localhost/cb"],
        "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none",
    });
    for (name, value) in changes.as_object().unwrap() {
        document[name] = value.clone();
    }
    document.to_string()
}

#[tokio::test]
async fn a_document_makes_a_client_for_as_long_as_it_is_fresh() {
    let (dir, clock, host) = (TempDir::new().unwrap(), Clock::system(), Host::start().await);
    let cimd = CimdSettings { allow: vec!["localhost".to_owned()], any: false, dial: LOOPBACK };
    let clients = Clients::new(&settings(cimd), &lasting(&dir, &clock).await, &clock, &host.fetch).unwrap();
    let id = host.id();
    host.says("application/json; charset=utf-8", "cache-control: max-age=120\r\n", &document(&id, json!({})));
    let client = clients.find(&id, None).await.unwrap();
    assert_eq!(
        (client.id.as_str(), client.name.as_deref(), &client.kind),
        (id.as_str(), Some("Doc"), &Kind::Document("localhost".into()))
    );
    assert_eq!(client.grants, Grants { authorization_code: true, refresh_token: true, ..Grants::default() });
    assert!(std::matches!(client.auth, Auth::None));
    clients.find(&id, None).await.unwrap();
    assert_eq!(host.asked.load(Ordering::SeqCst), 1, "fresh");
    host.says("application/json", "", &document(&id, json!({"client_name": "Other"})));
    clock.advance_ms(121_000);
    let changed = clients.find(&id, None).await.unwrap();
    assert_ne!(changed.digest, client.digest, "what was consented to is another thing now");
    let oversize = "x".repeat(70_000);
    for (media, more, text) in [
        ("text/html", "", document(&id, json!({}))),
        ("application/json", "content-encoding: gzip\r\n", document(&id, json!({}))),
        ("application/json", "", document(&format!("{id}?"), json!({}))),
        ("application/json", "", document(&id, json!({"client_id": null}))),
        ("application/json", "", document(&id, json!({"client_name": oversize}))),
        ("application/json", "", document(&id, json!({"client_secret": "s"}))),
        ("application/json", "", document(&id, json!({"token_endpoint_auth_method": "client_secret_post"}))),
        ("application/json", "", document(&id, json!({"redirect_uris": []}))),
        ("application/json", "", document(&id, json!({"redirect_uris": ["http://app.example/cb"]}))),
        ("application/json", "", document(&id, json!({"redirect_uris": ["cursor://x"]}))),
        ("application/json", "", document(&id, json!({})).replace("{\"client_id\"", "{\"client_id\":\"x\",\"client_id\"")),
        ("application/json", "", "[]".to_owned()),
        ("application/json", "", String::new()),
    ] {
        clock.advance_ms(3_700_000);
        host.says(media, more, &text);
        let refused = clients.find(&id, None).await.err().map(|refused| refused.words);
        assert!(refused.is_some(), "{media} {more} {text:.120}");
    }
    clock.advance_ms(3_700_000);
    *host.answer.lock() = format!("HTTP/1.1 302 Found\r\nlocation: {id}2\r\ncontent-length: 0\r\n\r\n");
    let asked = host.asked.load(Ordering::SeqCst);
    assert!(clients.find(&id, None).await.is_err(), "redirects are not followed");
    assert_eq!(host.asked.load(Ordering::SeqCst), asked + 1);
}

#[tokio::test]
async fn nothing_is_called_that_the_operator_did_not_mean() {
    let (dir, clock, host) = (TempDir::new().unwrap(), Clock::system(), Host::start().await);
    let any = CimdSettings { allow: Vec::new(), any: true, dial: DialPolicy::default() };
    let clients = Clients::new(&settings(any), &lasting(&dir, &clock).await, &clock, &host.fetch).unwrap();
    let port = host.port;
    for id in [
        format!("https://localhost:{port}/client.json"),
        format!("https://127.0.0.1:{port}/client.json"),
        format!("https://[::ffff:127.0.0.1]:{port}/client.json"),
        format!("https://2130706433:{port}/client.json"),
        format!("https://0x7f.1:{port}/client.json"),
        "https://169.254.169.254/latest".to_owned(),
        "https://user@client.example/x".to_owned(),
        "https://client.example".to_owned(),
        "https://client.example/".to_owned(),
        "https://client.example/x#y".to_owned(),
        "https://client.example/a/../x".to_owned(),
        "https://CLIENT.example/x".to_owned(),
        "http://client.example/x".to_owned(),
        format!("https://client.example/{}", "x".repeat(2_000)),
    ] {
        assert!(clients.find(&id, None).await.is_err(), "{id}");
    }
    assert_eq!(host.asked.load(Ordering::SeqCst), 0);
}

#[test]
fn hosts_are_listed_by_name() {
    let allow = |list: &[&str]| CimdSettings {
        allow: list.iter().map(|s| (*s).to_owned()).collect(),
        any: false,
        dial: DialPolicy::default(),
    };
    for (list, id, holds) in [
        (&["a.example"][..], "https://a.example/x", true),
        (&["a.example"], "https://b.a.example/x", false),
        (&["a.example"], "https://aa.example/x", false),
        (&["*.a.example"], "https://b.a.example/x", true),
        (&["*.a.example"], "https://c.b.a.example/x", true),
        (&["*.a.example"], "https://a.example/x", false),
        (&["*.a.example"], "https://evila.example/x", false),
        (&[], "https://a.example/x", false),
    ] {
        assert_eq!(cimd::acceptable(&allow(list), id).is_ok(), holds, "{list:?} {id}");
    }
}

#[test]
fn this_machine_is_called_by_its_name_only() {
    for (host, allow_private, loopback) in
        [("localhost", true, true), ("localhost", false, false), ("a.example", true, false), ("unlisted.example", true, false)]
    {
        let dial = DialPolicy { allow_private, allow_loopback: false };
        let settings = CimdSettings { allow: vec!["localhost".to_owned(), "a.example".to_owned()], any: false, dial };
        let url = format!("https://{host}/x").parse().unwrap();
        assert_eq!(cimd::dial(&settings, &url), DialPolicy { allow_private, allow_loopback: loopback }, "{host}");
    }
}

#[test]
fn addresses_for_codes_are_plain() {
    for (uri, strangers, operators) in [
        ("https://app.example/cb", true, false),
        ("https://app.example/cb?x=1", true, false),
        ("http://127.0.0.1/cb", true, false),
        ("http://127.0.0.1:80/cb", true, false),
        ("http://[::1]/cb", true, false),
        ("http://localhost:3000", true, false),
        ("http://localhost.evil.example/", false, false),
        ("http://127.0.0.1@evil.example/", false, false),
        ("http://app.example/cb", false, false),
        ("https://app.example/cb#f", false, false),
        ("https://app.example/c b", false, false),
        ("https://app.example\\@evil.example/", false, false),
        ("https://a:b@app.example/", false, false),
        ("com.example.app:/cb", false, true),
        ("cursor://callback", false, true),
        ("javascript:alert(1)", false, false),
        ("JavaScript:alert(1)", false, false),
        ("data:text/html,x", false, false),
        ("", false, false),
        ("/cb", false, false),
    ] {
        assert_eq!((is_acceptable(uri), is_custom_scheme(uri)), (strangers, operators), "{uri}");
    }
    assert!(matches("http://localhost/cb", "http://localhost:1/cb") && matches("http://[::1]:9/cb", "http://[::1]/cb"));
    assert!(!matches("http://localhost/cb", "http://127.0.0.1/cb") && !matches("https://a.example/", "https://a.example:8443/"));
    let added = |uri| with_parameters(uri, &[("a", "b c"), ("d", "&")]);
    assert_eq!(added("https://x.example/"), "https://x.example/?a=b+c&d=%26");
    assert_eq!(added("https://x.example/?q=1"), "https://x.example/?q=1&a=b+c&d=%26");
}

#[tokio::test]
async fn what_ended_stays_ended_until_it_would_have_anyway() {
    let (dir, clock) = (TempDir::new().unwrap(), Clock::system());
    let lasting = lasting(&dir, &clock).await;
    lasting.ended.add(&[("one", clock.unix_s() + 60)]).await.unwrap();
    assert!(lasting.ended.holds("one") && !lasting.ended.holds("two"));
    let again = EndedTokens::load(lasting.store.clone(), clock.clone()).await.unwrap();
    assert!(again.holds("one"), "after a restart too");
    clock.advance_ms(600_000);
    assert!(!EndedTokens::load(lasting.store.clone(), clock.clone()).await.unwrap().holds("one"));
}

/// A server as it is configured, where nobody can sign in: nothing answers at the provider's address.
fn server(settings: Settings, lasting: &Lasting, clock: &Clock, fetch: &Fetch) -> AuthServer {
    let idp = IdpSettings {
        issuer: "http://127.0.0.1:1".to_owned(),
        client_id: "gw".to_owned(),
        client_secret: None,
        scopes: vec!["openid".to_owned()],
        groups_claim: None,
        required_claims: Default::default(),
        algorithms: crate::identity::DEFAULT_ALGORITHMS.to_vec(),
        allow_private_addresses: false,
    };
    let (site, store) = (Site::new(&settings.issuer), lasting.store.clone());
    let revocations = Arc::new(Revocations::new(Vec::new()));
    let sign_in = SignIn::new(idp, site, store, clock.clone(), fetch.clone(), revocations, lasting.sign_ins.clone()).unwrap();
    AuthServer::new(settings, lasting.clone(), Arc::new(sign_in), clock.clone(), fetch.clone()).unwrap()
}

fn page_request(method: http::Method, path: &str, query: Option<&str>, body: &str) -> PageRequest {
    let form = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = [(http::header::CONTENT_TYPE, form)].into_iter().collect();
    let (query, body) = (query.map(str::to_owned), body.to_owned().into());
    PageRequest { method, path: path.to_owned(), query, headers, body, peer: None }
}
