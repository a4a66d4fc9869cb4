//! Calls of servers that ask something back: one approval for all of a call, and none for what only looks like more of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use portcullis::approval::{Request, State};
use serde_json::{Value, json};

use super::lease::terms;
use super::{RULES, World, denial, denial_of, person};
use crate::gate::soon;
use crate::peer::{Answer, Seen, modern};
use crate::questions::asker::{Asker, asking_by_requests, asking_in_results};
use crate::questions::{Asked, MAY_ASK, Session};
use crate::wire::{Req, Resp};

fn forms() -> Value {
    json!({"elicitation": {"form": {}}})
}

fn once() -> Value {
    json!({"ask": [["form"]]})
}

fn twice() -> Value {
    json!({"ask": [["form"], ["form"]]})
}

/// `up` asks in results, `old` by requests.
async fn world() -> World {
    let world = World::with(|files| files.policy.push_str(MAY_ASK)).await;
    world.gate.up.behave(asking_in_results);
    let asker = Arc::<Asker>::default();
    world.gate.old.behave(move |seen| asking_by_requests(&asker, seen));
    world
}

async fn send(world: &World, request: &Req) -> Resp {
    world.gate.reach.send(request).await
}

fn calling(world: &World, tool: &str, arguments: &Value) -> Req {
    world.calling(tool, arguments, &forms(), &json!({}))
}

fn retry(world: &World, tool: &str, arguments: &Value, asked: &Asked) -> Req {
    let more = json!({"requestState": asked.state, "inputResponses": asked.answers()});
    world.calling(tool, arguments, &forms(), &more)
}

/// Calls, has it approved, calls again, and is asked by the server.
async fn begun(world: &World, tool: &str, arguments: &Value) -> (Arc<Request>, Asked) {
    let refused = send(world, &calling(world, tool, arguments)).await;
    let request = world.pending(&refused);
    world.approve(&request).await;
    let asked = Asked::of(&send(world, &calling(world, tool, arguments)).await);
    assert_eq!(world.desk().get(&request.id).unwrap().state, State::Used);
    (request, asked)
}

fn heard(answer: &Value) -> bool {
    let result = &answer["result"];
    result["isError"] != true && result["content"][0]["text"].as_str().is_some_and(|text| text.contains("Ada"))
}

