//! The whole way: from metadata to a call, and back out by revocation.

mod consents;

use serde_json::{Value, json};

use super::{CALLBACK, Realm, field, location, query};
use crate::gate::soon;
use crate::wire::Req;

pub(super) fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_client_finds_its_way_from_a_challenge_to_a_call() {
    let realm = Realm::start().await;
    let get = async |path: &str| realm.gate.reach.send(&Req::new("GET", path).add("Host", &realm.gate.authority())).await;
    let resource = get("/.well-known/oauth-protected-resource/mcp").await.json();
    assert_eq!(resource["authorization_servers"][0], realm.origin(), "our own issuer first");
    let metadata = get("/.well-known/oauth-authorization-server").await.json();
    for (name, value) in [
        ("issuer", json!(realm.origin())),
        ("authorization_endpoint", json!(realm.gate.url("/oauth/authorize"))),
        ("token_endpoint", json!(realm.gate.url("/oauth/token"))),
        ("revocation_endpoint", json!(realm.gate.url("/oauth/revoke"))),
        ("jwks_uri", json!(realm.gate.url("/oauth/jwks"))),
        ("registration_endpoint", Value::Null),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("response_types_supported", json!(["code"])),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("client_id_metadata_document_supported", json!(false)),
        ("grant_types_supported", json!(["authorization_code", "refresh_token", "client_credentials"])),
        ("token_endpoint_auth_methods_supported", json!(["none", "private_key_jwt", "client_secret_basic"])),
        ("scopes_supported", json!(["mcp:admin"])),
    ] {
        assert_eq!(metadata[name], value, "{name}");
    }
    let browser = realm.browser();
    let page = browser.get(&realm.authorize(&[])).await;
    assert_eq!(page.status, 200, "{}", page.whole());
    let names: Vec<String> = browser.cookies.lock().keys().cloned().collect();
    assert_eq!(names, ["__Host-portcullis-browser"], "no state before a yes");
    let text = page.text();
    for shown in [
        "Web &lt;b&gt;client&lt;/b&gt;",
        "<strong>client.example</strong>",
        "Read with tools",
        "<code>mcp:read</code>",
        &realm.gate.url("/mcp"),
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert!(!text.contains("<script") && !text.contains("class=\"warn\""));
    for (name, value) in [("x-frame-options", "DENY"), ("cache-control", "no-store"), ("x-content-type-options", "nosniff")] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    let csp = page.header("content-security-policy").unwrap();
    assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"), "{csp}");

    let to_idp = browser.decide(&page, "allow").await;
    assert_eq!(to_idp.status, 303, "{}", to_idp.whole());
    assert_eq!(browser.cookies.lock().len(), 2, "the browser's and the state's");
    let signed_in = browser.get(&realm.idp.sign_in(&location(&to_idp), "alice")).await;
    assert_eq!(signed_in.status, 303, "{}", signed_in.whole());
    let answer = browser.get(location(&signed_in).strip_prefix(&realm.origin()).unwrap()).await;
    assert_eq!(answer.status, 303, "{}", answer.whole());
    let to_client = location(&answer);
    assert!(to_client.starts_with(&format!("{CALLBACK}?code=")), "{to_client}");
    assert_eq!(query(&to_client, "state").as_deref(), Some("client-state"));
    assert_eq!(query(&to_client, "iss"), Some(realm.origin()));

    let got = realm.redeem(&query(&to_client, "code").unwrap(), &[]).await;
    assert_eq!((got.status, got.header("cache-control")), (200, Some("no-store")), "{}", got.whole());
    let body = got.json();
    assert_eq!((&body["token_type"], &body["expires_in"], &body["scope"]), (&json!("Bearer"), &json!(600), &json!("mcp:read")));
    let token = body["access_token"].as_str().unwrap();
    let said = claims(token);
    for (name, value) in [
        ("iss", json!(realm.origin())),
        ("aud", json!(realm.gate.url("/mcp"))),
        ("client_id", json!("web")),
        ("scope", json!("mcp:read")),
        ("groups", json!(["eng"])),
        ("idp", json!({"iss": realm.idp.issuer(), "sub": "alice"})),
    ] {
        assert_eq!(said[name], value, "{name}");
    }
    assert_eq!(realm.call(token).await, 200);
    let called = || realm.gate.records().into_iter().find(|r| r["method"] == "tools/call" && r["kind"] == "outcome");
    soon("the record of the call", || called().is_some()).await;
    let who = called().unwrap();
    let principal = (&who["principal"]["iss"], &who["principal"]["sub"], &who["principal"]["client_id"]);
    assert_eq!(principal, (&json!(realm.idp.issuer()), &json!("alice"), &json!("web")), "the person is who the provider says");
    let elsewhere = realm.gate.call("/bare", token, "echo", r#"{"path":"/srv/x"}"#);
    assert_eq!(realm.gate.reach.send(&elsewhere).await.status, 401, "for one route only");
    // Nothing of the gateway's dealings with the provider is in records, and every request has one.
    let audit = realm.gate.audit_text();
    for secret in ["gw-secret-canary", "idp-access-canary", token, &query(&to_client, "code").unwrap()] {
        assert!(!audit.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn refresh_tokens_rotate_and_reuse_ends_the_family() {
    let realm = Realm::start().await;
    let (access, refresh) = realm.tokens(&realm.browser(), "alice").await;
    let second = realm.refresh(&refresh).await;
    assert_eq!(second.status, 200, "{}", second.whole());
    let text = |name: &str| second.json()[name].as_str().unwrap().to_owned();
    let (second_access, second_refresh) = (text("access_token"), text("refresh_token"));
    assert_ne!(second_refresh, refresh);
    assert_eq!((realm.call(&access).await, realm.call(&second_access).await), (200, 200));
    // Whoever brings the first one again is not to be told from a thief: everything of this sign-in ends.
    let reused = realm.refresh(&refresh).await;
    assert_eq!((reused.status, reused.json()["error"].as_str()), (400, Some("invalid_grant")), "{}", reused.whole());
    assert_eq!(realm.refresh(&second_refresh).await.status, 400, "the family is gone");
    assert_eq!((realm.call(&access).await, realm.call(&second_access).await), (401, 401), "and its access tokens");
    // Another sign-in of the same person is another family.
    let (other, other_refresh) = realm.tokens(&realm.browser(), "alice").await;
    assert_eq!((realm.call(&other).await, realm.refresh(&other_refresh).await.status), (200, 200));
}

#[tokio::test]
async fn refresh_narrows_and_belongs_to_its_client() {
    let realm = Realm::start().await;
    let refresh = async |token: &str, changes: &[(&str, &str)]| {
        let mut pairs = vec![("grant_type", "refresh_token"), ("client_id", "web"), ("refresh_token", token)];
        for (name, value) in changes {
            pairs.retain(|(n, _)| n != name);
            pairs.push((name, value));
        }
        realm.post("/oauth/token", &pairs).await
    };
    let (_, token) = realm.tokens(&realm.browser(), "alice").await;
    for (changes, error) in [
        (vec![("scope", "mcp:read mcp:admin")], "invalid_scope"),
        (vec![("resource", "https://elsewhere.example/mcp")], "invalid_target"),
        (vec![("refresh_token", "not-a-token")], "invalid_grant"),
        (vec![("client_id", "nobody")], "invalid_client"),
    ] {
        let got = refresh(&token, &changes).await;
        assert_eq!(got.json()["error"], error, "{changes:?}: {}", got.whole());
    }
    let same = realm.gate.url("/mcp");
    let got = refresh(&token, &[("resource", &same), ("scope", "mcp:read")]).await;
    assert_eq!(got.status, 200, "{}", got.whole());
    let next = got.json()["refresh_token"].as_str().unwrap().to_owned();
    // In the hands of another client it is stolen.
    assert_eq!(refresh(&next, &[("client_id", "other")]).await.json()["error"], "invalid_grant");
    assert_eq!(refresh(&next, &[]).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn revoked_is_revoked_at_once() {
    let realm = Realm::start().await;
    let revoke = async |token: &str, client: &str| realm.post("/oauth/revoke", &[("token", token), ("client_id", client)]).await;
    let (access, refresh) = realm.tokens(&realm.browser(), "alice").await;
    assert_eq!(realm.call(&access).await, 200);
    assert_eq!(revoke(&access, "other").await.status, 200, "nothing is learnt");
    assert_eq!(revoke("garbage", "web").await.status, 200);
    assert_eq!(realm.call(&access).await, 200, "another client cannot");
    assert_eq!(revoke(&access, "web").await.status, 200);
    assert_eq!(realm.call(&access).await, 401, "the cache of verified tokens does not outlive it");
    let more = realm.refresh(&refresh).await;
    assert_eq!(more.status, 200, "only the access token was revoked: {}", more.whole());
    let text = |name: &str| more.json()[name].as_str().unwrap().to_owned();
    assert_eq!(revoke(&text("refresh_token"), "web").await.status, 200);
    assert_eq!(realm.refresh(&text("refresh_token")).await.status, 400);
    assert_eq!(realm.call(&text("access_token")).await, 401, "a family ends with its access tokens");
}

/// The provider goes away, and the configuration is read again: who was known before still is.
#[tokio::test]
async fn a_reload_forgets_no_keys_of_a_provider_that_is_away() {
    let realm = Realm::start().await;
    realm.tokens(&realm.browser(), "alice").await;
    let config = std::fs::read_to_string(realm.gate.dir.path().join("portcullis.yaml")).unwrap();
    let before = realm.idp.peer.seen().len();
    let jag = format!("  id_jag: {{ issuers: [{{ issuer: \"{}\", jwks: \"file:jwks.json\" }}] }}\n", crate::keys::ISSUER);
    let other = config.replace("  scopes: { \"mcp:read\"", &format!("{jag}  scopes: {{ \"mcp:read\""));
    assert_ne!(other, config);
    realm.gate.reload("portcullis.yaml", &other);
    let reloaded = async {
        let metadata = Req::new("GET", "/.well-known/oauth-authorization-server").add("Host", &realm.gate.authority());
        while !realm.gate.reach.send(&metadata).await.text().contains("jwt-bearer") {}
    };
    tokio::time::timeout(crate::wire::SOON, reloaded).await.unwrap();
    realm.tokens(&realm.browser(), "bob").await;
    let asked: Vec<String> = realm.idp.peer.seen().iter().skip(before).map(|seen| seen.target.clone()).collect();
    assert!(!asked.iter().any(|target| target == "/jwks" || target.starts_with("/.well-known/")), "{asked:?}");
}

/// Tokens of ours are bound to nothing: nobody is sent here for a route that takes bound ones only.
#[tokio::test]
async fn a_route_for_bound_tokens_is_none_of_this_server() {
    let realm = Realm::with("", |files| {
        let (plain, bound) =
            ("{ path: /bare, upstreams: [up], names: bare }", "{ path: /bare, upstreams: [up], names: bare, proof: dpop }");
        assert!(files.config.contains(plain));
        files.config = files.config.replace(plain, bound);
    })
    .await;
    let get = async |path: &str| realm.gate.reach.send(&Req::new("GET", path).add("Host", &realm.gate.authority())).await.json();
    let servers =
        async |route: &str| get(&format!("/.well-known/oauth-protected-resource{route}")).await["authorization_servers"].clone();
    assert_eq!(servers("/mcp").await, json!([realm.origin(), crate::keys::ISSUER]));
    assert_eq!(servers("/bare").await, json!([crate::keys::ISSUER]));
    let metadata = get("/.well-known/oauth-authorization-server").await;
    let resources: Vec<&str> = metadata["protected_resources"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(resources.contains(&&*realm.gate.url("/mcp")) && !resources.contains(&&*realm.gate.url("/bare")), "{resources:?}");
    let asked = realm.browser().get(&realm.authorize(&[("resource", &realm.gate.url("/bare"))])).await;
    assert_eq!(query(&location(&asked), "error").as_deref(), Some("invalid_target"));
}

#[tokio::test]
async fn people_sign_out_with_a_form_of_our_own_page() {
    let realm = Realm::start().await;
    let browser = realm.browser();
    assert!(browser.get("/oauth/signout").await.text().contains("not signed in"));
    realm.tokens(&browser, "alice").await;
    let page = browser.get("/oauth/signout").await;
    assert!(page.text().contains("User alice"), "{}", page.text());
    let csrf = field(&page, "csrf");
    let form = || realm.form("/oauth/signout", &[("csrf", &csrf)]);
    for (what, request) in [
        ("another site", form().add("Origin", "https://evil.example")),
        ("no word of its origin", form()),
        ("no token", realm.form("/oauth/signout", &[]).add("Origin", &realm.origin())),
    ] {
        assert!(matches!(browser.send(request).await.status, 400 | 403), "{what}");
    }
    assert_eq!(browser.get(&realm.authorize(&[])).await.status, 303, "still signed in");
    assert_eq!(browser.send(form().add("Origin", &realm.origin())).await.status, 200);
    let silent = browser.get(&realm.authorize(&[("prompt", "none")])).await;
    assert_eq!(query(&location(&silent), "error").as_deref(), Some("login_required"));
}

/// Every answer, page, refusal and redirect: one record of kind `auth`, and nothing secret in it.
#[tokio::test]
async fn what_happens_here_is_on_record() {
    let realm = Realm::start().await;
    let browser = realm.browser();
    let (_, refresh) = realm.tokens(&browser, "alice").await;
    realm.refresh("garbage").await;
    browser.get(&realm.authorize(&[("redirect_uri", "https://evil.example/")])).await;
    // Page, yes, callback, continue, token; a refresh in vain, a page in vain.
    let records = realm.gate.settled(7).await;
    let told: Vec<(&str, &str, &str)> = records
        .iter()
        .map(|record| {
            assert_eq!(record["kind"], "auth", "{record}");
            let text = |value: &'_ Value| -> &'static str { value.as_str().unwrap_or_default().to_owned().leak() };
            (text(&record["method"]), text(&record["outcome"]["reason"]), text(&record["principal"]["sub"]))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("oauth/authorize", "allowed", ""),
            ("oauth/consent", "allowed", ""),
            ("signin/callback", "allowed", "alice"),
            ("oauth/continue", "allowed", "alice"),
            ("oauth/token", "allowed", "alice"),
            ("oauth/token", "unauthenticated", ""),
            ("oauth/authorize", "bad_request", ""),
        ]
    );
    assert_eq!(records[4]["name"], "web");
    assert!(!realm.gate.audit_text().contains(&refresh));
}
