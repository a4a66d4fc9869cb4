//! People and clients that leave: the reload that revokes them ends what they hold.

use std::time::Duration;

use serde_json::{Value, json};

use super::clients::{assertion, by_assertion};
use super::{Realm, location, query};
use crate::gate::ISSUER_LINE;
use crate::keys::ED;
use crate::wire::{Resp, SOON};

fn error(answer: &Resp) -> (u16, Option<String>) {
    (answer.status, answer.json()["error"].as_str().map(str::to_owned))
}

async fn realm() -> Realm {
    Realm::with("", |files| {
        assert!(files.config.contains(ISSUER_LINE), "the config of the gate changed");
        files.config = files.config.replace(ISSUER_LINE, &format!("  revocations: revoked.yaml\n{ISSUER_LINE}"));
        files.more = vec![("revoked.yaml".into(), "[]".into())];
    })
    .await
}

/// Reloads with `revoked`, and waits until `token` is refused for it.
async fn revoke(realm: &Realm, revoked: &str, token: &str) {
    realm.gate.reload("revoked.yaml", revoked);
    let refused = async {
        while realm.call(token).await != 401 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, refused).await.unwrap();
}

#[tokio::test]
async fn a_revoked_person_gets_nothing_from_what_was_granted_before() {
    let realm = realm().await;
    let (alices, bobs) = (realm.browser(), realm.browser());
    let (access, refresh) = realm.tokens(&alices, "alice").await;
    let (_, bobs_refresh) = realm.tokens(&bobs, "bob").await;
    let answer = realm.code(&alices, &realm.authorize(&[("prompt", "consent")]), "alice").await;
    let code = query(&answer, "code").unwrap();
    let page = alices.get(&realm.authorize(&[("prompt", "consent")])).await;
    assert_eq!(realm.call(&access).await, 200);

    let iss = realm.idp.issuer();
    let long_ago = format!("- {{ iss: \"{iss}\", sub: bob, before: 2020-01-01T00:00:00Z }}\n");
    revoke(&realm, &format!("- {{ iss: \"{iss}\", sub: alice }}\n{long_ago}"), &access).await;
    let invalid = (400, Some("invalid_grant".to_owned()));
    assert_eq!(error(&realm.refresh(&refresh).await), invalid);
    assert_eq!(error(&realm.redeem(&code, &[]).await), invalid);
    // The session is gone: a consent under way leads to the provider, and from there nowhere.
    let silent = location(&alices.get(&realm.authorize(&[("prompt", "none")])).await);
    assert_eq!(query(&silent, "error").as_deref(), Some("login_required"), "{silent}");
    let to_idp = location(&alices.decide(&page, "allow").await);
    let back = alices.get(&realm.idp.sign_in(&to_idp, "alice")).await;
    assert_eq!(back.status, 403, "{}", back.whole());
    // Who signed in since then is not meant.
    let renewed = realm.refresh(&bobs_refresh).await;
    assert_eq!(renewed.status, 200, "{}", renewed.whole());
    let bobs_access = renewed.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(realm.call(&bobs_access).await, 200);

    // As a subject of our own issuer, and from a time on.
    let own = realm.origin();
    revoke(&realm, &format!("- {{ iss: \"{own}\", sub: bob, before: 2999-01-01T00:00:00Z }}\n"), &bobs_access).await;
    assert_eq!(error(&realm.refresh(renewed.json()["refresh_token"].as_str().unwrap()).await), invalid);
    // What ended does not come back with the person.
    assert_eq!(error(&realm.refresh(&refresh).await), invalid);
    let again = realm.tokens(&realm.browser(), "alice").await;
    assert_eq!(realm.call(&again.0).await, 200);
    assert_eq!(realm.call(&access).await, 401);
}

#[tokio::test]
async fn a_revoked_client_gets_nothing_for_anybody() {
    let realm = realm().await;
    let (access, refresh) = realm.tokens(&realm.browser(), "alice").await;
    let resource = realm.gate.url("/mcp");
    let grant = [("grant_type", "client_credentials"), ("resource", resource.as_str())];
    let before = by_assertion(&realm, &assertion(&realm, &ED, "before", &json!({})), &grant).await;
    assert_eq!(before.status, 200, "{}", before.whole());
    revoke(&realm, "- { client_id: web }\n- { client_id: keyed }\n", &access).await;
    assert_eq!(error(&realm.refresh(&refresh).await), (400, Some("invalid_grant".to_owned())));
    let after = by_assertion(&realm, &assertion(&realm, &ED, "after", &json!({})), &grant).await;
    assert_eq!(error(&after).1.as_deref(), Some("unauthorized_client"), "{}", after.whole());
    assert_eq!(after.json()["access_token"], Value::Null);
}
