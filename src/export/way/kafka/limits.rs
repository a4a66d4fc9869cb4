//! Bounds of what librdkafka does.

use crate::export::limits::SINK_BATCH_RECORDS_MAX;

/// Time for a broker of Kafka to say where the topic is.
pub(super) const METADATA_MS_MAX: u64 = 5_000;
/// Time for the messages of a batch to be acknowledged. With the one before it less than a batch has altogether.
pub(super) const SEND_MS_MAX: u64 = 20_000;
/// Time after which librdkafka itself would give up a message, which could leave a gap: never reached, its producer is closed before.
pub(super) const MESSAGE_MS_MAX: u64 = 120_000;
/// Time to connect to a broker.
pub(super) const CONNECT_MS_MAX: u64 = 5_000;
/// Pause between attempts of librdkafka to connect.
pub(super) const RECONNECT_MS_MAX: u64 = 1_000;
/// How often what librdkafka reports is looked at while a batch is under way, and how long.
pub(super) const POLL_MS: u64 = 5;
/// How often it is looked at when none is.
pub(super) const IDLE_MS: u64 = 1_000;
/// Time for the reason why a message was refused to be reported, behind that of those which it took with it.
pub(super) const REASON_MS_MAX: u64 = 1_000;
/// Requests of one producer that are not answered yet. An idempotent one may have five.
pub(super) const REQUESTS_MAX: u64 = 5;
/// Messages that librdkafka holds: more than a batch.
pub(super) const QUEUE_MESSAGES_MAX: u64 = 2 * SINK_BATCH_RECORDS_MAX;
/// Bytes that librdkafka holds, in KiB: more than a batch, whatever its format.
pub(super) const QUEUE_KIB_MAX: u64 = 16 * 1024;
/// Bytes of messages in one request, so that topics need not allow for more.
pub(super) const BATCH_BYTES_MAX: u64 = 256 * 1024;
