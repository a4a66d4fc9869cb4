//! Clients that register, and clients that are their own subject or bring a provider's grant.

use serde_json::{Value, json};

use super::Realm;
use crate::keys::{ED, ISSUER, STRANGER, Signer, now_s};
use crate::wire::{Req, Resp};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Good claims with changes; null takes a member out.
fn with(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub(super) fn assertion(realm: &Realm, signer: &Signer, jti: &str, changes: &Value) -> String {
    let claims = json!({"iss": "keyed", "sub": "keyed", "aud": realm.origin(), "exp": now_s() + 120, "iat": now_s(), "jti": jti});
    signer.token(&json!({"alg": "EdDSA", "kid": "ed"}), &with(claims, changes))
}

pub(super) async fn by_assertion(realm: &Realm, assertion: &str, more: &[(&str, &str)]) -> Resp {
    let mut pairs = vec![("client_assertion_type", ASSERTION), ("client_assertion", assertion)];
    pairs.extend_from_slice(more);
    realm.post("/oauth/token", &pairs).await
}

#[tokio::test]
async fn a_client_with_keys_is_its_own_subject() {
    let realm = Realm::with("", |files| files.policy = files.policy.replace("[\"group:eng\"]", "[\"any\"]")).await;
    let resource = realm.gate.url("/mcp");
    let grant = [("grant_type", "client_credentials"), ("resource", resource.as_str()), ("scope", "mcp:read")];
    let good = assertion(&realm, &ED, "j0", &json!({}));
    let got = by_assertion(&realm, &good, &grant).await;
    assert_eq!(got.status, 200, "{}", got.whole());
    assert_eq!(got.json()["refresh_token"], Value::Null);
    assert_eq!(realm.call(got.json()["access_token"].as_str().unwrap()).await, 200);
    assert_eq!(by_assertion(&realm, &good, &grant).await.json()["error"], "invalid_client", "an assertion serves once");
    let url = realm.gate.url("/oauth/token");
    let to_url = assertion(&realm, &ED, "j1", &json!({"aud": url}));
    assert_eq!(by_assertion(&realm, &to_url, &grant).await.status, 200);
    for (n, (changes, signer)) in [
        (json!({"aud": "https://elsewhere.example"}), &*ED),
        (json!({"aud": [realm.origin(), "https://elsewhere.example"]}), &*ED),
        (json!({"aud": null}), &*ED),
        (json!({"iss": "web"}), &*ED),
        (json!({"sub": "web"}), &*ED),
        (json!({"sub": null}), &*ED),
        (json!({"exp": now_s() - 60}), &*ED),
        (json!({"exp": now_s() + 3_600}), &*ED),
        (json!({"exp": null}), &*ED),
        (json!({"iat": now_s() + 3_600}), &*ED),
        (json!({"nbf": now_s() + 3_600}), &*ED),
        (json!({"jti": null}), &*ED),
        (json!({}), &*STRANGER),
    ]
    .into_iter()
    .enumerate()
    {
        let got = by_assertion(&realm, &assertion(&realm, signer, &format!("bad{n}"), &changes), &grant).await;
        assert_eq!((got.status, got.json()["error"].as_str()), (401, Some("invalid_client")), "{changes}: {}", got.whole());
    }
    for client in ["web", "secretive"] {
        let got = realm.post("/oauth/token", &[("client_id", client), grant[0], grant[1]]).await;
        let error = if client == "web" { "unauthorized_client" } else { "invalid_client" };
        assert_eq!(got.json()["error"], error, "{client}");
    }
}

#[tokio::test]
async fn a_providers_grant_is_for_us_for_its_client_and_for_one_use() {
    let more = format!("  id_jag: {{ issuers: [{{ issuer: \"{ISSUER}\", jwks: \"file:jwks.json\" }}] }}\n");
    let realm = Realm::with(&more, |_| {}).await;
    let metadata = realm
        .gate
        .reach
        .send(&Req::new("GET", "/.well-known/oauth-authorization-server").add("Host", &realm.gate.authority()))
        .await;
    assert_eq!(metadata.json()["authorization_grant_profiles_supported"], json!(["urn:ietf:params:oauth:grant-profile:id-jag"]));
    let resource = realm.gate.url("/mcp");
    let jag = |n: usize, typ: &str, signer: &Signer, changes: &Value| {
        let claims = json!({
            "iss": ISSUER, "sub": "alice", "aud": realm.origin(), "client_id": "keyed", "jti": format!("jag{n}"), "exp": now_s() + 300,
            "iat": now_s(), "resource": resource, "scope": "mcp:read unknown", "groups": ["eng"],
        });
        signer.token(&json!({"alg": "EdDSA", "kid": "ed", "typ": typ}), &with(claims, changes))
    };
    let redeem = async |n: usize, jag: &str, more: &[(&str, &str)]| {
        let mut pairs = vec![("grant_type", JWT_BEARER), ("assertion", jag)];
        pairs.extend_from_slice(more);
        by_assertion(&realm, &assertion(&realm, &ED, &format!("a{n}"), &json!({})), &pairs).await
    };
    let good = jag(0, "oauth-id-jag+jwt", &ED, &json!({}));
    let got = redeem(0, &good, &[("resource", &resource)]).await;
    assert_eq!(got.status, 200, "{}", got.whole());
    assert_eq!((&got.json()["scope"], &got.json()["refresh_token"]), (&json!("mcp:read"), &Value::Null));
    assert_eq!(realm.call(got.json()["access_token"].as_str().unwrap()).await, 200);
    assert_eq!(redeem(1, &good, &[]).await.json()["error"], "invalid_grant", "once");
    let rows: Vec<(&str, Value, &Signer)> = vec![
        ("JWT", json!({}), &ED),
        ("at+jwt", json!({}), &ED),
        ("oauth-id-jag+jwt", json!({}), &STRANGER),
        ("oauth-id-jag+jwt", json!({"iss": "https://evil.example"}), &ED),
        ("oauth-id-jag+jwt", json!({"aud": "https://elsewhere.example"}), &ED),
        ("oauth-id-jag+jwt", json!({"aud": [realm.origin(), "https://elsewhere.example"]}), &ED),
        ("oauth-id-jag+jwt", json!({"aud": null}), &ED),
        ("oauth-id-jag+jwt", json!({"client_id": "web"}), &ED),
        ("oauth-id-jag+jwt", json!({"client_id": null}), &ED),
        ("oauth-id-jag+jwt", json!({"resource": "https://elsewhere.example/mcp"}), &ED),
        ("oauth-id-jag+jwt", json!({"resource": [realm.gate.url("/mcp")]}), &ED),
        ("oauth-id-jag+jwt", json!({"exp": now_s() - 60}), &ED),
        ("oauth-id-jag+jwt", json!({"exp": now_s() + 90_000}), &ED),
        ("oauth-id-jag+jwt", json!({"exp": null}), &ED),
        ("oauth-id-jag+jwt", json!({"iat": null}), &ED),
        ("oauth-id-jag+jwt", json!({"iat": now_s() + 3_600}), &ED),
        ("oauth-id-jag+jwt", json!({"jti": null}), &ED),
        ("oauth-id-jag+jwt", json!({"sub": null}), &ED),
        ("oauth-id-jag+jwt", json!({"sub": ""}), &ED),
    ];
    for (n, (typ, changes, signer)) in rows.into_iter().enumerate() {
        let got = redeem(10 + n, &jag(10 + n, typ, signer, &changes), &[]).await;
        assert_eq!((got.status, got.json()["error"].as_str()), (400, Some("invalid_grant")), "{typ} {changes}: {}", got.whole());
    }
    let more = redeem(50, &jag(50, "oauth-id-jag+jwt", &ED, &json!({})), &[("scope", "mcp:admin")]).await;
    assert_eq!(more.json()["error"], "invalid_scope", "no more than was granted");
    let elsewhere = redeem(51, &jag(51, "oauth-id-jag+jwt", &ED, &json!({})), &[("resource", &realm.gate.url("/bare"))]).await;
    assert_eq!(elsewhere.json()["error"], "invalid_grant", "no other resource than was granted");
    let public = realm.post("/oauth/token", &[("grant_type", JWT_BEARER), ("client_id", "web"), ("assertion", &good)]).await;
    assert_eq!(public.json()["error"], "unauthorized_client");
    assert!(!realm.gate.audit_text().contains(&good));
}

#[tokio::test]
async fn a_provider_grants_for_whom_and_what_the_operator_said() {
    let more = format!(
        "  id_jag:\n    issuers:\n      - {{ issuer: \"{ISSUER}\", jwks: \"file:jwks.json\", subjects: [\"al*\"], \
         required_claims: {{ tenant.id: [t1, t2] }}, max_token_age: 2m, clock_skew: 1s, claims: {{ groups: realm.roles, unit: ou }} }}\n"
    );
    let realm = Realm::with(&more, |_| {}).await;
    let redeem = async |n: usize, changes: &Value| {
        let claims = json!({
            "iss": ISSUER, "sub": "alice", "aud": realm.origin(), "client_id": "keyed", "jti": format!("jag{n}"), "exp": now_s() + 300,
            "iat": now_s() - 60, "resource": realm.gate.url("/mcp"), "tenant": {"id": "t1"}, "realm": {"roles": ["eng"]},
            "groups": ["ops"], "ou": "plant",
        });
        let jag = ED.token(&json!({"alg": "EdDSA", "kid": "ed", "typ": "oauth-id-jag+jwt"}), &with(claims, changes));
        let pairs = [("grant_type", JWT_BEARER), ("assertion", jag.as_str())];
        by_assertion(&realm, &assertion(&realm, &ED, &format!("a{n}"), &json!({})), &pairs).await
    };
    let got = redeem(0, &json!({})).await;
    assert_eq!(got.status, 200, "{}", got.whole());
    let token = got.json()["access_token"].as_str().unwrap().to_owned();
    let said = super::flow::claims(&token);
    assert_eq!((&said["groups"], &said["unit"], &said["scope"]), (&json!(["eng"]), &json!("plant"), &Value::Null));
    assert_eq!(realm.call(&token).await, 200);
    for (n, changes) in [
        json!({"sub": "bob"}),
        json!({"tenant": {"id": "t3"}}),
        json!({"tenant": null}),
        json!({"iat": now_s() - 150}),
        json!({"iat": now_s() + 20}),
        json!({"exp": now_s() - 10}),
    ]
    .into_iter()
    .enumerate()
    {
        let got = redeem(1 + n, &changes).await;
        assert_eq!((got.status, got.json()["error"].as_str()), (400, Some("invalid_grant")), "{changes}: {}", got.whole());
    }
    let nobodys = redeem(20, &json!({"realm": null})).await;
    let said = super::flow::claims(nobodys.json()["access_token"].as_str().unwrap());
    assert_eq!(said["groups"], Value::Null, "a claim of the name that is not the one the operator named");
}

#[tokio::test]
async fn clients_register_themselves_within_bounds() {
    let realm = Realm::with("  dcr: { enabled: true, per_hour: 20 }\n", |_| {}).await;
    let register = async |body: Value| {
        let request =
            Req::new("POST", "/oauth/register").add("Host", &realm.gate.authority()).add("Content-Type", "application/json");
        realm.gate.reach.send(&request.body(body.to_string())).await
    };
    for (body, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["http://client.example/cb"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["https://client.example/cb#x"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["https://a@client.example/cb"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["javascript:alert(1)"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["cursor://callback"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["https://client.example/cb", "http://evil.example/"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["http://127.0.0.1/cb"], "application_type": "web"}), "invalid_redirect_uri"),
        (json!({"redirect_uris": "https://client.example/cb"}), "invalid_client_metadata"),
        (json!({"redirect_uris": ["https://client.example/cb"], "application_type": "tv"}), "invalid_client_metadata"),
        (
            json!({"redirect_uris": ["https://client.example/cb"], "token_endpoint_auth_method": "client_secret_basic"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": ["https://client.example/cb"], "token_endpoint_auth_method": "private_key_jwt"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": ["https://client.example/cb"], "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://c.example/jwks"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": ["https://client.example/cb"], "grant_types": ["client_credentials"]}),
            "invalid_client_metadata",
        ),
        (json!({"redirect_uris": ["https://client.example/cb"], "response_types": ["token"]}), "invalid_client_metadata"),
    ] {
        let got = register(body.clone()).await;
        assert_eq!((got.status, got.json()["error"].as_str()), (400, Some(error)), "{body}: {}", got.whole());
    }
    let native = json!({
        "client_name": "Agent", "redirect_uris": ["http://127.0.0.1/cb"], "application_type": "native",
        "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none",
    });
    let got = register(native.clone()).await;
    assert_eq!(got.status, 201, "{}", got.whole());
    let id = got.json()["client_id"].as_str().unwrap().to_owned();
    assert_eq!(got.json()["client_secret"], Value::Null);
    let browser = realm.browser();
    let changes = [("client_id", id.as_str()), ("redirect_uri", "http://127.0.0.1:9999/cb")];
    let page = browser.get(&realm.authorize(&changes)).await;
    assert!(page.text().contains("it chose this name itself") && page.text().contains("class=\"warn\""), "{}", page.text());
    let answer = realm.code(&browser, &realm.authorize(&changes), "alice").await;
    let code = super::query(&answer, "code").unwrap();
    let got = realm.redeem(&code, &[("client_id", &id), ("redirect_uri", "http://127.0.0.1:9999/cb")]).await;
    assert_eq!(got.status, 200, "{}", got.whole());
    assert_eq!(realm.call(got.json()["access_token"].as_str().unwrap()).await, 200);
    // The hour's number may come in a row; then one has to wait until one is free again.
    for n in 2..=20 {
        let got = register(native.clone()).await;
        assert_eq!(got.status, 201, "{n}: {}", got.whole());
    }
    let got = register(native).await;
    assert_eq!(got.status, 429, "{}", got.whole());
    let wait_s: u64 = got.header("retry-after").unwrap().parse().unwrap();
    assert!((31..=15 * 60 + 1).contains(&wait_s), "{wait_s}");
}
