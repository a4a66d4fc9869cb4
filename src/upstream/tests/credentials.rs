//! What upstreams are shown: certificates, and tokens of people.

use std::collections::HashMap;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::*;
use crate::vocab::FaultKind;

/// Whose, the status, the scopes that would help, and whether in a session.
pub(super) type Rejection = (String, u16, Option<String>, bool);

/// People with an account each; a token that ends in `-old` is refused once.
#[derive(Default)]
pub(super) struct People {
    accounts: Mutex<HashMap<String, (u64, String)>>,
    pub(super) rejected: Mutex<Vec<Rejection>>,
}

impl People {
    pub(super) fn link(&self, sub: &str, account: u64, token: &str) {
        self.accounts.lock().insert(sub.to_owned(), (account, token.to_owned()));
    }
}

impl PersonTokens for People {
    fn token<'a>(&'a self, who: &'a PrincipalKey, upstream: &'a Place) -> BoxFuture<'a, Result<PersonToken, Fault>> {
        assert_eq!(&*upstream.name, "u");
        let found = self.accounts.lock().get(&*who.sub).cloned();
        let token = found.map(|(account, token)| PersonToken { secret: token.into(), account });
        std::future::ready(token.ok_or_else(|| Fault::internal(FaultKind::Unlinked, "not linked"))).boxed()
    }

    fn rejected<'a>(
        &'a self,
        who: &'a PrincipalKey,
        _: &'a Place,
        shown: &'a PersonToken,
        refused: &'a Refused,
    ) -> BoxFuture<'a, bool> {
        let scope = refused.missing_scopes().map(|scopes| scopes.join(" "));
        self.rejected.lock().push((who.sub.to_string(), refused.status.as_u16(), scope, refused.in_session));
        let renewed = {
            let mut accounts = self.accounts.lock();
            let (account, token) = accounts.get_mut(&*who.sub).unwrap();
            assert_eq!(*account, shown.account);
            let old = token.ends_with("-old");
            *token = token.trim_end_matches("-old").to_owned();
            old
        };
        std::future::ready(renewed).boxed()
    }
}

fn refuse(status: &str, challenge: &str) -> Option<Vec<u8>> {
    respond(status, &format!("www-authenticate: {challenge}\r\n"), "secret")
}

fn of_people(peer: &Peer) -> (Arc<People>, UpstreamSettings) {
    let people = Arc::<People>::default();
    let mut settings = over(peer);
    settings.credential = Credential::PerUser(people.clone());
    (people, settings)
}

