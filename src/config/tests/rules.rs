//! Every rule of the format, section by section.

use super::*;
use crate::config::{Credential, JagSubject, SubjectTokenType};

#[test]
fn the_door() {
    for (yaml, path, message) in [
        ("listen: \":8443\"", "listen", "not an IP address and a port"),
        ("listen: localhost:8443", "listen", "not an IP address and a port"),
        ("listen: 127.0.0.1", "listen", "not an IP address and a port"),
        ("tls: maybe", "tls", "not a way to encrypt"),
        ("tls: none\nlisten: 0.0.0.0:1", "tls", "needs a loopback"),
        ("tls: self_signed\nlisten: 0.0.0.0:1", "tls", "`listen` is not loopback"),
        ("tls: self_signed\npublic_url: https://x.example", "tls", "host of `public_url` is not loopback"),
        ("tls: { cert: no.pem, key: key.pem }", "tls.cert", "cannot be read"),
        ("tls: { cert: cert.pem, key: policies }", "tls.key", "not a regular file"),
        ("tls: { cert: cert.pem, key: secret }", "tls.key", "others may use"),
        ("tls: { cert: cert.pem, key: key.pem, client_ca: no.pem }", "tls.client_ca", "cannot be read"),
        ("public_url: gateway", "public_url", "not a URL"),
        ("public_url: ftp://x.example", "public_url", "neither https nor http"),
        ("public_url: https://x.example/mcp", "public_url", "has a path"),
        ("public_url: https://x.example?a", "public_url", "has a path"),
        ("public_url: https://u@x.example", "public_url", "user name"),
        ("public_url: http://x.example", "public_url", "without TLS"),
        ("public_url: http://localhost\ntls: self_signed", "public_url", "is http, but"),
        ("allowed_origins: [\"*\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_origins: [\"null\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_origins: [\"https://x.example/\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_origins: [\"https://*.example\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_origins: [\"file://\"]", "allowed_origins[0]", "not an origin"),
        ("allowed_hosts: [\"*\"]", "allowed_hosts[0]", "not a host name"),
        ("allowed_hosts: [\"https://x.example\"]", "allowed_hosts[0]", "not a host name"),
        ("allowed_hosts: [\"x.example:99999\"]", "allowed_hosts[0]", "not a host name"),
        ("allowed_hosts: [\"\"]", "allowed_hosts[0]", "not a host name"),
        ("data_dir: \"\"", "data_dir", "is empty"),
        (
            "identity: { anonymous: true }\nlisten: 0.0.0.0:1\ntls: none\ndanger_plaintext: true",
            "identity.anonymous",
            "loopback only",
        ),
        ("identity: { dev: { enabled: true } }\npublic_url: https://x.example", "identity.dev.enabled", "loopback only"),
        ("admin: { listen: 127.0.0.1:77 }\nlisten: 127.0.0.1:77", "admin.listen", "port of `listen`"),
        ("admin: off", "admin", "not a listener"),
    ] {
        let line = 1 + yaml.lines().position(|line| line.starts_with(path.split(['.', '[']).next().unwrap())).unwrap();
        refuses(yaml, &[(path, message, line as u64)]);
    }
    accepts("tls: none\nlisten: 0.0.0.0:1\ndanger_plaintext: true");
    accepts(
        "tls: self_signed\nlisten: \"[::1]:1\"\npublic_url: https://localhost:8443\nidentity: { anonymous: true, dev: { enabled: true } }",
    );
    accepts("tls: none\npublic_url: https://gateway.example.com");
    assert!(accepts("admin: none").admin.is_none());
    assert_eq!(accepts("public_url: http://127.0.0.1:8443").public_url.unwrap().origin(), "http://127.0.0.1:8443");
}

