use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Anew, IdpSettings, SignIn, SignInError, id_token};
use crate::identity::Revocations;
use crate::net::Fetch;
use crate::store::Store;
use crate::vocab::Clock;
use crate::web::{PerAddress, Site};

fn idp() -> IdpSettings {
    IdpSettings {
        issuer: "https://idp.example".to_owned(),
        client_id: "gw".to_owned(),
        client_secret: None,
        scopes: vec!["openid".to_owned()],
        groups_claim: Some("realm.roles".to_owned()),
        required_claims: std::collections::BTreeMap::from([("hd".to_owned(), vec!["example.com".to_owned()])]),
        algorithms: crate::identity::DEFAULT_ALGORITHMS.to_vec(),
        allow_private_addresses: false,
    }
}

fn claims(change: Value) -> Map<String, Value> {
    let mut claims = json!({
        "iss": "https://idp.example", "aud": "gw", "sub": "u1", "exp": 1_300, "iat": 1_000, "nonce": "n1", "hd": "example.com",
        "realm": {"roles": ["a", "b"]}, "email": "u@example.com", "name": "U",
    });
    let members = claims.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    members.clone()
}

#[test]
fn an_id_token_is_for_us_now_and_for_this_sign_in() {
    for (change, holds) in [
        (json!({}), true),
        (json!({"aud": ["gw"]}), true),
        (json!({"aud": ["gw", "other"], "azp": "gw"}), true),
        (json!({"aud": ["gw", "other"]}), false),
        (json!({"aud": "other"}), false),
        (json!({"hd": null}), false),
        (json!({"hd": "example.org"}), false),
        (json!({"aud": []}), false),
        (json!({"aud": null}), false),
        (json!({"aud": ["gw", 7], "azp": "gw"}), false),
        (json!({"azp": "other"}), false),
        (json!({"azp": 7}), false),
        (json!({"iss": "https://idp.example/"}), false),
        (json!({"iss": null}), false),
        (json!({"exp": 900}), false),
        (json!({"exp": null}), false),
        (json!({"exp": "1300"}), false),
        (json!({"iat": null}), false),
        (json!({"iat": 2_000}), false),
        (json!({"iat": 100}), false),
        (json!({"nbf": 2_000}), false),
        (json!({"nbf": "soon"}), false),
        (json!({"nonce": "n2"}), false),
        (json!({"nonce": null}), false),
        (json!({"nonce": ["n1"]}), false),
        (json!({"sub": ""}), false),
        (json!({"sub": "a\nb"}), false),
        (json!({"sub": null}), false),
        (json!({"sub": 7}), false),
    ] {
        let checked = id_token::check(&claims(change.clone()), &idp(), "n1", 1_010);
        assert_eq!(checked.is_ok(), holds, "{change}: {checked:?}");
    }
}

#[test]
fn a_person_keeps_what_tokens_pass_on_and_nothing_else() {
    let person =
        id_token::person(&claims(json!({"email_verified": true, "address": {"x": 1}})), &idp(), "u1".to_owned(), 5).unwrap();
    let kept = json!({"groups": ["a", "b"], "email": "u@example.com", "email_verified": true});
    assert_eq!((Value::Object(person.claims.clone()), person.name.as_deref(), person.signed_in_s), (kept, Some("U"), 5));
    let principal = person.principal(Some("c"));
    assert_eq!((&*principal.iss, &*principal.sub, principal.client_id.as_deref()), ("https://idp.example", "u1", Some("c")));
}

#[test]
fn nobody_is_signed_in_with_some_of_their_groups() {
    let many = |count: usize| Value::from((0..count).map(|n| format!("g{n}")).collect::<Vec<_>>());
    for (change, groups) in [
        (json!({}), Some(2)),
        (json!({"realm": {"roles": "a"}}), Some(1)),
        (json!({"realm": {"roles": many(1_024)}}), Some(1_024)),
        (json!({"realm": {"roles": null}}), Some(0)),
        (json!({"realm": null}), Some(0)),
        (json!({"realm": {"roles": many(1_025)}}), None),
        (json!({"realm": {"roles": ["a", 7]}}), None),
        (json!({"realm": {"roles": {"a": true}}}), None),
        (json!({"realm": null, "_claim_names": {"realm": "src1"}}), None),
        (json!({"realm": null, "_claim_names": {"groups": "src1"}, "hasgroups": true}), Some(0)),
    ] {
        let person = id_token::person(&claims(change.clone()), &idp(), "u1".to_owned(), 5).ok();
        let told = person.map(|person| person.claims.get("groups").map_or(0, |groups| groups.as_array().unwrap().len()));
        assert_eq!(told, groups, "{change:.80}");
    }
    let by_name = IdpSettings { groups_claim: None, ..idp() };
    for change in [json!({"hasgroups": true}), json!({"_claim_names": {"groups": "src1"}}), json!({"_claim_names": "groups"})] {
        assert!(id_token::person(&claims(change.clone()), &by_name, "u1".to_owned(), 5).is_err(), "{change}");
    }
}

#[tokio::test]
async fn one_address_cannot_use_up_the_sign_ins_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let store = Store::open(&dir.path().join("state.db"), clock.clone()).unwrap();
    let fetch = Fetch::new(crate::net::client_config(None).unwrap());
    let here = |pace: &Arc<PerAddress>| {
        // Nothing answers there: whoever may begin finds that out.
        let idp = IdpSettings { issuer: "http://127.0.0.1:1".to_owned(), ..idp() };
        let (site, revocations) = (Site::new("https://gw.example"), Arc::new(Revocations::new(Vec::new())));
        SignIn::new(idp, site, store.clone(), clock.clone(), fetch.clone(), revocations, pace.clone()).unwrap()
    };
    let pace = Arc::new(SignIn::pace());
    let sign_in = here(&pace);
    // How many may begin before one may not. Time goes on meanwhile, so it is not the exact number.
    let begun = async |sign_in: &SignIn, peer: &str| {
        for n in 0..10 * super::SIGN_INS_PER_MINUTE_OF_ONE {
            match sign_in.begin(Some(peer.parse().unwrap()), "/connect/", Anew::default()).await.unwrap_err() {
                SignInError::Provider(_) => {}
                SignInError::Paced => return n,
                other => panic!("{other}"),
            }
        }
        panic!("without end");
    };
    assert!(begun(&sign_in, "2001:db8::1").await >= super::SIGN_INS_PER_MINUTE_OF_ONE);
    assert!(begun(&sign_in, "2001:db8::2").await < super::SIGN_INS_PER_MINUTE_OF_ONE, "the same network");
    assert!(begun(&here(&pace), "2001:db8::3").await < super::SIGN_INS_PER_MINUTE_OF_ONE, "a reload does not refill it");
    assert!(begun(&sign_in, "2001:db8:0:1::1").await >= super::SIGN_INS_PER_MINUTE_OF_ONE, "another network");
    assert_eq!(SignInError::Paced.page().status, http::StatusCode::TOO_MANY_REQUESTS);
}
