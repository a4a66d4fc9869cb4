//! The end of a file of records, as it is found: what is sound in it, and what was cut off.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::chain::{self, Link, Unsound};
use super::checkpoint::{Checkpoint, LogId};
use super::digest::invalid;
use super::merkle::Frontier;
use crate::vocab::limits::AUDIT_TAIL_BYTES_MAX;

/// Where a log goes on.
pub(super) struct Tail {
    pub(super) log: LogId,
    /// Its last record.
    pub(super) seq: u64,
    pub(super) link: Link,
    /// The tree over all records.
    pub(super) tree: Frontier,
    /// Its last checkpoint, and how many records and bytes came after it.
    pub(super) checkpoint: Checkpoint,
    pub(super) records_since: u64,
    pub(super) bytes_since: usize,
    /// Bytes of the file that are sound.
    pub(super) length: u64,
    /// What comes after them.
    pub(super) torn: Vec<u8>,
    /// The sound bytes that were read, from the first checkpoint among them on.
    pub(super) bytes: Vec<u8>,
    /// Where the last checkpoint is in `bytes`.
    pub(super) checkpoint_at: usize,
}

/// Reads the end of `file`: rolls forward from the first checkpoint found there, and holds every record and every other checkpoint
/// against it. `None` for a file without a sound record, all of which is torn.
///
/// # Errors
/// It cannot be read, or is not what we left behind: then nothing may be appended to it.
pub(super) fn read(file: &mut File, path: &Path) -> io::Result<Option<Tail>> {
    let end = file.metadata()?.len();
    let start = end.saturating_sub(AUDIT_TAIL_BYTES_MAX);
    let mut window = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(AUDIT_TAIL_BYTES_MAX).read_to_end(&mut window)?;
    let mut walk = Walk::default();
    // The first line may be the end of one.
    let mut at = if start == 0 { 0 } else { memchr::memchr(b'\n', &window).map_or(window.len(), |at| at + 1) };
    while let Some(length) = window.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        let line = window.get(at..at + length).unwrap_or_default();
        match walk.step(line, at) {
            Step::Sound => at += length + 1,
            Step::Torn => break,
            Step::Wrong(what) => return Err(wrong(what, path)),
        }
    }
    let torn = window.split_off(at);
    if torn.split(|byte| *byte == b'\n').any(|line| chain::check(line).is_ok()) {
        return Err(wrong("a record in it was changed", path));
    }
    match walk.known {
        Some(known) => {
            let bytes = window.split_off(known.first_at);
            Ok(Some(Tail {
                log: known.checkpoint.statement.log,
                seq: known.seq,
                link: known.link,
                tree: known.tree,
                checkpoint: known.checkpoint,
                records_since: known.records_since,
                bytes_since: at - known.checkpoint_at,
                length: start + at as u64,
                torn,
                bytes,
                checkpoint_at: known.checkpoint_at - known.first_at,
            }))
        }
        None if walk.last.is_none() && start == 0 && !looks_written(&torn) => Ok(None),
        None => Err(wrong("its end holds no checkpoint", path)),
    }
}

/// What of a whole line is there must have been ours: a file of somebody else's is not taken for a torn one.
fn looks_written(torn: &[u8]) -> bool {
    memchr::memchr(b'\n', torn).is_some()
}

fn wrong(what: &str, path: &Path) -> io::Error {
    let remedy = "see what `portcullis audit verify` says of the directory, and move it aside to begin a new log";
    invalid(&format!("this audit file is not as it was left: {what}; {remedy}"), path)
}

enum Step {
    Sound,
    Torn,
    Wrong(&'static str),
}

#[derive(Default)]
struct Walk {
    /// The record before, also where no checkpoint came yet.
    last: Option<chain::Sealed>,
    known: Option<Known>,
}

struct Known {
    seq: u64,
    link: Link,
    tree: Frontier,
    checkpoint: Checkpoint,
    records_since: u64,
    first_at: usize,
    checkpoint_at: usize,
}

impl Walk {
    fn step(&mut self, line: &[u8], at: usize) -> Step {
        let sealed = match chain::check(line) {
            Ok(sealed) => sealed,
            // Blocks that never reached the disk are zeros, which no record has; any other whole line was written as it is.
            Err(Unsound::Altered(_)) if !line.contains(&0) => return Step::Wrong("a record in it was changed"),
            Err(_) => return Step::Torn,
        };
        if self.last.is_some_and(|last| sealed.seq != last.seq.saturating_add(1) || sealed.prev != last.hash) {
            return Step::Wrong("its records do not follow from each other");
        }
        self.last = Some(sealed);
        let stated = super::record::is_checkpoint(line).then(|| Checkpoint::read(line));
        match (stated, &mut self.known) {
            (Some(None), _) => return Step::Wrong("a checkpoint in it cannot be read"),
            (Some(Some((checkpoint, tree))), known) => {
                let statement = &checkpoint.statement;
                let agrees = statement.size.checked_add(1) == Some(sealed.seq)
                    && statement.head == sealed.prev
                    && statement.root == tree.root()
                    && known.as_ref().is_none_or(|known| known.tree == tree && known.checkpoint.statement.log == statement.log);
                if !agrees {
                    return Step::Wrong("a checkpoint in it is not of its records");
                }
                let first_at = known.as_ref().map_or(at, |known| known.first_at);
                *known =
                    Some(Known { seq: 0, link: Link::ZERO, tree, checkpoint, records_since: 0, first_at, checkpoint_at: at });
            }
            (None, Some(known)) => known.records_since += 1,
            (None, None) => {}
        }
        if let Some(known) = &mut self.known {
            known.tree.push(sealed.hash);
            (known.seq, known.link) = (sealed.seq, sealed.hash);
        }
        Step::Sound
    }
}

/// The first record of a file: its number.
pub(super) fn first_seq(file: &mut File, path: &Path) -> io::Result<u64> {
    let mut start = [0; 64];
    file.seek(SeekFrom::Start(0))?;
    let count = file.read(&mut start)?;
    let seq = start.get(..count).and_then(chain::seq_of);
    seq.ok_or_else(|| wrong("it does not begin with a record", path))
}

/// When the first record of a file came, in milliseconds since the Unix epoch.
pub(super) fn first_unix_ms(file: &mut File, path: &Path) -> io::Result<u64> {
    #[derive(serde::Deserialize)]
    struct Timed {
        time: String,
    }
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut start)?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let timed: Option<Timed> = serde_json::from_slice(line).ok();
    let time = timed.and_then(|timed| humantime::parse_rfc3339(&timed.time).ok());
    let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let unix_ms = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    unix_ms.ok_or_else(|| wrong("it does not begin with a record", path))
}

/// All of a file that holds no record.
pub(super) fn whole(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(AUDIT_TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first record of a file is a checkpoint, and shorter.
const FIRST_LINE_BYTES_MAX: u64 = 64 * 1024;
