#![expect(clippy::disallowed_methods, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::telemetry::names;
use crate::telemetry::spans::{Ending, Spans, Stage};
use crate::telemetry::trace::{Parent, TraceContext};
use crate::vocab::limits::{TRACE_CALLS_MAX, TRACE_MARKS_MAX, TRACE_STRANGERS_PER_S_MAX};

/// A receiver that says `answers` in turn, or never answers.
#[derive(Clone, Debug, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Vec<SpanData>>>>,
    came: Arc<Notify>,
    hangs: bool,
    fails: bool,
}

impl SpanExporter for Receiver {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.got.lock().push(batch);
        self.came.notify_one();
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if self.fails { Err(OTelSdkError::InternalFailure("refused".into())) } else { Ok(()) }
    }
}

fn tracer(parts_per_million: u32) -> (Arc<Tracer>, mpsc::Receiver<Box<Finished>>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    let (tracer, finished) = Tracer::new(Sampler::new(parts_per_million, Duration::from_secs(2)), metrics.clone());
    (tracer, finished, metrics)
}

fn begin(tracer: &Arc<Tracer>, started: Instant) -> Box<Spans> {
    let mut trace = TraceContext::new();
    trace.sampled = tracer.sampler().head(&trace);
    Spans::begin(tracer.clone(), trace, started, 1_800_000_000_000)
}

fn lost(metrics: &Metrics, reason: &str) -> u64 {
    let start = format!("portcullis_telemetry_dropped_total{{signal=\"traces\",reason=\"{reason}\"}} ");
    let text = metrics.encode();
    text.lines().find_map(|line| line.strip_prefix(&start)).map_or(0, |count| count.parse().unwrap())
}

#[test]
fn refusals_and_slow_requests_are_kept_at_no_ratio_and_nothing_else() {
    let now = Instant::now();
    let long_ago = now.checked_sub(Duration::from_secs(3)).unwrap();
    for (parts, failed, started, kept) in
        [(0, false, now, false), (0, true, now, true), (0, false, long_ago, true), (1_000_000, false, now, true)]
    {
        let (tracer, mut finished, _) = tracer(parts);
        begin(&tracer, started).end(failed, true, Ending::default);
        assert_eq!(finished.try_recv().is_ok(), kept, "{parts} {failed}");
    }
}

#[test]
fn what_has_no_room_is_counted_and_waits_for_nobody() {
    let (tracer, finished, metrics) = tracer(1_000_000);
    for _ in 0..TRACE_QUEUE_REQUESTS_MAX + 7 {
        begin(&tracer, Instant::now()).end(false, true, Ending::default);
    }
    assert_eq!(lost(&metrics, "queue_full"), 7);
    assert_eq!(finished.len(), TRACE_QUEUE_REQUESTS_MAX);
}

#[test]
fn strangers_leave_room_for_everybody_else() {
    let (tracer, mut finished, metrics) = tracer(1_000_000);
    let mut seconds = 0;
    let begun = Instant::now();
    for _ in 0..5_000 {
        begin(&tracer, Instant::now()).end(true, false, Ending::default);
        seconds = begun.elapsed().as_secs();
    }
    begin(&tracer, Instant::now()).end(true, true, || Ending { method: "tools/call", ..Ending::default() });
    let kept: Vec<_> = std::iter::from_fn(|| finished.try_recv().ok()).collect();
    assert_eq!(kept.last().unwrap().ending.method, "tools/call");
    let strangers = kept.len() as u64 - 1;
    assert!((1..=u64::from(TRACE_STRANGERS_PER_S_MAX) * (seconds + 2)).contains(&strangers), "{strangers}");
    assert_eq!((lost(&metrics, "anonymous"), lost(&metrics, "queue_full")), (5_000 - strangers, 0));
}

#[test]
fn long_requests_have_their_length() {
    let (tracer, mut finished, _) = tracer(1_000_000);
    let two_hours = Duration::from_secs(7_200);
    let mut spans = begin(&tracer, Instant::now().checked_sub(two_hours).unwrap());
    spans.mark(Stage::Reply);
    spans.end(false, true, Ending::default);
    let made = data::spans(&finished.try_recv().unwrap());
    assert!(made[0].end_time.duration_since(made[0].start_time).unwrap() >= two_hours);
    assert!(made[2].start_time.duration_since(made[0].start_time).unwrap() >= two_hours, "{}", made[2].name);
}

