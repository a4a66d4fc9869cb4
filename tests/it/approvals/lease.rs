//! Leases: a yes to similar calls. What is inside runs without asking, everything else asks; as often, as long and for whom it was said.

mod no;
mod scope;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use portcullis::approval::{ChangeError, LeaseError, Request, State, Terms, VoteError, Voter};
use portcullis::mcp::{RawJson, canonical};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::bound::{listed, moved};
use super::handles::{ask, begun, tasks};
use super::{RULES, World, denial, did, person};
use crate::gate::soon;
use crate::keys;
use crate::peer::{Answer, modern_with, tools};
use crate::wire::Resp;

const UNDER: &str = r#"{"/path":{"path_under":["/srv/docs"]}}"#;
const FIRST: &str = r#"{"path":"/srv/docs/a","n":1,"list":[1,{"x":null}]}"#;
const SIMILAR: &str = r#"{"path":"/srv/docs/deep/b","n":1,"list":[1,{"x":null}]}"#;

pub(super) fn terms(minutes: u64, uses: u32, within: Option<&str>) -> Terms {
    let raw = |text: &str| RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap();
    Terms { minutes, uses, within: within.map(raw) }
}

impl World {
    pub(super) async fn lease(
        &self,
        request: &Request,
        sub: &str,
        groups: &[&str],
        terms: &Terms,
    ) -> Result<Arc<Request>, VoteError> {
        let voter = Voter { principal: person(sub, groups), name: sub.to_owned() };
        self.desk().approve_on(&request.id, &voter, &self.gate.running().policy(), terms, "because").await
    }

    /// Asks for [`FIRST`], which is then leased.
    async fn leased(&self, uses: u32, within: Option<&str>) -> Arc<Request> {
        let request = self.asked("up__write", FIRST).await;
        let leased = self.lease(&request, "sven", &["sre"], &terms(5, uses, within)).await.unwrap();
        assert_eq!(leased.state, State::Approved);
        leased
    }

