//! 2026-07-28: no handshake, no session; every request carries its context, every result its kind.

use super::{Context, Dialect, Member, Structured, downgrade};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::codes;
use crate::mcp::method::Method;
use crate::mcp::raw::RawJson;
use crate::mcp::reply::RpcError;
use crate::vocab::Revision;

pub(super) const DIALECT: Dialect = Dialect {
    revision: Revision::V2026_07_28,
    methods: &[
        Method::Discover,
        Method::ToolsList,
        Method::ToolsCall,
        Method::PromptsList,
        Method::PromptsGet,
        Method::ResourcesList,
        Method::ResourceTemplatesList,
        Method::ResourcesRead,
        Method::Complete,
        Method::Listen,
        Method::TasksGet,
        Method::TasksUpdate,
        Method::TasksCancel,
    ],
    context: Context::Request,
    version_header: true,
    batches: false,
    completions: true,
    structured: Structured::Any,
    questions: ClientCaps::ALL,
    member,
    error,
};

/// Whether a tool is a task is its server's choice from here on.
fn member(method: Method, key: &str, value: &RawJson) -> Member {
    match (method, key) {
        (Method::ToolsList, "tools") => downgrade::without_execution(value),
        (Method::Complete, "completion") => downgrade::fewer_values(value),
        _ => Member::Keep,
    }
}

/// Codes reserved for the protocol are the gateway's own to send (as [`crate::mcp::ProtocolError`]): what an upstream says
/// with them is about the gateway, not about this client.
fn error(_: Method, error: &RpcError) -> (u16, i64) {
    match error.code {
        codes::METHOD_NOT_FOUND => (404, error.code),
        code if codes::is_reserved(code) => (200, codes::INTERNAL_ERROR),
        code => (200, code),
    }
}
