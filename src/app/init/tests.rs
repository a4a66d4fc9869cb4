//! From a client's file to files that hold, without a server being asked.

use std::fs;

use super::*;
use crate::config::{Credential, Transport};
use crate::policy::{Facts, cases};
use secrecy::ExposeSecret as _;

struct Ran {
    dir: tempfile::TempDir,
    made: Result<Made, InitError>,
}

fn ran(text: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mcp.json");
    fs::write(&file, text).unwrap();
    let options = Options { from: vec![file], dir: dir.path().join("out"), name: "main".to_owned(), offline: true, force: false };
    Ran { made: init(&options), dir }
}

impl Ran {
    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.dir.path().join("out").join(file)).unwrap()
    }

    fn config(&self) -> Config {
        let value = |name: &str| Some(format!("value-of-{name}"));
        config::load_with(&self.dir.path().join("out/config/portcullis.yaml"), &value).unwrap_or_else(|p| panic!("{p:#?}"))
    }
}

const SERVERS: &str = r#"{
  // as editors write it
  "mcpServers": {
    "GitHub (work)": { "type": "http", "url": "https://mcp.github.example/mcp", "headers": { "Authorization": "Bearer ghp_SECRET1", "X-Other": "SECRET2" } },
    "github work": { "url": "https://other.example/mcp?apiKey=SECRET3" },
    "db": { "command": "npx", "args": ["-y", "db-server", "--api-key", "SECRET4", "--dsn=SECRET5", "postgres://u:SECRET6@h/x"], "env": { "DB_TOKEN": "SECRET7", "LOG_LEVEL": "debug" } },
    "db2": { "command": "npx", "args": ["-y", "db-server"], "env": { "DB_TOKEN": "SECRET8", "SHARED": "${SHARED_TOKEN}" } },
    "keyed": { "serverUrl": "https://keyed.example/mcp", "headers": { "X-Api-Key": "${input:my-key}" } },
    "zap": { "url": "https://zap.example/s/NjQ4YzY2MDUtMzk1SECRET9/mcp" },
    "plain": { "url": "http://10.1.2.3/mcp" },
    "loop": { "url": "http://127.0.0.1:9/mcp" },
    "9": { "command": "./server", "args": ["${env:HOME}/x", "$(rm -rf /)", "a\nb: c"] },
  },
}"#;

#[test]
fn every_server_becomes_an_upstream_and_no_secret_is_copied() {
    let ran = ran(SERVERS);
    let made = ran.made.as_ref().unwrap();
    let names: Vec<&str> = made.upstreams.iter().map(|one| one.name.as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["db", "db2", "github-work", "github-work-2", "keyed", "loop", "plain", "server-9", "zap"]);
    assert_eq!(made.left_out, []);
    for file in ["config/portcullis.yaml", "policies/main/first.yaml"] {
        assert!(!ran.text(file).contains("SECRET"), "{file}:\n{}", ran.text(file));
    }
    assert!(!serde_json::to_string(made).unwrap().contains("SECRET"));
    let variables = [
        "DB2_DB_TOKEN",
        "DB_API_KEY",
        "DB_ARG_6",
        "DB_DSN",
        "DB_TOKEN",
        "GITHUB_WORK_2_URL_PATH",
        "GITHUB_WORK_TOKEN",
        "MY_KEY",
        "SHARED_TOKEN",
        "ZAP_URL_PATH",
    ];
    let (mut said, mut expected) = (made.variables.clone(), variables.map(str::to_owned).to_vec());
    said.sort();
    expected.sort();
    assert_eq!(said, expected);
}

