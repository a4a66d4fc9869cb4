//! Records of a real gateway, decided again by the program.

use std::process::Command;

use serde_json::{Value, json};

use crate::gate::{Files, Gate};

const RULES: &str = "  - { id: small, effect: allow, principals: ['group:small'], tools: ['up__mirror'], when: 'args.n < 5', \
    require: { audit: [/n], redact: [secrets], deadline: 5s } }\n  \
    - { id: unseen, effect: allow, principals: ['group:unseen'], tools: ['up__mirror'], when: 'args.m < 5' }\n  \
    - { id: hours, effect: allow, principals: ['group:hours'], tools: ['up__mirror'], schedule: { from: '00:00', to: '00:00' } }\n  \
    - { id: routes, effect: allow, principals: ['group:routes'], tools: ['up__mirror'], when: \"route == '/mcp' && time.year > 2000\" }\n  \
    - { id: gated, effect: allow, principals: ['group:gated'], tools: ['up__mirror'], require: { approval: { from: [caller] } } }\n  \
    - { id: tried, effect: deny, tools: ['up__mirror'], mode: shadow }\n";

fn files(files: &mut Files) {
    let groups: String =
        ["small", "unseen", "hours", "routes", "gated"].map(|g| format!("  {g}: {{ claim: groups, any_of: [{g}] }}\n")).concat();
    files.policy = files.policy.replace("groups:\n", &format!("groups:\n{groups}"));
    // It is about an argument that nobody sends, and what is not sent is not recorded.
    let no_etc = "  - { id: no-etc, effect: deny, tools: [\"*\"], arguments: { /path: { path_under: [/etc] } } }\n";
    assert!(files.policy.contains(no_etc));
    files.policy = files.policy.replace(no_etc, "");
    files.policy.push_str(RULES);
}

const CALLS: [(&str, &str); 7] = [
    ("small", r#"{"n":4}"#),
    ("small", r#"{"n":9}"#),
    ("unseen", r#"{"m":4}"#),
    ("hours", "{}"),
    ("routes", "{}"),
    ("gated", "{}"),
    ("nobody", "{}"),
];

/// What the program says of the records under `policy`: the verdict of each call, in order.
fn replay(gate: &Gate, policy: &str) -> Vec<String> {
    let dir = gate.dir.path();
    let file = dir.join("next.yaml");
    std::fs::write(&file, policy).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("replay").arg(dir.join("data/audit")).arg("--config").arg(dir.join("portcullis.yaml"));
    let output = command.arg("--policy").arg(&file).arg("--json").output().unwrap();
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counts = &lines.last().unwrap()["counts"];
    assert_eq!((&counts["broken"], String::from_utf8(output.stderr).unwrap().as_str()), (&json!(0), ""));
    let outcomes = gate.records().into_iter().filter(|record| record["kind"] == "outcome" && record["name"] == "up__mirror");
    let verdicts: Vec<String> = outcomes
        .map(|record| {
            let line = lines.iter().find(|line| line["id"] == record["id"]);
            let missing = |line: &Value| line["missing"]["arguments"].to_string();
            match line.map(|line| (line["verdict"].as_str().unwrap(), line)) {
                None => "unchanged".to_owned(),
                Some(("undecidable", line)) => format!("undecidable {}", missing(line)),
                Some((verdict, _)) => verdict.to_owned(),
            }
        })
        .collect();
    let changed = verdicts.iter().filter(|verdict| *verdict == "changed").count();
    assert_eq!((counts["changed"].as_u64(), output.status.code()), (Some(changed as u64), Some(i32::from(changed > 0))));
    verdicts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_gateway_recorded_is_decided_again_as_it_was() {
    for observe in [false, true] {
        let gate = Gate::with(|it| {
            files(it);
            if observe {
                it.config.push_str("danger_observe_only: true\n");
            }
        })
        .await;
        for (group, arguments) in CALLS {
            gate.reach.send(&gate.call("/mcp", &gate.token("alice", &[group]), "up__mirror", arguments)).await;
        }
        // Where policy is enforced the call that needs an approval asks for it, which has a record of its own.
        let records = gate.settled(CALLS.len() + usize::from(!observe)).await;
        assert!(records.iter().any(|record| record["decision"]["mode"] == "observe") == observe);
        assert!(records.iter().any(|record| record["decision"]["shadow"].is_object()));
        let policy = std::fs::read_to_string(gate.dir.path().join("policy.yaml")).unwrap();
        let unseen = r#"undecidable ["/m"]"#;
        // A call that `small` refused shows nothing: only an allow brings its `audit`.
        let silent = r#"undecidable ["/n"]"#;
        let same = ["unchanged", silent, unseen, "unchanged", "unchanged", "unchanged", "unchanged"];
        assert_eq!(replay(&gate, &policy), same, "{records:#?}");
        for (from, to, at, verdict) in [
            ("args.n < 5", "args.n < 4", 0, "changed"),
            ("redact: [secrets], ", "", 0, "changed"),
            ("to: '00:00' }", "to: '00:00', days: [mon] }, mode: shadow", 3, "changed"),
            ("time.year > 2000", "time.year > 9000", 4, "changed"),
            ("require: { approval: { from: [caller] } }", "mode: enforce", 5, "changed"),
            ("args.n < 5", "has(args.n) && args.n < 5", 0, silent),
        ] {
            assert!(policy.contains(from), "{from}");
            let mut expected = same.map(str::to_owned);
            verdict.clone_into(&mut expected[at]);
            assert_eq!(replay(&gate, &policy.replace(from, to)), expected, "{from} -> {to}");
        }
    }
}
