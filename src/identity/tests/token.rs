//! Attacks on tokens, one row each.

use aws_lc_rs::hmac;

use super::*;

/// The private reason of the refusal of `token`.
async fn why(token: &str) -> &'static str {
    match ask(&knowing(&Clock::system()), token).await {
        Err(Refusal::Invalid { private }) => private,
        other => panic!("{other:?} for {token}"),
    }
}

fn with(mut value: Value, name: &str, to: Value) -> Value {
    if to.is_null() {
        value.as_object_mut().unwrap().remove(name);
    } else {
        value[name] = to;
    }
    value
}

#[tokio::test]
async fn every_configured_algorithm_verifies() {
    for (signer, alg, kid) in [
        (&*RSA, "RS256", "rsa"),
        (&*RSA, "PS256", "rsa"),
        (&*P256, "ES256", "p256"),
        (&*P384, "ES384", "p384"),
        (&*ED, "EdDSA", "ed"),
    ] {
        for kid in [json!(kid), Value::Null] {
            let header = with(json!({"alg": alg, "typ": "JWT"}), "kid", kid);
            let token = signer.token_of(alg, &header.to_string(), &good_claims().to_string());
            let principal = ask(&knowing(&Clock::system()), &token).await.unwrap();
            assert_eq!((&*principal.iss, &*principal.sub), (ISSUER, "alice"), "{alg}");
        }
    }
}

#[tokio::test]
async fn headers_that_are_not_plain_are_refused() {
    let claims = good_claims().to_string();
    let jwk = ed().jwk("ed");
    let member = "holds a member that is not accepted";
    for (name, to, reason) in [
        ("alg", json!("none"), "unknown algorithm"),
        ("alg", json!("None"), "unknown algorithm"),
        ("alg", json!("eddsa"), "unknown algorithm"),
        ("alg", json!(["EdDSA"]), "unknown algorithm"),
        ("alg", Value::Null, "unknown algorithm"),
        ("alg", json!("HS256"), "may not use"),
        ("alg", json!("RS512"), "may not use"),
        ("alg", json!("RS256"), "no key"),
        ("crit", json!([]), member),
        ("crit", json!(["exp"]), member),
        ("jwk", jwk, member),
        ("jku", json!("https://evil.example/jwks"), member),
        ("x5u", json!("https://evil.example/x5"), member),
        ("x5c", json!(["MIIB"]), member),
        ("b64", json!(false), member),
        ("zip", json!("DEF"), member),
        ("typ", json!("id+jwt"), "type"),
        ("typ", json!("logout+jwt"), "type"),
        ("typ", json!("dpop+jwt"), "type"),
        ("typ", json!(""), "type"),
        ("typ", json!(1), "type"),
        ("kid", json!("p256"), "no key"),
        ("kid", json!("ED"), "no key"),
        ("kid", json!("ed "), "no key"),
        ("kid", json!("../../dev/null"), "no key"),
        ("kid", json!("ed' OR '1'='1"), "no key"),
        ("kid", json!(""), "key id"),
        ("kid", json!(["ed"]), "key id"),
        ("kid", json!("e".repeat(257)), "key id"),
    ] {
        let header = with(good_header(), name, to.clone());
        let got = why(&ED.token_of("EdDSA", &header.to_string(), &claims)).await;
        assert!(got.contains(reason), "{name}={to}: {got}");
    }
    for typ in [json!("AT+JWT"), json!("application/at+jwt"), json!("jwt"), Value::Null] {
        let header = with(good_header(), "typ", typ.clone());
        let token = ED.token_of("EdDSA", &header.to_string(), &claims);
        ask(&knowing(&Clock::system()), &token).await.unwrap_or_else(|e| panic!("{typ}: {e:?}"));
    }
}

