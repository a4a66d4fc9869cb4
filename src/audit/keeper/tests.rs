use super::super::{Audit, Exporters};
use super::*;
use crate::vocab::Clock;

/// A log that nobody takes care of yet: so many files that are closed, of a few bytes each, and one that is written.
struct Bed {
    dir: tempfile::TempDir,
    audit: Audit,
}

impl Bed {
    fn new(files: u64, room: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(dir.path().join("audit"), &dir.path().join("keys"), room);
        let audit = Audit::open(&settings, Clock::system()).unwrap();
        let bed = Self { dir, audit };
        // Before record 1, so that all of them are older than the file that is written.
        for number in 0..files {
            fs::write(bed.file(number, ""), "0123456789").unwrap();
        }
        bed
    }

    /// Closed files go by their number; the one that is written is of record 1, and never one of them.
    fn file(&self, number: u64, ending: &str) -> std::path::PathBuf {
        self.dir.path().join("audit").join(format!("audit-{number:020}.jsonl{ending}"))
    }

    fn keeper(&self, compress: bool, retain: Option<Retain>) -> Keeper {
        Keeper {
            place: Place::of(self.audit.path()),
            compress,
            retain,
            queue: self.audit.queue.clone(),
            exporters: self.audit.exporters.clone(),
            ending: Arc::default(),
        }
    }

    fn close(self) -> String {
        let path = self.audit.path().to_owned();
        self.audit.close(PATIENCE).unwrap();
        fs::read_to_string(path).unwrap()
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
const EVERYTHING: Retain = Retain { time: None, bytes: Some(0), exported: false };

/// What cannot be compressed holds up neither what can be, nor deleting; and leaves no half of a file behind.
#[test]
fn what_cannot_be_compressed_is_deleted_all_the_same() {
    let bed = Bed::new(3, 100);
    // The draft of the first cannot be made, and that of the last not be given its name.
    fs::create_dir(bed.file(0, ".gz.new")).unwrap();
    fs::create_dir(bed.file(2, ".gz")).unwrap();
    let failed = bed.keeper(true, None).work();
    assert!(failed.is_err(), "somebody has to hear of it");
    assert!(bed.file(1, ".gz").exists() && !bed.file(1, "").exists());
    assert!(bed.file(2, "").exists() && !bed.file(2, ".gz.new").exists(), "half of a compressed file is left");
    let room_for_all_but_one = fs::metadata(bed.file(1, ".gz")).unwrap().len()
        + [bed.file(2, ""), bed.file(2, ".gz"), bed.audit.path().to_owned()]
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum::<u64>();
    let retain = Retain { bytes: Some(room_for_all_but_one), ..EVERYTHING };
    assert!(bed.keeper(true, Some(retain)).work().is_err());
    assert!(!bed.file(0, "").exists(), "the oldest is deleted");
    assert!(bed.file(1, ".gz").exists() && bed.file(2, "").exists());
    assert!(bed.close().contains("audit/delete"));
}

/// A start would have to go on behind the last of them.
#[test]
fn nothing_is_touched_while_the_next_file_is_not_there() {
    let bed = Bed::new(2, 100);
    fs::rename(bed.audit.path(), bed.dir.path().join("away")).unwrap();
    // Nor while it has no record yet.
    for empty in [false, true] {
        if empty {
            fs::write(bed.audit.path(), "").unwrap();
        }
        bed.keeper(true, Some(EVERYTHING)).work().unwrap();
        assert!(bed.file(0, "").exists() && bed.file(1, "").exists(), "{empty}");
    }
    fs::rename(bed.dir.path().join("away"), bed.audit.path()).unwrap();
    bed.keeper(true, None).work().unwrap();
    assert!(bed.file(0, ".gz").exists() && bed.file(1, ".gz").exists());
}

/// Nothing goes without a record, and what did not go is not on record as gone.
#[test]
fn every_deletion_is_on_record_once() {
    let bed = Bed::new(2, 2);
    let keeper = bed.keeper(false, Some(EVERYTHING));
    let full = [bed.audit.reserve().unwrap(), bed.audit.reserve().unwrap()];
    keeper.work().unwrap();
    assert!(bed.file(0, "").exists(), "there is no room for the record");
    drop(full);
    let start = std::time::Instant::now();
    while bed.file(1, "").exists() {
        assert!(start.elapsed() < PATIENCE, "there is room again");
        keeper.work().unwrap();
    }
    while bed.audit.queue.room_used() > 0 {
        assert!(start.elapsed() < PATIENCE, "room that was held is given back");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    // One that cannot be removed.
    fs::create_dir(bed.file(0, "")).unwrap();
    assert!(keeper.work().is_err() && keeper.work().is_err());
    let text = bed.close();
    let deletions: Vec<&str> = text.lines().filter(|line| line.contains("audit/delete")).collect();
    assert_eq!(deletions.len(), 2, "{deletions:?}");
    for (number, line) in deletions.iter().enumerate() {
        assert!(line.contains(&format!("audit-{number:020}.jsonl")), "{line}");
    }
}

#[test]
fn nothing_was_taken_by_all_before_all_are_there() {
    let mut bed = Bed::new(3, 100);
    bed.audit.exporters = Arc::new(Exporters::expecting(2));
    let keeper = bed.keeper(false, Some(Retain { exported: true, ..EVERYTHING }));
    keeper.work().unwrap();
    bed.audit.exporter("quick", "http", 1_000).follows(true);
    keeper.work().unwrap();
    assert_eq!(bed.audit.exported_up_to(), 0);
    assert!(bed.file(1, "").exists(), "the other is not there yet");
    let slow = bed.audit.exporter("slow", "http", 1);
    keeper.work().unwrap();
    assert_eq!(bed.audit.exported_up_to(), 0);
    assert!(bed.file(1, "").exists(), "whether it took what is there is not known yet");
    slow.follows(true);
    keeper.work().unwrap();
    assert_eq!((bed.audit.exported_up_to(), bed.file(1, "").exists()), (1, false));
    slow.follows(false);
    assert_eq!(bed.audit.exported_up_to(), 0);
    slow.took(7);
    assert_eq!(bed.audit.exported_up_to(), 7);
    slow.begins(7);
    assert_eq!(bed.audit.exported_up_to(), 0, "what it says itself was seen by nobody");
}

/// The lock is free when the end was told, and nothing touches the files any more.
#[test]
fn the_keeper_ends_with_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(dir.path().join("audit"), &dir.path().join("keys"), 10);
    settings.compress = true;
    Audit::open(&settings, Clock::system()).unwrap().close(PATIENCE).unwrap();
    // As much as takes minutes to compress.
    let old = dir.path().join("audit/audit-00000000000000000000.jsonl");
    File::create(&old).unwrap().set_len(1 << 36).unwrap();
    let draft = old.with_extension("jsonl.gz.new");
    let audit = Audit::open(&settings, Clock::system()).unwrap();
    let start = std::time::Instant::now();
    while !draft.exists() {
        assert!(start.elapsed() < PATIENCE, "it does not begin");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    audit.close(PATIENCE).unwrap();
    assert!(!draft.exists(), "it is at work still");
    assert!(old.exists() && !old.with_extension("jsonl.gz").exists());
}
