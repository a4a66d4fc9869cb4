//! Tasks on the wire: the extension `io.modelcontextprotocol/tasks` (2026-07-28) and the core feature of 2025-11-25, which share
//! names and not forms. Nothing of a task leaves but what is read here.

use super::codes;
use super::dialect::incoming;
use super::json::{JsonError, Kind, means, unquote};
use super::pointer;
use super::raw::RawJson;
use super::reply::{ResultBody, ResultKind, RpcError};
use super::write::{Object, object};
use crate::vocab::limits::TASK_OWN_ID_BYTES_MAX;

/// Name of the extension.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Key of `_meta` that ties a message to a task (2025-11-25).
const RELATED: &str = "io.modelcontextprotocol/related-task";
/// A `capabilities` object, of a client or a server, with the extension and nothing else.
const ONLY: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

/// How a task is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The extension.
    Extension,
    /// 2025-11-25.
    Session,
}

/// Whether a tool can be called as a task (`execution.taskSupport`, 2025-11-25).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Support {
    /// No, also where nothing is said.
    #[default]
    Forbidden,
    /// As the caller likes.
    Optional,
    /// Only so.
    Required,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the status of that name")]
pub enum Status {
    Working,
    InputRequired,
    Completed,
    Cancelled,
    Failed,
}

impl Status {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "working" => Self::Working,
            "input_required" => Self::InputRequired,
            "completed" => Self::Completed,
            "cancelled" => Self::Cancelled,
            "failed" => Self::Failed,
            _ => return None,
        })
    }

    /// True for the three from which no task comes back.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed)
    }
}

/// What an upstream says of a task.
#[derive(Clone, Debug)]
pub struct Task {
    /// The upstream's own id.
    pub id: String,
    /// Where it is.
    pub status: Status,
    /// How long it is kept from its creation, in milliseconds; `None` for ever.
    pub ttl_ms: Option<u64>,
    /// How long to wait between two looks.
    pub poll_ms: Option<u64>,
    /// `statusMessage`: a string.
    pub message: Option<RawJson>,
    /// `inputRequests`: an object (extension).
    pub input_requests: Option<RawJson>,
    /// `result`: an object (extension).
    pub result: Option<RawJson>,
    /// `error` (extension).
    pub error: Option<RpcError>,
    /// What every form of the task shows besides its id: key as its JSON token, value.
    shown: Vec<(RawJson, RawJson)>,
}

impl Task {
    /// Reads the task that stands in `body`: an answer to `tasks/get`, or one that made a task.
    ///
    /// # Errors
    /// [`JsonError::Shape`] for what is no task of this form.
    pub fn read(form: Form, body: &ResultBody) -> Result<Self, JsonError> {
        Self::of(form, &body.members)
    }

    /// Reads what `tools/call` answered where a task was asked for (2025-11-25); `None` if none was made.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn created_in_session(body: &ResultBody) -> Result<Option<Self>, JsonError> {
        let Some(task) = body.member("task") else { return Ok(None) };
        if task.kind() != Some(Kind::Object) {
            return Err(JsonError::Shape("a task is an object"));
        }
        let mut members = Vec::new();
        task.scanner().object(|scan, key| {
            members.push((RawJson::of_text(key), task.part(scan.value()?)));
            Ok(())
        })?;
        Self::of(Form::Session, &members).map(Some)
    }

    fn of(form: Form, members: &[(RawJson, RawJson)]) -> Result<Self, JsonError> {
        let (ttl, poll) = match form {
            Form::Extension => ("ttlMs", "pollIntervalMs"),
            Form::Session => ("ttl", "pollInterval"),
        };
        let member = |name: &str| members.iter().find(|(key, _)| means(key.as_str(), name)).map(|(_, value)| value);
        let of_kind = |name: &str, kind| member(name).filter(|value| value.kind() == Some(kind));
        let id = of_kind("taskId", Kind::String).ok_or(JsonError::Shape("a task has an id"))?;
        let id = unquote(id.as_str())?.into_owned();
        if id.is_empty() || id.len() > TASK_OWN_ID_BYTES_MAX {
            return Err(JsonError::Shape("a task's id is too long, or empty"));
        }
        let word = of_kind("status", Kind::String).map(|word| unquote(word.as_str())).transpose()?;
        let status = word.and_then(|word| Status::parse(&word)).ok_or(JsonError::Shape("a task has a status"))?;
        let whole = |name| member(name).and_then(|value| value.as_str().parse::<u64>().ok());
        let mut shown = Vec::new();
        for (name, kind) in [
            ("status", Kind::String),
            ("statusMessage", Kind::String),
            ("createdAt", Kind::String),
            ("lastUpdatedAt", Kind::String),
        ] {
            shown.extend(of_kind(name, kind).map(|value| (RawJson::of_text(name), value.clone())));
        }
        // A task without a time of its own is kept for ever, as far as anybody knows.
        let kept = whole(ttl);
        let written = |ms: u64| RawJson::of_ours(ms.to_string().into_bytes());
        shown.push((RawJson::of_text(ttl), kept.map_or(RawJson::of_static("null"), written)));
        let poll_ms = whole(poll).filter(|ms| *ms > 0);
        shown.extend(poll_ms.map(|ms| (RawJson::of_text(poll), written(ms))));
        let extension = |name| of_kind(name, Kind::Object).filter(|_| form == Form::Extension);
        Ok(Self {
            id,
            status,
            ttl_ms: kept,
            poll_ms,
            message: of_kind("statusMessage", Kind::String).cloned(),
            input_requests: extension("inputRequests").filter(|_| status == Status::InputRequired).cloned(),
            result: extension("result").filter(|_| status == Status::Completed).cloned(),
            error: extension("error").filter(|_| status == Status::Failed).map(incoming::parse_error).transpose()?,
            shown,
        })
    }

    /// The members of the task, known to the client as `id`, without `inputRequests`, `result` and `error`.
    pub fn members(&self, id: &str) -> Vec<(RawJson, RawJson)> {
        let mut members = vec![(RawJson::of_static("\"taskId\""), RawJson::of_text(id))];
        members.extend(self.shown.iter().cloned());
        members
    }

    /// The answer to the call that made it, for a client that knows the task as `id`.
    pub fn created(&self, form: Form, id: &str) -> ResultBody {
        let members = self.members(id);
        match form {
            Form::Extension => ResultBody { kind: ResultKind::Task, members, ..ResultBody::default() },
            Form::Session => {
                let task = object(|out| {
                    out.members(&members);
                });
                ResultBody { members: vec![(RawJson::of_static("\"task\""), task)], ..ResultBody::default() }
            }
        }
    }
}