#[test]
fn limits_have_bounds() {
    for (setting, message) in [
        ("body: 0", "out of range"),
        ("body: 1TiB", "not a size"),
        ("body: 10GiB", "out of range"),
        ("response: 3", "out of range"),
        ("depth: 0", "out of range"),
        ("depth: 100000", "out of range"),
        ("header_timeout: 0s", "out of range"),
        ("header_timeout: 1h", "out of range"),
        ("call_timeout: 10", "must be a string"),
        ("call_timeout: ten", "not a duration"),
        ("call_timeout: 99d", "out of range"),
        ("stream_idle: 1ms", "out of range"),
        ("connections: 0", "out of range"),
        ("in_flight: 0", "out of range"),
        ("sessions_per_principal: 0", "out of range"),
        ("upstream_sessions: 99999999", "out of range"),
        ("processes: 0", "out of range"),
    ] {
        let path = format!("limits.{}", setting.split(':').next().unwrap());
        refuses(&format!("limits:\n  {setting}"), &[(&path, message, 2)]);
    }
    assert_eq!(accepts("limits: { body: 2048 }").limits.body_bytes, 2048);
}

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

#[test]
fn routes() {
    for (path, message) in [
        ("mcp", "does not start with"),
        ("/mcp?x", "query"),
        ("/mcp#x", "query or fragment"),
        ("/a/../b", "dot segment"),
        ("/./a", "dot segment"),
        ("//a", "empty or dot segment"),
        ("/mcp/", "empty or dot segment"),
        ("/a%2fb", "may not have here"),
        ("/a b", "may not have here"),
        ("/.well-known/mcp", "answers itself"),
        ("/oauth/token", "answers itself"),
        ("/connect/x", "answers itself"),
        ("/confirm/x", "answers itself"),
    ] {
        let yaml = format!("routes:\n  - {{ path: \"{path}\", upstreams: [files] }}");
        refuses(&yaml, &[("routes[0].path", message, 2)]);
    }
    let two =
        "upstreams: [{ name: files, http: { url: \"https://a.example\" } }, { name: web, http: { url: \"https://b.example\" } }]";
    for (route, key, message) in [
        ("path: /mcp, upstreams: []", "upstreams", "is required"),
        ("path: /mcp, upstreams: [nobody]", "upstreams[0]", "not the name of an upstream"),
        ("path: /mcp, upstreams: [files, files]", "upstreams[1]", "twice"),
        ("path: /mcp, upstreams: [files, web], names: bare", "names", "single upstream"),
        ("path: /mcp, upstreams: [files], names: long", "names", "not a way to name"),
        ("path: /mcp, upstreams: [files], min_version: 2024-10-07", "min_version", "not a protocol revision"),
        ("path: /mcp, upstreams: [files], scopes: [\"\"]", "scopes[0]", "not a scope"),
    ] {
        refuses(&format!("routes:\n  - {{ {route} }}\n{two}"), &[(&format!("routes[0].{key}"), message, 2)]);
    }
    let twice = "routes:\n  - { path: /mcp, upstreams: [files] }\n  - { path: /mcp, upstreams: [files] }";
    refuses(twice, &[("routes[1].path", "path of another route", 3)]);
    refuses("routes: []", &[("routes", "is required", 1)]);
    accepts("routes: [{ path: /, upstreams: [files] }]");
    accepts("routes: [{ path: /, upstreams: [files], min_version: 2024-11-05 }]");
}

