//! The real program, killed at any moment under load: the log opens, its chain holds, and nothing that anybody saw is missing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::log::Log;
use super::{number, numbered, write};
use crate::gate::{Gate, soon};
use crate::peer::modern;

fn kills() -> u64 {
    std::env::var("PORTCULLIS_AUDIT_KILLS").map_or(5, |kills| kills.parse().unwrap())
}

/// Calls at a time.
const CLIENTS: usize = 8;

#[expect(clippy::print_stdout, reason = "long runs say what they did")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let mut gate = Gate::program(|files| {
        numbered(files);
        files.config = files.config.replace("audit: {", "audit: { rotate: { size: 256KiB },");
    })
    .await;
    let dir = gate.dir.path().join("data/audit");
    let (next, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
    // What the upstream was asked to do.
    let done = Arc::new(Mutex::new(BTreeSet::new()));
    let doing = done.clone();
    gate.up.behave(move |seen| {
        doing.lock().extend(number(seen));
        modern(seen)
    });
    for round in 0..kills() {
        // Its audience is the address, which changes with every start.
        let token = gate.token("alice", &["eng"]);
        let before = next.load(Ordering::Relaxed);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let numbers: Vec<u64> = (0..500).map(|_| next.fetch_add(1, Ordering::Relaxed)).collect();
                let requests: Vec<(u64, Vec<u8>)> = numbers.iter().map(|n| (*n, write(&gate, &token, *n, 0).bytes())).collect();
                let (reach, acknowledged) = (gate.reach.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    let mut conn = reach.open().await;
                    for (n, request) in requests {
                        conn.write(&request).await;
                        let answer = conn.response().await;
                        if answer.status != 200 {
                            return;
                        }
                        if answer.text().contains("did") {
                            acknowledged.lock().insert(n);
                        }
                    }
                })
            })
            .collect();
        soon("something is under way", || done.lock().last().is_some_and(|n| *n >= before)).await;
        tokio::time::sleep(Duration::from_millis(dice() % 300)).await;
        gate = gate.again().await;
        for client in clients {
            client.abort();
            let _ = client.await;
        }
        let (log, acknowledged, done) = (Log::read(&dir), acknowledged.lock().clone(), done.lock().clone());
        let intents = log.intents();
        assert!(log.torn <= round as usize + 1, "round {round}: {} lines were put aside", log.torn);
        assert!(acknowledged.is_subset(&intents), "round {round}: lost {:?}", acknowledged.difference(&intents));
        assert!(done.is_subset(&intents), "round {round}: left without intent {:?}", done.difference(&intents));
        assert_eq!(gate.admin("/readyz").await.status, 200);
    }
    let (done, records) = (done.lock().len(), Log::read(&dir).records.len());
    println!("{} kills: {} acknowledged, {done} done, {records} records", kills(), acknowledged.lock().len());
}

fn dice() -> u64 {
    use std::hash::BuildHasher as _;
    std::collections::hash_map::RandomState::new().hash_one(0_u8)
}
