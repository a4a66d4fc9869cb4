//! Streams of calls that are taken up again after their connection broke.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Notify;

use super::{get, streamed};
use crate::gate::{Files, Gate, soon};
use crate::peer::{Answer, legacy};
use crate::wire::Req;

const CALL: &str = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"old__echo","arguments":{}}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_resumed_where_its_connection_broke() {
    let slow = |files: &mut Files| {
        files.config = files.config.replace("timeout: 9s }", "timeout: 60s }").replace("call_timeout: 10s", "call_timeout: 60s");
    };
    let gate = Gate::with(slow).await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    for revision in ["2025-11-25", "2025-06-18"] {
        let (session, other) = (gate.session("/mcp", &alice, revision).await, gate.session("/mcp", &alice, revision).await);
        let bobs = gate.session("/mcp", &bob, revision).await;
        let told = Arc::new(Notify::new());
        let tell = told.clone();
        gate.old.behave(move |seen| match seen.rpc().as_str() {
            "tools/call" => Answer::Once(told.clone(), Box::new(legacy(seen))),
            _ => legacy(seen),
        });
        let mut conn = streamed(&gate, &gate.legacy("/mcp", &alice, revision, &session, CALL)).await;
        let resume = |token: &str, session: &str, id: &str| get(&gate, "/mcp", token, session).add("Last-Event-ID", id);
        if revision != "2025-11-25" {
            // Without a priming event there is nothing to resume from before the first event.
            tell.notify_one();
            let last = conn.event().await.unwrap();
            assert!(last.json()["result"]["content"].to_string().contains("echo") && last.id.is_some(), "{last:?}");
            assert_eq!(gate.reach.send(&resume(&alice, &session, &last.id.unwrap())).await.status, 405);
            continue;
        }
        let priming = conn.event().await.unwrap();
        assert_eq!(priming.data, "");
        let id = priming.id.unwrap();
        drop(conn);
        for (what, token, session) in [("another's", &bob, &bobs), ("another session's", &alice, &other)] {
            let answer = gate.reach.send(&resume(token, session, &id)).await;
            assert_eq!(answer.status, 405, "{what}: {}", answer.whole());
        }
        // The connection that comes last has the stream.
        let mut first = streamed(&gate, &resume(&alice, &session, &id)).await;
        let mut second = streamed(&gate, &resume(&alice, &session, &id)).await;
        assert_eq!(first.event().await, None);
        tell.notify_one();
        let last = second.event().await.unwrap();
        assert_eq!((&last.json()["id"], second.event().await), (&json!(5), None));
        assert!(last.json()["result"]["content"].to_string().contains("echo"), "{last:?}");
        assert_eq!(gate.old.calls().iter().filter(|seen| seen.body.contains("\"echo\"")).count(), 1, "called once");
        // What was sent can be had again; after the last event there is nothing.
        let mut again = streamed(&gate, &resume(&alice, &session, &id)).await;
        assert_eq!((again.event().await, again.event().await), (Some(last.clone()), None));
        let last = last.id.unwrap();
        let other_letter = if &id[5..6] == "A" { "B" } else { "A" };
        let unknown = format!("{}{other_letter}{}", &id[..5], &id[6..]);
        for (what, session, id) in
            [("all was read", &session, &last), ("another session", &other, &id), ("unknown", &session, &unknown)]
        {
            let answer = gate.reach.send(&resume(&alice, session, id)).await;
            assert_eq!(answer.status, 405, "{what}: {}", answer.whole());
        }
        let end = Req { verb: "DELETE".into(), ..get(&gate, "/mcp", &alice, &session) };
        assert_eq!(gate.reach.send(&end).await.status, 204);
        assert_eq!(gate.reach.send(&resume(&alice, &session, &id)).await.status, 404);
    }
    let of_calls = || gate.records().iter().filter(|r| r["method"] == "tools/call").count();
    soon("a record for each call", || of_calls() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_reads_is_finished_and_kept() {
    let gate = Gate::with(|files| {
        files.config = files.config.replace("timeout: 9s }", "timeout: 60s }").replace("call_timeout: 10s", "call_timeout: 60s");
    })
    .await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let told = Arc::new(Notify::new());
    let tell = told.clone();
    gate.old.behave(move |seen| match seen.rpc().as_str() {
        "tools/call" => Answer::Once(told.clone(), Box::new(legacy(seen))),
        _ => legacy(seen),
    });
    let mut conn = streamed(&gate, &gate.legacy("/mcp", &token, "2025-11-25", &session, CALL)).await;
    let id = conn.event().await.unwrap().id.unwrap();
    drop(conn);
    tell.notify_one();
    let done = || gate.records().into_iter().find(|r| r["method"] == "tools/call");
    soon("the call ends by itself", || done().is_some()).await;
    assert_eq!(done().unwrap()["outcome"]["status"], "completed");
    let mut conn = streamed(&gate, &get(&gate, "/mcp", &token, &session).add("Last-Event-ID", &id)).await;
    assert_eq!(conn.event().await.unwrap().json()["id"], 5);
    assert_eq!(conn.event().await, None);
}
