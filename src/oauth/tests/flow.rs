use super::*;

const ISSUER: &str = "https://as.example";
const BACK: &str = "https://gw.example/connect/callback";

fn start(server: &ServerMetadata) -> Result<(Url, PendingFlow), OAuthError> {
    let registration = registration(ISSUER, ClientAuth::None);
    Flow::start(server, &registration, &Consent::none(), BACK, &["a".to_owned(), "b".to_owned()], "https://up.example/mcp")
}

fn params(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_browser_is_sent_with_everything_and_the_flow_is_kept() {
    let (url, pending) = start(&metadata(ISSUER)).unwrap();
    let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert!(url.as_str().starts_with("https://as.example/authorize?tenant=1&"));
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "gateway"),
        ("redirect_uri", BACK),
        ("scope", "a b"),
        ("resource", "https://up.example/mcp"),
        ("code_challenge_method", "S256"),
        ("state", &pending.state),
    ] {
        assert_eq!(query[name], value);
    }
    assert!(pending.state.len() >= 43);
    let kept = serde_json::to_string(&pending).unwrap();
    let verifier = serde_json::from_str::<serde_json::Value>(&kept).unwrap()["verifier"].as_str().unwrap().to_owned();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    use base64::Engine as _;
    assert_eq!(query["code_challenge"], base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest));
    assert!(!format!("{pending:?}").contains(&verifier) && !format!("{pending:?}").contains(&pending.state));
    let again: PendingFlow = serde_json::from_str(&kept).unwrap();
    assert_eq!(again.state, pending.state);
    assert_ne!(start(&metadata(ISSUER)).unwrap().1.state, pending.state);
}

#[test]
fn no_flow_starts_without_s256_or_towards_anything_but_https() {
    for methods in [&[][..], &["plain"], &["s256"]] {
        let mut server = metadata(ISSUER);
        server.code_challenge_methods_supported = methods.iter().map(|m| (*m).to_owned()).collect();
        assert_eq!(start(&server).unwrap_err().kind, OAuthErrorKind::Unsupported, "{methods:?}");
    }
    for endpoint in [
        "http://as.example/authorize",
        "http://127.0.0.1/authorize",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "https://user@as.example/",
        "ftp://as.example/",
    ] {
        let mut server = metadata(ISSUER);
        server.authorization_endpoint = Some(Url::parse(endpoint).unwrap());
        assert_eq!(start(&server).unwrap_err().kind, OAuthErrorKind::Refused, "{endpoint}");
    }
    let mut other = metadata("https://b.example");
    other.issuer = "https://b.example".to_owned();
    assert_eq!(start(&other).unwrap_err().kind, OAuthErrorKind::Mismatch);
}

#[test]
fn an_answer_belongs_to_its_flow_or_is_not_looked_at() {
    use OAuthErrorKind::{AccessDenied, Denied, Malformed, Mismatch};
    for announced in [false, true] {
        let mut server = metadata(ISSUER);
        server.authorization_response_iss_parameter_supported = announced;
        let (_, pending) = start(&server).unwrap();
        let state = pending.state.clone();
        let state = state.as_str();
        let iss_less = if announced { Some(Mismatch) } else { None };
        for (given, want) in [
            (vec![("state", state), ("iss", ISSUER), ("code", "c")], None),
            (vec![("state", state), ("code", "c")], iss_less),
            (vec![("state", state), ("iss", "https://as.example/"), ("code", "c")], Some(Mismatch)),
            (vec![("state", state), ("iss", "https://AS.example"), ("code", "c")], Some(Mismatch)),
            (vec![("state", state), ("iss", ""), ("code", "c")], Some(Mismatch)),
            (vec![("state", state), ("iss", "https://evil.example"), ("error", "access_denied")], Some(Mismatch)),
            (vec![("state", state), ("error", "access_denied")], Some(if announced { Mismatch } else { AccessDenied })),
            (vec![("state", state), ("iss", ISSUER), ("error", "access_denied"), ("code", "c")], Some(AccessDenied)),
            (vec![("state", state), ("iss", ISSUER), ("error", "<script>")], Some(Denied)),
            (vec![("iss", ISSUER), ("code", "c")], Some(Mismatch)),
            (vec![("state", ""), ("iss", ISSUER), ("code", "c")], Some(Mismatch)),
            (vec![("state", "x"), ("iss", ISSUER), ("code", "c")], Some(Mismatch)),
            (vec![("state", state), ("state", state), ("iss", ISSUER), ("code", "c")], Some(Mismatch)),
            (vec![("state", state), ("iss", ISSUER), ("iss", "x"), ("code", "c")], Some(Malformed)),
            (vec![("state", state), ("iss", ISSUER), ("code", "c"), ("code", "d")], Some(Malformed)),
            (vec![("state", state), ("iss", ISSUER), ("code", "")], Some(Malformed)),
            (vec![("state", state), ("iss", ISSUER)], Some(Malformed)),
        ] {
            let got = pending.clone().accept(&params(&given));
            assert_eq!(got.as_ref().err().map(|error| error.kind), want, "{announced} {given:?}");
            assert!(got.err().is_none_or(|error| !error.detail.contains("script")));
        }
    }
}

#[tokio::test]
async fn a_code_is_redeemed_where_it_was_asked_for() {
    let site = Site::start(|_, _| (200, r#"{"access_token":"t","token_type":"Bearer"}"#.to_owned())).await;
    let (server, own) = (metadata(&site.origin), registration(&site.origin, ClientAuth::None));
    let scopes: [String; 0] = [];
    let begin = || Flow::start(&server, &own, &site.consent(), BACK, &scopes, "https://up.example/mcp").unwrap().1;
    let code = |pending: PendingFlow| {
        let answer = params(&[("state", &pending.state.clone()), ("code", "c-1")]);
        pending.accept(&answer).unwrap()
    };
    let consent = site.consent();
    let at = At { server: &server, registration: &own, consent: &consent };
    client().exchange_code(at, &code(begin())).await.unwrap();
    let seen = site.seen.lock()[0].clone();
    for field in [
        "grant_type=authorization_code",
        "code=c-1",
        "redirect_uri=https%3A%2F%2Fgw",
        "code_verifier=",
        "resource=https%3A%2F%2Fup.example%2Fmcp",
        "client_id=gateway",
    ] {
        assert!(seen.contains(field), "{field} in {seen}");
    }
    let mut elsewhere = server.clone();
    elsewhere.issuer = "https://evil.example".to_owned();
    let theirs = registration("https://evil.example", ClientAuth::None);
    for (server, registration) in [(&elsewhere, &theirs), (&elsewhere, &own), (&server, &theirs)] {
        let at = At { server, registration, consent: &consent };
        assert_eq!(client().exchange_code(at, &code(begin())).await.unwrap_err().kind, OAuthErrorKind::Mismatch);
    }
    assert_eq!(site.lines().len(), 1, "the code left once");
}
