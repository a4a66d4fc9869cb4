//! Who may call: the files beside the config, certificates, and what the defaults are.

use super::*;

const CERTS: &str = "tls: { cert: cert.pem, key: key.pem, client_ca: cert.pem }";

#[test]
fn an_issuer_has_defaults_and_settings() {
    let config = accepts(&issuer("audience: []"));
    let plain = config.identity.issuers.first().unwrap();
    assert_eq!(plain.jwks, Jwks::Discovered);
    assert_eq!((plain.at_jwt_only, plain.dpop, plain.clock_skew), (false, Dpop::Accept, Duration::from_secs(30)));
    assert!(plain.max_token_age.is_none() && plain.introspection.is_none() && !config.identity.dpop_nonce_optional);
    let yaml = issuer(
        "jwks: none\n      introspection: { url: \"https://idp.example.com/i\", client_id: gw, client_secret: \"${env:TOKEN}\", tokens: all }\n      token_type: at+jwt\n      dpop: require\n      clock_skew: 0s\n      max_token_age: 1h\n      subjects: [\"system:serviceaccount:ci:*\"]\n      required_claims: { hd: example.com, env: [a, b] }\n      scope_implies: { \"mcp:admin\": [\"mcp:write\"], x: y }",
    );
    let config = accepts(&format!("{yaml}\n  dpop_nonce: optional"));
    let issuer = config.identity.issuers.first().unwrap();
    assert!(issuer.at_jwt_only && config.identity.dpop_nonce_optional);
    assert_eq!((&issuer.jwks, issuer.dpop, issuer.clock_skew), (&Jwks::None, Dpop::Require, Duration::ZERO));
    assert_eq!(issuer.max_token_age, Some(Duration::from_secs(3_600)));
    assert_eq!(issuer.required_claims["hd"], ["example.com"]);
    assert_eq!(issuer.required_claims["env"], ["a", "b"]);
    assert_eq!(issuer.scope_implies["mcp:admin"], ["mcp:write"]);
    let introspection = issuer.introspection.as_ref().unwrap();
    assert_eq!(introspection.client_secret.expose_secret(), SECRET);
    assert!(introspection.jwts_too && introspection.cache == Duration::from_secs(30));
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn opaque_tokens_have_one_issuer() {
    let introspection = "introspection: { url: \"https://idp.example.com/i\", client_id: a, client_secret: b }";
    let yaml = format!("{}\n    - issuer: https://b.example.com\n      {introspection}", issuer(introspection));
    refuses(&yaml, &[("identity.issuers[1].introspection", "second issuer", 6)]);
}

#[test]
fn certificates_need_an_authority() {
    let certificates = "identity: { client_certificates: { trust_domain: example.org } }";
    refuses(certificates, &[("identity.client_certificates", "none are asked for", 1)]);
    refuses(
        &format!("identity: {{ client_certificates: {{}} }}\n{CERTS}"),
        &[("identity.client_certificates", "is required", 1)],
    );
    for (more, why) in [("", "none are asked for"), (", client_ca: cert.pem", "not one of the words")] {
        let word = if more.is_empty() { "optional" } else { "maybe" };
        let yaml = format!("tls: {{ cert: cert.pem, key: key.pem{more}, client_certificates: {word} }}");
        refuses(&yaml, &[("tls.client_certificates", why, 1)]);
    }
    for (word, optional) in [("optional", true), ("required", false)] {
        let yaml = format!("tls: {{ cert: cert.pem, key: key.pem, client_ca: cert.pem, client_certificates: {word} }}");
        assert!(matches!(accepts(&yaml).tls, crate::config::Tls::Files { client_optional, .. } if client_optional == optional));
    }
    assert!(matches!(accepts(CERTS).tls, crate::config::Tls::Files { client_optional: false, .. }));
    let odd = format!("identity: {{ client_certificates: {{ trust_domain: \"spiffe://x\" }} }}\n{CERTS}");
    refuses(&odd, &[("identity.client_certificates.trust_domain", "not a SPIFFE trust domain", 1)]);
    let config = accepts(&format!("{certificates}\n{CERTS}"));
    assert_eq!(config.identity.client_certificates.unwrap().trust_domain.as_deref(), Some("example.org"));
    let route = |proof: &str| format!("routes: [{{ path: /mcp, upstreams: [files], proof: {proof} }}]");
    refuses(&route("mtls"), &[("routes[0].proof", "none are asked for", 1)]);
    refuses(&route("tls"), &[("routes[0].proof", "not a sender constraint", 1)]);
    accepts(&format!("{}\n{CERTS}", route("mtls")));
    for (word, proof) in [("dpop", crate::vocab::Proof::Dpop), ("any", crate::vocab::Proof::Any)] {
        assert_eq!(accepts(&route(word)).routes.first().unwrap().proof, proof);
    }
}

#[test]
fn revocations_are_a_file_that_is_watched() {
    let files = Files::new();
    let yaml = "identity: { revocations: revoked.yaml }";
    refuses_in(&files, yaml, &[("identity.revocations", "cannot be read", 1)]);
    files.write(
        "revoked.yaml",
        "- { iss: https://idp.example.com, sub: alice, before: 2027-01-01 }\n- { jti: t1 }\n- { key: k1 }\n",
    );
    let config = files.load(&with(yaml)).unwrap();
    let [first, second, third] = &config.identity.revocations[..] else { panic!() };
    assert_eq!((first.sub.as_deref(), first.before_unix_s), (Some("alice"), Some(1_798_761_600)));
    assert_eq!((second.jti.as_deref(), third.key.as_deref()), (Some("t1"), Some("k1")));
    assert!(config.watched.contains(&files.path("revoked.yaml")));
    files.write("revoked.yaml", "[]");
    assert!(files.load(&with(yaml)).unwrap().identity.revocations.is_empty());
    for (text, path, message, line) in [
        ("", "", "has no value", 0),
        ("a: b", "", "must be a list", 1),
        ("- { sub: alice }", "[0]", "without its issuer", 1),
        ("- { before: 2027-01-01 }", "[0]", "revokes nothing", 1),
        ("- { jti: x, before: soon }", "[0].before", "not a date", 1),
        ("- { jti: \"\" }", "[0].jti", "is empty", 1),
        ("- { jti: x }\n- { user: x }", "[1].user", "unknown key", 2),
        ("- { jti: [", "", "", 1),
    ] {
        files.write("revoked.yaml", text);
        let problems = files.load(&with(yaml)).unwrap_err();
        let problem = problems.first().unwrap();
        assert!(problem.file.ends_with("revoked.yaml"), "{text}: {problems:?}");
        assert!(problem.message.contains(message) && problem.path == path, "{text}: {problems:?}");
        assert!(line == 0 || problem.line == line, "{text}: {problems:?}");
    }
}

#[test]
fn the_directory_is_a_file_of_nested_groups() {
    let files = Files::new();
    let yaml = "identity: { directory: people.yaml }";
    let load = |text: &str| {
        files.write("people.yaml", text);
        files.load(&with(yaml))
    };
    let config = load("groups:\n  sre: { includes: [oncall], members: [alice@example.com, { iss: \"https://idp.example.com\", sub: bob }] }\n  oncall: {}").unwrap();
    let [oncall, sre] = &config.identity.directory[..] else { panic!() };
    assert_eq!((oncall.name.as_str(), sre.includes.as_slice(), sre.members.len()), ("oncall", &["oncall".to_owned()][..], 2));
    for (text, path, message) in [
        ("groups: { a: { includes: [b] } }", "groups.a.includes[0]", "not a group of this file"),
        ("groups: { a: { includes: [a] } }", "groups.a.includes", "part of itself"),
        ("groups: { a: { members: [alice] } }", "groups.a.members[0]", "not an address"),
        ("groups: { a: { members: [{ sub: x }] } }", "groups.a.members[0]", "not a member"),
        ("groups: { a: { members: [{ iss: x, sub: y, email: z }] } }", "groups.a.members[0]", "not a member"),
        ("{}", "groups", "is required"),
    ] {
        let problems = load(text).unwrap_err();
        let problem = problems.first().unwrap();
        assert!(problem.path == path && problem.message.contains(message), "{text}: {problems:?}");
    }
    assert_eq!(load("groups: { a: { includes: [b] }, b: { includes: [a] } }").unwrap_err().len(), 2);
    let two = format!("{}\n    - issuer: https://b.example.com\n  directory: people.yaml", issuer("audience: []"));
    files.write("people.yaml", "groups: { a: { members: [alice@example.com] } }");
    let problems = files.load(&with(&two)).unwrap_err();
    assert!(problems.first().unwrap().message.contains("an address of no issuer"), "{problems:?}");
    files.write("people.yaml", "groups: { a: { members: [{ iss: \"https://b.example.com\", email: alice@example.com }] } }");
    files.load(&with(&two)).unwrap();
}

#[test]
fn an_address_needs_its_issuer_where_several_vouch_wherever_they_are_named() {
    let files = Files::new();
    let idp = "upstream: { issuer: \"https://idp.example.com\", client_id: gw }";
    let jag = |issuer: &str| format!("id_jag: {{ issuers: [{{ issuer: \"{issuer}\" }}] }}");
    let (same, other) = (jag("https://idp.example.com"), jag("https://b.example.com"));
    let elsewhere = "upstream: { issuer: \"https://b.example.com\", client_id: gw }";
    files.write("people.yaml", "groups: { a: { members: [alice@example.com] } }");
    for (identity, section, several) in [
        ("issuer", String::new(), false),
        ("issuer", format!("authserver: {{ {idp} }}"), false),
        ("issuer", format!("authserver: {{ {idp}, {same} }}"), false),
        ("issuer", format!("authserver: {{ {elsewhere} }}"), true),
        ("issuer", format!("authserver: {{ {elsewhere}, enabled: false }}"), false),
        ("issuer", format!("authserver: {{ {idp}, {other} }}"), true),
        ("none", format!("authserver: {{ {idp} }}"), false),
        ("none", format!("authserver: {{ {idp}, {other} }}"), true),
    ] {
        let identity = match identity {
            "issuer" => format!("{}\n  directory: people.yaml", issuer("audience: []")),
            _ => "identity: { directory: people.yaml }".to_owned(),
        };
        let loaded = files.load(&with(&format!("{identity}\n{section}")));
        let problems = loaded.err().unwrap_or_default();
        let told = problems.iter().any(|problem| problem.message.contains("an address of no issuer"));
        assert_eq!(told, several, "{identity}\n{section}: {problems:?}");
        assert!(told || problems.is_empty(), "{identity}\n{section}: {problems:?}");
    }
}
