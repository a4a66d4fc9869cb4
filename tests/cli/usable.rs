//! What `check` finds in the files that a config names: whatever a start would end with.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rcgen::KeyPair;

use super::*;

const OTLP: &str = "telemetry: { otlp: { endpoint: \"https://127.0.0.1:9\", ca: garbage.pem } }\n";
const AUTHSERVER: &str =
    "authserver: { upstream: { issuer: \"http://127.0.0.1:9\", client_id: gw, client_secret: of-the-gateway } }\n";
const ISSUER: &str = "identity: { issuers: [{ issuer: \"https://idp.example.com\", jwks: \"file:FILE\", algorithms: [EdDSA] }] }";

/// Certificates, keys and what is neither.
fn files(dir: &Path) {
    let private = |name: &str, text: &str| {
        fs::write(dir.join(name), text).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    for name in ["a", "b"] {
        let key = KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        private(&format!("{name}.key"), &key.serialize_pem());
    }
    private("garbage.key", "a key");
    private("signs.key", &KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem());
    fs::write(dir.join("garbage.pem"), "a certificate").unwrap();
    fs::write(dir.join("empty.json"), "{}").unwrap();
    fs::write(dir.join("no.json"), "keys").unwrap();
    fs::write(dir.join("open.key"), [7; 32]).unwrap();
    fs::set_permissions(dir.join("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
}

/// The mistakes: what becomes what in the config, and the path that is named.
fn mistakes() -> Vec<(&'static str, String, &'static str)> {
    let tls = |files: &str| format!("tls: {{ {files} }}");
    let issuer = |file: &str| ISSUER.replace("FILE", file);
    let credential = "/mcp\" }, credential: { mtls: { cert: garbage.pem, key: garbage.key } } }";
    let linked = format!("/mcp\" }}, credential: {{ per_user: {{}} }} }}]\nkeys: {{ vault: open.key }}\n{AUTHSERVER}#");
    vec![
        ("tls: self_signed", tls("cert: a.pem, key: b.key"), "tls"),
        ("tls: self_signed", tls("cert: garbage.pem, key: a.key"), "tls.cert"),
        ("tls: self_signed", tls("cert: a.pem, key: garbage.key"), "tls.key"),
        ("tls: self_signed", tls("cert: a.pem, key: a.key, client_ca: garbage.pem"), "tls.client_ca"),
        ("identity: { dev: { enabled: true } }", issuer("empty.json"), "identity.issuers[0].jwks"),
        ("identity: { dev: { enabled: true } }", issuer("no.json"), "identity.issuers[0].jwks"),
        ("/mcp\" } }", credential.to_owned(), "upstreams[0].credential.mtls"),
        ("policies: ", format!("{OTLP}policies: "), "telemetry.otlp.ca"),
        ("policies: ", "keys: { checkpoint: a.key }\npolicies: ".to_owned(), "keys.checkpoint"),
        ("/mcp\" } }]", linked, "keys.vault"),
    ]
}

/// The exit code of `serve`, which ends by itself.
#[expect(clippy::disallowed_methods, reason = "there is no runtime here")]
fn served(config: &Path) -> Option<i32> {
    let mut child =
        command(&["serve", "--config", config.to_str().unwrap()]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn checked(config: &Path) -> (i32, Vec<(u64, String, String)>) {
    let ran = portcullis(&["check", "--json", "--config", config.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let text = |problem: &serde_json::Value, key: &str| problem.get(key).unwrap().as_str().unwrap().to_owned();
    let problems = report.get("problems").unwrap().as_array().unwrap();
    let problems = problems.iter().map(|p| (p.get("line").unwrap().as_u64().unwrap(), text(p, "path"), text(p, "message")));
    (ran.code, problems.collect())
}

#[test]
fn check_finds_what_serve_would_end_with() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    for (from, to, path) in mistakes() {
        let config = config_file(dir.path(), |text| {
            assert!(text.contains(from), "{from}");
            text.replace(from, &to).replace("127.0.0.1:8443", "127.0.0.1:0") + "admin: none\n"
        });
        let (code, problems) = checked(&config);
        let found: Vec<&str> = problems.iter().map(|(_, path, _)| path.as_str()).collect();
        assert_eq!((code, found), (2, vec![path]), "{to}: {problems:?}");
        assert!(problems.iter().all(|(line, _, message)| *line > 1 && !message.is_empty()), "{problems:?}");
        assert_eq!(served(&config), Some(2), "{to}");
    }
    let good = config_file(dir.path(), |text| {
        let text = text.replace("tls: self_signed", "tls: { cert: a.pem, key: a.key, client_ca: b.pem }");
        text.replace("/mcp\" } }", "/mcp\" }, credential: { mtls: { cert: b.pem, key: b.key } } }")
            + "keys: { checkpoint: signs.key }\n"
            + &OTLP.replace("garbage", "a")
    });
    let before = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(checked(&good), (0, vec![]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before, "nothing is made");
}

#[test]
fn check_names_all_of_them_at_once_and_the_policies_too() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let config = config_file(dir.path(), |text| {
        let text = text.replace("tls: self_signed", "tls: { cert: garbage.pem, key: garbage.key, client_ca: garbage.pem }");
        let text = text.replace("identity: { dev: { enabled: true } }", &ISSUER.replace("FILE", "empty.json"));
        text.replace("/mcp\" } }", "/mcp\" }, credential: { mtls: { cert: garbage.pem, key: garbage.key } } }")
            + "keys: { checkpoint: garbage.key }\n"
            + OTLP
    });
    fs::write(dir.path().join("policy.yaml"), "version: 1\nrules: [{ id: x, effect: maybe, tools: ['*'] }]\n").unwrap();
    let (code, problems) = checked(&config);
    let found: Vec<&str> = problems.iter().map(|(_, path, _)| path.as_str()).collect();
    let expected = [
        "tls.cert",
        "tls.key",
        "tls.client_ca",
        "identity.issuers[0].jwks",
        "upstreams[0].credential.mtls",
        "keys.checkpoint",
        "telemetry.otlp.ca",
        "rules[0].effect",
    ];
    let of_tls = |path: &&str| path.starts_with("tls.");
    assert_eq!(found.iter().filter(|path| of_tls(path)).count(), 3, "{problems:?}");
    assert_eq!(code, 2);
    assert!(expected.iter().all(|path| found.contains(path)) && found.len() == expected.len(), "{problems:?}");
}

#[test]
fn a_mistake_in_the_config_hides_none_in_the_policies() {
    let dir = tempfile::tempdir().unwrap();
    let policy = "version: 1
groups: { eng: { claim: groups, any_of: [eng], issuer: [\"https://other.example.com\"] } }
rules:
  - { id: x, effect: maybe, tools: ['notes__*'] }
  - { id: y, effect: allow, principals: ['group:nobody-named'], tools: ['*'] }
";
    let two = "identity: { issuers: [{ issuer: FIRST, algorithms: [EdDSA] }, { issuer: \"https://b.example.com\", algorithms: [EdDSA] }] }";
    let known = two.replace("FIRST", "\"https://a.example.com\"");
    let unknown = two.replace("FIRST", "\"${env:NOBODY_SET_THIS}\"");
    let of_issuers = "groups.eng.issuer[0]";
    for (identity, also) in [(known.as_str(), true), (unknown.as_str(), false), ("identity: {}", true), ("identiy: {}", false)] {
        let config = config_file(dir.path(), |text| {
            text.replace("listen: ", "lisen: ").replace("identity: { dev: { enabled: true } }", identity)
        });
        fs::write(dir.path().join("policy.yaml"), policy).unwrap();
        let (code, problems) = checked(&config);
        let found: Vec<&str> = problems.iter().map(|(_, path, _)| path.as_str()).collect();
        assert_eq!(code, 2);
        for path in ["lisen", "rules[0].effect", "rules[1].principals[0]"] {
            assert!(found.contains(&path), "{identity}: {path} in {problems:?}");
        }
        assert_eq!(found.contains(&of_issuers), also, "{identity}: {problems:?}");
    }
    // What other files say depends on one that is not there.
    let config =
        config_file(dir.path(), |text| text.replace("listen: ", "lisen: ").replace("[policy.yaml]", "[policy.yaml, lost.yaml]"));
    fs::write(dir.path().join("policy.yaml"), policy).unwrap();
    let (_, problems) = checked(&config);
    assert!(problems.iter().all(|(_, path, _)| ["lisen", "policies[1]"].contains(&path.as_str())), "{problems:?}");
}
