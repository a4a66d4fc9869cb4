//! The policies below `policies/` keep their promises, and their promises cover them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// In percent.
const COVERAGE_MIN: &str = "95";
/// What `check` says of the starters, with the reason that stands in their own comments: (policy, kind, how often).
const EXPLAINED: [(&str, &str, usize); 1] = [
    ("ci-agent", "dead_rule", 1), // the key `nightly` is made by whoever takes the policy
];

fn portcullis(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis")).args(args).env_remove("PORTCULLIS_CONFIG").current_dir(ROOT).output().unwrap()
}

/// Names of the directories below `policies/`.
fn policies() -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join("policies")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_policy_keeps_its_promises() {
    let names = policies();
    for expected in ["ci-agent", "demo", "developer-workstation", "read-only", "regulated", "support-desk"] {
        assert!(names.iter().any(|name| name == expected), "{expected} is not in {names:?}");
    }
    for name in names {
        let path = format!("policies/{name}");
        let ran = portcullis(&["test", &path, "--min-coverage", COVERAGE_MIN]);
        let stdout = String::from_utf8(ran.stdout).unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{name}: {stdout}{}", String::from_utf8_lossy(&ran.stderr));
        let passed = stdout.lines().last().and_then(|line| line.strip_prefix("ok: ")).unwrap();
        assert!(!passed.starts_with("0 "), "{name}: {stdout}");
    }
}

/// The upstreams that a policy speaks of.
fn upstreams(policy: &str) -> Vec<String> {
    let mut names: Vec<String> = policy
        .match_indices("__")
        .filter_map(|(at, _)| policy.get(..at))
        .filter_map(|before| before.rsplit(|c: char| !(c.is_ascii_lowercase() || c == '-')).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

fn config(dir: &Path, policy: &Path, names: &[String]) -> PathBuf {
    let one = |name: &String| format!("{{ name: {name}, http: {{ url: \"http://127.0.0.1:9/mcp\" }} }}");
    let text = format!(
        "version: 1\ntls: self_signed\ndata_dir: data\nidentity: {{ dev: {{ enabled: true }} }}\n\
         routes: [{{ path: /mcp, upstreams: [{}] }}]\nupstreams: [{}]\npolicies: [{}]\n",
        names.join(", "),
        names.iter().map(one).collect::<Vec<_>>().join(", "),
        policy.display(),
    );
    let file = dir.join("portcullis.yaml");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn check_finds_nothing_in_them_that_is_not_explained() {
    for name in policies() {
        let dir = tempfile::tempdir().unwrap();
        let policy = Path::new(ROOT).join("policies").join(&name);
        let text = fs::read_to_string(policy.join(format!("{name}.yaml"))).unwrap();
        let file = config(dir.path(), &policy, &upstreams(&text));
        let ran = portcullis(&["check", "--json", "--config", file.to_str().unwrap()]);
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert!(ran.status.success(), "{name}: {report:#}");
        let mut found: Vec<&str> =
            report["warnings"].as_array().unwrap().iter().map(|warning| warning["kind"].as_str().unwrap()).collect();
        found.sort_unstable();
        let mut explained: Vec<&str> = Vec::new();
        for (_, kind, times) in EXPLAINED.iter().filter(|(policy, ..)| *policy == name) {
            explained.extend(std::iter::repeat_n(*kind, *times));
        }
        assert_eq!(found, explained, "{name}: {report:#}");
    }
}

#[test]
fn the_example_config_and_the_demo_policy_speak_of_the_same() {
    let ran = portcullis(&["check", "--strict", "--config", "config/portcullis.yaml"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}

#[test]
fn each_says_for_whom_it_is() {
    for name in policies().into_iter().filter(|name| name != "demo") {
        let text = fs::read_to_string(format!("{ROOT}/policies/{name}/{name}.yaml")).unwrap();
        for heading in ["# For whom:", "# It allows:", "# It refuses:", "# Change:"] {
            assert!(text.lines().take(12).any(|line| line.starts_with(heading)), "{name}: {heading}");
        }
    }
}
