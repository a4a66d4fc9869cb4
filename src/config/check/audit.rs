//! `audit`, and the key that signs it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Cx;
use super::address::outward_url;
use super::channels::{SIGNS_DELIVERIES, signing_secret};
use super::files::private_key;
use super::settings::{count, duration, size};
use crate::config::checked::{
    Audit, AuditCheckpoints, AuditRetain, AuditRotate, CheckpointExport, CheckpointWebhook, Durability,
};
use crate::config::limits::{
    CHECKPOINT_EXPORTS_MAX, CHECKPOINT_RECORDS, CHECKPOINT_TIME, INTENT_TIME, RETAIN_BYTES, RETAIN_TIME, ROTATE_BYTES,
    ROTATE_TIME,
};
use crate::config::raw::audit as raw;
use crate::config::report::{item_path, resolve};
use crate::vocab::limits::AUDIT_INTENT_MS;

/// The key that signs checkpoints where none is named, below `data_dir`.
pub const OWN_CHECKPOINT_KEY: &str = "keys/checkpoint.pem";

/// The file of the key that signs checkpoints. One that is named must be there: it is made by who keeps it.
fn checkpoint_key(named: Option<&str>, data_dir: Option<&Path>, cx: &mut Cx<'_>) -> Option<PathBuf> {
    match named {
        None => Some(data_dir?.join(OWN_CHECKPOINT_KEY)),
        Some(text) => private_key("keys.checkpoint", text, cx),
    }
}

/// `key` is the `keys.checkpoint` of the config.
pub(super) fn check(raw: raw::Audit, key: Option<&str>, data_dir: Option<&Path>, cx: &mut Cx<'_>) -> Option<Audit> {
    let checkpoint_key = checkpoint_key(key, data_dir, cx);
    let durability = match raw.durability.as_deref() {
        None | Some("sync") => Some(Durability::Sync),
        Some("write") => Some(Durability::Write),
        Some("danger_none") => Some(Durability::DangerNone),
        Some(_) => cx.refuse("audit.durability", "is not a durability", "sync, write or danger_none"),
    };
    let reads_wait = match raw.reads.as_deref() {
        None | Some("queued") => Some(false),
        Some("sync") if durability == Some(Durability::DangerNone) => {
            cx.refuse("audit.reads", "waits for nothing", "leave `durability: danger_none` out")
        }
        Some("sync") => Some(true),
        Some(_) => cx.refuse("audit.reads", "is not a way to record reads", "queued or sync"),
    };
    let default = Duration::from_millis(AUDIT_INTENT_MS);
    let intent_timeout = duration("audit.intent_timeout", raw.intent_timeout.as_deref(), default, INTENT_TIME, cx);
    let compress = match raw.compress.as_deref() {
        None | Some("none") => Some(false),
        Some("gzip") => Some(true),
        Some(_) => cx.refuse("audit.compress", "is not a way to compress", "none or gzip"),
    };
    let sinks = match raw.sinks {
        None => Some(("audit".to_owned(), Vec::new())),
        Some(sinks) => super::sinks::check(sinks, cx),
    };
    let pointers = raw.record_arguments.unwrap_or_default();
    for (i, pointer) in pointers.iter().enumerate() {
        if !is_pointer(pointer) {
            let hint = "such as /path or /options/mode; `~` is ~0 and `/` inside a key is ~1";
            cx.report.problem(&item_path("audit.record_arguments", i), "is not a JSON pointer to an argument", hint);
        }
    }
    let rotate = rotate(raw.rotate.unwrap_or_default(), cx);
    let exported = sinks.as_ref().is_none_or(|(_, others)| !others.is_empty());
    let retain = raw.retain.map(|raw| retain(raw, exported, cx));
    let mut raw = raw.checkpoints.unwrap_or_default();
    let exports = exports(raw.export.take().unwrap_or_default(), data_dir, cx);
    let checkpoints = checkpoints(&raw, cx);
    let (file, sinks) = sinks?;
    Some(Audit {
        durability: durability?,
        reads_wait: reads_wait?,
        intent_timeout: intent_timeout?,
        file: resolve(data_dir?, &file),
        sinks,
        record_arguments: pointers,
        rotate: rotate?,
        compress: compress?,
        retain: match retain {
            None => None,
            Some(retain) => Some(retain?),
        },
        checkpoints: checkpoints?,
        exports: exports?,
        checkpoint_key: checkpoint_key?,
    })
}

