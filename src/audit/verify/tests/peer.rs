//! A verifier that somebody else wrote, from the description of the format, comes to the same. `PORTCULLIS_PYTHON` names the Python
//! that runs it; without it, this says so and does nothing.

use std::path::Path;
use std::process::Command;

use super::forge::{Layout, Log, Random, forged, key, log, rechain};
use super::{Witnesses, verified};

const RECORDS: usize = 60;
const LAYOUT: Layout<'_> = &[("audit-00000000000000000001.jsonl.gz", 25), ("audit.jsonl", usize::MAX)];

/// Both verdicts on the log as it was changed.
fn verdicts(python: &str, dir: &Path, log: &Log) -> (bool, bool, String) {
    let (path, exported) = log.write(dir, LAYOUT);
    let key = dir.join("keys/checkpoint.pub");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/verify_audit.py");
    let args = [script.as_path(), &path, "--key".as_ref(), &key, "--checkpoints".as_ref(), &exported];
    let ran = Command::new(python).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    let theirs = match ran.status.code() {
        Some(0) => true,
        Some(1) => false,
        other => panic!("{other:?}: {said}"),
    };
    let witnesses = Witnesses { keys: vec![log.public], keys_beside_log: false, exported: Some(exported) };
    let ours = verified(&path, &witnesses);
    (ours.sound, theirs, format!("{:?} / {said}", ours.first_bad))
}

/// What somebody does to a log, at one line.
type Tamper<'a> = &'a dyn Fn(&mut Log, usize, &mut Random);

#[test]
#[expect(clippy::print_stderr, reason = "a test that does nothing says so")]
fn both_agree() {
    let Ok(python) = std::env::var("PORTCULLIS_PYTHON") else {
        eprintln!("SKIPPED: PORTCULLIS_PYTHON is not set, and the other verifier not run");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let good = log(&key(dir.path()), RECORDS, 7);
    let own = key(&dir.path().join("own"));
    let (ours, theirs, said) = verdicts(&python, dir.path(), &good);
    assert!(ours && theirs, "{said}");
    let kinds: [(&str, Tamper<'_>); 8] = [
        ("flip", &|log, at, random| {
            let byte = random.between(0, log.lines[at].len());
            log.lines[at][byte] ^= 1 << random.between(0, 8);
        }),
        ("delete", &|log, at, _| drop(log.lines.remove(at))),
        ("copy", &|log, at, random| log.lines.insert(at, log.lines[random.between(0, RECORDS)].clone())),
        ("forge", &|log, at, _| log.lines.insert(at, forged(log, at))),
        ("swap", &|log, at, random| log.lines.swap(at, random.between(at + 1, RECORDS))),
        ("truncate", &|log, at, _| log.lines.truncate(at)),
        ("rechain", &|log, at, random| rechain(log, at - usize::from(at.is_multiple_of(7)), None, random.between(0, 2) == 0)),
        ("resign", &|log, at, _| rechain(log, at - usize::from(at.is_multiple_of(7)), Some(&own), true)),
    ];
    for (kind, change) in kinds {
        for time in 0..4 {
            let mut random = Random(time);
            let at = random.between(1, RECORDS - 2);
            let mut changed = good.clone();
            change(&mut changed, at, &mut random);
            let (ours, theirs, said) = verdicts(&python, dir.path(), &changed);
            assert!(!ours && !theirs, "{kind} at {at}: {said}");
        }
    }
    let mut torn = good.clone();
    torn.lines[RECORDS - 1].pop();
    let (ours, theirs, said) = verdicts(&python, dir.path(), &torn);
    assert!(!ours && !theirs, "{said}");
}
