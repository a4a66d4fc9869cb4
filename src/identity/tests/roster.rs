//! Revocations, the directory, and the people behind our own issuer's tokens.

use arc_swap::ArcSwap;

use super::super::settings::{DirectoryGroup, Member, Revocation};
use super::*;

fn token(change: impl FnOnce(&mut Value)) -> String {
    let mut claims = good_claims();
    claims["iat"] = (clock_s() - 100).into();
    claims["jti"] = "t1".into();
    claims["client_id"] = "cli".into();
    change(&mut claims);
    ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string())
}

fn with(change: impl FnOnce(&mut Settings)) -> Authenticator {
    let mut settings = Settings { issuers: vec![issuer(JwksSource::Static(Bytes::from(all_keys())))], ..Settings::default() };
    change(&mut settings);
    Authenticator::new(settings, Clock::system(), fetch()).unwrap()
}

#[tokio::test]
async fn a_revoked_credential_is_nothing_at_once() {
    let some = |text: &str| Some(text.to_owned());
    let now = clock_s();
    let none = Revocation::default;
    for (revocation, hits) in [
        (Revocation { iss: some(ISSUER), sub: some("alice"), ..none() }, true),
        (Revocation { iss: some(ISSUER), sub: some("Alice"), ..none() }, false),
        (Revocation { iss: some("https://other.example"), sub: some("alice"), ..none() }, false),
        (Revocation { jti: some("t1"), ..none() }, true),
        (Revocation { jti: some("t2"), ..none() }, false),
        (Revocation { jti: some("t1"), iss: some("https://other.example"), ..none() }, false),
        (Revocation { client_id: some("cli"), ..none() }, true),
        (Revocation { client_id: some("other"), ..none() }, false),
        (Revocation { iss: some(ISSUER), ..none() }, true),
        (Revocation { iss: some(ISSUER), sub: some("alice"), before_s: Some(now), ..none() }, true),
        (Revocation { iss: some(ISSUER), sub: some("alice"), before_s: Some(now - 200), ..none() }, false),
        (Revocation { key: some("k1"), ..none() }, false),
    ] {
        let authenticator = with(|settings| settings.revocations = vec![revocation.clone()]);
        let text = token(|_| {});
        assert_eq!(ask(&authenticator, &text).await.is_err(), hits, "{revocation:?}");
        // What another configuration verified, this one judges anew.
        let before = ask(&with(|_| {}), &text).await.unwrap();
        assert_eq!(authenticator.standing(&before).is_err(), hits, "{revocation:?}");
    }
    let timeless = with(|settings| {
        settings.revocations = vec![Revocation { client_id: some("cli"), before_s: Some(1), ..Revocation::default() }];
    });
    assert!(ask(&timeless, &token(|c| drop(c.as_object_mut().unwrap().remove("iat")))).await.is_err(), "no time of issue");
}

#[tokio::test]
async fn standing_is_what_holds_now() {
    let clock = Clock::system();
    let authenticator = knowing(&clock);
    let principal = ask(&authenticator, &token(|_| {})).await.unwrap();
    let left = authenticator.standing(&principal).unwrap().unwrap();
    assert!((625..=630).contains(&left.as_secs()), "{left:?}");
    let elsewhere = Settings {
        issuers: vec![IssuerSettings::new("https://b.example".to_owned(), JwksSource::Discovered)],
        ..Settings::default()
    };
    let elsewhere = Authenticator::new(elsewhere, clock.clone(), fetch()).unwrap();
    elsewhere.standing(&principal).unwrap_err();
    elsewhere.standing(&Principal::anonymous()).unwrap_err();
    clock.advance_ms(631_000);
    authenticator.standing(&principal).unwrap_err();
}