#[test]
fn the_config_says_what_the_client_said() {
    let ran = ran(SERVERS);
    let config = ran.config();
    let upstream = |name: &str| config.upstreams.iter().find(|one| one.name == name).unwrap();
    let Transport::Stdio { command, args, env, .. } = &upstream("db").transport else { panic!("not stdio") };
    assert_eq!(
        (command.to_str(), &args[..4]),
        (Some("npx"), &["-y", "db-server", "--api-key", "value-of-DB_API_KEY"].map(str::to_owned)[..])
    );
    assert_eq!(&args[4..], ["--dsn=value-of-DB_DSN".to_owned(), "value-of-DB_ARG_6".to_owned()]);
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    assert_eq!(env, [("DB_TOKEN", "value-of-DB_TOKEN"), ("LOG_LEVEL", "debug")]);
    let Transport::Stdio { command, args, .. } = &upstream("server-9").transport else { panic!("not stdio") };
    assert_eq!(command, &ran.dir.path().join("server"));
    assert_eq!(args, &["value-of-HOME/x", "$(rm -rf /)", "a\nb: c"]);
    assert!(
        matches!(&upstream("github-work").credential, Credential::Bearer(token) if token.expose_secret() == "value-of-GITHUB_WORK_TOKEN")
    );
    assert!(
        matches!(&upstream("keyed").credential, Credential::Header { name, value } if name == "x-api-key" && value.expose_secret() == "value-of-MY_KEY")
    );
    assert!(upstream("plain").allow_private_addresses && !upstream("zap").allow_private_addresses);
    let Transport::Http { url, .. } = &upstream("zap").transport else { panic!("not http") };
    assert_eq!(url.as_str(), "https://zap.example/value-of-ZAP_URL_PATH");
    let text = ran.text("config/portcullis.yaml");
    assert_eq!(text.matches("danger_plaintext").count(), 1, "only where there is no TLS: {text}");
}

#[test]
fn what_stands_beside_variables_and_flags_is_not_copied() {
    let ran = ran(r#"{ "mcpServers": {
        "web": { "url": "http://127.0.0.1:9/mcp/${USERID}?key=d41d8SECRET&v=SECRET2" },
        "user": { "url": "https://me:SECRET@mcp.example/${USERID}" },
        "db": { "command": "dbserver", "args": ["-p", "SECRET3", "-u", "SECRET4", "--password", "SECRET5${X}", "-p=SECRET6", "--token=SECRET7${X}",
            "--to=https://h.example/${X}?k=SECRET8", "--port", "${X}"], "env": { "DB_PASSWORD": "SECRET9${X}" } },
        "head": { "url": "https://head.example/mcp", "headers": { "X-Api-Key": "SECRET10${X}" } },
        "py": { "command": "python3", "args": ["-u", "server.py", "-p", "SECRET11"] }
    } }"#);
    let made = ran.made.as_ref().unwrap();
    assert_eq!(made.left_out.iter().map(|one| one.given.as_str()).collect::<Vec<_>>(), ["user"]);
    let text = ran.text("config/portcullis.yaml");
    assert!(!text.contains("SECRET") && !serde_json::to_string(made).unwrap().contains("SECRET"), "{text}");
    for line in [
        r#"url: "http://127.0.0.1:9/mcp/${env:USERID}?key=${env:WEB_URL_KEY}&v=${env:WEB_URL_V}""#,
        r#""--port", "${env:X}""#,
        r#"args: ["-u", "server.py", "-p", "${env:PY_P}"]"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let mut said = made.variables.clone();
    said.sort();
    let expected = [
        "DB_ARG_6",
        "DB_ARG_8",
        "DB_ARG_9",
        "DB_DB_PASSWORD",
        "DB_P",
        "DB_P_2",
        "DB_U",
        "HEAD_X_API_KEY",
        "PY_P",
        "USERID",
        "WEB_URL_KEY",
        "WEB_URL_V",
        "X",
    ];
    assert_eq!(said, expected);
}

#[test]
fn what_cannot_be_an_upstream_is_left_out_and_said() {
    let ran = ran(r#"{ "servers": {
        "good": { "command": "x" },
        "metadata": { "url": "http://169.254.169.254/mcp" },
        "user": { "url": "https://me:pw@mcp.example/mcp" },
        "ftp": { "url": "ftp://mcp.example/" },
        "off": { "command": "x", "disabled": true },
        "both": { "command": "x", "url": "https://mcp.example/" },
        "none": {},
        "odd": { "command": "x", "args": "y" },
        "env": { "command": "x", "env": { "A=B": "1" } },
        "list": []
    } }"#);
    let made = ran.made.as_ref().unwrap();
    assert_eq!(made.upstreams.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["good"]);
    let mut left: Vec<&str> = made.left_out.iter().map(|one| one.given.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["both", "env", "ftp", "list", "metadata", "none", "odd", "off", "user"]);
    assert!(!serde_json::to_string(&made.left_out).unwrap().contains("pw"));
    assert_eq!(ran.config().upstreams.len(), 1);
}

