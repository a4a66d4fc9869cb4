//! Traces and metrics on their way out.

/// Requests whose traces wait to be sent.
pub const TRACE_QUEUE_REQUESTS_MAX: usize = 4_096;
/// Requests in a second whose traces are kept though they ended before anybody knew whose they are.
pub const TRACE_STRANGERS_PER_S_MAX: u32 = 10;
/// Requests whose traces are sent at once.
pub const TRACE_BATCH_REQUESTS_MAX: usize = 256;
/// Time a trace may wait for others to be sent with.
pub const TRACE_BATCH_MS_MAX: u64 = 1_000;
/// Stages that a trace tells of.
pub const TRACE_MARKS_MAX: usize = 24;
/// Calls to upstreams that a trace tells of.
pub const TRACE_CALLS_MAX: usize = 16;
/// Time to send a batch of telemetry, retries included.
pub const TELEMETRY_SEND_MS_MAX: u64 = 10_000;
/// Attempts to send one batch of traces.
pub const TELEMETRY_ATTEMPTS_MAX: u32 = 4;
/// Pause after the first attempt that failed; the next ones are twice as long each.
pub const TELEMETRY_PAUSE_MS_MIN: u64 = 100;
/// Pause between attempts, however many failed.
pub const TELEMETRY_PAUSE_MS_MAX: u64 = 1_600;
/// Time to send what is left at the end.
pub const TELEMETRY_FLUSH_MS_MAX: u64 = 2_000;
/// Time to connect to the receiver of telemetry.
pub const TELEMETRY_CONNECT_MS_MAX: u64 = 3_000;
/// Answer of the receiver of telemetry.
pub const TELEMETRY_ANSWER_BYTES_MAX: usize = 64 * 1024;
