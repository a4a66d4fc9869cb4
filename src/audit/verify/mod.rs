//! Verifying a log: every line, every link, every checkpoint, in one pass and in constant memory.
//!
//! What is read may be anything; docs/audit-format.md is what it is held against.

mod exported;
pub(super) mod find;
mod first_bad;
pub(super) mod lines;
mod proof;
mod report;
mod source;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use exported::{Against, Contradiction};
pub use find::whole;
use first_bad::{Before, first_bad};
pub use proof::{NoProof, Proof, Proven, Unproven, Which, check_proof, prove};
pub use report::{Change, Covered, Exported, FirstBad, Report, SetAside, Signatures};
use source::{Next, Place, Source};
use walk::{Fault, Walk};

use super::checkpoint::PublicKey;

/// How long a line is waited for that somebody is writing.
const PATIENCE: Duration = Duration::from_millis(100);

/// The files cannot be read, or are no log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct VerifyError(String);

impl VerifyError {
    fn new(path: &Path, error: &std::io::Error) -> Self {
        Self::of(path, error)
    }

    fn of(path: &Path, what: impl fmt::Display) -> Self {
        Self(format!("{}: {what}", path.display()))
    }
}

/// What a log is held against.
#[derive(Clone, Debug, Default)]
pub struct Witnesses {
    /// Keys of the checkpoints; without any, no signature is checked.
    pub keys: Vec<PublicKey>,
    /// The keys lie beside the log.
    pub keys_beside_log: bool,
    /// A file of checkpoints that were kept elsewhere.
    pub exported: Option<PathBuf>,
}

/// Verifies the log at `path`, a directory or one file, to its end or the first bad record. A few megabytes of memory, whatever is
/// there.
///
/// # Errors
/// A file cannot be read, or there is no log. What is wrong with a log is in the report.
pub fn verify(path: &Path, witnesses: &Witnesses) -> Result<Report, VerifyError> {
    // A log that is written while this reads it has whatever was kept elsewhere before its files were looked for.
    let against = against(witnesses)?;
    let files = find::find(path)?;
    let skipped = files.skipped.clone();
    let mut report = verify_source(&mut Source::of(files, PATIENCE), witnesses, against)?;
    report.skipped = skipped;
    Ok(report)
}

/// Verifies a log that comes as one stream, called `name`.
///
/// # Errors
/// As [`verify`].
pub fn verify_stream(name: &str, input: impl Read + 'static, witnesses: &Witnesses) -> Result<Report, VerifyError> {
    verify_source(&mut Source::stream(name, input), witnesses, against(witnesses)?)
}

fn against(witnesses: &Witnesses) -> Result<Option<Against<'_>>, VerifyError> {
    witnesses.exported.as_deref().map(|path| Against::open(path, &witnesses.keys)).transpose()
}

fn verify_source(source: &mut Source, witnesses: &Witnesses, mut against: Option<Against<'_>>) -> Result<Report, VerifyError> {
    let mut walk = Walk::new(&witnesses.keys);
    let mut last = Place::default();
    // What a checkpoint kept elsewhere contradicts; the next line may say more exactly where and how.
    let mut contradicted: Option<FirstBad> = None;
    let bad = loop {
        let fault = match source.next(walk.expected)? {
            Next::End | Next::Torn if contradicted.is_some() => break contradicted,
            Next::End => break end(source, &walk, &last, against.as_mut())?,
            Next::Torn => break Some(torn(source, &walk)),
            Next::Damaged(_) => Some(Fault::NoRecord),
            Next::Line(range) => walk.take(source.line(&range)).err(),
        };
        if let Some(fault) = fault {
            let place = last.clone();
            break Some(first_bad(fault, &Before { walk: &walk, place }, source)?);
        }
        if contradicted.is_some() {
            break contradicted;
        }
        if let Some(missing) = missing_before_first(source, &walk) {
            break Some(missing);
        }
        last = source.place.clone();
        if let Some(against) = &mut against {
            contradicted = against.compare(&walk)?.map(|contradiction| at(source, &last, contradiction));
        }
    };
    Ok(report(source, &walk, witnesses, bad, against.map(|against| against.counts)))
}

/// Record 2 of a file that is named for record 1 is no sign of retention, which removes whole files.
fn missing_before_first(source: &Source, walk: &Walk<'_>) -> Option<FirstBad> {
    let (promised, first) = (source.promised()?, walk.first?);
    if walk.records != 1 || promised == first {
        return None;
    }
    let detail = format!("the file is named for record {promised} and begins with record {first}");
    Some(at(source, &source.place, Contradiction { kind: Change::Deleted, seq: promised, detail }))
}

fn end(
    source: &Source,
    walk: &Walk<'_>,
    last: &Place,
    against: Option<&mut Against<'_>>,
) -> Result<Option<FirstBad>, VerifyError> {
    if let Some(contradiction) = against.map(|against| against.finish(walk)).transpose()?.flatten() {
        return Ok(Some(at(source, last, contradiction)));
    }
    let empty = walk.records == 0;
    let detail = "there is no record: a log begins with one".to_owned();
    Ok(empty.then(|| at(source, last, Contradiction { kind: Change::Truncated, seq: 1, detail })))
}

fn torn(source: &Source, walk: &Walk<'_>) -> FirstBad {
    let detail = "the last line has no end: a crash leaves that, and so does cutting".to_owned();
    at(source, &source.place, Contradiction { kind: Change::TornTail, seq: walk.expected.max(1), detail })
}

fn at(source: &Source, place: &Place, what: Contradiction) -> FirstBad {
    let Contradiction { kind, seq, detail } = what;
    FirstBad { kind, file: source.name(place).to_owned(), line: place.line.max(1), offset: place.offset, seq, detail }
}

fn report(
    source: &Source,
    walk: &Walk<'_>,
    witnesses: &Witnesses,
    first_bad: Option<FirstBad>,
    exported: Option<Exported>,
) -> Report {
    let mut last_seq = walk.last_seq();
    let mut records = walk.records;
    // The record that is bad may be the one before the line at which that shows.
    if let (Some(bad), Some(last)) = (&first_bad, last_seq)
        && bad.seq <= last
        && bad.kind != Change::Deleted
    {
        records -= (last - bad.seq + 1).min(records);
        last_seq = Some(bad.seq - 1).filter(|_| records > 0);
    }
    let covered = walk.covered();
    let uncovered =
        last_seq.map_or(0, |last| last.saturating_sub(covered.as_ref().map_or(0, |covered| covered.seq)).min(records));
    Report {
        sound: first_bad.is_none(),
        first_bad,
        log: walk.log.map(|log| log.to_string()),
        records,
        first_seq: walk.first,
        last_seq,
        checkpoints: walk.checkpoints,
        covered,
        uncovered,
        signatures: match (witnesses.keys.is_empty(), witnesses.keys_beside_log) {
            (true, _) => Signatures::NotChecked,
            (false, true) => Signatures::CheckedByKeyBesideTheLog,
            (false, false) => Signatures::Checked,
        },
        exported,
        files: source.files(),
        bytes: source.bytes,
        set_aside: source.set_aside.clone(),
        skipped: Vec::new(),
    }
}
