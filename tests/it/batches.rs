//! A batch (2025-03-26) is several requests in one body, and each of them is a request like any other.

use serde_json::{Value, json};

use crate::gate::{Gate, soon};
use crate::peer::{Answer, Peer, Seen, legacy, modern};
use crate::wire::{Req, Resp};

const PING: &str = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;

fn call(id: u32, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#)
}

/// A gateway and a session that may send batches.
struct Bed {
    gate: Gate,
    token: String,
    session: String,
}

impl Bed {
    async fn start() -> Self {
        Self::of(Gate::start().await).await
    }

    async fn of(gate: Gate) -> Self {
        let token = gate.token("alice", &["eng"]);
        let session = gate.session("/mcp", &token, "2025-03-26").await;
        Self { gate, token, session }
    }

    fn message(&self, body: &str) -> Req {
        self.gate.post("/mcp", &self.token).add("Mcp-Session-Id", &self.session).body(body)
    }

    async fn send(&self, entries: &[&str]) -> Resp {
        self.gate.reach.send(&self.message(&format!("[{}]", entries.join(",")))).await
    }

    /// How the request `id` ended, once that is on record; it must be so once.
    async fn outcome(&self, id: &str) -> Value {
        let of = |records: Vec<Value>| -> Vec<Value> {
            records.into_iter().filter(|record| record["rpc_id"] == id && record["kind"] != "intent").collect()
        };
        soon(&format!("the record of {id}"), || !of(self.gate.records()).is_empty()).await;
        let found = of(self.gate.records());
        assert_eq!(found.len(), 1, "{id}: {found:#?}");
        found[0]["outcome"].clone()
    }
}

/// Calls of this upstream are never answered.
fn hangs(peer: &Peer, well: fn(&Seen) -> Answer) {
    peer.behave(move |seen| if seen.rpc() == "tools/call" { Answer::Hang } else { well(seen) });
}

