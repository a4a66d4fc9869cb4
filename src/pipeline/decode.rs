//! From body bytes to what is asked: one strict pass, the era, the session, the dialect.

use bytes::Bytes;
use http::request::Parts;

use super::ctx::Ctx;
use super::line;
use super::question;
use super::refusal::Refusal;
use super::session::Session;
use crate::mcp::decode::decode;
use crate::mcp::dialect::{self, Operation};
use crate::mcp::era::{self, Era};
use crate::mcp::error::ProtocolError;
use crate::mcp::headers::{self, McpHeaders};
use crate::mcp::{Body, Message, Method, Outcome, RawId, Shape};
use crate::vocab::Revision;

/// What one POST asks for.
pub(super) enum Asking {
    /// A request of a revision.
    Operation(Box<Operation>),
    /// The opening of a legacy session.
    Handshake(Box<Message>),
    /// A notification.
    Notification(Box<Message>),
    /// A client's answer to a question: the question's id and what it says.
    Response(RawId, Outcome),
    /// Several of these (2025-03-26).
    Batch(Vec<Message>),
}

/// Says what a body asks for. Sets revision, session, id and method of `ctx`.
///
/// # Errors
/// Every protocol error of the message, its headers and their agreement.
pub(super) fn read<'a>(ctx: &mut Ctx, parts: &'a Parts, body: &Bytes) -> Result<(Asking, McpHeaders<'a>), Refusal> {
    let mut headers = McpHeaders::read(&parts.headers)?;
    ctx.streams = headers.accepts_sse;
    if let Some(name) = parts.uri.query().and_then(line::named) {
        by_line(ctx, &mut headers, name)?;
    }
    let asking = match decode(body, ctx.world.bounds.depth)? {
        Body::Single(message) => single(ctx, &headers, message),
        Body::Batch(messages) => batch(ctx, &headers, messages),
    };
    Ok((asking?, headers))
}

/// The message came by a line of HTTP+SSE: that is its session, and its answer an event.
fn by_line<'a>(ctx: &mut Ctx, headers: &mut McpHeaders<'a>, name: &'a str) -> Result<(), Refusal> {
    if headers.session.is_some() {
        return Err(ProtocolError::invalid_request("A line has no Mcp-Session-Id").into());
    }
    let mut session = find(ctx, name)?;
    ctx.asked.line = Some(ctx.gateway.streams.lines.of(&mut session)?);
    headers.session = Some(name);
    ctx.streams = true;
    Ok(())
}

fn single(ctx: &mut Ctx, headers: &McpHeaders<'_>, message: Box<Message>) -> Result<Asking, Refusal> {
    identify(ctx, &message);
    let floor = ctx.route()?.floor;
    match era::decide(headers, &message, floor)? {
        Era::Handshake => {
            headers::agree(headers, &message, Revision::NEWEST_WITH_SESSIONS)?;
            Ok(Asking::Handshake(message))
        }
        Era::Modern => {
            ctx.asked.revision = Some(Revision::V2026_07_28);
            headers::agree(headers, &message, Revision::V2026_07_28)?;
            Ok(match message.shape {
                Shape::Request => {
                    let operation = dialect::lift_request(Revision::V2026_07_28, *message)?;
                    ctx.asked.caps = question::declared(&operation)?;
                    Asking::Operation(Box::new(operation))
                }
                Shape::Notification | Shape::Response => Asking::Notification(message),
            })
        }
        Era::Session { header } => {
            let session = session(ctx, headers, header, message.id.as_ref())?;
            headers::agree(headers, &message, session.revision)?;
            lift(session.revision, message)
        }
    }
}

/// What a message of a legacy session asks for.
///
/// # Errors
/// As the dialect's `lift_request`.
pub(super) fn lift(revision: Revision, message: Box<Message>) -> Result<Asking, Refusal> {
    Ok(match message.shape {
        Shape::Request => Asking::Operation(Box::new(dialect::lift_request(revision, *message)?)),
        Shape::Notification => Asking::Notification(message),
        Shape::Response => {
            let Message { id, outcome, .. } = *message;
            let whole = id.zip(outcome).ok_or_else(|| ProtocolError::invalid_request("not a response"))?;
            Asking::Response(whole.0, whole.1)
        }
    })
}

