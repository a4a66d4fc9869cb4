//! What a client said, read once and never again.

use super::method::Method;
use super::raw::{RawId, RawJson};

/// The body of one POST.
#[derive(Clone, Debug)]
pub enum Body {
    /// One message.
    Single(Box<Message>),
    /// An array, which only 2025-03-26 has. Never empty.
    Batch(Vec<Message>),
}

/// One message of a client.
#[derive(Clone, Debug)]
pub struct Message {
    /// What shape it has.
    pub shape: Shape,
    /// The id of a request or response.
    pub id: Option<RawId>,
    /// The body's `method` as sent, bounded to `NAME_BYTES_MAX`; empty for a response. Compared with `Mcp-Method`.
    pub method_name: String,
    /// The method, where it is a known request method.
    pub method: Method,
    /// Everything of `params` that some revision defines.
    pub params: Params,
    /// What a response says; there in every response and in nothing else.
    pub outcome: Option<Outcome>,
}

/// What a client answers to a request of ours.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// `result`: an object, byte for byte as sent.
    Result(RawJson),
    /// `error`
    Error {
        /// `code`
        code: i64,
        /// `message`, cut to `RPC_MESSAGE_BYTES_MAX`.
        message: String,
    },
}

/// The three shapes of JSON-RPC 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Wants an answer.
    Request,
    /// Wants none.
    Notification,
    /// Answers a request of ours (`result` or `error`).
    Response,
}

/// Members of `params`, spans of the body. What no revision defines is dropped.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// False when `params` was absent.
    pub present: bool,
    /// `name` of a tool or prompt.
    pub name: Option<String>,
    /// `uri` of a resource.
    pub uri: Option<String>,
    /// `arguments`: an object, byte for byte as sent.
    pub arguments: Option<RawJson>,
    /// `cursor`; the empty string is a cursor too.
    pub cursor: Option<String>,
    /// `ref` of a completion.
    pub reference: Option<Reference>,
    /// `argument` of a completion.
    pub argument: Option<RawJson>,
    /// `context` of a completion.
    pub context: Option<RawJson>,
    /// `level` of `logging/setLevel`.
    pub level: Option<String>,
    /// `inputResponses` of a retry.
    pub input_responses: Option<RawJson>,
    /// `requestState` of a retry.
    pub request_state: Option<String>,
    /// `notifications` of `subscriptions/listen`: an object.
    pub notifications: Option<RawJson>,
    /// `protocolVersion` of `initialize`.
    pub protocol_version: Option<String>,
    /// `capabilities` of `initialize`.
    pub capabilities: Option<RawJson>,
    /// `clientInfo` of `initialize`.
    pub client_info: Option<RawJson>,
    /// `requestId` of `notifications/cancelled`.
    pub request_id: Option<RawId>,
    /// `taskId` of the tasks methods.
    pub task_id: Option<String>,
    /// `task` of a call that is to become a task (2025-11-25): an object.
    pub task: Option<RawJson>,
    /// `_meta`.
    pub meta: Meta,
}

/// Members of `params._meta`.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// `io.modelcontextprotocol/protocolVersion`, as sent.
    pub protocol_version: Option<String>,
    /// `io.modelcontextprotocol/clientCapabilities`, an object.
    pub client_capabilities: Option<RawJson>,
    /// `io.modelcontextprotocol/clientInfo`.
    pub client_info: Option<RawJson>,
    /// `io.modelcontextprotocol/logLevel`, as sent.
    pub log_level: Option<String>,
    /// `progressToken`.
    pub progress_token: Option<RawId>,
    /// `traceparent`, unchecked.
    pub traceparent: Option<String>,
    /// `tracestate`, unchecked, of at most [`TRACESTATE_BYTES_MAX`](crate::vocab::limits::TRACESTATE_BYTES_MAX).
    pub tracestate: Option<String>,
    /// Members no specification reserves, key unescaped, in order.
    pub extra: Vec<(String, RawJson)>,
}

/// What a completion is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `ref/prompt`
    Prompt(String),
    /// `ref/resource`: a URI or URI template.
    Resource(String),
}