#[test]
fn upstreams() {
    for name in ["Files", "1a", "a_b", "", "-a", "a.b", &"a".repeat(33)] {
        let yaml = format!(
            "upstreams:\n  - {{ name: \"{name}\", http: {{ url: \"https://x.example\" }} }}\n  - {{ name: files, http: {{ url: \"https://x.example\" }} }}"
        );
        refuses(&yaml, &[("upstreams[0].name", "not an upstream name", 2)]);
    }
    let twice = "upstreams:\n  - { name: files, http: { url: \"https://x.example\" } }\n  - { name: files, http: { url: \"https://x.example\" } }";
    refuses(twice, &[("upstreams[1].name", "name of another upstream", 3)]);
    let stdio = "stdio: { command: x, danger_unsandboxed: true }";
    for (rest, key, message, line) in [
        ("timeout: 1s", "", "neither `http` nor `stdio`", 2),
        (&format!("{stdio}\n    http: {{ url: \"https://x.example\" }}"), "", "both `http` and `stdio`", 2),
        ("http: {}", ".http.url", "is required", 3),
        ("http: { url: nowhere }", ".http.url", "not a URL", 3),
        ("http: { url: \"ws://x.example\" }", ".http.url", "neither https nor http", 3),
        ("http: { url: \"http://x.example\" }", ".http.url", "plain http", 3),
        ("http: { url: \"https://192.168.0.1\" }", ".http.url", "private address", 3),
        ("http: { url: \"http://169.254.169.254/\", danger_plaintext: true }", ".http.url", "never called", 3),
        ("http: { url: \"https://x.example/#a\" }", ".http.url", "fragment", 3),
        ("http: { url: \"https://x.example\", dialect: 2024-11-05 }", ".http.dialect", "not a protocol revision", 3),
        ("stdio: { command: x }", ".stdio.danger_unsandboxed", "must be true", 3),
        ("stdio: { command: x, danger_unsandboxed: false }", ".stdio.danger_unsandboxed", "must be true", 3),
        ("stdio: { danger_unsandboxed: true }", ".stdio.command", "is required", 3),
        ("stdio: { command: \"\", danger_unsandboxed: true }", ".stdio.command", "not a program", 3),
        ("stdio: { command: x, danger_unsandboxed: true, env: { \"A=B\": c } }", ".stdio.env[\"A=B\"]", "not a variable name", 3),
        ("stdio: { command: x, danger_unsandboxed: true, args: [\"a\\0b\"] }", ".stdio.args[0]", "NUL", 3),
        (&format!("{stdio}\n    credential: {{ bearer: x }}"), ".credential", "nothing for a process", 4),
        (&format!("{stdio}\n    allow_private_addresses: true"), ".allow_private_addresses", "nothing for a process", 4),
        (&format!("{stdio}\n    timeout: 0s"), ".timeout", "out of range", 4),
    ] {
        refuses(&upstream(rest), &[(&format!("upstreams[0]{key}"), message, line)]);
    }
    accepts(&upstream("http: { url: \"http://x.example\", danger_plaintext: true }"));
    accepts(&upstream("http: { url: \"https://10.0.0.1\" }\n    allow_private_addresses: true"));
    for (word, revision) in [("auto", None), ("sse", Some(Revision::V2024_11_05)), ("2025-03-26", Some(Revision::V2025_03_26))] {
        let config = accepts(&upstream(&format!("http: {{ url: \"https://x.example/\", dialect: {word} }}")));
        let transport = &config.upstreams.first().unwrap().transport;
        assert!(matches!(transport, Transport::Http { dialect, .. } if *dialect == revision), "{word}");
    }
    let config = accepts(&upstream("stdio: { command: ./server, danger_unsandboxed: true }"));
    let transport = &config.upstreams.first().unwrap().transport;
    assert!(matches!(transport, Transport::Stdio { command, .. } if command.is_absolute()), "{transport:?}");
}

