//! Development tokens, keys, and those they make somebody.

use super::*;

fn fetch() -> Fetch {
    Fetch::new(client_config(None).unwrap())
}

fn who(settings: Settings, credential: &str, url: &str) -> Option<Principal> {
    let authenticator = Authenticator::new(settings, Clock::system(), fetch()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {credential}")).unwrap());
    let resource =
        Resource { url: url.to_owned(), metadata_url: String::new(), scopes: Vec::new(), proof: portcullis::vocab::Proof::None };
    let asked =
        Asked { headers: &headers, resource: &resource, method: &http::Method::POST, peer_certificate: None, recall: None };
    authenticator.authenticate_now(asked).unwrap().ok().map(|principal| (*principal).clone())
}

#[test]
fn a_token_is_for_its_route_and_says_what_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = config_file(dir.path(), |text| text);
    let file = file.to_str().unwrap();
    let args = [
        "token",
        "--config",
        file,
        "--sub",
        "alice",
        "--groups",
        "eng,sre",
        "--scope",
        "mcp:read,mcp:write",
        "--client-id",
        "cli",
    ];
    let ran = portcullis(&args);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let token = ran.stdout.strip_suffix('\n').unwrap();
    assert!(!token.contains(char::is_whitespace));

    let settings = || {
        let issuer = DevIssuer::open_or_create(&dir.path().join("data")).unwrap();
        Settings { issuers: vec![issuer.settings()], ..Settings::default() }
    };
    let alice = who(settings(), token, "https://127.0.0.1:8443/mcp").unwrap();
    assert_eq!((&*alice.sub, alice.client_id.as_deref()), ("alice", Some("cli")));
    assert_eq!(alice.claim_strings("groups").collect::<Vec<_>>(), ["eng", "sre"]);
    assert!(alice.has_scope("mcp:read") && alice.has_scope("mcp:write"));
    assert!(who(settings(), token, "https://127.0.0.1:8443/other").is_none(), "another route");
    let console = portcullis(&["token", "--config", file, "--sub", "olga", "--admin"]);
    let console = console.stdout.trim_end();
    assert!(who(settings(), console, "http://127.0.0.1:9443").is_some(), "{console}");
    assert!(who(settings(), console, "https://127.0.0.1:8443/mcp").is_none(), "agents use another");
    assert!(who(settings(), token, "http://127.0.0.1:9443").is_none(), "and theirs opens no console");
    assert!(who(settings(), token, "https://127.0.0.1:9999/mcp").is_none(), "another port");
}

#[test]
fn explain_asks_as_the_one_a_token_stands_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = config_file(dir.path(), |text| text);
    let file = file.to_str().unwrap();
    let mint = |groups: &str, expires: &str| {
        let args = ["token", "--config", file, "--sub", "alice", "--groups", groups, "--expires", expires];
        portcullis(&args).stdout.trim().to_owned()
    };
    let explain =
        |token: &str| portcullis(&["explain", "--config", file, "--token", token, "--call", "notes__list_notes", "--json"]);
    for (groups, code) in [("readers", 0), ("guests", 1)] {
        let ran = explain(&mint(groups, "1h"));
        assert_eq!((ran.code, ran.stderr.as_str()), (code, ""), "{groups}");
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(answer["principal"]["sub"], "alice");
    }
    let token = mint("readers", "1h");
    let forged = format!("{}B", token.split_at(token.len() - 1).0);
    let stranger = tempfile::tempdir().unwrap();
    let other = config_file(stranger.path(), |text| text);
    let foreign = portcullis(&["token", "--config", other.to_str().unwrap(), "--sub", "alice", "--groups", "readers"]);
    for (what, wrong) in [("forged", forged.as_str()), ("foreign", foreign.stdout.trim()), ("garbage", "x"), ("spaces", "a b")] {
        let ran = explain(wrong);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{what}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("--token: ") && !ran.stderr.contains(wrong), "{what}: {}", ran.stderr);
    }
    let mut piped = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["explain", "--config", file, "--token", "-", "--call", "notes__list_notes"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut piped.stdin.take().unwrap(), format!("{token}\n").as_bytes()).unwrap();
    assert!(piped.wait_with_output().unwrap().status.success());
    let alone =
        portcullis(&["explain", "--policy", dir.path().join("policy.yaml").to_str().unwrap(), "--token", "x", "--call", "a__b"]);
    assert!(alone.code == 2 && alone.stderr.contains("needs --config"), "{}", alone.stderr);
}

