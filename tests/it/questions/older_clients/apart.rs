//! Questions and answers of one call are not those of another.

use super::*;

/// Questions of several calls and sessions stay apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_only_their_own_questions_and_answer_only_those() {
    let world = World::start().await;
    let bob = world.gate.token("bob", &["eng"]);
    let (first, second) =
        (world.session(&world.alice, "2025-11-25", &all()).await, world.session(&world.alice, "2025-11-25", &all()).await);
    let foreign = world.session(&bob, "2025-11-25", &all()).await;
    let mut conns = Vec::new();
    for (session, id) in [(&first, 1), (&first, 2), (&second, 1), (&foreign, 1)] {
        let mut conn = session.call(id, "up__echo", &json!({"ask": [["form"]]})).await;
        let question = conn.message().await.unwrap();
        conns.push((session, id, conn, question));
    }
    let before = world.gate.up.calls().len();
    // Nobody else's answer counts, whatever session it is sent in.
    for (session, _, _, question) in &conns {
        for other in [&first, &second, &foreign].into_iter().filter(|other| other.id != session.id) {
            assert_eq!(other.answer(question, &json!({"action": "accept", "content": {"name": "Mallory"}})).await, 202);
        }
    }
    let stolen = Session { gate: &world.gate, token: bob.clone(), revision: "2025-11-25".into(), id: first.id.clone() };
    assert_eq!(stolen.answer(&conns[0].3, &json!({"action": "accept"})).await, 404);
    assert_eq!(world.gate.up.calls().len(), before, "an answer of somebody else reached the upstream");
    for (at, (session, id, conn, question)) in conns.iter_mut().enumerate().rev() {
        let name = format!("person {at}");
        assert_eq!(session.answer(question, &json!({"action": "accept", "content": {"name": name}})).await, 202);
        let last = conn.message().await.unwrap();
        assert!(last["id"] == *id && said(&last).0.contains(&name), "{at}: {last}");
    }
}

/// What a person told one upstream is not told to another that took its place meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_the_upstream_that_asked_and_no_other() {
    let world = World::start().await;
    let session = world.session(&world.alice, "2025-11-25", &all()).await;
    let mut conn = session.call(1, "up__write", &json!({"ask": [["form"]]})).await;
    let question = conn.message().await.unwrap();
    let intents = || world.gate.records().iter().filter(|record| record["kind"] == "intent" && record["rpc_id"] == "1").count();
    assert_eq!(intents(), 1);
    let other = Peer::start(modern).await;
    let file = world.gate.dir.path().join("portcullis.yaml");
    let config = std::fs::read_to_string(file).unwrap();
    world.gate.reload("portcullis.yaml", &config.replace(&world.gate.up.addr.to_string(), &other.addr.to_string()));
    let until = tokio::time::Instant::now() + crate::wire::SOON;
    while other.calls().is_empty() {
        assert!(tokio::time::Instant::now() < until, "the other upstream serves");
        world.gate.reach.send(&session.calling(9, "up__echo", &json!({"path": "/x"}))).await;
    }
    let served = other.calls().len();
    assert_eq!(session.answer(&question, &willing("elicitation/create", &question["params"])).await, 202);
    let last = conn.message().await.unwrap();
    assert!(said(&last).1 && !last.to_string().contains("Ada"), "{last}");
    assert_eq!(other.calls().len(), served, "the answer went to another upstream");
    assert!(other.seen().iter().all(|seen| !seen.whole().contains("Ada")));
    assert_eq!(intents(), 1, "what does not leave is not announced");
}

/// A session that a newer one ended can be answered by nobody: its questions do not wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_not_waited_for_once_their_session_was_ended() {
    let world = World::with(|files| {
        files.config = files.config.replace("call_timeout: 10s", "call_timeout: 10s, sessions_per_principal: 2");
    })
    .await;
    let session = world.session(&world.alice, "2025-11-25", &all()).await;
    let mut conn = session.call(1, "old__echo", &json!({"ask": [["form"]]})).await;
    conn.message().await.unwrap();
    for _ in 0..2 {
        world.session(&world.alice, "2025-11-25", &all()).await;
    }
    let answered = |seen: &Seen| seen.verb == "POST" && seen.rpc().is_empty() && seen.json()["error"].is_object();
    soon("the upstream learns it", || world.gate.old.seen().iter().any(answered)).await;
}
