//! Secrets of the configuration, where what they are for fails, and where the configuration itself is wrong.

use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use super::client::May;
use super::kinds;
use super::place::Place;
use super::{Run, assert_none};
use crate::authserver::form;
use crate::gate::soon;
use crate::peer::{Answer, Peer, Seen};

/// Refuses, and says back all that it was told.
fn echoes(seen: &Seen) -> Answer {
    let own = seen.header("host").unwrap_or_default();
    let (metadata, told) = (seen.target.starts_with("/.well-known/"), seen.whole());
    let said: String = told.chars().filter(|c| !c.is_control()).collect();
    let body = if metadata {
        json!({"issuer": format!("http://{own}"), "token_endpoint": format!("http://{own}/token"),
            "authorization_endpoint": format!("http://{own}/authorize"), "jwks_uri": format!("http://{own}/jwks"),
            "code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["client_secret_post"]})
    } else {
        json!({"error": told, "error_description": told})
    };
    let status = if metadata { "200 OK" } else { "401 No" };
    let challenge = format!("www-authenticate: Bearer error=\"invalid_token\", error_description=\"{}\"", said.replace('"', "'"));
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{challenge}\r\ncontent-length: {}", body.len());
    Answer::Raw(format!("{head}\r\n\r\n{body}").into_bytes())
}

/// What takes a secret in a config; `URL` is where somebody says all of it back.
const UPSTREAMS: &[(&str, &str)] = &[
    ("bearer", "http: { url: \"URL/a\" }, credential: { bearer: \"SECRET\" }"),
    ("header", "http: { url: \"URL/b\" }, credential: { header: { name: X-Api-Key, value: \"SECRET\" } }"),
    (
        "client",
        "http: { url: \"URL/c\" }, credential: { client_credentials: { issuer: \"URL\", client_id: gw, client_secret: \"SECRET\" } }",
    ),
    (
        "exchange",
        "http: { url: \"URL/d\" }, credential: { token_exchange: { issuer: \"URL\", client_id: gw, client_secret: \"SECRET\" } }",
    ),
    (
        "env",
        "stdio: { command: sh, args: [\"-c\", \"env >&2; echo no\"], env: { API_TOKEN: \"SECRET\" }, danger_unsandboxed: true }",
    ),
];

const CHANNELS: &[(&str, &str)] = &[
    ("webhook", "webhook: { url: \"URL/w?key=SECRET\", secret: \"SECRET\" }"),
    ("slack", "webhook: { url: \"URL/services/SECRET\", format: slack }"),
    ("pager", "webhook: { url: \"URL/p\", format: pagerduty, routing_key: \"SECRET\" }"),
    (
        "mail",
        "smtp: { host: 127.0.0.1, port: 9, tls: none, from: a@example.com, to: [b@example.com], username: u, password: \"SECRET\" }",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_the_configuration_is_written_down_when_it_fails() {
    let peer = Peer::start(echoes).await;
    let url = format!("http://{}", peer.addr);
    let mut run = Run::new();
    let mut fill = |path: &'static str, text: &str| {
        let secret = kinds::shapeless();
        // The provider is shown the one of the console, with which it knows us.
        run.plant(path, if path == "console" { May::Reach } else { May::Vanish }, &secret);
        text.replace("SECRET", &secret.text).replace("URL", &url)
    };
    let upstreams: String =
        UPSTREAMS.iter().map(|(name, text)| format!("  - {{ name: {name}, {}, timeout: 1s }}\n", fill(name, text))).collect();
    let channels: Vec<String> = CHANNELS.iter().map(|(name, text)| format!("{{ name: {name}, {} }}", fill(name, text))).collect();
    let sink = fill("sink", "{ name: other, http: { url: \"URL/s?key=SECRET\", secret: \"SECRET\" } }");
    let logs = fill("otlp sink", "{ otlp: { endpoint: \"URL/l\", headers: { x-key: \"SECRET\" } } }");
    let export = fill("export", "export: [{ webhook: { url: \"URL/e?key=SECRET\", secret: \"SECRET\" } }]");
    let otlp = fill("otlp", "otlp: { endpoint: \"URL/o\", headers: { x-key: \"SECRET\" }");
    let (console, people) = (fill("console", "client_secret: \"SECRET\""), fill("people", "client_secret: \"SECRET\""));
    let names: Vec<&str> = UPSTREAMS.iter().map(|(name, _)| *name).collect();
    let mut place = Place::start("json", |files| {
        let mut text = files.config.replace("upstreams: [up, old] }", &format!("upstreams: [up, old, {}] }}", names.join(", ")));
        text = text
            .replace("policies:", &format!("{upstreams}policies:"))
            .replace("{ stdout: {} }", &format!("{{ stdout: {{}} }}, {sink}, {logs}"));
        text = text.replace("every: 100ms", &format!("every: 100ms, {export}"));
        let at = text.rfind("otlp: { endpoint: \"http://127").unwrap();
        let end = at + text[at..].find("metrics_every").unwrap();
        text.replace_range(at..end, &format!("{otlp}, "));
        text = text.replacen("client_secret: s", &console, 1).replacen("client_secret: s", &people, 1);
        text = text.replace("authserver:\n", &format!("approvals: {{ channels: [{}] }}\nauthserver:\n", channels.join(", ")));
        files.config = text;
    })
    .await;
    let (reach, admin) = (place.gate.reach.clone(), place.gate.admin.clone());
    for name in names {
        let answer = run.send(&reach, &place.gate.call("/mcp", &place.token, &format!("{name}__echo"), "{}")).await;
        let said = answer.json();
        assert!(said["result"]["isError"] == true || said["error"].is_object(), "{}", answer.whole());
    }
    run.send(&reach, &place.gate.call("/mcp", &place.token, "up__delete", "{}")).await;
    // Where people come back to, the provider is asked for tokens with our secret.
    let (reach, host, from, back) = (&admin, admin.addr, "/console/signin?next=/console/", "/console/callback");
    let away = run.send(reach, &crate::wire::Req::new("GET", from).add("Host", &host.to_string())).await;
    let state = crate::authserver::query(&crate::authserver::location(&away), "state").unwrap();
    let cookie =
        away.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, v)| v.split(';').next().unwrap().to_owned());
    let cookies = cookie.collect::<Vec<_>>().join("; ");
    place.idp.peer.behave(echoes);
    let target = format!("{back}?{}", form(&[("code", "none"), ("state", &state), ("iss", &place.idp.issuer())]));
    let answer =
        run.send(reach, &crate::wire::Req::new("GET", &target).add("Host", &host.to_string()).add("Cookie", &cookies)).await;
    assert!(answer.status >= 300, "{}", answer.whole());
    let asked = |target: &str| peer.seen().iter().any(|seen| seen.target.starts_with(target));
    for target in ["/a", "/b", "/token", "/w", "/services/", "/p", "/s", "/l", "/e", "/o"] {
        soon(target, || asked(target)).await;
    }
    assert_none(run.end(&mut place).await);
}

const GOOD: &str = r#"
version: 1
listen: 127.0.0.1:0
data_dir: data
tls: none
identity: { issuers: [{ issuer: "https://idp.example.com", jwks: "https://idp.example.com/jwks" }] }
routes: [{ path: /mcp, upstreams: [up] }]
upstreams: [{ name: up, http: { url: "https://up.example/mcp" } }]
policies: [policy.yaml]
"#;

/// What is put in place of what, so that the file is wrong at or beside a secret.
const WRONG: &[(&str, &str)] = &[
    ("version: 1", "version: SECRET"),
    ("127.0.0.1:0", "SECRET"),
    ("tls: none", "tls: SECRET"),
    ("tls: none", "tls: { cert: SECRET, key: SECRET }"),
    ("data_dir: data", "data_dir: [SECRET]"),
    ("https://idp.example.com\", jwks", "https://SECRET@idp.example.com\", jwks"),
    ("https://idp.example.com/jwks", "https://u:SECRET@idp.example.com/jwks?x=SECRET#y"),
    ("https://idp.example.com/jwks", "ftp://SECRET"),
    ("https://up.example/mcp", "https://u:SECRET@up.example/mcp"),
    ("https://up.example/mcp", "http://up.example/SECRET"),
    ("https://up.example/mcp", "SECRET"),
    ("mcp\" } }", "mcp\" }, credential: SECRET }"),
    ("mcp\" } }", "mcp\" }, credential: { bearer: [SECRET] } }"),
    ("mcp\" } }", "mcp\" }, credential: { bearer: \"SECRET SECRET\\n\" } }"),
    ("mcp\" } }", "mcp\" }, credential: { bearer: !SECRET x } }"),
    ("mcp\" } }", "mcp\" }, credential: { bearer: *SECRET } }"),
    ("mcp\" } }", "mcp\" }, credential: { bearer: &SECRET } }"),
    ("mcp\" } }", "mcp\" }, credential: { bearer: \"SECRET } }"),
    ("mcp\" } }", "mcp\" }, credential: { header: { name: \"a b\", value: SECRET } } }"),
    ("mcp\" } }", "mcp\" }, credential: { header: { name: X, value: \"${env:CANARY}\\x01\" } } }"),
    ("mcp\" } }", "mcp\" }, timeout: \"${env:CANARY}\" }"),
    ("mcp\" } }", "mcp\" }, credential: { bearer: \"${env:CANARY\" } }"),
    ("mcp\" } }", "mcp\" }, credential: { bearer: \"${file:canary}\", audience: \"${file:canary}\" } }"),
    ("up.example/mcp\" } }", "up.example/${env:CANARY} x\" } }"),
    ("[up] }", "[\"${env:CANARY}\"] }"),
    ("path: /mcp", "path: \"${env:CANARY}\""),
    ("policies: [policy.yaml]", "policies: [\"${env:CANARY}\"]"),
    (
        "tls: none",
        "tls: none\naudit: { sinks: [{ file: a }, { http: { url: \"http://u:SECRET@h.example/?k=SECRET\", secret: SECRET } }] }",
    ),
    (
        "tls: none",
        "tls: none\naudit: { sinks: [{ file: a }, { otlp: { endpoint: \"https://h.example/\", headers: { \"a b\": SECRET } } }] }",
    ),
    ("tls: none", "tls: none\ntelemetry: { log: \"SECRET=loud\", otlp: \"https://u:SECRET@h.example/\" }"),
    ("tls: none", "tls: none\ntelemetry: { otlp: { endpoint: \"https://h.example\", headers: { x: \"a\\nSECRET\" } } }"),
    ("tls: none", "tls: none\napprovals: { channels: [{ webhook: { url: \"ftp://SECRET\", secret: SECRET } }] }"),
    ("tls: none", "tls: none\nkeys: { vault: SECRET, seal: SECRET, checkpoint: SECRET }"),
    ("tls: none", "tls: none\nstate: { redis: \"rediss://:SECRET@h.example\" }"),
    ("identity: {", "identity: { api_keys: [{ id: k, name: n, hash: \"SECRET\" }],"),
    ("identity: {", "identity: { api_keys: [{ id: k, name: n, hash: \"sha256:SECRET\", key: SECRET }],"),
];

fn ran(dir: &std::path::Path, words: &[&str], secret: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(words)
        .current_dir(dir)
        .env("CANARY", secret)
        .env("PORTCULLIS_CONFIG", dir.join("portcullis.yaml"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn no_secret_is_in_what_is_said_about_a_wrong_configuration() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("policy.yaml"), "version: 1\nrules: []\n").unwrap();
    let mut run = Run::new();
    let mut said = Vec::new();
    for (at, (from, to)) in WRONG.iter().enumerate() {
        for secret in [kinds::shapeless(), kinds::all().swap_remove(at % kinds::COUNT)] {
            // Where the secret of a kind cannot stand in a plain word, the file is wrong in more ways than one.
            assert!(GOOD.contains(from), "{from}");
            let text = GOOD.replacen(from, &to.replace("SECRET", &secret.text), 1);
            run.plant(to, May::Vanish, &secret);
            fs::write(dir.path().join("portcullis.yaml"), text).unwrap();
            fs::write(dir.path().join("canary"), &secret.text).unwrap();
            let verbs = [&["check"][..], &["check", "--json"], &["serve"]];
            for words in &verbs[..if secret.kind == "shapeless" { 3 } else { 1 }] {
                let output = ran(dir.path(), words, &secret.text);
                assert!(!output.status.success(), "{to}: {words:?}");
                said.push((words.join(" "), [output.stdout, output.stderr].concat()));
            }
        }
    }
    fs::write(dir.path().join("portcullis.yaml"), GOOD).unwrap();
    for secret in kinds::all() {
        run.plant("--token", May::Vanish, &secret);
        let output = ran(dir.path(), &["explain", "--token", &secret.text, "--call", "up__x"], &secret.text);
        said.push(("explain".to_owned(), [output.stdout, output.stderr].concat()));
    }
    for (name, text) in said {
        run.hits.extend(run.search.look(&name, &text));
    }
    run.report();
    assert_none(run.hits);
}