#[test]
fn files_that_are_no_such_files() {
    for (text, why) in [
        ("{", "is not JSON"),
        ("{}", "neither `mcpServers` nor `servers`"),
        (r#"{"mcpServers":[]}"#, "neither `mcpServers` nor `servers`"),
        (r#"{"mcpServers":{}}"#, "no server"),
        (r#"{"mcpServers":{"a":{"url":"SECRET"}}}"#, "no server"),
        (r#"{"mcpServers":{"a":{"env":{"K":"SECRET"}"#, "is not JSON"),
    ] {
        match ran(text).made {
            Err(InitError::Input(said)) => assert!(said.contains(why) && !said.contains("SECRET"), "{text}: {said}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn nothing_is_written_over() {
    let ran = ran(r#"{"mcpServers":{"a":{"command":"x"}}}"#);
    ran.made.as_ref().unwrap();
    let file = ran.dir.path().join("mcp.json");
    let options = |force, name: &str| Options {
        from: vec![file.clone()],
        dir: ran.dir.path().join("out"),
        name: name.to_owned(),
        offline: true,
        force,
    };
    let config = ran.dir.path().join("out/config/portcullis.yaml");
    fs::write(&config, "mine").unwrap();
    for name in ["main", "other"] {
        assert!(matches!(init(&options(false, name)), Err(InitError::Input(_))), "{name}");
        assert_eq!(fs::read_to_string(&config).unwrap(), "mine");
    }
    assert!(!ran.dir.path().join("out/policies/other").exists());
    init(&options(true, "main")).unwrap();
    assert!(fs::read_to_string(&config).unwrap().starts_with("# Written by"));
    // Another policy beside ours would be loaded with it.
    fs::write(ran.dir.path().join("out/policies/main/more.yaml"), "version: 1\n").unwrap();
    assert!(matches!(init(&options(true, "main")), Err(InitError::Input(_))));
}

#[test]
fn the_first_policy_keeps_its_promises() {
    let server = |name: &str| Planned {
        name: name.to_owned(),
        given: name.to_owned(),
        is_stdio: true,
        lines: Vec::new(),
        notes: Vec::new(),
        variables: Vec::new(),
    };
    let tool = |full: &str, class, about: &str| Tool { full: full.to_owned(), class, about: words::plain(about) };
    let (files, away) = (server("files"), server("away"));
    let tools = Ok(vec![
        tool("files__read_file", Class::Read, "Reads. # ]\n  - { match: [\"*\"], class: read }"),
        tool("files__write_file", Class::Write, ""),
        tool("files__delete_file", Class::Destructive, "\u{202e}Gone"),
    ]);
    let unlisted = Err("it cannot be started\nrules: []".to_owned());
    let found = [Found { planned: &files, tools: &tools }, Found { planned: &away, tools: &unlisted }];
    let text = draft::policy(&found);
    let upstreams = ["files".to_owned(), "away".to_owned()];
    let facts = Facts { upstreams: &upstreams, issuers: &["portcullis:dev".to_owned()] };
    let (set, findings) = policy::check(&[("first.yaml".to_owned(), text.clone())], &facts, &policy::Known::default()).unwrap();
    assert_eq!(findings, [], "{text}");
    assert_eq!(set.rule_count(), 1);
    let promised = draft::cases(&found);
    let outcomes = cases::run(&set, "first.cases.yaml", &promised, &cases::CatalogFacts::default(), 1).unwrap();
    assert_eq!(outcomes.len(), 6);
    assert!(outcomes.iter().all(|outcome| outcome.failure.is_none()), "{outcomes:#?}\n{text}");
}