#[tokio::test]
async fn groups_come_from_the_directory_too() {
    let group = |name: &str, includes: &[&str], members: Vec<Member>| DirectoryGroup {
        name: name.to_owned(),
        includes: includes.iter().map(|s| (*s).to_owned()).collect(),
        members,
    };
    let email = |iss: Option<&str>| Member::Email { iss: iss.map(str::to_owned), email: "Alice@Example.com".to_owned() };
    let subject = |iss: &str, sub: &str| Member::Subject { iss: iss.to_owned(), sub: sub.to_owned() };
    let authenticator = with(|settings| {
        settings.directory = vec![
            group("staff", &["sre", "eng"], vec![]),
            group("sre", &["oncall"], vec![]),
            group("oncall", &[], vec![subject(ISSUER, "bob"), subject("https://other.example", "alice")]),
            group("eng", &[], vec![]),
            group("mail", &[], vec![email(None)]),
            group("other-mail", &[], vec![email(Some("https://other.example"))]),
        ];
    });
    let groups = async |change: &dyn Fn(&mut Value)| {
        let principal = ask(&authenticator, &token(change)).await.unwrap();
        principal.claim_strings("groups").map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(groups(&|_| {}).await, ["eng", "staff"], "nested by the token's own");
    assert_eq!(groups(&|c| c["sub"] = "bob".into()).await, ["eng", "oncall", "staff", "sre"]);
    let none = |c: &mut Value| drop(c.as_object_mut().unwrap().remove("groups"));
    assert_eq!(groups(&none).await, [""; 0]);
    let mail = |verified: Value| {
        move |c: &mut Value| {
            c["groups"] = "x".into();
            c["email"] = "alice@example.COM".into();
            c["email_verified"] = verified.clone();
        }
    };
    assert_eq!(groups(&mail(json!(true))).await, ["x", "mail"]);
    for unverified in [json!(false), json!("true"), json!(1), Value::Null] {
        assert_eq!(groups(&mail(unverified.clone())).await, ["x"], "{unverified}");
    }
}

#[tokio::test]
async fn our_own_tokens_stand_for_the_person_and_follow_our_keys() {
    let keys = Arc::new(ArcSwap::from_pointee(Bytes::from(all_keys())));
    let ours = "https://gateway.example.com";
    let authenticator = with(|settings| settings.issuers.push(IssuerSettings::own(ours.to_owned(), keys.clone())));
    let text = |by: &Signer, kid: &str, idp: Value| {
        let mut claims = good_claims();
        claims["iss"] = ours.into();
        if !idp.is_null() {
            claims["idp"] = idp;
        }
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
        by.token_of("EdDSA", &header.to_string(), &claims.to_string())
    };
    let person = json!({"iss": ISSUER, "sub": "bob"});
    let who = async |token: &str| ask(&authenticator, token).await.map(|p| (p.iss.to_string(), p.sub.to_string()));
    assert_eq!(who(&text(&ED, "ed", person.clone())).await.unwrap(), (ISSUER.to_owned(), "bob".to_owned()));
    assert_eq!(who(&text(&ED, "ed", Value::Null)).await.unwrap(), (ours.to_owned(), "alice".to_owned()));
    for wrong in [
        json!("bob"),
        json!({}),
        json!({"iss": ISSUER}),
        json!({"iss": "portcullis:keys", "sub": "key:ci"}),
        json!({"iss": ISSUER, "sub": ""}),
    ] {
        who(&text(&ED, "ed", wrong.clone())).await.unwrap_err();
    }
    // From any other issuer the claim is a claim.
    assert_eq!(who(&token(|c| c["idp"] = person.clone())).await.unwrap().1, "alice");
    let new = ed();
    who(&text(&new, "new", person.clone())).await.unwrap_err();
    keys.store(Arc::new(Bytes::from(document(&[new.jwk("new")]))));
    assert_eq!(who(&text(&new, "new", person.clone())).await.unwrap().1, "bob");
    who(&text(&ED, "ed", person.clone())).await.unwrap_err();
    keys.store(Arc::new(Bytes::from_static(b"{}")));
    who(&text(&new, "new", person)).await.unwrap();
    let plain = json!({"alg": "EdDSA", "typ": "JWT", "kid": "new"});
    let mut claims = good_claims();
    claims["iss"] = ours.into();
    who(&new.token_of("EdDSA", &plain.to_string(), &claims.to_string())).await.unwrap_err();
}

#[tokio::test]
async fn an_issuer_vouches_for_what_the_operator_says() {
    let strict = with(|settings| {
        let issuer = &mut settings.issuers[0];
        issuer.subjects = vec!["system:serviceaccount:ci:*".to_owned(), "repo:acme/?:ref".to_owned()];
        issuer.required_claims.insert("hd".to_owned(), vec!["example.com".to_owned(), "example.org".to_owned()]);
        issuer.required_claims.insert("deep.flag".to_owned(), vec!["true".to_owned()]);
        issuer.scope_implies.insert("admin".to_owned(), vec!["write".to_owned()]);
        issuer.scope_implies.insert("write".to_owned(), vec!["read".to_owned(), "admin".to_owned()]);
        issuer.token_age_s_max = Some(300);
        issuer.clock_skew_s = 5;
    });
    let now = clock_s();
    let good = |c: &mut Value| {
        c["sub"] = "system:serviceaccount:ci:deployer".into();
        c["hd"] = json!(["x", "example.org"]);
        c["deep"] = json!({"flag": true});
        c["scope"] = "admin".into();
    };
    let principal = ask(&strict, &token(good)).await.unwrap();
    assert_eq!(principal.scopes.iter().map(|s| &**s).collect::<Vec<_>>(), ["admin", "write", "read"]);
    assert_eq!(
        principal.expires_at_s,
        Some(clock_s() - 100 + 300).filter(|at| principal.expires_at_s.unwrap().abs_diff(*at) < 5).and(principal.expires_at_s)
    );
    for (name, to) in [
        ("sub", json!("system:serviceaccount:prod:deployer")),
        ("sub", json!("repo:acme/xy:ref")),
        ("hd", json!("example.net")),
        ("hd", Value::Null),
        ("hd", json!({"example.com": true})),
        ("deep", json!({"flag": false})),
        ("deep.flag", json!("x")),
        ("iat", Value::Null),
        ("iat", json!(now - 310)),
        ("iat", json!(now + 60)),
        ("nbf", json!(now + 20)),
        ("exp", json!(now - 6)),
    ] {
        let text = token(|c| {
            good(c);
            c[name] = to.clone();
            if to.is_null() {
                c.as_object_mut().unwrap().remove(name);
            }
        });
        ask(&strict, &text).await.expect_err(&format!("{name}={to}"));
    }
    let typed = with(|settings| settings.issuers[0].token_type = TokenType::AccessToken);
    ask(&typed, &token(|_| {})).await.unwrap();
    let plain = json!({"alg": "EdDSA", "kid": "ed"}).to_string();
    ask(&typed, &ED.token_of("EdDSA", &plain, &good_claims().to_string())).await.unwrap_err();
    let mut id_token = good_claims();
    id_token["nonce"] = "n".into();
    ask(&with(|_| {}), &ED.token_of("EdDSA", &plain, &id_token.to_string())).await.unwrap();
    id_token.as_object_mut().unwrap().remove("scope");
    ask(&with(|_| {}), &ED.token_of("EdDSA", &plain, &id_token.to_string())).await.expect_err("an id token");
}

#[tokio::test]
async fn actors_are_a_bounded_chain() {
    let authenticator = with(|_| {});
    let chain = |depth: usize| {
        (0..depth).fold(Value::Null, |act, n| {
            let mut actor = json!({"sub": format!("a{n}"), "iss": ISSUER});
            if !act.is_null() {
                actor["act"] = act;
            }
            actor
        })
    };
    let principal = ask(&authenticator, &token(|c| c["act"] = chain(8))).await.unwrap();
    let actors: Vec<_> = principal.actors().collect();
    assert_eq!((actors.len(), actors[0], actors[7]), (8, (Some(ISSUER), "a7"), (Some(ISSUER), "a0")));
    for wrong in
        [chain(9), json!("x"), json!({}), json!({"sub": 1}), json!({"sub": "a", "iss": 1}), json!({"sub": "a", "act": []})]
    {
        ask(&authenticator, &token(|c| c["act"] = wrong.clone())).await.expect_err(&wrong.to_string());
    }
}

#[tokio::test]
async fn keys_of_one_name_are_one_subject_and_their_use_is_known() {
    use secrecy::ExposeSecret;
    let clock = Clock::system();
    let (old, new) = (generate_api_key("ci").unwrap(), generate_api_key("ci").unwrap());
    let entry = |key: &GeneratedKey| {
        let mut sha256 = [0; 32];
        sha256
            .copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.key.expose_secret().as_bytes()).as_ref());
        KeySettings { id: key.id.clone(), name: key.name.clone(), sha256, groups: vec![], scopes: vec![], expires_unix_s: None }
    };
    let make = |keys: Vec<KeySettings>| {
        let settings = Settings { api_keys: keys, ..Settings::default() };
        Authenticator::new(settings, clock.clone(), fetch()).unwrap()
    };
    let authenticator = make(vec![entry(&old), entry(&new)]);
    assert!(authenticator.key_uses().is_empty());
    let first = ask(&authenticator, old.key.expose_secret()).await.unwrap();
    ask(&authenticator, &format!("pck_{}_{}", new.id, "A".repeat(43))).await.unwrap_err();
    let uses = authenticator.key_uses();
    assert_eq!((uses.len(), &*uses[0].0), (1, old.id.as_str()), "a wrong secret is no use");
    assert!(clock.unix_s().abs_diff(uses[0].1) < 5);
    assert_eq!(first.key(), ask(&authenticator, new.key.expose_secret()).await.unwrap().key());
    let rotated = make(vec![entry(&new)]).with_keys_of(&authenticator);
    assert_eq!(rotated.key_uses().len(), 1, "uses outlive a reload");
    rotated.standing(&first).unwrap_err();
    let headers = bearing(old.key.expose_secret());
    let bound = Resource { proof: Proof::Any, ..resource(&[]) };
    authenticator.authenticate(post(&headers, &bound)).await.expect_err("a key is bound to nothing");
}

