//! Keys that change, vanish, or cannot be fetched.

use super::super::jwk;
use super::super::jwks::{DEMAND_GAP_MS_MIN, STALE_MS_MAX};
use super::*;

const GAP_MS: i64 = DEMAND_GAP_MS_MIN as i64;

fn is_unknown_key(got: &Result<Arc<Principal>, Refusal>) -> bool {
    matches!(got, Err(Refusal::Invalid { private }) if private.contains("no key"))
}

#[test]
fn only_fit_public_keys_are_taken_from_a_document() {
    let good = ED.jwk("ed");
    let change = |name: &str, to: Value| {
        let mut key = good.clone();
        key[name] = to;
        key
    };
    let rsa = |bytes: usize, e: &[u8]| json!({"kty": "RSA", "n": b64(vec![0xff; bytes]), "e": b64(e)});
    for key in [
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "ed", "alg": "HS256"}),
        json!({"kty": "OKP", "crv": "X25519", "x": b64([1; 32])}),
        json!({"kty": "EC", "crv": "P-256", "x": b64([1; 31]), "y": b64([1; 32])}),
        json!({"kty": "EC", "crv": "secp256k1", "x": b64([1; 32]), "y": b64([1; 32])}),
        json!({"kty": "EC", "crv": "P-256", "x": b64([1; 32])}),
        json!({"kty": "EC", "crv": "P-256", "x": b64([1; 32]), "y": b64([1; 32])}),
        rsa(128, &[1, 0, 1]),
        rsa(255, &[1, 0, 1]),
        rsa(1025, &[1, 0, 1]),
        rsa(256, &[1]),
        rsa(256, &[2]),
        rsa(256, &[]),
        change("use", json!("enc")),
        change("use", json!(1)),
        change("key_ops", json!(["sign"])),
        change("key_ops", json!("verify")),
        change("alg", json!("ES256")),
        change("alg", json!("HS256")),
        change("alg", json!("RSA-OAEP")),
        change("d", json!("leaked")),
        change("kid", json!("k".repeat(257))),
        change("kid", json!(1)),
        change("kty", json!("okp")),
    ] {
        assert_eq!(jwk::parse(document(std::slice::from_ref(&key)).as_bytes()).err(), Some("no usable public key"), "{key}");
        let beside = jwk::parse(document(&[key.clone(), good.clone()]).as_bytes());
        assert_eq!(beside.unwrap().keys.len(), 1, "{key} spoils its neighbour");
    }
    let keep =
        [change("use", json!("sig")), change("key_ops", json!(["verify"])), change("alg", json!("Ed25519")), rsa(256, &[3])];
    assert_eq!(jwk::parse(document(&keep).as_bytes()).unwrap().keys.len(), 4);
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert!(jwk::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(jwk::parse(document(&vec![good.clone(); 101]).as_bytes()).is_err(), "too many keys");
    let padded = format!("{}{}", document(&[good]), " ".repeat(256 * 1024));
    assert!(jwk::parse(padded.as_bytes()).is_err(), "too large");
}

#[tokio::test]
async fn a_key_only_signs_with_its_algorithm() {
    let mut only_pss = RSA.jwk("rsa");
    only_pss["alg"] = "PS256".into();
    let source = JwksSource::Static(Bytes::from(document(&[only_pss])));
    let authenticator = authenticator(issuer(source), &Clock::system());
    let token = |alg: &str| {
        let header = json!({"alg": alg, "kid": "rsa"}).to_string();
        RSA.token_of(alg, &header, &good_claims().to_string())
    };
    ask(&authenticator, &token("PS256")).await.unwrap();
    assert!(is_unknown_key(&ask(&authenticator, &token("RS256")).await));
}

