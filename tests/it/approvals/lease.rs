//! Leases: a yes to similar calls. What is inside runs without asking, everything else asks; as often, as long and for whom it was said.

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

/// The call waits for an approval of its own, and nothing ran.
fn asks(world: &World, what: &str, lease: &Request, answer: &Resp) -> Arc<Request> {
    assert_eq!(denial(answer)["reason"], "approval_required", "{what}: {}", answer.whole());
    let asked = world.pending(answer);
    assert_eq!((asked.id != lease.id, asked.state, world.ran()), (true, State::Pending, 0), "{what}");
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_caller_route_server_or_tool_asks() {
    let world = World::start().await;
    let lease = world.leased(9, Some(UNDER)).await;
    let audience = json!([world.gate.url("/mcp"), world.gate.url("/bare")]);
    let claims = keys::claims(&audience, "alice", &["eng"]);
    let token = |member: &str, value: Value| {
        let mut claims = claims.clone();
        claims[member] = value;
        keys::ED.token(&keys::header(), &claims)
    };
    let call = |token: &str, route: &str, tool: &str| world.gate.call(route, token, tool, SIMILAR);
    for (what, request) in [
        ("person", call(&token("sub", json!("bob")), "/mcp", "up__write")),
        ("issuer's spelling", call(&token("sub", json!("Alice")), "/mcp", "up__write")),
        ("client", call(&token("client_id", json!("https://other.example/client")), "/mcp", "up__write")),
        ("actor", call(&token("act", json!({"sub": "robot"})), "/mcp", "up__write")),
        ("route", call(&world.alice, "/bare", "write")),
        ("upstream", call(&world.alice, "/mcp", "old__write")),
        ("tool", call(&world.alice, "/mcp", "up__limited")),
        ("rule", call(&world.alice, "/mcp", "up__delete")),
    ] {
        asks(&world, what, &lease, &world.gate.reach.send(&request).await);
    }
    assert!(did(&world.call("up__write", SIMILAR).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_of_the_same_name_asks() {
    let world = World::start().await;
    let lease = world.leased(9, Some(UNDER)).await;
    let before = world.gate.running().policy().digest().clone();
    let other = moved(&world).await;
    asks(&world, "server", &lease, &world.call("up__write", SIMILAR).await);
    assert!(other.calls().is_empty());
    assert_eq!(*world.gate.running().policy().digest(), before, "it was the server that made the difference");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_definition_asks() {
    let world = World::start().await;
    let lease = world.leased(9, Some(UNDER)).await;
    let mut changed = tools();
    let write = changed.as_array_mut().unwrap().iter_mut().find(|tool| tool["name"] == "write").unwrap();
    write["description"] = json!("now it does something else");
    world.gate.up.behave(move |seen| modern_with(seen, &changed));
    // What is known of the list is read again once the call could run under the lease; then it is another call.
    assert_eq!(denial(&world.call("up__write", SIMILAR).await)["reason"], "approval_required");
    assert_eq!(world.ran(), 0);
    let anew = asks(&world, "definition", &lease, &world.call("up__write", SIMILAR).await);
    assert_eq!(world.used(&lease), (State::Approved, 0));
    // The new tool can have a lease of its own.
    world.lease(&anew, "sven", &["sre"], &terms(1, 1, None)).await.unwrap();
    assert!(did(&world.call("up__write", SIMILAR).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_policy_class_or_gate_asks() {
    for (what, from, to) in [
        ("another rule", "rules:\n", "rules:\n  - { id: new, effect: deny, tools: [nothing__at_all] }\n"),
        ("the class", "[\"*__write\", \"*__raised\"], class: write", "[\"*__write\", \"*__raised\"], class: read"),
        ("who approves", "from: [\"group:sre\"]", "from: [\"group:sec\"]"),
        ("the rule's name", "id: gated", "id: gated-anew"),
    ] {
        let world = World::start().await;
        let lease = world.leased(9, Some(UNDER)).await;
        let before = world.gate.running().policy().digest().clone();
        world.gate.reload("policy.yaml", &RULES.replace(from, to));
        soon("the reload", || *world.gate.running().policy().digest() != before).await;
        asks(&world, what, &lease, &world.call("up__write", SIMILAR).await);
        assert!(world.desk().get(&lease.id).unwrap().is_void(world.gate.running().policy().digest()), "{what}");
    }
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

/// A call that waits when the lease is given is let through; one that somebody said no to is not, however often it is repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_to_one_call_stands_above_the_lease() {
    let world = World::start().await;
    let waits = world.asked("up__write", SIMILAR).await;
    let refused = r#"{"path":"/srv/docs/never","n":1,"list":[1,{"x":null}]}"#;
    let never = world.asked("up__write", refused).await;
    world.leased(9, Some(UNDER)).await;
    assert!(did(&world.call("up__write", SIMILAR).await));
    assert_eq!(world.desk().get(&waits.id).unwrap().state, State::Pending, "its own request was not used");
    assert_eq!(world.vote(&never, "sven", &["sre"], false).await, Ok(State::Denied));
    assert_eq!(denial(&world.call("up__write", refused).await)["reason"], "approval_denied");
    let anew = world.asked("up__write", refused).await;
    assert_eq!(world.asked("up__write", refused).await.id, anew.id);
    assert_eq!(world.ran(), 1);
    world.approve(&anew).await;
    assert!(did(&world.call("up__write", refused).await), "until somebody says yes to it");
}

/// What whoever asks does with what they ask for is no yes, and neither is a clock that is set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_stands_whatever_becomes_of_what_is_asked_after_it() {
    let refused = r#"{"path":"/srv/docs/never","n":1,"list":[1,{"x":null}]}"#;
    let alice = person("alice", &["eng"]);
    for set_ms in [0, -30_000] {
        let world = World::start().await;
        let never = world.asked("up__write", refused).await;
        let lease = world.leased(9, Some(UNDER)).await;
        assert_eq!(world.vote(&never, "sven", &["sre"], false).await, Ok(State::Denied));
        world.gate.running().clock().advance_ms(set_ms);
        assert_eq!(denial(&world.call("up__write", refused).await)["reason"], "approval_denied");
        // Taken back by a task that is cancelled, then by the API, each time.
        let mut last = never.id.clone();
        for _ in 0..2 {
            let task = begun(&world, "up__write", &serde_json::from_str(refused).unwrap()).await;
            let done = ask(&world, &world.alice, "tasks/cancel", &task, &tasks()).await;
            assert_eq!(done["result"]["resultType"], "complete", "{done}");
            let anew = world.asked("up__write", refused).await;
            assert_ne!(anew.id, last);
            assert_eq!(world.desk().withdraw(&anew.id, &alice).await.unwrap().state, State::Withdrawn);
            last = anew.id.clone();
        }
        let world = world.again().await;
        let anew = world.asked("up__write", refused).await;
        assert_ne!(anew.id, last);
        assert_eq!((world.ran(), world.used(&lease)), (0, (State::Approved, 0)));
        assert!(did(&world.call("up__write", SIMILAR).await), "the lease is in force for others");
        world.approve(&anew).await;
        for _ in 0..2 {
            assert!(did(&world.call("up__write", refused).await), "once somebody said yes it is a call like others");
        }
        assert_eq!((world.ran(), world.used(&lease).1), (3, 2));
    }
}

/// A yes that nobody used in time is no yes, and a no outlives the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_stands_when_what_is_asked_after_it_expires() {
    let mut world = World::start().await;
    let mut claims = keys::claims(&json!([world.gate.url("/mcp")]), "alice", &["eng"]);
    claims["exp"] = json!(keys::now_s() + 1_200);
    world.alice = keys::ED.token(&keys::header(), &claims);
    let clock = world.gate.running().clock();
    let never = world.asked("up__write", SIMILAR).await;
    assert_eq!(world.vote(&never, "sven", &["sre"], false).await, Ok(State::Denied));
    assert_eq!(denial(&world.call("up__write", SIMILAR).await)["reason"], "approval_denied");
    for approved in [false, true] {
        let anew = world.asked("up__write", SIMILAR).await;
        if approved {
            world.approve(&anew).await;
        }
        clock.advance_ms(301_000);
        let lease = world.leased(9, Some(UNDER)).await;
        assert_eq!(denial(&world.call("up__write", SIMILAR).await)["reason"], "approval_expired");
        assert_eq!(world.asked("up__write", SIMILAR).await.state, State::Pending);
        world.desk().revoke(&lease.id, &person("olga", &[])).await.unwrap();
    }
    assert_eq!(world.ran(), 0);
}