#[tokio::test]
async fn claims_that_do_not_hold_are_refused() {
    let now = clock_s();
    let array = |n: usize| json!(vec!["https://other.example"; n]);
    for (name, to, reason) in [
        ("iss", Value::Null, "issuer"),
        ("iss", json!("https://idp.example.com/"), "issuer"),
        ("iss", json!("https://IDP.example.com"), "issuer"),
        ("iss", json!("https://idp.example.com.evil"), "issuer"),
        ("iss", json!(["https://idp.example.com"]), "issuer"),
        ("iss", json!("portcullis:keys"), "issuer"),
        ("aud", Value::Null, "no audience"),
        ("aud", json!("https://gateway.example.com"), "another audience"),
        ("aud", json!("https://gateway.example.com/mcp/"), "another audience"),
        ("aud", json!("https://gateway.example.com/mcp/files"), "another audience"),
        ("aud", json!("https://gateway.example.com./mcp"), "another audience"),
        ("aud", json!("https://gateway.example.com:443/mcp"), "another audience"),
        ("aud", json!("http://gateway.example.com/mcp"), "another audience"),
        ("aud", json!("https://gateway.example.com/mc"), "another audience"),
        ("aud", json!("HTTPS://gateway.example.com/mcp"), "another audience"),
        ("aud", json!("https://gateway.example.com/mcp https://other.example"), "another audience"),
        ("aud", json!("*"), "another audience"),
        ("aud", json!(""), "another audience"),
        ("aud", array(0), "another audience"),
        ("aud", array(3), "another audience"),
        ("aud", json!([URL, 1]), "audience is not"),
        ("aud", json!({"0": URL}), "audience is not"),
        ("sub", Value::Null, "no subject"),
        ("sub", json!(7), "no subject"),
        ("sub", json!(""), "subject is"),
        ("sub", json!("a\nb"), "subject is"),
        ("sub", json!("a\u{0}"), "subject is"),
        ("sub", json!("a".repeat(257)), "subject is"),
        ("exp", Value::Null, "no expiry"),
        ("exp", json!(now - 31), "expired"),
        ("exp", json!(0), "expired"),
        ("exp", json!(-1), "not a number"),
        ("exp", json!((now + 600).to_string()), "not a number"),
        ("exp", json!(1e300), "not a number"),
        ("exp", json!([now + 600]), "not a number"),
        ("nbf", json!(now + 60), "not valid yet"),
        ("nbf", json!("soon"), "not a number"),
        ("iat", json!({}), "not a number"),
        ("scope", json!(["a", 1]), "scopes"),
        ("scope", json!({"a": true}), "scopes"),
        ("scope", json!("a\"b"), "scopes"),
        ("scope", json!(vec!["s"; 257]), "scopes"),
        ("client_id", json!(["c"]), "client id"),
        ("client_id", json!(""), "client id"),
    ] {
        let claims = with(good_claims(), name, to.clone());
        let got = why(&ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string())).await;
        assert!(got.contains(reason), "{name}={to}: {got}");
    }
    for (name, to) in [
        ("aud", json!(["https://other.example", URL])),
        ("exp", json!(now - 20)),
        ("exp", json!(1.5e10)),
        ("nbf", json!(now + 20)),
        ("sub", json!("auth0|5f7c8ec7c33c6c004bbafe82")),
        ("scope", Value::Null),
    ] {
        let claims = with(good_claims(), name, to.clone());
        let token = ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string());
        ask(&knowing(&Clock::system()), &token).await.unwrap_or_else(|e| panic!("{name}={to}: {e:?}"));
    }
}

