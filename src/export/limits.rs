//! Bounds of what carries records elsewhere.

/// Records sent at once.
pub(super) const SINK_BATCH_RECORDS_MAX: u64 = 1_000;
/// Bytes of records after which no more are sent at once.
pub(super) const SINK_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Time for one batch to be taken.
pub(super) const SINK_SEND_MS_MAX: u64 = 30_000;
/// Pause after the first attempt that failed; the next ones are twice as long each.
pub(super) const SINK_PAUSE_MS_MIN: u64 = 250;
/// Pause between attempts, however many failed.
pub(super) const SINK_PAUSE_MS_MAX: u64 = 15_000;
/// What is read of an answer. A longer one is no answer.
pub(super) const SINK_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Time that what is left may take at the end.
pub(super) const SINK_FINISH_MS_MAX: u64 = 5_000;
/// Size of the file of a position.
pub(super) const POSITION_BYTES_MAX: u64 = 4 * 1024;
