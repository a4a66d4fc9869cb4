//! What clients fill in.

use super::fields::{FIELDS, Field, Good};
use super::strings::{Hostile, all};
use super::{Sent, Tail, assert_plain, every, is_due, is_handed_over, is_raw, program, send_all, shown, trace};
use crate::wire::Resp;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_a_client_in_json() {
    every_field("json").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_a_client_in_text() {
    every_field("text").await;
}

/// Strings in each field, where log lines are in `format`.
async fn every_field(format: &str) {
    let mut gate = program(format, |_| {}).await;
    let good = Good::of(&gate).await;
    let strings = all();
    let mut tail = Tail::of(&gate);
    // The opening of the session, and the note that it is open.
    let mut expected = 2;
    tail.settle(expected, "the session").await;
    let mut sent = 0;
    for (at, field) in FIELDS.iter().enumerate() {
        let mine = strings.iter().enumerate().filter(|(n, _)| is_due(format, at, *n));
        let mine: Vec<(usize, &Hostile)> = mine.collect();
        let requests: Vec<Sent> = mine
            .iter()
            .map(|(n, hostile)| {
                let trace = trace(at, *n);
                Sent { bytes: field.request(&good, hostile, &trace), trace: field.is_traced().then_some(trace) }
            })
            .collect();
        let answers = send_all(&gate, 4, &requests).await;
        let handed: Vec<bool> = answers.iter().map(is_handed_over).collect();
        for (((_, hostile), answer), handed) in mine.iter().zip(&answers).zip(&handed) {
            judge(field, hostile, answer, *handed);
        }
        sent += requests.len();
        expected += handed.iter().filter(|handed| **handed).count();
        tail.settle(expected, field.name).await;
        for (request, handed) in requests.iter().zip(&handed) {
            let records = request.trace.as_ref().map(|trace| tail.records.get(trace).map_or(0, Vec::len));
            let own = records.is_none_or(|records| records == usize::from(*handed));
            assert!(own, "{}: {records:?} records of {}", field.name, String::from_utf8_lossy(&request.bytes));
        }
        read_back(field, at, &mine, &tail);
    }
    assert!(sent >= FIELDS.len() * (strings.len() / every()), "{sent} of {}", strings.len());
    let token = super::token(&gate, "after", &["/mcp"]);
    let after = gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await;
    assert!(after.text().contains("did"), "{}", after.whole());
    tail.settle(expected + 1, "one more").await;
    shown::scraped(&gate).await;
    assert_eq!(gate.terminate().await, Some(0));
    shown::log(&gate, format);
    tail.read();
    shown::everything(&gate, format, tail.lines);
    if format == "text" {
        shown::replayed(&gate);
    }
}

/// What every answer keeps to.
fn judge(field: &Field, hostile: &Hostile, answer: &Resp, handed: bool) {
    let what = || format!("{} with {} {:?}", field.name, hostile.family, String::from_utf8_lossy(&hostile.bytes));
    assert!(handed || !field.hands_over(hostile), "{}: {}", what(), answer.whole());
    for (name, value) in &answer.headers {
        assert!(!value.contains(|c| is_raw(c) || c == '\u{fffd}'), "{}: {name}: {value:?}", what());
    }
    assert!(answer.status < 500, "{}: {}", what(), answer.whole());
    if answer.status >= 400 && !answer.body.is_empty() {
        assert_plain(&what(), &answer.body);
        assert!(answer.json().is_object(), "{}: {}", what(), answer.whole());
    }
}

/// The record says the string as it was sent, where it says it.
fn read_back(field: &Field, at: usize, strings: &[(usize, &Hostile)], tail: &Tail) {
    let Some(pointer) = field.recorded else { return };
    let said = strings.iter().filter(|(n, hostile)| {
        let Some(text) = &hostile.text else { return false };
        let records = tail.records.get(&trace(at, *n));
        let found = records.and_then(|records| records[0].pointer(pointer)?.as_str());
        found.is_some_and(|found| found == text || found.strip_suffix("...[cut]").is_some_and(|start| text.starts_with(start)))
    });
    let said = said.count();
    assert!(3 * said >= strings.len(), "{}: {said} of {}", field.name, strings.len());
}