#[tokio::test]
async fn a_rotation_is_noticed_and_a_dropped_key_forgotten() {
    let clock = Clock::system();
    let (old, new) = (ed(), ed());
    let endpoint = Endpoint::start(&document(&[old.jwk("old")])).await;
    let authenticator = authenticator(issuer(endpoint.source()), &clock);
    let (old_token, new_token) = (token_by(&old, "old"), token_by(&new, "new"));
    assert!(authenticator.authenticate_now(post(&bearing(&old_token), &resource(&[]))).is_none(), "nothing is loaded yet");
    ask(&authenticator, &old_token).await.unwrap();
    clock.advance_ms(GAP_MS);
    endpoint.serve(&document(&[old.jwk("old"), new.jwk("new")]));
    ask(&authenticator, &new_token).await.unwrap();
    ask(&authenticator, &old_token).await.unwrap();
    assert_eq!(endpoint.hits(), 2);
    endpoint.serve(&document(&[new.jwk("new")]));
    authenticator.refresh_due().await;
    assert_eq!(endpoint.hits(), 2, "still fresh");
    clock.advance_ms(16 * 60_000 - 10 * 60_000 - 30_000);
    clock.advance_ms(GAP_MS);
    assert!(ask(&authenticator, &old_token).await.is_ok(), "known keys do not wait for a load");
    assert!(is_unknown_key(&ask(&authenticator, &token_by(&ed(), "x")).await));
    assert_eq!(endpoint.hits(), 3);
    assert!(is_unknown_key(&ask(&authenticator, &old_token).await), "a remembered token outlived its key");
    ask(&authenticator, &new_token).await.unwrap();
}

#[tokio::test]
async fn unknown_key_ids_cause_few_loads() {
    let clock = Clock::system();
    let endpoint = Endpoint::start(&document(&[ED.jwk("ed")])).await;
    let authenticator = Arc::new(authenticator(issuer(endpoint.source()), &clock));
    ask(&authenticator, &token_by(&ED, "ed")).await.unwrap();
    clock.advance_ms(GAP_MS);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (authenticator, token) = (authenticator.clone(), token_by(&ED, &format!("unknown-{n}")));
        tasks.spawn(async move { ask(&authenticator, &token).await });
    }
    while let Some(got) = tasks.join_next().await {
        assert!(is_unknown_key(&got.unwrap()));
    }
    assert_eq!(endpoint.hits(), 2, "one load for 200 tokens");
    for (advance_ms, hits) in [(GAP_MS / 2, 2), (GAP_MS / 2, 3), (0, 3), (GAP_MS, 4)] {
        clock.advance_ms(advance_ms);
        assert!(is_unknown_key(&ask(&authenticator, &token_by(&ED, "another")).await));
        assert_eq!(endpoint.hits(), hits, "after {advance_ms} ms");
    }
    let forged = token_by(&ed(), "ed");
    clock.advance_ms(GAP_MS);
    let before = endpoint.hits();
    assert!(is_unknown_key(&ask(&authenticator, &forged).await));
    let mut foreign = good_claims();
    foreign["aud"] = "https://other.example".into();
    let header = json!({"alg": "EdDSA", "kid": "unknown"}).to_string();
    ask(&authenticator, &ED.token_of("EdDSA", &header, &foreign.to_string())).await.unwrap_err();
    assert_eq!(endpoint.hits(), before, "implausible tokens cause no load");
}

#[tokio::test]
async fn bad_answers_leave_known_keys_valid_and_unknown_ones_refused() {
    let clock = Clock::system();
    let endpoint = Endpoint::start(&document(&[ED.jwk("ed")])).await;
    let authenticator = authenticator(issuer(endpoint.source()), &clock);
    let known = token_by(&ED, "ed");
    ask(&authenticator, &known).await.unwrap();
    let evil = ed();
    let elsewhere = Endpoint::start(&document(&[evil.jwk("evil")])).await;
    let huge = format!("{{\"keys\":[{}],\"pad\":\"{}\"}}", evil.jwk("evil"), "x".repeat(300 * 1024));
    let whole = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for (name, answer) in [
        ("redirect", format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url)),
        ("huge", whole(&huge)),
        ("endless", format!("HTTP/1.1 200 OK\r\n\r\n{huge}")),
        ("error with keys", whole(&document(&[evil.jwk("evil")])).replace("200 OK", "500 Oops")),
        ("garbage", whole("<html>")),
        ("empty", whole(r#"{"keys":[]}"#)),
        ("symmetric", whole(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"evil"}]}"#)),
        ("cut off", whole(&document(&[evil.jwk("evil")])).replace("content-length: ", "content-length: 1")),
        ("closed", String::new()),
    ] {
        endpoint.answer_with(&answer);
        clock.advance_ms(GAP_MS);
        let before = endpoint.hits();
        assert!(is_unknown_key(&ask(&authenticator, &token_by(&evil, "evil")).await), "{name}");
        assert_eq!(endpoint.hits(), before + 1, "{name}");
        ask(&authenticator, &known).await.expect(name);
    }
    assert_eq!(elsewhere.hits(), 0, "a redirect was followed");
}