/// The approvals that the intents of calls name, and how often any was used.
fn recorded(world: &World) -> (Vec<String>, usize) {
    let records = world.gate.records();
    let intents = records.iter().filter(|record| record["kind"] == "intent");
    let intents = intents.map(|record| record["approval"]["id"].as_str().unwrap_or_default().to_owned()).collect();
    (intents, records.iter().filter(|record| record["method"] == "approval/use").count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_goes_on_by_the_approval_of_its_call() {
    for (tool, calls) in [("up__write", 3), ("old__write", 1)] {
        let world = world().await;
        let (request, asked) = begun(&world, tool, &twice()).await;
        let again = Asked::of(&send(&world, &retry(&world, tool, &twice(), &asked)).await);
        let last = send(&world, &retry(&world, tool, &twice(), &again)).await;
        assert!(heard(&last.json()), "{tool}: {}", last.whole());
        assert_eq!((world.ran(), world.requests().len()), (calls, 1), "{tool}: nobody is asked again");
        assert_eq!(recorded(&world), (vec![request.id.to_string(); 3], 1), "{tool}");
        // ask, approve, use; the refused call, and one record for each round.
        let records = world.gate.settled(7).await;
        let outcomes = records.iter().filter(|record| record["kind"] == "outcome");
        assert!(outcomes.clone().all(|record| record["approval"]["id"] == request.id.as_str()), "{tool}: {records:#?}");
        assert_eq!(outcomes.count(), 4, "{tool}");
        // All of it is over: the same call is a new one.
        assert_ne!(world.pending(&send(&world, &calling(&world, tool, &twice())).await).id, request.id, "{tool}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_client_completes_its_call_with_one_approval() {
    for revision in ["2025-06-18", "2025-11-25"] {
        let world = world().await;
        let session = Session::open(&world.gate, &world.alice, revision, &json!({"elicitation": {}})).await;
        let request = world.pending(&send(&world, &session.calling(1, "up__write", &twice())).await);
        world.approve(&request).await;
        let mut conn = session.call(2, "up__write", &twice()).await;
        let (asked, last) = session.oblige(&mut conn, 2).await;
        assert_eq!((asked.len(), heard(&last)), (2, true), "{revision}: {last}");
        assert_eq!((world.ran(), world.requests().len()), (3, 1), "{revision}");
        assert_eq!(recorded(&world), (vec![request.id.to_string(); 3], 1), "{revision}");
        let next = send(&world, &session.calling(3, "up__write", &twice())).await;
        assert_ne!(world.pending(&next).id, request.id, "{revision}");
        assert_eq!(world.ran(), 3, "{revision}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_goes_on_once() {
    for (tool, calls) in [("up__write", 2), ("old__write", 1)] {
        let world = world().await;
        let (_, asked) = begun(&world, tool, &once()).await;
        let retry = retry(&world, tool, &once(), &asked);
        let answers = join_all((0..6).map(|_| send(&world, &retry))).await;
        assert_eq!(answers.iter().filter(|answer| heard(&answer.json())).count(), 1, "{tool}");
        assert_eq!(world.ran(), calls, "{tool}: of several at once one left");
        let replayed = send(&world, &retry).await;
        assert_eq!((replayed.code(), world.ran()), (-32602, calls), "{tool}: {}", replayed.whole());
        assert_eq!(recorded(&world).1, 1, "{tool}");
        assert_eq!(world.requests().len(), 1, "{tool}: whoever lost asks nobody");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_that_very_round_does_not_ride_on_it() {
    for tool in ["up__write", "old__write"] {
        let world = world().await;
        let (request, asked) = begun(&world, tool, &once()).await;
        let ran = world.ran();
        // A first round, with answers or without: a start of its own, which nobody approved.
        let answers = json!({"inputResponses": asked.answers()});
        for more in [json!({}), answers] {
            let refused = send(&world, &world.calling(tool, &once(), &forms(), &more)).await;
            assert_ne!(world.pending(&refused).id, request.id, "{tool}");
        }
        // Other arguments, another tool, another person, another state.
        let other = json!({"ask": [["form"]], "more": 1});
        let bob = format!("Bearer {}", world.gate.token("bob", &["eng"]));
        let bob = retry(&world, tool, &once(), &asked).set("Authorization", &bob);
        let forged = Asked { requests: asked.requests.clone(), state: format!("{}A", asked.state) };
        for request in [
            retry(&world, tool, &other, &asked),
            retry(&world, "up__limited", &once(), &asked),
            bob,
            retry(&world, tool, &once(), &forged),
        ] {
            let refused = send(&world, &request).await;
            assert_eq!(refused.code(), -32602, "{tool}: {}", refused.whole());
        }
        assert_eq!(world.ran(), ran, "{tool}");
        let last = send(&world, &retry(&world, tool, &once(), &asked)).await;
        assert!(heard(&last.json()), "{tool}: {}", last.whole());
    }
}

/// Asks for a name without giving a state, however often it is called.
fn forgetful(seen: &Seen) -> Answer {
    let request = seen.json();
    if seen.rpc() != "tools/call" {
        return modern(seen);
    }
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": []});
    let question = json!({"method": "elicitation/create", "params": {"message": "Who?", "requestedSchema": schema}});
    let result = json!({"resultType": "input_required", "inputRequests": {"k": question}});
    Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_state_of_the_server_a_round_is_another_start() {
    let world = world().await;
    world.gate.up.behave(forgetful);
    let request = world.pending(&send(&world, &calling(&world, "up__write", &once())).await);
    world.approve(&request).await;
    let asked = send(&world, &calling(&world, "up__write", &once())).await.json()["result"].clone();
    assert_eq!((asked["resultType"].as_str(), asked.get("requestState")), (Some("input_required"), None), "{asked}");
    let answers = json!({"inputResponses": {"k": {"action": "accept", "content": {"name": "Ada"}}}});
    let refused = send(&world, &world.calling("up__write", &once(), &forms(), &answers)).await;
    assert_ne!(world.pending(&refused).id, request.id);
    // An older client does not see the rounds; its gateway does not start the call a second time either.
    let other = json!({"other": 1});
    let session = Session::open(&world.gate, &world.alice, "2025-11-25", &json!({"elicitation": {}})).await;
    let request = world.pending(&send(&world, &session.calling(1, "up__write", &other)).await);
    world.approve(&request).await;
    let mut conn = session.call(2, "up__write", &other).await;
    let (asked, last) = session.oblige(&mut conn, 2).await;
    assert_eq!((asked.len(), denial_of(&last)["reason"].as_str()), (1, Some("approval_required")), "{last}");
    assert_eq!(world.ran(), 2);
}

/// What the server asked in time waits for answers as long as ever; what was approved does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_rounds_and_those_under_another_policy_are_approved_by_themselves() {
    for change in ["late", "policy", "restart"] {
        let mut world = world().await;
        let (first, asked) = begun(&world, "up__write", &twice()).await;
        match change {
            "late" => world.gate.running().clock().advance_ms(301_000),
            "policy" => {
                let before = world.gate.running().policy().digest().clone();
                let more = "  - { id: another, effect: deny, tools: [\"*__nothing\"] }\n";
                world.gate.reload("policy.yaml", &format!("{RULES}{MAY_ASK}{more}"));
                soon("the policy", || *world.gate.running().policy().digest() != before).await;
            }
            _ => world = world.again().await,
        }
        let refused = send(&world, &retry(&world, "up__write", &twice(), &asked)).await;
        assert_eq!(denial(&refused)["reason"], "approval_required", "{change}: {}", refused.whole());
        let request = world.pending(&refused);
        assert_ne!(request.id, first.id, "{change}");
        assert_eq!(world.ran(), 1, "{change}");
        world.approve(&request).await;
        // From here on it goes on by that one.
        let again = Asked::of(&send(&world, &retry(&world, "up__write", &twice(), &asked)).await);
        let last = send(&world, &retry(&world, "up__write", &twice(), &again)).await;
        assert!(heard(&last.json()), "{change}: {}", last.whole());
        assert_eq!((world.ran(), world.requests().len()), (3, 2), "{change}");
    }
}

/// What people said yes to is the call without answers. With answers it is another, of which they see the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_saw_do_not_leave() {
    let world = world().await;
    let request = world.pending(&send(&world, &calling(&world, "up__write", &once())).await);
    world.approve(&request).await;
    let answers = json!({"inputResponses": {"k": {"action": "accept", "content": {"name": "Eve"}}}});
    let answering = world.calling("up__write", &once(), &forms(), &answers);
    let own = world.pending(&send(&world, &answering).await);
    assert_ne!(own.id, request.id);
    assert_eq!(world.ran(), 0);
    let shown = world.desk().shown(&own.id).await.unwrap().unwrap();
    assert!(shown.text.contains("\"Eve\"") && shown.text.contains("\"arguments\""), "{}", shown.text);
    let other = json!({"inputResponses": {"k": {"action": "accept", "content": {"name": "Mallory"}}}});
    world.approve(&own).await;
    let other = world.pending(&send(&world, &world.calling("up__write", &once(), &forms(), &other)).await);
    assert!(other.id != own.id && world.ran() == 0, "other answers are another call");
    send(&world, &answering).await;
    assert_eq!((world.desk().get(&own.id).unwrap().state, world.ran()), (State::Used, 1));
    assert_eq!(world.desk().get(&request.id).unwrap().state, State::Approved, "the call without answers has its own");
}

/// A server that refuses a call undone has not used the approval: it is made once more, in the way that the server wants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_refused_for_want_of_a_capability_has_not_run() {
    let world = world().await;
    world.gate.up.behave(|seen| {
        let request = seen.json();
        let caps = &request["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        match (seen.rpc().as_str(), caps["extensions"].is_object()) {
            ("server/discover", _) => {
                let result = json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}, "extensions": tasks["extensions"], "tasks": {"requests": {"tools": {"call": {}}}}},
                                    "ttlMs": 0, "cacheScope": "private", "resultType": "complete"});
                Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
            }
            ("tools/call", false) => {
                let error = json!({"code": -32021, "message": "tasks", "data": {"requiredCapabilities": tasks}});
                Answer::Json(400, "", json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string())
            }
            _ => modern(seen),
        }
    });
    let session = Session::open(&world.gate, &world.alice, "2025-11-25", &json!({})).await;
    // What is demanded is learnt by the first call, and known for those that come after.
    for (round, calls) in [(1, 2), (2, 3)] {
        let arguments = json!({"round": round});
        let request = world.pending(&send(&world, &session.calling(2 * round, "up__write", &arguments)).await);
        world.approve(&request).await;
        let ran = send(&world, &session.calling(2 * round + 1, "up__write", &arguments)).await;
        assert!(super::did(&ran), "{}", ran.whole());
        assert_eq!((world.ran(), recorded(&world).1), (calls, usize::try_from(round).unwrap()), "one approval each");
    }
}

/// As above, of a call that was approved together with its answers: it is made once more with those.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_with_answers_that_was_refused_for_want_of_headers_has_not_run() {
    let world = world().await;
    let refused = AtomicBool::new(false);
    world.gate.up.behave(move |seen| {
        if seen.rpc() != "tools/call" || refused.swap(true, Ordering::SeqCst) {
            return modern(seen);
        }
        let error = json!({"code": -32020, "message": "headers"});
        Answer::Json(400, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error}).to_string())
    });
    let answers = json!({"inputResponses": {"k": {"action": "accept", "content": {"name": "Eve"}}}});
    let answering = world.calling("up__write", &json!({"a": 1}), &forms(), &answers);
    let request = world.pending(&send(&world, &answering).await);
    world.approve(&request).await;
    let ran = send(&world, &answering).await;
    assert!(super::did(&ran), "{}", ran.whole());
    assert_eq!((world.ran(), world.requests().len(), recorded(&world).1), (2, 1, 1));
    assert!(world.gate.up.calls().iter().all(|call| call.body.contains("\"Eve\"")));
}

