mod drops;
mod file;
mod recorded;
mod shape;

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::vocab::Reason;

/// A directory of its own for one audit.
struct Bed {
    dir: TempDir,
    settings: Settings,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            path: dir.path().join("audit"),
            digest_key: dir.path().join("keys/audit-digest"),
            durability: Durability::Write,
            queue_max: 1_000,
        };
        Self { dir, settings }
    }

    fn at(path: impl AsRef<Path>) -> Self {
        let mut bed = Self::new();
        bed.settings.path = path.as_ref().to_owned();
        bed
    }

    fn open(&self) -> Audit {
        Audit::open(&self.settings, Clock::system()).unwrap()
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("audit/audit.jsonl")
    }

    fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.file()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn done(slot: &mut Slot, number: usize) {
    slot.draft().set_rpc_id(&number.to_string());
    slot.draft().outcome = Some(OutcomeNote::new(Status::Completed, Reason::Allowed));
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}