#[tokio::test]
async fn keys_outlive_an_outage_but_not_for_ever() {
    let clock = Clock::system();
    let endpoint = Endpoint::start(&document(&[ED.jwk("ed")])).await;
    let authenticator = authenticator(issuer(endpoint.source()), &clock);
    authenticator.refresh_due().await;
    endpoint.answer_with("");
    let lasting = |clock: &Clock| {
        let mut claims = good_claims();
        claims["exp"] = (clock.unix_s() + 600).into();
        ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string())
    };
    clock.advance_ms(STALE_MS_MAX as i64 - 60_000);
    authenticator.refresh_due().await;
    let token = lasting(&clock);
    ask(&authenticator, &token).await.unwrap();
    clock.advance_ms(60_000);
    assert_eq!(ask(&authenticator, &token).await.unwrap_err(), Refusal::Unavailable);
    assert_eq!(authenticator.health(), [IssuerHealth { issuer: ISSUER.to_owned(), keys: 0 }]);
    endpoint.serve(&document(&[ED.jwk("ed")]));
    clock.advance_ms(60_000);
    authenticator.refresh_due().await;
    ask(&authenticator, &token).await.unwrap();
    assert_eq!(authenticator.health(), [IssuerHealth { issuer: ISSUER.to_owned(), keys: 1 }]);
}

