//! Messages of upstreams, read strictly and lifted to canonical form.
//!
//! One document, one pass. Nothing an upstream wrote leaves except through what is taken apart here.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use super::{Context, Dialect, announced, of};
use crate::mcp::codes;
use crate::mcp::json::{JsonError, Kind, Scanner, unquote, without_halves};
use crate::mcp::keys;
use crate::mcp::raw::{RawId, RawJson, buffer};
use crate::mcp::reply::{Incoming, LogLevel, Notification, Reply, ResultBody, ResultKind, RpcError};
use crate::vocab::Revision;
use crate::vocab::limits::{BATCH_ENTRIES_MAX, NAME_BYTES_MAX, RPC_MESSAGE_BYTES_MAX};

/// Reads one body or one event of an upstream that speaks `revision`: one message, or an array where the revision has them.
///
/// Half of a surrogate pair in a string value, as is left where a text was cut in the middle of a character, is read as U+FFFD.
///
/// # Errors
/// As [`JsonError`]; [`JsonError::Shape`] for JSON that is no message of the revision.
pub fn parse(bytes: &Bytes, revision: Revision, depth_max: usize) -> Result<Vec<Incoming>, JsonError> {
    let text = buffer(bytes.clone())?;
    match messages(&text, revision, depth_max) {
        Err(JsonError::Surrogate) => messages(&without_halves(&text).into_owned().into(), revision, depth_max),
        read => read,
    }
}

fn messages(text: &ByteString, revision: Revision, depth_max: usize) -> Result<Vec<Incoming>, JsonError> {
    let dialect = of(revision);
    let mut scan = Scanner::of_text(text, depth_max)?;
    let mut messages = Vec::with_capacity(1);
    if dialect.batches && scan.peek()? == Kind::Array {
        scan.array(|scan| {
            if messages.len() == BATCH_ENTRIES_MAX {
                return Err(JsonError::Shape("the batch holds too many messages"));
            }
            messages.push(message(scan, text, dialect)?);
            Ok(())
        })?;
    } else {
        messages.push(message(&mut scan, text, dialect)?);
    }
    scan.end()?;
    Ok(messages)
}

#[derive(Default)]
struct Draft {
    version: bool,
    id: Option<RawJson>,
    method: Option<String>,
    params: Option<RawJson>,
    result: Option<ResultBody>,
    error: Option<RpcError>,
}

fn message(scan: &mut Scanner<'_>, buffer: &ByteString, dialect: &Dialect) -> Result<Incoming, JsonError> {
    let mut draft = Draft::default();
    let raw = |span: &str| RawJson::of_span(buffer, span);
    scan.object(|scan, key| {
        match key.as_ref() {
            "jsonrpc" => draft.version = scan.value()? == "\"2.0\"",
            "id" => draft.id = Some(raw(scan.value()?)),
            "method" => draft.method = Some(truncated(scan.string()?, NAME_BYTES_MAX)),
            "params" => draft.params = Some(raw(scan.value()?)),
            "result" => draft.result = Some(result(scan, buffer, dialect)?),
            "error" => draft.error = Some(error(scan, buffer)?),
            _ => {
                scan.value()?;
            }
        }
        Ok(())
    })?;
    if !draft.version {
        return Err(JsonError::Shape("jsonrpc is not \"2.0\""));
    }
    finish(draft, dialect)
}

fn finish(draft: Draft, dialect: &Dialect) -> Result<Incoming, JsonError> {
    let id = draft.id.as_ref().and_then(RawId::of);
    let unreadable_id = draft.id.as_ref().is_some_and(|raw| raw.kind() != Some(Kind::Null)) && id.is_none();
    if unreadable_id {
        return Err(JsonError::Shape("the id is neither a string nor an integer"));
    }
    let has_id = draft.id.is_some();
    match (draft.method, draft.result, draft.error, id) {
        (None, Some(result), None, Some(id)) => Ok(Incoming::Response { id, reply: Reply::Result(result) }),
        (None, None, Some(error), Some(id)) => Ok(Incoming::Response { id, reply: Reply::Error(error) }),
        (None, None, Some(error), None) => Ok(Incoming::Orphan(error)),
        (Some(method), None, None, None) if !has_id => {
            Ok(Incoming::Notification(notification(method, draft.params.as_ref(), dialect)?))
        }
        // No revision after sessions lets a server ask by a request, and none may be answered.
        (Some(method), None, None, Some(_)) if dialect.context == Context::Request => {
            Ok(Incoming::Notification(Notification::Other(method)))
        }
        (Some(method), None, None, Some(id)) => Ok(Incoming::Request { id, method, params: draft.params }),
        _ => Err(JsonError::Shape("not a response, a notification or a request")),
    }
}

fn result(scan: &mut Scanner<'_>, buffer: &ByteString, dialect: &Dialect) -> Result<ResultBody, JsonError> {
    let modern = dialect.context == Context::Request;
    let mut body = ResultBody::default();
    let mut ttl = None;
    scan.object(|scan, key| {
        match key.as_ref() {
            "_meta" => meta(scan, buffer, &mut body)?,
            "resultType" | "ttlMs" | "cacheScope" if !modern => {
                scan.value()?;
            }
            "resultType" => body.kind = kind(scan)?,
            "ttlMs" => ttl = Some((RawJson::of_key(buffer, key), RawJson::of_span(buffer, scan.value()?))),
            "cacheScope" => body.public = scan.value()? == "\"public\"",
            _ => {
                let token = RawJson::of_key(buffer, key);
                body.members.push((token, RawJson::of_span(buffer, scan.value()?)));
            }
        }
        Ok(())
    })?;
    // A task has a `ttlMs` too, and there it is the task's own.
    if body.member("taskId").is_some() {
        body.members.extend(ttl);
    } else {
        body.ttl_ms = ttl.and_then(|(_, value)| value.as_str().parse().ok());
    }
    let empty = body.member("inputRequests").is_none() && body.member("requestState").is_none();
    if body.kind == ResultKind::InputRequired && empty {
        return Err(JsonError::Shape("input is required but nothing is asked"));
    }
    Ok(body)
}

