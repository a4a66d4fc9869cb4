//! A stop waits for calls under way, cuts what takes too long, and every call has its record.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use crate::gate::{Gate, Run, soon};
use crate::peer::{Answer, legacy};

const CALL: &str = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"write","arguments":{}}}"#;

/// A call of a legacy client that went away while `answer` was awaited.
async fn abandoned(gate: &Gate, answer: impl Fn() -> Answer + Send + Sync + 'static) {
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/legacy", &token, "2025-11-25").await;
    gate.old.behave(move |seen| if seen.rpc() == "tools/call" { answer() } else { legacy(seen) });
    let mut conn = gate.reach.open().await;
    conn.write(&gate.legacy("/legacy", &token, "2025-11-25", &session, CALL).bytes()).await;
    soon("the call", || gate.old.calls().len() == 1).await;
    drop(conn);
    // The gateway saw the end of the connection once the gauge is down to whoever asks.
    for _ in 0..500 {
        if gate.metric("portcullis_connections").await == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the connection stays");
}

fn outcome(records: &[Value]) -> &Value {
    let mut ends = records.iter().filter(|r| r["name"] == "old__write" && r["kind"] == "outcome");
    let end = ends.next().unwrap_or_else(|| panic!("no record: {records:#?}"));
    assert!(ends.next().is_none(), "{records:#?}");
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_nobody_waits_for_ends_by_its_own_timeout() {
    let mut gate = Gate::program(|files| files.config = files.config.replace("call_timeout: 10s", "call_timeout: 2s")).await;
    abandoned(&gate, || Answer::Hang).await;
    assert_eq!(gate.terminate().await, Some(0));
    let records = gate.records();
    assert_eq!(outcome(&records)["outcome"]["reason"], "upstream_timeout", "{records:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_drain_cannot_wait_for_is_cut_and_recorded() {
    let gate = Gate::with(|files| {
        files.config = files.config.replace("timeout: 9s", "timeout: 9m").replace("call_timeout: 10s", "call_timeout: 9m")
    })
    .await;
    let never = Arc::new(Notify::new());
    abandoned(&gate, move || Answer::Once(never.clone(), Box::new(Answer::Hang))).await;
    let Run::Here(running) = gate.run else { panic!("runs elsewhere") };
    running.stop_within(Duration::from_millis(50)).await;
    let text = std::fs::read_to_string(gate.dir.path().join("data/audit/audit.jsonl")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(outcome(&records)["outcome"]["reason"], "cancelled", "{records:#?}");
}
