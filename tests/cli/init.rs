//! What `init` makes of what there is.

use super::*;

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
