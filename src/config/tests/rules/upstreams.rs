//! Upstreams and their credentials.

use super::*;

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