#[test]
fn credentials() {
    for (credential, key, message) in [
        ("{}", "", "is empty"),
        ("maybe", "", "not a kind of credential"),
        ("{ bearer: a, header: { name: X-Key, value: b } }", "", "two kinds"),
        ("{ bearer: \"\" }", ".bearer", "not a token"),
        ("{ bearer: \"Bearer abc\" }", ".bearer", "not a token"),
        ("{ header: { name: \"X Key\", value: b } }", ".header.name", "not a header name"),
        ("{ header: { name: Host, value: b } }", ".header.name", "sets itself"),
        ("{ header: { name: Mcp-Session-Id, value: b } }", ".header.name", "sets itself"),
        ("{ header: { name: X-Key, value: \"a\\r\\nb\" } }", ".header.value", "not a header value"),
        ("{ header: { name: X-Key, value: \"\" } }", ".header.value", "not a header value"),
        ("{ header: { name: X-Key } }", ".header.value", "is required"),
        ("{ header: { value: x } }", ".header.name", "is required"),
        ("mtls", "", "needs settings"),
        ("{ mtls: { cert: none.pem, key: own.pem } }", ".mtls.cert", "cannot be read"),
        ("{ mtls: { cert: odd.pem, key: odd.pem } }", ".mtls.key", "others may use"),
        ("{ mtls: { cert: odd.pem, key: own.pem }, bearer: x }", "", "two kinds"),
        ("{ client_credentials: { client_id: x, client_secret: y } }", ".client_credentials.issuer", "is required"),
        (
            "{ client_credentials: { issuer: \"https://a.example\", client_secret: y } }",
            ".client_credentials.client_id",
            "is required",
        ),
        (
            "{ client_credentials: { issuer: \"https://a.example\", client_id: x } }",
            ".client_credentials.client_secret",
            "is required",
        ),
        (
            "{ client_credentials: { issuer: \"http://a.example\", client_id: x, client_secret: y } }",
            ".client_credentials.issuer",
            "beyond loopback",
        ),
        (
            "{ client_credentials: { token_url: \"https://10.0.0.1/t\", client_id: x, client_secret: y } }",
            ".client_credentials.token_url",
            "private",
        ),
        (
            "{ client_credentials: { token_url: \"http://a.example/t\", client_id: x, client_secret: y } }",
            ".client_credentials.token_url",
            "plain http",
        ),
        (
            "{ client_credentials: { token_url: \"https://169.254.169.254/t\", client_id: x, client_secret: y, allow_private_addresses: true } }",
            ".client_credentials.token_url",
            "never called",
        ),
        (
            "{ client_credentials: { token_url: \"https://a.example/t\", client_id: x, client_secret: y, private_key: own.pem } }",
            ".client_credentials.private_key",
            "beside",
        ),
        (
            "{ client_credentials: { token_url: \"https://a.example/t\", client_id: x, client_secret: y, resource: \"a b\" } }",
            ".client_credentials.resource",
            "not an absolute URI",
        ),
        (
            "{ client_credentials: { token_url: \"https://a.example/t\", client_id: x, client_secret: y, scopes: [\"a b\"] } }",
            ".client_credentials.scopes[0]",
            "not a scope",
        ),
        (
            "{ token_exchange: { issuer: \"https://a.example\", client_id: x, client_secret: y } }",
            ".token_exchange.subject_issuer",
            "is required",
        ),
        (
            "{ id_jag: { issuer: \"https://a.example\", client_id: x, client_secret: y, subject_issuer: z } }",
            ".id_jag.idp",
            "is required",
        ),
        (
            "{ id_jag: { idp: { token_url: \"https://i.example/t\", client_id: x, client_secret: y }, token_url: \"https://a.example/t\", client_id: x, client_secret: y, subject_issuer: z } }",
            ".id_jag.issuer",
            "is required",
        ),
        (
            "{ client_credentials: { token_url: \"https://a.example/t\", client_id: x, client_secret: y, key_id: k } }",
            ".client_credentials.key_id",
            "stands alone",
        ),
        (&jag("subject_token: a.b.c, subject_issuer: z"), ".id_jag.subject_issuer", "stands beside"),
        (&jag("subject_issuer: z, subject_token_type: jwt"), ".id_jag.subject_token_type", "stands alone"),
        (&jag("subject: nobody, subject_issuer: z"), ".id_jag.subject", "is not"),
        (&jag("subject: person, subject_issuer: z"), ".id_jag.subject_issuer", "stands beside"),
        (&jag("subject: person, subject_token: a.b.c"), ".id_jag.subject_token", "stands beside"),
        (&jag("subject_token: \"\""), ".id_jag.subject_token", "not a token"),
        (&jag("subject_token: \"a b\""), ".id_jag.subject_token", "not a token"),
    ] {
        let files = credential_files();
        refuses_in(
            &files,
            &http(&format!("credential: {credential}")),
            &[(&format!("upstreams[0].credential{key}"), message, 4)],
        );
    }
}

/// An ID-JAG with `settings`.
fn jag(settings: &str) -> String {
    let client = "client_id: x, client_secret: y";
    format!(
        "{{ id_jag: {{ idp: {{ token_url: \"https://i.example/t\", {client} }}, issuer: \"https://a.example\", {client}, {settings} }} }}"
    )
}

#[test]
fn a_token_of_a_workload_is_the_same_for_everybody() {
    let shared = |settings: &str| http(&format!("credential: {}\n    shared: true", jag(settings)));
    for (settings, wanted) in [
        ("subject_token: token-canary", SubjectTokenType::IdToken),
        ("subject_token: token-canary, subject_token_type: jwt", SubjectTokenType::Jwt),
        ("subject_token: token-canary, subject_token_type: access_token", SubjectTokenType::AccessToken),
    ] {
        let config = Files::new().load(&super::with(&shared(settings))).unwrap();
        let credential = &config.upstreams[0].credential;
        assert!(!credential.is_asserted() && !format!("{credential:?}").contains("canary"), "{settings}");
        let Credential::IdJag { subject: JagSubject::Workload { kind, .. }, .. } = credential else { panic!("{settings}") };
        assert_eq!(*kind, wanted);
    }
    refuses(&shared("subject_issuer: z"), &[("upstreams[0].shared", "cannot go with", 5)]);
}