/// A `result` that stands inside a task, as the answer to the call that made it.
///
/// # Errors
/// [`JsonError::Shape`] for what is no final result.
pub fn outcome(result: &RawJson) -> Result<ResultBody, JsonError> {
    let mut body = incoming::parse_result(result)?;
    if body.kind != ResultKind::Complete {
        return Err(JsonError::Shape("a task ended in a result that is not final"));
    }
    unrelate(&mut body);
    Ok(body)
}

/// The reverse of [`outcome`].
pub fn inlined(body: &ResultBody) -> RawJson {
    object(|out| {
        out.members(&body.members);
        if !body.meta.is_empty() {
            out.object("_meta", |meta| {
                meta.members(&body.meta);
            });
        }
    })
}

/// Takes out what ties a result to a task: whoever called the tool plainly knows of none.
pub fn unrelate(body: &mut ResultBody) {
    body.meta.retain(|(key, _)| !means(key.as_str(), RELATED));
}

/// Ties a result to the task that the client knows as `id` (2025-11-25).
pub fn relate(body: &mut ResultBody, id: &str) {
    unrelate(body);
    body.meta.push((RawJson::of_text(RELATED), by_id(id)));
}

fn by_id(id: &str) -> RawJson {
    object(|out| {
        out.text("taskId", id);
    })
}

/// Ties a request or notification of ours to the task that the client knows as `id` (2025-11-25).
pub fn related(message: Vec<u8>, id: &str) -> Vec<u8> {
    let tie = |out: &mut Object<'_>| {
        out.raw_named(RELATED, by_id(id).as_bytes());
    };
    let message = RawJson::of_ours(message);
    let Some(params) = pointer::at(&message, "/params").filter(|params| params.kind() == Some(Kind::Object)) else {
        let Some(open) = message.as_str().strip_suffix('}') else { return message.as_bytes().to_vec() };
        let params = object(|out| {
            out.object("_meta", tie);
        });
        return [open, ",\"params\":", params.as_str(), "}"].concat().into_bytes();
    };
    let mut kept = Vec::new();
    let mut meta = Vec::new();
    // What was written here can be read.
    let _: Result<_, JsonError> = params.scanner().object(|scan, key| {
        let value = params.part(scan.value()?);
        if key != "_meta" {
            kept.push((RawJson::of_text(key), value));
            return Ok(());
        }
        value.scanner().object(|scan, key| {
            let value = value.part(scan.value()?);
            meta.push((RawJson::of_text(key), value));
            Ok(())
        })?;
        Ok(())
    });
    meta.retain(|(key, _)| !means(key.as_str(), RELATED));
    let tied = object(|out| {
        out.members(&kept).object("_meta", |out| tie(out.members(&meta)));
    });
    let at = message.range_of(params.as_str());
    message.spliced(&[(at, tied)]).as_bytes().to_vec()
}

/// Whether a client's `capabilities` declare the extension.
pub fn is_declared(capabilities: &RawJson) -> bool {
    pointer::at(capabilities, "/extensions/io.modelcontextprotocol~1tasks").is_some_and(|it| it.kind() == Some(Kind::Object))
}

/// `capabilities`, which declare no extension, with this one.
pub fn declaring(capabilities: &RawJson) -> RawJson {
    match capabilities.as_str().strip_suffix('}') {
        Some("{") | None => required(),
        Some(others) => {
            let only = ONLY.strip_prefix('{').unwrap_or_default();
            RawJson::of_ours(format!("{others},{only}").into_bytes())
        }
    }
}

/// The `requiredCapabilities` of an error for want of the extension.
pub fn required() -> RawJson {
    RawJson::of_static(ONLY)
}

/// Whether an upstream refuses to serve who does not declare the extension (-32021).
pub fn is_demanded_by(error: &RpcError) -> bool {
    let required = || pointer::at(error.data.as_ref()?, "/requiredCapabilities");
    error.code == codes::MISSING_CAPABILITY && required().is_some_and(|required| is_declared(&required))
}

/// `ttl` of a client's `task` (2025-11-25), in milliseconds.
pub fn wanted_ttl_ms(task: &RawJson) -> Option<u64> {
    pointer::at(task, "/ttl")?.as_str().parse().ok()
}

#[cfg(test)]
mod tests;
