//! The body of a POST, read once: strict JSON-RPC 2.0, strict about every member some revision defines.
//!
//! What is refused here was never understood: unknown or disguised envelope members, wrong types, over-long names.
//! Whether a method exists and has what it needs is the dialect's question.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use super::error::ProtocolError;
use super::json::{JsonError, Kind, Scanner};
use super::keys;
use super::message::{Body, Message, Meta, Outcome, Params, Reference, Shape};
use super::method::Method;
use super::raw::{RawId, RawJson, buffer};
use crate::vocab::limits::{
    BATCH_ENTRIES_MAX, CURSOR_BYTES_MAX, NAME_BYTES_MAX, REQUEST_STATE_BYTES_MAX, RPC_MESSAGE_BYTES_MAX, TASK_ID_BYTES_MAX,
    TRACESTATE_BYTES_MAX, URI_BYTES_MAX, WORD_BYTES_MAX,
};

/// Reads one POST body.
///
/// # Errors
/// -32700 for what is no acceptable JSON, -32600 for the envelope, -32602 for params; status 400; with the id where one
/// message was sent and its id could be read.
pub fn decode(body: &Bytes, depth_max: usize) -> Result<Body, ProtocolError> {
    let body = &buffer(body.clone()).map_err(refuse_json)?;
    let mut scan = Scanner::of_text(body, depth_max).map_err(refuse_json)?;
    match scan.peek().map_err(refuse_json)? {
        Kind::Object => {
            let message = read_message(&mut scan, body).map_err(refuse_json)?;
            scan.end().map_err(refuse_json)?;
            Ok(Body::Single(Box::new(message?)))
        }
        Kind::Array => read_batch(&mut scan, body),
        _ => {
            scan.value().and_then(|_| scan.end()).map_err(refuse_json)?;
            Err(ProtocolError::invalid_request("A message must be an object"))
        }
    }
}

fn read_batch(scan: &mut Scanner<'_>, body: &ByteString) -> Result<Body, ProtocolError> {
    let mut messages = Vec::new();
    let mut fault = None;
    let mut refuse = |error: ProtocolError| {
        fault.get_or_insert(ProtocolError { id: None, ..error });
    };
    let read = scan.array(|scan| {
        if scan.peek()? != Kind::Object {
            refuse(ProtocolError::invalid_request("A batch must hold messages only"));
            return scan.value().map(|_| ());
        }
        match read_message(scan, body)? {
            Ok(message) if messages.len() < BATCH_ENTRIES_MAX => messages.push(message),
            Ok(_) => refuse(ProtocolError::invalid_request("The batch holds too many messages")),
            Err(error) => refuse(error),
        }
        Ok(())
    });
    read.and_then(|_| scan.end()).map_err(refuse_json)?;
    match fault {
        Some(fault) => Err(fault),
        None if messages.is_empty() => Err(ProtocolError::invalid_request("A batch must not be empty")),
        None => Ok(Body::Batch(messages)),
    }
}

/// The outer error ends the document, the inner one only this message: its id is still wanted.
fn read_message(scan: &mut Scanner<'_>, body: &ByteString) -> Result<Result<Message, ProtocolError>, JsonError> {
    let mut reader = Reader { body, fault: None };
    let mut draft = Envelope::default();
    scan.object(|scan, key| reader.envelope(scan, key, &mut draft))?;
    let id = draft.id.clone();
    let message = match reader.fault {
        Some(fault) => Err(fault),
        None => draft.finish(),
    };
    Ok(message.map_err(|error| error.with_id(id.as_ref())))
}

#[derive(Default)]
struct Envelope {
    version: bool,
    id: Option<RawId>,
    method: Option<String>,
    result: Option<Outcome>,
    error: Option<Outcome>,
    params: Params,
}

impl Envelope {
    fn finish(self) -> Result<Message, ProtocolError> {
        if !self.version {
            return Err(ProtocolError::invalid_request("jsonrpc must be \"2.0\""));
        }
        let answers = usize::from(self.result.is_some()) + usize::from(self.error.is_some());
        let shape = match (&self.method, &self.id, answers) {
            (Some(_), Some(_), 0) => Shape::Request,
            (Some(_), None, 0) => Shape::Notification,
            (None, Some(_), 1) if !self.params.present => Shape::Response,
            _ => return Err(ProtocolError::invalid_request("Not a request, a notification or a response")),
        };
        let method_name = self.method.unwrap_or_default();
        let method = if shape == Shape::Request { Method::parse(&method_name) } else { Method::Unknown };
        let outcome = self.result.or(self.error);
        Ok(Message { shape, id: self.id, method_name, method, params: self.params, outcome })
    }
}

/// Reads members; the first wrong one is kept in `fault` while reading goes on, so that the JSON is checked to its end.
struct Reader<'b> {
    body: &'b ByteString,
    fault: Option<ProtocolError>,
}

