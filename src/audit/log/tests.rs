use super::*;

struct Bed {
    dir: tempfile::TempDir,
    log: Log,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = opened(&dir).unwrap();
        Self { dir, log }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("audit").join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

fn opened(dir: &tempfile::TempDir) -> io::Result<Log> {
    let settings = Settings::new(dir.path().join("audit"), &dir.path().join("keys"), 10);
    let key = Arc::new(CheckpointKey::open_or_make(&settings.checkpoint_key)?);
    Log::open(&settings, key, Clock::system())
}

const FAILED: &str = "audit-00000000000000000001.jsonl.failed";

/// A process that is being started has a copy of every open file for a moment.
#[test]
fn whoever_is_done_with_a_log_gives_it_back_whatever_copies_there_are() {
    let Bed { dir, log } = Bed::new();
    assert!(opened(&dir).err().unwrap().to_string().contains("another process writes this audit file"));
    let copy = log.lock.as_ref().unwrap().0.try_clone().unwrap();
    drop(log);
    opened(&dir).unwrap();
    drop(copy);
}

/// The disk failed a file, and before it could be put aside somebody else did.
#[test]
fn only_the_file_that_failed_is_called_so() {
    let mut bed = Bed::new();
    let before = bed.text("audit.jsonl");
    bed.log.condemned = bed.log.medium.take();
    fs::rename(bed.path("audit.jsonl"), bed.path("moved")).unwrap();
    fs::write(bed.path("audit.jsonl"), "dear diary\n").unwrap();
    let error = bed.log.ready().err().unwrap();
    assert!(error.to_string().contains("in the place of the next audit file"), "{error}");
    assert_eq!(bed.text("audit.jsonl"), "dear diary\n");
    assert!(!bed.path(FAILED).exists());
    fs::remove_file(bed.path("audit.jsonl")).unwrap();
    bed.log.ready().unwrap();
    assert_eq!((bed.text("audit.jsonl"), bed.text("moved")), (before.clone(), before));
}

#[test]
fn a_file_that_failed_is_put_aside_and_written_again() {
    let mut bed = Bed::new();
    let before = bed.text("audit.jsonl");
    bed.log.condemned = bed.log.medium.take();
    bed.log.ready().unwrap();
    assert_eq!((bed.text("audit.jsonl"), bed.text(FAILED)), (before.clone(), before));
}

/// What is closed and called by its number is the file that was written, not what somebody put in its place.
#[test]
fn no_other_file_is_closed_in_its_place() {
    let mut bed = Bed::new();
    bed.log.rotate.bytes = 1;
    let before = bed.text("audit.jsonl");
    fs::rename(bed.path("audit.jsonl"), bed.path("audit.jsonl.1")).unwrap();
    fs::write(bed.path("audit.jsonl"), "").unwrap();
    assert!(bed.log.rotate_if_due(Instant::now()).unwrap());
    assert!(!bed.path("audit-00000000000000000001.jsonl").exists());
    let (moved, now) = (bed.text("audit.jsonl.1"), bed.text("audit.jsonl"));
    assert!(moved.starts_with(&before) && moved.len() > before.len());
    assert_eq!(
        super::super::chain::seq_of(now.as_bytes()),
        Some(moved.lines().count() as u64 + 1),
        "it goes on where the other ends"
    );
}