/// RFC 6901 section 3; the empty pointer, all arguments at once, is refused: it would put everything in clear.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
}

fn rotate(raw: raw::Rotate, cx: &mut Cx<'_>) -> Option<AuditRotate> {
    let bytes = size("audit.rotate.size", raw.size, 256 << 20, ROTATE_BYTES, cx);
    let every = match raw.every.as_deref() {
        None => Some(None),
        every => duration("audit.rotate.every", every, Duration::ZERO, ROTATE_TIME, cx).map(Some),
    };
    Some(AuditRotate { bytes: bytes? as u64, every: every? })
}

fn retain(raw: raw::Retain, has_sinks: bool, cx: &mut Cx<'_>) -> Option<AuditRetain> {
    let time = match raw.time.as_deref() {
        None => Some(None),
        time => duration("audit.retain.for", time, Duration::ZERO, RETAIN_TIME, cx).map(Some),
    };
    let bytes = match raw.size {
        None => Some(None),
        given => size("audit.retain.size", given, 0, RETAIN_BYTES, cx).map(|bytes| Some(bytes as u64)),
    };
    if let (Some(None), Some(None)) = (time, bytes) {
        return cx.refuse("audit.retain", "says neither how long nor how much", "such as { for: 90d, size: 50GiB }");
    }
    let exported = match raw.exported {
        Some(true) if !has_sinks => {
            cx.refuse("audit.retain.exported", "waits for nothing: there is no sink beside the file", "leave it out")
        }
        exported => Some(exported.unwrap_or(false)),
    };
    Some(AuditRetain { time: time?, bytes: bytes?, exported: exported? })
}

fn checkpoints(raw: &raw::Checkpoints, cx: &mut Cx<'_>) -> Option<AuditCheckpoints> {
    let every = duration("audit.checkpoints.every", raw.every.as_deref(), Duration::from_secs(1), CHECKPOINT_TIME, cx);
    let records = count("audit.checkpoints.records", raw.records, 1_000, CHECKPOINT_RECORDS, cx);
    Some(AuditCheckpoints { every: every?, records: records? as u64 })
}

fn exports(raw: Vec<raw::Export>, data_dir: Option<&Path>, cx: &mut Cx<'_>) -> Option<Vec<CheckpointExport>> {
    if raw.len() > CHECKPOINT_EXPORTS_MAX {
        let hint = format!("at most {CHECKPOINT_EXPORTS_MAX}");
        return cx.refuse("audit.checkpoints.export", "has too many entries", hint);
    }
    let exports = raw.into_iter().enumerate().map(|(at, raw)| {
        let path = item_path("audit.checkpoints.export", at);
        match (raw.file, raw.webhook) {
            (Some(file), None) if !file.is_empty() && !file.contains('\0') => {
                Some(CheckpointExport::File(resolve(data_dir?, &file)))
            }
            (Some(_), None) => cx.refuse(&format!("{path}.file"), "is not a path", "such as /var/log/checkpoints.jsonl"),
            (None, Some(raw)) => webhook(&format!("{path}.webhook"), raw, cx).map(CheckpointExport::Webhook),
            (Some(_), Some(_)) => cx.refuse(&path, "has both `file` and `webhook`", "write two entries"),
            (None, None) => {
                cx.refuse(&path, "has neither `file` nor `webhook`", "such as { file: /mnt/other/checkpoints.jsonl }")
            }
        }
    });
    // Every one is looked at, so that every mistake is reported.
    exports.collect::<Vec<_>>().into_iter().collect()
}

fn webhook(path: &str, raw: raw::Webhook, cx: &mut Cx<'_>) -> Option<CheckpointWebhook> {
    let at = |key: &str| format!("{path}.{key}");
    let allow_private_addresses = raw.allow_private_addresses.unwrap_or(false);
    let url = outward_url(&at("url"), raw.url.as_deref(), allow_private_addresses, cx);
    let secret = signing_secret(&at("secret"), raw.secret, SIGNS_DELIVERIES, cx);
    Some(CheckpointWebhook { url: url?, secret: secret?, allow_private_addresses })
}
