//! A request from its first breath to its last.

use portcullis::approval::{ChangeError, State, VoteError};
use serde_json::json;

use super::{World, denial, did, person, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identical_call_finds_the_approval_and_runs_once() {
    let world = World::start().await;
    let request = world.asked("up__write", r#"{"b":1,"a":"x"}"#).await;
    assert_eq!((request.state, &*request.bound.name, world.ran()), (State::Pending, "up__write", 0));
    let again = world.call("up__write", r#"{"b":1,"a":"x"}"#).await;
    assert_eq!(denial(&again)["approval_id"], request.id.as_str());
    assert!(text(&again).contains("a yes from group:sre") && text(&again).contains(request.id.as_str()), "{}", again.whole());
    assert_eq!((denial(&again)["rule"].as_str(), world.ran()), (Some("gated"), 0));
    world.approve(&request).await;
    assert_eq!(world.ran(), 0, "an approval runs nothing by itself");
    // The same in other words.
    let ran = world.call("up__write", r#"{ "a": "\u0078", "b": 1 }"#).await;
    assert!(did(&ran), "{}", ran.whole());
    assert_eq!((world.ran(), world.desk().get(&request.id).unwrap().state), (1, State::Used));
    let next = world.asked("up__write", r#"{"b":1,"a":"x"}"#).await;
    assert_ne!(next.id, request.id, "what was used is no approval any more");
    assert_eq!(world.ran(), 1);

    // ask, approve, use, ask; and one of each call.
    let records = world.gate.settled(8).await;
    let of = |kind: &str| records.iter().filter(|record| record["kind"] == kind).collect::<Vec<_>>();
    let what: Vec<_> = of("approval").iter().map(|record| record["method"].as_str().unwrap().to_owned()).collect();
    assert_eq!(what, ["approval/ask", "approval/approve", "approval/use", "approval/ask"]);
    let approve = of("approval")[1].clone();
    assert_eq!((approve["principal"]["sub"].as_str(), approve["approval"]["state"].as_str()), (Some("sven"), Some("approved")));
    let intent = of("intent")[0].clone();
    let digest = request.bound.arguments.to_string();
    for record in [&intent, of("outcome").into_iter().find(|record| record["outcome"]["status"] == "completed").unwrap()] {
        let approval = &record["approval"];
        assert_eq!(approval["id"], request.id.as_str(), "{record}");
        assert_eq!(approval["by"], json!(["https://idp.example.com#sven"]), "{record}");
        assert_eq!((&approval["arguments"], approval["state"].as_str()), (&json!(digest), Some("used")), "{record}");
        assert!(approval["at"].is_string(), "{record}");
    }
    let denied = of("outcome").into_iter().find(|record| record["outcome"]["status"] == "denied").unwrap();
    assert_eq!((&denied["outcome"]["reason"], &denied["decision"]["effect"]), (&json!("approval_required"), &json!("deny")));
    assert_eq!(denied["approval"]["id"], request.id.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_and_resources_and_reads_are_approved_too() {
    let world = World::start().await;
    let read = world.gate.modern("/mcp", &world.alice, "resources/read", r#""uri":"up+file:///srv/public/a.txt","#);
    let read = read.add("Mcp-Name", "up+file:///srv/public/a.txt");
    let get = world.gate.modern("/mcp", &world.alice, "prompts/get", r#""name":"up__greet","#).add("Mcp-Name", "up__greet");
    for (at, request) in [read, get].into_iter().enumerate() {
        let refused = world.gate.reach.send(&request).await.json();
        let denial = &refused["error"]["data"];
        assert_eq!(
            (&denial["reason"], refused["error"]["code"].as_i64()),
            (&json!("approval_required"), Some(-31000)),
            "{refused}"
        );
        let id = portcullis::approval::RequestId::parse(denial["approval_id"].as_str().unwrap()).unwrap();
        world.approve(&world.desk().get(&id).unwrap()).await;
        let answer = world.gate.reach.send(&request).await.json();
        assert!(answer["result"].is_object(), "{answer}");
        assert_eq!(world.ran(), at + 1);
    }
    let request = world.asked("up__limited", "{}").await;
    world.approve(&request).await;
    assert!(did(&world.call("up__limited", "{}").await));
    // A gated read has an intent, as what writes has.
    let records = world.gate.settled(15).await;
    assert_eq!(records.iter().filter(|record| record["kind"] == "intent").count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_ends_it_and_is_said_once() {
    let world = World::start().await;
    let request = world.asked("up__write", "{}").await;
    assert_eq!(world.vote(&request, "sven", &["sre"], false).await, Ok(State::Denied));
    let told = world.call("up__write", "{}").await;
    assert_eq!(
        (&denial(&told)["reason"], &denial(&told)["approval_id"]),
        (&json!("approval_denied"), &json!(request.id.as_str()))
    );
    assert!(matches!(
        world.vote(&request, "tess", &["sre"], true).await,
        Err(VoteError::Change(ChangeError::Over(State::Denied)))
    ));
    let anew = world.asked("up__write", "{}").await;
    assert_ne!(anew.id, request.id);
    assert_eq!(world.ran(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_ends_it_whether_decided_or_not() {
    let world = World::start().await;
    let clock = world.gate.running().clock();
    let waits = world.asked("up__write", r#"{"a":1}"#).await;
    let approved = world.asked("up__write", r#"{"a":2}"#).await;
    world.approve(&approved).await;
    clock.advance_ms(301_000);
    for (request, arguments) in [(&waits, r#"{"a":1}"#), (&approved, r#"{"a":2}"#)] {
        assert_eq!(world.desk().get(&request.id).unwrap().state, State::Expired);
        let told = world.call("up__write", arguments).await;
        let denial = denial(&told);
        assert_eq!((&denial["reason"], &denial["approval_id"]), (&json!("approval_expired"), &json!(request.id.as_str())));
        assert!(matches!(
            world.vote(request, "sven", &["sre"], true).await,
            Err(VoteError::Change(ChangeError::Over(State::Expired)))
        ));
        assert_ne!(world.asked("up__write", arguments).await.id, request.id);
    }
    assert_eq!(world.ran(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asked_may_take_it_back_and_nobody_else() {
    let world = World::start().await;
    for approved in [false, true] {
        let request = world.asked("up__write", "{}").await;
        if approved {
            world.approve(&request).await;
        }
        let desk = world.desk();
        assert_eq!(desk.withdraw(&request.id, &person("bob", &["eng"])).await.err(), Some(ChangeError::NotFound));
        assert_eq!(desk.withdraw(&request.id, &person("alice", &[])).await.unwrap().state, State::Withdrawn);
        assert_ne!(world.asked("up__write", "{}").await.id, request.id);
        let left = desk.withdraw(&world.asked("up__write", "{}").await.id, &person("alice", &[])).await;
        assert!(left.is_ok());
    }
    assert_eq!(world.ran(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_what_was_asked_and_what_was_said() {
    let world = World::start().await;
    let [approved, waits, denied, used] = [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#, r#"{"a":4}"#];
    let first = world.asked("up__write", approved).await;
    world.approve(&first).await;
    let second = world.asked("up__write", waits).await;
    let third = world.asked("up__write", denied).await;
    world.vote(&third, "sven", &["sre"], false).await.unwrap();
    let fourth = world.asked("up__write", used).await;
    world.approve(&fourth).await;
    assert!(did(&world.call("up__write", used).await));
    let world = world.again().await;
    assert_eq!(world.ran(), 1);
    assert!(did(&world.call("up__write", approved).await));
    assert_eq!(world.asked("up__write", approved).await.bound, first.bound);
    assert_eq!(world.asked("up__write", waits).await.id, second.id);
    assert_eq!(denial(&world.call("up__write", denied).await)["reason"], "approval_denied");
    assert_ne!(world.asked("up__write", used).await.id, fourth.id, "an approval that was used is none after a restart");
    assert_eq!(world.ran(), 2);
    world.approve(&second).await;
    assert!(did(&world.call("up__write", waits).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_more_than_their_share_waiting() {
    let world = World::with(|files| files.config.push_str("approvals: { pending_per_principal: 2 }\n")).await;
    let first = world.asked("up__write", r#"{"a":1}"#).await;
    world.asked("up__write", r#"{"a":2}"#).await;
    let third = world.call("up__write", r#"{"a":3}"#).await;
    assert_eq!(denial(&third)["reason"], "approval_required");
    assert!(denial(&third)["approval_id"].is_null() && text(&third).contains("too many"), "{}", third.whole());
    assert_eq!(world.asked("up__write", r#"{"a":1}"#).await.id, first.id, "what waits is found all the same");
    // Of somebody else it is no business.
    let bob = world.gate.token("bob", &["eng"]);
    let other = world.gate.reach.send(&world.gate.call("/mcp", &bob, "up__write", r#"{"a":3}"#)).await;
    world.pending(&other);
    world.vote(&first, "sven", &["sre"], false).await.unwrap();
    world.asked("up__write", r#"{"a":3}"#).await;
    assert_eq!(world.ran(), 0);
}

/// Without a store nothing is asked, approved or run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_refuses() {
    let world = World::start().await;
    let request = world.asked("up__write", "{}").await;
    world.approve(&request).await;
    let path = world.gate.dir.path().join("data/state.db");
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for arguments in ["{}", r#"{"a":1}"#] {
        let refused = world.call("up__write", arguments).await;
        assert_eq!(denial(&refused)["reason"], "internal", "{}", refused.whole());
    }
    assert_eq!(world.ran(), 0);
    other.execute_batch("ROLLBACK").unwrap();
    assert!(did(&world.call("up__write", "{}").await));
    assert_eq!(world.ran(), 1);
}