#[test]
fn marks_calls_and_links_are_bounded() {
    let (tracer, mut finished, _) = tracer(1_000_000);
    let mut spans = begin(&tracer, Instant::now());
    for n in 0..1_000_u32 {
        spans.call(&"files".into());
        spans.called("");
        spans.link(Parent { trace_id: [1; 16], span_id: u64::from(n + 1).to_be_bytes(), sampled: false, state: None });
    }
    spans.end(false, true, Ending::default);
    let made = data::spans(&finished.try_recv().unwrap());
    assert!(made.len() <= 1 + TRACE_MARKS_MAX + TRACE_CALLS_MAX, "{}", made.len());
    assert_eq!(made[0].links.links.len(), 2);
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
}

#[test]
fn spans_have_the_names_of_the_conventions_and_one_root() {
    let (tracer, mut finished, _) = tracer(0);
    let mut spans = begin(&tracer, Instant::now());
    let parent = Parent { trace_id: [3; 16], span_id: [4; 8], sampled: false, state: None };
    let mut trace = TraceContext::new();
    trace.continues(parent);
    spans.follow(trace);
    spans.speak("2026-07-28");
    for stage in [Stage::Authenticate, Stage::Decode, Stage::Route, Stage::Authorize, Stage::Discharge] {
        spans.mark(stage);
    }
    spans.plan([9; 8]);
    spans.call(&"files".into());
    spans.called("unreachable");
    spans.mark(Stage::Reply);
    let ending = Ending {
        method: "tools/call",
        tool: Some("files__read".into()),
        request_id: Some("\"a\"".into()),
        upstream: Some("files".into()),
        class: Some("read"),
        decision: Some((true, "allowed")),
        rules: vec!["most".into()],
        http: Some(200),
        error: "unreachable",
        ..Ending::default()
    };
    spans.end(true, true, || ending);
    let made = data::spans(&finished.try_recv().unwrap());
    let named: Vec<&str> = made.iter().map(|span| &*span.name).collect();
    let expect = [
        "tools/call files__read",
        "admit",
        "authenticate",
        "decode",
        "route",
        "authorize",
        "discharge",
        "inspect",
        "reply",
        "tools/call files__read",
    ];
    assert_eq!(named, expect);
    let (root, call) = (&made[0], made.last().unwrap());
    assert_eq!((&root.span_kind, &call.span_kind), (&SpanKind::Server, &SpanKind::Client));
    assert_eq!(root.parent_span_id.to_bytes(), [4; 8]);
    assert!(root.parent_span_is_remote && !call.parent_span_is_remote);
    assert_eq!(call.span_context.span_id().to_bytes(), [9; 8]);
    for span in &made {
        assert_eq!(span.span_context.trace_id().to_bytes(), [3; 16]);
        assert!(span.start_time <= span.end_time && span.end_time <= root.end_time, "{}", span.name);
        let own = std::ptr::eq(span, root);
        assert_eq!(own, span.parent_span_id != root.span_context.span_id());
    }
    let table = [
        (names::METHOD_NAME, "tools/call"),
        (names::TOOL_NAME, "files__read"),
        (names::OPERATION_NAME, "execute_tool"),
        (names::PROTOCOL_VERSION, "2026-07-28"),
        (names::REQUEST_ID, "a"),
        (names::ERROR_TYPE, "unreachable"),
        ("network.transport", "tcp"),
        ("http.response.status_code", "200"),
        ("portcullis.decision.effect", "allow"),
        ("portcullis.upstream", "files"),
    ];
    for (key, value) in table {
        assert_eq!(attribute(root, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(root.status, Status::error("unreachable"));
    assert_eq!(attribute(call, names::ERROR_TYPE).as_deref(), Some("unreachable"));
    assert_eq!(attribute(&made[7], names::ERROR_TYPE).as_deref(), Some("unreachable"), "the last stage before the reply");
    assert_eq!(attribute(&made[8], names::ERROR_TYPE), None);
}

#[tokio::test]
async fn what_is_there_at_the_end_is_sent() {
    let (tracer, finished, metrics) = tracer(1_000_000);
    let (receiver, stopping) = (Receiver::default(), CancellationToken::new());
    begin(&tracer, Instant::now()).end(false, true, Ending::default);
    stopping.cancel();
    run_traces(finished, receiver.clone(), metrics.clone(), stopping).await;
    assert_eq!(receiver.got.lock().len(), 1);
    assert_eq!(lost(&metrics, "export_failed"), 0);
    begin(&tracer, Instant::now()).end(false, true, Ending::default);
    assert_eq!(lost(&metrics, "queue_full"), 1, "after the end there is no room");
}

#[tokio::test]
async fn a_receiver_that_refuses_loses_what_it_was_sent_and_stops_nobody() {
    let (tracer, finished, metrics) = tracer(1_000_000);
    let (receiver, stopping) = (Receiver { fails: true, ..Receiver::default() }, CancellationToken::new());
    let sending = tokio::spawn(run_traces(finished, receiver.clone(), metrics.clone(), stopping.clone()));
    for round in 1..=2 {
        begin(&tracer, Instant::now()).end(false, true, Ending::default);
        receiver.came.notified().await;
        assert_eq!(receiver.got.lock().len(), round);
    }
    stopping.cancel();
    sending.await.unwrap();
    assert_eq!(lost(&metrics, "export_failed"), 2);
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_nobody_not_even_the_end() {
    let (tracer, finished, metrics) = tracer(1_000_000);
    let (receiver, stopping) = (Receiver { hangs: true, ..Receiver::default() }, CancellationToken::new());
    let sending = tokio::spawn(run_traces(finished, receiver.clone(), metrics.clone(), stopping.clone()));
    begin(&tracer, Instant::now()).end(false, true, Ending::default);
    receiver.came.notified().await;
    // While it hangs requests end as ever.
    for _ in 0..TRACE_QUEUE_REQUESTS_MAX + 1 {
        begin(&tracer, Instant::now()).end(false, true, Ending::default);
    }
    assert_eq!(lost(&metrics, "queue_full"), 1);
    stopping.cancel();
    sending.await.unwrap();
    assert_eq!(lost(&metrics, "export_failed"), 1 + TRACE_QUEUE_REQUESTS_MAX as u64);
}

#[tokio::test]
async fn a_receiver_of_metrics_that_hangs_does_not_hold_up_the_end() {
    let (metrics, stopping, came) = (Arc::new(Metrics::new()), CancellationToken::new(), Arc::new(Notify::new()));
    let coming = came.clone();
    let send = move |_| {
        coming.notify_one();
        std::future::pending::<Result<(), String>>()
    };
    let gather = ExportMetricsServiceRequest::default;
    let sending = tokio::spawn(run_metrics(gather, send, Duration::from_millis(1), metrics.clone(), stopping.clone()));
    came.notified().await;
    stopping.cancel();
    // Well before the time that a receiver has otherwise.
    tokio::time::timeout(Duration::from_secs(6), sending).await.unwrap().unwrap();
    assert!(metrics.encode().contains("portcullis_telemetry_dropped_total{signal=\"metrics\",reason=\"export_failed\"} 1\n"));
}

#[test]
fn metrics_have_the_names_of_the_conventions() {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    let metrics = Metrics::new();
    let tool = crate::telemetry::metrics::Tool::new("files__read".into());
    metrics.served("tools/call", Some(&tool), "", Duration::from_millis(3), Some([7; 16]));
    metrics.served("tools/call", Some(&tool), "", Duration::from_secs(1_000), None);
    metrics.shed("queue_full");
    let since = SystemTime::now();
    let request = metrics_request(metrics.families(), "one", since);
    let all = &request.resource_metrics[0].scope_metrics[0].metrics;
    let named = |name: &str| all.iter().find(|metric| metric.name == name).unwrap();
    assert_eq!(named("portcullis.in_flight").unit, "1");
    let served = named(names::SERVER_DURATION);
    assert_eq!(served.unit, "s");
    let Some(Data::Histogram(histogram)) = &served.data else { panic!("{served:?}") };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (2, 2));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!(point.bucket_counts.last(), Some(&1), "beyond the last bound");
    assert_eq!(point.exemplars[0].trace_id, [7; 16]);
    let keys: Vec<&str> = point.attributes.iter().map(|pair| &*pair.key).collect();
    assert_eq!(keys, [names::METHOD_NAME, names::TOOL_NAME], "without a value there is no attribute");
    let Some(Data::Sum(sheds)) = &named("portcullis.sheds").data else { panic!() };
    assert!(sheds.is_monotonic);
}
