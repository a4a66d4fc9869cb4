//! What a request leaves behind of its way: when each stage began, and which calls it made.
//!
//! A stage costs one reading of the clock and sixteen bytes in a fixed place. Spans are made of it by the task that exports, and only
//! of requests that are kept.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use smallvec::SmallVec;

use super::export::Tracer;
use super::trace::{Parent, TraceContext};
use crate::vocab::RecordId;
use crate::vocab::limits::{TRACE_CALLS_MAX, TRACE_MARKS_MAX};

/// Stages of a request, in the order of a simple one. Each lasts until the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the name of a stage")]
pub enum Stage {
    Admit,
    Authenticate,
    Decode,
    Route,
    List,
    Authorize,
    Discharge,
    Approve,
    /// The call itself, which has a span of its own.
    Call,
    Inspect,
    Reply,
}

impl Stage {
    /// The name of its span.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Authenticate => "authenticate",
            Self::Decode => "decode",
            Self::Route => "route",
            Self::List => "list",
            Self::Authorize => "authorize",
            Self::Discharge => "discharge",
            Self::Approve => "approve",
            Self::Call => "call",
            Self::Inspect => "inspect",
            Self::Reply => "reply",
        }
    }
}

/// When a stage began, in microseconds since the request came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) stage: Stage,
    pub(super) at_us: u64,
}

/// A call to an upstream.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) span_id: [u8; 8],
    pub(super) upstream: Arc<str>,
    pub(super) from_us: u64,
    /// `None` while it lasts.
    pub(super) ended: Option<(u64, &'static str)>,
}

/// The way of one request.
pub struct Spans {
    tracer: Arc<Tracer>,
    pub(super) trace: TraceContext,
    pub(super) links: [Option<Parent>; 2],
    started: Instant,
    pub(super) started_at: SystemTime,
    pub(super) revision: Option<&'static str>,
    marks: [Mark; TRACE_MARKS_MAX],
    marked: usize,
    pub(super) calls: SmallVec<[Call; 1]>,
    /// The span of the call that is about to be made.
    planned: Option<[u8; 8]>,
}

/// What a request came to.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The method, from the closed list; empty if the request was none.
    pub method: &'static str,
    /// The tool, if the catalog has it.
    pub tool: Option<Arc<str>>,
    /// The JSON-RPC id as its raw token.
    pub request_id: Option<Box<str>>,
    /// Id of the record.
    pub record: Option<RecordId>,
    /// Path of the route.
    pub route: Option<Arc<str>>,
    /// Upstream of the target.
    pub upstream: Option<Arc<str>>,
    /// Class of the operation.
    pub class: Option<&'static str>,
    /// Whether the decision was to allow, and its reason.
    pub decision: Option<(bool, &'static str)>,
    /// Ids of the rules that decided.
    pub rules: Vec<Arc<str>>,
    /// HTTP status.
    pub http: Option<u16>,
    /// What failed, from a closed list; empty for a success.
    pub error: &'static str,
}

/// A request that is over and kept.
pub struct Finished {
    pub(super) spans: Box<Spans>,
    pub(super) ending: Ending,
    pub(super) took_us: u64,
}

impl Spans {
    /// Begins at `started`, which is `unix_ms` by the clock on the wall.
    pub fn begin(tracer: Arc<Tracer>, trace: TraceContext, started: Instant, unix_ms: u64) -> Box<Self> {
        let first = Mark { stage: Stage::Admit, at_us: 0 };
        Box::new(Self {
            tracer,
            trace,
            links: [None, None],
            started,
            started_at: SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms)).unwrap_or(SystemTime::UNIX_EPOCH),
            revision: None,
            marks: [first; TRACE_MARKS_MAX],
            marked: 1,
            calls: SmallVec::new(),
            planned: None,
        })
    }

    /// `stage` begins. What does not fit is not told.
    pub fn mark(&mut self, stage: Stage) {
        let at_us = self.now_us();
        if let Some(mark) = self.marks.get_mut(self.marked) {
            *mark = Mark { stage, at_us };
            self.marked += 1;
        }
    }

    /// The request goes by `trace` from now on.
    pub fn follow(&mut self, trace: TraceContext) {
        self.trace = trace;
    }

    /// Names a trace that the request is not part of.
    pub fn link(&mut self, parent: Parent) {
        if self.links.iter().flatten().all(|link| *link != parent)
            && let Some(free) = self.links.iter_mut().find(|link| link.is_none())
        {
            *free = Some(parent);
        }
    }

    /// The protocol revision spoken.
    pub fn speak(&mut self, revision: &'static str) {
        self.revision = Some(revision);
    }

    /// The span of a call that is about to be made, for whoever is called.
    pub fn plan(&mut self, span_id: [u8; 8]) {
        self.planned = Some(span_id);
    }

    /// A call of `upstream` begins.
    pub fn call(&mut self, upstream: &Arc<str>) {
        self.mark(Stage::Call);
        let span_id = self.planned.take().unwrap_or_else(super::trace::random);
        if self.calls.len() < TRACE_CALLS_MAX {
            let from_us = self.now_us();
            self.calls.push(Call { span_id, upstream: upstream.clone(), from_us, ended: None });
        }
    }

    /// The call under way, if there is one, is over; `error` is empty for a success, else from a closed list.
    pub fn called(&mut self, error: &'static str) {
        let now_us = self.now_us();
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.ended.is_none()) {
            call.ended = Some((now_us, error));
            self.mark(Stage::Inspect);
        }
    }

    /// The request is over. It is kept if it was to be from the start, or if it `failed`, or if it took long; `ending` is asked for
    /// only then. Of those that ended before it was `known` whose they are few are kept, so that strangers displace nobody. Never
    /// waits: what the queue has no room for is counted.
    pub fn end(self: Box<Self>, failed: bool, known: bool, ending: impl FnOnce() -> Ending) {
        let took_us = self.now_us();
        let tracer = self.tracer.clone();
        let wanted = tracer.sampler().tail(self.trace.sampled, failed, Duration::from_micros(took_us));
        if wanted && (known || tracer.has_room_for_a_stranger()) {
            tracer.send(Box::new(Finished { spans: self, ending: ending(), took_us }));
        }
    }

    pub(super) fn marks(&self) -> &[Mark] {
        self.marks.get(..self.marked).unwrap_or_default()
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
