//! `limits`, and numbers in general: zero and the absurd are refused.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Cx;
use crate::config::checked::{Approvals, Limits};
use crate::config::limits::{
    APPROVAL_WAIT, BODY_BYTES, CALL_TIMEOUT, CONNECTIONS, DEPTH, HEADER_TIMEOUT, PENDING_APPROVALS, PROCESSES, RESPONSE_BYTES,
    SESSIONS, STREAM_IDLE, STREAMS,
};
use crate::config::raw;
use crate::config::scalar;
use crate::config::shape::Scalar;

pub(super) fn limits(raw: raw::Limits, cx: &mut Cx<'_>) -> Option<Limits> {
    let body_bytes = size("limits.body", raw.body, 4 << 20, BODY_BYTES, cx);
    let response_bytes = size("limits.response", raw.response, 16 << 20, RESPONSE_BYTES, cx);
    let depth = count("limits.depth", raw.depth, 64, DEPTH, cx);
    let second = Duration::from_secs(1);
    let header_timeout = duration("limits.header_timeout", raw.header_timeout.as_deref(), 10 * second, HEADER_TIMEOUT, cx);
    let call_timeout = duration("limits.call_timeout", raw.call_timeout.as_deref(), 60 * second, CALL_TIMEOUT, cx);
    let stream_idle = duration("limits.stream_idle", raw.stream_idle.as_deref(), 300 * second, STREAM_IDLE, cx);
    let connections = count("limits.connections", raw.connections, 10_000, CONNECTIONS, cx);
    let in_flight = count("limits.in_flight", raw.in_flight, 4_096, CONNECTIONS, cx);
    let sessions_per_principal = count("limits.sessions_per_principal", raw.sessions_per_principal, 64, SESSIONS, cx);
    let streams_per_principal = count("limits.streams_per_principal", raw.streams_per_principal, 16, STREAMS, cx);
    let upstream_sessions = count("limits.upstream_sessions", raw.upstream_sessions, 1_024, SESSIONS, cx);
    let processes = count("limits.processes", raw.processes, 32, PROCESSES, cx);
    Some(Limits {
        body_bytes: body_bytes?,
        response_bytes: response_bytes?,
        depth: depth?,
        header_timeout: header_timeout?,
        call_timeout: call_timeout?,
        stream_idle: stream_idle?,
        connections: connections?,
        in_flight: in_flight?,
        sessions_per_principal: sessions_per_principal?,
        streams_per_principal: streams_per_principal?,
        upstream_sessions: upstream_sessions?,
        processes: processes?,
    })
}

pub(super) fn approvals(raw: raw::Approvals, cx: &mut Cx<'_>) -> Option<Approvals> {
    let pending = count("approvals.pending_per_principal", raw.pending_per_principal, 20, PENDING_APPROVALS, cx);
    let wait = duration("approvals.wait", raw.wait.as_deref(), Duration::from_secs(45), APPROVAL_WAIT, cx);
    let channels = super::channels::check(raw.channels.unwrap_or_default(), cx);
    Some(Approvals { pending_per_principal: pending?, wait: wait?, channels })
}

/// A duration such as `30s` within `range`.
pub(super) fn duration(
    path: &str,
    raw: Option<&str>,
    default: Duration,
    range: RangeInclusive<Duration>,
    cx: &mut Cx<'_>,
) -> Option<Duration> {
    let Some(text) = raw else { return Some(default) };
    match scalar::duration(text) {
        Some(duration) if range.contains(&duration) => Some(duration),
        Some(_) => cx.refuse(path, "is out of range", format!("between {:?} and {:?}", range.start(), range.end())),
        None => cx.refuse(path, "is not a duration", "a whole number and ms, s, m, h or d, such as 500ms, 10s or 5m"),
    }
}

pub(super) fn size(path: &str, raw: Option<Scalar>, default: u64, range: RangeInclusive<u64>, cx: &mut Cx<'_>) -> Option<usize> {
    let bytes = match raw {
        None => Some(default),
        Some(Scalar::Number(bytes)) => Some(bytes),
        Some(Scalar::Text(text)) => scalar::bytes(&text),
    };
    match bytes {
        Some(bytes) if range.contains(&bytes) => usize::try_from(bytes).ok(),
        Some(_) => {
            let (low, high) = (scalar::show_bytes(*range.start()), scalar::show_bytes(*range.end()));
            cx.refuse(path, "is out of range", format!("between {low} and {high}"))
        }
        None => cx.refuse(path, "is not a size", "a whole number of bytes, or with a unit: 512KiB, 4MiB, 10MB"),
    }
}

pub(super) fn count(path: &str, raw: Option<u64>, default: u64, range: RangeInclusive<u64>, cx: &mut Cx<'_>) -> Option<usize> {
    let count = raw.unwrap_or(default);
    if range.contains(&count) {
        return usize::try_from(count).ok();
    }
    cx.refuse(path, "is out of range", format!("between {} and {}", range.start(), range.end()))
}
