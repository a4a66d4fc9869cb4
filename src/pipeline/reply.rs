//! Answers on their way out: in the caller's dialect, as JSON or as an event stream.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tokio::sync::mpsc;

use super::body::ReplyBody;
use super::ctx::Ctx;
use crate::mcp::codes;
use crate::mcp::dialect::{self, LoweredReply};
use crate::mcp::{Method, RawId, RawJson, Reply, ResultBody, RpcError};
use crate::telemetry::spans::Stage;
use crate::vocab::{Fault, FaultKind, Revision};

/// An answer before it becomes a response.
pub(super) struct Answered {
    /// HTTP status.
    pub status: StatusCode,
    /// The body.
    pub content: Content,
    /// Headers beside those every answer has.
    pub headers: HeaderMap,
    /// An HTTP/1.1 connection ends after this answer, because the request's body was not read.
    pub close: bool,
}

/// Headers a browser may send besides mirrored arguments.
const PREFLIGHT_HEADERS: &str = "authorization, dpop, content-type, accept, mcp-protocol-version, mcp-session-id, mcp-method, \
                                 mcp-name, last-event-id, traceparent, tracestate";

/// The body of an answer.
pub(super) enum Content {
    /// None.
    Empty,
    /// One JSON document.
    Json(Bytes),
    /// Server-sent events that a task writes.
    Events(mpsc::Receiver<Bytes>),
}

impl Answered {
    /// `status` without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, content: Content::Empty, headers: HeaderMap::new(), close: false }
    }

    /// The head of a stream of events, and no event: all that comes of a request that its client cancelled.
    pub(super) fn unanswered() -> Self {
        let (_, nothing) = mpsc::channel(1);
        Self { content: Content::Events(nothing), ..Self::empty(StatusCode::OK) }
    }

    /// A JSON document with `status`.
    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { content: Content::Json(body.into()), ..Self::empty(status) }
    }

    /// A public document. What one origin is told a cache must not keep for another.
    pub(super) fn document(body: Bytes) -> Self {
        Self::json(200, body)
            .with(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"))
            .with(header::VARY, HeaderValue::from_static("Origin"))
    }

    /// The answer to a preflight (Fetch standard). Mirrored arguments have headers of their own, which are allowed by name.
    pub(super) fn preflight(asked: &HeaderMap) -> Self {
        let methods = HeaderValue::from_static("GET, POST, DELETE");
        let mut headers = String::from(PREFLIGHT_HEADERS);
        let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok());
        for name in wanted.unwrap_or_default().split(',').map(|name| name.trim().to_ascii_lowercase()) {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if name.starts_with("mcp-param-") && plain {
                headers.push_str(", ");
                headers.push_str(&name);
            }
        }
        let headers = HeaderValue::try_from(headers).unwrap_or_else(|_| HeaderValue::from_static(PREFLIGHT_HEADERS));
        Self::empty(StatusCode::NO_CONTENT)
            .with(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
            .with(header::ACCESS_CONTROL_ALLOW_HEADERS, headers)
            .with(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"))
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Ends the connection after this answer.
    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The response, with the record riding in its body.
    pub(super) fn respond(self, ctx: &Ctx) -> Response<ReplyBody> {
        ctx.mark(Stage::Reply);
        let bytes_out = if let Content::Json(body) = &self.content { body.len() as u64 } else { 0 };
        ctx.note(|draft| {
            draft.http = Some(self.status.as_u16());
            draft.bytes_out = bytes_out;
        });
        let audit = Some(ctx.audit.clone());
        let (kind, body) = match self.content {
            Content::Empty => (None, ReplyBody::whole(Bytes::new(), audit)),
            Content::Json(bytes) => (Some(HeaderValue::from_static("application/json")), ReplyBody::whole(bytes, audit)),
            Content::Events(events) => (Some(EVENT_STREAM), ReplyBody::events(events)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        dress(headers, kind);
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.extend(self.headers);
        response
    }
}

/// The head of an event stream, for one whose request has its record elsewhere.
pub(super) fn stream_head() -> Response<()> {
    let mut response = Response::new(());
    dress(response.headers_mut(), Some(EVENT_STREAM));
    response
}

/// What every answer has, whoever makes it.
pub(super) fn dress(headers: &mut HeaderMap, kind: Option<HeaderValue>) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(kind) = kind {
        if kind == EVENT_STREAM {
            headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        }
        headers.insert(header::CONTENT_TYPE, kind);
    }
}

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// An event stream: what `start` makes of `ctx`, which has the record for as long as the stream lasts.
pub(super) fn stream(ctx: Ctx, start: impl FnOnce(Ctx) -> BoxStream<'static, Bytes>) -> Response<ReplyBody> {
    // The connection may bring no other token for as long as the stream lasts.
    ctx.memory.recall.forget();
    Answered::unanswered().respond(&ctx).map(|_| ReplyBody::pieces(start(ctx)))
}

/// The JSON document that answers the message of `ctx` with `reply`.
pub(super) fn lower(ctx: &Ctx, reply: &Reply) -> Answered {
    let revision = ctx.asked.revision.unwrap_or(Revision::NEWEST_WITH_SESSIONS);
    let method = ctx.asked.method.unwrap_or(Method::Unknown);
    let id = ctx.asked.id.clone().unwrap_or_else(|| RawId::number(0));
    let LoweredReply { status, body } = dialect::lower_reply(revision, method, &id, reply, &ctx.gateway.server);
    Answered::json(status, body)
}

/// What of an upstream's answer may be shown. Its results pass; of its errors only the code does, in our words.
///
/// # Errors
/// A fault for an error that says the upstream is broken, not that the request was wrong.
pub(super) fn screen(ctx: &Ctx, reply: Reply) -> Result<Reply, Fault> {
    let Reply::Error(error) = reply else { return Ok(reply) };
    let (code, message) = match error.code {
        codes::INVALID_PARAMS => (codes::INVALID_PARAMS, "The server does not accept these parameters."),
        codes::METHOD_NOT_FOUND => match ctx.asked.method {
            // Of a call that the route offers it says that the server is broken, not that the client asked wrongly.
            Some(Method::ToolsCall) => return Err(broken(error.code)),
            // Whoever has no prompts has not this one.
            Some(Method::PromptsGet) => (codes::INVALID_PARAMS, "Unknown prompt"),
            Some(Method::ResourcesRead) => (codes::INVALID_PARAMS, ""),
            _ => (codes::METHOD_NOT_FOUND, "The server does not offer this method."),
        },
        code => return Err(broken(code)),
    };
    let missing = code == codes::INVALID_PARAMS && ctx.asked.method == Some(Method::ResourcesRead);
    let data = ctx.asked.uri.as_deref().filter(|_| missing).map(uri_data);
    let message = if missing { "Resource not found" } else { message };
    Ok(Reply::Error(RpcError { code, message: message.to_owned(), data }))
}

fn broken(code: i64) -> Fault {
    Fault::upstream(FaultKind::Failed, format!("the upstream answered with error {code}"))
}

/// `{"uri": …}` as errors about resources carry it.
pub(super) fn uri_data(uri: &str) -> RawJson {
    let mut data = b"{\"uri\":".to_vec();
    crate::mcp::json::push_string(&mut data, &crate::scrub::text(uri));
    data.push(b'}');
    RawJson::of_ours(data)
}

/// `{}` as a result.
pub(super) fn nothing() -> Reply {
    Reply::Result(ResultBody::default())
}
