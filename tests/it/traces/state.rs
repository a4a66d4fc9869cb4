//! `tracestate` goes with a trace that is trusted, and `baggage` with none.

use opentelemetry_proto::tonic::trace::v1::Span;

use super::{OFFERED, OTHER, Receiver, sent, telemetry, traceparent};
use crate::gate::{Gate, META};
use crate::wire::Req;

/// `traceparent` and `tracestate` that upstreams saw of the last call, and whether it had any `baggage`.
fn passed_on(gate: &Gate) -> (String, Option<String>, bool) {
    let (calls, old) = (gate.up.calls(), gate.old.calls());
    let seen = calls.last().or(old.last()).unwrap();
    assert!(seen.header("tracestate").is_none() && seen.header("traceparent").is_none(), "no header but the protocol's own");
    let body = seen.json();
    let meta = &body["params"]["_meta"];
    let text = |key: &str| meta[key].as_str().map(str::to_owned);
    (text("traceparent").unwrap(), text("tracestate"), seen.whole().to_lowercase().contains("baggage"))
}

/// A call with these headers, and these members more in `_meta`.
fn with_context(call: &Req, headers: &[(&str, &str)], meta: &[(&str, &str)]) -> Req {
    let call = headers.iter().fold(call.clone(), |call, (name, value)| call.add(name, value));
    let more: String = meta.iter().map(|(key, value)| format!(r#","{key}":{value}"#)).collect();
    call.edit(META, &format!("{META}{more}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracestate_goes_with_a_context_that_is_trusted_and_baggage_nowhere() {
    let (receiver, addr) = Receiver::start().await;
    let gate = Gate::with(|files| telemetry(files, addr, "trace_sample: 1")).await;
    let token = gate.token("alice", &["eng"]);
    let plain = gate.call("/mcp", &token, "up__echo", "{}");
    let (header, meta) = (traceparent(OFFERED), format!(r#""{}""#, traceparent(OTHER)));
    let same = format!(r#""{header}""#);
    let many = |count: usize| (0..count).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join(",");
    let (most, too_many) = (many(32), many(33));
    let long = format!("a={0},b={0}", "x".repeat(255));
    let long_text = format!(r#""{long}""#);
    type Pairs<'a> = Vec<(&'a str, &'a str)>;
    let table: Vec<(&str, Pairs<'_>, Pairs<'_>, Option<&str>)> = vec![
        ("header", vec![("traceparent", &header), ("tracestate", "rojo=1, congo=t61")], vec![], Some("rojo=1,congo=t61")),
        ("two headers", vec![("traceparent", &header), ("tracestate", "a=1"), ("tracestate", "b=2")], vec![], Some("a=1,b=2")),
        ("_meta", vec![], vec![("traceparent", &meta), ("tracestate", r#""v@s=x y""#)], Some("v@s=x y")),
        ("32 members", vec![("traceparent", &header), ("tracestate", &most)], vec![], Some(&most)),
        ("_meta counts", vec![("traceparent", &header), ("tracestate", "h=1")], vec![("traceparent", &meta)], None),
        (
            "each its own",
            vec![("traceparent", &header), ("tracestate", "h=1")],
            vec![("traceparent", &meta), ("tracestate", r#""m=1""#)],
            Some("m=1"),
        ),
        (
            "one place named twice",
            vec![("traceparent", &header), ("tracestate", "h=1")],
            vec![("traceparent", &same)],
            Some("h=1"),
        ),
        ("none without traceparent", vec![("tracestate", "a=1")], vec![("tracestate", r#""a=1""#)], None),
        ("traceparent is bad", vec![("traceparent", "00-0-0-00"), ("tracestate", "a=1")], vec![], None),
        ("33 members", vec![("traceparent", &header), ("tracestate", &too_many)], vec![], None),
        ("too long", vec![("traceparent", &header), ("tracestate", &long)], vec![], None),
        ("too long in _meta", vec![], vec![("traceparent", &meta), ("tracestate", &long_text)], None),
        ("a key twice", vec![("traceparent", &header), ("tracestate", "a=1"), ("tracestate", "a=2")], vec![], None),
        ("upper case", vec![("traceparent", &header), ("tracestate", "A=1")], vec![], None),
        ("no value", vec![("traceparent", &header), ("tracestate", "a=1,b")], vec![], None),
        ("control characters", vec![], vec![("traceparent", &meta), ("tracestate", r#""a=1\r\nx: y""#)], None),
        ("not ASCII", vec![], vec![("traceparent", &meta), ("tracestate", r#""a=\u00e9""#)], None),
        ("no text", vec![], vec![("traceparent", &meta), ("tracestate", r#"{"a":1}"#)], None),
    ];
    let mut recorded = Vec::new();
    for (at, (what, headers, meta, expected)) in table.iter().enumerate() {
        let mut headers = headers.clone();
        headers.push(("baggage", "user=baggage-canary"));
        let mut meta = meta.clone();
        meta.push(("baggage", r#""user=baggage-canary""#));
        let answer = gate.reach.send(&with_context(&plain, &headers, &meta)).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let records = gate.settled(at + 1).await;
        let last = records.iter().rev().find(|record| record["kind"] != "intent").unwrap();
        let (parent, state, baggage) = passed_on(&gate);
        assert_eq!((state.as_deref(), baggage), (*expected, false), "{what}");
        assert_eq!(parent[3..35], *last["trace_id"].as_str().unwrap(), "{what}: traceparent is as good as without");
        recorded.push(last["id"].as_str().unwrap().to_owned());
    }
    let served = receiver.served(&recorded).await;
    for ((what, .., expected), id) in table.iter().zip(&recorded) {
        let root = &served[id];
        let spans: Vec<Span> = receiver.spans().into_iter().filter(|span| span.parent_span_id == root.span_id).collect();
        assert!(spans.len() > 5, "{what}");
        for span in spans.iter().chain([root]) {
            assert_eq!(span.trace_state, expected.unwrap_or_default(), "{what}: {}", span.name);
        }
        assert!(root.links.iter().all(|link| link.trace_state.is_empty()), "{what}");
    }
    let got = receiver.got.lock().clone();
    assert!(got.iter().all(|(_, body)| !String::from_utf8_lossy(body).contains("baggage")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracestate_of_who_is_not_trusted_goes_nowhere() {
    let (receiver, addr) = Receiver::start().await;
    let gate = Gate::with(|files| telemetry(files, addr, "trace_sample: 1, trust_trace_context: none")).await;
    let token = gate.token("alice", &["eng"]);
    let (header, meta) = (traceparent(OFFERED), format!(r#""{}""#, traceparent(OTHER)));
    let call = with_context(
        &gate.call("/mcp", &token, "up__echo", "{}"),
        &[("traceparent", &header), ("tracestate", "canary=header")],
        &[("traceparent", &meta), ("tracestate", r#""canary=meta""#)],
    );
    let recorded = sent(&gate, &[call]).await;
    let (parent, state, _) = passed_on(&gate);
    assert_eq!((state, &parent[3..35]), (None, recorded[0].1.as_str()));
    let served = receiver.served(&[recorded[0].0.clone()]).await;
    assert_eq!(served[&recorded[0].0].links.len(), 2, "both are linked to");
    let got = receiver.got.lock().clone();
    assert!(got.iter().all(|(_, body)| !String::from_utf8_lossy(body).contains("canary=")));
    gate.running();
}
