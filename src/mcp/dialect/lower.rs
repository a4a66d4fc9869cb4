//! Requests and notifications to upstreams, in the words of their revision.

use http::{HeaderName, HeaderValue};

use super::{Context, ServerInfo, of};
use crate::mcp::headers::{self, encode_value};
use crate::mcp::interest::Interest;
use crate::mcp::keys;
use crate::mcp::message::Reference;
use crate::mcp::method::Method;
use crate::mcp::outgoing::Outgoing;
use crate::mcp::raw::{RawId, RawJson};
use crate::mcp::reply::LogLevel;
use crate::mcp::write::{Object, object_bytes};
use crate::vocab::Revision;

/// A message for an upstream: one JSON text, and the protocol's headers where it travels by HTTP.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The body, without a line end.
    pub body: Vec<u8>,
    /// Headers that mirror the body. `Content-Type`, `Accept` and the session id are the transport's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Writes a request. `id` is also the progress token, where progress is wanted.
pub fn lower_request(revision: Revision, request: &Outgoing, id: u64) -> Lowered {
    let dialect = of(revision);
    let hint = 512 + request.arguments.as_ref().map_or(0, |a| a.as_bytes().len());
    let body = object_bytes(hint, |out| {
        out.text("jsonrpc", "2.0").number("id", id).text("method", request.method.as_str());
        out.object("params", |params| match dialect.context {
            Context::Request => {
                own_params(params, request);
                params.json("inputResponses", request.input_responses.as_ref());
                params.some_text("requestState", request.request_state.as_deref());
                params.object("_meta", |meta| {
                    request_context(meta, revision, request);
                    shared_meta(meta, request, id);
                });
            }
            Context::Session => {
                own_params(params, request);
                if let Some(augment) = request.augment.filter(|_| revision == Revision::V2025_11_25) {
                    params.object("task", |task| {
                        if let Some(ttl_ms) = augment.ttl_ms {
                            task.number("ttl", ttl_ms);
                        }
                    });
                }
                if request.wants_progress || request.traceparent.is_some() {
                    params.object("_meta", |meta| shared_meta(meta, request, id));
                }
            }
        });
    });
    Lowered { body, headers: request_headers(revision, request) }
}

/// Writes the `initialize` of a revision with sessions.
pub fn lower_initialize(revision: Revision, id: u64, capabilities: &RawJson) -> Lowered {
    let body = object_bytes(256, |out| {
        out.text("jsonrpc", "2.0").number("id", id).text("method", Method::Initialize.as_str());
        out.object("params", |params| {
            params.text("protocolVersion", revision.as_str());
            params.raw("capabilities", capabilities.as_bytes());
            params.object("clientInfo", |info| ServerInfo::GATEWAY.write(info));
        });
    });
    Lowered { body, headers: Vec::new() }
}

/// What the gateway notifies an upstream of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientNotification {
    /// `notifications/initialized`
    Initialized,
    /// `notifications/cancelled`
    Cancelled {
        /// The id given to [`lower_request`].
        request_id: u64,
    },
}

/// Writes a notification.
pub fn lower_notification(revision: Revision, notification: ClientNotification) -> Lowered {
    let method = match notification {
        ClientNotification::Initialized => "notifications/initialized",
        ClientNotification::Cancelled { .. } => "notifications/cancelled",
    };
    let body = object_bytes(128, |out| {
        out.text("jsonrpc", "2.0").text("method", method);
        if let ClientNotification::Cancelled { request_id } = notification {
            out.object("params", |params| {
                params.number("requestId", request_id);
            });
        }
    });
    let mut headers = Vec::from_iter(version_header(revision));
    if of(revision).context == Context::Request {
        headers.push((headers::METHOD, HeaderValue::from_static(method)));
    }
    Lowered { body, headers }
}

/// What the gateway answers to a request of an upstream.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An empty result, as for `ping`.
    Empty,
    /// A result object.
    Result(RawJson),
    /// An error: code, text.
    Error(i64, String),
    /// -32601: the upstream was not promised that.
    MethodNotFound,
}

/// Writes the answer to a request of an upstream (2025-11-25 and older).
pub fn lower_answer(revision: Revision, id: &RawId, answer: &Answer) -> Lowered {
    let body = object_bytes(128, |out| {
        out.text("jsonrpc", "2.0").raw("id", id.as_str().as_bytes());
        match answer {
            Answer::Empty => out.raw("result", b"{}"),
            Answer::Result(result) => out.raw("result", result.as_bytes()),
            Answer::Error(code, text) => out.object("error", |error| {
                error.raw("code", code.to_string().as_bytes()).text("message", text);
            }),
            Answer::MethodNotFound => out.raw("error", b"{\"code\":-32601,\"message\":\"Method not found\"}"),
        };
    });
    Lowered { body, headers: Vec::from_iter(version_header(revision)) }
}

fn own_params(params: &mut Object<'_>, request: &Outgoing) {
    params.some_text("name", request.name.as_deref());
    params.some_text("uri", request.uri.as_deref());
    params.some_text("taskId", request.task.as_ref().map(|task| task.id.as_str()));
    params.json("arguments", request.arguments.as_ref());
    params.some_text("cursor", request.cursor.as_deref());
    if let Some(reference) = &request.reference {
        params.object("ref", |out| {
            match reference {
                Reference::Prompt(name) => out.text("type", "ref/prompt").text("name", name),
                Reference::Resource(uri) => out.text("type", "ref/resource").text("uri", uri),
            };
        });
    }
    params.json("argument", request.argument.as_ref());
    params.json("context", request.context.as_ref());
    params.some_text("level", request.level.map(LogLevel::as_str));
    params.json("notifications", request.interest.as_ref().map(Interest::to_json).as_ref());
}

fn request_context(meta: &mut Object<'_>, revision: Revision, request: &Outgoing) {
    meta.text(keys::PROTOCOL_VERSION, revision.as_str());
    meta.raw(keys::CLIENT_CAPABILITIES, request.client_capabilities.as_bytes());
    meta.object(keys::CLIENT_INFO, |info| ServerInfo::GATEWAY.write(info));
    meta.some_text(keys::LOG_LEVEL, request.log_level.map(LogLevel::as_str));
}

fn shared_meta(meta: &mut Object<'_>, request: &Outgoing, id: u64) {
    if request.wants_progress {
        meta.number("progressToken", id);
    }
    meta.some_text("traceparent", request.traceparent.as_deref());
    meta.some_text("tracestate", request.traceparent.as_ref().and(request.tracestate.as_deref()));
}

fn version_header(revision: Revision) -> Option<(HeaderName, HeaderValue)> {
    let version = (headers::PROTOCOL_VERSION, HeaderValue::from_static(revision.as_str()));
    of(revision).version_header.then_some(version)
}

fn request_headers(revision: Revision, request: &Outgoing) -> Vec<(HeaderName, HeaderValue)> {
    if of(revision).context == Context::Session {
        return Vec::from_iter(version_header(revision));
    }
    // The version, the method and the name.
    let mut headers = Vec::with_capacity(3 + request.mirrored.len());
    headers.extend(version_header(revision));
    headers.push((headers::METHOD, HeaderValue::from_static(request.method.as_str())));
    let name = match request.method {
        Method::ToolsCall | Method::PromptsGet => request.name.as_deref(),
        Method::ResourcesRead => request.uri.as_deref(),
        _ => request.task.as_ref().map(|task| task.id.as_str()),
    };
    headers.extend(name.map(|name| (headers::NAME, encode_value(name))));
    headers.extend(request.mirrored.iter().cloned());
    headers
}
