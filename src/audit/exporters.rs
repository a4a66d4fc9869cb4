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
    /// What of it certainly is of the log as it is now: its files may be deleted. 0 until that is known.
    sure: AtomicU64,
    failures: AtomicU64,
    rejected: AtomicU64,
    trouble: Mutex<Option<(u64, Box<str>)>>,
    /// When the oldest record was made that is there to be taken and was not, in milliseconds since the Unix epoch; 0 if there is none.
    waiting_unix_ms: AtomicU64,
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
    /// Records that it refused for good, of this process: they are in the files only.
    pub rejected: u64,
    /// Since when every attempt fails, in milliseconds since the Unix epoch, and why the last one did, in our words.
    pub trouble: Option<(u64, Box<str>)>,
    /// When the oldest record was made that is there to be taken and was not, in milliseconds since the Unix epoch.
    pub waiting_unix_ms: Option<u64>,
}

impl Exporters {
    pub(super) fn expecting(expected: usize) -> Self {
        Self { joined: Mutex::default(), expected }
    }

    pub(super) fn join(&self, name: &str, kind: &'static str, seq: u64) -> Arc<Exporter> {
        let (sure, failures, rejected, trouble, waiting_unix_ms) = Default::default();
        let (name, seq) = (name.into(), seq.into());
        let exporter = Arc::new(Exporter { name, kind, seq, sure, failures, rejected, trouble, waiting_unix_ms });
        self.joined.lock().push(exporter.clone());
        exporter
    }

    /// What every one of them took, for sure.
    pub(super) fn up_to(&self) -> u64 {
        let joined = self.joined.lock();
        if joined.len() < self.expected {
            return 0;
        }
        joined.iter().map(|exporter| exporter.sure.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    pub(super) fn states(&self) -> Vec<ExporterState> {
        self.joined.lock().iter().map(|exporter| exporter.state()).collect()
    }
}

impl Exporter {
    /// It says that it took everything up to `seq`, which may be less than before: then it is another log. That what it took is what
    /// the log has there, nobody has seen yet.
    pub fn begins(&self, seq: u64) {
        self.seq.store(seq, Ordering::Release);
        self.sure.store(0, Ordering::Release);
    }

    /// The log goes on from the last record that it took, or does not: then nothing of what is there counts as taken.
    pub fn follows(&self, follows: bool) {
        let sure = if follows { self.seq.load(Ordering::Acquire) } else { 0 };
        self.sure.store(sure, Ordering::Release);
    }

    /// Everything up to `seq` was taken from the log, and noted on disk.
    pub fn took(&self, seq: u64) {
        self.seq.store(seq, Ordering::Release);
        self.sure.store(seq, Ordering::Release);
        *self.trouble.lock() = None;
    }

    /// So many records of what was taken were refused for good.
    pub fn rejected(&self, records: u64) {
        self.rejected.fetch_add(records, Ordering::Relaxed);
    }

    /// An attempt failed at `now_unix_ms`. Returns true for the first one after a success.
    pub fn failed(&self, now_unix_ms: u64, why: &str) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut trouble = self.trouble.lock();
        let since = trouble.as_ref().map(|(since, _)| *since);
        *trouble = Some((since.unwrap_or(now_unix_ms), why.into()));
        since.is_none()
    }

    /// The oldest record that is there to be taken was made at `unix_ms`; `None` if all of them were taken.
    pub fn waits(&self, unix_ms: Option<u64>) {
        self.waiting_unix_ms.store(unix_ms.unwrap_or(0), Ordering::Relaxed);
    }

    /// There is something to be taken, of which nobody can tell when it was made: it waits since `unix_ms` unless it did before.
    pub fn waits_by(&self, unix_ms: u64) {
        // It waits as it did.
        let _ = self.waiting_unix_ms.compare_exchange(0, unix_ms, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How it is doing.
    pub fn state(&self) -> ExporterState {
        ExporterState {
            name: self.name.clone(),
            kind: self.kind,
            seq: self.seq.load(Ordering::Acquire),
            failures: self.failures.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            trouble: self.trouble.lock().clone(),
            waiting_unix_ms: Some(self.waiting_unix_ms.load(Ordering::Relaxed)).filter(|unix_ms| *unix_ms > 0),
        }
    }
}
