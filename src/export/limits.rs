//! Bounds of what carries records elsewhere.

/// Records sent at once, as long as a receiver takes so many.
pub(super) const SINK_BATCH_RECORDS_MAX: u64 = 1_000;
/// Bytes of records sent at once, but for a record that is longer.
pub(super) const SINK_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Times that what is sent at once is halved: after as many it is one record.
pub(super) const SINK_HALVINGS_MAX: u32 = 10;
/// Batches that were taken before a larger one is tried, however often a larger one was not.
pub(super) const SINK_GROWTH_BATCHES_MAX: u32 = 1_024;
/// Time for one batch to be taken.
pub(super) const SINK_SEND_MS_MAX: u64 = 30_000;
/// Time that a receiver of syslog has to close again after it has accepted, at least: as long as connecting took.
pub(super) const SINK_CLOSE_MS_MIN: u64 = 10;
/// And at most.
pub(super) const SINK_CLOSE_MS_MAX: u64 = 500;
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
