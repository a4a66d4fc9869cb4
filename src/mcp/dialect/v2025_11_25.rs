//! 2025-11-25: the last revision with sessions; experimental tasks, URL elicitation as an error code.

use super::{Context, Dialect, Member, Structured, downgrade};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::codes;
use crate::mcp::method::Method;
use crate::mcp::raw::RawJson;
use crate::mcp::reply::RpcError;
use crate::vocab::Revision;

pub(super) const DIALECT: Dialect = Dialect {
    revision: Revision::V2025_11_25,
    methods: &[
        Method::Initialize,
        Method::Ping,
        Method::ToolsList,
        Method::ToolsCall,
        Method::PromptsList,
        Method::PromptsGet,
        Method::ResourcesList,
        Method::ResourceTemplatesList,
        Method::ResourcesRead,
        Method::ResourcesSubscribe,
        Method::ResourcesUnsubscribe,
        Method::Complete,
        Method::SetLevel,
        Method::TasksGet,
        Method::TasksResult,
        Method::TasksList,
        Method::TasksCancel,
    ],
    context: Context::Session,
    version_header: true,
    batches: false,
    completions: true,
    structured: Structured::Objects,
    questions: ClientCaps::ALL,
    member,
    error,
};

/// Structured content, output schemas and schemas of properties were objects until here.
pub(super) fn member(method: Method, key: &str, value: &RawJson) -> Member {
    match (method, key) {
        (Method::ToolsCall, "structuredContent") => downgrade::object_only(value),
        (Method::ToolsList, "tools") => downgrade::plain_schemas(value),
        (Method::Complete, "completion") => downgrade::fewer_values(value),
        _ => Member::Keep,
    }
}

fn error(method: Method, error: &RpcError) -> (u16, i64) {
    match error.code {
        codes::URL_ELICITATION_REQUIRED => (200, error.code),
        _ => session_error(method, error),
    }
}

/// Errors as every revision with sessions says them: a missing resource has a code of its own; the codes that came with
/// 2026-07-28 do not exist.
pub(super) fn session_error(method: Method, error: &RpcError) -> (u16, i64) {
    let about_resource = matches!(method, Method::ResourcesRead | Method::ResourcesSubscribe);
    let missing = about_resource && error.data.as_ref().is_some_and(|d| downgrade::has_member(d, "uri"));
    let code = match error.code {
        codes::INVALID_PARAMS if missing => codes::RESOURCE_NOT_FOUND,
        -32_099..=-32_020 => codes::INTERNAL_ERROR,
        code => code,
    };
    (200, code)
}