#[tokio::test]
async fn two_readings_of_one_token_are_refused() {
    let (header, claims) = (good_header().to_string(), good_claims().to_string());
    let twice = |json: &str, more: &str| format!("{{{more},{}", &json[1..]);
    for (header, claims) in [
        (twice(&header, r#""alg":"none""#), claims.clone()),
        (twice(&header, r#""\u0061lg":"none""#), claims.clone()),
        (header.clone(), twice(&claims, r#""sub":"root""#)),
        (header.clone(), twice(&claims, r#""x":{"y":1,"y":2}"#)),
        (header.clone(), format!("{claims}{{}}")),
        (header.clone(), "[]".to_owned()),
        (format!("[{header}]"), claims.clone()),
        (header.clone(), String::new()),
    ] {
        let got = why(&ED.token_of("EdDSA", &header, &claims)).await;
        assert!(got.contains("not one strict JSON object") || got == "not a JWT", "{header} {claims}: {got}");
    }
}

#[tokio::test]
async fn forged_and_damaged_tokens_are_refused() {
    let good = token_by(&ED, "ed");
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let other = b64(with(good_claims(), "sub", json!("root")).to_string());
    let flipped = format!("{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    for token in [
        format!("{header}.{other}.{signature}"),
        format!("{header}.{claims}.{flipped}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{header}..{signature}"),
        format!(".{claims}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}=="),
        format!("{header}.{claims}.{signature}A"),
        format!("{header}.{claims}.{}", &signature[..signature.len() - 2]),
        format!("{header}/.{claims}.{signature}"),
        token_by(&ed(), "ed"),
        "opaque".to_owned(),
        "...".to_owned(),
        "~".to_owned(),
    ] {
        why(&token).await;
    }
    ask(&knowing(&Clock::system()), &good).await.unwrap();
}

#[tokio::test]
async fn a_public_key_is_not_a_secret() {
    let Signer::Rsa(key) = &*RSA else { unreachable!() };
    let jwk = RSA.jwk("rsa").to_string();
    for secret in [key.public_key().as_ref(), jwk.as_bytes(), all_keys().as_bytes(), b""] {
        for kid in ["rsa", "ed"] {
            let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid}).to_string();
            let signed = format!("{}.{}", b64(header), b64(good_claims().to_string()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
            assert!(why(&format!("{signed}.{}", b64(tag))).await.contains("may not use"));
        }
    }
}

#[tokio::test]
async fn other_kinds_of_tokens_are_not_access_tokens() {
    for (name, value) in
        [("at_hash", "x"), ("c_hash", "x"), ("token_use", "id"), ("typ", "ID"), ("typ", "Refresh"), ("events", "x")]
    {
        let claims = with(good_claims(), name, json!(value)).to_string();
        let plain = with(good_header(), "typ", json!("JWT")).to_string();
        assert_eq!(why(&ED.token_of("EdDSA", &plain, &claims)).await, "not an access token", "{name}");
        let typed = ED.token_of("EdDSA", &good_header().to_string(), &claims);
        ask(&knowing(&Clock::system()), &typed).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_for_one_route_is_nothing_at_another() {
    let clock = Clock::system();
    let authenticator = knowing(&clock);
    let token = token_by(&ED, "ed");
    ask(&authenticator, &token).await.unwrap();
    let other = Resource { url: format!("{URL}/files"), ..resource(&[]) };
    let got = authenticator.authenticate(post(&bearing(&token), &other)).await;
    assert_eq!(got.unwrap_err(), Refusal::Invalid { private: "another audience" });
    let mut fixed = issuer(JwksSource::Static(Bytes::from(all_keys())));
    fixed.audience = vec!["api://gateway".to_owned()];
    let got = ask(&self::authenticator(fixed, &clock), &token).await;
    assert_eq!(got.unwrap_err(), Refusal::Invalid { private: "another audience" }, "a given audience replaces the URL");
}

#[tokio::test]
async fn remembered_tokens_still_end() {
    let clock = Clock::system();
    let authenticator = knowing(&clock);
    let token = token_by(&ED, "ed");
    let first = ask(&authenticator, &token).await.unwrap();
    let again = authenticator.authenticate_now(post(&bearing(&token), &resource(&[]))).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &again), "the second answer is the remembered one");
    clock.advance_ms(631_000);
    assert_eq!(ask(&authenticator, &token).await.unwrap_err(), Refusal::Invalid { private: "the token has expired" });
    clock.advance_ms(-3_600_000);
    let got = ask(&authenticator, &token).await.unwrap_err();
    assert_eq!(got, Refusal::Invalid { private: "the token has expired" }, "a clock set back revives nothing");
}

#[tokio::test]
async fn claims_come_from_where_the_operator_says() {
    let mut settings = issuer(JwksSource::Static(Bytes::from(all_keys())));
    for (ours, theirs) in [("groups", "realm.roles"), ("scope", "scp"), ("tenant", "https://x.example/org"), ("level", "missing")]
    {
        settings.claims.insert(ours.to_owned(), theirs.to_owned());
    }
    let authenticator = authenticator(settings, &Clock::system());
    let mut claims = good_claims();
    claims["realm"] = json!({"roles": ["ops"]});
    claims["scp"] = json!(["x", "y"]);
    claims["https://x.example/org"] = json!("acme");
    claims["level"] = json!("admin");
    claims["azp"] = json!("cli");
    claims["extra"] = json!(true);
    let principal = ask(&authenticator, &ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string())).await.unwrap();
    assert_eq!(principal.claim_strings("groups").collect::<Vec<_>>(), ["ops"], "not the token's own groups");
    assert_eq!(principal.claim_strings("tenant").collect::<Vec<_>>(), ["acme"]);
    assert!(!principal.claims.contains_key("level"), "a mapped name cannot be supplied directly");
    assert_eq!(principal.claims["extra"], true);
    assert_eq!(principal.client_id.as_deref(), Some("cli"));
    assert!(principal.has_scope("x") && principal.has_scope("y") && !principal.has_scope("a"));
    assert_eq!(principal.expires_at_s, claims["exp"].as_u64());
}

#[test]
fn settings_that_would_weaken_identity_are_refused() {
    let refused = |change: &dyn Fn(&mut IssuerSettings)| {
        let mut settings = issuer(JwksSource::Static(Bytes::from(all_keys())));
        change(&mut settings);
        let settings = Settings { issuers: vec![settings], ..Settings::default() };
        Authenticator::new(settings, Clock::system(), fetch()).err()
    };
    assert!(refused(&|_| {}).is_none());
    assert!(matches!(refused(&|s| s.algorithms.push(Algorithm::HS256)), Some(SettingsError::Algorithms(_))));
    assert!(matches!(refused(&|s| s.algorithms.clear()), Some(SettingsError::Algorithms(_))));
    assert!(matches!(refused(&|s| s.issuer = "portcullis:keys".to_owned()), Some(SettingsError::Issuer(_))));
    assert!(matches!(refused(&|s| s.issuer.clear()), Some(SettingsError::Issuer(_))));
    let map_sub = |s: &mut IssuerSettings| drop(s.claims.insert("sub".to_owned(), "email".to_owned()));
    assert!(matches!(refused(&map_sub), Some(SettingsError::Claim { .. })));
    let gone = |s: &mut IssuerSettings| s.jwks = JwksSource::File("/nonexistent/jwks.json".into());
    assert!(matches!(refused(&gone), Some(SettingsError::Jwks { .. })));
    let one = issuer(JwksSource::Static(Bytes::from(all_keys())));
    let twice = Settings { issuers: vec![one.clone(), one], ..Settings::default() };
    let got = Authenticator::new(twice, Clock::system(), fetch()).err();
    assert!(matches!(got, Some(SettingsError::Issuer(_))));
}
