//! The store fails at one operation, whichever, undone or unsaid; and the process ends after any: an approval is used once at most,
//! and it takes no more than trying again to come to the end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::super::*;
use super::bound;
use crate::audit::{Durability, Settings};
use crate::policy::{Facts, PolicySet, compile};
use crate::store::Fault;
use crate::vocab::Principal;

const POLICY: &str = r#"
version: 1
groups: { sre: { claim: groups, any_of: [sre] } }
rules:
  - { id: r, effect: allow, principals: [any], tools: ["up__write"], require: { approval: { from: ["group:sre"], expires: 5m } } }
"#;

struct World {
    dir: TempDir,
    clock: Clock,
    audit: Arc<Audit>,
    policy: PolicySet,
    alice: Arc<Principal>,
    sven: Voter,
}

fn person(sub: &str, groups: &[&str]) -> Arc<Principal> {
    let claims = json!({ "groups": groups }).as_object().unwrap().clone();
    let iss = "https://idp.example.com".into();
    Arc::new(Principal { iss, sub: sub.into(), claims, anonymous: false, ..Principal::anonymous() })
}

impl World {
    fn new() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let settings = Settings { durability: Durability::Write, ..Settings::new(dir.path().join("audit"), dir.path(), 1_000) };
        let audit = Arc::new(Audit::open(&settings, clock.clone()).unwrap());
        let files = [("policy.yaml".to_owned(), POLICY.to_owned())];
        let policy = compile(&files, &Facts { upstreams: &["up".to_owned()], issuers: &[] }).unwrap();
        let sven = Voter { principal: person("sven", &["sre"]), name: "sven".to_owned() };
        Self { dir, clock, audit, policy, alice: person("alice", &[]), sven }
    }

    async fn open(&self) -> (Store, Desk) {
        let store = Store::open(&self.dir.path().join("state.db"), self.clock.clone()).unwrap();
        let desk = Desk::open(store.clone(), self.clock.clone(), self.audit.clone()).await.unwrap();
        (store, desk)
    }

    fn case(&self) -> Case {
        let bound = Bound { policy: (&**self.policy.digest()).into(), ..bound() };
        Case {
            start: bound.digest(),
            bound,
            arguments: None,
            principal: self.alice.clone(),
            shown: Shown::default(),
            expires: Duration::from_secs(300),
            record: "r".to_owned(),
            open_max: 20,
        }
    }

    /// Calls as far as that goes, and votes where that is wanted; how often the call left.
    async fn go(&self, desk: &Desk, tries: usize) -> usize {
        let mut left = 0;
        for _ in 0..tries {
            match desk.ask(self.case()).await {
                Ok(Standing::Pending(request)) => drop(desk.vote(&request.id, &self.sven, &self.policy, true, "").await),
                Ok(Standing::Approved(request)) => {
                    left += usize::from(desk.claim(&request.id, &self.case()).await.is_ok());
                }
                Ok(other) => panic!("{other:?}"),
                Err(AskError::Store(_)) => {}
                Err(error) => panic!("{error}"),
            }
            if left > 0 {
                break;
            }
        }
        left
    }

    /// How many requests were approved, or used up after that.
    fn approved(desk: &Desk) -> usize {
        let all = desk.list(&Filter::default(), None, 100);
        all.iter().filter(|request| matches!(request.state, State::Approved | State::Used)).count()
    }
}

/// What is shown, the request; the vote reads and writes; so does the use.
const OPERATIONS: u64 = 6;

