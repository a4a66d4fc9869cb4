//! Checkpoints are kept elsewhere: signed, in order, only once they are on disk; a place that fails holds up nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::hmac;
use serde_json::Value;

use super::log::Log;
use super::{Came, came, numbered, watch, write};
use crate::gate::Gate;
use crate::peer::{Answer, Peer};

pub(super) const SECRET: &str = "whole-words-that-sign-deliveries";

pub(super) fn signed(signature: &str, body: &str) -> bool {
    let mut parts = signature.split(',').filter_map(|part| part.split_once('='));
    let (Some(("t", time)), Some(("v1", tag))) = (parts.next(), parts.next()) else { return false };
    let tag: Vec<u8> = (0..tag.len()).step_by(2).map(|at| u8::from_str_radix(&tag[at..at + 2], 16).unwrap()).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, format!("{time}.{body}").as_bytes(), &tag).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_kept_elsewhere_and_the_last_one_is_too() {
    let down = Arc::new(AtomicBool::new(true));
    let is_down = down.clone();
    let witness = Peer::start(move |_| {
        let status = if is_down.load(Ordering::Relaxed) { 503 } else { 204 };
        Answer::Json(status, "", String::new())
    })
    .await;
    let url = format!("http://{}/in", witness.addr);
    let mut gate = Gate::program(|files| {
        numbered(files);
        let export = format!("export: [{{ file: seen.jsonl }}, {{ webhook: {{ url: \"{url}\", secret: {SECRET} }} }}]");
        let checkpoints = format!("audit: {{ checkpoints: {{ every: 100ms, {export} }},");
        files.config = files.config.replace("audit: {", &checkpoints);
    })
    .await;
    let token = gate.token("alice", &["eng"]);
    // One place failing holds up no call, and shows.
    drop(watch(&gate, |_| true));
    for n in 0..5 {
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
    }
    for _ in 0..500 {
        if gate.metric("portcullis_audit_checkpoint_exports_failing").await == "1" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(gate.metric("portcullis_audit_checkpoint_exports_failing").await, "1");
    down.store(false, Ordering::Relaxed);
    for _ in 0..1_000 {
        if gate.metric("portcullis_audit_checkpoint_exports_failing").await == "0" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(gate.metric("portcullis_audit_checkpoint_exports_failing").await, "0");
    assert_eq!(came(&gate.reach.send(&write(&gate, &token, 9, 0)).await), Came::Done);
    assert_eq!(gate.terminate().await, Some(0));

    let log = Log::read(&gate.dir.path().join("data/audit"));
    let last = log.records.values().last().unwrap();
    assert_eq!(last["kind"], "checkpoint", "a clean end is signed");
    let text = std::fs::read_to_string(gate.dir.path().join("data/seen.jsonl")).unwrap();
    let kept: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(kept.len() > 1 && kept.windows(2).all(|pair| pair[0]["size"].as_u64() < pair[1]["size"].as_u64()), "{text}");
    for kept in &kept {
        let record = &log.records[&(kept["size"].as_u64().unwrap() + 1)];
        for member in ["log", "size", "root", "head", "key", "sig"] {
            assert_eq!(kept[member], record["checkpoint"][member]);
        }
        assert_eq!(kept["time"], record["time"]);
    }
    let size = |text: &str| serde_json::from_str::<Value>(text).unwrap()["size"].as_u64().unwrap();
    assert_eq!(size(text.lines().last().unwrap()) + 1, last["seq"].as_u64().unwrap());
    let posted = witness.seen();
    assert!(posted.iter().all(|seen| signed(seen.header("portcullis-signature").unwrap(), &seen.body)));
    assert_eq!(size(&posted.last().unwrap().body) + 1, last["seq"].as_u64().unwrap());
}
