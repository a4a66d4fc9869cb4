//! `test`, `explain`, `access` and `replay` as a shell sees them: what is printed, and the exit code.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/policy");

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

fn portcullis(args: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .env_remove("PORTCULLIS_CONFIG")
        .current_dir(DATA)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends without reading closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn run(args: &[&str]) -> Ran {
    portcullis(args, "")
}

#[test]
fn kept_promises_pass_and_say_what_they_leave_untried() {
    let ran = run(&["test", "base"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("untried: rule eng-write: never matched"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("ok: 3 passed, 0 failed\n"), "{}", ran.stdout);
    let percent = run(&["test", "base", "--json"]).json()["coverage"][0]["percent"].as_u64().unwrap();
    assert!((1..100).contains(&percent));
    for (least, code) in [(percent, 0), (percent + 1, 1)] {
        let ran = run(&["test", "base", "--min-coverage", &least.to_string()]);
        assert_eq!(ran.code, code, "{}", ran.stdout);
    }
}

#[test]
fn broken_promises_are_told_with_their_place() {
    // The cases of one policy, held against another.
    let ran = run(&["test", "base/policy.cases.yaml", "--policy", "changed"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    let place = "FAIL base/policy.cases.yaml:2: support reads public files\n  expected allow\n  got      deny, no_rule";
    assert!(ran.stdout.contains(place) && ran.stdout.ends_with("FAILED: 2 passed, 1 failed\n"), "{}", ran.stdout);
    let document = run(&["test", "base/policy.cases.yaml", "--policy", "changed", "--json"]).json();
    assert_eq!((&document["ok"], &document["failed"]), (&json!(false), &json!(1)));
    assert_eq!((&document["cases"][1]["line"], &document["cases"][1]["ok"]), (&json!(2), &json!(false)));
}

#[test]
fn reasons_that_no_decision_has_are_wrong_input() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("p.yaml"), "version: 1\n").unwrap();
    for (reason, code, said) in [
        ("unknown_name", 1, "not_visible"),
        ("not_visible", 0, "ok: 1 passed"),
        ("quarantined", 2, "not built yet: [0].reason"),
        ("arguments_invalid", 2, "not built yet: [0].reason"),
        ("content_blocked", 2, "not built yet: [0].reason"),
        ("unauthenticated", 2, "one of: unknown_name, not_visible, scope_required, rule_denied, indeterminate, no_rule, allowed"),
        ("rate_limited", 2, "no decision has this reason"),
        ("because", 2, "no such reason"),
    ] {
        let case = format!("- {{ as: {{ sub: x }}, call: a__b, expect: deny, reason: {reason} }}\n");
        fs::write(dir.path().join("p.cases.yaml"), case).unwrap();
        let ran = run(&["test", dir.path().to_str().unwrap()]);
        assert_eq!(ran.code, code, "{reason}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(said), "{reason}: {}", ran.stdout);
    }
}

#[test]
fn what_cannot_be_tested_is_wrong_input() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    assert_eq!(run(&["test", path]).code, 2, "no policy");
    fs::write(dir.path().join("p.yaml"), "version: 1\n").unwrap();
    let ran = run(&["test", path]);
    assert!(ran.code == 2 && ran.stderr.contains("no cases"), "{}", ran.stderr);
    fs::write(dir.path().join("p.cases.yaml"), "- { as: { sub: x }, call: a__b, expcet: allow }\n").unwrap();
    let ran = run(&["test", path]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("p.cases.yaml:1:") && ran.stdout.contains("did you mean `expect`?"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("coverage"), "{}", ran.stdout);
    fs::write(dir.path().join("p.yaml"), "version: 1\nrulez: []\n").unwrap();
    let ran = run(&["test", path]);
    assert!(ran.code == 2 && ran.stderr.contains("p.yaml:2:1"), "{}", ran.stderr);
    assert_eq!(run(&["test", "no/such/place"]).code, 2);
}

fn explain(args: &str, rest: &[&str]) -> Ran {
    let mut all =
        vec!["explain", "--policy", "base", "--as", "sub=sam,groups=support", "--call", "files__read_file", "--args", args];
    all.extend(rest);
    run(&all)
}

#[test]
fn decisions_are_explained_rule_by_rule() {
    let ran = explain(r#"{"path":"/etc/passwd"}"#, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    for line in [
        "deny: files__read_file (no_rule, read)\n",
        "allow support-public: does not match\n  fail    arguments[\"/path\"]: /path is /etc/passwd, which is not under /srv/public\n",
        "allow eng-read: does not match\n  fail    principals: sam is not group:eng (claim groups holds support, not eng)\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let ran = explain(r#"{"path":"/srv/public/a"}"#, &["--all"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("decided by: support-public") && ran.stdout.contains("pass    classes:"), "{}", ran.stdout);
    let document = explain(r#"{"path":7}"#, &["--json", "--at", "2026-07-28T10:00:00Z"]).json();
    assert_eq!((&document["effect"], &document["reason"]), (&json!("deny"), &json!("indeterminate")));
    assert_eq!(document["at_ms"], 1_785_232_800_000_u64);
    let rules = document["rules"].as_array().unwrap();
    let rule = rules.iter().find(|rule| rule["id"] == "support-public").unwrap();
    assert_eq!((&rule["verdict"], &rule["obstacle"]["key"]), (&json!("unknown"), &json!("arguments[\"/path\"]")));
    let ran = run(&["explain", "--policy", "base", "--as", "anonymous", "--read", "files+file:///a"]);
    assert!(ran.code == 1 && ran.stdout.starts_with("deny: files__file:///a (not_visible, read)"), "{}", ran.stdout);
    for args in ["[]", "{", "7", r#"{"a":1,"a":2}"#] {
        assert_eq!(explain(args, &[]).code, 2, "{args}");
    }
    let ran = run(&["explain", "--policy", "base", "--as", "groups=eng", "--call", "a__b"]);
    assert!(ran.code == 2 && ran.stderr.contains("sub"), "{}", ran.stderr);
}

#[test]
fn a_config_knows_what_a_route_leads_to() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(format!("{DATA}/base/policy.yaml"), dir.path().join("policy.yaml")).unwrap();
    let text = "version: 1\nlisten: 127.0.0.1:8443\ndata_dir: data\ntls: self_signed\nidentity: { dev: { enabled: true } }
routes: [{ path: /mcp, upstreams: [files, docs] }, { path: /files, upstreams: [files], names: bare }, { path: /docs, upstreams: [docs] }]
upstreams: [{ name: files, http: { url: \"http://127.0.0.1:9/mcp\" } }, { name: docs, http: { url: \"http://127.0.0.1:9/mcp\" } }]
policies: [policy.yaml]\n";
    let config = dir.path().join("portcullis.yaml");
    fs::write(&config, text).unwrap();
    let ask = |route: &[&str], name: &str| {
        let mut args =
            vec!["explain", "--config", config.to_str().unwrap(), "--as", "sub=erin,groups=eng", "--call", name, "--json"];
        args.extend(route);
        let ran = run(&args);
        if ran.code == 2 { ran.stderr } else { ran.json()["reason"].as_str().unwrap().to_owned() }
    };
    assert_eq!(ask(&[], "files__read_file"), "allowed");
    assert_eq!(ask(&["--route", "/mcp"], "files__read_file"), "allowed");
    assert_eq!(ask(&["--route", "/files"], "read_file"), "allowed");
    assert_eq!(ask(&["--route", "/docs"], "files__read_file"), "unknown_name");
    assert_eq!(ask(&[], "mail__read"), "unknown_name");
    assert!(ask(&["--route", "/nope"], "files__read_file").contains("configured: /mcp, /files, /docs"));
}

#[test]
fn the_matrix_says_who_can_do_what() {
    let document = run(&["access", "--policy", "base", "--json"]).json();
    let cells = document["cells"].as_array().unwrap();
    let cell = |who: &str, name: &str| {
        let found = cells.iter().find(|cell| cell["principal"] == who && cell["name"] == name);
        found.unwrap_or_else(|| panic!("{who} {name}: {document:#}"))["cell"].clone()
    };
    assert_eq!(cell("group:eng", "files__read_file")["access"], "allow");
    let write = cell("group:eng", "files__write_file");
    assert_eq!((&write["access"], &write["obligations"]), (&json!("allow"), &json!(["limit"])));
    let read = cell("group:support", "files__read_file");
    assert_eq!((&read["access"], &read["depends_on"]), (&json!("conditional"), &json!(["argument /path"])));
    assert_eq!(cell("anonymous", "files__read_file")["access"], "hidden");
    assert_eq!(cell("sam groups=support", "files__read_file")["access"], "conditional");
    let ran = run(&["access", "--policy", "base", "--as", "sub=x,groups=eng", "--markdown"]);
    assert!(ran.stdout.contains("| files\\_\\_write\\_file | allow + limit |"), "{}", ran.stdout);
    // Annotations of an upstream raise a class, and with it what is needed.
    let dir = tempfile::tempdir().unwrap();
    let tools = dir.path().join("tools.json");
    let list = json!({ "tools": [{ "name": "files__read_all", "annotations": { "readOnlyHint": false } }, { "name": "files__read_one" }] });
    fs::write(&tools, list.to_string()).unwrap();
    let ran = run(&["access", "--policy", "base", "--as", "sub=x,groups=eng", "--tools", tools.to_str().unwrap()]);
    assert!(ran.stdout.contains("files__read_one") && !ran.stdout.contains("files__read_all"), "{}", ran.stdout);
}

#[test]
fn a_comparison_shows_exactly_the_seeded_change() {
    let ran = run(&["access", "--policy", "changed", "--against", "base"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let expect = "conditions changed: group:support: tool files__read_file: \
        conditional on argument /path -> conditional on argument /path
  old: allow argument \"/path\" path_under [\"/srv/public\"]
  new: allow argument \"/path\" path_under [\"/srv/public/docs\"]
stops: group:eng + group:oncall: tool files__list_*: allow -> hidden
  old: allow always
2 changes
";
    assert_eq!(ran.stdout, expect);
    let document = run(&["access", "--policy", "base", "--against", "changed", "--json"]).json();
    let kinds: Vec<&Value> = document["changes"].as_array().unwrap().iter().map(|change| &change["change"]).collect();
    assert_eq!(kinds, ["conditions_changed", "conditions_changed", "becomes_possible"], "{document:#}");
    let ran = run(&["access", "--policy", "base", "--against", "base/policy.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "no change: the two policies mean the same\n"));
    assert_eq!(run(&["access", "--policy", "base", "--against", "nowhere"]).code, 2);
}

#[test]
fn a_replay_finds_the_seeded_change_and_names_what_was_not_recorded() {
    let ran = run(&["replay", "audit", "--policy", "changed", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let brief: Vec<(u64, &str)> =
        lines.iter().filter_map(|line| Some((line["line"].as_u64()?, line["verdict"].as_str()?))).collect();
    assert_eq!(brief, [(3, "changed"), (4, "undecidable"), (5, "undecidable"), (8, "undecidable")], "{}", ran.stdout);
    assert_eq!(lines[0]["new"], json!([{ "effect": "deny", "reason": "no_rule", "obligations": [] }]));
    assert_eq!(lines[1]["missing"], json!({ "arguments": ["/path"], "claims": [], "other": [] }));
    assert_eq!(lines[2]["missing"]["claims"], json!(["oncall"]));
    assert_eq!(lines[3]["missing"]["other"], json!(["how much of the limits was used"]));
    let counts = &lines[4]["counts"];
    for (key, count) in [("unchanged", 5), ("changed", 1), ("undecidable", 3), ("not_decisions", 2), ("broken", 0)] {
        assert_eq!(counts[key], count, "{key}");
    }
    let ran = run(&["replay", "audit/audit.jsonl", "--policy", "base"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("0 changed, 2 undecidable, 7 unchanged\n"), "{}", ran.stdout);
}

#[test]
fn broken_lines_are_told_and_the_others_still_judged() {
    let records = fs::read_to_string(format!("{DATA}/audit/audit.jsonl")).unwrap();
    let changed = records.lines().nth(2).unwrap();
    let long = "x".repeat(2 * 1024 * 1024);
    let newer = changed.replacen("\"v\":1", "\"v\":2", 1);
    let input = format!("{{\"v\":1\n\n{long}\n{newer}\n{changed}\n{{\"v\":1,\"seq\":1");
    let ran = portcullis(&["replay", "-", "--policy", "changed"], &input);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    for place in
        ["-:1: is not JSON", "-:3: is longer than", "-:4: is a record of version 2", "-:6: is not JSON", "4 broken lines"]
    {
        assert!(ran.stderr.contains(place), "{place}: {}", ran.stderr);
    }
    assert!(
        ran.stdout.contains("changed -:5:") && ran.stdout.contains("1 changed, 0 undecidable, 0 unchanged"),
        "{}",
        ran.stdout
    );
}
