//! The `authserver` section.

use super::*;
use crate::config::{Algorithm, Grant};

const UPSTREAM: &str = "upstream: { issuer: \"https://idp.example.com\", client_id: gw, client_secret: s3cret-canary }";

#[test]
fn the_smallest_section_has_the_defaults() {
    let files = Files::new();
    assert!(files.load(&with("")).unwrap().authserver.is_none());
    assert!(files.load(&with(&format!("authserver: {{ {UPSTREAM}, enabled: false }}"))).unwrap().authserver.is_none());
    let config = files.load(&with(&format!("authserver: {{ {UPSTREAM} }}"))).unwrap();
    let section = config.authserver.unwrap();
    assert_eq!(section.upstream.scopes, ["openid", "profile", "email"]);
    assert_eq!(section.upstream.algorithms, [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
    assert_eq!((section.cimd.is_none(), section.dcr.is_none(), section.clients.len()), (true, true, 0));
    assert_eq!((section.access_token, section.refresh_token), (Duration::from_secs(600), Duration::from_secs(30 * 86_400)));
    assert_eq!((section.algorithm, section.key_rotation), (Algorithm::ES256, Duration::from_secs(90 * 86_400)));
    assert!(!format!("{section:?}").contains("s3cret-canary"));
}

#[test]
fn everything_can_be_said() {
    let files = Files::new();
    let config = files
        .load(&with(&format!(
            r#"authserver: {{ {UPSTREAM}, access_token: 5m, refresh_token: 8h, algorithm: EdDSA, key_rotation: 7d, scopes: {{ "mcp:read": Read }},
                cimd: {{ allow: ["*.Example.com", vscode.dev] }}, dcr: {{ enabled: true, per_hour: 5, expires: 1d }},
                clients: [{{ client_id: a, redirect_uris: ["https://a.example/", "http://localhost/", "cursor://x"] }},
                          {{ client_id: b, secret_hash: "sha256:{}", grants: [client_credentials, jwt_bearer] }}],
                id_jag: {{ issuers: [{{ issuer: "https://jag.example.com", jwks: "https://jag.example.com/jwks" }}] }} }}"#,
            "ab".repeat(32)
        )))
        .unwrap();
    let section = config.authserver.unwrap();
    assert_eq!(section.cimd.unwrap().allow, ["*.example.com", "vscode.dev"]);
    assert_eq!(section.dcr.unwrap().per_hour, 5);
    assert_eq!(section.clients[0].grants, [Grant::AuthorizationCode, Grant::RefreshToken]);
    assert_eq!((section.clients[1].secret_sha256, section.id_jag.len()), (Some([0xab; 32]), 1));
}

#[test]
fn hosts_of_the_own_network_are_named_with_the_consent_for_it() {
    let cimd = "cimd: { allow: [localhost, Intranet, client.example.com], allow_private_addresses: true }";
    let config = Files::new().load(&with(&format!("authserver: {{ {UPSTREAM}, {cimd} }}"))).unwrap();
    let cimd = config.authserver.unwrap().cimd.unwrap();
    assert_eq!(
        (cimd.allow, cimd.allow_private_addresses),
        (["localhost", "intranet", "client.example.com"].map(str::to_owned).to_vec(), true)
    );
}

