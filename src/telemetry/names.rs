//! Names of metrics and span attributes: OpenTelemetry's semantic conventions for MCP and GenAI, and our own.

/// Duration of a request as the gateway served it.
pub const SERVER_DURATION: &str = "mcp.server.operation.duration";
/// Duration of a request as an upstream served it.
pub const CLIENT_DURATION: &str = "mcp.client.operation.duration";
/// JSON-RPC method.
pub const METHOD_NAME: &str = "mcp.method.name";
/// Tool, from the catalog only.
pub const TOOL_NAME: &str = "gen_ai.tool.name";
/// What a span of a tool is about, in the words of the conventions for GenAI.
pub const OPERATION_NAME: &str = "gen_ai.operation.name";
/// Protocol revision.
pub const PROTOCOL_VERSION: &str = "mcp.protocol.version";
/// JSON-RPC id.
pub const REQUEST_ID: &str = "jsonrpc.request.id";
/// What failed, from a closed list.
pub const ERROR_TYPE: &str = "error.type";
/// Prefix of our own metrics.
pub const PREFIX: &str = "portcullis";

/// The tool label of what the catalog does not know.
pub const UNKNOWN: &str = "";
/// The label of what has no room of its own.
pub const OTHER: &str = "other";
/// `error.type` of a tool result with `isError`.
pub const TOOL_ERROR: &str = "tool_error";
