//! Tests.
use super::cases::{CatalogFacts, run};
use super::*;

fn facts<'a>(upstreams: &'a [String], issuers: &'a [String]) -> Facts<'a> {
    Facts { upstreams, issuers }
}
#[test]
fn the_demo_policy_keeps_its_promises() {
    let files = [("demo.yaml".to_owned(), include_str!("../../policies/demo/demo.yaml").to_owned())];
    let set = compile(&files, &facts(&["notes".to_owned()], &[])).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert!(set.warnings().is_empty(), "{:?}", set.warnings());
    let cases = include_str!("../../policies/demo/demo.cases.yaml");
    let outcomes = run(&set, "demo.cases.yaml", cases, &CatalogFacts::default()).unwrap_or_else(|p| panic!("{p:#?}"));
    assert!(outcomes.len() >= 20);
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.failure.is_some()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