#[tokio::test]
async fn whichever_operation_fails_an_approval_is_used_once_at_most() {
    for fault in [Fault::Undone, Fault::Unsaid] {
        for ends in [false, true] {
            for good in 0..=OPERATIONS {
                let what = format!("{fault:?} after {good}, ends: {ends}");
                let world = World::new();
                let (mut store, mut desk) = world.open().await;
                store.fails_after(good, fault);
                // Up to where it failed, and no further where the process ends there.
                let mut left = world.go(&desk, 2).await;
                assert_eq!(store.has_yet_to_fail(), good == OPERATIONS, "{what}");
                assert_eq!(left, usize::from(good == OPERATIONS), "{what}");
                if ends {
                    (store, desk) = world.open().await;
                }
                // What is used up counts, also where nobody was told that it is.
                let spent = usize::from(fault == Fault::Unsaid && good + 1 == OPERATIONS);
                left += world.go(&desk, 4).await;
                let approvals = World::approved(&desk);
                assert!(left <= approvals - spent, "{what}: left {left} times with {approvals} approvals");
                assert_eq!((left, approvals), if good == OPERATIONS { (2, 2) } else { (1, 1 + spent) }, "{what}");
                drop(store);
            }
        }
    }
}

/// The places of requests that could not be kept are given back.
#[tokio::test]
async fn a_request_that_was_not_kept_takes_no_place() {
    let world = World::new();
    let (store, desk) = world.open().await;
    for good in [0, 1, 0, 1] {
        store.fails_after(good, Fault::Undone);
        let refused = desk.ask(Case { open_max: 1, ..world.case() }).await;
        assert!(matches!(refused, Err(AskError::Store(_))), "{refused:?}");
    }
    let made = desk.ask(Case { open_max: 1, ..world.case() }).await;
    assert!(matches!(made, Ok(Standing::Pending(_))), "{made:?}");
}

/// What expired is noted, all of it, at one go; what cannot be noted is noted later, once.
#[tokio::test]
async fn all_that_expires_is_noted_at_one_go() {
    let world = World::new();
    let (store, desk) = world.open().await;
    let many = 300;
    for number in 0..many {
        let mut case = world.case();
        case.bound.arguments =
            crate::vocab::Digest(std::array::from_fn(|at| if at == 0 { 7 } else { u8::try_from(number % 256).unwrap() }));
        case.bound.name = format!("up__{number}").into();
        desk.ask(Case { open_max: many, ..case }).await.unwrap();
    }
    let noted = || desk.0.index.lock().requests().filter(|request| request.state == State::Expired).count();
    assert!(!desk.expire().await);
    assert_eq!(noted(), 0);
    world.clock.advance_ms(301_000);
    store.fails_after(0, Fault::Undone);
    assert!(!desk.expire().await, "with a store that fails it is not tried again at once");
    assert_eq!(noted(), 255, "one could not be noted");
    while desk.expire().await {}
    assert_eq!(noted(), many);
    // A day later they are forgotten.
    world.clock.advance_ms(24 * 3_600 * 1_000 - 60_000);
    while desk.expire().await {}
    assert_eq!(desk.list(&Filter::default(), None, 1_000).len(), many);
    world.clock.advance_ms(120_000);
    while desk.expire().await {}
    assert!(desk.list(&Filter::default(), None, 1_000).is_empty() && desk.0.index.lock().requests().next().is_none());
}

/// The end of a request is on record once, whoever comes upon it first: who asked, or the look for what has expired.
#[tokio::test]
async fn what_expires_is_on_record_once() {
    for asked_first in [true, false] {
        let world = World::new();
        let (_store, desk) = world.open().await;
        desk.ask(world.case()).await.unwrap();
        world.clock.advance_ms(301_000);
        let late = desk.0.index.lock().late(world.clock.unix_s(), 10).0;
        assert_eq!(late.len(), 1);
        if !asked_first {
            desk.expire().await;
        }
        assert!(matches!(desk.ask(world.case()).await, Ok(Standing::Expired(_))));
        // As it was found before.
        assert!(desk.note_expired(&late[0].id).await.is_err());
        while desk.expire().await {}
        assert!(matches!(desk.ask(world.case()).await, Ok(Standing::Pending(_))), "told once");
        world.audit.close(Duration::from_secs(10)).unwrap();
        let text = std::fs::read_to_string(world.dir.path().join("audit/audit.jsonl")).unwrap();
        let methods: Vec<&str> = text.lines().filter_map(|line| line.split("\"method\":\"").nth(1)?.split('"').next()).collect();
        assert_eq!(methods, ["approval/ask", "approval/expire", "approval/ask"], "{asked_first}");
    }
}
