//! Tasks are decided under the tool that made them, as if its arguments could be anything.

use super::*;
use crate::policy::permit::{Evidence, Lease, MissingEvidence, Receipt};
use crate::vocab::Reason::{self, *};

const POLICY: &str = r#"
version: 1
groups:
  eng: { claim: groups, any_of: [eng] }
  few: { claim: groups, any_of: [few] }
  both: { claim: groups, any_of: [both] }
tools:
  - { match: ["files__read*"], class: read }
  - { match: ["files__write"], class: write }
rules:
  - id: eng
    effect: allow
    principals: ["group:eng"]
    tools: ["files__*"]
    classes: [read, write]
    require: { limit: [{ calls: 1, per: 1h, by: [] }, { concurrent: 1, by: [] }, { bytes: 9, per: 1h, by: [] }] }
  - id: few
    effect: allow
    principals: ["group:few", "group:both"]
    tools: ["files__read"]
    arguments: { /path: { path_under: [/srv] } }
    require: { redact: [secrets], deadline: 5s, approval: { from: [caller] } }
  - { id: scoped, effect: allow, principals: ["group:both"], tools: ["files__read*"], require: { scope: files:read } }
  - { id: no-etc, effect: deny, tools: ["*"], arguments: { /path: { path_under: [/etc] } } }
  - { id: never, effect: deny, tools: ["files__read_never"] }
"#;

fn ask(groups: &[&str], name: &str, step: TaskStep) -> Decision {
    let (set, who) = (set(POLICY), alice(groups));
    let kind = Kind::Tool { name, class: set.class_of(name, Hints::default()), arguments: None };
    let asked = Asked { kind, known: true, now_unix_ms: NOW.now_unix_ms, route: NOW.route };
    decide_task_for(&set, &set.subject(&who), &who, &asked, step)
}

#[test]
fn whoever_could_call_the_tool_may_have_its_tasks() {
    use TaskStep::{Answer, Cancel, Poll, Read};
    let table: &[(&[&str], &str, Reason, &[&str])] = &[
        (&["eng"], "files__read", Allowed, &["eng"]),
        (&["eng"], "files__read_never", NotVisible, &[]),
        (&[], "files__read", NotVisible, &[]),
        (&["few"], "files__read", Allowed, &["few"]),
        (&["few"], "files__write", NotVisible, &[]),
        // One of two rules wants a scope, whatever the arguments are; then it is wanted.
        (&["both"], "files__read", ScopeRequired, &["few", "scoped"]),
        (&["both"], "files__read_more", ScopeRequired, &["scoped"]),
        (&["eng"], "files__unclassified", NotVisible, &[]),
    ];
    for (groups, name, reason, rules) in table {
        for step in [Poll, Read, Answer, Cancel] {
            let decision = ask(groups, name, step);
            let got: Vec<&str> = decision.rules().iter().map(|id| &**id).collect();
            assert_eq!((decision.reason(), &*got), (*reason, *rules), "{groups:?} {name} {step:?}");
        }
    }
    assert_eq!(ask(&["both"], "files__read", Read).scopes_missing(), [Arc::from("files:read")]);
}

#[test]
fn what_the_call_met_is_not_met_again() {
    let quotas = |step| ask(&["eng"], "files__read", step).limits().iter().map(|limit| limit.quota).collect::<Vec<_>>();
    assert!(matches!(quotas(TaskStep::Read)[..], [Quota::Bytes { .. }]));
    for step in [TaskStep::Poll, TaskStep::Answer, TaskStep::Cancel] {
        assert!(quotas(step).is_empty(), "{step:?}");
    }
    // The approval was given, or there would be no task; secrets are replaced as ever.
    let decision = ask(&["few"], "files__read", TaskStep::Read);
    assert!(decision.redacts() && decision.approvals().is_empty() && decision.deadline().is_some());
}

#[test]
fn a_permit_for_a_task_is_none_for_the_tool() {
    let permit = ask(&["eng"], "files__write", TaskStep::Cancel).permit(Evidence::default()).unwrap();
    assert!(permit.is_for_task() && !permit.is_for_tool() && !permit.is_for_lists());
    assert_eq!((permit.name(), permit.class()), ("files__write", Class::Read));
    // To answer lets the tool go on: that is a write, which needs its intent.
    let answer = || ask(&["eng"], "files__write", TaskStep::Answer);
    assert_eq!(answer().permit(Evidence::default()).unwrap_err(), MissingEvidence::Receipt);
    let receipt = || Some(Receipt::assertion(None));
    assert!(answer().permit(Evidence { lease: None, receipt: receipt(), ..Evidence::default() }).unwrap().is_for_task());
    let read = ask(&["eng"], "files__write", TaskStep::Read);
    assert_eq!(
        read.permit(Evidence { lease: None, receipt: receipt(), ..Evidence::default() }).unwrap_err(),
        MissingEvidence::Lease
    );
    let lease = Some(Lease::assertion(None, None));
    assert!(
        ask(&["eng"], "files__read", TaskStep::Read).permit(Evidence { lease, receipt: None, ..Evidence::default() }).is_ok()
    );
    assert!(call(&set(POLICY), &alice(&["few"]), "files__read", r#"{"path":"/srv/a"}"#).permit(Evidence::default()).is_err());
    let refused = ask(&[], "files__read", TaskStep::Read).permit(Evidence::default()).unwrap_err();
    assert_eq!(refused, MissingEvidence::Refused(NotVisible));
}
