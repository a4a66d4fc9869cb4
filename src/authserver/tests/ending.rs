//! Tokens that have to end while the store fails.

use super::*;

use http::{Method, StatusCode};

use crate::authserver::ClientSettings;
use crate::store::Space;
use crate::web::{digest, digest_text};

#[tokio::test]
async fn what_is_revoked_while_the_store_fails_is_never_said_to_be_done() {
    let (dir, clock, host) = (TempDir::new().unwrap(), Clock::system(), Host::start().await);
    let lasting = lasting(&dir, &clock).await;
    let web = ClientSettings {
        client_id: "web".to_owned(),
        name: "Web".to_owned(),
        redirect_uris: vec!["https://web.example/cb".to_owned()],
        secret: None,
        grants: Grants { authorization_code: true, refresh_token: true, ..Grants::default() },
    };
    let cimd = CimdSettings { allow: Vec::new(), any: false, dial: DialPolicy::default() };
    let server = server(Settings { clients: vec![web], ..settings(cimd) }, &lasting, &clock, &host.fetch);
    let ends_s = clock.unix_s() + 600;
    // No key of the store may be so long: this one cannot be put down.
    let long = "x".repeat(2_000);
    let found = async |name: &str, token: &str, access: &[&str]| {
        let access: Vec<Value> = access.iter().map(|jti| json!({"jti": jti, "ends_s": ends_s})).collect();
        let family = json!({
            "client_id": "web", "resource": "https://gw.example/mcp", "scopes": [], "current": digest_text(token), "ends_s": ends_s,
            "person": {"iss": "http://127.0.0.1:1", "sub": "alice", "name": null, "claims": {}, "signed_in_s": clock.unix_s()},
            "access": access,
        });
        let family = family.to_string().into_bytes();
        lasting.store.put(Space::RefreshFamily, name.as_bytes(), &family, Some(ends_s)).await.unwrap();
        lasting.store.put(Space::RefreshToken, &digest(token), name.as_bytes(), Some(ends_s)).await.unwrap();
    };
    let post = async |path: &str, body: &str| server.handle(&page_request(Method::POST, path, None, body)).await.status;
    found("good", "token-a", &["a1", "a2"]).await;
    assert_eq!(post("/oauth/revoke", "client_id=web&token=token-a").await, StatusCode::OK);
    assert!(lasting.ended.holds("a1") && lasting.ended.holds("a2"));
    assert_eq!(lasting.store.get(Space::RefreshFamily, b"good").await.unwrap(), None);

    found("bad", "token-b", &[&long, "b2"]).await;
    for n in 0..2 {
        assert_eq!(post("/oauth/revoke", "client_id=web&token=token-b").await, StatusCode::SERVICE_UNAVAILABLE, "{n}");
        assert!(lasting.ended.holds(&long) && lasting.ended.holds("b2"), "each of them, here and now");
    }
    let again = EndedTokens::load(lasting.store.clone(), clock.clone()).await.unwrap();
    assert!(again.holds("b2"), "and what could be put down, after a restart");
    let refreshed = post("/oauth/token", "grant_type=refresh_token&client_id=web&refresh_token=token-b").await;
    assert_eq!(refreshed, StatusCode::SERVICE_UNAVAILABLE, "nor does it bring tokens meanwhile");
    let left = lasting.store.get(Space::RefreshFamily, b"bad").await.unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&left).unwrap()["current"], "");
}
