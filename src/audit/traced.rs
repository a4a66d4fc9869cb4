//! The trace of a request ends with its record, and says the same.

use std::borrow::Cow;

use super::draft::{Draft, Status};
use crate::telemetry::names;
use crate::telemetry::spans::Ending;
use crate::vocab::{Class, FaultKind};

/// Ends the trace of a finished draft, if it has one.
pub(super) fn end(draft: &mut Draft) {
    let Some(spans) = draft.spans.0.take() else { return };
    let error = error(draft);
    let denied = draft.decision.as_ref().is_some_and(|decision| !decision.allowed);
    spans.end(denied || !error.is_empty(), draft.principal.is_some(), || ending(draft, error));
}

/// `error.type`: why it was refused, what failed, or how it ended; empty for a success.
fn error(draft: &Draft) -> &'static str {
    let Some(outcome) = draft.outcome else { return "" };
    match outcome.status {
        Status::Completed if draft.tool_error => names::TOOL_ERROR,
        Status::Completed => "",
        Status::Denied | Status::Refused => outcome.reason.as_str(),
        Status::Faulted | Status::TimedOut => outcome.error_kind.map_or(outcome.reason.as_str(), FaultKind::as_str),
        Status::Cancelled | Status::Panicked => outcome.status.as_str(),
    }
}

/// No text that a client chose is told but its id: methods are of the closed list, tools of the catalog.
fn ending(draft: &Draft, error: &'static str) -> Ending {
    let method = match &draft.method {
        None => "",
        Some(Cow::Borrowed(known)) => known,
        Some(Cow::Owned(_)) => UNKNOWN,
    };
    Ending {
        method,
        tool: draft.name.clone().filter(|_| method == TOOLS_CALL && draft.definition.is_some()),
        request_id: draft.rpc_id.clone(),
        record: Some(draft.id),
        route: draft.route.clone(),
        upstream: draft.upstream.clone(),
        class: draft.class.map(Class::as_str),
        decision: draft.decision.as_ref().map(|decision| (decision.allowed, decision.reason.as_str())),
        rules: draft.decision.as_ref().map(|decision| decision.rules.clone()).unwrap_or_default(),
        http: draft.http,
        error,
    }
}

/// What metrics call a method of no revision.
const UNKNOWN: &str = "unknown";
const TOOLS_CALL: &str = "tools/call";
