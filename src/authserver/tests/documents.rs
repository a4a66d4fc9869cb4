//! Documents that cannot be had, and who may cause them to be fetched.

use super::*;

use std::net::IpAddr;

use http::{Method, header};
use url::form_urlencoded::byte_serialize;

use crate::authserver::error::Code;
use crate::web::Verdict;

const AWAY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const GONE: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

async fn clients(dir: &TempDir, clock: &Clock, host: &Host) -> Clients {
    let cimd = CimdSettings { allow: vec!["localhost".to_owned()], any: false, dial: LOOPBACK };
    Clients::new(&settings(cimd), &lasting(dir, clock).await, clock, &host.fetch).unwrap()
}

async fn code(clients: &Clients, id: &str, peer: Option<IpAddr>) -> Option<Code> {
    clients.find(id, peer).await.err().map(|refused| refused.code)
}

#[tokio::test]
async fn a_host_that_is_away_takes_no_client_with_it() {
    let (dir, clock, host) = (TempDir::new().unwrap(), Clock::system(), Host::start().await);
    let clients = clients(&dir, &clock, &host).await;
    let id = host.id();
    let asked = || host.asked.load(Ordering::SeqCst);
    *host.answer.lock() = AWAY.to_owned();
    assert_eq!(code(&clients, &id, None).await, Some(Code::ServerError), "not that the client is none");
    host.says("application/json", "", &document(&id, json!({})));
    assert_eq!((code(&clients, &id, None).await, asked()), (Some(Code::ServerError), 1), "not tried again at once");
    clock.advance_ms(11_000);
    let client = clients.find(&id, None).await.unwrap();
    *host.answer.lock() = AWAY.to_owned();
    clock.advance_ms(3_700_000);
    let stale = clients.find(&id, None).await.unwrap();
    assert!(Arc::ptr_eq(&stale, &client), "the document of before");
    assert_eq!(asked(), 3);
    clients.find(&id, None).await.unwrap();
    assert_eq!(asked(), 3, "nor is it asked for with every request");
    clock.advance_ms(24 * 3_600_000);
    assert_eq!(code(&clients, &id, None).await, Some(Code::ServerError), "not for ever");
    host.says("application/json", "", &document(&id, json!({})));
    clock.advance_ms(11_000);
    clients.find(&id, None).await.unwrap();
    *host.answer.lock() = GONE.to_owned();
    clock.advance_ms(3_700_000);
    assert_eq!(code(&clients, &id, None).await, Some(Code::InvalidClient), "whoever says that it is gone is believed");
    *host.answer.lock() = AWAY.to_owned();
    clock.advance_ms(11_000);
    assert_eq!(code(&clients, &id, None).await, Some(Code::ServerError), "and what was kept is gone");
}

#[tokio::test]
async fn one_address_cannot_use_up_the_fetches_of_all() {
    let (dir, clock, host) = (TempDir::new().unwrap(), Clock::system(), Host::start().await);
    let clients = clients(&dir, &clock, &host).await;
    let known = host.id();
    host.says("application/json", "", &document(&known, json!({})));
    let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    clients.find(&known, Some(other)).await.unwrap();
    let mut tried = 0;
    while code(&clients, &format!("{known}?{tried}"), Some(one)).await != Some(Code::SlowDown) {
        tried += 1;
        assert!(tried < 100, "without end");
    }
    assert_eq!(code(&clients, &format!("{known}?other"), Some(other)).await, Some(Code::InvalidClient), "looked up for others");
    clock.advance_ms(3_700_000);
    clients.find(&known, Some(one)).await.expect("the document of before, while there are too many");
}

