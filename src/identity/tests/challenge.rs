//! The header, and what a refusal looks like from outside.

use http::{HeaderValue, StatusCode};

use super::*;
use crate::vocab::limits::TOKEN_BYTES_MAX;

fn anonymous_allowed() -> Authenticator {
    let settings =
        Settings { anonymous: true, issuers: vec![issuer(JwksSource::Static(Bytes::from(all_keys())))], ..Settings::default() };
    Authenticator::new(settings, Clock::system(), fetch()).unwrap()
}

#[tokio::test]
async fn one_bearer_header_of_one_shape_is_read() {
    let token = token_by(&ED, "ed");
    let authenticator = anonymous_allowed();
    let ask = async |values: &[String]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("authorization", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        authenticator.authenticate(post(&headers, &resource(&[]))).await
    };
    for good in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER {token}")] {
        assert_eq!(&*ask(&[good]).await.unwrap().sub, "alice");
    }
    let good = format!("Bearer {token}");
    for malformed in [
        vec![good.clone(), good.clone()],
        vec![good.clone(), "Basic eDp5".to_owned()],
        vec![good.clone(), String::new()],
        vec![format!("Bearer  {token}")],
        vec![format!("Bearer\t{token}")],
        vec![format!("{good} ")],
        vec![format!("{good},")],
        vec![format!("{good}, {good}")],
        vec![format!("{good} x")],
        vec![format!("Bearer ={token}")],
        vec![format!("Bearer \"{token}\"")],
        vec!["Bearer".to_owned()],
        vec!["Bearer ".to_owned()],
        vec!["Bearer ==".to_owned()],
        vec![String::new()],
        vec![format!("Bearer{token}")],
        vec![token.clone()],
        vec![format!("Bearer é{token}")],
        vec![format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1))],
    ] {
        assert_eq!(ask(&malformed).await.unwrap_err(), Refusal::Malformed, "{malformed:?}");
    }
    for other in ["Basic eDp5".to_owned(), format!("Token {token}"), format!(" {token}")] {
        assert!(matches!(ask(std::slice::from_ref(&other)).await, Err(Refusal::Invalid { .. })), "{other}");
    }
    assert!(ask(&[]).await.unwrap().anonymous);
    assert!(matches!(ask(&["Bearer expired".to_owned()]).await, Err(Refusal::Invalid { .. })), "invalid is not anonymous");
}

#[tokio::test]
async fn tokens_elsewhere_are_not_seen() {
    let mut headers = HeaderMap::new();
    let token = token_by(&ED, "ed");
    for name in ["x-authorization", "proxy-authorization", "x-api-key", "cookie"] {
        headers.insert(name, format!("Bearer {token}").parse().unwrap());
    }
    let got = knowing(&Clock::system()).authenticate(post(&headers, &resource(&[]))).await;
    assert_eq!(got.unwrap_err(), Refusal::Missing);
}

#[tokio::test]
async fn route_scopes_are_needed_after_verification() {
    let authenticator = anonymous_allowed();
    let token = token_by(&ED, "ed");
    let get = async |headers: &HeaderMap, scopes: &[&str]| authenticator.authenticate(post(headers, &resource(scopes))).await;
    get(&bearing(&token), &["a", "b"]).await.unwrap();
    let lacking = get(&bearing(&token), &["a", "admin"]).await.unwrap_err();
    let holder = Some(Holder(get(&bearing(&token), &["a"]).await.unwrap()));
    assert_eq!(lacking, Refusal::InsufficientScope { scopes: vec!["a".to_owned(), "admin".to_owned()], holder });
    let forged = get(&bearing(&token_by(&ed(), "ed")), &["admin"]).await;
    assert!(matches!(forged, Err(Refusal::Invalid { .. })));
    assert_eq!(get(&HeaderMap::new(), &["a"]).await.unwrap_err(), Refusal::Missing, "nobody has scopes: sign in");
}

#[test]
fn challenges_say_what_helps_and_nothing_else() {
    let url = "https://gateway.example.com/.well-known/oauth-protected-resource/mcp";
    let more = vec!["files:write".to_owned(), "mcp:read".to_owned()];
    for (refusal, scopes, status, want) in [
        (Refusal::Missing, vec![], 401, format!("Bearer resource_metadata=\"{url}\"")),
        (Refusal::Missing, vec!["mcp:read", "x"], 401, format!("Bearer resource_metadata=\"{url}\", scope=\"mcp:read x\"")),
        (
            Refusal::Invalid { private: "the token has expired" },
            vec!["mcp:read"],
            401,
            format!("Bearer error=\"invalid_token\", resource_metadata=\"{url}\", scope=\"mcp:read\""),
        ),
        (Refusal::Malformed, vec![], 400, format!("Bearer error=\"invalid_request\", resource_metadata=\"{url}\"")),
        (
            Refusal::InsufficientScope { scopes: more, holder: None },
            vec!["mcp:read"],
            403,
            format!("Bearer error=\"insufficient_scope\", resource_metadata=\"{url}\", scope=\"mcp:read files:write\""),
        ),
    ] {
        let (got, challenge) = refusal.response_parts(&resource(&scopes));
        assert_eq!((got.as_u16(), challenge.unwrap().to_str().unwrap()), (status, want.as_str()));
    }
    let unavailable = Refusal::Unavailable.response_parts(&resource(&["a"]));
    assert_eq!(unavailable, (StatusCode::SERVICE_UNAVAILABLE, None));
    let hostile = Resource { metadata_url: "https://x/\"y\\".to_owned(), ..resource(&["a\"b", "ok"]) };
    let (_, challenge) = Refusal::Missing.response_parts(&hostile);
    assert_eq!(challenge.unwrap(), r#"Bearer resource_metadata="https://x/\"y\\", scope="ok""#);
}

#[test]
fn metadata_names_the_very_resource() {
    let parsed = |r: &Resource| serde_json::from_slice::<Value>(&resource_metadata(r, &[ISSUER])).unwrap();
    assert_eq!(
        parsed(&resource(&["mcp:read"])),
        json!({"resource": URL, "authorization_servers": [ISSUER], "scopes_supported": ["mcp:read"], "bearer_methods_supported": ["header"]})
    );
    assert!(parsed(&resource(&[])).get("scopes_supported").is_none());
    let algorithms = json!(["ES256", "EdDSA", "ES384", "PS256", "RS256"]);
    let (yes, no) = (json!(true), Value::Null);
    for (proof, required, algorithms, certificates) in [
        (Proof::None, &no, &no, &no),
        (Proof::Dpop, &yes, &algorithms, &no),
        (Proof::Mtls, &no, &no, &yes),
        (Proof::Any, &no, &algorithms, &yes),
    ] {
        let said = parsed(&Resource { proof, ..resource(&[]) });
        assert_eq!(&said["dpop_bound_access_tokens_required"], required, "{proof:?}");
        assert_eq!(&said["dpop_signing_alg_values_supported"], algorithms, "{proof:?}");
        assert_eq!(&said["tls_client_certificate_bound_access_tokens"], certificates, "{proof:?}");
    }
    assert_eq!(metadata_path("/mcp/files"), "/.well-known/oauth-protected-resource/mcp/files");
    assert_eq!(metadata_path("/"), "/.well-known/oauth-protected-resource");
}
