//! What the gateway asks an upstream, in canonical form.

use super::client_caps::ClientCaps;
use super::interest::Interest;
use super::message::Reference;
use super::method::Method;
use super::raw::RawJson;
use super::reply::LogLevel;

/// A request to an upstream. Every byte of it was built or validated here.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// The upstream's own name of a tool or prompt.
    pub name: Option<String>,
    /// The upstream's own URI of a resource.
    pub uri: Option<String>,
    /// `arguments`, byte for byte as the client sent them.
    pub arguments: Option<RawJson>,
    /// The upstream's own cursor.
    pub cursor: Option<String>,
    /// `ref` of a completion, in the upstream's own names.
    pub reference: Option<Reference>,
    /// `argument` of a completion.
    pub argument: Option<RawJson>,
    /// `context` of a completion.
    pub context: Option<RawJson>,
    /// `level` of `logging/setLevel`.
    pub level: Option<LogLevel>,
    /// `notifications` of `subscriptions/listen`, in the upstream's own URIs.
    pub interest: Option<Interest>,
    /// The task that the tasks methods are about.
    pub task: Option<OwnTask>,
    /// A call of a tool is to become a task (2025-11-25).
    pub augment: Option<Augment>,
    /// `inputResponses` of a retry, or for a task.
    pub input_responses: Option<RawJson>,
    /// The upstream's own `requestState`.
    pub request_state: Option<String>,
    /// Capabilities declared with this request, to upstreams without sessions: an object.
    pub client_capabilities: RawJson,
    /// Capabilities declared once at `initialize`, to upstreams with sessions. A session belongs to them.
    pub session_capabilities: ClientCaps,
    /// Log level that the client's session set, for a session with the upstream that was given none.
    pub session_level: Option<LogLevel>,
    /// Log level wanted on this request's stream.
    pub log_level: Option<LogLevel>,
    /// The client asked for progress; the token itself is minted per upstream.
    pub wants_progress: bool,
    /// Our own `traceparent` for this call.
    pub traceparent: Option<String>,
    /// `tracestate` of the trace that the call is part of; nothing without `traceparent`.
    pub tracestate: Option<String>,
    /// Mirrored parameters, header name (`mcp-param-…`, lower case) and encoded value, from the upstream's own schema.
    pub mirrored: Vec<(http::HeaderName, http::HeaderValue)>,
}

/// A task as its upstream knows it.
#[derive(Clone, Debug)]
pub struct OwnTask {
    /// `taskId`
    pub id: String,
    /// The upstream's own name of the tool that made it.
    pub tool: String,
}

/// `task` of a call (2025-11-25).
#[derive(Clone, Copy, Debug)]
pub struct Augment {
    /// How long the task is to be kept, in milliseconds.
    pub ttl_ms: Option<u64>,
}

impl Outgoing {
    /// A request of `method` without parameters.
    pub fn new(method: Method) -> Self {
        Self {
            method,
            name: None,
            uri: None,
            arguments: None,
            cursor: None,
            reference: None,
            argument: None,
            context: None,
            level: None,
            interest: None,
            task: None,
            augment: None,
            input_responses: None,
            request_state: None,
            client_capabilities: RawJson::of_static("{}"),
            session_capabilities: ClientCaps::default(),
            session_level: None,
            log_level: None,
            wants_progress: false,
            traceparent: None,
            tracestate: None,
            mirrored: Vec::new(),
        }
    }
}