fn batch(ctx: &mut Ctx, headers: &McpHeaders<'_>, messages: Vec<Message>) -> Result<Asking, Refusal> {
    let floor = ctx.route()?.floor;
    let no_batches = || ProtocolError::invalid_request("this revision has no batches");
    let Era::Session { header } = era::decide_batch(headers, &messages, floor)? else { return Err(no_batches().into()) };
    let session = session(ctx, headers, header, None)?;
    if session.revision != Revision::V2025_03_26 {
        return Err(no_batches().into());
    }
    messages.iter().try_for_each(|message| headers::agree(headers, message, session.revision))?;
    Ok(Asking::Batch(messages))
}

/// The session that the request names. Its revision and the header must agree.
fn session(ctx: &mut Ctx, headers: &McpHeaders<'_>, header: Option<Revision>, id: Option<&RawId>) -> Result<Session, Refusal> {
    let text = headers.session.ok_or_else(|| missing().with_id(id))?;
    let mut session = find(ctx, text).map_err(|error| error.with_id(id))?;
    if header.is_some_and(|header| header != session.revision) {
        return Err(other_version().with_id(id).into());
    }
    if ctx.asked.line.is_some() {
        // What the client can be asked was said later than the line was named.
        ctx.gateway.streams.lines.of(&mut session)?;
    }
    ctx.asked.revision = Some(session.revision);
    ctx.asked.session = Some(session);
    ctx.asked.caps = session.caps;
    Ok(session)
}

/// The session that the headers of a GET or DELETE name, if the version that they name is its own.
///
/// # Errors
/// 400 without a session id or with another version, 404 as [`find`].
pub(super) fn named(ctx: &Ctx, headers: &McpHeaders<'_>) -> Result<Session, ProtocolError> {
    let session = find(ctx, headers.session.ok_or_else(missing)?)?;
    match headers.version {
        Some(version) if Revision::parse(version) != Some(session.revision) => Err(other_version()),
        _ => Ok(session),
    }
}

fn missing() -> ProtocolError {
    ProtocolError::invalid_request("the Mcp-Session-Id header is missing: open a session with initialize")
}

fn other_version() -> ProtocolError {
    ProtocolError::invalid_request("MCP-Protocol-Version is not the version of this session")
}

/// Opens a session id.
///
/// # Errors
/// 404, for an unknown, foreign, ended or expired one alike, and for one of a revision that is no longer served.
pub(super) fn find(ctx: &Ctx, text: &str) -> Result<Session, ProtocolError> {
    let unknown = |_| ProtocolError::unknown_session();
    let (Ok(route), Ok(principal)) = (ctx.route(), ctx.principal()) else { return Err(ProtocolError::unknown_session()) };
    let (gateway, now_s) = (&ctx.gateway, ctx.gateway.clock.unix_s());
    let session = match ctx.memory.session(principal, &route.path, text) {
        Some(session) => gateway.sessions.going_on(&principal.key(), session, now_s).map_err(unknown)?,
        None => {
            let session = gateway.sessions.find(&gateway.sealer, &principal.key(), &route.path, text, now_s).map_err(unknown)?;
            ctx.memory.keep_session(principal, &route.path, text, session);
            session
        }
    };
    // A reload may have raised the floor since: the client opens a session anew, of a revision that is still served.
    if session.revision < route.floor { Err(ProtocolError::unknown_session()) } else { Ok(session) }
}

/// Takes over what refusals and the record need to know of `message`.
pub(super) fn identify(ctx: &mut Ctx, message: &Message) {
    ctx.asked.id.clone_from(&message.id);
    ctx.asked.method = (message.shape == Shape::Request).then_some(message.method);
    ctx.asked.uri.clone_from(&message.params.uri);
    let meta = &message.params.meta;
    ctx.trust_message(meta.traceparent.as_deref(), meta.tracestate.as_deref());
    ctx.note(|draft| {
        if let Some(id) = &message.id {
            draft.set_rpc_id(id.as_str());
        }
        match message.shape {
            Shape::Request if message.method != Method::Unknown => draft.set_method(message.method.as_str()),
            Shape::Request | Shape::Notification => draft.set_method(message.method_name.clone()),
            Shape::Response => draft.set_method("response"),
        }
    });
}
