//! Every bound in the program that is not a setting, in one place. Units come last in the names.

/// Header fields of one request.
pub const HEADER_COUNT_MAX: usize = 100;
/// Request line and header fields together.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Time for a TLS handshake.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 5_000;
/// HTTP/2 streams of one connection.
pub const H2_STREAMS_MAX: u32 = 100;
/// HTTP/2 header list.
pub const H2_HEADER_LIST_BYTES_MAX: u32 = 32 * 1024;
/// Members of one JSON object in a message.
pub const JSON_MEMBERS_MAX: usize = 65_536;
/// Length of a JSON-RPC id, as raw token.
pub const RPC_ID_BYTES_MAX: usize = 256;
/// Length of a tool or prompt name a client may send.
pub const NAME_BYTES_MAX: usize = 256;
/// Length of a resource URI a client may send.
pub const URI_BYTES_MAX: usize = 8 * 1024;
/// Length of a cursor a client or an upstream may send.
pub const CURSOR_BYTES_MAX: usize = 8 * 1024;
/// Length of a `requestState` a client may send.
pub const REQUEST_STATE_BYTES_MAX: usize = 1024 * 1024;
/// Length of a protocol word a client may send: a revision, a log level, a kind of reference.
pub const WORD_BYTES_MAX: usize = 64;
/// Arguments of one tool that headers mirror.
pub const MIRRORED_PARAMS_MAX: usize = 32;
/// Length of the text of an upstream's error that is kept.
pub const RPC_MESSAGE_BYTES_MAX: usize = 1024;
/// Entries of a JSON-RPC batch (2025-03-26 only).
pub const BATCH_ENTRIES_MAX: usize = 32;
/// Length of an access token.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Verified credentials remembered.
pub const TOKEN_CACHE_ENTRIES_MAX: u64 = 10_000;
/// Size of a JWKS document.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Keys of a JWKS document.
pub const JWKS_KEYS_MAX: usize = 100;
/// Size of a file referenced as `${file:PATH}`, or of a secret.
pub const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Size of a config or policy file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Audit records waiting for the writer.
pub const AUDIT_QUEUE_RECORDS_MAX: usize = 8_192;
/// Time an intent may take to reach the file.
pub const AUDIT_INTENT_MS_MAX: u64 = 2_000;
/// One server-sent event from an upstream; the response limit of the config applies to the sum.
pub const SSE_EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages of one upstream stream before its answer.
pub const STREAM_MESSAGES_MAX: u64 = 100_000;
/// Pages followed when an upstream's list is read.
pub const LIST_PAGES_MAX: usize = 100;
/// Items taken from an upstream's list.
pub const LIST_ITEMS_MAX: usize = 10_000;
/// Bytes of one upstream's list, all pages together.
pub const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Public name of a tool or prompt.
pub const PUBLIC_NAME_BYTES_MAX: usize = 64;
/// Distinct limiter keys kept.
pub const LIMITER_KEYS_MAX: u64 = 100_000;
/// Idle connections kept to one upstream.
pub const UPSTREAM_IDLE_CONNECTIONS_MAX: usize = 256;
/// Connections open to one upstream.
pub const UPSTREAM_CONNECTIONS_MAX: usize = 1_024;
