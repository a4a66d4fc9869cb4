//! Tokens that only their issuer can read.

use secrecy::SecretString;

use super::*;

const TOKEN: &str = "opaque-token-1";

fn asking(endpoint: &Endpoint, change: impl FnOnce(&mut IssuerSettings)) -> IssuerSettings {
    let introspection = IntrospectionSettings {
        url: endpoint.url.clone(),
        client_id: "gate way".to_owned(),
        client_secret: SecretString::from("s:cret".to_owned()),
        cache_ms: 30_000,
        jwts_too: false,
    };
    let mut settings =
        IssuerSettings { introspection: Some(introspection), ..issuer(JwksSource::Static(Bytes::from(all_keys()))) };
    change(&mut settings);
    settings
}

fn active() -> Value {
    let mut answer = good_claims();
    answer["active"] = true.into();
    answer["token_type"] = "Bearer".into();
    answer["client_id"] = "cli".into();
    answer
}

fn json_answer(endpoint: &Endpoint, status: &str, body: &str) {
    endpoint.answer_with(&format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
}

#[tokio::test]
async fn an_active_token_is_its_principal_for_a_while() {
    let clock = Clock::system();
    let endpoint = Endpoint::start("").await;
    json_answer(&endpoint, "200 OK", &active().to_string());
    let authenticator = authenticator(asking(&endpoint, |_| {}), &clock);
    let mut asks = tokio::task::JoinSet::new();
    let authenticator = Arc::new(authenticator);
    for _ in 0..50 {
        let authenticator = authenticator.clone();
        asks.spawn(async move { ask(&authenticator, TOKEN).await });
    }
    while let Some(got) = asks.join_next().await {
        let principal = got.unwrap().unwrap();
        assert_eq!((&*principal.iss, &*principal.sub, principal.client_id.as_deref()), (ISSUER, "alice", Some("cli")));
        assert!(principal.has_scope("a") && principal.has_scope("b"));
    }
    assert_eq!(endpoint.hits(), 1, "one question for all");
    let asked = endpoint.seen().to_lowercase();
    // Both halves are form-encoded first (RFC 6749 section 2.3.1).
    let basic = base64::engine::general_purpose::STANDARD.encode("gate+way:s%3Acret").to_lowercase();
    assert!(asked.starts_with("post /jwks http/1.1") && asked.contains(&format!("authorization: basic {basic}")), "{asked}");
    assert!(asked.ends_with(&format!("token={TOKEN}&token_type_hint=access_token")), "{asked}");
    clock.advance_ms(29_000);
    ask(&authenticator, TOKEN).await.unwrap();
    assert_eq!(endpoint.hits(), 1);
    clock.advance_ms(2_000);
    json_answer(&endpoint, "200 OK", r#"{"active":false}"#);
    assert!(matches!(ask(&authenticator, TOKEN).await, Err(Refusal::Invalid { .. })), "revoked at the issuer");
    assert_eq!(endpoint.hits(), 2);
    ask(&authenticator, TOKEN).await.unwrap_err();
    assert_eq!(endpoint.hits(), 2, "a refusal is remembered");
    clock.advance_ms(5_000);
    json_answer(&endpoint, "200 OK", &active().to_string());
    ask(&authenticator, TOKEN).await.unwrap();
}

#[tokio::test]
async fn answers_are_judged_like_tokens() {
    let now = clock_s();
    for (name, to) in [
        ("active", json!(false)),
        ("iss", json!("https://evil.example")),
        ("aud", Value::Null),
        ("aud", json!("https://other.example")),
        ("aud", json!([format!("{URL}/")])),
        ("exp", Value::Null),
        ("exp", json!(now - 31)),
        ("exp", json!((now + 600).to_string())),
        ("nbf", json!(now + 60)),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("scope", json!({"a": 1})),
        ("client_id", json!(7)),
        ("token_type", json!("refresh_token")),
        ("token_use", json!("refresh")),
        ("at_hash", json!("x")),
        ("cnf", json!({"jkt": b64([1; 32])})),
        ("cnf", json!({})),
    ] {
        let endpoint = Endpoint::start("").await;
        let mut answer = active();
        if to.is_null() {
            answer.as_object_mut().unwrap().remove(name);
        } else {
            answer[name] = to.clone();
        }
        json_answer(&endpoint, "200 OK", &answer.to_string());
        let got = ask(&authenticator(asking(&endpoint, |_| {}), &Clock::system()), TOKEN).await;
        assert!(matches!(got, Err(Refusal::Invalid { .. } | Refusal::Proof { .. })), "{name}={to}: {got:?}");
    }
    let endpoint = Endpoint::start("").await;
    let mut nameless = active();
    nameless.as_object_mut().unwrap().remove("iss");
    json_answer(&endpoint, "200 OK", &nameless.to_string());
    ask(&authenticator(asking(&endpoint, |_| {}), &Clock::system()), TOKEN).await.unwrap();
}

#[tokio::test]
async fn what_is_no_answer_says_nothing_about_the_token() {
    let body = active().to_string();
    let twice = body.replacen('{', r#"{"active":true,"#, 1);
    let (ok, text) = ("200 OK", body.as_str());
    for (status, body) in [
        ("401 Unauthorized", text),
        ("500 Oops", text),
        ("302 Found", text),
        (ok, ""),
        (ok, "[]"),
        (ok, "{}"),
        (ok, &twice),
        (ok, r#"{"active":"true"}"#),
    ] {
        let endpoint = Endpoint::start("").await;
        json_answer(&endpoint, status, body);
        let clock = Clock::system();
        let authenticator = authenticator(asking(&endpoint, |_| {}), &clock);
        for _ in 0..3 {
            assert_eq!(ask(&authenticator, TOKEN).await.unwrap_err(), Refusal::Unavailable, "{status} {body}");
        }
        assert_eq!(endpoint.hits(), 1, "{status} {body}: a failure stands for a moment");
        clock.advance_ms(1_500);
        json_answer(&endpoint, ok, text);
        ask(&authenticator, TOKEN).await.unwrap();
    }
    let endpoint = Endpoint::start(&body).await;
    let got = ask(&authenticator(asking(&endpoint, |_| {}), &Clock::system()), TOKEN).await;
    assert_eq!(got.unwrap_err(), Refusal::Unavailable, "no media type");
}

#[tokio::test]
async fn jwts_are_not_shown_to_anybody_unless_wanted() {
    let endpoint = Endpoint::start("").await;
    json_answer(&endpoint, "200 OK", r#"{"active":false}"#);
    let jwt = token_by(&ED, "ed");
    ask(&authenticator(asking(&endpoint, |_| {}), &Clock::system()), &jwt).await.unwrap();
    ask(&knowing(&Clock::system()), TOKEN).await.unwrap_err();
    assert_eq!(endpoint.hits(), 0);
    // What looks like a JWT is read, not shown: an object of any kind, even an empty one, makes a header.
    let foreign = json!({"iss": "https://other.example"}).to_string();
    let header = good_header().to_string();
    for (header, claims) in [("{}", "{}"), ("{}", ""), (" {}", "{}"), (&header, "{}"), (&header, "[]"), (&header, &foreign)] {
        for signature in ["", "x"] {
            let token = format!("{}.{}.{signature}", b64(header), b64(claims));
            let got = ask(&authenticator(asking(&endpoint, |_| {}), &Clock::system()), &token).await;
            assert!(matches!(got, Err(Refusal::Invalid { .. })), "{header}.{claims}.{signature}: {got:?}");
        }
    }
    assert_eq!(endpoint.hits(), 0);
    let all = |settings: &mut IssuerSettings| settings.introspection.as_mut().unwrap().jwts_too = true;
    ask(&authenticator(asking(&endpoint, all), &Clock::system()), &jwt).await.unwrap_err();
    ask(&authenticator(asking(&endpoint, all), &Clock::system()), &token_by(&ed(), "ed")).await.unwrap_err();
    assert_eq!(endpoint.hits(), 1, "a forgery is not asked about");
    json_answer(&endpoint, "200 OK", &active().to_string());
    ask(&authenticator(asking(&endpoint, all), &Clock::system()), &jwt).await.unwrap();
    let mut other = active();
    other["sub"] = "bob".into();
    json_answer(&endpoint, "200 OK", &other.to_string());
    ask(&authenticator(asking(&endpoint, all), &Clock::system()), &jwt).await.unwrap_err();
    // Without keys every token is looked up, whatever it looks like.
    json_answer(&endpoint, "200 OK", &active().to_string());
    let keyless = |settings: &mut IssuerSettings| settings.jwks = JwksSource::None;
    ask(&authenticator(asking(&endpoint, keyless), &Clock::system()), &token_by(&ed(), "unknown")).await.unwrap();
}

#[test]
fn a_token_is_shown_to_one_issuer_at_most() {
    let introspection = IntrospectionSettings {
        url: "https://idp.example.com/introspect".parse().unwrap(),
        client_id: "c".to_owned(),
        client_secret: SecretString::from("s".to_owned()),
        cache_ms: 1_000,
        jwts_too: false,
    };
    let issuer = |name: &str| IssuerSettings {
        introspection: Some(introspection.clone()),
        ..IssuerSettings::new(name.to_owned(), JwksSource::None)
    };
    let settings = |issuers| Settings { issuers, ..Settings::default() };
    let two = settings(vec![issuer("https://a.example"), issuer("https://b.example")]);
    assert!(matches!(Authenticator::new(two, Clock::system(), fetch()).err(), Some(SettingsError::Rule(_))));
    assert!(Authenticator::new(settings(vec![issuer("https://a.example")]), Clock::system(), fetch()).is_ok());
}
