mod forge;
mod hostile;
mod peer;
mod proofs;
mod tampering;

use std::fs;
use std::path::Path;

use forge::{Layout, key, log};

use super::*;

fn verified(path: &Path, witnesses: &Witnesses) -> Report {
    verify(path, witnesses).unwrap()
}

fn sound(path: &Path, witnesses: &Witnesses) -> Report {
    let report = verified(path, witnesses);
    assert_eq!(report.first_bad, None);
    assert!(report.sound);
    report
}

fn by(public: PublicKey) -> Witnesses {
    Witnesses { keys: vec![public], ..Witnesses::default() }
}

const ONE: Layout<'_> = &[("audit.jsonl", usize::MAX)];

#[test]
fn a_sound_log_however_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&key(dir.path()), 50, 7);
    let layouts: [Layout<'_>; 4] = [
        ONE,
        &[("audit-00000000000000000001.jsonl", 20), ("audit-00000000000000000021.jsonl.gz", 10), ("audit.jsonl", 20)],
        &[("audit-00000000000000000001.jsonl", 50)],
        &[("audit-00000000000000000001.jsonl.failed", 8), ("audit-00000000000000000009.jsonl", 2), ("audit.jsonl", 40)],
    ];
    for layout in layouts {
        let (path, exported) = log.write(dir.path(), layout);
        fs::write(path.join("audit.jsonl.torn"), "{\"v\":1,\"se").unwrap();
        fs::write(path.join("notes.txt"), "mine").unwrap();
        let report = sound(&path, &Witnesses { exported: Some(exported), ..by(log.public) });
        assert_eq!((report.records, report.first_seq, report.last_seq, report.uncovered), (50, Some(1), Some(50), 0));
        assert_eq!((report.checkpoints, report.files), (8, layout.len()));
        let exported = report.exported.unwrap();
        // The first is about no record, and is passed over.
        assert_eq!((exported.compared, exported.passed_over, exported.unusable), (7, 1, 0));
        assert_eq!(report.covered.unwrap().seq, 50);
        assert_eq!(report.bytes, log.lines.concat().len() as u64);
        assert!(report.skipped.is_empty() && report.set_aside.is_empty());
    }
    let stream = verify_stream("-", std::io::Cursor::new(log.lines.concat()), &by(log.public)).unwrap();
    assert!(stream.sound);
}

#[test]
fn what_a_failed_file_holds_again_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&key(dir.path()), 50, 7);
    let (path, _) = log.write(dir.path(), &[("audit-00000000000000000001.jsonl.failed", 30), ("audit.jsonl", 20)]);
    let failed = path.join("audit-00000000000000000001.jsonl.failed");
    let good = log.lines[..30].concat();
    for tail in [&log.lines[30..35].concat()[..], b"{\"v\":1,\"seq\":31,", b"\0\0\0\0\n\0"] {
        fs::write(&failed, [&good, tail].concat()).unwrap();
        let report = sound(&path, &by(log.public));
        assert_eq!(report.records, 50);
        let [aside] = &report.set_aside[..] else { panic!("{:?}", report.set_aside) };
        assert_eq!((aside.offset, aside.bytes), (good.len() as u64, tail.len() as u64));
    }
    // Only a file that failed may hold more than its part.
    fs::rename(&failed, path.join("audit-00000000000000000001.jsonl")).unwrap();
    assert!(!verified(&path, &by(log.public)).sound);
}

#[test]
fn a_log_whose_first_files_are_gone_is_anchored_by_its_first_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(&key(dir.path()), 50, 7);
    let whole = log.clone();
    for gone in [1, 10, 14, 20, 30] {
        log.lines = whole.lines[gone..].to_vec();
        let (path, exported) = log.write(dir.path(), ONE);
        let witnesses = Witnesses { exported: Some(exported), ..by(log.public) };
        let report = sound(&path, &witnesses);
        assert_eq!((report.first_seq, report.records), (Some(gone as u64 + 1), 50 - gone as u64));
        // The tree goes on from the frontier: it is still the one that was signed.
        assert!(report.exported.unwrap().compared > 0);
        let mut changed = log.clone();
        forge::rechain(&mut changed, 0, None, false);
        changed.write(dir.path(), ONE);
        assert!(!verified(&path, &witnesses).sound);
    }
    // A whole file goes, or none of it.
    let name = "audit-00000000000000000010.jsonl";
    log.lines = whole.lines[10..].to_vec();
    let (path, _) = log.write(dir.path(), &[(name, usize::MAX)]);
    let bad = verified(&path, &by(log.public)).first_bad.unwrap();
    assert_eq!((bad.kind, bad.seq, &*bad.file), (Change::Deleted, 10, name));
}