#[test]
fn what_could_not_be_honoured_is_refused() {
    let section = |more: &str| format!("authserver: {{ {UPSTREAM}, {more} }}");
    let id_jag = |more: &str| section(&format!("id_jag: {{ issuers: [{{ issuer: \"https://jag.example.com\", {more} }}] }}"));
    for (yaml, path) in [
        ("authserver: {}".to_owned(), "authserver.upstream"),
        ("authserver: { upstream: { issuer: \"https://idp.example.com\" } }".to_owned(), "authserver.upstream.client_id"),
        (
            "authserver: { upstream: { issuer: \"http://idp.example.com\", client_id: a } }".to_owned(),
            "authserver.upstream.issuer",
        ),
        (
            "authserver: { upstream: { issuer: \"https://idp.example.com\", client_id: a, scopes: [email] } }".to_owned(),
            "authserver.upstream.scopes",
        ),
        (
            "authserver: { upstream: { issuer: \"https://idp.example.com\", client_id: a, algorithms: [HS256] } }".to_owned(),
            "authserver.upstream.algorithms[0]",
        ),
        (section("cimd: {}"), "authserver.cimd"),
        (section("cimd: { allow: [\"*\"] }"), "authserver.cimd.allow[0]"),
        (section("cimd: { allow: [\"10.0.0.1\"] }"), "authserver.cimd.allow[0]"),
        (section("cimd: { allow: [localhost] }"), "authserver.cimd.allow[0]"),
        (section("cimd: { allow: [\"2130706433\"], allow_private_addresses: true }"), "authserver.cimd.allow[0]"),
        (section("cimd: { allow: [\"0x7f.1\"], allow_private_addresses: true }"), "authserver.cimd.allow[0]"),
        (section("cimd: { allow: [\"*.localhost\"], allow_private_addresses: true }"), "authserver.cimd.allow[0]"),
        (section("cimd: { allow: [\"\"], allow_private_addresses: true }"), "authserver.cimd.allow[0]"),
        (section("cimd: { allow: [\"https://x.example\"] }"), "authserver.cimd.allow[0]"),
        (section("cimd: { danger_allow_any: true, allow_private_addresses: true }"), "authserver.cimd.danger_allow_any"),
        (section("dcr: { enabled: true, per_hour: 0 }"), "authserver.dcr.per_hour"),
        (section("access_token: 2d"), "authserver.access_token"),
        (section("access_token: 1s"), "authserver.access_token"),
        (section("refresh_token: forever"), "authserver.refresh_token"),
        (section("algorithm: RS256"), "authserver.algorithm"),
        (section("scopes: { \"a b\": x }"), "authserver.scopes[\"a b\"][0]"),
        (section("scopes: { offline_access: x }"), "authserver.scopes.offline_access"),
        (
            section("clients: [{ client_id: \"https://x.example/\", redirect_uris: [\"https://x.example/\"] }]"),
            "authserver.clients[0].client_id",
        ),
        (section("clients: [{ client_id: a }]"), "authserver.clients[0].redirect_uris"),
        (section("clients: [{ client_id: a, redirect_uris: [\"javascript:x\"] }]"), "authserver.clients[0].redirect_uris[0]"),
        (
            section("clients: [{ client_id: a, redirect_uris: [\"http://x.example/\"] }]"),
            "authserver.clients[0].redirect_uris[0]",
        ),
        (section("clients: [{ client_id: a, grants: [client_credentials] }]"), "authserver.clients[0].grants"),
        (
            section("clients: [{ client_id: a, grants: [implicit], redirect_uris: [\"https://x.example/\"] }]"),
            "authserver.clients[0].grants[0]",
        ),
        (section("clients: [{ client_id: a, secret_hash: x, grants: [] }]"), "authserver.clients[0].secret_hash"),
        (id_jag("audience: [\"https://gw.example.com\"]"), "authserver.id_jag.issuers[0].audience"),
        (id_jag("token_type: at+jwt"), "authserver.id_jag.issuers[0].token_type"),
        (id_jag("scope_implies: { a: b }"), "authserver.id_jag.issuers[0].scope_implies"),
        (id_jag("dpop: require"), "authserver.id_jag.issuers[0].dpop"),
        (
            id_jag("introspection: { url: \"https://jag.example.com/i\", client_id: a, client_secret: s3cret-canary }"),
            "authserver.id_jag.issuers[0].introspection",
        ),
        (section("surprise: 1"), "authserver.surprise"),
    ] {
        let problems = Files::new().load(&with(&yaml)).expect_err(&yaml);
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert!(paths.contains(&path), "{yaml}: {problems:?}");
        assert!(!format!("{problems:?}").contains("s3cret-canary"), "{yaml}");
    }
}

#[test]
fn a_route_for_bound_tokens_needs_somebody_who_binds_them() {
    let files = Files::new();
    let route = |proof: &str| format!("routes: [{{ path: /mcp, upstreams: [files], proof: {proof} }}]");
    let certificates = "identity: { client_certificates: { trust_domain: example.org } }";
    let tls = "tls: { cert: cert.pem, key: key.pem, client_ca: cert.pem }";
    let issuer = issuer("audience: []");
    for (identity, proof, refused) in [
        ("identity: {}", "none", false),
        ("identity: {}", "dpop", true),
        ("identity: {}", "any", true),
        ("identity: {}", "mtls", true),
        (certificates, "dpop", true),
        (certificates, "mtls", false),
        (certificates, "any", false),
        (issuer.as_str(), "dpop", false),
        (issuer.as_str(), "any", false),
    ] {
        for (section, refused) in [(format!("authserver: {{ {UPSTREAM} }}"), refused), (String::new(), false)] {
            let problems =
                files.load(&with(&format!("{identity}\n{tls}\n{}\n{section}", route(proof)))).err().unwrap_or_default();
            let told = problems.iter().any(|problem| problem.path == "routes[0].proof" && problem.message.contains("by nobody"));
            assert_eq!((told, problems.is_empty()), (refused, !refused), "{identity} {proof} {section}: {problems:?}");
        }
    }
}
