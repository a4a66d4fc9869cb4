//! 2025-06-18: structured content, resource links, `MCP-Protocol-Version`; no batches any more.

use super::{Context, Dialect, Member, Structured, downgrade, v2025_11_25};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::method::Method;
use crate::mcp::raw::RawJson;
use crate::vocab::Revision;

pub(super) const DIALECT: Dialect = Dialect {
    revision: Revision::V2025_06_18,
    methods: METHODS,
    context: Context::Session,
    version_header: true,
    batches: false,
    completions: true,
    structured: Structured::Objects,
    questions: ClientCaps { elicitation_form: true, sampling: true, roots: true, ..ClientCaps::NONE },
    member,
    error: v2025_11_25::session_error,
};

/// The methods of the revisions before tasks.
pub(super) const METHODS: &[Method] = &[
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
];

/// Tools did not say how they are executed until 2025-11-25.
pub(super) fn member(method: Method, key: &str, value: &RawJson) -> Member {
    match (method, key) {
        (Method::ToolsList, "tools") => downgrade::both(value, downgrade::plain_schemas, downgrade::without_execution),
        _ => v2025_11_25::member(method, key, value),
    }
}
