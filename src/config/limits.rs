//! Bounds of the settings and of reading them. Units come last in the names.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::vocab::limits::WATCHES_MAX;

/// Values of a config file, aliases expanded.
pub(super) const YAML_NODES_MAX: usize = 50_000;
/// Nesting of a config file.
pub(super) const YAML_DEPTH_MAX: usize = 24;
/// Anchors, and uses of them, in a config file.
pub(super) const YAML_ALIASES_MAX: usize = 256;
/// Problems reported at once.
pub(super) const PROBLEMS_MAX: usize = 200;
/// Characters of an offending value that are shown.
pub(super) const SHOWN_CHARS_MAX: usize = 96;
/// Directory entries looked at below one entry of `policies`.
pub(super) const POLICY_ENTRIES_MAX: usize = 10_000;
/// Directories followed below one entry of `policies`.
pub(super) const POLICY_DEPTH_MAX: usize = 16;
/// Entries of any list of the config.
pub(super) const LIST_ENTRIES_MAX: usize = 10_000;
/// Channels to approvers.
pub(super) const NOTICE_CHANNELS_MAX: usize = 16;
/// Addresses of one channel by e-mail.
pub(super) const NOTICE_RECIPIENTS_MAX: usize = 50;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

pub(super) const BODY_BYTES: RangeInclusive<u64> = KIB..=256 * MIB;
pub(super) const RESPONSE_BYTES: RangeInclusive<u64> = KIB..=1024 * MIB;
pub(super) const DEPTH: RangeInclusive<u64> = 4..=256;
pub(super) const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const SESSIONS: RangeInclusive<u64> = 1..=1_000_000;
/// Each stream watches the upstreams of its route: nobody's share is all the watches of one.
pub(super) const STREAMS: RangeInclusive<u64> = 1..=WATCHES_MAX as u64 / 4;
pub(super) const PROCESSES: RangeInclusive<u64> = 1..=10_000;
pub(super) const HEADER_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
pub(super) const CALL_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
pub(super) const TRACE_SLOW: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
pub(super) const METRICS_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Headers that go with everything that is sent to the receiver of telemetry.
pub(super) const OTLP_HEADERS_MAX: usize = 16;
pub(super) const CLOCK_SKEW: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
pub(super) const TOKEN_AGE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(366 * 24 * 3600);
pub(super) const INTROSPECTION_CACHE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
pub(super) const STREAM_IDLE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
pub(super) const PENDING_APPROVALS: RangeInclusive<u64> = 1..=10_000;
pub(super) const APPROVAL_WAIT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
pub(super) const ACCESS_TOKEN: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
pub(super) const REFRESH_TOKEN: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(366 * 24 * 3600);
pub(super) const KEY_ROTATION: RangeInclusive<Duration> =
    Duration::from_secs(24 * 3600)..=Duration::from_secs(2 * 366 * 24 * 3600);
pub(super) const REGISTRATION: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(366 * 24 * 3600);
pub(super) const REGISTRATIONS_PER_HOUR: RangeInclusive<u64> = 1..=100_000;
pub(super) const INTENT_TIME: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// Sinks of the audit, the file among them.
pub(super) const AUDIT_SINKS_MAX: usize = 17;
/// Headers that one of them is sent.
pub(super) const SINK_HEADERS_MAX: usize = 16;
/// Brokers of Kafka that one of them begins with.
pub(super) const KAFKA_BROKERS_MAX: usize = 16;
/// Length of the name of a Kafka topic: what brokers allow.
pub(super) const KAFKA_TOPIC_BYTES_MAX: usize = 249;
/// Places where checkpoints are kept.
pub(super) const CHECKPOINT_EXPORTS_MAX: usize = 8;
pub(super) const CHECKPOINT_TIME: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
pub(super) const CHECKPOINT_RECORDS: RangeInclusive<u64> = 1..=10_000;
pub(super) const ROTATE_BYTES: RangeInclusive<u64> = 64 * KIB..=64 * 1024 * MIB;
pub(super) const ROTATE_TIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 3600);
pub(super) const RETAIN_BYTES: RangeInclusive<u64> = MIB..=1024 * 1024 * 1024 * MIB;
pub(super) const RETAIN_TIME: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(100 * 366 * 24 * 3600);
