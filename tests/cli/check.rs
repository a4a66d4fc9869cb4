//! What `check` reports.

use super::*;

#[test]
fn check_reports_every_mistake_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let good = config_file(dir.path(), |text| text);
    let ran = portcullis(&["check", "--config", good.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    // Of a config like this there is one thing to know, and nothing to do about before it is tried.
    let found = |ran: &Ran| ran.stdout.lines().filter(|line| line.contains("]: ")).map(str::to_owned).collect::<Vec<_>>();
    assert!(matches!(&found(&ran)[..], [one] if one.starts_with("note[checkpoint_key]: ")), "{}", ran.stdout);
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
    fs::write(&policy, format!("{}{more}", include_str!("../../policies/demo/demo.yaml"))).unwrap();
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
    fs::write(&policy, include_str!("../../policies/demo/demo.yaml")).unwrap();
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
        fs::write(&path, rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem()).unwrap();
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
