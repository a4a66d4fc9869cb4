//! Who carries records elsewhere, and how far each of them got.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// All of them.
#[derive(Default)]
pub(super) struct Exporters {
    joined: Mutex<Vec<Arc<Exporter>>>,
    /// How many there are to be: until then nothing was taken by all of them.
    expected: usize,
}

/// One of them.
pub struct Exporter {
    name: Box<str>,
    kind: &'static str,
    seq: AtomicU64,
    failures: AtomicU64,
    trouble: Mutex<Option<(u64, Box<str>)>>,
}

/// How one of them is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterState {
    /// Its name in the config.
    pub name: Box<str>,
    /// What it is, in one word.
    pub kind: &'static str,
    /// The last record that was taken, and is known to have been after a restart too.
    pub seq: u64,
    /// Attempts that failed, of this process.
    pub failures: u64,
    /// Since when every attempt fails, in milliseconds since the Unix epoch, and why the last one did, in our words.
    pub trouble: Option<(u64, Box<str>)>,
}

impl Exporters {
    pub(super) fn expecting(expected: usize) -> Self {
        Self { joined: Mutex::default(), expected }
    }

    pub(super) fn join(&self, name: &str, kind: &'static str, seq: u64) -> Arc<Exporter> {
        let exporter =
            Exporter { name: name.into(), kind, seq: seq.into(), failures: AtomicU64::new(0), trouble: Mutex::default() };
        let exporter = Arc::new(exporter);
        self.joined.lock().push(exporter.clone());
        exporter
    }

    pub(super) fn up_to(&self) -> u64 {
        let joined = self.joined.lock();
        if joined.len() < self.expected {
            return 0;
        }
        joined.iter().map(|exporter| exporter.seq.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    pub(super) fn states(&self) -> Vec<ExporterState> {
        self.joined.lock().iter().map(|exporter| exporter.state()).collect()
    }
}

impl Exporter {
    /// Everything up to `seq` was taken, and noted on disk. It may be less than before: then it is another log.
    pub fn took(&self, seq: u64) {
        self.seq.store(seq, Ordering::Release);
        *self.trouble.lock() = None;
    }

    /// An attempt failed at `now_unix_ms`. Returns true for the first one after a success.
    pub fn failed(&self, now_unix_ms: u64, why: &str) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut trouble = self.trouble.lock();
        let since = trouble.as_ref().map(|(since, _)| *since);
        *trouble = Some((since.unwrap_or(now_unix_ms), why.into()));
        since.is_none()
    }

    /// How it is doing.
    pub fn state(&self) -> ExporterState {
        ExporterState {
            name: self.name.clone(),
            kind: self.kind,
            seq: self.seq.load(Ordering::Acquire),
            failures: self.failures.load(Ordering::Relaxed),
            trouble: self.trouble.lock().clone(),
        }
    }
}