fn credential_files() -> Files {
    let files = Files::new();
    files.write("odd.pem", "x");
    files.write("own.pem", "x");
    files.mode("odd.pem", 0o644);
    files.mode("own.pem", 0o600);
    files
}

#[test]
fn credentials_of_people_need_sessions_of_their_own() {
    let settings = "issuer: \"https://a.example\", client_id: x, client_secret: y";
    let personal = format!("credential: {{ token_exchange: {{ {settings}, subject_issuer: \"https://idp.example.com\" }} }}");
    accepts(&http(&personal));
    refuses(&http(&format!("{personal}\n    shared: true")), &[("upstreams[0].shared", "cannot go with", 5)]);
    accepts(&http(&format!("credential: {{ client_credentials: {{ {settings} }} }}\n    shared: true")));
    let files = credential_files();
    let config = files.load(&super::with(&http("credential: { mtls: { cert: odd.pem, key: own.pem } }"))).unwrap();
    for name in ["odd.pem", "own.pem"] {
        assert!(config.watched.iter().any(|file| file.ends_with(name)), "{name} is watched");
    }
}

#[test]
fn policies_are_never_passed_over() {
    let files = Files::new();
    files.write("none/readme.md", "");
    files.write("cases/a.cases.yaml", "");
    files.write("stray/a.yaml", "");
    files.write("stray/below/deep/b.yml", "");
    files.write("loud/a.YAML", "");
    files.write("odd.txt", "");
    for (entry, message) in [
        ("missing", "cannot be read"),
        ("none", "holds no policy file"),
        ("cases", "holds no policy file"),
        ("cases/a.cases.yaml", "holds cases"),
        ("stray", "would not be loaded"),
        ("loud", "would not be loaded"),
        ("odd.txt", "not named .yaml"),
        ("\"\"", "is empty"),
    ] {
        refuses_in(&files, &format!("policies:\n  - {entry}"), &[("policies[0]", message, 2)]);
    }
    refuses_in(&files, "policies: [policies, policies/a.yaml]", &[("policies[1]", "a second time", 1)]);
    refuses("policies: []", &[("policies", "is required", 1)]);
}

#[test]
fn policies_of_a_directory_are_its_yaml_files() {
    let files = Files::new();
    for name in ["z.yml", "b.yaml", "b.cases.yaml", "notes.txt", ".hidden.yaml", "..2024/b.yaml", "more/c.cases.yaml"] {
        files.write(&format!("set/{name}"), "");
    }
    let config = files.load(&with("policies: [set, policies/a.yaml]")).unwrap();
    assert_eq!(config.policies, ["policies/a.yaml", "set/b.yaml", "set/z.yml"].map(|name| files.path(name)));
    assert!(config.watched.contains(&files.path("set")) && config.watched.contains(&files.path("set/z.yml")));
}

