//! JSON-RPC error codes: those of JSON-RPC 2.0, those the protocol defines, and our own.

/// Not JSON.
pub const PARSE_ERROR: i64 = -32_700;
/// JSON, but no message of this protocol.
pub const INVALID_REQUEST: i64 = -32_600;
/// No such method, or none of an advertised capability.
pub const METHOD_NOT_FOUND: i64 = -32_601;
/// Parameters are missing, of the wrong type, or name what does not exist.
pub const INVALID_PARAMS: i64 = -32_602;
/// Something failed that is not the client's doing.
pub const INTERNAL_ERROR: i64 = -32_603;
/// Headers and body disagree (2026-07-28).
pub const HEADER_MISMATCH: i64 = -32_020;
/// The request needs a capability the client did not declare (2026-07-28).
pub const MISSING_CAPABILITY: i64 = -32_021;
/// The protocol revision is not served here (2026-07-28).
pub const UNSUPPORTED_VERSION: i64 = -32_022;
/// No such resource (2025-11-25 and older).
pub const RESOURCE_NOT_FOUND: i64 = -32_002;
/// A person has to visit a URL first (2025-11-25 only).
pub const URL_ELICITATION_REQUIRED: i64 = -32_042;
/// Policy refused. Ours, outside every reserved range.
pub const POLICY_REFUSED: i64 = -31_000;

/// True for the codes that are reserved for meanings some revision defines, so that no other meaning may use them.
pub fn is_reserved(code: i64) -> bool {
    (-32_099..=-32_000).contains(&code)
}
