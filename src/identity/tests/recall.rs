//! What a connection remembers of its last token is never more than the verifier knows.

use super::super::recall::Recall;
use super::super::verify::Verified;
use super::*;

const NOW_MS: u64 = 1_700_000_000_000;

/// What `authenticator` verifies of a token, as its connections remember it.
fn verified(authenticator: &Authenticator, token: &str) -> Arc<Verified> {
    authenticator.verifier.look(token, &resource(&[]), authenticator.now_ms()).ok().unwrap()
}

#[test]
fn the_very_token_is_found_for_its_resource_and_verifier_for_a_moment() {
    let authenticator = knowing(&Clock::system());
    let token = token_by(&ED, "ed");
    let found = verified(&authenticator, &token);
    let (recall, by, here) = (Recall::default(), Arc::new(()), resource(&[]));
    let ask = |by: &Arc<()>, token: &str, to: &Resource, now_ms| recall.find(by, token, to, now_ms);
    assert!(ask(&by, &token, &here, NOW_MS).is_none(), "nothing was kept");
    recall.keep(&by, &token, &here, &found, NOW_MS);
    for now_ms in [NOW_MS, NOW_MS + 999] {
        assert!(Arc::ptr_eq(&ask(&by, &token, &here, now_ms).unwrap(), &found), "{now_ms}");
    }
    let elsewhere = Resource { url: format!("{URL}/other"), ..resource(&[]) };
    let mut last_byte = token.clone();
    let last = if last_byte.pop() == Some('A') { 'B' } else { 'A' };
    last_byte.push(last);
    for (by, token, to, now_ms, what) in [
        (&Arc::new(()), &*token, &here, NOW_MS, "another verifier"),
        (&by, &*last_byte, &here, NOW_MS, "another token"),
        (&by, &token[..token.len() - 1], &here, NOW_MS, "a part of it"),
        (&by, "", &here, NOW_MS, "none"),
        (&by, &*token, &elsewhere, NOW_MS, "another resource"),
        (&by, &*token, &here, NOW_MS + 1_000, "later"),
        (&by, &*token, &here, NOW_MS - 1, "earlier"),
    ] {
        assert!(ask(by, token, to, now_ms).is_none(), "{what}");
    }
}

#[test]
fn what_the_verifier_forgot_and_what_is_long_is_not_remembered() {
    let token = token_by(&ED, "ed");
    let (recall, by, here) = (Recall::default(), Arc::new(()), resource(&[]));
    let authenticator = knowing(&Clock::system());
    recall.keep(&by, &token, &here, &verified(&authenticator, &token), NOW_MS);
    assert!(recall.find(&by, &token, &here, NOW_MS).is_some());
    drop(authenticator);
    assert!(recall.find(&by, &token, &here, NOW_MS).is_none(), "the verifier is gone");
    let authenticator = knowing(&Clock::system());
    let found = verified(&authenticator, &token);
    recall.keep(&by, &token, &here, &found, NOW_MS);
    assert!(recall.find(&by, &token, &here, NOW_MS).is_some());
    recall.forget();
    assert!(recall.find(&by, &token, &here, NOW_MS).is_none(), "forgotten");
    recall.keep(&by, &"t".repeat(2_049), &here, &found, NOW_MS);
    assert!(recall.find(&by, &"t".repeat(2_049), &here, NOW_MS).is_none());
    recall.keep(&by, &"t".repeat(2_048), &here, &found, NOW_MS);
    assert!(recall.find(&by, &"t".repeat(2_048), &here, NOW_MS).is_some());
    assert_eq!(format!("{recall:?}"), "Recall");
}

#[tokio::test]
async fn a_remembered_token_is_asked_for_all_that_a_new_one_is() {
    let clock = Clock::system();
    let authenticator = knowing(&clock);
    let mut claims = good_claims();
    claims["exp"] = (clock.unix_s() + 5).into();
    let token = ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string());
    let (recall, headers) = (Recall::default(), bearing(&token));
    let ask = async |to: &Resource| authenticator.authenticate(Asked { recall: Some(&recall), ..post(&headers, to) }).await;
    let here = resource(&["a"]);
    for _ in 0..2 {
        ask(&here).await.unwrap();
        assert!(matches!(ask(&resource(&["c"])).await, Err(Refusal::InsufficientScope { .. })));
        let bound = Resource { proof: Proof::Dpop, ..resource(&[]) };
        assert!(matches!(ask(&bound).await, Err(Refusal::Proof { .. })));
        let elsewhere = Resource { url: "https://gateway.example.com/other".to_owned(), ..resource(&[]) };
        assert!(matches!(ask(&elsewhere).await, Err(Refusal::Invalid { .. })), "the audience is another");
    }
    let found = verified(&authenticator, &token);
    clock.advance_ms(1_000 * (CLOCK_SKEW_S_DEFAULT as i64 + 10));
    recall.keep(&authenticator.verifier.mark, &token, &here, &found, authenticator.now_ms());
    assert!(matches!(ask(&here).await, Err(Refusal::Invalid { private }) if private.contains("expired")));
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_key() {
    let clock = Clock::system();
    let endpoint = Endpoint::start(&document(&[ED.jwk("ed")])).await;
    let authenticator = authenticator(issuer(endpoint.source()), &clock);
    let recall = Recall::default();
    let ask = async |token: &str| {
        let (headers, here) = (bearing(token), resource(&[]));
        authenticator.authenticate(Asked { recall: Some(&recall), ..post(&headers, &here) }).await
    };
    let (old, next) = (token_by(&ED, "ed"), ed());
    ask(&old).await.unwrap();
    endpoint.serve(&document(&[next.jwk("next")]));
    clock.advance_ms(super::super::jwks::DEMAND_GAP_MS_MIN as i64);
    ask(&old).await.unwrap();
    // Another connection brings a token of the new key, and with it the new keys.
    super::ask(&authenticator, &token_by(&next, "next")).await.unwrap();
    assert!(matches!(ask(&old).await, Err(Refusal::Invalid { .. })), "a remembered token outlived its key");
}