#[test]
fn operation() {
    for (yaml, path, message) in [
        ("audit: { durability: maybe }", "audit.durability", "not a durability"),
        ("audit: { reads: maybe }", "audit.reads", "not a way to record reads"),
        ("audit: { reads: sync, durability: danger_none }", "audit.reads", "waits for nothing"),
        ("audit: { compress: zip }", "audit.compress", "not a way to compress"),
        ("audit: { rotate: { size: 1KiB } }", "audit.rotate.size", "out of range"),
        ("audit: { rotate: { every: 1ms } }", "audit.rotate.every", "out of range"),
        ("audit: { retain: {} }", "audit.retain", "neither how long nor how much"),
        ("audit: { retain: { for: 1s } }", "audit.retain.for", "out of range"),
        ("audit: { retain: { size: 1 } }", "audit.retain.size", "out of range"),
        ("audit: { retain: { for: 1d, exported: true } }", "audit.retain.exported", "waits for nothing"),
        ("audit: { checkpoints: { every: 1ms } }", "audit.checkpoints.every", "out of range"),
        ("audit: { checkpoints: { records: 0 } }", "audit.checkpoints.records", "out of range"),
        ("audit: { checkpoints: { export: [{}] } }", "audit.checkpoints.export[0]", "neither `file` nor `webhook`"),
        ("audit: { checkpoints: { export: [{ file: \"\" }] } }", "audit.checkpoints.export[0].file", "not a path"),
        (
            "audit: { checkpoints: { export: [{ webhook: { url: \"https://example.com/x\" } }] } }",
            "audit.checkpoints.export[0].webhook.secret",
            "is required",
        ),
        (
            "audit: { checkpoints: { export: [{ webhook: { url: \"https://example.com/x\", secret: short } }] } }",
            "audit.checkpoints.export[0].webhook.secret",
            "shorter than",
        ),
        ("keys: { checkpoint: nowhere.pem }", "keys.checkpoint", "cannot be read"),
        ("audit: { sinks: [] }", "audit.sinks", "nothing would be recorded"),
        ("audit: { sinks: [{}] }", "audit.sinks[0].file", "is required"),
        ("audit: { record_arguments: [path] }", "audit.record_arguments[0]", "not a JSON pointer"),
        ("audit: { record_arguments: [\"\"] }", "audit.record_arguments[0]", "not a JSON pointer"),
        ("audit: { record_arguments: [/a~2] }", "audit.record_arguments[0]", "not a JSON pointer"),
        ("telemetry: { log: inof }", "telemetry.log", "not a log level"),
        ("telemetry: { log: \"a=inof\" }", "telemetry.log", "not a log level"),
        ("telemetry: { trace_sample: 1.5 }", "telemetry.trace_sample", "must be a number from 0 to 1"),
        ("telemetry: { trace_sample: -1 }", "telemetry.trace_sample", "must be a number from 0 to 1"),
        ("telemetry: { trace_sample: 2 }", "telemetry.trace_sample", "must be a number from 0 to 1"),
        ("telemetry: { trace_slow: 0s }", "telemetry.trace_slow", "out of range"),
        ("telemetry: { trust_trace_context: some }", "telemetry.trust_trace_context", "nobody to trust"),
        ("telemetry: { otlp: \"ftp://x\" }", "telemetry.otlp", "neither https nor http"),
        ("telemetry: { otlp: \"http://collector.example.com:4318\" }", "telemetry.otlp", "plain http"),
        ("telemetry: { otlp: \"https://10.0.0.1\" }", "telemetry.otlp", "private address"),
        ("telemetry: { otlp: \"https://u:p@x\" }", "telemetry.otlp", "user name or password"),
        ("telemetry: { otlp: {} }", "telemetry.otlp.endpoint", "is required"),
        ("telemetry: { otlp: { endpoint: \"https://x/?k=s\" } }", "telemetry.otlp.endpoint", "has a query"),
        ("telemetry: { otlp: { endpoint: \"https://x/p\", protocol: grpc } }", "telemetry.otlp.endpoint", "no room"),
        ("telemetry: { otlp: { endpoint: \"https://x\", protocol: udp } }", "telemetry.otlp.protocol", "not a protocol"),
        ("telemetry: { otlp: { endpoint: \"https://x\", ca: none.pem } }", "telemetry.otlp.ca", ""),
        ("telemetry: { otlp: { endpoint: \"https://x\", headers: { Host: x } } }", "telemetry.otlp.headers", "no header to set"),
        (
            "telemetry: { otlp: { endpoint: \"https://x\", headers: { a: \"x\\ny\" } } }",
            "telemetry.otlp.headers",
            "no header to set",
        ),
        ("telemetry: { otlp: { endpoint: \"https://x\", metrics_every: 1ms } }", "telemetry.otlp.metrics_every", "out of range"),
        ("telemetry: { log_format: xml }", "telemetry.log_format", "not a log format"),
    ] {
        let problems = Files::new().load(&with(yaml)).unwrap_err();
        let found = problems.iter().find(|p| p.path == path);
        assert!(found.is_some_and(|p| p.message.contains(message) && p.line == 1), "{yaml}: {problems:#?}");
    }
}

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