/// Reads a `result` of the newest revision that stands inside another message, which was validated.
///
/// # Errors
/// [`JsonError::Shape`] for what is no result.
pub(in crate::mcp) fn parse_result(raw: &RawJson) -> Result<ResultBody, JsonError> {
    result(&mut raw.scanner(), raw.text(), of(Revision::V2026_07_28))
}

/// As [`parse_result`], for an `error`.
///
/// # Errors
/// [`JsonError::Shape`] for what is no error.
pub(in crate::mcp) fn parse_error(raw: &RawJson) -> Result<RpcError, JsonError> {
    error(&mut raw.scanner(), raw.text())
}

fn kind(scan: &mut Scanner<'_>) -> Result<ResultKind, JsonError> {
    match scan.value()? {
        "\"complete\"" => Ok(ResultKind::Complete),
        "\"input_required\"" => Ok(ResultKind::InputRequired),
        "\"task\"" => Ok(ResultKind::Task),
        _ => Err(JsonError::Shape("unknown resultType")),
    }
}

/// Keeps `_meta`, but for what the gateway writes itself: an upstream must not speak in its name.
fn meta(scan: &mut Scanner<'_>, buffer: &ByteString, body: &mut ResultBody) -> Result<(), JsonError> {
    if scan.peek()? != Kind::Object {
        return Err(JsonError::Shape("_meta is not an object"));
    }
    scan.object(|scan, key| {
        let value = scan.value()?;
        if !is_ours(key) {
            body.meta.push((RawJson::of_key(buffer, key), RawJson::of_span(buffer, value)));
        }
        Ok(())
    })?;
    Ok(())
}

fn is_ours(key: &str) -> bool {
    let prefix = key.split('/').next().unwrap_or_default().trim();
    prefix.eq_ignore_ascii_case("dev.portcullis") || key == keys::SERVER_INFO || keys::is_disguised(key, &[keys::SERVER_INFO])
}

fn error(scan: &mut Scanner<'_>, buffer: &ByteString) -> Result<RpcError, JsonError> {
    let (mut code, mut message, mut data) = (None, String::new(), None);
    scan.object(|scan, key| {
        match key.as_ref() {
            "code" => code = scan.value()?.parse::<i64>().ok(),
            "message" if scan.peek()? == Kind::String => message = truncated(scan.string()?, RPC_MESSAGE_BYTES_MAX),
            "data" => data = Some(RawJson::of_span(buffer, scan.value()?)),
            _ => {
                scan.value()?;
            }
        }
        Ok(())
    })?;
    let code = match code.ok_or(JsonError::Shape("an error's code is not an integer"))? {
        codes::RESOURCE_NOT_FOUND => codes::INVALID_PARAMS,
        code => code,
    };
    Ok(RpcError { code, message, data })
}

fn notification(method: String, params: Option<&RawJson>, dialect: &Dialect) -> Result<Notification, JsonError> {
    let params = params.filter(|p| p.kind() == Some(Kind::Object));
    let read = match (method.as_str(), params) {
        ("notifications/progress", Some(params)) => progress(params)?,
        ("notifications/message", Some(params)) => {
            let level = member(params, "level")?.and_then(|l| unquote(l.as_str()).ok().and_then(|l| LogLevel::parse(&l)));
            level.map(|level| Notification::Log { params: params.clone(), level })
        }
        ("notifications/cancelled", Some(params)) => {
            member(params, "requestId")?.as_ref().and_then(RawId::of).map(Notification::Cancelled)
        }
        (method, params) => announced::read(method, params, dialect)?,
    };
    Ok(read.unwrap_or(Notification::Other(method)))
}

fn progress(params: &RawJson) -> Result<Option<Notification>, JsonError> {
    let (mut token, mut number, mut members) = (None, false, Vec::new());
    params.scanner().object(|scan, key| {
        let kind = scan.peek()?;
        let value = params.part(scan.value()?);
        match (key.as_ref(), kind) {
            ("progressToken", _) => token = RawId::of(&value),
            ("progress", Kind::Number) => {
                number = true;
                members.push((RawJson::of_static("\"progress\""), value));
            }
            ("total", Kind::Number) => members.push((RawJson::of_static("\"total\""), value)),
            ("message", Kind::String) => members.push((RawJson::of_static("\"message\""), value)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(token.filter(|_| number).map(|token| Notification::Progress { token, members }))
}

fn member(object: &RawJson, name: &str) -> Result<Option<RawJson>, JsonError> {
    let mut found = None;
    object.scanner().object(|scan, key| {
        let value = scan.value()?;
        if key == name {
            found = Some(object.part(value));
        }
        Ok(())
    })?;
    Ok(found)
}

fn truncated(text: Cow<'_, str>, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    text.get(..end).unwrap_or_default().to_owned()
}
