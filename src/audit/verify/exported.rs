//! Checkpoints that were kept elsewhere, held against the log: only they show that its end is missing.

use std::fs::File;
use std::io::{Read as _, Take};
use std::path::{Path, PathBuf};

use super::VerifyError;
use super::lines::{Found, Lines};
use super::report::{Change, Exported};
use super::walk::Walk;
use crate::audit::checkpoint::{Checkpoint, PublicKey, Signature};

/// What they say that the log does not.
pub(super) struct Contradiction {
    pub(super) kind: Change,
    pub(super) seq: u64,
    pub(super) detail: String,
}

/// Reads them in their order, which is that of the log; those that were there when this was opened, since what is added meanwhile may
/// be about records that are in no file that was found.
pub(super) struct Against<'a> {
    path: PathBuf,
    lines: Lines<Take<File>>,
    keys: &'a [PublicKey],
    next: Option<Checkpoint>,
    pub(super) counts: Exported,
}

impl<'a> Against<'a> {
    pub(super) fn open(path: &Path, keys: &'a [PublicKey]) -> Result<Self, VerifyError> {
        let failed = |error: std::io::Error| VerifyError::new(path, &error);
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(VerifyError::of(path, "is no regular file"));
        }
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let lines = Lines::new(file.take(length));
        let mut against = Self { path: path.to_owned(), lines, keys, next: None, counts: Exported::default() };
        against.advance()?;
        if against.next.is_none() {
            return Err(VerifyError::of(path, "holds no checkpoint whose signature holds"));
        }
        Ok(against)
    }

    /// Compares those about the log as it is now.
    pub(super) fn compare(&mut self, walk: &Walk<'_>) -> Result<Option<Contradiction>, VerifyError> {
        let (Some(log), Some(size)) = (walk.log, walk.last_seq()) else { return Ok(None) };
        while let Some(kept) = &self.next {
            let stated = &kept.statement;
            if stated.log != log {
                self.counts.other_logs += 1;
            } else if stated.size < size {
                self.counts.passed_over += 1;
            } else if stated.size > size {
                break;
            } else if stated.head != walk.head || walk.tree.as_ref().is_some_and(|tree| tree.root() != stated.root) {
                let detail =
                    format!("the checkpoint of {} that was kept elsewhere is about other records than these", stated.time);
                return Ok(Some(Contradiction { kind: Change::Rechained, seq: size, detail }));
            } else {
                self.counts.compared += 1;
            }
            self.advance()?;
        }
        Ok(None)
    }

    /// At the end of the log: what is left is about records that are not there.
    pub(super) fn finish(&mut self, walk: &Walk<'_>) -> Result<Option<Contradiction>, VerifyError> {
        let last = walk.last_seq().unwrap_or(0);
        let (mut size, mut time) = (0, String::new());
        while let Some(kept) = self.next.take() {
            let stated = kept.statement;
            if walk.log.is_some_and(|log| log != stated.log) {
                self.counts.other_logs += 1;
            } else if stated.size > last.max(size) {
                (size, time) = (stated.size, stated.time);
            }
            self.advance()?;
        }
        if size > last {
            let missing =
                if size - last == 1 { format!("record {size} is") } else { format!("records {} to {size} are", last + 1) };
            let detail =
                format!("{missing} missing at the end: the log had {size} records at {time}, says a checkpoint kept elsewhere");
            return Ok(Some(Contradiction { kind: Change::Truncated, seq: last + 1, detail }));
        }
        if self.counts.other_logs > 0 && self.counts.compared + self.counts.passed_over == 0 {
            let detail =
                "the checkpoints kept elsewhere are of another log: this one was put in its place, or begun anew".to_owned();
            return Ok(Some(Contradiction { kind: Change::Rechained, seq: walk.first.unwrap_or(1), detail }));
        }
        Ok(None)
    }

    /// To the next one that can be used.
    fn advance(&mut self) -> Result<(), VerifyError> {
        self.next = None;
        while self.next.is_none() {
            let read = match self.lines.next().map_err(|error| VerifyError::new(&self.path, &error))? {
                Found::Line(range) => Checkpoint::read_exported(self.lines.bytes(&range)),
                Found::TooLong => None,
                Found::Torn(_) => {
                    self.counts.unusable += 1;
                    return Ok(());
                }
                Found::End => return Ok(()),
            };
            let holds = |kept: &Checkpoint| self.keys.is_empty() || kept.signature(self.keys) == Signature::Holds;
            self.next = read.filter(holds);
            self.counts.unusable += u64::from(self.next.is_none());
        }
        Ok(())
    }
}
