//! A request's place in a trace, and the way that is told of it.

use super::ctx::Ctx;
use crate::mcp::Outgoing;
use crate::telemetry::current;
use crate::telemetry::spans::{Spans, Stage};
use crate::telemetry::trace::{self, Parent, TraceContext, Trust};
use crate::telemetry::tracestate::TraceState;

impl Ctx {
    /// The record names the trace, and where traces are sent the way of this request is kept.
    pub(super) fn begin_trace(&mut self) {
        let tracer = self.gateway.tracer.clone();
        if let Some(tracer) = &tracer {
            self.trace.sampled = tracer.sampler().head(&self.trace);
        }
        let trace = self.trace.clone();
        self.note(|draft| {
            draft.trace_id = Some(trace.trace_id);
            draft.spans.0 = tracer.map(|tracer| Spans::begin(tracer, trace, draft.started(), draft.unix_ms()));
        });
    }

    /// Goes on with the trace of `parent`.
    pub(super) fn follow(&mut self, parent: Parent) {
        self.trace.continues(parent);
        let trace = self.trace.clone();
        current::enter(trace.trace_id);
        self.note(|draft| {
            draft.trace_id = Some(trace.trace_id);
            if let Some(spans) = &mut draft.spans.0 {
                spans.follow(trace);
            }
        });
    }

    /// Now it is known who asks: the trace that the header named is gone on with, or only linked to.
    pub(super) fn trust_header(&mut self) {
        if let Some(parent) = self.offered.take() {
            self.trust(parent);
        }
    }

    /// As [`Self::trust_header`], for the `traceparent` of the message, which is nearer to whoever asks than the header: where both
    /// are named the header's is linked to.
    pub(super) fn trust_message(&mut self, traceparent: Option<&str>, tracestate: Option<&str>) {
        let Some(mut parent) = traceparent.and_then(trace::parse) else { return };
        parent.state = tracestate.and_then(TraceState::parse);
        let TraceContext { trace_id, parent_id, sampled, .. } = self.trace;
        if let (Some(span_id), true) = (parent_id, self.trusts()) {
            if (trace_id, span_id) != (parent.trace_id, parent.span_id) {
                self.spans(|spans| spans.link(Parent { trace_id, span_id, sampled, state: None }));
            } else if parent.state.is_none() {
                // The same place is named twice, and one of them says more.
                parent.state = self.trace.state.take();
            }
        }
        self.trust(parent);
    }

    fn trust(&mut self, parent: Parent) {
        match self.trusts() {
            true => self.follow(parent),
            false => self.spans(|spans| spans.link(Parent { state: None, ..parent })),
        }
    }

    fn trusts(&self) -> bool {
        match self.world.trust {
            Trust::None => false,
            Trust::Authenticated => self.principal.as_ref().is_some_and(|principal| !principal.anonymous),
            Trust::All => true,
        }
    }

    /// The id of the trace, if it is sampled and sent: whoever follows it from a metric finds something.
    pub(super) fn recorded_trace(&self) -> Option<[u8; 16]> {
        (self.trace.sampled && self.gateway.tracer.is_some()).then_some(self.trace.trace_id)
    }

    /// The revision is known.
    pub(super) fn speaks(&self) {
        if let Some(revision) = self.asked.revision {
            self.spans(|spans| spans.speak(revision.as_str()));
        }
    }

    /// `stage` begins.
    pub(super) fn mark(&self, stage: Stage) {
        self.spans(|spans| spans.mark(stage));
    }

    /// Changes what is kept of the way; costs nothing where traces are not sent.
    pub(super) fn spans(&self, change: impl FnOnce(&mut Spans)) {
        if self.gateway.tracer.is_some() {
            self.note(|draft| {
                if let Some(spans) = &mut draft.spans.0 {
                    change(spans);
                }
            });
        }
    }

    /// Tells the upstream of the call that is about to be made its place in the trace: the call's own span, where there is one.
    pub(super) fn place(&self, out: &mut Outgoing) {
        (out.traceparent, out.tracestate) = match self.gateway.tracer {
            None => of(&self.trace),
            Some(_) => {
                let call = self.trace.child();
                self.spans(|spans| spans.plan(call.span_id));
                of(&call)
            }
        };
    }
}

/// `traceparent` and `tracestate` for upstreams.
pub(super) fn of(trace: &TraceContext) -> (Option<String>, Option<String>) {
    (Some(trace.text()), trace.state.as_ref().map(|state| state.as_str().to_owned()))
}