#[tokio::test]
async fn groups_count_whole_or_the_credential_does_not() {
    let many = |count: usize| Value::from((0..count).map(|n| format!("g{n}")).collect::<Vec<_>>());
    let directory = vec![DirectoryGroup {
        name: "sre".to_owned(),
        includes: Vec::new(),
        members: vec![Member::Subject { iss: ISSUER.to_owned(), sub: "alice".to_owned() }],
    }];
    let named = |path: &str| with(|settings| drop(settings.issuers[0].claims.insert("groups".to_owned(), path.to_owned())));
    let (plain, roles, listed) = (with(|_| {}), named("realm.roles"), with(|settings| settings.directory = directory));
    let count = async |authenticator: &Authenticator, change: &Value| {
        let text = token(|claims| {
            claims.as_object_mut().unwrap().remove("groups");
            claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        });
        ask(authenticator, &text).await.ok().map(|principal| principal.claim_strings("groups").count())
    };
    for (authenticator, change, groups) in [
        (&plain, json!({}), Some(0)),
        (&plain, json!({"groups": null}), Some(0)),
        (&plain, json!({"groups": "a"}), Some(1)),
        (&plain, json!({"groups": many(1_024)}), Some(1_024)),
        (&plain, json!({"groups": many(1_025)}), None),
        (&plain, json!({"groups": ["a", 7]}), None),
        (&plain, json!({"groups": {"a": true}}), None),
        (&plain, json!({"groups": 7}), None),
        (&plain, json!({"hasgroups": true}), None),
        (&plain, json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {}}), None),
        (&plain, json!({"_claim_names": {"other": "src1"}, "hasgroups": false}), Some(0)),
        (&roles, json!({"realm": {"roles": ["a"]}, "groups": 7, "hasgroups": true, "_claim_names": {"groups": "src1"}}), Some(1)),
        (&roles, json!({"realm": {"roles": [["a"]]}}), None),
        (&roles, json!({"_claim_names": {"realm": "src1"}}), None),
        (&listed, json!({"groups": many(1_023)}), Some(1_024)),
        (&listed, json!({"groups": many(1_024)}), None),
    ] {
        assert_eq!(count(authenticator, &change).await, groups, "{change:.80}");
    }
}
