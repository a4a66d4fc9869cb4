use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::*;

async fn answered(status: u16, body: &str) -> Result<Tokens, OAuthError> {
    let body = body.to_owned();
    let site = Site::start(move |_, _| (status, body.clone())).await;
    let (server, own, consent) = (metadata(&site.origin), registration(&site.origin, ClientAuth::None), site.consent());
    client().client_credentials(At { server: &server, registration: &own, consent: &consent }, &[], "https://up.example").await
}

#[tokio::test]
async fn answers_are_tokens_or_nothing() {
    let now_s = Clock::system().unix_s();
    let got = answered(200, r#"{"access_token":"a.b","token_type":"bEaReR","expires_in":60,"scope":"x y","refresh_token":"r","id_token":"i","zzz":{}}"#).await.unwrap();
    assert_eq!((got.access.expose_secret(), got.refresh.unwrap().expose_secret()), ("a.b", "r"));
    assert_eq!((got.scopes.unwrap(), got.id_token.unwrap().expose_secret()), (vec!["x".to_owned(), "y".to_owned()], "i"));
    assert!((now_s + 60..=now_s + 66).contains(&got.expires_at_s.unwrap()));
    let got = answered(201, r#"{"access_token":"a","token_type":"Bearer","expires_in":18446744073709551615}"#).await.unwrap();
    assert!(got.expires_at_s.unwrap() <= now_s + 31 * 24 * 3_600);
    let unsaid = answered(200, r#"{"access_token":"a","token_type":"Bearer"}"#).await.unwrap();
    assert_eq!(unsaid.expires_at_s, None, "nobody says when it ends");
    use OAuthErrorKind::{Denied, InvalidClient, InvalidGrant, InvalidScope, Malformed, Unreachable};
    for (status, body, kind) in [
        (200, "", Malformed),
        (200, r#"{"error":"invalid_grant","access_token":"a","token_type":"Bearer"}"#, InvalidGrant),
        (200, "[]", Malformed),
        (200, r#"{"access_token":"a"}"#, Malformed),
        (200, r#"{"token_type":"Bearer"}"#, Malformed),
        (200, r#"{"access_token":"","token_type":"Bearer"}"#, Malformed),
        (200, r#"{"access_token":"a b","token_type":"Bearer"}"#, Malformed),
        (200, r#"{"access_token":"a\r\nX: y","token_type":"Bearer"}"#, Malformed),
        (200, r#"{"access_token":7,"token_type":"Bearer"}"#, Malformed),
        (200, r#"{"access_token":"a","token_type":"DPoP"}"#, Malformed),
        (200, r#"{"access_token":"a","token_type":"mac"}"#, Malformed),
        (200, r#"{"access_token":"a","token_type":"N_A"}"#, Malformed),
        (200, r#"{"access_token":"a","token_type":"Bearer","refresh_token":"é"}"#, Malformed),
        (200, r#"{"access_token":"a","token_type":"Bearer"}x"#, Malformed),
        (400, r#"{"error":"invalid_grant"}"#, InvalidGrant),
        (401, r#"{"error":"invalid_client"}"#, InvalidClient),
        (401, "", InvalidClient),
        (400, r#"{"error":"unauthorized_client"}"#, InvalidClient),
        (200, r#"{"error":"bad_refresh_token"}"#, InvalidGrant),
        (200, r#"{"error":"bad_verification_code"}"#, InvalidGrant),
        (200, r#"{"error":"incorrect_client_credentials"}"#, InvalidClient),
        (400, r#"{"error":"invalid_scope"}"#, InvalidScope),
        (400, r#"{"error":"<b>secret-canary"}"#, Denied),
        (400, r#"{"error":"odd_word","error_description":"secret-canary"}"#, Denied),
        (403, "secret-canary", Denied),
        (503, "secret-canary", Unreachable),
        (429, "", Unreachable),
    ] {
        let error = answered(status, body).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status} {body}: {error}");
        assert!(!error.detail.contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn clients_prove_themselves_as_the_server_takes_it_and_nowhere_else() {
    let site = Site::start(|_, _| (200, r#"{"access_token":"t","token_type":"Bearer"}"#.to_owned())).await;
    let consent = site.consent();
    let dir = tempfile::tempdir().unwrap();
    client();
    let key = Arc::new(SigningKey::open_or_create(&dir.path().join("k/own.pem")).unwrap());
    let send = async |methods: Option<&[&str]>, auth: ClientAuth| {
        let mut server = metadata(&site.origin);
        server.token_endpoint_auth_methods_supported = methods.map(|m| m.iter().map(|m| (*m).to_owned()).collect());
        let own = registration(&site.origin, auth);
        let at = At { server: &server, registration: &own, consent: &consent };
        client().client_credentials(at, &["s".to_owned()], "https://up.example").await.unwrap();
        site.seen.lock().last().unwrap().clone()
    };
    let seen = send(None, ClientAuth::Secret(secret("a:b c"))).await;
    assert!(seen.contains("authorization: Basic Z2F0ZXdheTphJTNBYitj\r\n") && !seen.contains("client_secret"), "{seen}");
    let seen = send(Some(&["client_secret_post"]), ClientAuth::Secret(secret("a:b c"))).await;
    assert!(seen.contains("client_id=gateway&client_secret=a%3Ab+c") && !seen.contains("authorization"), "{seen}");
    let seen = send(None, ClientAuth::None).await;
    assert!(seen.contains("client_id=gateway") && !seen.contains("authorization"), "{seen}");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let seen = send(Some(&["private_key_jwt"]), ClientAuth::PrivateKey(Arc::clone(&key))).await;
        let body = seen.split_once("\r\n\r\n").unwrap().1;
        let form: std::collections::HashMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let jwk = serde_json::from_value(key.public_jwk()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
        validation.set_audience(&[&site.origin]);
        let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        let claims = jsonwebtoken::decode::<Value>(&form["client_assertion"], &decoding, &validation).unwrap().claims;
        assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!("gateway"), &json!("gateway"), &json!(site.origin)));
        ids.push(claims["jti"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    let before = site.lines().len();
    let server = metadata(&site.origin);
    let foreign = registration("https://other.example", ClientAuth::Secret(secret("s")));
    let at = At { server: &server, registration: &foreign, consent: &consent };
    assert_eq!(client().client_credentials(at, &[], "r").await.unwrap_err().kind, OAuthErrorKind::Mismatch);
    assert_eq!(site.lines().len(), before);
}

#[test]
fn keys_of_every_kind_sign_and_are_published() {
    client();
    let pem = |alg| rcgen::KeyPair::generate_for(alg).unwrap().serialize_pem();
    for (alg, name) in
        [(&rcgen::PKCS_ECDSA_P256_SHA256, "ES256"), (&rcgen::PKCS_ECDSA_P384_SHA384, "ES384"), (&rcgen::PKCS_ED25519, "EdDSA")]
    {
        let key = SigningKey::from_pem(&pem(alg)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let jwk = key.public_jwk();
        assert_eq!((&jwk["alg"], jwk["d"].is_null(), jwk["kid"].as_str().unwrap().len()), (&json!(name), true, 43), "{jwk}");
        let token = key.sign(Some("x+jwt"), &json!({"exp": 9_999_999_999_u64})).unwrap();
        let header = jsonwebtoken::decode_header(token.expose_secret()).unwrap();
        assert_eq!((header.typ.as_deref(), header.kid.as_deref()), (Some("x+jwt"), jwk["kid"].as_str()));
        let decoding = jsonwebtoken::DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap();
        jsonwebtoken::decode::<Value>(token.expose_secret(), &decoding, &jsonwebtoken::Validation::new(header.alg)).unwrap();
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
    for bad in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert!(matches!(SigningKey::from_pem(bad), Err(KeyError::Unusable)));
    }
}

#[test]
fn a_key_file_is_made_once_and_must_be_private() {
    use std::os::unix::fs::PermissionsExt as _;
    client();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/assertion");
    let first = SigningKey::open_or_create(&path).unwrap().public_jwk();
    assert_eq!(SigningKey::open_or_create(&path).unwrap().public_jwk(), first);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(SigningKey::open_or_create(&path), Err(KeyError::Io(_))));
}

#[tokio::test]
async fn registration_prefers_what_is_known_then_the_document_then_a_new_one() {
    let site = Site::start(|line, _| match line {
        "POST /register" => {
            (201, r#"{"client_id":"dyn","client_secret":"s","token_endpoint_auth_method":"client_secret_basic"}"#.to_owned())
        }
        _ => (404, String::new()),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    client();
    let key = Arc::new(SigningKey::open_or_create(&dir.path().join("own.pem")).unwrap());
    let own = OwnClient { public_url: "https://gw.example".to_owned(), key: Some(key) };
    let mut server = metadata(&site.origin);
    server.registration_endpoint = Some(site.url("/register"));
    let consent = site.consent();
    let known = registration(&site.origin, ClientAuth::None);
    assert_eq!(client().registration(&server, Some(&known), &own, &consent).await.unwrap().client_id, "gateway");
    let foreign = registration("https://other.example", ClientAuth::None);
    let got = client().registration(&server, Some(&foreign), &own, &consent).await;
    assert_eq!(got.unwrap_err().kind, OAuthErrorKind::Mismatch);
    let got = client().registration(&server, None, &own, &consent).await.unwrap();
    assert!(got.client_id == "dyn" && matches!(got.auth, ClientAuth::Secret(_)) && got.issuer == site.origin);
    let asked: Value = serde_json::from_str(site.seen.lock()[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        (&asked["application_type"], &asked["redirect_uris"]),
        (&json!("web"), &json!(["https://gw.example/connect/callback"]))
    );
    for (public_url, kind) in [
        ("http://127.0.0.1:8443", "native"),
        ("http://localhost", "native"),
        ("http://[::1]:1", "native"),
        ("https://127.0.0.1:8443", "web"),
        ("https://127.0.0.1.example", "web"),
        ("https://10.0.0.1", "web"),
    ] {
        let own = OwnClient { public_url: public_url.to_owned(), key: None };
        client().registration(&server, None, &own, &consent).await.unwrap();
        let asked: Value = serde_json::from_str(site.seen.lock().last().unwrap().split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(asked["application_type"], kind, "{public_url}");
    }
    server.client_id_metadata_document_supported = true;
    let got = client().registration(&server, None, &own, &consent).await.unwrap();
    assert!(got.client_id == "https://gw.example/oauth/client.json" && matches!(got.auth, ClientAuth::None));
    server.token_endpoint_auth_methods_supported = Some(vec!["private_key_jwt".to_owned()]);
    let got = client().registration(&server, None, &own, &consent).await.unwrap();
    assert!(matches!(got.auth, ClientAuth::PrivateKey(_)));
    let document = own.document();
    assert_eq!((&document["client_id"], &document["client_name"]), (&json!(own.client_id()), &json!("Portcullis")));
    assert_eq!(
        (&document["token_endpoint_auth_method"], document["jwks"]["keys"][0]["d"].is_null()),
        (&json!("private_key_jwt"), true)
    );
    (server.client_id_metadata_document_supported, server.registration_endpoint) = (false, None);
    let got = client().registration(&server, None, &own, &consent).await;
    assert_eq!(got.unwrap_err().kind, OAuthErrorKind::Unsupported);
}