#[test]
fn what_is_found_is_found_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let good = log(&key(dir.path()), 50, 7);
    let mut log = good.clone();
    log.lines[33][60] ^= 1;
    let (path, _) = log.write(dir.path(), &[("audit-00000000000000000001.jsonl.gz", 30), ("audit.jsonl", 20)]);
    let report = verified(&path, &by(log.public));
    let bad = report.first_bad.unwrap();
    let offset = log.lines[30..33].concat().len() as u64;
    assert_eq!((bad.kind, &*bad.file, bad.line, bad.offset, bad.seq), (Change::Altered, "audit.jsonl", 4, offset, 34));
    assert_eq!((report.records, report.last_seq, report.covered.map(|c| c.seq), report.uncovered), (33, Some(33), Some(29), 4));
    // The record before the line at which it shows.
    log = good.clone();
    log.lines[33] = forge::rehashed(&good, 33);
    log.write(dir.path(), ONE);
    let report = verified(&path.join("audit.jsonl"), &by(log.public));
    let bad = report.first_bad.unwrap();
    assert_eq!((bad.kind, bad.line, bad.seq, bad.offset), (Change::Altered, 34, 34, good.lines[..33].concat().len() as u64));
    assert_eq!((report.records, report.last_seq), (33, Some(33)));
}

#[test]
fn without_a_key_the_chain_is_verified_and_no_signature() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(&key(dir.path()), 50, 7);
    let own = key(&dir.path().join("own"));
    forge::rechain(&mut log, 20, Some(&own), true);
    let (path, exported) = log.write(dir.path(), ONE);
    let report = sound(&path, &Witnesses::default());
    assert_eq!(report.signatures, Signatures::NotChecked);
    // The key that wrote it, and what was kept elsewhere, know better.
    let bad = verified(&path, &by(log.public)).first_bad.unwrap();
    assert_eq!(bad.kind, Change::Rechained);
    assert!(bad.detail.contains("a key that is not among those given"), "{bad}");
    let exported = Witnesses { exported: Some(exported), ..Witnesses::default() };
    assert_eq!(verified(&path, &exported).first_bad.unwrap().kind, Change::Rechained);
}

#[test]
fn another_log_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(dir.path());
    let (first, second) = (log(&key, 50, 7), log(&key, 50, 7));
    let (_, exported) = first.write(dir.path(), ONE);
    let kept = dir.path().join("kept.jsonl");
    fs::rename(exported, &kept).unwrap();
    let (path, _) = second.write(dir.path(), ONE);
    let witnesses = |path: &Path| Witnesses { exported: Some(path.to_owned()), ..by(first.public) };
    let bad = verified(&path, &witnesses(&kept)).first_bad.unwrap();
    assert_eq!(bad.kind, Change::Rechained);
    // One log after the other may have been exported to the same file.
    fs::write(&kept, [&first.exported[..], b"torn\n", &second.exported].concat()).unwrap();
    let exported = sound(&path, &witnesses(&kept)).exported.unwrap();
    assert_eq!((exported.other_logs, exported.unusable, exported.compared), (8, 1, 7));
    // Checkpoints that nobody signed are none.
    fs::write(&kept, "{}\n").unwrap();
    let error = verify(&path, &witnesses(&kept)).unwrap_err().to_string();
    assert!(error.contains("holds no checkpoint"), "{error}");
}

/// The gateway goes on while its log is verified: checkpoints that are kept elsewhere meanwhile are about records that come after.
#[test]
fn checkpoints_that_come_meanwhile_are_of_no_account() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(&key(dir.path()), 50, 7);
    let whole = log.exported.clone();
    log.lines.truncate(30);
    let early = whole.split_inclusive(|byte| *byte == b'\n').take(5).map(<[u8]>::len).sum();
    log.exported.truncate(early);
    let (path, exported) = log.write(dir.path(), ONE);
    let witnesses = Witnesses { exported: Some(exported.clone()), ..by(log.public) };
    let opened = against(&witnesses).unwrap();
    fs::write(&exported, &whole).unwrap();
    let report = verify_source(&mut Source::of(find::find(&path).unwrap(), PATIENCE), &witnesses, opened).unwrap();
    assert_eq!((report.first_bad, report.exported.unwrap().compared), (None, 4));
    assert_eq!(verified(&path, &witnesses).first_bad.unwrap().kind, Change::Truncated, "what was there before is of account");
    // They are looked at before the files are.
    let nowhere = Witnesses { exported: Some(dir.path().join("not-kept")), ..Witnesses::default() };
    let error = verify(&dir.path().join("no-log"), &nowhere).unwrap_err().to_string();
    assert!(error.contains("not-kept"), "{error}");
}

#[test]
fn a_log_may_be_called_after_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(&key(dir.path()), 50, 7);
    let layout: Layout<'_> = &[("gw-00000000000000000001.jsonl", 20), ("gw-00000000000000000021.jsonl.gz", 10), ("gw.jsonl", 20)];
    let (path, _) = log.write(dir.path(), layout);
    let report = sound(&path.join("gw.jsonl"), &by(log.public));
    assert_eq!((report.records, report.files), (50, 3));
    assert_eq!(sound(&path.join("gw-00000000000000000001.jsonl"), &by(log.public)).files, 1, "one that is closed is one file");
    assert!(verify(&path, &by(log.public)).is_err(), "the directory holds no log of its own");
    log.lines[3][60] ^= 1;
    log.write(dir.path(), layout);
    let bad = verified(&path.join("gw.jsonl"), &by(log.public)).first_bad.unwrap();
    assert_eq!((bad.kind, bad.seq, &*bad.file), (Change::Altered, 4, "gw-00000000000000000001.jsonl"));
    for (written, asked) in [("audit/audit.jsonl", "audit"), ("audit/gw.jsonl", "audit/gw.jsonl"), ("audit", "audit")] {
        assert_eq!(whole(Path::new(written)), Path::new(asked));
    }
}
