//! Where answers go, and what is said on a page instead.

use super::{CALLBACK, Realm, location, query};

#[tokio::test]
async fn an_address_that_is_not_the_clients_own_gets_nothing() {
    let realm = Realm::start().await;
    let browser = realm.browser();
    for uri in [
        "",
        "https://client.example/cb/",
        "https://client.example/CB",
        "https://client.example/cb?x=1",
        "https://client.example/cb#f",
        "https://client.example:443/cb",
        "https://client.example.evil.example/cb",
        "https://client.example@evil.example/cb",
        "https://evil.example/cb",
        "http://client.example/cb",
        "HTTPS://client.example/cb",
        "https://client.example/./cb",
        "https://client.example/c%62",
        "https://other.example/cb",
        "//client.example/cb",
        "javascript:alert(1)",
        "http://127.0.0.1/other",
        "http://127.0.0.1:7777/native/",
        "http://127.0.0.1:7777/native?x=1",
        "http://127.0.0.1:77777/native",
        "http://127.0.0.1:0/native",
        "http://127.0.0.1:/native",
        "http://127.0.0.1:7777@evil.example/native",
        "http://127.0.0.1.evil.example/native",
        "http://127.0.0.2/native",
        "http://localhost/native",
        "http://[::1]:80/native",
        "https://127.0.0.1/native",
        "http://127.0.0.1:77 77/native",
    ] {
        let got = browser.get(&realm.authorize(&[("redirect_uri", uri)])).await;
        assert_eq!((got.status, got.header("location")), (400, None), "{uri}: {}", got.whole());
        assert_eq!(got.header("x-frame-options"), Some("DENY"));
    }
    for uri in [CALLBACK, "http://127.0.0.1/native", "http://127.0.0.1:7777/native", "http://127.0.0.1:65535/native"] {
        let got = browser.get(&realm.authorize(&[("redirect_uri", uri)])).await;
        assert_eq!(got.status, 200, "{uri}: {}", got.whole());
    }
    for changes in [vec![("client_id", "nobody")], vec![("client_id", "")], vec![("client_id", "https://cimd.example/x")]] {
        let got = browser.get(&realm.authorize(&changes)).await;
        assert_eq!((got.status, got.header("location")), (400, None), "{changes:?}: {}", got.whole());
    }
    let twice = format!("{}&redirect_uri=https://evil.example/", realm.authorize(&[]));
    let got = browser.get(&twice).await;
    assert_eq!((got.status, got.header("location")), (400, None), "{}", got.whole());
}

#[tokio::test]
async fn errors_go_to_the_client_with_our_issuer() {
    let realm = Realm::start().await;
    let browser = realm.browser();
    for (changes, error) in [
        (vec![("response_type", "token")], "unsupported_response_type"),
        (vec![("response_type", "")], "unsupported_response_type"),
        (vec![("code_challenge", "")], "invalid_request"),
        (vec![("code_challenge", "short")], "invalid_request"),
        (vec![("code_challenge_method", "plain")], "invalid_request"),
        (vec![("code_challenge_method", "")], "invalid_request"),
        (vec![("response_mode", "fragment")], "invalid_request"),
        (vec![("prompt", "none login")], "invalid_request"),
        (vec![("prompt", "surprise")], "invalid_request"),
        (vec![("request", "x.y.z")], "request_not_supported"),
        (vec![("request_uri", "https://evil.example/")], "request_uri_not_supported"),
        (vec![("scope", "mcp:read root")], "invalid_scope"),
        (vec![("resource", "")], "invalid_target"),
        (vec![("resource", "https://elsewhere.example/mcp")], "invalid_target"),
        (vec![("prompt", "none")], "login_required"),
    ] {
        let got = browser.get(&realm.authorize(&changes)).await;
        let url = location(&got);
        assert!(url.starts_with(&format!("{CALLBACK}?error=")), "{changes:?}: {url}");
        assert_eq!(query(&url, "error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(query(&url, "state").as_deref(), Some("client-state"), "{changes:?}");
        assert_eq!(query(&url, "iss"), Some(realm.origin()), "{changes:?}");
        assert_eq!(query(&url, "code"), None, "{changes:?}");
    }
    // A resource differs by one byte.
    for resource in [realm.gate.url("/mcp/"), realm.gate.url("/MCP"), realm.gate.url(""), realm.gate.url("/mcp?x")] {
        let url = location(&browser.get(&realm.authorize(&[("resource", &resource)])).await);
        assert_eq!(query(&url, "error").as_deref(), Some("invalid_target"), "{resource}");
    }
}
