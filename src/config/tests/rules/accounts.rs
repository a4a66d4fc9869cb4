//! Linked accounts and the keys of the vault.

use super::*;

const SIGN_IN: &str = "authserver: { upstream: { issuer: \"https://idp.example.com\", client_id: gw } }\n";

#[test]
fn linked_accounts() {
    let with = |rest: &str| format!("{SIGN_IN}{}", http(&format!("credential: {{ per_user: {rest} }}")));
    let at = |key: &str| format!("upstreams[0].credential.per_user{key}");
    for (rest, key, message) in [
        ("{ client_secret: s }", ".client_secret", "stands alone"),
        ("{ client_id: a, client_secret: s }", ".client_secret", "stands alone"),
        ("{ issuer: \"https://as.example.com\", client_secret: s }", ".client_secret", "stands alone"),
        ("{ issuer: \"http://as.example.com\" }", ".issuer", "http beyond loopback"),
        ("{ client_id: \"\" }", ".client_id", "is empty"),
        ("{ danger_no_resource: true }", ".danger_no_resource", "is said of no"),
        ("{ resource: \"x\" }", ".resource", "not an absolute URI"),
        ("{ resource: \"https://r.example\", danger_no_resource: true }", ".danger_no_resource", "stands beside"),
        ("{ token_url: \"https://as.example.com/t\" }", ".authorization_url", "is required"),
        ("{ authorization_url: \"https://as.example.com/a\" }", ".token_url", "is required"),
        (
            "{ authorization_url: \"https://as.example.com/a\", token_url: \"https://as.example.com/t\" }",
            ".authorization_url",
            "does not suffice",
        ),
        ("{ scopes: [\"a b\"] }", ".scopes[0]", "not a scope"),
    ] {
        refuses(&with(rest), &[(&at(key), message, 5)]);
    }
    refuses(&http("credential: { per_user: {} }"), &[("authserver", "is absent", 1)]);
    // The same of those who are vouched for by where they sign in, at the provider and for the client that their ID token is for.
    let person = http(&format!("credential: {}", jag("subject: person")));
    refuses(&person, &[("authserver", "is absent", 1)]);
    refuses(&format!("{SIGN_IN}{person}"), &[("upstreams[0].credential.id_jag.idp", "is not where people sign in", 5)]);
    let there =
        person.replace("token_url: \"https://i.example/t\", client_id: x", "issuer: \"https://idp.example.com\", client_id: gw");
    let config = accepts(&format!("{SIGN_IN}{there}"));
    assert!(config.upstreams[0].credential.signs_in() && config.upstreams[0].credential.is_personal());
    refuses(&format!("{SIGN_IN}{}", http("credential: per_user")), &[("upstreams[0].credential", "needs settings", 5)]);
    let shared = format!("{}\n    shared: true", with("{}"));
    refuses(&shared, &[("upstreams[0].shared", "cannot go with this credential", 6)]);
    for rest in ["{}", "{ client_id: \"https://gw.example.com/client.json\" }", "{ scopes: [repo] }"] {
        accepts(&with(rest));
    }
    let config = accepts(&with("{ issuer: \"https://as.example.com\", client_id: a, client_secret: s, scopes: [repo] }"));
    let Some(Credential::PerUser(own)) = config.upstreams.first().map(|upstream| &upstream.credential) else { panic!() };
    assert_eq!(
        (own.issuer.as_deref(), own.client_id.as_deref(), own.scopes.len()),
        (Some("https://as.example.com"), Some("a"), 1)
    );
}

#[test]
fn keys_of_the_vault() {
    for (text, path, message) in [
        ("[]", "keys.vault", "is empty"),
        ("[new, old]", "keys.vault[0]", "cannot be read"),
        ("{ a: b }", "keys.vault", "must be"),
    ] {
        let files = Files::new();
        let problems = files.load(&super::with(&format!("keys: {{ vault: {text} }}"))).unwrap_err();
        assert!(problems.iter().any(|problem| problem.path == path && problem.message.contains(message)), "{text}: {problems:?}");
    }
    assert_eq!(accepts("keys: { vault: one }").vault_keys.len(), 1);
    assert!(accepts("").vault_keys.first().unwrap().ends_with("keys/vault"));
}
