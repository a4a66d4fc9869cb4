//! The examples of the page: every policy compiles without a warning about itself, every case holds.

use portcullis::policy::cases::{CatalogFacts, run};
use portcullis::policy::{Facts, PolicySet, compile};

const PAGE: &str = include_str!("../../docs/policy.md");

/// When cases happen that do not say when: a Friday at noon, UTC.
const NOW_UNIX_MS: i64 = 1_763_726_400_000;

/// The YAML blocks of the page, each with the line it begins on.
fn blocks() -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (n, line) in PAGE.lines().enumerate() {
        match (&mut open, line) {
            (None, "```yaml") => open = Some((n + 2, String::new())),
            (Some(_), "```") => out.extend(open.take()),
            (Some((_, text)), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    out
}

#[test]
fn the_examples_hold() {
    let (mut policies, mut cases) = (0, 0);
    let mut set: Option<PolicySet> = None;
    let mut failures = Vec::new();
    for (line, text) in blocks() {
        if text.starts_with("version:") {
            policies += 1;
            let files = [(format!("docs/policy.md+{line}"), text)];
            match compile(&files, &Facts { upstreams: &[], issuers: &[] }) {
                Ok(compiled) => set = Some(compiled),
                Err(problems) => {
                    set = None;
                    failures.extend(problems.iter().map(ToString::to_string));
                }
            }
        } else if let Some(set) = &set {
            let outcomes = run(set, &format!("docs/policy.md+{line}"), &text, &CatalogFacts::default(), NOW_UNIX_MS);
            let outcomes = outcomes.unwrap_or_else(|problems| panic!("{problems:#?}"));
            cases += outcomes.len();
            let failed = outcomes.into_iter().filter_map(|outcome| Some((outcome.name, outcome.failure?)));
            failures.extend(failed.map(|(name, why)| format!("docs/policy.md:{line}: {name}: {why:?}")));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(policies >= 15 && cases >= 20, "{policies} policies, {cases} cases");
}
