use serde_json::{Map, Value, json};

use super::{IdpSettings, id_token};

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
