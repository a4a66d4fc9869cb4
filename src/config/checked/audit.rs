//! What is recorded, and how surely.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::AuditSink;

/// What is recorded, and how surely.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What must hold before a write, destructive or gated call leaves.
    pub durability: Durability,
    /// Calls that only read wait for an intent too.
    pub reads_wait: bool,
    /// How long a call waits for its intent before it is refused.
    pub intent_timeout: Duration,
    /// Directory of the record files.
    pub file: PathBuf,
    /// What reads from it.
    pub sinks: Vec<AuditSink>,
    /// JSON pointers (RFC 6901) of arguments recorded in clear.
    pub record_arguments: Vec<String>,
    /// When a new file is begun.
    pub rotate: AuditRotate,
    /// Files that are no longer written are compressed.
    pub compress: bool,
    /// When they are deleted; never, where this is absent.
    pub retain: Option<AuditRetain>,
    /// How often what is there is signed.
    pub checkpoints: AuditCheckpoints,
    /// Where else that is kept.
    pub exports: Vec<CheckpointExport>,
    /// File of the key that signs. The default one may be absent: then it is made.
    pub checkpoint_key: PathBuf,
}

/// What must hold of an intent record before its call leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is on disk.
    Sync,
    /// It is written to the file.
    Write,
    /// Nothing.
    DangerNone,
}

/// When a new file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRotate {
    /// Once it has as many bytes.
    pub bytes: u64,
    /// Once its first record is as old.
    pub every: Option<Duration>,
}

/// When files that are no longer written are deleted. At least one of the first two is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRetain {
    /// Once their last record is as old.
    pub time: Option<Duration>,
    /// The oldest first, while all together have more bytes.
    pub bytes: Option<u64>,
    /// Never before everything in them went to the other sinks.
    pub exported: bool,
}

/// How often what is there is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditCheckpoints {
    /// As long after the first record that is not.
    pub every: Duration,
    /// After as many records.
    pub records: u64,
}

/// Where else checkpoints are kept.
#[derive(Clone, Debug)]
pub enum CheckpointExport {
    /// A file to which they are appended.
    File(PathBuf),
    /// A POST to a URL.
    Webhook(CheckpointWebhook),
}

/// A POST to a URL, signed.
#[derive(Clone)]
pub struct CheckpointWebhook {
    /// Where to.
    pub url: Url,
    /// Signs what is sent.
    pub secret: SecretString,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
}

impl fmt::Debug for CheckpointWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointWebhook").field("origin", &self.url.origin().ascii_serialization()).finish_non_exhaustive()
    }
}
