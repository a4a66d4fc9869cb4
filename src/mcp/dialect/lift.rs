//! Requests of clients, lifted to canonical form.

use super::{Context, of};
use crate::mcp::error::ProtocolError;
use crate::mcp::json::{JsonError, Kind};
use crate::mcp::message::{Message, Params, Shape};
use crate::mcp::method::Method;
use crate::mcp::raw::{RawId, RawJson};
use crate::mcp::reply::LogLevel;
use crate::vocab::Revision;

/// What a client asks for: a method that its revision has, with everything that method needs.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The revision the client speaks.
    pub revision: Revision,
    /// The id the answer must carry.
    pub id: RawId,
    /// The method; never [`Method::Unknown`].
    pub method: Method,
    /// Its parameters.
    pub params: Params,
    /// What the client can do, where the request says so itself; else the session knows.
    pub client_capabilities: Option<RawJson>,
    /// Log messages wanted on this request's stream, where the request says so itself.
    pub log_level: Option<LogLevel>,
    /// The client's progress token.
    pub wants_progress: Option<RawId>,
}

/// Lifts a request.
///
/// # Errors
/// -32601 for a method the revision does not have, -32602 for missing or wrong parameters, -32600 for what is no request;
/// with the message's id.
pub fn lift_request(revision: Revision, message: Message) -> Result<Operation, ProtocolError> {
    let Message { shape, id, method, mut params, .. } = message;
    let Some(id) = id.filter(|_| shape == Shape::Request) else {
        return Err(ProtocolError::invalid_request("Not a request"));
    };
    let dialect = of(revision);
    let refuse = |error: ProtocolError| error.with_id(Some(&id));
    if !dialect.has(method) {
        return Err(refuse(ProtocolError::method_not_found(revision)));
    }
    require(method, &params).map_err(refuse)?;
    let mut operation = Operation {
        revision,
        id: id.clone(),
        method,
        client_capabilities: None,
        log_level: None,
        wants_progress: params.meta.progress_token.clone(),
        params: Params::default(),
    };
    match dialect.context {
        Context::Session => (params.input_responses, params.request_state) = (None, None),
        Context::Request => {
            if !method.asks_back() {
                params.request_state = None;
                params.input_responses.take_if(|_| method != Method::TasksUpdate);
            }
            operation.client_capabilities = params.meta.client_capabilities.clone();
            operation.log_level = match params.meta.log_level.as_deref() {
                None => None,
                Some(name) => Some(LogLevel::parse(name).ok_or_else(|| refuse(BAD_LEVEL))?),
            };
        }
    }
    operation.params = params;
    Ok(operation)
}

const BAD_LEVEL: ProtocolError = ProtocolError::invalid_params("Unknown log level");

fn require(method: Method, params: &Params) -> Result<(), ProtocolError> {
    let missing = |text, present: bool| if present { Ok(()) } else { Err(ProtocolError::invalid_params(text)) };
    match method {
        Method::ToolsCall => missing("A tool's name is required", params.name.is_some()),
        Method::PromptsGet => {
            missing("A prompt's name is required", params.name.is_some())?;
            missing("A prompt's arguments must be strings", params.arguments.as_ref().is_none_or(all_strings))
        }
        Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
            missing("A resource's uri is required", params.uri.is_some())
        }
        Method::Complete => {
            missing("ref is required", params.reference.is_some())?;
            let named = params.argument.as_ref().is_some_and(|a| is_argument(a).unwrap_or(false));
            missing("argument must have a name and a value", named)
        }
        Method::SetLevel => {
            missing("level is required", params.level.is_some())?;
            if params.level.as_deref().and_then(LogLevel::parse).is_none() { Err(BAD_LEVEL) } else { Ok(()) }
        }
        Method::Initialize => {
            missing("protocolVersion is required", params.protocol_version.is_some())?;
            missing("capabilities is required", params.capabilities.is_some())
        }
        Method::Listen => missing("notifications is required", params.notifications.is_some()),
        Method::TasksGet | Method::TasksResult | Method::TasksUpdate | Method::TasksCancel => {
            missing("taskId is required", params.task_id.is_some())
        }
        _ => Ok(()),
    }
}

fn all_strings(object: &RawJson) -> bool {
    let mut scan = object.scanner();
    let read = scan.object(|scan, _| match scan.peek()? {
        Kind::String => scan.value().map(|_| ()),
        _ => Err(JsonError::Shape("expected a string")),
    });
    read.is_ok()
}

/// True for `{name: string, value: string}`.
fn is_argument(argument: &RawJson) -> Result<bool, JsonError> {
    let (mut name, mut value) = (false, false);
    argument.scanner().object(|scan, key| {
        let text = scan.peek()? == Kind::String;
        match key.as_ref() {
            "name" => name = text,
            "value" => value = text,
            _ => {}
        }
        scan.value().map(|_| ())
    })?;
    Ok(name && value)
}