fn ids(answer: &Resp) -> Vec<Value> {
    let answers = answer.json();
    answers.as_array().unwrap_or_else(|| panic!("{}", answer.whole())).iter().map(|answer| answer["id"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_entry_of_a_batch_is_a_request() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-03-26").await;
    gate.settled(2).await;
    let unknown = r#"{"jsonrpc":"2.0","id":104,"method":"tools/undo"}"#;
    let body =
        format!("[{},{},{NOTE},{},{unknown},{}]", call(101, "up__echo"), call(102, "up__hidden"), call(103, "old__write"), PING);
    let batch = |body: &str| gate.post("/mcp", &token).add("Mcp-Session-Id", &session).body(body);
    let requests = || gate.records().iter().filter(|r| r["kind"] != "intent").count();
    let before = requests();
    let answer = gate.reach.send(&batch(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
    let answers = answer.json();
    let of =
        |id: Value| answers.as_array().unwrap().iter().find(|a| a["id"] == id).unwrap_or_else(|| panic!("{id} in {answers}"));
    assert_eq!(answers.as_array().unwrap().len(), 5);
    assert!(of(json!(101))["result"]["content"].to_string().contains("echo"));
    assert_eq!(of(json!(102))["error"]["code"], -32602);
    assert!(of(json!(103))["result"]["content"].to_string().contains("write"));
    assert_eq!(of(json!(104))["error"]["code"], -32601);
    assert_eq!(of(json!("p"))["result"], json!({}));
    // Every entry has its record, and the write its intent.
    soon("records of the entries", || {
        let records = gate.records();
        let recorded = |id: &str| records.iter().any(|r| r["rpc_id"] == id && r["kind"] != "intent");
        ["101", "102", "103", "104", "p"].into_iter().all(recorded)
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(requests(), before + 6, "one record for each entry, none for the array around them");
    let records = gate.records();
    let outcome = |id: &str| {
        let found: Vec<&Value> = records.iter().filter(|r| r["rpc_id"] == id && r["kind"] != "intent").collect();
        assert_eq!(found.len(), 1, "{id}: {records:#?}");
        found[0].clone()
    };
    assert_eq!(outcome("101")["decision"]["effect"], "allow");
    assert_eq!(outcome("102")["decision"]["reason"], "not_visible");
    assert!(outcome("103")["intent"].is_u64());
    assert_eq!(outcome("104")["outcome"]["reason"], "bad_request");
    assert_eq!(outcome("p")["outcome"]["reason"], "allowed");

    let too_many = vec![PING; 33].join(",");
    let modern = String::from_utf8(gate.call("/mcp", &token, "up__echo", "{}").body).unwrap();
    let initialize = String::from_utf8(gate.initialize("/mcp", &token, "2025-03-26").body).unwrap();
    let seen = gate.seen();
    for (what, body) in [
        ("empty", "[]".to_owned()),
        ("too many", format!("[{too_many}]")),
        ("no message inside", format!("[{},7]", call(1, "up__echo"))),
        ("a batch inside", format!("[[{}]]", call(1, "up__echo"))),
        ("another revision's message inside", format!("[{},{modern}]", call(1, "up__echo"))),
        ("a handshake inside", format!("[{},{initialize}]", call(1, "up__echo"))),
        ("a broken message inside", format!("[{},{{\"jsonrpc\":\"2.0\"}}]", call(1, "up__echo"))),
    ] {
        let answer = gate.reach.send(&batch(&body)).await;
        assert_eq!((answer.status, gate.seen()), (400, seen), "{what}: {}", answer.whole());
    }
    for revision in ["2025-06-18", "2025-11-25"] {
        let session = gate.session("/mcp", &token, revision).await;
        let seen = gate.seen();
        for request in [
            gate.legacy("/mcp", &token, revision, &session, &format!("[{PING}]")),
            gate.legacy("/mcp", &token, revision, &session, &format!("[{}]", call(1, "up__echo")))
                .without("MCP-Protocol-Version"),
        ] {
            let answer = gate.reach.send(&request).await;
            assert_eq!((answer.status, answer.code(), gate.seen()), (400, -32600, seen), "{revision}: {}", answer.whole());
        }
    }
    let notes = gate.reach.send(&batch(&format!("[{NOTE},{NOTE}]"))).await;
    assert_eq!((notes.status, notes.body.len()), (202, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_is_cancelled_and_the_others_are_answered() {
    let bed = Bed::start().await;
    hangs(&bed.gate.up, modern);
    let mut conn = bed.gate.reach.open().await;
    conn.write(&bed.message(&format!("[{},{}]", call(101, "up__echo"), call(102, "old__echo"))).bytes()).await;
    soon("both began", || (bed.gate.up.calls().len(), bed.gate.old.calls().len()) == (1, 1)).await;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":101}}"#;
    assert_eq!(bed.gate.reach.send(&bed.message(note)).await.status, 202);
    let answer = conn.response().await;
    assert_eq!((answer.status, ids(&answer)), (200, vec![json!(102)]), "{}", answer.whole());
    let (cancelled, done) = (bed.outcome("101").await, bed.outcome("102").await);
    assert_eq!((&cancelled["status"], &cancelled["reason"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(done["status"], "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_session_ends_its_batches() {
    let bed = Bed::start().await;
    hangs(&bed.gate.up, modern);
    hangs(&bed.gate.old, legacy);
    let mut conn = bed.gate.reach.open().await;
    conn.write(&bed.message(&format!("[{},{}]", call(101, "up__echo"), call(102, "old__echo"))).bytes()).await;
    soon("both began", || (bed.gate.up.calls().len(), bed.gate.old.calls().len()) == (1, 1)).await;
    let end = Req { verb: "DELETE".into(), ..bed.message("") };
    assert_eq!(bed.gate.reach.send(&end).await.status, 204);
    let answer = conn.response().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""), "as of any request that was cancelled: {}", answer.whole());
    for id in ["101", "102"] {
        let ended = bed.outcome(id).await;
        assert_eq!((&ended["status"], &ended["http"]), (&json!("cancelled"), &json!(200)), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_requests_of_a_session_have_one_id() {
    let bed = Bed::start().await;
    hangs(&bed.gate.up, modern);
    let answer = bed.send(&[&call(7, "old__echo"), &call(7, "old__write"), &call(8, "old__echo")]).await;
    let answers = answer.json();
    assert_eq!(ids(&answer), [7, 7, 8]);
    assert!(answers[0]["result"].is_object() && answers[2]["result"].is_object(), "{answers}");
    assert_eq!(answers[1]["error"]["code"], -32600, "{answers}");
    assert_eq!(bed.gate.old.calls().len(), 2, "the second was not made");
    // Nor does an entry take the id of a request beside the batch, or that one the id of an entry.
    let mut conn = bed.gate.reach.open().await;
    conn.write(&bed.message(&format!("[{}]", call(9, "up__echo"))).bytes()).await;
    soon("it began", || bed.gate.up.calls().len() == 1).await;
    let beside = bed.gate.reach.send(&bed.message(&call(9, "old__echo"))).await;
    assert_eq!((beside.status, beside.code()), (400, -32600), "{}", beside.whole());
    let answers = bed.send(&[&call(9, "old__echo"), PING]).await.json();
    assert_eq!((&answers[0]["error"]["code"], &answers[1]["result"]), (&json!(-32600), &json!({})), "{answers}");
    assert_eq!(bed.gate.old.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_of_a_batch_has_a_place() {
    let gate = Gate::with(|files| files.config = files.config.replace("depth: 64", "depth: 64, in_flight: 3")).await;
    let bed = Bed::of(gate).await;
    let ping = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    let refused = bed.send(&[&ping(1), NOTE, &ping(2), &ping(3), &call(4, "old__echo")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.whole());
    assert!(bed.gate.old.calls().is_empty());
    for id in ["1", "2", "3", "4"] {
        let ended = bed.outcome(id).await;
        let said = (&ended["status"], &ended["reason"], &ended["http"]);
        assert_eq!(said, (&json!("refused"), &json!("overloaded"), &json!(503)), "{id}");
    }
    // Those that were taken for it are free again, before and after one that is served.
    for round in 0..3 {
        let answer = bed.send(&[&ping(10 + round), NOTE, &ping(20 + round), &ping(30 + round)]).await;
        assert_eq!((answer.status, ids(&answer).len()), (200, 3), "{}", answer.whole());
    }
    // A call beside it has one of them.
    hangs(&bed.gate.up, modern);
    let mut conn = bed.gate.reach.open().await;
    conn.write(&bed.message(&call(40, "up__echo")).bytes()).await;
    soon("it began", || bed.gate.up.calls().len() == 1).await;
    assert_eq!(bed.send(&[&ping(41), &ping(42), &ping(43)]).await.status, 503);
    assert_eq!(bed.send(&[&ping(51), &ping(52)]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_entries_have_the_status_of_the_array() {
    let bed = Bed::start().await;
    let statuses = |gate: &Gate| -> Vec<Value> {
        let notes = gate.records().into_iter().filter(|record| record["method"] == "notifications/progress");
        notes.map(|record| record["outcome"]["http"].clone()).collect()
    };
    let accepted = bed.send(&[NOTE, NOTE]).await;
    assert_eq!((accepted.status, accepted.body.len()), (202, 0));
    soon("records of notifications alone", || statuses(&bed.gate) == [202, 202]).await;
    assert_eq!(bed.send(&[NOTE, PING]).await.status, 200);
    soon("records of both", || statuses(&bed.gate) == [202, 202, 200]).await;
    assert_eq!(bed.outcome("p").await["http"], 200);
}
