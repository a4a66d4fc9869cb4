//! The command line as a shell sees it: what is printed where, and the exit code.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use portcullis::config;
use portcullis::identity::dev::DevIssuer;
use portcullis::identity::{Asked, Authenticator, KeySettings, Settings};
use portcullis::net::{Fetch, client_config};
use portcullis::vocab::Resource;
use portcullis::vocab::{Clock, Principal};

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn portcullis(args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .env_remove("PORTCULLIS_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A config that holds, with `change` applied to its text.
fn config_file(dir: &Path, change: impl FnOnce(String) -> String) -> PathBuf {
    let text = "version: 1
listen: 127.0.0.1:8443
data_dir: data
tls: self_signed
identity: { dev: { enabled: true } }
routes: [{ path: /mcp, upstreams: [notes] }]
upstreams: [{ name: notes, http: { url: \"http://127.0.0.1:9/mcp\" } }]
policies: [policy.yaml]
";
    fs::write(dir.join("policy.yaml"), include_str!("../policies/demo/demo.yaml")).unwrap();
    let file = dir.join("portcullis.yaml");
    fs::write(&file, change(text.to_owned())).unwrap();
    file
}

#[test]
fn what_is_not_built_says_so_whatever_its_arguments() {
    for (args, what) in [
        (vec!["lock"], "lock"),
        (vec!["lock", "diff"], "lock"),
        (vec!["completions", "bash"], "completions"),
        (vec!["man"], "man"),
    ] {
        let ran = portcullis(&args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}");
        assert_eq!(ran.stderr, format!("not built yet: {what}\n"), "{args:?}");
    }
}

#[test]
fn a_log_is_verified_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    // Chained, with checkpoints that nobody signed.
    let sound = include_bytes!("../fuzz/corpus/audit_reader/seed-sound");
    let log = dir.path().join("audit/audit.jsonl");
    fs::create_dir(dir.path().join("audit")).unwrap();
    fs::write(&log, sound).unwrap();
    let path = dir.path().join("audit").display().to_string();
    let ran = portcullis(&["audit", "verify", &path]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for said in ["sound: 8 records, 1 to 8", "covered: up to record 6", "signatures: NOT checked", "none given (--checkpoints)"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("MB/s"));
    let proof = portcullis(&["audit", "prove", "r3", &path]);
    assert_eq!(proof.code, 0, "{}", proof.stderr);
    let file = dir.path().join("proof.json").display().to_string();
    fs::write(&file, &proof.stdout).unwrap();
    // A key, but not the one that the checkpoints name: theirs is all zeros.
    let key = dir.path().join("key.pem").display().to_string();
    let pem = some_public_key();
    fs::write(&key, pem).unwrap();
    let checked = portcullis(&["audit", "check-proof", &file, "--key", &key]);
    assert_eq!((checked.code, checked.stdout.contains("does NOT hold")), (1, true), "{}", checked.stdout);
    let bad = portcullis(&["audit", "verify", &path, "--key", &key, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&bad.stdout).unwrap();
    assert_eq!((bad.code, &report["first_bad"]["kind"]), (1, &"rechained".into()));
    fs::write(&log, String::from_utf8_lossy(sound).replace("\"r5\"", "\"r6\"")).unwrap();
    let altered = portcullis(&["audit", "verify", &path]);
    assert_eq!((altered.code, altered.stdout.contains("BROKEN altered: audit.jsonl:5 (byte ")), (1, true), "{}", altered.stdout);
    for args in [
        vec!["audit", "verify", "/nonexistent"],
        vec!["audit", "verify", &path, "--key", &path],
        vec!["audit", "check-proof", &file],
        vec!["audit", "prove", "1", "/nonexistent"],
    ] {
        assert_eq!(portcullis(&args).code, 2, "{args:?}");
    }
    assert_eq!(portcullis(&["audit", "prove", "99", &path]).code, 1);
}

/// The public key of RFC 8032 section 7.1, test 1.
fn some_public_key() -> &'static str {
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
}

#[test]
fn usage_is_an_answer_when_asked_for_and_an_error_otherwise() {
    for (args, code, in_stdout, in_stderr) in [
        (vec!["--help"], 0, "Usage: portcullis", ""),
        (vec!["help"], 0, "Usage: portcullis", ""),
        (vec!["help", "serve"], 0, "--config", ""),
        (vec!["--version"], 0, "portcullis 0.", ""),
        (vec!["version"], 0, "portcullis 0.", ""),
        (vec![], 2, "", "Usage: portcullis"),
        (vec!["frobnicate"], 2, "", "frobnicate"),
        (vec!["serve", "--nope"], 2, "", "--nope"),
        (vec!["token"], 2, "", "--sub"),
        (vec!["token", "--sub", "a", "--expires", "400d"], 2, "", "--expires"),
        (vec!["key", "new", "--name", "ci", "--expires", "2001-01-01"], 2, "", "in the past"),
        (vec!["key", "new", "--name", "a b"], 2, "", "--name"),
        (vec!["schema", "everything"], 2, "", "everything"),
        (vec!["schema", "cases"], 0, "Portcullis policy cases", ""),
        (vec!["schema", "audit"], 0, "Portcullis audit record", ""),
        (vec!["test", "--help"], 0, "--min-coverage", ""),
        (vec!["explain", "--as", "anonymous"], 2, "", "--call"),
        (vec!["explain", "--call", "a__b"], 2, "", "--as"),
        (vec!["access", "--help"], 0, "--against", ""),
        (vec!["replay"], 2, "", "AUDIT"),
    ] {
        let ran = portcullis(&args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(in_stdout) && ran.stderr.contains(in_stderr), "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert_eq!((ran.stdout.is_empty(), ran.stderr.is_empty()), (in_stdout.is_empty(), in_stderr.is_empty()), "{args:?}");
    }
}

#[test]
fn check_reports_every_mistake_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let good = config_file(dir.path(), |text| text);
    let ran = portcullis(&["check", "--config", good.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nok: 1 route, 1 upstream, 1 policy file"), "{}", ran.stdout);

    // A policy about an upstream that nobody configured holds, but is worth a look.
    let foreign = config_file(dir.path(), |text| text.replace("[notes]", "[other]").replace("name: notes", "name: other"));
    let ran = portcullis(&["check", "--config", foreign.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("ok: ") || ran.stdout.contains("\nok: "), "{}", ran.stdout);
    let said = ran.stdout + &ran.stderr;
    assert!(
        said.contains("warning[unknown_upstream]: ")
            && said.contains("policy.yaml:37:9: rules[2]: no upstream of this name is configured (value: notes)"),
        "{said}"
    );

    let broken = |text: String| text.replace("listen: ", "lisen: ").replace("path: /mcp", "path: mcp");
    let bad = config_file(dir.path(), broken);
    let bad = bad.to_str().unwrap();
    let ran = portcullis(&["check", "--config", bad]);
    assert_eq!(ran.code, 2);
    for expected in [":2:1: lisen: unknown key", "did you mean `listen`?", ":6:", "(value: mcp)", "2 problems"] {
        assert!(ran.stdout.contains(expected), "{expected} in {}", ran.stdout);
    }

    let ran = portcullis(&["check", "--json", "--config", bad]);
    assert_eq!(ran.code, 2);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report.get("ok"), Some(&false.into()));
    let problems = report.get("problems").unwrap().as_array().unwrap();
    let lines: Vec<_> =
        problems.iter().map(|p| (p.get("line").unwrap().as_u64().unwrap(), p.get("path").unwrap().as_str().unwrap())).collect();
    assert_eq!(lines, [(2, "lisen"), (6, "routes[0].path")]);

    let ran = portcullis(&["check", "--config", dir.path().join("absent.yaml").to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("absent.yaml"), "{}", ran.stdout);
}

#[test]
fn check_warns_of_what_was_most_likely_not_meant() {
    let dir = tempfile::tempdir().unwrap();
    let config = config_file(dir.path(), |text| text);
    let config = config.to_str().unwrap();
    let ran = portcullis(&["check", "--strict", "--config", config]);
    assert_eq!((ran.code, ran.stdout.contains("warning")), (0, false), "nothing is wrong with the demo: {}", ran.stdout);

    let policy = dir.path().join("policy.yaml");
    let more = "  - { id: open, effect: allow, principals: [any], tools: ['*'], classes: [write] }\n";
    fs::write(&policy, format!("{}{more}", include_str!("../policies/demo/demo.yaml"))).unwrap();
    let line = fs::read_to_string(&policy).unwrap().lines().count();
    let place = format!("policy.yaml:{line}:11: rules[7]: rule `open` lets anybody call every write tool of *");
    for (args, code) in [(vec![], 0), (vec!["--strict"], 1)] {
        let ran = portcullis(&[&["check", "--config", config], args.as_slice()].concat());
        assert_eq!(ran.code, code, "{}", ran.stdout);
        assert!(ran.stdout.contains("warning[allow_all]: ") && ran.stdout.contains(&place), "{place} in {}", ran.stdout);
        assert!(ran.stdout.contains("\n  hint: ") && ran.stdout.contains("ok: 1 route"), "{}", ran.stdout);
    }
    let ran = portcullis(&["check", "--strict", "--json", "--config", config]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let said = |at: &str| report.pointer(at).unwrap_or_else(|| panic!("{at} in {}", ran.stdout)).to_string();
    let of_rule: Vec<usize> = (0..)
        .take_while(|n| report.pointer(&format!("/warnings/{n}")).is_some())
        .filter(|n| said(&format!("/warnings/{n}/rule")) == "\"open\"")
        .collect();
    let all = format!("/warnings/{}", of_rule.last().unwrap());
    assert_eq!((ran.code, said("/ok"), said("/problems")), (1, "false".to_owned(), "[]".to_owned()));
    assert_eq!(said(&format!("{all}/line")), line.to_string());
    assert!(report.pointer(&format!("{all}/hint")).is_some());

    // With the tools at hand there is more to say.
    fs::write(&policy, include_str!("../policies/demo/demo.yaml")).unwrap();
    let tools = dir.path().join("tools.json");
    let tools = |names: &str| {
        fs::write(&tools, names).unwrap();
        portcullis(&["check", "--config", config, "--tools", tools.to_str().unwrap()])
    };
    let ran = tools(
        r#"{"tools":[{"name":"list_notes"},{"name":"read_note"},{"name":"search_notes"},{"name":"write_note"},{"name":"delete_note"},{"name":"notes__find_note"}]}"#,
    );
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains(r#"- { match: ["notes__find_note"], class: read }"#), "{}", ran.stdout);
    let ran = tools("{}");
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("neither a list"), "{}", ran.stdout);
}

#[test]
fn check_says_that_the_key_of_the_audit_lies_beside_it() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let dir = tempfile::tempdir().unwrap();
    let key = |path: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "a key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    key("data/own.pem");
    key("elsewhere/own.pem");
    symlink(dir.path().join("data/own.pem"), dir.path().join("linked.pem")).unwrap();
    // What is named, the exit code with `--strict`, and what is said.
    let table = [
        ("", 0, "notes"),
        ("keys: { checkpoint: data/own.pem }\n", 1, "warnings"),
        ("keys: { checkpoint: linked.pem }\n", 1, "warnings"),
        ("keys: { checkpoint: elsewhere/own.pem }\n", 0, ""),
    ];
    for (keys, code, place) in table {
        let config = config_file(dir.path(), |text| text + keys);
        let config = config.to_str().unwrap();
        let ran = portcullis(&["check", "--strict", "--json", "--config", config]);
        assert_eq!(ran.code, code, "{keys}: {}", ran.stdout);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        for list in ["warnings", "notes"] {
            let found = report.get(list).unwrap().as_array().unwrap();
            let found = found.iter().find(|finding| finding.get("kind").unwrap() == "checkpoint_key");
            assert_eq!(found.is_some(), list == place, "{keys}: {}", ran.stdout);
            if let Some(found) = found {
                assert_eq!(found.get("path").unwrap(), "keys.checkpoint");
                assert!(found.get("hint").unwrap().as_str().unwrap().contains("openssl genpkey"));
            }
        }
        let ran = portcullis(&["check", "--config", config]);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        assert_eq!(ran.stdout.contains("[checkpoint_key]: "), !place.is_empty(), "{}", ran.stdout);
    }
}

/// What a client's file says: a server that answers, a program that does not exist, and an address where nobody listens.
#[cfg(feature = "demo")]
fn client_file(dir: &Path) -> PathBuf {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let servers = serde_json::json!({ "mcpServers": {
        "Notes": { "command": env!("CARGO_BIN_EXE_portcullis"), "args": ["demo-server"], "env": { "NOTES_TOKEN": "hush-hush" } },
        "missing": { "command": "portcullis-test-no-such-program", "args": ["-y"] },
        "remote": { "url": format!("http://127.0.0.1:{port}/mcp"), "headers": { "Authorization": "Bearer hush-hush" } },
    } });
    let file = dir.join("mcp.json");
    fs::write(&file, servers.to_string()).unwrap();
    file
}

#[cfg(feature = "demo")]
#[test]
fn init_makes_files_that_hold() {
    let dir = tempfile::tempdir().unwrap();
    let file = client_file(dir.path());
    let (file, out) = (file.to_str().unwrap(), dir.path().join("gate"));
    let ran = portcullis(&["init", "--from", file, "--dir", out.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    for expected in [
        "notes (stdio): proposed as read 3, write 1, destructive 1",
        "missing (stdio): tools not listed: it cannot be started",
        "remote (http): tools not listed: ",
        "export NOTES_TOKEN=...",
        "export REMOTE_TOKEN=...",
        "portcullis check --config ",
        "portcullis test --config ",
        "portcullis serve --config ",
        "portcullis token --config ",
    ] {
        assert!(ran.stdout.contains(expected), "{expected} in {}", ran.stdout);
    }
    let text = |file: &str| fs::read_to_string(out.join(file)).unwrap();
    let policy = text("policies/main/first.yaml");
    for line in [
        r#"- { match: ["notes__read_note"], class: read }   # Reads a note."#,
        r#"- { match: ["notes__write_note"], class: write }"#,
        r#"- { match: ["notes__delete_note"], class: destructive }"#,
        "# missing: not listed: it cannot be started",
        r#"tools: ["notes__*"]"#,
    ] {
        assert!(policy.contains(line), "{line} in {policy}");
    }
    for written in [text("config/portcullis.yaml"), policy, text("policies/main/first.cases.yaml"), ran.stdout] {
        assert!(!written.contains("hush"), "{written}");
    }
    let config = out.join("config/portcullis.yaml");
    let check = |set: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["check", "--strict", "--config", config.to_str().unwrap()]).env_remove("NOTES_TOKEN");
        let command = if set { command.env("NOTES_TOKEN", "x").env("REMOTE_TOKEN", "y") } else { &mut command };
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = check(true);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = check(false);
    assert!(code == Some(2) && said.contains("NOTES_TOKEN is not set"), "{said}");
    // What contacts nobody needs nobody's secrets.
    for rest in [["test", "--min-coverage", "100"].as_slice(), &["access"], &["token", "--sub", "you", "--groups", "users"]] {
        let ran = portcullis(&[rest, &["--config", config.to_str().unwrap()]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{rest:?}: {}", ran.stdout);
    }

    // Again, it stays out of the way of what is there.
    let ran = portcullis(&["init", "--from", file, "--dir", out.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    let ran = portcullis(&["init", "--from", file, "--dir", out.to_str().unwrap(), "--force", "--offline", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let of = |at: &str| made.pointer(at).cloned().unwrap_or_default();
    assert_eq!((ran.code, of("/variables/0"), of("/upstreams/0/name")), (0, "NOTES_TOKEN".into(), "notes".into()), "{made}");
    assert!(of("/upstreams/0/unlisted").to_string().contains("--offline") && of("/upstreams/0/tools").is_null(), "{made}");
    assert_eq!(of("/next").as_array().map(Vec::len), Some(4));
    assert_eq!(check(true).0, Some(0));
}

#[test]
fn init_needs_something_to_begin_with() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent.json");
    let ran = portcullis(&["init", "--from", absent.to_str().unwrap(), "--dir", dir.path().to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("absent.json: cannot be read"), "{}", ran.stderr);
    let ran = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("init")
        .current_dir(dir.path())
        .env("HOME", dir.path())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8(ran.stderr).unwrap().contains("--from FILE"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // Without --from, a file in a usual place is found.
    fs::write(dir.path().join(".mcp.json"), r#"{"mcpServers":{"a":{"command":"x"}}}"#).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["init", "--offline"])
        .current_dir(dir.path())
        .env("HOME", dir.path())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8(ran.stderr).unwrap());
    assert!(dir.path().join("config/portcullis.yaml").exists());
}

#[test]
fn an_address_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (key, listen) in [
        ("listen", format!("listen: {address}\n")),
        ("admin.listen", format!("listen: 127.0.0.1:0\nadmin: {{ listen: \"{address}\" }}\n")),
    ] {
        let file = config_file(dir.path(), |text| text.replace("listen: 127.0.0.1:8443\n", &listen));
        let ran = portcullis(&["serve", "--config", file.to_str().unwrap()]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("{key}: {address} cannot be taken: ")), "{}", ran.stderr);
    }
}

#[test]
fn the_environment_names_the_config() {
    let dir = tempfile::tempdir().unwrap();
    let file = config_file(dir.path(), |text| text);
    let run = |config: &Path| {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("check")
            .env("PORTCULLIS_CONFIG", config)
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(run(&file), Some(0));
    assert_eq!(run(&dir.path().join("absent.yaml")), Some(2));
}

#[test]
fn schemas_are_json() {
    for of in ["config", "policy"] {
        let ran = portcullis(&["schema", of]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let schema: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(schema.get("type"), Some(&"object".into()), "{of}");
    }
}

fn fetch() -> Fetch {
    Fetch::new(client_config(None).unwrap())
}

fn who(settings: Settings, credential: &str, url: &str) -> Option<Principal> {
    let authenticator = Authenticator::new(settings, Clock::system(), fetch()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {credential}")).unwrap());
    let resource =
        Resource { url: url.to_owned(), metadata_url: String::new(), scopes: Vec::new(), proof: portcullis::vocab::Proof::None };
    let asked = Asked { headers: &headers, resource: &resource, method: &http::Method::POST, peer_certificate: None };
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

#[test]
fn health_of_nobody_is_no() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = portcullis(&["health", "--address", &port.to_string()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains(&port.to_string()));
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_is_lost_is_no_success() {
    let run = |stdout: Stdio| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["schema", "config"])
            .stdout(stdout)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.wait().unwrap().code()
    };
    assert_eq!(run(fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()), Some(70));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(run(writer.into()), Some(0), "a reader that went away has seen enough");
}

#[test]
fn a_demo_stays_out_of_other_peoples_directories() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
    let ran = portcullis(&["demo", "--once", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("not empty"), "{}", ran.stderr);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