#[tokio::test]
async fn an_assertion_that_does_not_hold_takes_no_document_away() {
    let (dir, clock, host) = (TempDir::new().unwrap(), Clock::system(), Host::start().await);
    let clients = clients(&dir, &clock, &host).await;
    let id = host.id();
    let asked = || host.asked.load(Ordering::SeqCst);
    host.says("application/json", "", &document(&id, json!({})));
    let public = clients.find(&id, None).await.unwrap();
    clock.advance_ms(31_000);
    assert!(clients.anew(&public, None).await.unwrap().is_none(), "it has no keys that could have changed");
    assert_eq!(asked(), 1);
    clock.advance_ms(3_700_000);
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
    let keyed = document(&id, json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}));
    host.says("application/json", "", &keyed);
    let client = clients.find(&id, None).await.unwrap();
    assert!(std::matches!(client.auth, Auth::Keys(_)));
    assert!(clients.anew(&client, None).await.unwrap().is_none(), "it was fetched just now");
    assert_eq!(asked(), 2);
    clock.advance_ms(31_000);
    let fresh = clients.anew(&client, None).await.unwrap().unwrap();
    assert!(!Arc::ptr_eq(&fresh, &client) && asked() == 3);
    assert!(clients.anew(&client, None).await.unwrap().is_none(), "once in a while");
    for answer in [AWAY, GONE] {
        clock.advance_ms(31_000);
        *host.answer.lock() = answer.to_owned();
        assert!(clients.anew(&client, None).await.is_err());
        let kept = clients.find(&id, None).await.unwrap();
        assert!(Arc::ptr_eq(&kept, &fresh), "the one that was fetched stays");
    }
}

/// What answers at none of the endpoints is told as what it is: that another try may succeed.
#[tokio::test]
async fn what_may_succeed_later_is_told_so() {
    let (dir, clock, host) = (TempDir::new().unwrap(), Clock::system(), Host::start().await);
    let cimd = CimdSettings { allow: vec!["localhost".to_owned()], any: false, dial: LOOPBACK };
    let url = format!("https://localhost:{}/jwks.json", host.port).parse().unwrap();
    let keys = crate::authserver::KeySource::Url { url, allow_private_addresses: false };
    let client = crate::authserver::ClientSettings {
        client_id: "keyed".to_owned(),
        name: "Keyed".to_owned(),
        redirect_uris: Vec::new(),
        secret: Some(crate::authserver::ClientSecret::Keys(keys)),
        grants: Grants { client_credentials: true, ..Grants::default() },
    };
    let server = server(Settings { clients: vec![client], ..settings(cimd) }, &lasting(&dir, &clock).await, &clock, &host.fetch);
    *host.answer.lock() = AWAY.to_owned();
    let part = |value: &Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
    };
    let claims = json!({"iss": "keyed", "sub": "keyed", "aud": "https://gw.example", "exp": clock.unix_s() + 60, "jti": "1"});
    let assertion = format!("{}.{}.AAAA", part(&json!({"alg": "EdDSA"})), part(&claims));
    let kind: String = byte_serialize(b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer").collect();
    let id: String = byte_serialize(host.id().as_bytes()).collect();
    for (what, request) in [
        ("a page", page_request(Method::GET, "/oauth/authorize", Some(&format!("client_id={id}")), "")),
        ("a token", page_request(Method::POST, "/oauth/token", None, &format!("grant_type=refresh_token&client_id={id}"))),
        ("a revocation", page_request(Method::POST, "/oauth/revoke", None, &format!("token=x&client_id={id}"))),
        (
            "keys",
            page_request(
                Method::POST,
                "/oauth/token",
                None,
                &format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}"),
            ),
        ),
    ] {
        let answer = server.handle(&request).await;
        assert_eq!(answer.status, http::StatusCode::SERVICE_UNAVAILABLE, "{what}: {:?}", answer.note);
        assert!(answer.headers.contains_key(header::RETRY_AFTER), "{what}");
        assert!(std::matches!(answer.note.verdict, Verdict::Failed(_)), "{what}");
    }
    *host.answer.lock() = GONE.to_owned();
    clock.advance_ms(11_000);
    let page = page_request(Method::GET, "/oauth/authorize", Some(&format!("client_id={id}")), "");
    assert_eq!(server.handle(&page).await.status, http::StatusCode::BAD_REQUEST, "what will not, is told so, too");
}
