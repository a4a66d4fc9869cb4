//! Each finding where it belongs, and none where nothing is wrong.

mod names;
mod rules;

use serde_json::{Map, json};

use super::*;
use crate::vocab::principal::KEY_ISSUER;

const HEAD: &str = "version: 1
groups:
  eng: { claim: groups, any_of: [eng, platform] }
  core: { claim: groups, any_of: [eng] }
  ops: { claim: groups, any_of: [ops] }
tools:
  - { match: [files__read_file, files__list_files, 'git__read_*'], class: read }
  - { match: ['files__write_*'], class: write }
  - { match: ['files__delete_*'], class: destructive }
rules:
";

fn key(name: &str, groups: &[&str]) -> Principal {
    let claims = Map::from_iter([("groups".to_owned(), json!(groups))]);
    Principal { iss: KEY_ISSUER.into(), sub: format!("key:{name}").into(), anonymous: false, claims, ..Principal::anonymous() }
}

fn known_tools() -> Tools {
    let names = r#"["files__read_file","files__list_files","files__write_file","files__delete_file",
        {"name":"git__read_log","annotations":{"readOnlyHint":true}},{"name":"git__read_hooks","annotations":{"readOnlyHint":false}}]"#;
    Tools::read(names, &[]).unwrap()
}

fn findings_of(text: &str, issuers: &[&str], known: &Known<'_>) -> Vec<Finding> {
    let upstreams = ["files".to_owned(), "git".to_owned()];
    let issuers: Vec<String> = issuers.iter().map(|issuer| (*issuer).to_owned()).collect();
    let files = [("p.yaml".to_owned(), text.to_owned())];
    check(&files, &Facts { upstreams: &upstreams, issuers: &issuers }, known).unwrap_or_else(|problems| panic!("{problems:#?}")).1
}

/// The findings about some rules, as `kind rule`, beside groups that are not used.
fn about(rules: &str) -> Vec<String> {
    about_with(rules, &Known::default())
}

fn about_with(rules: &str, known: &Known<'_>) -> Vec<String> {
    let findings = findings_of(&format!("{HEAD}{rules}\n"), &["https://a.example"], known);
    let findings = findings.iter().filter(|finding| finding.kind != "unused_group");
    findings.map(|finding| format!("{} {}", finding.kind, finding.rule.as_deref().unwrap_or("-"))).collect()
}

fn table(cases: &[(&str, &[&str])]) {
    for (rules, expected) in cases {
        assert_eq!(about(rules), *expected, "{rules}");
    }
}

const ALLOW: &str = "effect: allow, principals: ['group:eng']";

#[test]
fn nothing_is_wrong_with_the_demo() {
    let files = [("demo.yaml".to_owned(), include_str!("../../../policies/demo/demo.yaml").to_owned())];
    let upstreams = ["notes".to_owned()];
    let facts = Facts { upstreams: &upstreams, issuers: &["portcullis:dev".to_owned()] };
    let names = r#"["list_notes","read_note","search_notes","write_note","delete_note"]"#;
    let tools = Tools::read(names, &upstreams).unwrap();
    let known = Known { tools: Some(("tools.json", &tools)), ..Known::default() };
    assert_eq!(check(&files, &facts, &known).unwrap().1, []);
}

/// Each file of `tests/data/policy/mistakes` has one slip, and says on its first lines what is to be found:
/// `# expect: LINE KIND RULE|- HINT OR MESSAGE`.
#[test]
fn seeded_mistakes_are_found_and_nothing_else() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/policy/mistakes");
    let tools = known_tools();
    let known = Known { tools: Some(("tools.json", &tools)), ..Known::default() };
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let found = findings_of(&text, &["https://a.example"], &known);
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        let expected: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# expect: ")).collect();
        assert_eq!(found.len(), expected.len(), "{}: {said:#?}", file.display());
        for (finding, expected) in found.iter().zip(expected) {
            let mut parts = expected.splitn(4, ' ');
            let mut part = || parts.next().unwrap();
            let place = (part().to_owned(), part(), part());
            let problem = &finding.problem;
            assert_eq!((problem.line.to_string(), finding.kind, finding.rule.as_deref().unwrap_or("-")), place, "{said:#?}");
            let words = part();
            assert!(finding.to_string().contains(words), "{}: `{words}` in {said:#?}", file.display());
            assert!(problem.column > 0 || problem.line == 0, "{said:#?}");
        }
    }
}
