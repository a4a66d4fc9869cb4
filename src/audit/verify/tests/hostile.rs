//! Files that somebody made to hurt whoever reads them.

use std::fs;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use super::forge::{Random, key, log, zipped};
use super::{ONE, by, verified};
use crate::audit::verify::{Change, Witnesses, verify, verify_stream};

#[test]
fn lines_without_end_and_compressed_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&key(dir.path()), 10, 3);
    let (path, _) = log.write(dir.path(), &[("audit-00000000000000000001.jsonl", 10)]);
    // Megabytes of zeros, and of line feeds, in a few kilobytes.
    for (byte, size) in [(0, 20_000_000), (b'\n', 1_000_000)] {
        fs::write(path.join("audit-00000000000000000011.jsonl.gz"), zipped(&vec![byte; size])).unwrap();
        let report = verified(&path, &by(log.public));
        assert_eq!(report.first_bad.unwrap().kind, Change::NotARecord);
        assert_eq!(report.records, 10);
    }
    let endless = io::Cursor::new(log.lines.concat()).chain(io::repeat(b'{').take(100_000_000));
    let bad = verify_stream("-", endless, &by(log.public)).unwrap().first_bad.unwrap();
    assert_eq!((bad.kind, bad.line), (Change::NotARecord, 11));
}

#[test]
fn compressed_files_that_are_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&key(dir.path()), 40, 7);
    let (path, _) = log.write(dir.path(), &[("audit-00000000000000000001.jsonl.gz", 40)]);
    let file = path.join("audit-00000000000000000001.jsonl.gz");
    let whole = fs::read(&file).unwrap();
    let mut random = Random(3);
    for _ in 0..60 {
        let mut damaged = whole.clone();
        let at = random.between(20, whole.len());
        damaged[at] ^= 1 << random.between(0, 8);
        fs::write(&file, &damaged).unwrap();
        // Some bits of a compressed file are padding.
        let mut content = Vec::new();
        let same = MultiGzDecoder::new(&damaged[..]).read_to_end(&mut content).is_ok() && content == log.lines.concat();
        assert_eq!(verified(&path, &by(log.public)).sound, same, "byte {at}");
        fs::write(&file, &whole[..at]).unwrap();
        assert!(!verified(&path, &by(log.public)).sound, "cut at {at}");
    }
    fs::write(&file, b"not compressed").unwrap();
    assert!(!verified(&path, &by(log.public)).sound);
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&key(dir.path()), 20, 7);
    let (path, _) = log.write(dir.path(), &[("audit-00000000000000000001.jsonl", 10), ("audit.jsonl", 10)]);
    let file = path.join("audit-00000000000000000001.jsonl");
    let elsewhere = dir.path().join("elsewhere.jsonl");
    fs::rename(&file, &elsewhere).unwrap();
    for target in [elsewhere.as_path(), "/dev/zero".as_ref(), &path] {
        std::os::unix::fs::symlink(target, &file).unwrap();
        let report = verified(&path, &by(log.public));
        assert_eq!((report.skipped.len(), report.first_seq), (1, Some(11)), "{}", target.display());
        fs::remove_file(&file).unwrap();
    }
    fs::remove_file(path.join("audit.jsonl")).unwrap();
    fs::create_dir(path.join("audit.jsonl")).unwrap();
    assert!(!verified(&path, &by(log.public)).sound, "there is no record");
    for path in ["/dev/zero", "/nonexistent"] {
        verify(path.as_ref(), &Witnesses::default()).unwrap_err();
    }
    let empty = tempfile::tempdir().unwrap();
    let error = verify(empty.path(), &Witnesses::default()).unwrap_err().to_string();
    assert!(error.contains("holds no audit log"), "{error}");
}

#[test]
fn any_bytes_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&key(dir.path()), 12, 3);
    let text = log.lines.concat();
    let mut random = Random(9);
    for _ in 0..300 {
        let mut bytes = text.clone();
        for _ in 0..random.between(1, 6) {
            let (start, length) = (random.between(0, bytes.len()), random.between(0, 200));
            let end = (start + length).min(bytes.len());
            match random.between(0, 4) {
                0 => bytes[start..end].fill(0),
                1 => drop(bytes.drain(start..end.min(bytes.len() - 1))),
                2 => bytes[start..end].iter_mut().for_each(|byte| *byte = random.next() as u8),
                _ => drop(bytes.splice(start..start, text[start.min(text.len() - 1)..end.min(text.len())].to_vec())),
            }
        }
        let report = verify_stream("-", io::Cursor::new(bytes.clone()), &by(log.public)).unwrap();
        // Some changes undo one another; a prefix is a log.
        assert!(!report.sound || text.starts_with(&bytes), "{}", String::from_utf8_lossy(&bytes));
    }
    log.write(dir.path(), ONE);
}

/// Retained logs begin anywhere, so that a stream may have lost its first lines: that is said.
#[test]
fn a_log_that_lost_its_first_lines_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&key(dir.path()), 12, 3);
    let report = verify_stream("-", io::Cursor::new(log.lines[4..].concat()), &by(log.public)).unwrap();
    assert_eq!((report.sound, report.first_seq), (true, Some(5)));
}