#[tokio::test]
async fn people_are_shown_as_themselves_and_a_refusal_is_tried_once_more() {
    let peer = peer(|asked| match (asked.method(), asked.header("authorization")) {
        ("server/discover", _) => json(&result(asked, DISCOVERED)),
        (_, Some(token)) if token.ends_with("-old") => refuse("401 Unauthorized", "Bearer"),
        (_, Some("Bearer never")) => refuse("403 Forbidden", "Bearer error=insufficient_scope, scope=\"x y\""),
        (_, token) => json(&result(asked, &format!(r#""as":"{}""#, token.unwrap_or("nobody")))),
    })
    .await;
    let (people, settings) = of_people(&peer);
    let (_registry, upstream, _) = registry(settings);
    for (n, (sub, token)) in [("a", "ta"), ("b", "tb-old"), ("c", "never")].into_iter().enumerate() {
        people.link(sub, n as u64, token);
    }
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""as":"Bearer ta""#);
    assert_eq!(call(&upstream, "b", "t").await.unwrap(), r#""as":"Bearer tb""#);
    assert_eq!(call(&upstream, "c", "t").await.unwrap_err().kind, FaultKind::Unauthorized);
    let before = peer.seen.lock().len();
    assert_eq!(call(&upstream, "d", "t").await.unwrap_err().kind, FaultKind::Unlinked);
    assert_eq!(peer.seen.lock().len(), before, "who has nothing to show is not sent");
    let rejected = people.rejected.lock().clone();
    assert_eq!(rejected, [("b".to_owned(), 401, None, false), ("c".to_owned(), 403, Some("x y".to_owned()), false)]);
    assert!(upstream.is_up());
}

#[tokio::test]
async fn a_session_is_not_used_for_another_account() {
    let minted = std::sync::atomic::AtomicU32::new(0);
    let peer = peer(move |asked| match asked.method() {
        "server/discover" => respond("404 Not Found", "", ""),
        "initialize" => {
            let n = minted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let headers = format!("content-type: application/json\r\nmcp-session-id: s{n}\r\n");
            let body = result(asked, r#""protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{}"#);
            respond("200 OK", &headers, &body)
        }
        method if method.starts_with("notifications/") => respond("202 Accepted", "", ""),
        _ => {
            let by = format!("{}/{}", asked.header("mcp-session-id").unwrap(), asked.header("authorization").unwrap());
            json(&result(asked, &format!(r#""by":"{by}""#)))
        }
    })
    .await;
    let (people, settings) = of_people(&peer);
    let (_registry, upstream, _) = registry(settings);
    for (account, token, want) in
        [(1, "t1", "s0/Bearer t1"), (1, "t2", "s0/Bearer t2"), (2, "t3", "s1/Bearer t3"), (1, "t4", "s0/Bearer t4")]
    {
        people.link("a", account, token);
        assert_eq!(call(&upstream, "a", "t").await.unwrap(), format!(r#""by":"{want}""#));
    }
}

/// As servers that were started anew and do not know the session any more.
#[tokio::test]
async fn a_refusal_in_a_session_is_no_word_on_the_account() {
    let opened = std::sync::atomic::AtomicU32::new(0);
    let peer = peer(move |asked| match (asked.method(), asked.header("mcp-session-id")) {
        ("server/discover", _) => respond("404 Not Found", "", ""),
        ("initialize", _) if asked.header("authorization").unwrap().ends_with("-old") => refuse("401 Unauthorized", "Bearer"),
        ("initialize", _) => {
            let n = opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let headers = format!("content-type: application/json\r\nmcp-session-id: s{n}\r\n");
            let body = result(asked, r#""protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{}"#);
            respond("200 OK", &headers, &body)
        }
        (method, _) if method.starts_with("notifications/") => respond("202 Accepted", "", ""),
        (_, Some("s0")) => respond("401 Unauthorized", "", "Unauthorized: Session not found"),
        (_, Some("s1")) if asked.header("authorization").unwrap().ends_with("-old") => refuse("401 Unauthorized", "Bearer"),
        (_, session) => json(&result(asked, &format!(r#""in":"{}""#, session.unwrap()))),
    })
    .await;
    let (people, settings) = of_people(&peer);
    let (_registry, upstream, _) = registry(settings);
    people.link("a", 1, "ta");
    assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, FaultKind::Unauthorized);
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""in":"s1""#);
    assert_eq!(peer.seen.lock().iter().filter(|asked| asked.method() == "tools/call").count(), 2, "nothing is sent again");
    // What ended is renewed, and the session stays.
    people.link("a", 1, "ta-old");
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""in":"s1""#);
    // Outside of a session it is the credential.
    people.link("a", 2, "tb-old");
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""in":"s2""#);
    assert_eq!(people.rejected.lock().clone(), [true, true, false].map(|in_session| ("a".to_owned(), 401, None, in_session)));
}

#[tokio::test]
async fn what_belongs_to_one_person_is_not_shared() {
    let peer = peer(|_| None).await;
    let (_, mut settings) = of_people(&peer);
    settings.shared = true;
    let registry = Registry::new(tls::client_config(None).unwrap(), Arc::new(|_, _, _| {}));
    assert!(registry.apply(&[settings]).unwrap_err().to_string().contains("one person"));
}

#[tokio::test]
async fn a_certificate_is_shown_to_the_upstream_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (server, own, other) = (made("localhost"), made("gateway"), made("other"));
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, server.cert.pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), tls::provider()).build().unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(server.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://localhost:{}/mcp", listener.local_addr().unwrap().port())).unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            let mut seen = vec![0; 8192];
            while let Ok(n @ 1..) = stream.read(&mut seen).await {
                let text = String::from_utf8_lossy(&seen[..n]).into_owned();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let asked = Asked { head: head.to_owned(), body: body.to_owned(), connection: 0 };
                let answer =
                    if asked.method() == "server/discover" { result(&asked, DISCOVERED) } else { result(&asked, r#""ok":true"#) };
                let _ = stream.write_all(&json(&answer).unwrap()).await;
            }
        }
    });
    let base = tls::client_config(Some(&ca)).unwrap();
    let settings = |pair: Option<(&rcgen::CertifiedKey<rcgen::KeyPair>, &rcgen::KeyPair)>| {
        let mut settings = settings(Transport::Http { url: url.clone(), dialect: None });
        if let Some((made, key)) = pair {
            settings.credential = Credential::Mtls { chain: made.cert.pem().into_bytes(), key: key.serialize_pem().into() };
        }
        settings
    };
    let registry = Registry::new(base, Arc::new(|_, _, _| {}));
    registry.apply(&[settings(Some((&own, &own.signing_key)))]).unwrap();
    let with_own = registry.get("u").unwrap();
    assert_eq!(call(&with_own, "a", "t").await.unwrap(), r#""ok":true"#);
    for settings in [settings(None), settings(Some((&other, &other.signing_key)))] {
        registry.apply(&[settings]).unwrap();
        let upstream = registry.get("u").unwrap();
        assert!(!Arc::ptr_eq(&upstream, &with_own));
        assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, FaultKind::Unreachable);
    }
    let odd = registry.apply(&[settings(Some((&own, &other.signing_key)))]).unwrap_err();
    assert!(odd.to_string().contains("no pair"), "{odd}");
    let (a, b) = (settings(Some((&own, &own.signing_key))), settings(Some((&other, &other.signing_key))));
    assert!(a.same_as(&a) && !a.same_as(&b) && !a.same_as(&settings(None)));
    assert!(!format!("{a:?}").contains("PRIVATE"));
}
