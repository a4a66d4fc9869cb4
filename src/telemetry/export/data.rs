//! Spans, made of what a request left behind.

use std::str::FromStr as _;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::telemetry::names;
use crate::telemetry::spans::{Call, Ending, Finished, Stage};
use crate::telemetry::trace::random;

/// All spans of a request: its own, those of its stages, and those of its calls.
pub(super) fn spans(finished: &Finished) -> Vec<SpanData> {
    let state = finished.spans.trace.state.as_ref().and_then(|state| TraceState::from_str(state.as_str()).ok());
    let maker = Maker {
        finished,
        scope: InstrumentationScope::builder(names::PREFIX).with_version(env!("CARGO_PKG_VERSION")).build(),
        state: state.unwrap_or(TraceState::NONE),
    };
    let mut all = vec![maker.root()];
    all.extend(maker.stages());
    all.extend(finished.spans.calls.iter().map(|call| maker.call(call)));
    all
}

struct Maker<'a> {
    finished: &'a Finished,
    scope: InstrumentationScope,
    /// Of every span: it is one trace.
    state: TraceState,
}

impl Maker<'_> {
    /// `{mcp.method.name} {gen_ai.tool.name}`, as the conventions for MCP have it.
    fn name(&self) -> String {
        let Ending { method, tool, .. } = &self.finished.ending;
        match tool {
            Some(tool) => format!("{method} {tool}"),
            None if method.is_empty() => "mcp".to_owned(),
            None => (*method).to_owned(),
        }
    }

    fn root(&self) -> SpanData {
        let Finished { spans, ending, took_us } = self.finished;
        let parent = spans.trace.parent_id;
        let links = spans.links.iter().flatten().map(|parent| {
            let context = SpanContext::new(
                TraceId::from_bytes(parent.trace_id),
                SpanId::from_bytes(parent.span_id),
                if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED },
                true,
                TraceState::NONE,
            );
            Link::new(context, Vec::new(), 0)
        });
        let mut links_of = SpanLinks::default();
        links_of.links = links.collect();
        SpanData {
            parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: parent.is_some(),
            links: links_of,
            attributes: self.attributes(),
            ..self.span(spans.trace.span_id, SpanKind::Server, self.name(), (0, *took_us), ending.error)
        }
    }

    /// Each stage lasts until the next begins, the last one to the end. What failed is the last stage before the reply.
    fn stages(&self) -> Vec<SpanData> {
        let Finished { spans, ending, took_us } = self.finished;
        let marks = spans.marks();
        let failed = marks.iter().rposition(|mark| mark.stage != Stage::Reply);
        let ends = marks.iter().skip(1).map(|mark| mark.at_us).chain([*took_us]);
        let stages = marks.iter().zip(ends).enumerate().filter(|(_, (mark, _))| mark.stage != Stage::Call);
        let made = stages.map(|(at, (mark, end_us))| {
            let error = if Some(at) == failed { ending.error } else { "" };
            self.span(random(), SpanKind::Internal, mark.stage.as_str().to_owned(), (mark.at_us, end_us), error)
        });
        made.collect()
    }

    fn call(&self, call: &Call) -> SpanData {
        let (end_us, error) = call.ended.unwrap_or((self.finished.took_us, CUT));
        let mut attributes = self.about();
        attributes.push(KeyValue::new("portcullis.upstream", text(&call.upstream)));
        attributes.extend(error_type(error));
        SpanData { attributes, ..self.span(call.span_id, SpanKind::Client, self.name(), (call.from_us, end_us), error) }
    }

    /// A span below the request's own.
    fn span(
        &self,
        id: [u8; 8],
        span_kind: SpanKind,
        name: String,
        (from_us, to_us): (u64, u64),
        error: &'static str,
    ) -> SpanData {
        let spans = &self.finished.spans;
        let context = SpanContext::new(
            TraceId::from_bytes(spans.trace.trace_id),
            SpanId::from_bytes(id),
            // Whatever upstreams were told: this one is kept.
            TraceFlags::SAMPLED,
            false,
            self.state.clone(),
        );
        SpanData {
            span_context: context,
            parent_span_id: SpanId::from_bytes(spans.trace.span_id),
            parent_span_is_remote: false,
            span_kind,
            name: name.into(),
            start_time: after(spans.started_at, from_us),
            end_time: after(spans.started_at, to_us),
            attributes: error_type(error).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if error.is_empty() { Status::Unset } else { Status::error(error) },
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// What both sides say of a request.
    fn about(&self) -> Vec<KeyValue> {
        let Finished { spans, ending, .. } = self.finished;
        let mut all = Vec::with_capacity(16);
        if !ending.method.is_empty() {
            all.push(KeyValue::new(names::METHOD_NAME, ending.method));
        }
        if let Some(tool) = &ending.tool {
            all.push(KeyValue::new(names::TOOL_NAME, text(tool)));
            all.push(KeyValue::new(names::OPERATION_NAME, "execute_tool"));
        }
        all.extend(spans.revision.map(|revision| KeyValue::new(names::PROTOCOL_VERSION, revision)));
        all
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let Ending { request_id, record, route, upstream, class, decision, rules, http, error, .. } = &self.finished.ending;
        let mut all = self.about();
        let mut put = |key: &'static str, value: Option<Value>| all.extend(value.map(|value| KeyValue::new(key, value)));
        put(names::REQUEST_ID, request_id.as_ref().map(|id| id.trim_matches('"').to_owned().into()));
        put("network.transport", Some("tcp".into()));
        put("network.protocol.name", Some("http".into()));
        put("http.response.status_code", http.map(|status| i64::from(status).into()));
        put("http.route", route.as_ref().map(|route| text(route).into()));
        put("portcullis.record", record.map(|id| id.to_string().into()));
        put("portcullis.upstream", upstream.as_ref().map(|upstream| text(upstream).into()));
        put("portcullis.class", class.map(Value::from));
        put("portcullis.decision.effect", decision.map(|(allowed, _)| if allowed { "allow" } else { "deny" }.into()));
        put("portcullis.decision.reason", decision.map(|(_, reason)| reason.into()));
        let rules: Vec<StringValue> = rules.iter().map(text).collect();
        put("portcullis.decision.rules", (!rules.is_empty()).then(|| Value::Array(rules.into())));
        all.extend(error_type(error));
        all
    }
}

fn error_type(error: &'static str) -> impl Iterator<Item = KeyValue> {
    (!error.is_empty()).then(|| KeyValue::new(names::ERROR_TYPE, error)).into_iter()
}

fn text(shared: &std::sync::Arc<str>) -> StringValue {
    StringValue::from(shared.clone())
}

fn after(start: SystemTime, us: u64) -> SystemTime {
    start.checked_add(Duration::from_micros(us)).unwrap_or(start)
}

/// `error.type` of a call that nobody waited for any more.
const CUT: &str = "cancelled";
