//! Confused deputies, stolen codes, foreign forms.

use super::{CALLBACK, Realm, field, location, query};
use crate::wire::Req;

/// One browser is led to what another one began.
#[tokio::test]
async fn nothing_of_one_browser_works_in_another() {
    let realm = Realm::start().await;
    let (attacker, victim) = (realm.browser(), realm.browser());
    realm.tokens(&victim, "victim").await;
    // The attacker's form, sent by the victim's browser.
    let page = attacker.get(&realm.authorize(&[])).await;
    let sent = victim.decide(&page, "allow").await;
    assert_eq!(sent.status, 400, "{}", sent.whole());
    // The attacker says yes, and the victim signs in with the attacker's state.
    let to_idp = attacker.decide(&page, "allow").await;
    let callback = realm.idp.sign_in(&location(&to_idp), "victim");
    let refused = victim.get(&callback).await;
    assert_eq!(refused.status, 400, "{}", refused.whole());
    assert_eq!(attacker.get(&callback).await.status, 400, "a state serves once, whoever brings it");
    // The attacker says yes, and the victim, who is signed in, goes on in its place.
    let next = format!("/oauth/authorize/continue?request={}", field(&page, "request"));
    assert_eq!(victim.get(&next).await.status, 400);
    assert_eq!(attacker.get(&next).await.status, 400, "nobody is signed in there");
}

#[tokio::test]
async fn a_state_is_ours_fresh_and_of_this_browser() {
    let realm = Realm::start().await;
    let browser = realm.browser();
    let begin = async || {
        let page = browser.get(&realm.authorize(&[("prompt", "login")])).await;
        location(&browser.decide(&page, "allow").await)
    };
    let before = browser.cookies.lock().len();
    assert_eq!(before, 0);
    for (what, change) in [
        ("no state", Box::new(|url: String| url.replace("&state=", "&x=")) as Box<dyn Fn(String) -> String>),
        ("a foreign state", Box::new(|url: String| url.replace("&state=", "&state=A"))),
        ("another issuer", Box::new(|url: String| url.replace("&iss=http", "&iss=https"))),
        ("no issuer", Box::new(|url: String| url.replace("&iss=", "&x="))),
        ("no code", Box::new(|url: String| url.replace("?code=", "?x="))),
        ("a foreign code", Box::new(|url: String| url.replace("?code=", "?code=A"))),
        ("twice the state", Box::new(|url: String| format!("{url}&state=x"))),
    ] {
        let location = begin().await;
        let url = change(realm.idp.sign_in(&location, "alice"));
        let got = browser.get(&url).await;
        assert!((400..=502).contains(&got.status), "{what}: {}", got.whole());
        assert!(!browser.cookies.lock().contains_key("__Host-portcullis-session"), "{what}");
    }
    let url = realm.idp.sign_in(&begin().await, "alice");
    assert_eq!(browser.get(&url).await.status, 303);
    assert_eq!(browser.get(&url).await.status, 400, "used");
}

