//! Findings about names, and about entries for tools.

use super::*;

#[test]
fn names_that_lead_nowhere() {
    table(&[
        ("  - { id: r, effect: deny, tools: ['flies__*'] }", &["unknown_upstream r"]),
        ("  - { id: r, effect: deny, tools: ['files.*'] }", &["unknown_upstream r"]),
        ("  - { id: r, effect: deny, tools: ['*__delete_*'] }", &[]),
        ("  - { id: r, effect: deny, tools: ['file*'] }", &[]),
        ("  - { id: r, effect: allow, principals: [any], capabilities: ['gti:roots'] }", &["unknown_upstream r"]),
        ("  - { id: r, effect: allow, principals: [any], capabilities: ['g*:roots'] }", &[]),
    ]);
    let tools = known_tools();
    let known = Known { tools: Some(("tools.json", &tools)), ..Known::default() };
    for (rule, expected) in [
        ("effect: deny, tools: [files__reed_file]", &["unknown_tool r"][..]),
        ("effect: deny, tools: ['files__x*']", &["unknown_tool r"]),
        ("effect: deny, tools: ['files__*', '*__nothing']", &[]),
        ("effect: allow, principals: [any], tools: [git__read_hooks]", &["dead_rule r"]),
        ("effect: allow, principals: [any], tools: ['git__read_*']", &[]),
    ] {
        assert_eq!(about_with(&format!("  - {{ id: r, {rule} }}"), &known), expected, "{rule}");
    }
    let used = format!("{HEAD}  - {{ id: r, effect: allow, principals: ['group:eng'], tools: ['files__*'] }}\n");
    let unused: Vec<(u64, String)> = findings_of(&used, &["i"], &Known::default())
        .into_iter()
        .filter(|finding| finding.kind == "unused_group")
        .map(|finding| (finding.problem.line, finding.problem.value))
        .collect();
    assert_eq!(unused, [(4, "core".to_owned()), (5, "ops".to_owned())]);
}

#[test]
fn entries_of_tools() {
    let with = |entries: &str| format!("version: 1\ntools:\n{entries}rules: [{{ id: r, effect: deny, tools: ['*'] }}]\n");
    let tools = known_tools();
    let known = Known { tools: Some(("tools.json", &tools)), ..Known::default() };
    let all = "  - { match: ['*'], class: write }\n";
    for (entries, known, expected) in [
        (
            "  - { match: ['files__*'], class: write }\n  - { match: ['files__read_*'], class: read }\n",
            Known::default(),
            &["lowered_class 4"][..],
        ),
        ("  - { match: ['files__*'], class: read }\n  - { match: ['files__write_*'], class: write }\n", Known::default(), &[]),
        ("  - { match: [flies__read_file], class: read }\n", Known::default(), &["unknown_upstream 3"]),
        (&format!("{all}  - {{ match: [files__reed_file], class: write }}\n"), known, &["unknown_tool 4"]),
        (&format!("{all}  - {{ match: ['files__read_*'], class: destructive }}\n"), known, &[]),
        ("  - { match: ['files__*', 'git__read_log'], class: write }\n", known, &["unclassified_tools 0"]),
    ] {
        let found = findings_of(&with(entries), &["i"], &known);
        let said: Vec<String> = found.iter().map(|finding| format!("{} {}", finding.kind, finding.problem.line)).collect();
        assert_eq!(said, expected, "{entries}");
    }
    let found = findings_of(&with("  - { match: ['git__*'], class: write }\n"), &["i"], &known);
    let hint = &found.first().unwrap().problem.hint;
    for line in [
        r#"- { match: ["files__list_files", "files__read_file"], class: read }"#,
        r#"- { match: ["files__write_file"], class: write }"#,
        r#"- { match: ["files__delete_file"], class: destructive }"#,
    ] {
        assert!(hint.contains(line), "{line} in {hint}");
    }
}
