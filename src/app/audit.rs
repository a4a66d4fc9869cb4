//! The audit as the config has it.

use std::io;

use crate::audit::{self, Audit};
use crate::config::{Config, Durability};
use crate::vocab::Clock;
use crate::vocab::limits::{ARRIVING_KINDS, AUDIT_QUEUE_RECORDS_MAX, STREAMS_MAX};

/// Opens it. Its file is locked from then on.
pub(super) fn open(config: &Config, clock: &Clock) -> io::Result<Audit> {
    let audit = &config.audit;
    let requests = config.limits.in_flight.saturating_mul(1 + ARRIVING_KINDS);
    let settings = audit::Settings {
        checkpoint_key: audit.checkpoint_key.clone(),
        durability: match audit.durability {
            Durability::Sync => audit::Durability::Sync,
            Durability::Write => audit::Durability::Write,
            Durability::DangerNone => audit::Durability::DangerNone,
        },
        reads_wait: audit.reads_wait,
        intent_timeout: audit.intent_timeout,
        rotate: audit::Rotate { bytes: audit.rotate.bytes, every: audit.rotate.every },
        compress: audit.compress,
        retain: audit.retain.as_ref().map(|retain| audit::Retain {
            time: retain.time,
            bytes: retain.bytes,
            exported: retain.exported,
        }),
        exporters: audit.sinks.len(),
        checkpoints: audit::Pace { every: audit.checkpoints.every, records: audit.checkpoints.records },
        // Every request under way, every one that arrives and every open stream holds room for its record.
        ..audit::Settings::new(
            audit.file.clone(),
            &config.data_dir.join("keys"),
            AUDIT_QUEUE_RECORDS_MAX.saturating_add(requests).saturating_add(STREAMS_MAX),
        )
    };
    Audit::open(&settings, clock.clone())
}
