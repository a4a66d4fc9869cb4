//! A no to one call, above a lease that covers it.

use super::*;

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

/// A yes to this call and others that only others used is no yes that it ran by; one that it ran by is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_stands_until_the_call_itself_has_run() {
    let refused = r#"{"path":"/srv/docs/never","n":1,"list":[1,{"x":null}]}"#;
    for used_by in [SIMILAR, refused] {
        let world = World::start().await;
        let never = world.asked("up__write", refused).await;
        assert_eq!(world.vote(&never, "sven", &["sre"], false).await, Ok(State::Denied));
        assert_eq!(denial(&world.call("up__write", refused).await)["reason"], "approval_denied");
        let anew = world.asked("up__write", refused).await;
        world.lease(&anew, "sven", &["sre"], &terms(5, 1, Some(UNDER))).await.unwrap();
        assert!(did(&world.call("up__write", used_by).await));
        assert_eq!(world.used(&anew), (State::Used, 1));
        let lease = world.leased(9, Some(UNDER)).await;
        let ran = did(&world.call("up__write", refused).await);
        assert_eq!((ran, world.used(&lease).1), (used_by == refused, u32::from(used_by == refused)));
    }
}