#[tokio::test]
async fn freshness_is_what_the_server_says_within_bounds() {
    for (header, fresh_ms) in
        [("cache-control: max-age=1", 60_000), ("cache-control: max-age=99999999", 86_400_000), ("x: y", 900_000)]
    {
        let clock = Clock::system();
        let endpoint = Endpoint::start("").await;
        let body = document(&[ED.jwk("ed")]);
        endpoint.answer_with(&format!("HTTP/1.1 200 OK\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        let authenticator = authenticator(issuer(endpoint.source()), &clock);
        authenticator.refresh_due().await;
        clock.advance_ms(fresh_ms - 5_000);
        authenticator.refresh_due().await;
        assert_eq!(endpoint.hits(), 1, "{header}");
        clock.advance_ms(5_000);
        authenticator.refresh_due().await;
        assert_eq!(endpoint.hits(), 2, "{header}");
    }
}

#[tokio::test]
async fn a_source_that_never_answered_is_unavailable_not_invalid() {
    let endpoint = Endpoint::start("").await;
    endpoint.answer_with("");
    let authenticator = authenticator(issuer(endpoint.source()), &Clock::system());
    for _ in 0..3 {
        assert_eq!(ask(&authenticator, &token_by(&ED, "ed")).await.unwrap_err(), Refusal::Unavailable);
    }
    assert_eq!(endpoint.hits(), 1);
}

#[tokio::test]
async fn private_addresses_need_consent() {
    for url in ["https://10.255.255.1/jwks", "https://169.254.169.254/jwks", "http://idp.example.com/jwks"] {
        let settings = issuer(JwksSource::Url(url.parse().unwrap()));
        let got = ask(&authenticator(settings, &Clock::system()), &token_by(&ED, "ed")).await;
        assert_eq!(got.unwrap_err(), Refusal::Unavailable, "{url}");
    }
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let clock = Clock::system();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    let (old, new) = (ed(), ed());
    std::fs::write(&path, document(&[old.jwk("old")])).unwrap();
    let authenticator = authenticator(issuer(JwksSource::File(path.clone())), &clock);
    let (old_token, new_token) = (token_by(&old, "old"), token_by(&new, "new"));
    authenticator.authenticate_now(post(&bearing(&old_token), &resource(&[]))).unwrap().unwrap();
    for broken in ["", "{"] {
        std::fs::write(&path, broken).unwrap();
        clock.advance_ms(64_000);
        authenticator.refresh_due().await;
        ask(&authenticator, &old_token).await.unwrap();
    }
    std::fs::write(&path, document(&[new.jwk("new")])).unwrap();
    clock.advance_ms(64_000);
    authenticator.refresh_due().await;
    assert!(is_unknown_key(&ask(&authenticator, &old_token).await));
    ask(&authenticator, &new_token).await.unwrap();
}

#[tokio::test]
async fn a_new_configuration_keeps_loaded_keys() {
    let clock = Clock::system();
    let endpoint = Endpoint::start(&document(&[ED.jwk("ed")])).await;
    let old = authenticator(issuer(endpoint.source()), &clock);
    ask(&old, &token_by(&ED, "ed")).await.unwrap();
    endpoint.answer_with("");
    let kept = authenticator(issuer(endpoint.source()), &clock).with_keys_of(&old);
    ask(&kept, &token_by(&ED, "ed")).await.unwrap();
    let mut private = issuer(endpoint.source());
    private.allow_private_addresses = true;
    let other = authenticator(private, &clock).with_keys_of(&old);
    assert_eq!(ask(&other, &token_by(&ED, "ed")).await.unwrap_err(), Refusal::Unavailable);
}

#[tokio::test]
async fn keeping_fresh_ends_when_told() {
    let endpoint = Endpoint::start(&document(&[ED.jwk("ed")])).await;
    let authenticator = Arc::new(authenticator(issuer(endpoint.source()), &Clock::system()));
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(authenticator.clone().run(stop.clone()));
    while authenticator.health()[0].keys == 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn keys_are_discovered_from_the_issuer_itself_only() {
    let keys = Endpoint::start(&document(&[ED.jwk("ed")])).await;
    let metadata = Endpoint::start("").await;
    let issuer_at = |metadata: &Endpoint| format!("http://{}/tenant", metadata.url.authority());
    let name = issuer_at(&metadata);
    let token = {
        let mut claims = good_claims();
        claims["iss"] = name.as_str().into();
        ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string())
    };
    let discovering = || {
        let settings = IssuerSettings { issuer: name.clone(), ..issuer(JwksSource::Discovered) };
        authenticator(settings, &Clock::system())
    };
    // The same endpoint serves metadata and keys: its own origin keeps the consent that naming it gave.
    let own = json!({"issuer": name, "jwks_uri": format!("{name}/jwks"), "keys": [ED.jwk("ed")]}).to_string();
    metadata.serve(&own);
    ask(&discovering(), &token).await.unwrap();
    assert_eq!(metadata.hits(), 2);
    for (case, document) in [
        ("another issuer", json!({"issuer": format!("{name}/"), "jwks_uri": format!("{name}/jwks"), "keys": [ED.jwk("ed")]})),
        ("no issuer", json!({"jwks_uri": format!("{name}/jwks"), "keys": [ED.jwk("ed")]})),
        ("no keys", json!({"issuer": name})),
        ("learnt loopback", json!({"issuer": name, "jwks_uri": keys.url.as_str()})),
        ("learnt loopback name", json!({"issuer": name, "jwks_uri": keys.url.as_str().replace("127.0.0.1", "localhost")})),
        ("learnt metadata service", json!({"issuer": name, "jwks_uri": "https://169.254.169.254/jwks"})),
        ("learnt file", json!({"issuer": name, "jwks_uri": "file:///etc/passwd"})),
    ] {
        metadata.serve(&document.to_string());
        assert_eq!(ask(&discovering(), &token).await.unwrap_err(), Refusal::Unavailable, "{case}");
    }
    assert_eq!(keys.hits(), 0, "an address learnt from outside was dialled");
}

#[tokio::test]
async fn a_clock_set_back_does_not_put_off_loading() {
    let clock = Clock::system();
    let endpoint = Endpoint::start(&document(&[ED.jwk("ed")])).await;
    let authenticator = authenticator(issuer(endpoint.source()), &clock);
    authenticator.refresh_due().await;
    authenticator.refresh_due().await;
    assert_eq!(endpoint.hits(), 1);
    clock.advance_ms(-3_600_000);
    authenticator.refresh_due().await;
    assert_eq!(endpoint.hits(), 2);
    authenticator.refresh_due().await;
    assert_eq!(endpoint.hits(), 2);
}
