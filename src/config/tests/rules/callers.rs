//! Issuers and keys of callers.

use super::*;

#[test]
fn issuers() {
    let jwks = "jwks: https://idp.example.com/jwks";
    for (rest, key, message, line) in [
        ("jwks: nowhere", "jwks", "not a URL", 4),
        ("jwks: file:none.json", "jwks", "cannot be read", 4),
        ("jwks: http://idp.example.com/jwks", "jwks", "plain http", 4),
        ("jwks: https://10.0.0.1/jwks", "jwks", "private address", 4),
        ("jwks: https://169.254.169.254/jwks\n      allow_private_addresses: true", "jwks", "never called", 4),
        (&format!("{jwks}\n      algorithms: [none]"), "algorithms[0]", "not an accepted algorithm", 5),
        (&format!("{jwks}\n      algorithms: [RS256, HS256]"), "algorithms[1]", "not an accepted algorithm", 5),
        (&format!("{jwks}\n      algorithms: [RS256, RS256]"), "algorithms[1]", "twice", 5),
        (&format!("{jwks}\n      algorithms: []"), "algorithms", "no token could be verified", 5),
        (&format!("{jwks}\n      audience: [\"\"]"), "audience[0]", "is empty", 5),
        (&format!("{jwks}\n      claims: {{ group: x }}"), "claims.group", "not a claim name of ours", 5),
        (&format!("{jwks}\n      claims: {{ sub: email }}"), "claims.sub", "meaning is fixed", 5),
        (&format!("{jwks}\n      claims: {{ cnf: x }}"), "claims.cnf", "meaning is fixed", 5),
        ("jwks: none", "jwks", "no introspection", 4),
        (&format!("{jwks}\n      token_type: jwt"), "token_type", "not one of the words", 5),
        (&format!("{jwks}\n      dpop: on"), "dpop", "not one of the words", 5),
        (&format!("{jwks}\n      clock_skew: 61s"), "clock_skew", "out of range", 5),
        (&format!("{jwks}\n      max_token_age: 1s"), "max_token_age", "out of range", 5),
        (&format!("{jwks}\n      subjects: [\"\"]"), "subjects[0]", "is empty", 5),
        (&format!("{jwks}\n      subjects: ['a\\']"), "subjects[0]", "escapes nothing", 5),
        (&format!("{jwks}\n      required_claims: {{ hd: [] }}"), "required_claims.hd", "no token could have it", 5),
        (&format!("{jwks}\n      required_claims: {{ hd: 7 }}"), "required_claims.hd", "must be a string", 5),
        (&format!("{jwks}\n      scope_implies: {{ admin: [\"a b\"] }}"), "scope_implies.admin[0]", "not a scope", 5),
        (
            &format!("{jwks}\n      introspection: {{ url: nowhere, client_id: a, client_secret: b }}"),
            "introspection.url",
            "not a URL",
            5,
        ),
        (
            &format!("{jwks}\n      introspection: {{ url: \"https://10.0.0.1/i\", client_id: a, client_secret: b }}"),
            "introspection.url",
            "private address",
            5,
        ),
        (
            &format!(
                "{jwks}\n      introspection: {{ url: \"https://idp.example.com/i\", client_id: a, client_secret: b, cache: 2h }}"
            ),
            "introspection.cache",
            "out of range",
            5,
        ),
        (
            &format!("{jwks}\n      introspection: {{ url: \"https://idp.example.com/i\", client_id: a }}"),
            "introspection.client_secret",
            "is required",
            5,
        ),
        (&format!("{jwks}\n      claims: {{ groups: a..b }}"), "claims.groups", "not the name of a claim", 5),
        (&format!("{jwks}\n      claims: {{ groups: \"\" }}"), "claims.groups", "not the name of a claim", 5),
    ] {
        refuses(&issuer(rest), &[(&format!("identity.issuers[0].{key}"), message, line)]);
    }
    for (text, message) in [
        ("idp", "not a URL"),
        ("http://idp.example.com", "http beyond loopback"),
        ("ldap://idp.example.com", "not https"),
        ("https://idp.example.com?x", "query"),
    ] {
        let yaml = format!("identity:\n  issuers: [{{ issuer: \"{text}\", {jwks} }}]");
        refuses(&yaml, &[("identity.issuers[0].issuer", message, 2)]);
    }
    let twice = format!("{}\n    - issuer: https://idp.example.com\n      {jwks}", issuer(jwks));
    refuses(&twice, &[("identity.issuers[1].issuer", "twice", 5)]);
    accepts(&issuer("jwks: http://idp.example.com/jwks\n      danger_plaintext: true"));
    accepts(&issuer("jwks: http://127.0.0.1:9/jwks"));
}

#[test]
fn api_keys() {
    for (rest, key, message) in [
        (", expires: soon", "expires", "not a date"),
        (", scopes: [\"a b\"]", "scopes[0]", "not a scope"),
        (", scopes: [a, a]", "scopes[1]", "twice"),
        (", groups: [\"\"]", "groups[0]", "is empty"),
    ] {
        refuses(&api_key(rest), &[(&format!("identity.api_keys[0].{key}"), message, 3)]);
    }
    let hash = "ab".repeat(32);
    for (text, key, message) in [
        (format!("id: a_b, name: ci, hash: \"sha256:{hash}\""), "id", "not a key id"),
        (format!("id: \"\", name: ci, hash: \"sha256:{hash}\""), "id", "not a key id"),
        (format!("id: a, name: \"a b\", hash: \"sha256:{hash}\""), "name", "not a key name"),
        (format!("id: a, name: ci, hash: \"{hash}\""), "hash", "not `sha256:`"),
        (format!("id: a, name: ci, hash: \"sha256:{hash}0\""), "hash", "not `sha256:`"),
        (format!("id: a, name: ci, hash: \"sha256:g{}\"", hash.get(1..).unwrap()), "hash", "not `sha256:`"),
    ] {
        let yaml = format!("identity:\n  api_keys: [{{ {text} }}]");
        refuses(&yaml, &[(&format!("identity.api_keys[0].{key}"), message, 2)]);
    }
    let twice = format!("{}\n    - {{ id: k1, name: ci, hash: \"sha256:{hash}\" }}", api_key(""));
    refuses(&twice, &[("identity.api_keys[1].id", "id of another key", 4)]);
    accepts(
        &twice
            .replace("- { id: k1, name: ci, hash: \"sha256:ab", "- { id: k2, name: ci, hash: \"sha256:ab")
            .replacen("k2", "k1", 1),
    );
    accepts(&api_key(", expires: 2027-01-01T00:00:00+01:00"));
}