    pub(super) fn used(&self, lease: &Request) -> (State, u32) {
        let now = self.desk().get(&lease.id).unwrap();
        (now.state, now.lease.as_ref().unwrap().used)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_inside_runs_and_what_is_outside_asks() {
    for (what, within, cases) in [
        (
            "under a directory",
            Some(UNDER),
            &[
                (FIRST, true),
                (SIMILAR, true),
                (r#"{ "n": 1, "list": [1, {"x": null}], "p\u0061th": "/srv/docs" }"#, true),
                (r#"{"path":"/srv/other","n":1,"list":[1,{"x":null}]}"#, false),
                (r#"{"path":"/srv/docs/../a","n":1,"list":[1,{"x":null}]}"#, false),
                (r#"{"path":"/srv/docs/a","n":2,"list":[1,{"x":null}]}"#, false),
                (r#"{"path":"/srv/docs/a","n":1.0,"list":[1,{"x":null}]}"#, false),
                (r#"{"path":"/srv/docs/a","n":1,"list":[1,{"x":null}],"force":true}"#, false),
                (r#"{"path":"/srv/docs/a","n":1,"list":[1]}"#, false),
                ("{}", false),
            ][..],
        ),
        ("exactly", None, &[(FIRST, true), (r#"{"n":1,"list":[1,{"x":null}],"path":"/srv/docs/a"}"#, true), (SIMILAR, false)]),
    ] {
        let world = World::start().await;
        let lease = world.leased(50, within).await;
        assert_eq!(world.ran(), 0, "a yes runs nothing by itself");
        let mut ran = 0;
        for (arguments, inside) in cases {
            let answer = world.call("up__write", arguments).await;
            assert_eq!(did(&answer), *inside, "{what}: {arguments}: {}", answer.whole());
            ran += usize::from(*inside);
            assert_eq!(world.ran(), ran, "{what}: {arguments}");
            if !inside {
                let asked = world.pending(&answer);
                assert_ne!(asked.id, lease.id);
            }
        }
        assert_eq!(world.used(&lease), (State::Approved, u32::try_from(ran).unwrap()), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_use_is_on_record_and_the_last_one_ends_it() {
    let world = World::start().await;
    let lease = world.leased(2, Some(UNDER)).await;
    assert!(did(&world.call("up__write", SIMILAR).await));
    assert_eq!(world.used(&lease), (State::Approved, 1));
    assert!(did(&world.call("up__write", FIRST).await));
    assert_eq!(world.used(&lease), (State::Used, 2));
    for arguments in [FIRST, SIMILAR] {
        assert_ne!(world.asked("up__write", arguments).await.id, lease.id);
    }
    assert_eq!(world.ran(), 2);
    let records = world.gate.settled(11).await;
    let method = |word: &str| records.iter().filter(|record| record["method"] == word).cloned().collect::<Vec<Value>>();
    let given = &method("approval/approve")[0]["approval"];
    assert_eq!(given["lease"], json!({"minutes": 5, "uses": 2, "used": 0, "where": UNDER}), "{given}");
    assert_eq!((&given["id"], &given["by"]), (&json!(lease.id.as_str()), &json!(["https://idp.example.com#sven"])));
    let used: Vec<Value> = method("approval/use").iter().map(|record| record["approval"]["lease"]["used"].clone()).collect();
    assert_eq!(used, [1, 2]);
    let intents: Vec<&Value> = records.iter().filter(|record| record["kind"] == "intent").collect();
    assert_eq!(intents.len(), 2);
    for (at, intent) in intents.into_iter().enumerate() {
        let approval = &intent["approval"];
        assert_eq!((&approval["id"], &approval["lease"]["used"]), (&json!(lease.id.as_str()), &json!(at + 1)), "{intent}");
        assert!(approval["at"].is_string() && approval["by"][0] == "https://idp.example.com#sven", "{intent}");
        // What ran, not what was looked at.
        assert_eq!(approval["arguments"] == lease.bound.arguments.to_string(), at == 1, "{intent}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_calls_at_one_time_as_many_run_as_it_has_uses() {
    let world = World::with(|files| files.config.push_str("approvals: { pending_per_principal: 100 }\n")).await;
    let lease = world.leased(10, Some(UNDER)).await;
    let calls = (0..64).map(async |at| {
        let arguments = format!(r#"{{"path":"/srv/docs/{at}","n":1,"list":[1,{{"x":null}}]}}"#);
        did(&world.call("up__write", &arguments).await)
    });
    let ran = join_all(calls).await.into_iter().filter(|ran| *ran).count();
    assert_eq!((ran, world.ran()), (10, 10));
    assert_eq!(world.used(&lease), (State::Used, 10));
    // The one that asked for the lease, and these: each record names the arguments of its own call.
    let digest = |at: usize| digest(&format!(r#"{{"path":"/srv/docs/{at}","n":1,"list":[1,{{"x":null}}]}}"#));
    let mut own: Vec<String> = (0..64).map(digest).chain([lease.bound.arguments.to_string()]).collect();
    let records = world.gate.settled(65 + 2 + 10 + 54).await;
    let outcomes = records.iter().filter(|record| record["kind"] == "outcome");
    let mut recorded: Vec<String> = outcomes.map(|record| record["approval"]["arguments"].as_str().unwrap().to_owned()).collect();
    own.sort_unstable();
    recorded.sort_unstable();
    assert_eq!(recorded, own);
}

fn digest(arguments: &str) -> String {
    let raw = RawJson::parse(Bytes::copy_from_slice(arguments.as_bytes()), 64).unwrap();
    canonical::digest(Some(&raw)).to_string()
}

/// A lease ends and another is given between the look and the use: the record has the other lease, and the arguments of the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_lease_ends_under_it_is_recorded_as_what_it_was() {
    let world = World::start().await;
    world.gate.up.behave(|seen| listed(seen, &tools()));
    let third = world.asked("up__write", r#"{"path":"/srv/docs/third","n":1,"list":[1,{"x":null}]}"#).await;
    let first = world.leased(9, Some(UNDER)).await;
    let told = Arc::new(Notify::new());
    let slow = told.clone();
    world.gate.up.behave(move |seen| match seen.rpc().as_str() {
        "tools/list" => Answer::Once(slow.clone(), Box::new(listed(seen, &tools()))),
        _ => listed(seen, &tools()),
    });
    let lists = || world.gate.up.seen().iter().filter(|seen| seen.rpc() == "tools/list").count();
    let before = lists();
    let meanwhile = async {
        soon("the definition is read again", || lists() > before).await;
        world.desk().revoke(&first.id, &person("olga", &[])).await.unwrap();
        let second = world.lease(&third, "sven", &["sre"], &terms(5, 9, Some(UNDER))).await.unwrap();
        world.gate.up.behave(|seen| listed(seen, &tools()));
        told.notify_one();
        second
    };
    let (answer, second) = tokio::join!(world.call("up__write", SIMILAR), meanwhile);
    assert_eq!(world.pending(&answer).id, second.id, "it is told to repeat the call");
    let records = world.gate.settled(8).await;
    // The first of that request is of the call that asked for it.
    let refused = records.iter().rfind(|record| record["kind"] == "outcome" && record["approval"]["id"] == second.id.as_str());
    assert_eq!(refused.unwrap()["approval"]["arguments"], digest(SIMILAR));
    assert_eq!((world.ran(), did(&world.call("up__write", SIMILAR).await)), (0, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_with_its_time_which_counts_from_the_vote() {
    let world = World::start().await;
    let clock = world.gate.running().clock();
    let request = world.asked("up__write", FIRST).await;
    clock.advance_ms(200_000);
    let lease = world.lease(&request, "sven", &["sre"], &terms(3, 9, Some(UNDER))).await.unwrap();
    clock.advance_ms(170_000);
    assert!(did(&world.call("up__write", SIMILAR).await), "longer after the asking than one call could be approved");
    clock.advance_ms(11_000);
    assert_eq!(world.used(&lease), (State::Expired, 1));
    for arguments in [FIRST, SIMILAR] {
        assert_ne!(world.asked("up__write", arguments).await.id, lease.id, "it is asked for anew at once");
    }
    assert_eq!(world.ran(), 1);
    assert!(world.desk().leases(None, 10).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_revoked_at_any_time_once() {
    let world = World::start().await;
    let lease = world.leased(9, Some(UNDER)).await;
    assert!(did(&world.call("up__write", SIMILAR).await));
    assert_eq!(world.desk().leases(None, 10).len(), 1);
    let desk = world.desk();
    assert_eq!(desk.revoke(&lease.id, &person("olga", &[])).await.unwrap().state, State::Withdrawn);
    assert_eq!(desk.revoke(&lease.id, &person("olga", &[])).await.err(), Some(ChangeError::Over(State::Withdrawn)));
    assert!(desk.leases(None, 10).is_empty());
    world.asked("up__write", SIMILAR).await;
    // One call is no lease: it is taken back by who asked only.
    let one = world.asked("up__write", r#"{"n":3}"#).await;
    assert!(desk.revoke(&one.id, &person("olga", &[])).await.is_err());
    world.approve(&one).await;
    assert!(desk.revoke(&one.id, &person("olga", &[])).await.is_err());
    assert_eq!(world.ran(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_it_with_its_uses() {
    let world = World::start().await;
    let lease = world.leased(3, Some(UNDER)).await;
    assert!(did(&world.call("up__write", SIMILAR).await));
    let world = world.again().await;
    assert_eq!(world.used(&lease), (State::Approved, 1));
    for _ in 0..2 {
        assert!(did(&world.call("up__write", SIMILAR).await));
    }
    world.asked("up__write", SIMILAR).await;
    let world = world.again().await;
    world.asked("up__write", FIRST).await;
    assert_eq!((world.used(&lease), world.ran()), ((State::Used, 3), 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_yes_is_for_one_call() {
    let world = World::start().await;
    let request = world.asked("up__write", FIRST).await;
    world.approve(&request).await;
    assert_eq!(world.desk().get(&request.id).unwrap().lease, None);
    assert!(did(&world.call("up__write", FIRST).await));
    for arguments in [FIRST, SIMILAR] {
        world.asked("up__write", arguments).await;
    }
    assert_eq!(world.ran(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_that_do_not_fit_are_no_yes() {
    let world = World::start().await;
    let request = world.asked("up__write", FIRST).await;
    let out = r#"{"/path":{"path_under":["/srv/other"]}}"#;
    for (what, terms, error) in [
        ("no time", terms(0, 1, None), LeaseError::Time(5)),
        ("longer than one approval", terms(6, 1, None), LeaseError::Time(5)),
        ("no use", terms(1, 0, None), LeaseError::Uses),
        ("too many", terms(1, 101, None), LeaseError::Uses),
        ("not this call", terms(1, 1, Some(out)), LeaseError::Outside),
        ("nothing there", terms(1, 1, Some(r#"{"/other":{"equals":1}}"#)), LeaseError::Outside),
    ] {
        let got = world.lease(&request, "sven", &["sre"], &terms).await;
        assert_eq!(got.err(), Some(VoteError::Lease(error)), "{what}");
    }
    for within in ["{}", r#"{"/**":{"equals":1}}"#, r#"{"/path":{"matches":"."}}"#, r#"{"/path":{"present":true}}"#] {
        let got = world.lease(&request, "sven", &["sre"], &terms(1, 1, Some(within))).await;
        assert!(matches!(got, Err(VoteError::Lease(LeaseError::Constraints(_)))), "{within}: {got:?}");
    }
    for (sub, groups, error) in [("bob", &["eng"][..], VoteError::NotAnApprover), ("alice", &["sre"], VoteError::Requester)] {
        assert_eq!(world.lease(&request, sub, groups, &terms(1, 1, None)).await.err(), Some(error));
    }
    assert!(world.desk().get(&request.id).unwrap().votes.is_empty());
    // What approvers cannot see in full can differ in nothing.
    let secret = r#"{"path":"/srv/docs/a","key":"AKIAIOSFODNN7EXAMPLE"}"#;
    let secret = world.asked("up__write", secret).await;
    let got = world.lease(&secret, "sven", &["sre"], &terms(1, 1, Some(UNDER))).await;
    assert_eq!(got.err(), Some(VoteError::Lease(LeaseError::Unseen)));
    // What callers confirm is confirmed one by one.
    let mine = world.asked("up__two__parts", "{}").await;
    assert_eq!(mine.lease_minutes_max(), 0);
    let got = world.lease(&mine, "alice", &[], &terms(1, 1, None)).await;
    assert_eq!(got.err(), Some(VoteError::Lease(LeaseError::Caller)));
    // One at a time for what differs in arguments only.
    world.lease(&request, "sven", &["sre"], &terms(5, 1, Some(UNDER))).await.unwrap();
    let got = world.lease(&secret, "sven", &["sre"], &terms(1, 1, None)).await;
    assert_eq!(got.err(), Some(VoteError::Lease(LeaseError::Taken)));
    assert!(did(&world.call("up__write", SIMILAR).await), "its one use");
    world.lease(&secret, "sven", &["sre"], &terms(1, 1, None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_says_yes_to_one_thing() {
    let world = World::start().await;
    let request = world.asked("up__delete", FIRST).await;
    let agreed = terms(2, 3, Some(UNDER));
    assert_eq!(world.lease(&request, "sven", &["sre"], &agreed).await.unwrap().state, State::Pending);
    let differs = Some(VoteError::Lease(LeaseError::Differs));
    for other in [terms(1, 3, Some(UNDER)), terms(2, 4, Some(UNDER)), terms(2, 3, None)] {
        assert_eq!(world.lease(&request, "tess", &["sec"], &other).await.err(), differs);
    }
    assert_eq!(world.vote(&request, "tess", &["sec"], true).await.err(), differs);
    assert!(!did(&world.call("up__delete", FIRST).await), "half of a yes");
    let spelled = terms(2, 3, Some(r#"{ "/path": { "path_under": [ "\/srv\/docs" ] } }"#));
    assert_eq!(world.lease(&request, "tess", &["sec"], &spelled).await.unwrap().state, State::Approved);
    assert!(did(&world.call("up__delete", SIMILAR).await));
    let second = world.asked("up__delete", r#"{"n":0}"#).await;
    assert_eq!(world.vote(&second, "sven", &["sre"], true).await, Ok(State::Pending));
    assert_eq!(world.lease(&second, "tess", &["sec"], &terms(1, 1, None)).await.err(), Some(VoteError::Lease(LeaseError::Taken)));
    let third = world.asked("up__mirror", "{}").await;
    assert_eq!(world.vote(&third, "sven", &["sre"], false).await, Ok(State::Denied));
    assert_eq!(world.ran(), 1);
}
