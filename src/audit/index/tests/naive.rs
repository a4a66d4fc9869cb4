//! What the index says, by reading everything.

use std::collections::BTreeMap;

use super::*;

/// Records, refused, failed, bytes, first and last time.
pub(super) type Sum = (u64, u64, u64, u64, String, String);
pub(super) type Sums = BTreeMap<Vec<String>, Sum>;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Naive {
    records: u64,
    unreadable: u64,
    kinds: BTreeMap<String, u64>,
    calls: Sums,
    denied: Sums,
    errors: Sums,
    pub(super) tools: Sums,
    policies: Sums,
    actions: Sums,
    approvals: BTreeMap<String, u64>,
    open: Vec<u64>,
}

/// The same answers by reading everything.
pub(super) fn naive(lines: &[String], since: &str, until: &str) -> Naive {
    let mut all = Naive::default();
    let mut ended = Vec::new();
    for line in lines {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            all.unreadable += 1;
            continue;
        };
        let text = |path: &str| record.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (time, kind) = (text("/time"), text("/kind"));
        ended.extend(record["intent"].as_u64());
        if time.as_str() < since || time.as_str() >= until {
            continue;
        }
        all.records += 1;
        *all.kinds.entry(kind.clone()).or_default() += 1;
        match kind.as_str() {
            "intent" => all.open.push(record["seq"].as_u64().unwrap()),
            "approval" => *all.approvals.entry(text("/approval/state")).or_default() += 1,
            _ => {}
        }
        if kind == "intent" || kind == "checkpoint" {
            continue;
        }
        let who = match text("/principal/sub") {
            sub if sub.is_empty() => sub,
            sub => format!("{}#{sub}", text("/principal/iss")),
        };
        let status = text("/outcome/status");
        let enforced = text("/decision/effect") == "deny" && text("/decision/mode") == "enforce";
        let denied = enforced || status == "denied" || status == "refused";
        let failed = status == "faulted" || status == "timed_out" || status == "panicked";
        let bytes = record.pointer("/outcome/bytes_out").and_then(Value::as_u64).unwrap_or(0);
        let add = |sums: &mut Sums, key: &[&str]| {
            let key = key.iter().map(|part| (*part).to_owned()).collect();
            let sum = sums.entry(key).or_insert((0, 0, 0, 0, time.clone(), time.clone()));
            *sum = (
                sum.0 + 1,
                sum.1 + u64::from(denied),
                sum.2 + u64::from(failed),
                sum.3 + bytes,
                sum.4.clone().min(time.clone()),
                sum.5.clone().max(time.clone()),
            );
        };
        let rules = record.pointer("/decision/rules").and_then(Value::as_array).cloned().unwrap_or_default();
        let rules = rules.iter().map(|rule| rule.as_str().unwrap()).collect::<Vec<_>>().join(",");
        if kind == "outcome" {
            add(&mut all.calls, &[&who, &text("/name")]);
            add(&mut all.tools, &[&text("/name")]);
        }
        if denied {
            add(&mut all.denied, &[&text("/outcome/reason"), &rules, &text("/name")]);
        }
        if record.pointer("/outcome/error_kind").is_some() {
            add(&mut all.errors, &[&text("/upstream"), &text("/outcome/error_kind")]);
        }
        if record.pointer("/decision/policy").is_some() {
            add(&mut all.policies, &[&text("/decision/policy")]);
        }
        if kind == "admin" || kind == "drift" {
            add(&mut all.actions, &[&kind, &text("/method"), &who]);
        }
    }
    all.open.retain(|seq| !ended.contains(seq));
    all
}

fn sums(counts: &[Count]) -> Sums {
    let one = |count: &Count| {
        let f = &count.figures;
        (count.keys.clone(), (f.records, f.denied, f.failed, f.bytes_out, f.first.clone(), f.last.clone()))
    };
    counts.iter().map(one).collect()
}

pub(super) fn found(report: &Report) -> Naive {
    let words = |counts: &BTreeMap<&'static str, u64>| counts.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect();
    Naive {
        records: report.records,
        unreadable: report.unreadable,
        kinds: words(&report.kinds),
        calls: sums(&report.calls),
        denied: sums(&report.denied),
        errors: sums(&report.errors),
        tools: sums(&report.heaviest),
        policies: sums(&report.policies),
        actions: sums(&report.actions),
        approvals: words(&report.approvals),
        open: report.oldest_open.iter().map(|open| open.seq).collect(),
    }
}
