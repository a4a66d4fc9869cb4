//! From a decision to a permit.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::vocab::Reason;

const POLICY: &str = "version: 1\ntools:\n- { match: [x__read], class: read }\n- { match: [x__write], class: write }\nrules:\n\
    - { id: a, effect: allow, principals: [any], tools: ['x__*'], classes: [read, write, destructive], resources: ['x__*'] }\n\
    - { id: l, effect: allow, principals: ['group:g'], tools: ['x__*'], classes: [read, write], \
        require: { limit: [{ concurrent: 1, by: [tool] }] } }\n\
    groups: { g: { claim: groups, any_of: [g] } }\n";

fn decision(groups: &[&str], name: &str) -> Decision {
    call(&set(&POLICY.replace("    groups", "groups")), &alice(groups), name, "{}")
}

fn lease() -> Option<Lease> {
    Some(Lease::assertion(None, None))
}

fn receipt() -> Option<Receipt> {
    Some(Receipt::assertion(Some(7)))
}

#[test]
fn a_permit_wants_one_piece_of_evidence_per_obligation() {
    let missing = |groups: &[&str], name, lease, receipt| {
        decision(groups, name).permit(Evidence { lease, receipt, ..Evidence::default() }).err()
    };
    for (groups, name, lease, receipt, expect) in [
        (&[][..], "x__read", None, None, None),
        (&[], "x__write", None, None, Some(MissingEvidence::Receipt)),
        (&[], "x__write", lease(), None, Some(MissingEvidence::Receipt)),
        (&[], "x__write", None, receipt(), None),
        (&[], "x__unclassified", None, None, Some(MissingEvidence::Receipt)),
        (&["g"], "x__read", None, None, Some(MissingEvidence::Lease)),
        (&["g"], "x__read", None, receipt(), Some(MissingEvidence::Lease)),
        (&["g"], "x__read", lease(), None, None),
        (&["g"], "x__write", lease(), None, Some(MissingEvidence::Receipt)),
        (&["g"], "x__write", lease(), receipt(), None),
        (&[], "y__read", lease(), receipt(), Some(MissingEvidence::Refused(Reason::NotVisible))),
    ] {
        assert_eq!(missing(groups, name, lease, receipt), expect, "{groups:?} {name}");
    }
}

#[test]
fn a_permit_says_what_it_is_for_and_keeps_its_lease() {
    static RETURNED: AtomicUsize = AtomicUsize::new(0);
    let release = || {
        RETURNED.fetch_add(1, Ordering::SeqCst);
    };
    let lease = Some(Lease::assertion(Some(Box::new(release)), None));
    let permit = decision(&["g"], "x__write").permit(Evidence { lease, receipt: receipt(), ..Evidence::default() }).unwrap();
    assert_eq!((permit.upstream(), permit.name(), permit.intent_seq()), ("x", "x__write", Some(7)));
    assert_eq!(permit.class(), Class::Write);
    assert!(permit.is_for_tool() && !permit.is_for_lists() && !permit.is_for_resource() && !permit.is_for_prompt());
    assert_eq!(RETURNED.load(Ordering::SeqCst), 0);
    drop(permit);
    assert_eq!(RETURNED.load(Ordering::SeqCst), 1);
    // Evidence that buys nothing is returned as well.
    let lease = Some(Lease::assertion(Some(Box::new(release)), None));
    assert!(decision(&["g"], "x__write").permit(Evidence { lease, receipt: None, ..Evidence::default() }).is_err());
    assert_eq!(RETURNED.load(Ordering::SeqCst), 2);
}

#[test]
fn reading_lists_needs_no_evidence() {
    let set = set(&POLICY.replace("    groups", "groups"));
    let permit = decide_list(&set, &alice(&[]), "x", NOW).permit(Evidence::default()).unwrap();
    assert_eq!((permit.upstream(), permit.name(), permit.is_for_lists()), ("x", "x", true));
    assert!(decide_list(&set, &alice(&[]), "y", NOW).permit(Evidence::default()).is_err());
}

#[test]
fn everything_may_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<PolicySet>();
    crosses::<Subject>();
    crosses::<Decision>();
    crosses::<Permit>();
    crosses::<Evidence>();
}
