//! API keys.

use secrecy::ExposeSecret;

use super::*;

fn settings_for(key: &GeneratedKey, expires_unix_s: Option<u64>) -> KeySettings {
    let mut sha256 = [0; 32];
    for (to, pair) in sha256.iter_mut().zip(key.hash_hex.as_bytes().chunks(2)) {
        *to = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    KeySettings {
        id: key.id.clone(),
        name: key.name.clone(),
        sha256,
        groups: vec!["ci".to_owned()],
        scopes: vec!["mcp:read".to_owned()],
        expires_unix_s,
    }
}

fn holding(keys: Vec<KeySettings>, clock: &Clock) -> Result<Authenticator, SettingsError> {
    let settings = Settings { anonymous: true, api_keys: keys, ..Settings::default() };
    Authenticator::new(settings, clock.clone(), fetch())
}

#[tokio::test]
async fn a_key_is_its_principal_until_it_ends() {
    let clock = Clock::system();
    let key = generate_api_key("ci").unwrap();
    let end = clock.unix_s() + 100;
    let authenticator = holding(vec![settings_for(&key, Some(end))], &clock).unwrap();
    let text = key.key.expose_secret();
    let principal = ask(&authenticator, text).await.unwrap();
    assert_eq!((&*principal.iss, &*principal.sub), ("portcullis:keys", "key:ci"));
    assert_eq!(principal.claim_strings("groups").collect::<Vec<_>>(), ["ci"]);
    assert!(principal.has_scope("mcp:read") && !principal.anonymous);
    assert_eq!(principal.expires_at_s, Some(end));
    clock.advance_ms(101_000);
    assert_eq!(ask(&authenticator, text).await.unwrap_err(), Refusal::Invalid { private: "the API key has expired" });
}

#[tokio::test]
async fn nothing_but_the_key_passes() {
    let clock = Clock::system();
    let (key, other) = (generate_api_key("ci").unwrap(), generate_api_key("ci").unwrap());
    let mut zero = settings_for(&other, None);
    zero.id = "zero".to_owned();
    zero.sha256 = [0; 32];
    let authenticator = holding(vec![settings_for(&key, None), zero], &clock).unwrap();
    let text = key.key.expose_secret();
    let secret = &text[text.len() - 43..];
    let head = &text[..text.len() - 1];
    let last = if text.ends_with('A') { 'B' } else { 'A' };
    for wrong in [
        format!("{head}{last}"),
        head.to_owned(),
        format!("{text}A"),
        format!("{text}="),
        format!("pck_{}_{secret}", other.id),
        format!("pck_{}_{secret}", key.id.to_uppercase()),
        format!("pck_zero_{secret}"),
        format!("pck__{secret}"),
        format!("pck_{secret}"),
        format!("pck_{}_", key.id),
        format!("pck_{}", key.id),
        "pck_".to_owned(),
        other.key.expose_secret().to_owned(),
    ] {
        let got = ask(&authenticator, &wrong).await;
        assert_eq!(got.unwrap_err(), Refusal::Invalid { private: "not a valid API key" }, "{wrong}");
    }
    for wrong in [format!("PCK_{}_{secret}", key.id), key.hash_hex.clone(), secret.to_owned()] {
        assert!(matches!(ask(&authenticator, &wrong).await, Err(Refusal::Invalid { .. })), "{wrong}");
    }
    ask(&authenticator, text).await.unwrap();
}

#[test]
fn generated_keys_have_the_published_shape() {
    let (one, two) = (generate_api_key("ci \"x\"").unwrap(), generate_api_key("ci").unwrap());
    assert_ne!(one.key.expose_secret(), two.key.expose_secret());
    let text = one.key.expose_secret();
    let secret = text.strip_prefix(&format!("pck_{}_", one.id)).unwrap();
    assert_eq!(secret.len(), 43);
    assert_eq!(URL_SAFE_NO_PAD.decode(secret).unwrap().len(), 32);
    assert_eq!(one.id.len(), 8);
    let entry = one.config_entry();
    assert_eq!(entry, format!("- {{ id: {}, name: \"ci \\\"x\\\"\", hash: \"sha256:{}\" }}", one.id, one.hash_hex));
    assert!(!format!("{one:?}").contains(secret) && !entry.contains(secret));
}

#[test]
fn keys_that_cannot_be_told_apart_are_refused() {
    let clock = Clock::system();
    let good = settings_for(&generate_api_key("ci").unwrap(), None);
    assert!(holding(vec![good.clone()], &clock).is_ok());
    let with = |id: &str, name: &str| KeySettings { id: id.to_owned(), name: name.to_owned(), ..good.clone() };
    for bad in
        [with(&good.id, "other"), with("", "a"), with("a_b", "a"), with(&"a".repeat(65), "a"), with("a", ""), with("a", "b\n")]
    {
        let got = holding(vec![good.clone(), bad.clone()], &clock).err();
        assert_eq!(got, Some(SettingsError::ApiKey(bad.id.clone())), "{bad:?}");
    }
}
