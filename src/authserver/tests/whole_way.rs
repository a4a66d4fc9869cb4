//! A client that is known by its document, from the request to the tokens.

use super::*;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Method, StatusCode, header};
use url::form_urlencoded::Serializer;

use crate::store::Space;
use crate::web::{PageAnswer, digest, digest_text};

const SESSION: &str = "the-session-of-alice";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more-";

fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn location(answer: &PageAnswer) -> String {
    let location = answer.headers.get(header::LOCATION);
    location.unwrap_or_else(|| panic!("{:?}", answer.note)).to_str().unwrap().to_owned()
}

/// Somebody who is signed in, in front of a browser.
struct Alice<'s> {
    server: &'s AuthServer,
    cookies: String,
}

impl Alice<'_> {
    async fn send(&mut self, mut request: PageRequest) -> PageAnswer {
        request.headers.insert(header::COOKIE, HeaderValue::try_from(&self.cookies).unwrap());
        request.headers.insert(header::ORIGIN, HeaderValue::from_static("https://gw.example"));
        let answer = self.server.handle(&request).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            // A browser has one cookie of a name; the server never changes this one.
            if !self.cookies.contains(pair) {
                self.cookies = format!("{pair}; {}", self.cookies);
            }
        }
        answer
    }

    /// A code for the client `id`.
    async fn code(&mut self, id: &str) -> String {
        let challenge = digest_text(VERIFIER);
        let asked = form(&[
            ("response_type", "code"),
            ("client_id", id),
            ("redirect_uri", "https://app.example/cb"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let page = self.send(page_request(Method::GET, "/oauth/authorize", Some(&asked), "")).await;
        assert_eq!(page.status, StatusCode::OK, "{:?}", page.note);
        let text = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(text.contains("<dt>Published by</dt><dd><strong>localhost</strong></dd>"), "{text}");
        let field = |name: &str| {
            let rest = text.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let yes = form(&[("request", &field("request")), ("csrf", &field("csrf")), ("decision", "allow")]);
        let next = location(&self.send(page_request(Method::POST, "/oauth/authorize", None, &yes)).await);
        let (path, query) = next.strip_prefix("https://gw.example").unwrap().split_once('?').unwrap();
        let back = location(&self.send(page_request(Method::GET, path, Some(query), "")).await);
        assert!(back.starts_with("https://app.example/cb?code="), "{back}");
        let pairs = url::Url::parse(&back).unwrap();
        pairs.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }
}

fn key() -> (Ed25519KeyPair, Value) {
    let key = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    (key, json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x}]}))
}

fn assertion(key: &Ed25519KeyPair, id: &str, jti: &str, clock: &Clock) -> String {
    let claims = json!({"iss": id, "sub": id, "aud": "https://gw.example", "exp": clock.unix_s() + 60, "jti": jti});
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "EdDSA"})), part(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).as_ref()))
}

#[tokio::test]
async fn a_client_of_a_document_gets_tokens_with_and_without_keys() {
    let (dir, clock, host) = (TempDir::new().unwrap(), Clock::system(), Host::start().await);
    let lasting = lasting(&dir, &clock).await;
    let cimd = CimdSettings { allow: vec!["localhost".to_owned()], any: false, dial: LOOPBACK };
    let server = server(settings(cimd), &lasting, &clock, &host.fetch);
    let person = json!({"iss": "http://127.0.0.1:1", "sub": "alice", "name": null, "claims": {}, "signed_in_s": clock.unix_s()});
    let session = json!({"person": person, "seen_s": clock.unix_s()}).to_string().into_bytes();
    lasting.store.put(Space::BrowserSession, &digest(SESSION), &session, None).await.unwrap();
    let mut alice = Alice { server: &server, cookies: format!("__Host-portcullis-session={SESSION}") };
    let id = host.id();
    let token = async |pairs: &[(&str, &str)]| {
        let answer = server.handle(&page_request(Method::POST, "/oauth/token", None, &form(pairs))).await;
        (answer.status, serde_json::from_slice::<Value>(&answer.body).unwrap_or_default())
    };

    host.says("application/json", "", &document(&id, json!({})));
    let code = alice.code(&id).await;
    let redeem = [("grant_type", "authorization_code"), ("client_id", &id), ("code", &code), ("code_verifier", VERIFIER)];
    let (status, body) = token(&redeem).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let refresh = body["refresh_token"].as_str().unwrap();
    let (status, body) = token(&[("grant_type", "refresh_token"), ("client_id", &id), ("refresh_token", refresh)]).await;
    assert_eq!((status, body["access_token"].is_string()), (StatusCode::OK, true), "{body}");

    // The same client takes keys, and then others: the document says so, an hour later and at once.
    let ((old, old_keys), (new, new_keys)) = (key(), key());
    let with = |keys: &Value| document(&id, json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys}));
    host.says("application/json", "", &with(&old_keys));
    clock.advance_ms(3_601_000);
    let session = json!({"person": {"iss": "http://127.0.0.1:1", "sub": "alice", "name": null, "claims": {}, "signed_in_s": clock.unix_s()},
        "seen_s": clock.unix_s()});
    lasting.store.put(Space::BrowserSession, &digest(SESSION), &session.to_string().into_bytes(), None).await.unwrap();
    let code = alice.code(&id).await;
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let redeem = async |code: &str, assertion: &str| {
        let shown = [("client_assertion_type", kind), ("client_assertion", assertion), ("code_verifier", VERIFIER)];
        token(&[&[("grant_type", "authorization_code"), ("code", code)], &shown[..]].concat()).await
    };
    let (status, body) = redeem(&code, &assertion(&old, &id, "a", &clock)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let asked = host.asked.load(Ordering::SeqCst);
    host.says("application/json", "", &with(&new_keys));
    let (status, _) = redeem("x", &assertion(&new, &id, "b", &clock)).await;
    assert_eq!((status, host.asked.load(Ordering::SeqCst)), (StatusCode::UNAUTHORIZED, asked), "it was fetched just now");
    clock.advance_ms(31_000);
    let (status, body) = redeem("x", &assertion(&new, &id, "c", &clock)).await;
    assert_eq!(
        (status, body["error"].as_str()),
        (StatusCode::BAD_REQUEST, Some("invalid_grant")),
        "the client, not the code: {body}"
    );
    assert_eq!(host.asked.load(Ordering::SeqCst), asked + 1);
    let (status, _) = redeem("x", &assertion(&old, &id, "d", &clock)).await;
    assert_eq!((status, host.asked.load(Ordering::SeqCst)), (StatusCode::UNAUTHORIZED, asked + 1), "the old keys are gone");
}
