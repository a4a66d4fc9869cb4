//! What a client asks, asked of an upstream unchanged.

use portcullis::mcp::dialect::Operation;
use portcullis::mcp::{LogLevel, Method, Outgoing, RawJson};

/// The methods that go on to an upstream.
pub(crate) const GOING_ON: &[Method] = &[
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

/// Every member that can go on.
pub(crate) fn echo(operation: &Operation) -> Outgoing {
    let params = &operation.params;
    Outgoing {
        name: params.name.clone(),
        uri: params.uri.clone(),
        arguments: params.arguments.clone(),
        cursor: params.cursor.clone(),
        reference: params.reference.clone(),
        argument: params.argument.clone(),
        context: params.context.clone(),
        level: params.level.as_deref().and_then(LogLevel::parse),
        input_responses: params.input_responses.clone(),
        request_state: params.request_state.clone(),
        client_capabilities: operation.client_capabilities.clone().unwrap_or_else(|| RawJson::of_static("{}")),
        log_level: operation.log_level,
        wants_progress: operation.wants_progress.is_some(),
        ..Outgoing::new(operation.method)
    }
}
