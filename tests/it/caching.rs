//! Lists are kept as long as their upstream says and no longer, for those whom they were read for, and never against a word of the
//! upstream's or of policy's.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::gate::{Gate, soon};
use crate::peer::{Answer, Peer, Seen, legacy, modern};
use crate::wire::{Resp, SOON};

/// How often the list was asked for.
fn reads(peer: &Peer) -> usize {
    peer.seen().iter().filter(|seen| seen.rpc() == "tools/list").count()
}

/// A list with these hints, and everything else as usual.
fn hinted(seen: &Seen, hints: &Value) -> Answer {
    match modern(seen) {
        Answer::Json(status, head, body) if seen.rpc() == "tools/list" => {
            let mut body: Value = serde_json::from_str(&body).unwrap();
            for (key, value) in hints.as_object().unwrap() {
                body["result"][key] = value.clone();
            }
            Answer::Json(status, head, body.to_string())
        }
        other => other,
    }
}

async fn list(gate: &Gate, route: &str, token: &str) -> Resp {
    gate.reach.send(&gate.modern(route, token, "tools/list", "")).await
}

fn count(list: &Resp) -> usize {
    list.json()["result"]["tools"].as_array().unwrap_or_else(|| panic!("{}", list.whole())).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_are_kept_to_and_bounded() {
    for (hints, reads_twice, ttl_max) in [
        (json!({"ttlMs": 60_000, "cacheScope": "public"}), 1, 60_000),
        (json!({"ttlMs": 86_400_000, "cacheScope": "private"}), 1, 300_000),
        (json!({"ttlMs": 0, "cacheScope": "public"}), 2, 0),
        (json!({"ttlMs": -1}), 2, 0),
        (json!({"ttlMs": "60000"}), 2, 0),
        (json!({}), 2, 0),
    ] {
        let gate = Gate::start().await;
        let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
        let sent = hints.clone();
        gate.up.behave(move |seen| hinted(seen, &sent));
        for _ in 0..2 {
            let listed = list(&gate, "/bare", &alice).await;
            let result = &listed.json()["result"];
            let ttl = result["ttlMs"].as_u64().unwrap();
            assert!(ttl <= ttl_max && (ttl > 0) == (ttl_max > 0), "{hints}: {ttl}");
            assert_eq!(result["cacheScope"], "private", "what was filtered is nobody else's: {hints}");
        }
        assert_eq!(reads(&gate.up), reads_twice, "{hints}");
        // What was read with one credential's session is shown to its owner alone, whatever the upstream calls it.
        list(&gate, "/bare", &bob).await;
        assert_eq!(reads(&gate.up), reads_twice + 1, "{hints}");
        // A merged list holds as long as its shortest part: the other upstream says nothing.
        assert_eq!(list(&gate, "/mcp", &alice).await.json()["result"]["ttlMs"], 0, "{hints}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_read_serves_all_who_wait() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let told = Arc::new(Notify::new());
    let wait = told.clone();
    gate.up.behave(move |seen| match modern(seen) {
        answer if seen.rpc() == "tools/list" => Answer::Once(wait.clone(), Box::new(answer)),
        answer => answer,
    });
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let (reach, request) = (gate.reach.clone(), gate.modern("/bare", &token, "tools/list", ""));
            tokio::spawn(async move { reach.send(&request).await })
        })
        .collect();
    soon("the read", || reads(&gate.up) > 0).await;
    while gate.metric("portcullis_in_flight").await != "8" {
        tokio::task::yield_now().await;
    }
    assert_eq!(reads(&gate.up), 1);
    // Whoever is in flight and does not wait yet reads anew, and is not held.
    gate.up.behave(modern);
    told.notify_one();
    for waiting in waiting {
        assert!(count(&waiting.await.unwrap()) > 0);
    }
    assert!(reads(&gate.up) <= 4, "{} reads for eight", reads(&gate.up));
}

fn refusing(status: u16) -> impl Fn(&Seen) -> Answer {
    move |seen| if seen.rpc() == "tools/list" { Answer::Json(status, "", String::new()) } else { modern(seen) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_known_list_stands_in_for_an_upstream_but_not_against_policy() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let known = count(&list(&gate, "/bare", &token).await);
    assert!(known > 0);
    gate.up.behave(refusing(500));
    let stale = list(&gate, "/bare", &token).await;
    assert_eq!((count(&stale), &stale.json()["result"]["ttlMs"]), (known, &json!(0)), "it holds no longer than it takes to say");
    assert_eq!(gate.metric("portcullis_list_stale{upstream=\"up\"}").await, "1");
    // The same person, who may see one tool now, and then none.
    assert_eq!(count(&list(&gate, "/bare", &gate.token("alice", &["ops"])).await), 1);
    let none = list(&gate, "/bare", &gate.token("alice", &[])).await;
    assert_eq!(count(&none), 0, "{}", none.whole());
    gate.reload("policy.yaml", "version: 1\nrules:\n  - { id: none, effect: deny, tools: [\"*\"] }\n");
    let until = tokio::time::Instant::now() + SOON;
    while count(&list(&gate, "/bare", &token).await) > 0 {
        assert!(tokio::time::Instant::now() < until, "policy does not reach what is known");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stands_in_for_an_upstream_that_refuses_the_caller() {
    for status in [401, 403] {
        let gate = Gate::start().await;
        let token = gate.token("alice", &["eng"]);
        assert!(count(&list(&gate, "/bare", &token).await) > 0);
        gate.up.behave(refusing(status));
        let refused = list(&gate, "/bare", &token).await;
        assert!(refused.json()["error"].is_object(), "{status}: {}", refused.whole());
    }
}

/// Answers calls of `old` with a stream on which it says first that its tools changed.
fn changing(seen: &Seen) -> Answer {
    match legacy(seen) {
        Answer::Json(200, _, body) if seen.rpc() == "tools/call" => {
            let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            Answer::Raw(format!("{head}data: {changed}\n\ndata: {body}\n\n").into_bytes())
        }
        other => other,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_upstream_called_out_of_date_is_shown_to_nobody() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    assert!(count(&list(&gate, "/legacy", &token).await) > 0);
    gate.old.behave(changing);
    let before = reads(&gate.old);
    assert!(gate.reach.send(&gate.call("/legacy", &token, "echo", "{}")).await.text().contains("did"));
    assert_eq!(reads(&gate.old), before, "the call itself needs no list");
    gate.old.behave(|seen| if seen.rpc() == "tools/list" { Answer::Json(500, "", String::new()) } else { legacy(seen) });
    let failed = list(&gate, "/legacy", &token).await;
    assert!(failed.json()["error"].is_object(), "{}", failed.whole());
    gate.old.behave(legacy);
    assert!(count(&list(&gate, "/legacy", &token).await) > 0);
}
