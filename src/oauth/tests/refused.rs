//! Server-side request forgery: whatever a resource or server names, nothing but public addresses is dialled for it.

use super::*;
use crate::net::dial::names::teach;

/// Addresses nobody consented to, as learnt from outside. `PORT` is of a listener that must stay lonely.
const PLACES: [&str; 15] = [
    "https://169.254.169.254",
    "https://169.254.169.254:PORT",
    "http://127.0.0.1:PORT",
    "https://127.0.0.1:PORT",
    "https://[::1]:PORT",
    "https://[::ffff:10.0.0.1]:PORT",
    "https://[::ffff:127.0.0.1]:PORT",
    "https://2130706433:PORT",
    "https://0x7f000001:PORT",
    "https://0177.0.0.1:PORT",
    "https://127.1:PORT",
    "https://0:PORT",
    "https://localhost:PORT",
    "https://inside.test:PORT",
    "https://rebinds.test:PORT",
];

async fn lonely() -> (TcpListener, Vec<String>) {
    teach("inside.test", &["127.0.0.1"]);
    teach("rebinds.test", &["1.1.1.1 127.0.0.1", "127.0.0.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, PLACES.map(|place| place.replace("PORT", &port)).to_vec())
}

async fn assert_lonely(listener: &TcpListener) {
    let seen = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(seen.is_err(), "somebody connected");
}

fn assert_refused<T: std::fmt::Debug>(got: Result<T, OAuthError>, place: &str) {
    let error = got.unwrap_err();
    assert_eq!(error.kind, OAuthErrorKind::Refused, "{place}: {error}");
}

#[tokio::test]
async fn metadata_of_resources_and_servers_is_fetched_from_public_addresses_only() {
    let (listener, places) = lonely().await;
    let site = Site::start(|_, _| (404, String::new())).await;
    for place in &places {
        let mut headers = http::HeaderMap::new();
        let challenge = format!("Bearer resource_metadata=\"{place}/x\"");
        headers.insert(http::header::WWW_AUTHENTICATE, challenge.parse().unwrap());
        let challenge = Challenge::bearer(&headers).unwrap();
        assert_refused(client().discover_protected(&site.url("/mcp"), Some(&challenge), &site.consent()).await, place);
        assert_refused(client().discover_server(place, &site.consent()).await, place);
        assert_refused(client().discover_server(&format!("{place}/t"), &site.consent()).await, place);
    }
    assert_eq!(site.lines().len(), 0);
    assert_lonely(&listener).await;
}

#[tokio::test]
async fn endpoints_learnt_from_metadata_are_posted_to_at_public_addresses_only() {
    let (listener, places) = lonely().await;
    for place in &places {
        let url = Url::parse(&format!("{place}/x")).unwrap();
        let mut server = metadata("https://as.example");
        server.token_endpoint = url.clone();
        (server.registration_endpoint, server.revocation_endpoint) = (Some(url.clone()), Some(url.clone()));
        server.introspection_endpoint = Some(url);
        let own = registration(&server.issuer, ClientAuth::Secret(secret("s")));
        let consent = Consent::none().and_written(&Url::parse("https://as.example").unwrap(), true);
        let at = At { server: &server, registration: &own, consent: &consent };
        assert_refused(client().client_credentials(at, &[], "https://up.example").await, place);
        assert_refused(client().refresh(at, &secret("r"), &[], "https://up.example").await, place);
        assert_refused(client().jwt_bearer(at, &secret("j"), &[], "https://up.example").await, place);
        assert_refused(client().revoke(at, &secret("r"), "refresh_token").await, place);
        assert_refused(client().introspect(at, &secret("r")).await, place);
        let own = OwnClient { public_url: "https://gw.example".to_owned(), key: None };
        assert_refused(client().register(&server, &own, &consent).await, place);
    }
    assert_lonely(&listener).await;
}

#[tokio::test]
async fn redirects_lead_nowhere() {
    let (listener, _) = lonely().await;
    let trap = format!("http://{}/x", listener.local_addr().unwrap());
    let site = Site::start(move |_, _| (307, trap.clone())).await;
    let (server, own, consent) =
        (metadata(&site.origin), registration(&site.origin, ClientAuth::Secret(secret("s"))), site.consent());
    let at = At { server: &server, registration: &own, consent: &consent };
    for got in [
        client().client_credentials(at, &[], "https://up.example").await.map(|_| ()),
        client().revoke(At { server: &revoking(&server), ..at }, &secret("r"), "refresh_token").await,
        client().discover_server(&site.origin, &consent).await.map(|_| ()),
        client().discover_protected(&site.url("/mcp"), None, &consent).await.map(|_| ()),
    ] {
        assert_eq!(got.unwrap_err().kind, OAuthErrorKind::Unreachable);
    }
    assert_lonely(&listener).await;
}

fn revoking(server: &ServerMetadata) -> ServerMetadata {
    ServerMetadata { revocation_endpoint: Some(server.token_endpoint.clone()), ..server.clone() }
}

#[test]
fn what_a_private_server_names_is_private_and_on_this_machine_only_if_it_is() {
    let learnt = |allow_loopback| Consent::none().and_learnt(DialPolicy { allow_private: true, allow_loopback });
    let policy = |consent: &Consent, url: &str| consent.policy(&Url::parse(url).unwrap());
    let (inside, here) = (learnt(false), learnt(true));
    let private = DialPolicy { allow_private: true, allow_loopback: false };
    for url in ["https://as.corp.example/token", "https://127.0.0.1:9000/", "https://localhost:9000/"] {
        assert_eq!(policy(&inside, url).unwrap(), private, "{url}");
    }
    for url in ["http://127.0.0.1:9000/", "http://localhost:9000/", "http://[::1]:9000/", "http://as.corp.example/"] {
        policy(&inside, url).unwrap_err();
    }
    assert_eq!(policy(&here, "http://127.0.0.1:9000/").unwrap(), DialPolicy { allow_private: true, allow_loopback: true });
    policy(&here, "http://as.corp.example/").unwrap_err();
    let public = Consent::none().and_learnt(DialPolicy { allow_private: false, allow_loopback: true });
    policy(&public, "http://127.0.0.1:9000/").unwrap_err();
    assert_eq!(policy(&public, "https://127.0.0.1:9000/").unwrap(), DialPolicy::default());
}

#[tokio::test]
async fn a_private_upstream_leads_to_nothing_on_this_machine() {
    let (listener, places) = lonely().await;
    let consent = Consent::none().and_learnt(DialPolicy { allow_private: true, allow_loopback: false });
    for place in places.iter().filter(|place| !place.contains("10.0.0.1")) {
        assert_refused(client().discover_server(place, &consent).await, place);
    }
    assert_lonely(&listener).await;
}

#[test]
fn consent_is_for_the_very_origin_that_was_written() {
    let written = |url: &str, private| Consent::none().and_written(&Url::parse(url).unwrap(), private);
    let policy = |consent: &Consent, url: &str| consent.policy(&Url::parse(url).unwrap());
    let local = written("http://127.0.0.1:9000/as", false);
    assert_eq!(policy(&local, "http://127.0.0.1:9000/token").unwrap(), LOOPBACK);
    for url in ["http://127.0.0.1:9001/", "http://localhost:9000/", "http://127.0.0.2:9000/", "http://a.example/"] {
        policy(&local, url).unwrap_err();
    }
    assert_eq!(policy(&local, "https://127.0.0.1:9000/").unwrap(), DialPolicy::default());
    let inside = written("https://idp.corp.example", true);
    assert_eq!(policy(&inside, "https://idp.corp.example/t").unwrap(), DialPolicy { allow_private: true, allow_loopback: false });
    assert_eq!(policy(&inside, "https://idp.corp.example:8443/t").unwrap(), DialPolicy::default());
    assert_eq!(policy(&inside, "https://other.corp.example/t").unwrap(), DialPolicy::default());
}
