//! The gate for policy changes in CI (`deploy/ci/policy-gate.sh`), on a repository of its own.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

struct Repository(tempfile::TempDir);

struct Ran {
    code: i32,
    summary: String,
    result: String,
    said: String,
}

impl Repository {
    /// A repository whose branch `main` holds the demo policy and a config for it; the change is made on `change`.
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        this.git(&["init", "--quiet", "--initial-branch", "main"]);
        this.write("config/portcullis.yaml", &config("${env:POLICY_GATE_TOKEN}"));
        this.write("README.md", "nothing\n");
        this.commit("config");
        for file in ["demo.yaml", "demo.cases.yaml"] {
            let text = fs::read_to_string(format!("{ROOT}/policies/demo/{file}")).unwrap();
            this.write(&format!("policies/main/{file}"), &text);
        }
        this.commit("policy");
        this.git(&["checkout", "--quiet", "-b", "change"]);
        this
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn edit(&self, from: &str, to: &str) {
        let file = "policies/main/demo.yaml";
        let text = fs::read_to_string(self.path().join(file)).unwrap();
        assert!(text.contains(from), "{from}");
        self.write(file, &text.replacen(from, to, 1));
        self.commit("change");
    }

    fn git(&self, args: &[&str]) {
        let status = hermetic(&mut Command::new("git"), self.path()).args(args).stdout(Stdio::null()).status();
        // Without git nothing here can be said.
        let status = status.unwrap();
        assert!(status.success(), "git {args:?}");
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--no-gpg-sign", "-m", message]);
    }

    fn gate(&self, base: &str) -> Ran {
        let out = tempfile::tempdir().unwrap();
        let (summary, result) = (out.path().join("summary.md"), out.path().join("result"));
        let ran = hermetic(&mut Command::new("bash"), self.path())
            .args([&format!("{ROOT}/deploy/ci/policy-gate.sh"), base])
            .env("PORTCULLIS", env!("CARGO_BIN_EXE_portcullis"))
            .env("POLICY_GATE_TOKEN", "unset")
            .env("SUMMARY", &summary)
            .env("RESULT", &result)
            .output()
            .unwrap();
        let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        Ran { code: ran.status.code().unwrap(), summary: read(&summary), result: read(&result), said }
    }
}

fn config(token: &str) -> String {
    format!(
        "version: 1\ntls: self_signed\nidentity: {{ dev: {{ enabled: true }} }}\nroutes: [{{ path: /mcp, upstreams: [notes] }}]\n\
         upstreams: [{{ name: notes, http: {{ url: \"http://127.0.0.1:9/mcp\" }}, credential: {{ bearer: \"{token}\" }} }}]\n\
         policies: [../policies/main]\n"
    )
}

/// Nothing of whoever runs the tests: no settings of git, no variables of a pipeline.
fn hermetic<'c>(command: &'c mut Command, dir: &Path) -> &'c mut Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.current_dir(dir).env_clear().env("PATH", path).env("HOME", dir).env("GIT_CONFIG_NOSYSTEM", "1")
}

#[test]
fn a_change_is_judged_against_the_base() {
    let repository = Repository::new();
    let ran = repository.gate("main");
    assert_eq!((ran.code, ran.result.as_str()), (0, "access=same\n"), "{}", ran.said);
    assert!(ran.summary.ends_with("\n\nNothing: the old and the new policy mean the same.\n"), "{}", ran.summary);

    // Names and order mean nothing.
    repository.edit("- id: staff-read", "- id: staff-looks");
    repository.write("policies/main/demo.cases.yaml", &{
        let cases = fs::read_to_string(repository.path().join("policies/main/demo.cases.yaml")).unwrap();
        cases.replace("staff-read", "staff-looks")
    });
    let ran = repository.gate("main");
    assert_eq!((ran.code, ran.result.as_str()), (0, "access=same\n"), "{}", ran.said);

    // Guests may read the trash: no promise is broken, but it is another policy.
    repository.edit("/folder: { equals: public } }", "/folder: { one_of: [public, trash] } }");
    let ran = repository.gate("main");
    assert_eq!((ran.code, ran.result.as_str()), (0, "access=changed\n"), "{}", ran.said);
    for part in ["## What this change does to access", "| change | principal |", "| conditions changed | group:guests |"] {
        assert!(ran.summary.contains(part), "{part}: {}", ran.summary);
    }
    // Against itself nothing changes, and before the first policy nothing was allowed.
    assert_eq!(repository.gate("HEAD").result, "access=same\n");
    let ran = repository.gate("main~1");
    assert!(ran.code == 0 && ran.summary.contains("| becomes possible | group:writers |"), "{}{}", ran.summary, ran.said);
}

#[test]
fn what_is_broken_does_not_pass() {
    for (from, to, code, said) in [
        ("classes: [write]", "classes: [write, read]", 1, "warning"),
        ("groups: [guests]", "groups: [guests]", 2, "no commit here"),
        ("principals: [\"group:guests\"]\n    tools", "principals: [any]\n    tools", 1, "FAIL"),
        ("classes: [write]", "clases: [write]", 2, "did you mean `classes`?"),
    ] {
        let repository = Repository::new();
        let base = if from == to { "nowhere" } else { "main" };
        if from != to {
            repository.edit(from, to);
        }
        let ran = repository.gate(base);
        assert!(ran.code == code && ran.said.contains(said), "{to}: {} {}", ran.code, ran.said);
        assert_eq!((ran.summary.as_str(), ran.result.as_str()), ("", ""), "{to}");
    }
}

/// What the workflow runs is the script that is tested here, with variables that it knows.
#[test]
fn the_workflow_runs_the_gate() {
    let workflow = fs::read_to_string(format!("{ROOT}/deploy/ci/github-actions.yml")).unwrap();
    let script = fs::read_to_string(format!("{ROOT}/deploy/ci/policy-gate.sh")).unwrap();
    assert!(workflow.contains("bash deploy/ci/policy-gate.sh \"$BASE\""));
    assert!(!workflow.contains("\n  pull_request_target"));
    for variable in ["PORTCULLIS", "CONFIG", "POLICIES", "MIN_COVERAGE", "SUMMARY", "RESULT"] {
        assert!(workflow.contains(variable) && script.contains(&format!("${{{variable}")), "{variable}");
    }
}
