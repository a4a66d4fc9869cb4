//! What somebody consented to before, and who signs in again all the same.

use super::*;

#[tokio::test]
async fn a_consent_is_asked_for_once_where_that_is_safe() {
    let realm = Realm::start().await;
    let browser = realm.browser();
    realm.tokens(&browser, "alice").await;
    let again = browser.get(&realm.authorize(&[])).await;
    assert_eq!(again.status, 303, "signed in and consented: {}", again.whole());
    assert!(location(&again).starts_with(&format!("{CALLBACK}?code=")));
    for (changes, why) in [
        (vec![("scope", "mcp:read mcp:admin")], "a scope more"),
        (vec![("resource", realm.gate.url("/bare").leak() as &str)], "another resource"),
        (vec![("client_id", "other"), ("redirect_uri", "https://other.example/cb")], "another client"),
        (vec![("redirect_uri", "http://127.0.0.1:7777/native")], "any program could be the client"),
        (vec![("prompt", "consent")], "asked for"),
        (vec![("prompt", "login")], "asked for"),
    ] {
        let page = browser.get(&realm.authorize(&changes)).await;
        assert_eq!(page.status, 200, "{why}: {}", page.whole());
    }
    let page = browser.get(&realm.authorize(&[("redirect_uri", "http://127.0.0.1:7777/native")])).await;
    assert!(page.text().contains("class=\"warn\"") && page.text().contains("<strong>127.0.0.1</strong>"), "{}", page.text());
    // What is remembered is the person's, not the browser's.
    let stranger = realm.browser();
    assert_eq!(stranger.get(&realm.authorize(&[])).await.status, 200);
    let silent = stranger.get(&realm.authorize(&[("prompt", "none")])).await;
    assert_eq!(query(&location(&silent), "error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn what_was_allowed_for_one_route_stays_allowed_when_another_is() {
    let realm = Realm::start().await;
    let browser = realm.browser();
    realm.tokens(&browser, "alice").await;
    let bare = realm.gate.url("/bare");
    let (here, there) = ([("prompt", "")], [("resource", bare.as_str())]);
    realm.code(&browser, &realm.authorize(&there), "alice").await;
    for changes in [&here[..], &there[..], &here[..]] {
        let again = browser.get(&realm.authorize(changes)).await;
        assert_eq!(again.status, 303, "{changes:?}: {}", again.whole());
    }
    // Scopes add up.
    realm.code(&browser, &realm.authorize(&[("scope", "mcp:admin")]), "alice").await;
    for scope in ["mcp:read", "mcp:admin", "mcp:read mcp:admin"] {
        let again = browser.get(&realm.authorize(&[("scope", scope)])).await;
        assert_eq!(again.status, 303, "{scope}: {}", again.whole());
    }
    let elsewhere = browser.get(&realm.authorize(&[("resource", &bare), ("scope", "mcp:admin")])).await;
    assert_eq!(elsewhere.status, 200, "for the route that it was allowed for: {}", elsewhere.whole());
}

#[tokio::test]
async fn whoever_is_to_sign_in_again_does_so_at_the_provider() {
    let realm = Realm::start().await;
    let old = crate::keys::now_s() - 3_600;
    for (prompt, auth_time, status) in [
        ("login", json!(crate::keys::now_s()), 303),
        ("login", json!(old), 502),
        ("login", json!("now"), 502),
        ("select_account", json!(old), 303),
        ("select_account login", json!(old), 502),
    ] {
        *realm.idp.claims.lock() = json!({"auth_time": auth_time});
        let browser = realm.browser();
        let page = browser.get(&realm.authorize(&[("prompt", prompt)])).await;
        let to_idp = location(&browser.decide(&page, "allow").await);
        let mut asked: Vec<String> = query(&to_idp, "prompt").unwrap().split(' ').map(str::to_owned).collect();
        let mut wanted: Vec<String> = prompt.split(' ').map(str::to_owned).collect();
        asked.sort();
        wanted.sort();
        assert_eq!(asked, wanted);
        let got = browser.get(&realm.idp.sign_in(&to_idp, "alice")).await;
        assert_eq!(got.status, status, "{prompt} {auth_time}: {}", got.whole());
    }
    *realm.idp.claims.lock() = json!({"auth_time": old});
    let stranger = realm.browser();
    let page = stranger.get(&realm.authorize(&[])).await;
    let to_idp = location(&stranger.decide(&page, "allow").await);
    assert_eq!(query(&to_idp, "prompt"), None);
    assert_eq!(stranger.get(&realm.idp.sign_in(&to_idp, "alice")).await.status, 303, "nobody asked for it");
}