impl Reader<'_> {
    fn envelope(&mut self, scan: &mut Scanner<'_>, key: &str, to: &mut Envelope) -> Result<(), JsonError> {
        let wrong = ProtocolError::invalid_request;
        match key {
            "jsonrpc" => to.version = scan.value()? == "\"2.0\"",
            "id" => to.id = self.id(scan, wrong("id must be a string or an integer"))?,
            "method" => to.method = self.text(scan, NAME_BYTES_MAX, wrong("method must be a short string"))?,
            "params" if scan.peek()? == Kind::Object => {
                to.params.present = true;
                scan.object(|scan, key| self.params(scan, key, &mut to.params))?;
            }
            "params" => {
                scan.value()?;
                self.refuse(wrong("params must be an object"));
            }
            "result" if scan.peek()? == Kind::Object => {
                to.result = Some(Outcome::Result(RawJson::of_span(self.body, scan.value()?)));
            }
            "error" if scan.peek()? == Kind::Object => {
                to.error = Some(self.error(scan)?);
            }
            _ => {
                scan.value()?;
                self.refuse(wrong("Unknown or misshapen member in the envelope"));
            }
        }
        Ok(())
    }

    fn error(&mut self, scan: &mut Scanner<'_>) -> Result<Outcome, JsonError> {
        let (mut code, mut message) = (None, String::new());
        scan.object(|scan, key| {
            match key.as_ref() {
                "code" => code = scan.value()?.parse().ok(),
                "message" if scan.peek()? == Kind::String => {
                    let text = scan.string()?;
                    let end = text.floor_char_boundary(RPC_MESSAGE_BYTES_MAX);
                    text.get(..end).unwrap_or_default().clone_into(&mut message);
                }
                _ => {
                    scan.value()?;
                }
            }
            Ok(())
        })?;
        if code.is_none() {
            self.refuse(ProtocolError::invalid_request("an error's code must be an integer"));
        }
        Ok(Outcome::Error { code: code.unwrap_or_default(), message })
    }

    fn params(&mut self, scan: &mut Scanner<'_>, key: &str, to: &mut Params) -> Result<(), JsonError> {
        let wrong = ProtocolError::malformed_params;
        match key {
            "name" => to.name = self.text(scan, NAME_BYTES_MAX, wrong("name must be a string of acceptable length"))?,
            "arguments" => to.arguments = self.object(scan, wrong("arguments must be an object"))?,
            "_meta" if scan.peek()? == Kind::Object => {
                scan.object(|scan, key| self.meta(scan, key, &mut to.meta))?;
            }
            "_meta" => {
                scan.value()?;
                self.refuse(wrong("_meta must be an object"));
            }
            "uri" => to.uri = self.text(scan, URI_BYTES_MAX, wrong("uri must be a string of acceptable length"))?,
            "cursor" => to.cursor = self.text(scan, CURSOR_BYTES_MAX, wrong("cursor must be a string of acceptable length"))?,
            "ref" => to.reference = self.reference(scan)?,
            "argument" => to.argument = self.object(scan, wrong("argument must be an object"))?,
            "context" => to.context = self.object(scan, wrong("context must be an object"))?,
            "level" => to.level = self.text(scan, WORD_BYTES_MAX, wrong("level must be a word"))?,
            "inputResponses" => to.input_responses = self.object(scan, wrong("inputResponses must be an object"))?,
            "requestState" => {
                to.request_state = self.text(scan, REQUEST_STATE_BYTES_MAX, wrong("requestState must be a string"))?;
            }
            "notifications" => to.notifications = self.object(scan, wrong("notifications must be an object"))?,
            "protocolVersion" => {
                to.protocol_version = self.text(scan, WORD_BYTES_MAX, wrong("protocolVersion must be a short string"))?;
            }
            "capabilities" => to.capabilities = self.object(scan, wrong("capabilities must be an object"))?,
            "clientInfo" => to.client_info = self.object(scan, wrong("clientInfo must be an object"))?,
            "requestId" => to.request_id = self.id(scan, wrong("requestId must be a string or an integer"))?,
            "taskId" => to.task_id = self.text(scan, TASK_ID_BYTES_MAX, wrong("taskId must be a string of acceptable length"))?,
            "task" => to.task = self.object(scan, wrong("task must be an object"))?,
            other => self.other(scan, other, keys::PARAMS)?,
        }
        Ok(())
    }

    fn meta(&mut self, scan: &mut Scanner<'_>, key: &str, to: &mut Meta) -> Result<(), JsonError> {
        let wrong = ProtocolError::malformed_params;
        match key {
            keys::PROTOCOL_VERSION => {
                to.protocol_version = self.text(scan, WORD_BYTES_MAX, wrong("protocolVersion must be a short string"))?;
            }
            keys::CLIENT_CAPABILITIES => {
                to.client_capabilities = self.object(scan, wrong("clientCapabilities must be an object"))?;
            }
            keys::CLIENT_INFO => to.client_info = self.object(scan, wrong("clientInfo must be an object"))?,
            keys::LOG_LEVEL => to.log_level = self.text(scan, WORD_BYTES_MAX, wrong("logLevel must be a word"))?,
            "progressToken" => to.progress_token = self.id(scan, wrong("progressToken must be a string or an integer"))?,
            "traceparent" => to.traceparent = self.text(scan, NAME_BYTES_MAX, wrong("traceparent must be a short string"))?,
            // What is wrong with it must not matter for anything else (W3C Trace Context, section 3.3).
            "tracestate" if scan.peek()? == Kind::String => {
                to.tracestate = Some(scan.string()?).filter(|text| text.len() <= TRACESTATE_BYTES_MAX).map(Cow::into_owned);
            }
            known if keys::META.contains(&known) => {
                scan.value()?;
            }
            other if keys::is_reserved_meta(other) => self.other(scan, other, keys::META)?,
            other if keys::is_disguised(other, keys::META) => self.other(scan, other, keys::META)?,
            other => to.extra.push((other.to_owned(), RawJson::of_span(self.body, scan.value()?))),
        }
        Ok(())
    }

    fn reference(&mut self, scan: &mut Scanner<'_>) -> Result<Option<Reference>, JsonError> {
        let wrong = ProtocolError::malformed_params("ref must name a prompt or a resource");
        if scan.peek()? != Kind::Object {
            scan.value()?;
            self.refuse(wrong);
            return Ok(None);
        }
        let (mut kind, mut name, mut uri) = (None, None, None);
        scan.object(|scan, key| {
            match key.as_ref() {
                "type" => kind = self.text(scan, WORD_BYTES_MAX, wrong.clone())?,
                "name" => name = self.text(scan, NAME_BYTES_MAX, wrong.clone())?,
                "uri" => uri = self.text(scan, URI_BYTES_MAX, wrong.clone())?,
                other => self.other(scan, other, keys::REFERENCE)?,
            }
            Ok(())
        })?;
        let reference = match (kind.as_deref(), name, uri) {
            (Some("ref/prompt"), Some(name), None) => Some(Reference::Prompt(name)),
            (Some("ref/resource"), None, Some(uri)) => Some(Reference::Resource(uri)),
            _ => None,
        };
        if reference.is_none() {
            self.refuse(wrong);
        }
        Ok(reference)
    }

    /// A member no revision defines is dropped, unless a lenient parser would take it for one that is defined.
    fn other(&mut self, scan: &mut Scanner<'_>, key: &str, known: &[&str]) -> Result<(), JsonError> {
        if !known.contains(&key) && keys::is_disguised(key, known) {
            self.refuse(ProtocolError::malformed_params("A member's name is a variant of a known name"));
        }
        scan.value().map(|_| ())
    }

    fn text(&mut self, scan: &mut Scanner<'_>, bytes_max: usize, wrong: ProtocolError) -> Result<Option<String>, JsonError> {
        if scan.peek()? == Kind::String {
            let text = scan.string()?;
            if text.len() <= bytes_max {
                return Ok(Some(text.into_owned()));
            }
        } else {
            scan.value()?;
        }
        self.refuse(wrong);
        Ok(None)
    }

    fn object(&mut self, scan: &mut Scanner<'_>, wrong: ProtocolError) -> Result<Option<RawJson>, JsonError> {
        let kind = scan.peek()?;
        let span = scan.value()?;
        if kind == Kind::Object {
            return Ok(Some(RawJson::of_span(self.body, span)));
        }
        self.refuse(wrong);
        Ok(None)
    }

    fn id(&mut self, scan: &mut Scanner<'_>, wrong: ProtocolError) -> Result<Option<RawId>, JsonError> {
        let id = RawId::of(&RawJson::of_span(self.body, scan.value()?));
        if id.is_none() {
            self.refuse(wrong);
        }
        Ok(id)
    }

    fn refuse(&mut self, error: ProtocolError) {
        self.fault.get_or_insert(error);
    }
}

fn refuse_json(error: JsonError) -> ProtocolError {
    ProtocolError::parse_error(match error {
        JsonError::Encoding => "The body is not plain UTF-8",
        JsonError::Syntax { .. } | JsonError::Shape(_) => "The body is not valid JSON",
        JsonError::Depth => "The body is nested too deep",
        JsonError::DuplicateKey => "The body has an object with a duplicate key",
        JsonError::Members => "The body has an object with too many members",
        JsonError::Surrogate => "The body has a string with a lone surrogate",
    })
}

#[cfg(test)]
mod tests;
