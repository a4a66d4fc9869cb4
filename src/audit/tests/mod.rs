mod disk;
mod drops;
mod file;
mod follow;
mod moved;
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
        let mut settings = Settings::new(dir.path().join("audit"), &dir.path().join("keys"), 1_000);
        // The disk of a machine that tests may be slow.
        settings.intent_timeout = PATIENCE;
        Self { dir, settings }
    }

    fn at(path: impl AsRef<Path>) -> Self {
        let mut bed = Self::new();
        bed.settings.path = path.as_ref().to_owned();
        bed.settings.durability = Durability::Write;
        bed
    }

    fn open(&self) -> Audit {
        Audit::open(&self.settings, Clock::system()).unwrap()
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("audit/audit.jsonl")
    }

    /// The records that are no checkpoints.
    fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.file()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        chained(&text)
    }

    /// What is in the directory, without the lock.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.dir.path().join("audit")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with(".lock"));
        names.sort();
        names
    }
}

/// The records of a file that are no checkpoints, after every one was held against the one before, and every checkpoint against all
/// that came before it in the file.
fn chained(text: &str) -> Vec<Value> {
    let (mut before, mut tree): (Option<Sealed>, Option<merkle::Frontier>) = (None, None);
    let mut records = Vec::new();
    for line in text.lines() {
        let sealed = chain::check(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
        if let Some(before) = before {
            assert_eq!((sealed.seq, sealed.prev), (before.seq + 1, before.hash), "{line}");
        }
        before = Some(sealed);
        if record::is_checkpoint(line.as_bytes()) {
            let (checkpoint, stated) = Checkpoint::read(line.as_bytes()).unwrap();
            assert_eq!((checkpoint.statement.size, checkpoint.statement.head), (sealed.seq - 1, sealed.prev), "{line}");
            assert_eq!(checkpoint.statement.root, stated.root());
            assert!(tree.as_ref().is_none_or(|tree| *tree == stated), "{line}");
            tree = Some(stated);
        } else {
            records.push(serde_json::from_str(line).unwrap());
        }
        tree.as_mut().unwrap_or_else(|| panic!("a file begins with a checkpoint: {line}")).push(sealed.hash);
    }
    records
}

const PATIENCE: Duration = Duration::from_secs(30);

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