#[tokio::test]
async fn a_client_is_told_that_the_provider_signed_nobody_in() {
    let realm = Realm::start().await;
    for (error, told) in
        [("access_denied", "access_denied"), ("login_required", "server_error"), ("%3Cscript%3E", "server_error")]
    {
        let (browser, stranger) = (realm.browser(), realm.browser());
        let page = browser.get(&realm.authorize(&[("prompt", "login")])).await;
        let to_idp = location(&browser.decide(&page, "allow").await);
        let back = realm.idp.sign_in(&to_idp, "alice").replace("?code=", "?x=");
        let got = browser.get(&format!("{back}&error={error}")).await;
        let next = location(&got);
        assert!(next.starts_with(&format!("{}/oauth/authorize/continue?request=", realm.origin())), "{next}");
        assert_eq!(stranger.get(&next).await.status, 400, "of another browser");
        let url = location(&browser.get(&next).await);
        assert!(url.starts_with(CALLBACK), "{url}");
        assert_eq!((query(&url, "error").as_deref(), query(&url, "iss")), (Some(told), Some(realm.origin())), "{url}");
        assert!(query(&url, "code").is_none() && !url.contains("%3Cscript"), "{url}");
        assert_eq!(query(&url, "state"), query(&realm.authorize(&[]), "state"));
        assert_eq!(browser.get(&next).await.status, 400, "once");
        assert!(!browser.cookies.lock().contains_key("__Host-portcullis-session"));
    }
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_sign_in_signs_nobody_in() {
    let realm = Realm::start().await;
    for (name, value) in [
        ("iss", serde_json::json!("https://evil.example")),
        ("aud", serde_json::json!("another")),
        ("aud", serde_json::json!(["gw", "another"])),
        ("azp", serde_json::json!("another")),
        ("exp", serde_json::json!(1_000)),
        ("iat", serde_json::json!(1_000)),
        ("nonce", serde_json::json!("another")),
        ("sub", serde_json::json!("")),
    ] {
        *realm.idp.claims.lock() = serde_json::json!({name: value});
        let browser = realm.browser();
        let page = browser.get(&realm.authorize(&[])).await;
        let to_idp = location(&browser.decide(&page, "allow").await);
        let got = browser.get(&realm.idp.sign_in(&to_idp, "alice")).await;
        assert_eq!(got.status, 502, "{name}={value}: {}", got.whole());
        assert!(!browser.cookies.lock().contains_key("__Host-portcullis-session"), "{name}={value}");
    }
}

#[tokio::test]
async fn a_form_is_sent_by_our_own_page_in_its_own_browser_once() {
    let realm = Realm::start().await;
    let browser = realm.browser();
    let page = browser.get(&realm.authorize(&[])).await;
    let good = || browser.decision(&page, "allow");
    let body = String::from_utf8(good().body).unwrap();
    let csrf = field(&page, "csrf");
    let other_page = browser.get(&realm.authorize(&[])).await;
    for (what, request) in [
        ("another origin", good().set("Origin", "https://evil.example")),
        ("origin null", good().set("Origin", "null")),
        ("another site", good().without("Origin").set("Sec-Fetch-Site", "cross-site")),
        ("no word of its origin", good().without("Origin").without("Sec-Fetch-Site")),
        ("no token", good().body(body.replace("csrf=", "x="))),
        ("another token", good().body(body.replace(&csrf, &csrf.to_lowercase()))),
        ("the token of another form", good().body(body.replace(&csrf, &field(&other_page, "csrf")))),
        ("no request", good().body(body.replace("request=", "x="))),
        ("twice the decision", good().body(format!("{body}&decision=allow"))),
        ("JSON", good().set("Content-Type", "application/json")),
        ("no decision", good().body(body.replace("decision=allow", "decision=perhaps"))),
    ] {
        let got = browser.send(request).await;
        assert!(matches!(got.status, 400 | 403), "{what}: {}", got.whole());
        assert!(got.header("location").is_none(), "{what}");
    }
    let without_cookies = realm.browser();
    assert_eq!(without_cookies.send(good()).await.status, 400, "no cookie");
    assert_eq!(browser.send(good()).await.status, 303);
    assert_eq!(browser.send(good()).await.status, 400, "decided before");
    let page = browser.get(&realm.authorize(&[])).await;
    let refused = browser.decide(&page, "deny").await;
    let url = location(&refused);
    assert!(url.starts_with(CALLBACK), "{url}");
    assert_eq!((query(&url, "error").as_deref(), query(&url, "iss")), (Some("access_denied"), Some(realm.origin())));
    assert_eq!(browser.decide(&page, "allow").await.status, 400, "refused is over");
}

#[tokio::test]
async fn a_code_is_for_one_client_one_verifier_one_use() {
    let realm = Realm::start().await;
    let browser = realm.browser();
    let code = async || {
        let answer = realm.code(&browser, &realm.authorize(&[("prompt", "consent")]), "alice").await;
        query(&answer, "code").unwrap()
    };
    for (what, change, error) in [
        ("another verifier", ("code_verifier", "another-verifier-of-forty-three-characters--"), "invalid_grant"),
        ("a short verifier", ("code_verifier", "short"), "invalid_grant"),
        ("no verifier", ("code_verifier", ""), "invalid_request"),
        ("another client", ("client_id", "other"), "invalid_grant"),
        ("another redirect", ("redirect_uri", "https://client.example/cb/"), "invalid_grant"),
        ("another resource", ("resource", "https://elsewhere.example/"), "invalid_target"),
        ("an unknown client", ("client_id", "nobody"), "invalid_client"),
        ("a client that must authenticate", ("client_id", "secretive"), "invalid_client"),
        ("another grant", ("grant_type", "password"), "unsupported_grant_type"),
    ] {
        let code = code().await;
        let got = realm.redeem(&code, &[change]).await;
        assert_eq!(got.json()["error"], error, "{what}: {}", got.whole());
        let kept = ["invalid_client", "unsupported_grant_type", "invalid_request"].contains(&error);
        assert_eq!(realm.redeem(&code, &[]).await.status == 200, kept, "{what}: a code that was tried in vain is gone");
    }
    let code = code().await;
    let got = realm.redeem(&code, &[]).await;
    let text = |name: &str| got.json()[name].as_str().unwrap().to_owned();
    assert_eq!(realm.call(&text("access_token")).await, 200);
    assert_eq!(realm.redeem(&code, &[]).await.json()["error"], "invalid_grant", "used");
    assert_eq!(realm.call(&text("access_token")).await, 401, "what came of it is revoked");
    assert_eq!(realm.refresh(&text("refresh_token")).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn of_two_who_redeem_at_once_none_keeps_a_token() {
    let realm = Realm::start().await;
    let answer = realm.code(&realm.browser(), &realm.authorize(&[]), "alice").await;
    let code = query(&answer, "code").unwrap();
    let tries = futures_util::future::join_all((0..8).map(|_| realm.redeem(&code, &[]))).await;
    let got: Vec<_> = tries.iter().filter(|got| got.status == 200).collect();
    assert_eq!(got.len(), 1, "the first to use it up: {tries:?}");
    let text = |name: &str| got[0].json()[name].as_str().unwrap().to_owned();
    assert_eq!(realm.call(&text("access_token")).await, 401);
    assert_eq!(realm.refresh(&text("refresh_token")).await.status, 400);
}

#[tokio::test]
async fn tokens_are_asked_for_in_one_way() {
    let realm = Realm::start().await;
    let basic = |id: &str, secret: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
    };
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    for (what, request, error) in [
        (
            "a secret that holds",
            realm.form("/oauth/token", &grant).add("Authorization", &basic("secretive", "client-secret")),
            "invalid_grant",
        ),
        (
            "another secret",
            realm.form("/oauth/token", &grant).add("Authorization", &basic("secretive", "guess")),
            "invalid_client",
        ),
        (
            "a secret of a public client",
            realm.form("/oauth/token", &grant).add("Authorization", &basic("web", "x")),
            "invalid_client",
        ),
        ("a broken header", realm.form("/oauth/token", &grant).add("Authorization", "Basic %%%"), "invalid_client"),
        (
            "another client in the body",
            realm
                .form("/oauth/token", &[grant[0], grant[1], ("client_id", "web")])
                .add("Authorization", &basic("secretive", "client-secret")),
            "invalid_client",
        ),
        (
            "a secret in the body",
            realm.form("/oauth/token", &[grant[0], grant[1], ("client_id", "secretive"), ("client_secret", "client-secret")]),
            "invalid_client",
        ),
        ("no client", realm.form("/oauth/token", &grant), "invalid_client"),
        (
            "a parameter twice",
            realm.form("/oauth/token", &[grant[0], grant[1], grant[1], ("client_id", "web")]),
            "invalid_request",
        ),
        ("a query", realm.form("/oauth/token?client_id=web", &grant), "invalid_request"),
        ("JSON", realm.form("/oauth/token", &grant).set("Content-Type", "application/json"), "invalid_request"),
    ] {
        let got = realm.gate.reach.send(&request).await;
        assert_eq!(got.json()["error"], error, "{what}: {}", got.whole());
        assert_eq!(got.header("www-authenticate").is_some(), error == "invalid_client", "{what}");
    }
    let register = realm.gate.reach.send(&realm.form("/oauth/register", &[])).await;
    assert_eq!(register.status, 404, "off");
}

#[tokio::test]
async fn strangers_cannot_ask_without_end() {
    let realm = Realm::start().await;
    let mut conn = realm.gate.reach.open().await;
    let ask = Req::new("GET", "/oauth/authorize").add("Host", &realm.gate.authority()).bytes();
    let mut asked = 0;
    let refused = loop {
        conn.write(&ask).await;
        let got = conn.response().await;
        if got.status != 400 {
            break got;
        }
        asked += 1;
        assert!(asked < 600, "without end");
    };
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")), "{}", refused.whole());
    assert!(asked >= 120, "{asked}");
}

/// Pages of the gateway have no business on its routes: were one of them ever turned against people, it could call nothing.
#[tokio::test]
async fn our_own_origin_is_for_our_own_pages() {
    let realm = Realm::start().await;
    let gate = &realm.gate;
    let (token, own) = (gate.token("alice", &["eng"]), realm.origin());
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let on_session = |verb: &str| {
        let request = Req::new(verb, "/mcp").add("Host", &gate.authority()).add("Authorization", &format!("Bearer {token}"));
        request.add("Mcp-Session-Id", &session).add("Accept", "text/event-stream")
    };
    let get = |path: &str| Req::new("GET", path).add("Host", &gate.authority());
    let seen = gate.seen();
    for request in [
        gate.call("/mcp", &token, "up__echo", "{}"),
        on_session("GET"),
        on_session("DELETE"),
        get("/.well-known/oauth-protected-resource/mcp"),
        get("/.well-known/oauth-authorization-server"),
        get("/nowhere"),
    ] {
        let what = format!("{} {}", request.verb, request.target);
        let got = gate.reach.send(&request.clone().add("Origin", &own)).await;
        assert_eq!((got.status, gate.seen()), (403, seen), "{what}: {}", got.whole());
    }
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let pong = gate.reach.send(&gate.legacy("/mcp", &token, "2025-11-25", &session, ping)).await;
    assert_eq!(pong.status, 200, "the session goes on: {}", pong.whole());
    for (request, status) in [
        (realm.form("/oauth/token", &[("grant_type", "x"), ("client_id", "web")]), 400),
        (get("/oauth/authorize"), 400),
        (get("/oauth/jwks"), 200),
        (get("/confirm/x"), 303),
    ] {
        let got = gate.reach.send(&request.add("Origin", &own)).await;
        assert_eq!(got.status, status, "{}", got.whole());
    }
}

#[tokio::test]
async fn a_cache_keeps_documents_for_each_origin_by_itself() {
    let realm = Realm::start().await;
    for path in ["/oauth/jwks", "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/mcp"] {
        let got = realm.gate.reach.send(&Req::new("GET", path).add("Host", &realm.gate.authority())).await;
        assert_eq!((got.status, got.header("vary")), (200, Some("Origin")), "{path}: {}", got.whole());
    }
}

#[tokio::test]
async fn pages_say_which_methods_they_take() {
    let realm = Realm::start().await;
    for (verb, path, allowed) in [
        ("PUT", "/oauth/authorize", "GET, POST"),
        ("POST", "/oauth/authorize/continue", "GET"),
        ("POST", "/oauth/callback", "GET"),
        ("DELETE", "/oauth/signout", "GET, POST"),
        ("GET", "/oauth/token", "POST"),
        ("GET", "/oauth/revoke", "POST"),
        ("POST", "/oauth/jwks", "GET, HEAD"),
        ("PUT", "/.well-known/oauth-authorization-server", "GET, HEAD"),
        ("TRACE", "/oauth/token", "POST"),
        ("OPTIONS", "/oauth/jwks", "GET, HEAD"),
        ("TRACE", "/connect/callback", "GET"),
        ("TRACE", "/confirm/x", "GET, POST"),
    ] {
        let got = realm.gate.reach.send(&Req::new(verb, path).add("Host", &realm.gate.authority())).await;
        assert_eq!((got.status, got.header("allow")), (405, Some(allowed)), "{verb} {path}: {}", got.whole());
    }
}
