//! Who decides.

use portcullis::approval::{State, VoteError};

use super::{RULES, World, did};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_whom_the_rule_names_and_not_who_asks() {
    let world = World::start().await;
    let request = world.asked("up__write", "{}").await;
    for (sub, groups, why) in [
        ("bob", &["eng"][..], VoteError::NotAnApprover),
        ("bob", &["sec"], VoteError::NotAnApprover),
        ("bob", &[], VoteError::NotAnApprover),
        ("alice", &["eng"], VoteError::Requester),
        ("alice", &["sre"], VoteError::Requester),
    ] {
        for yes in [true, false] {
            assert_eq!(world.vote(&request, sub, groups, yes).await, Err(why.clone()), "{sub} {groups:?}");
        }
        let policy = world.gate.running().policy();
        assert_eq!(world.desk().may_decide(&request, &super::person(sub, groups), &policy), Err(why), "{sub} {groups:?}");
    }
    // Who calls is no approver either by a form of their own client.
    let voter = portcullis::approval::Voter { principal: super::person("alice", &["sre"]), name: "alice".to_owned() };
    let policy = world.gate.running().policy();
    assert_eq!(world.desk().confirm(&request.id, &voter, &policy, true).await.err(), Some(VoteError::Requester));
    assert_eq!(world.desk().get(&request.id).unwrap().state, State::Pending);
    world.asked("up__write", "{}").await;
    assert_eq!(world.ran(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_may_where_the_rule_says_so_but_never_by_their_own_client() {
    let rules = RULES.replace("from: [\"group:sre\"], expires", "from: [\"group:sre\"], requester: true, expires");
    let world = World::with(|files| files.policy = rules).await;
    let request = world.asked("up__write", "{}").await;
    let voter = portcullis::approval::Voter { principal: super::person("alice", &["sre"]), name: "alice".to_owned() };
    let policy = world.gate.running().policy();
    assert_eq!(world.desk().confirm(&request.id, &voter, &policy, true).await.err(), Some(VoteError::Requester));
    assert_eq!(world.vote(&request, "alice", &["sre"], true).await, Ok(State::Approved));
    assert!(did(&world.call("up__write", "{}").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_is_that_many_people_and_one_no_is_enough() {
    let world = World::start().await;
    let request = world.asked("up__delete", "{}").await;
    assert_eq!(world.vote(&request, "sven", &["sre"], true).await, Ok(State::Pending));
    for groups in [&["sre"][..], &["sec"], &["sre", "sec"]] {
        assert_eq!(world.vote(&request, "sven", groups, true).await, Err(VoteError::Voted));
        assert_eq!(world.vote(&request, "sven", groups, false).await, Err(VoteError::Voted));
    }
    world.asked("up__delete", "{}").await;
    assert_eq!(world.ran(), 0);
    assert_eq!(world.vote(&request, "tess", &["sec"], true).await, Ok(State::Approved));
    assert!(did(&world.call("up__delete", "{}").await));
    let other = world.asked("up__delete", "{}").await;
    assert_eq!(world.vote(&other, "sven", &["sre"], true).await, Ok(State::Pending));
    assert_eq!(world.vote(&other, "tess", &["sec"], false).await, Ok(State::Denied));
    assert!(world.vote(&other, "ulla", &["sec"], true).await.is_err());
    assert!(!did(&world.call("up__delete", "{}").await));
    assert_eq!(world.ran(), 1);
}

/// Each rule that allows it wants what it wants; one person may count in several.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rule_is_met_by_itself() {
    let more = r#"
  - id: gated-too
    effect: allow
    principals: ["group:eng"]
    tools: ["up__write"]
    classes: [write]
    require: { approval: { from: ["group:sec"] } }
"#;
    let world = World::with(|files| files.policy.push_str(more)).await;
    let request = world.asked("up__write", "{}").await;
    assert_eq!(world.vote(&request, "sven", &["sre"], true).await, Ok(State::Pending));
    assert_eq!(world.vote(&request, "tess", &["sre"], true).await, Ok(State::Pending));
    assert_eq!(world.vote(&request, "ulla", &["sec"], true).await, Ok(State::Approved));
    assert!(did(&world.call("up__write", "{}").await));
    let request = world.asked("up__write", "{}").await;
    assert_eq!(world.vote(&request, "both", &["sre", "sec"], true).await, Ok(State::Approved));
    assert!(did(&world.call("up__write", "{}").await));
    assert_eq!(world.ran(), 2);
}

/// Many votes at one time: each counts once, none is lost, and one no among them ends it whatever the order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_that_race_all_count() {
    let rules = RULES.replace("quorum: 2", "quorum: 8");
    let world = World::with(|files| files.policy = rules).await;
    let request = world.asked("up__delete", "{}").await;
    let names: Vec<String> = (0..8).flat_map(|at| [format!("p{at}"), format!("p{at}")]).collect();
    let votes = names.iter().map(|name| world.vote(&request, name, &["sre"], true));
    let votes = futures_util::future::join_all(votes).await;
    assert_eq!(votes.iter().filter(|vote| vote.is_ok()).count(), 8, "{votes:?}");
    assert_eq!(votes.iter().filter(|vote| **vote == Ok(State::Approved)).count(), 1);
    let now = world.desk().get(&request.id).unwrap();
    assert_eq!((now.votes.len(), now.state), (8, State::Approved));
}
