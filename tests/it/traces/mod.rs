//! Traces at a receiver: whose trace a request belongs to, that nothing hostile changes what is told, and that no secret is.

mod state;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::TcpListener;

use crate::gate::{Files, Gate, META, soon};
use crate::peer::Answer;
use crate::wire::Req;

const OFFERED: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER: &str = "1bf7651916cd43dd8448eb211c80319c";

fn traceparent(trace: &str) -> String {
    format!("00-{trace}-b7ad6b7169203331-01")
}

/// A receiver of OTLP over HTTP.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(String, Bytes)>>>,
    headers: Arc<Mutex<Vec<String>>>,
    refuses: Arc<AtomicBool>,
}

impl Receiver {
    async fn start() -> (Self, SocketAddr) {
        let (receiver, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (serving, addr) = (receiver.clone(), listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                let service = service_fn(move |request| serving.clone().take(request));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (receiver, addr)
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        self.headers.lock().push(format!("{:?}", parts.headers));
        self.got.lock().push((parts.uri.path().to_owned(), body));
        // partial_success { rejected_spans, or rejected_data_points: 3 }
        let answer = if self.refuses.load(Ordering::Relaxed) { &b"\x0a\x02\x08\x03"[..] } else { b"" };
        Ok(Response::new(answer.into()))
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock();
        let traces = got.iter().filter(|(path, _)| path == "/v1/traces");
        let requests = traces.map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        let scopes = requests.flat_map(|request| request.resource_spans).flat_map(|spans| spans.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// Spans of requests by the id of their record.
    async fn served(&self, ids: &[String]) -> BTreeMap<String, Span> {
        soon("the traces", || ids.iter().all(|id| self.roots().contains_key(id))).await;
        self.roots()
    }

    fn roots(&self) -> BTreeMap<String, Span> {
        let id = |span: &Span| attribute(span, "portcullis.record");
        self.spans().into_iter().filter_map(|span| Some((id(&span)?, span))).collect()
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|pair| pair.key == key)?.value.clone()?.value?;
    Some(match value {
        opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(text) => text,
        other => format!("{other:?}"),
    })
}

fn telemetry(files: &mut Files, addr: SocketAddr, more: &str) {
    files.config.push_str(&format!(
        "telemetry: {{ log: debug, otlp: {{ endpoint: \"http://{addr}/\", metrics_every: 1s, headers: {{ x-key: receiver-canary }} }}, {more} }}\n"
    ));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends, and gives the records' ids and trace ids in order.
async fn sent(gate: &Gate, requests: &[Req]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (at, request) in requests.iter().enumerate() {
        gate.reach.send(request).await;
        let records = gate.settled(at + 1).await;
        let last = records.iter().rev().find(|record| record["kind"] != "intent").unwrap();
        all.push((last["id"].as_str().unwrap().to_owned(), last["trace_id"].as_str().unwrap().to_owned()));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_is_gone_on_with_where_whoever_names_it_is_trusted_and_linked_to_elsewhere() {
    for (trust, authenticated, stranger) in
        [("trust_trace_context: none", false, false), ("trace_slow: 5s", true, false), ("trust_trace_context: all", true, true)]
    {
        let (receiver, addr) = Receiver::start().await;
        let gate = Gate::with(|files| telemetry(files, addr, &format!("trace_sample: 1, {trust}"))).await;
        let token = gate.token("alice", &["eng"]);
        let call = gate.call("/mcp", &token, "up__echo", "{}").add("traceparent", &traceparent(OFFERED));
        let meta = format!(r#"{META},"traceparent":"{}""#, traceparent(OTHER));
        let both = call.clone().edit(META, &meta);
        let requests = [call.clone(), call.without("Authorization"), both];
        let recorded = sent(&gate, &requests).await;
        let ids: Vec<String> = recorded.iter().map(|(id, _)| id.clone()).collect();
        let served = receiver.served(&ids).await;
        let expected = [(authenticated, OFFERED), (stranger, OFFERED), (authenticated, OTHER)];
        for (at, (goes_on, trace)) in expected.into_iter().enumerate() {
            let (id, recorded) = &recorded[at];
            let span = &served[id];
            assert_eq!(hex(&span.trace_id), *recorded, "{trust} {at}");
            assert_eq!(recorded == trace, goes_on, "{trust} {at}");
            let links: Vec<String> = span.links.iter().map(|link| hex(&link.trace_id)).collect();
            let linked = match (at, goes_on) {
                (2, true) => vec![OFFERED],
                (2, false) => vec![OFFERED, OTHER],
                (_, true) => vec![],
                (_, false) => vec![OFFERED],
            };
            assert_eq!(links, linked, "{trust} {at}");
            assert_eq!(span.parent_span_id.is_empty(), !goes_on, "{trust} {at}");
        }
        gate.running();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_contexts_change_nothing() {
    let (receiver, addr) = Receiver::start().await;
    let gate = Gate::with(|files| telemetry(files, addr, "trace_sample: 1, trust_trace_context: all")).await;
    let token = gate.token("alice", &["eng"]);
    let long = "0".repeat(4_000);
    let hostile = [
        "",
        "00",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        "00-../../../../etc/passwd0000000000-b7ad6b7169203331-01",
        "${jndi:ldap://127.0.0.1/a}",
        "' OR 1=1 --",
        &long,
    ];
    let good = gate.call("/mcp", &token, "up__echo", "{}");
    let mut requests: Vec<Req> = hostile.iter().map(|text| good.clone().add("traceparent", text)).collect();
    requests.push(good.clone().add("traceparent", &traceparent(OFFERED)).add("traceparent", &traceparent(OTHER)));
    for text in hostile.iter().filter(|text| text.len() < 200) {
        requests.push(good.clone().edit(META, &format!(r#"{META},"traceparent":"{text}""#)));
    }
    let recorded = sent(&gate, &requests).await;
    let ids: Vec<String> = recorded.iter().map(|(id, _)| id.clone()).collect();
    let served = receiver.served(&ids).await;
    for (id, trace) in &recorded {
        let span = &served[id];
        assert!(trace.len() == 32 && trace != OFFERED && trace != OTHER, "{trace}");
        assert_eq!(hex(&span.trace_id), *trace);
        assert!(span.parent_span_id.is_empty() && span.links.is_empty());
        assert_eq!(attribute(span, "error.type"), None, "the call is served");
    }
    let traces: std::collections::BTreeSet<&String> = recorded.iter().map(|(_, trace)| trace).collect();
    assert_eq!(traces.len(), recorded.len(), "each is a trace of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_and_nothing_that_a_client_made_up_is_told() {
    const CANARIES: [&str; 9] = [
        "argument-canary",
        "name-canary",
        "method-canary",
        "uri-canary",
        "upstream-credential-canary",
        "answer-canary",
        "error-canary",
        "query-canary",
        "progress-canary",
    ];
    let (receiver, addr) = Receiver::start().await;
    let gate = Gate::with(|files| telemetry(files, addr, "trace_sample: 1")).await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let echo = gate.call("/mcp", &token, "up__echo", r#"{"text":"argument-canary"}"#);
    let requests = vec![
        echo.clone(),
        gate.call("/mcp", &token, "up__write", r#"{"text":"argument-canary"}"#),
        gate.call("/mcp", &token, "up__echo", r#"{"path":"/etc/argument-canary"}"#),
        gate.call("/mcp", &token, "up__name-canary", "{}"),
        gate.modern("/mcp", &token, "tools/method-canary", ""),
        gate.modern("/mcp", &token, "resources/read", r#""uri":"up+file:///srv/public/uri-canary","#)
            .add("Mcp-Name", "up+file:///srv/public/uri-canary"),
        gate.call("/nowhere-query-canary", &token, "echo", "{}"),
        echo.clone().edit(META, &format!(r#"{META},"progressToken":"progress-canary""#)),
        echo.clone().set("Authorization", "Bearer argument-canary"),
        gate.legacy("/mcp", &token, "2025-11-25", &session, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
    ];
    let mut recorded: Vec<String> = Vec::new();
    for request in &requests {
        gate.reach.send(request).await;
    }
    gate.up.behave(|_| Answer::Json(500, "X-Canary: error-canary", r#"{"answer-canary":"answer-canary"}"#.to_owned()));
    gate.reach.send(&echo).await;
    let records = gate.settled(requests.len() + 3).await;
    recorded.extend(records.iter().filter(|r| r["kind"] != "intent").map(|r| r["id"].as_str().unwrap().to_owned()));
    receiver.served(&recorded).await;
    soon("metrics", || receiver.got.lock().iter().any(|(path, _)| path == "/v1/metrics")).await;
    let got = receiver.got.lock().clone();
    for (path, body) in &got {
        let text = String::from_utf8_lossy(body);
        for secret in CANARIES.iter().chain(&[token.as_str(), session.as_str(), "receiver-canary"]) {
            assert!(!text.contains(secret), "{secret} in {path}");
        }
    }
    assert!(receiver.headers.lock().iter().all(|headers| headers.contains("x-key")), "what the config says is sent along");
    let unknown = receiver.spans().into_iter().find(|span| span.name == "unknown").unwrap();
    assert_eq!(attribute(&unknown, "mcp.method.name").as_deref(), Some("unknown"));
    let failed =
        receiver.spans().into_iter().filter(|span| span.kind == 3 && span.status.as_ref().is_some_and(|status| status.code == 2));
    assert_eq!(failed.count(), 1, "the call that failed is known as such");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_the_log_about_a_request_have_its_trace() {
    let gate = Gate::program(|files| files.config.push_str("telemetry: { log: debug }\n")).await;
    let token = gate.token("alice", &["eng"]);
    gate.up.behave(|_| Answer::Json(500, "X-Bad: x", "{}".to_owned()));
    gate.old.behave(|_| Answer::Json(500, "X-Bad: x", "{}".to_owned()));
    let recorded = sent(&gate, &[gate.call("/mcp", &token, "up__echo", "{}").add("traceparent", &traceparent(OFFERED))]).await;
    assert_eq!(recorded[0].1, OFFERED, "without a receiver too");
    let (id, log) = (&recorded[0].0, gate.log());
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(id.as_str())).collect();
    assert!(!lines.is_empty(), "{log}");
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["trace_id"], OFFERED, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_takes_and_refuses_is_counted() {
    let (receiver, addr) = Receiver::start().await;
    receiver.refuses.store(true, Ordering::Relaxed);
    let gate = Gate::program(|files| telemetry(files, addr, "trace_sample: 1")).await;
    let token = gate.token("alice", &["eng"]);
    sent(&gate, &[gate.call("/mcp", &token, "up__echo", "{}")]).await;
    for signal in ["traces", "metrics"] {
        let name = format!("portcullis_telemetry_dropped_total{{signal=\"{signal}\",reason=\"rejected\"}} ");
        let mut counted = None;
        for _ in 0..500 {
            let text = gate.admin("/metrics").await.text();
            counted = text.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned);
            if counted.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let counted: u64 = counted.unwrap_or_else(|| panic!("{name}")).parse().unwrap();
        assert!(counted > 0 && counted.is_multiple_of(3), "{signal}: {counted}");
    }
    assert_eq!(gate.log().matches("refuses some of what it is sent").count(), 2, "once a signal: {}", gate.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_do_not_displace_the_traces_of_others() {
    let (receiver, addr) = Receiver::start().await;
    let gate = Gate::with(|files| telemetry(files, addr, "trace_sample: 0")).await;
    let token = gate.token("alice", &["eng"]);
    let denied = gate.call("/mcp", &token, "up__hidden", "{}");
    let stranger = denied.clone().without("Authorization");
    let mut strangers = 0;
    while !gate.admin("/metrics").await.text().contains("{signal=\"traces\",reason=\"anonymous\"}") {
        for _ in 0..50 {
            assert_eq!(gate.reach.send(&stranger).await.status, 401);
        }
        strangers += 50;
        assert!(strangers < 5_000, "all are kept");
    }
    gate.reach.send(&denied).await;
    let records = gate.settled(strangers + 1).await;
    receiver.served(&[records.last().unwrap()["id"].as_str().unwrap().to_owned()]).await;
}