/// A lease is for starts of a call. Answers that nobody saw are no part of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_saw_do_not_leave_under_a_lease() {
    let world = world().await;
    world.gate.up.behave(forgetful);
    let session = Session::open(&world.gate, &world.alice, "2025-11-25", &json!({"elicitation": {}})).await;
    let request = world.pending(&send(&world, &session.calling(1, "up__write", &once())).await);
    world.lease(&request, "sven", &["sre"], &terms(5, 2, None)).await.unwrap();
    let mut conn = session.call(2, "up__write", &once()).await;
    let (asked, last) = session.oblige(&mut conn, 2).await;
    assert_eq!((asked.len(), denial_of(&last)["reason"].as_str()), (1, Some("approval_required")), "{last}");
    assert_eq!((world.ran(), world.used(&request)), (1, (State::Approved, 1)));
    let own = world.requests()[0].clone();
    let shown = world.desk().shown(&own.id).await.unwrap().unwrap();
    assert!(own.id != request.id && shown.text.contains("\"Ada\""), "{}", shown.text);
}

/// Whoever ends a lease ends what goes on by it; its time and its last use end starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_a_lease_goes_on_until_that_is_revoked() {
    for tool in ["up__write", "old__write"] {
        for revoked in [false, true] {
            let world = world().await;
            let request = world.pending(&send(&world, &calling(&world, tool, &once())).await);
            world.lease(&request, "sven", &["sre"], &terms(1, 1 + u32::from(revoked), None)).await.unwrap();
            let asked = Asked::of(&send(&world, &calling(&world, tool, &once())).await);
            let ran = world.ran();
            if revoked {
                world.desk().revoke(&request.id, &person("olga", &[])).await.unwrap();
            }
            let last = send(&world, &retry(&world, tool, &once(), &asked)).await;
            if revoked {
                assert_ne!(world.pending(&last).id, request.id, "{tool}");
                assert_eq!(world.ran(), ran, "{tool}");
            } else {
                assert!(heard(&last.json()), "{tool}: {}", last.whole());
                assert_eq!(recorded(&world).0, vec![request.id.to_string(); 2], "{tool}");
            }
        }
    }
}
