//! Six kinds of tampering at random places: each is found, named for what it is, and where it is. `PORTCULLIS_TAMPERINGS` says at
//! how many places, `PORTCULLIS_TAMPERING_SEED` at which.

use std::path::Path;

use super::forge::{Layout, Log, Random, forged, key, log, rechain, rehashed};
use super::{sound, verified};
use crate::audit::verify::{Change, FirstBad, Witnesses};

const RECORDS: usize = 300;
const EVERY: usize = 37;
/// The last file takes what is left, and what was put in.
const LAYOUT: Layout<'_> =
    &[("audit-00000000000000000001.jsonl.gz", 90), ("audit-00000000000000000091.jsonl", 101), ("audit.jsonl", usize::MAX)];

/// A change and what it must be found as: kinds, and the `seq` where it is.
struct Found {
    kinds: &'static [Change],
    seq: Option<u64>,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn tampered(what: &str, tamper: fn(&mut Log, &mut Random, &Path) -> Found) {
    let dir = tempfile::tempdir().unwrap();
    let good = log(&key(dir.path()), RECORDS, EVERY);
    let (times, seed) = (number("PORTCULLIS_TAMPERINGS", 60), number("PORTCULLIS_TAMPERING_SEED", 1));
    let (path, exported) = good.write(dir.path(), LAYOUT);
    let witnesses = Witnesses { keys: vec![good.public], keys_beside_log: false, exported: Some(exported) };
    assert_eq!(sound(&path, &witnesses).records, RECORDS as u64);
    for time in 0..times {
        let mut changed = good.clone();
        let Found { kinds, seq } = tamper(&mut changed, &mut Random(seed << 32 | time), dir.path());
        changed.write(dir.path(), LAYOUT);
        let report = verified(&path, &witnesses);
        let bad = report.first_bad.unwrap_or_else(|| panic!("{what} {time}: not found"));
        let FirstBad { kind, seq: at, .. } = &bad;
        assert!(kinds.contains(kind), "{what} {time}: {bad}");
        assert!(seq.is_none_or(|seq| seq == *at), "{what} {time}: {bad}, and it is {seq:?}");
    }
}

#[test]
fn bits_flipped() {
    tampered("flip", |log, random, _| {
        let at = random.between(0, RECORDS);
        let byte = random.between(0, log.lines[at].len());
        log.lines[at][byte] ^= 1 << random.between(0, 8);
        let seq = Some(at as u64 + 1);
        // The last line without its line feed has no end.
        if at + 1 == RECORDS {
            Found { kinds: &[Change::Altered, Change::NotARecord, Change::TornTail], seq }
        } else {
            Found { kinds: &[Change::Altered], seq }
        }
    });
}

#[test]
fn records_changed_and_given_a_hash_anew() {
    tampered("rehash", |log, random, _| {
        // That two follow is what tells which of them changed.
        let at = random.between(1, RECORDS - 2);
        log.lines[at] = rehashed(log, at);
        Found { kinds: &[Change::Altered], seq: Some(at as u64 + 1) }
    });
}

#[test]
fn records_deleted() {
    tampered("delete", |log, random, _| {
        let at = random.between(0, RECORDS - 1);
        let count = random.between(1, RECORDS - at);
        log.lines.drain(at..at + count);
        // Files are cut at the same lines, so that later ones begin with other records than their names say.
        Found { kinds: &[Change::Deleted], seq: Some(at as u64 + 1) }
    });
}

#[test]
fn records_put_in() {
    tampered("insert", |log, random, _| {
        let at = random.between(1, RECORDS - 1);
        let (line, kinds): (Vec<u8>, &'static [Change]) = match random.between(0, 4) {
            0 => (log.lines[random.between(0, RECORDS)].clone(), &[Change::Inserted]),
            1 => (forged(log, at), &[Change::Inserted]),
            2 => (b"{\"v\":1,\"seq\":7}\n".to_vec(), &[Change::Inserted]),
            _ => (b"\n".to_vec(), &[Change::Inserted]),
        };
        let copy_of_the_one_before_or_behind = log.lines[at - 1] == line || log.lines[at] == line;
        log.lines.insert(at, line);
        Found { kinds, seq: (!copy_of_the_one_before_or_behind).then_some(at as u64 + 1) }
    });
}

#[test]
fn records_swapped_or_moved() {
    tampered("reorder", |log, random, _| {
        let at = random.between(1, RECORDS - 1);
        let other = random.between(at + 1, RECORDS);
        match random.between(0, 3) {
            0 => log.lines.swap(at, other),
            1 => log.lines[at..=other].rotate_left(1),
            _ => log.lines[at..=other].rotate_right(1),
        }
        Found { kinds: &[Change::Reordered], seq: Some(at as u64 + 1) }
    });
}

#[test]
fn the_end_cut_off() {
    tampered("truncate", |log, random, _| {
        // The last checkpoint is about all records but itself.
        let left = random.between(1, RECORDS - 1);
        log.lines.truncate(left);
        if random.between(0, 2) == 0 {
            return Found { kinds: &[Change::Truncated], seq: Some(left as u64 + 1) };
        }
        let last = &mut log.lines[left - 1];
        last.truncate(random.between(1, last.len()));
        Found { kinds: &[Change::TornTail], seq: Some(left as u64) }
    });
}

#[test]
fn records_changed_and_everything_behind_chained_anew() {
    tampered("rechain", |log, random, dir| {
        let mut at = random.between(1, RECORDS - 1);
        if at.is_multiple_of(EVERY) {
            at += 1;
        }
        if at + 1 >= RECORDS {
            at -= 2;
        }
        let own = key(&dir.join("own"));
        match random.between(0, 3) {
            0 => rechain(log, at, None, false),
            1 => rechain(log, at, None, true),
            _ => rechain(log, at, Some(&own), true),
        }
        // The next checkpoint is where it shows.
        let next = (at / EVERY + 1) * EVERY + 1;
        Found { kinds: &[Change::Rechained], seq: Some(next.min(RECORDS) as u64) }
    });
}
