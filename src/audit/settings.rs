//! What the operator chose.

use std::path::PathBuf;
use std::time::Duration;

use crate::vocab::limits::AUDIT_INTENT_MS;

/// What must hold before a write, destructive or gated call leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Its intent is on disk: fdatasync(2) has returned.
    #[default]
    Sync,
    /// Its intent is in the file: write(2) has returned.
    Write,
    /// Nothing. Intents are written some time.
    DangerNone,
}

impl Durability {
    /// The word in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Write => "write",
            Self::DangerNone => "danger_none",
        }
    }
}

/// When the file is closed and a new one begun. Never at the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// Once it has as many bytes.
    pub bytes: u64,
    /// Once its first record is as old.
    pub every: Option<Duration>,
}

impl Default for Rotate {
    fn default() -> Self {
        Self { bytes: 256 * 1024 * 1024, every: None }
    }
}

/// When closed files are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retain {
    /// Once their last record is as old.
    pub time: Option<Duration>,
    /// The oldest first, while all files together have more bytes.
    pub bytes: Option<u64>,
    /// Never before everything in them was taken by whoever exports records.
    pub exported: bool,
}

/// How often what is there is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// As long after the first record that is not covered.
    pub every: Duration,
    /// After as many records.
    pub records: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { every: Duration::from_secs(1), records: 1_000 }
    }
}

/// Where and how records are written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file, or the directory for `audit.jsonl`. A directory is made with mode 0700, a file with 0600.
    pub path: PathBuf,
    /// The file of the key for digests of arguments, made if there is none.
    pub digest_key: PathBuf,
    /// The file of the key that signs checkpoints, made if there is none.
    pub checkpoint_key: PathBuf,
    /// What intents wait for.
    pub durability: Durability,
    /// Whether calls that only read wait for an intent too.
    pub reads_wait: bool,
    /// How long any of them waits for it; a write that takes longer hangs, and is waited for by nobody.
    pub intent_timeout: Duration,
    /// Requests going on and records waiting, together.
    pub queue_max: usize,
    /// When a new file is begun.
    pub rotate: Rotate,
    /// Whether closed files are compressed (gzip, RFC 1952).
    pub compress: bool,
    /// When closed files are deleted; never, where this is absent.
    pub retain: Option<Retain>,
    /// How many will carry records elsewhere: until all are there, no record counts as exported.
    pub exporters: usize,
    /// How often checkpoints are made.
    pub checkpoints: Pace,
}

impl Settings {
    /// As without a word in the config, with the keys in the directory `keys`.
    pub fn new(path: PathBuf, keys: &std::path::Path, queue_max: usize) -> Self {
        Self {
            path,
            digest_key: keys.join("audit-digest"),
            checkpoint_key: keys.join("checkpoint.pem"),
            durability: Durability::default(),
            reads_wait: false,
            intent_timeout: Duration::from_millis(AUDIT_INTENT_MS),
            queue_max,
            rotate: Rotate::default(),
            compress: false,
            retain: None,
            exporters: 0,
            checkpoints: Pace::default(),
        }
    }
}
