//! Records are read as they were written.

use super::*;
use crate::audit::{Recorded, is_cut};
use crate::vocab::limits::AUDIT_FIELD_BYTES_MAX;
use crate::vocab::{Class, Principal, Reason};

#[test]
fn what_was_written_is_read_back() {
    let bed = Bed::new();
    let audit = bed.open();
    let mut slot = audit.reserve().unwrap();
    let draft = slot.draft();
    let claims = serde_json::json!({ "groups": ["eng"], "email": "x" }).as_object().unwrap().clone();
    draft.principal =
        Some(Arc::new(Principal { iss: "https://idp".into(), sub: "alice".into(), claims, ..Principal::anonymous() }));
    draft.set_method("tools/call");
    draft.set_name("files__read");
    draft.class = Some(Class::Write);
    draft.set_arguments(b"{}");
    draft.add_field("/path", " [1.0, \"a\"] ");
    draft.add_field("/cut", &format!("\"{}\"", "x".repeat(AUDIT_FIELD_BYTES_MAX)));
    draft.decision = Some(DecisionNote {
        allowed: false,
        observed: false,
        reason: Reason::RateLimited,
        rules: vec!["r1".into()],
        obligations: vec!["limit"],
        policy: "sha256:11".into(),
        shadow: None,
    });
    drop(slot);
    // A request without arguments, which differs from one whose arguments nobody listed.
    drop(audit.reserve().unwrap());
    audit.close(PATIENCE).unwrap();
    let text = fs::read_to_string(bed.file()).unwrap();
    let mut records: Vec<Recorded> = text.lines().map(|line| Recorded::read(line).unwrap()).collect();
    records.retain(|record| record.kind != "checkpoint");
    let [one, other] = &records[..] else { panic!("{text}") };
    let who = one.principal.as_ref().unwrap();
    assert_eq!((who.sub.as_str(), who.groups.as_slice()), ("alice", &["eng".to_owned()][..]));
    assert_eq!((one.kind.as_str(), one.name.as_deref(), one.class), ("outcome", Some("files__read"), Some(Class::Write)));
    assert_eq!(one.fields().unwrap().collect::<Vec<_>>(), [("/path", "[1.0, \"a\"]")]);
    let decision = one.decision.as_ref().unwrap();
    assert_eq!((decision.reason, decision.obligations.as_slice()), (Reason::RateLimited, &["limit".to_owned()][..]));
    assert!(one.unix_ms().is_some_and(|ms| ms > 1_700_000_000_000));
    assert!(other.fields().is_none() && other.decision.is_none() && other.principal.is_none());
    assert!(is_cut("long...[cut]") && !is_cut("short"));
}