#[test]
fn the_audience_follows_the_config() {
    let two = "routes: [{ path: /mcp, upstreams: [notes] }, { path: /two, upstreams: [notes] }]";
    let one = "routes: [{ path: /mcp, upstreams: [notes] }]";
    for (from, to, extra, expected) in [
        ("", "", vec![], Ok("https://127.0.0.1:8443/mcp")),
        ("listen: 127.0.0.1:8443", "listen: 127.0.0.1:443", vec![], Ok("https://127.0.0.1/mcp")),
        ("listen: 127.0.0.1:8443", "listen: 127.0.0.1:4430", vec![], Ok("https://127.0.0.1:4430/mcp")),
        ("listen: 127.0.0.1:8443", "listen: \"[::1]:8443\"", vec![], Ok("https://[::1]:8443/mcp")),
        ("tls: self_signed", "tls: none", vec![], Ok("http://127.0.0.1:8443/mcp")),
        ("tls: self_signed", "tls: self_signed\npublic_url: https://localhost:4444", vec![], Ok("https://localhost:4444/mcp")),
        (one, two, vec!["--route", "/two"], Ok("https://127.0.0.1:8443/two")),
        (one, two, vec![], Err("configured: /mcp, /two")),
        (one, two, vec!["--route", "/three"], Err("is no route")),
        ("listen: 127.0.0.1:8443", "listen: 127.0.0.1:0", vec![], Err("does not say which port")),
        ("enabled: true", "enabled: false", vec![], Err("identity.dev.enabled")),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = config_file(dir.path(), |text| text.replace(from, to));
        let mut args = vec!["token", "--config", file.to_str().unwrap(), "--sub", "a"];
        args.extend(&extra);
        let ran = portcullis(&args);
        match expected {
            Ok(audience) => assert_eq!(claim(&ran.stdout, "aud"), audience, "{to} {extra:?}: {}", ran.stderr),
            Err(why) => {
                assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{to} {extra:?}");
                assert!(ran.stderr.contains(why), "{to} {extra:?}: {}", ran.stderr);
            }
        }
    }
}

#[test]
fn a_port_that_was_taken_is_read_from_where_the_gateway_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = config_file(dir.path(), |text| text.replace(":8443", ":0"));
    fs::create_dir_all(dir.path().join("data/run")).unwrap();
    fs::write(dir.path().join("data/run/mcp.addr"), "127.0.0.1:45678\n").unwrap();
    let ran = portcullis(&["token", "--config", file.to_str().unwrap(), "--sub", "a"]);
    assert_eq!(claim(&ran.stdout, "aud"), "https://127.0.0.1:45678/mcp", "{}", ran.stderr);
}

fn claim(token: &str, name: &str) -> String {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&claims).unwrap_or_default();
    claims.get(name).and_then(|claim| claim.as_str()).unwrap_or_default().to_owned()
}

/// The entry that `key new` prints goes into a config; the key that it prints is then somebody.
#[test]
fn a_new_key_works_with_the_entry_printed_beside_it() {
    let args = [
        "key",
        "new",
        "--name",
        "ci.deploy-1",
        "--groups",
        "ci,b \"x\" ${env:HOME}",
        "--scopes",
        "mcp:read",
        "--expires",
        "2999-01-01",
    ];
    let ran = portcullis(&args);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let line = |start: &str| ran.stdout.lines().map(str::trim).find(|line| line.starts_with(start)).unwrap();
    let (key, entry) = (line("pck_"), line("- { id:"));
    assert!(!entry.contains(key.rsplit_once('_').unwrap().1), "the entry holds no secret");

    let dir = tempfile::tempdir().unwrap();
    let file = config_file(dir.path(), |text| text.replace("{ dev: { enabled: true } }", &format!("\n  api_keys:\n  {entry}")));
    let config = config::load(&file).unwrap();
    let keys = config.identity.api_keys.into_iter().map(|key| KeySettings {
        id: key.id,
        name: key.name,
        sha256: key.sha256,
        groups: key.groups,
        scopes: key.scopes,
        expires_unix_s: key.expires_unix_s,
    });
    let settings = Settings { api_keys: keys.collect(), ..Settings::default() };
    let ci = who(settings, key, "https://127.0.0.1:8443/mcp").unwrap();
    assert_eq!(&*ci.sub, "key:ci.deploy-1");
    assert_eq!(ci.claim_strings("groups").collect::<Vec<_>>(), ["ci", "b \"x\" ${env:HOME}"]);
    assert!(ci.has_scope("mcp:read"));
    assert_eq!(ci.expires_at_s, Some(32_472_144_000));
}

#[test]
fn a_new_key_as_json() {
    let ran = portcullis(&["key", "new", "--name", "ci", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let key = made.get("key").unwrap().as_str().unwrap();
    let id = made.pointer("/entry/id").unwrap().as_str().unwrap();
    assert!(key.starts_with(&format!("pck_{id}_")), "{key}");
    assert!(made.pointer("/entry/expires").is_none());
}
