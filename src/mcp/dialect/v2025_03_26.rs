//! 2025-03-26: batches, no version header, no resource links.

use super::{Context, Dialect, Member, Structured, downgrade, v2025_06_18, v2025_11_25};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::method::Method;
use crate::mcp::raw::RawJson;
use crate::vocab::Revision;

pub(super) const DIALECT: Dialect = Dialect {
    revision: Revision::V2025_03_26,
    methods: v2025_06_18::METHODS,
    context: Context::Session,
    version_header: false,
    batches: true,
    completions: true,
    structured: Structured::None,
    questions: ClientCaps { sampling: true, roots: true, ..ClientCaps::NONE },
    member,
    error: v2025_11_25::session_error,
};

/// Kinds of content that came later.
const LATER: &[&str] = &["resource_link"];

fn member(method: Method, key: &str, value: &RawJson) -> Member {
    match (method, key) {
        (Method::ToolsCall, "content") => downgrade::blocks_to_text(value, LATER),
        (Method::PromptsGet, "messages") => downgrade::message_blocks_to_text(value, LATER),
        _ => v2025_06_18::member(method, key, value),
    }
}
