//! The log read as it is written, record by record and in order, by those who carry it elsewhere.
//!
//! Only what a checkpoint on disk covers is handed out: it cannot come to be anything else, whatever becomes of the process or of the
//! machine. Every line is held against its hash and against the record before.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::chain::{self, Link, Sealed};
use super::checkpoint::LogId;
use super::place::{Form, Place};
use super::tail;
use super::verify::lines::LINE_BYTES_MAX;

/// Read at once.
const READ_BYTES: usize = 256 * 1024;
/// A file that is compressed or renamed while it is looked for is looked for again, as often.
const LOOKS_MAX: u32 = 5;

/// How far a reader got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// In which log.
    pub log: LogId,
    /// The last record that it had; 0 before the first.
    pub seq: u64,
    /// The `hash` of that record.
    pub hash: Link,
    /// The `seq` of the first record of the file it is in: where to look first.
    pub file: u64,
    /// Bytes of that file, uncompressed, up to the end of that record.
    pub offset: u64,
}

impl Position {
    /// Before the first record of `log`.
    pub fn start(log: LogId) -> Self {
        Self { log, seq: 0, hash: Link::ZERO, file: 0, offset: 0 }
    }
}

/// How much is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Up to this record.
    pub upto: u64,
    /// At most so many records, and at least one.
    pub records_max: u64,
    /// And at most so many bytes, but for the first record, which is handed out whatever its length.
    pub bytes_max: usize,
}

/// Records that follow each other.
pub struct Stretch {
    /// The number of the first.
    pub first: u64,
    /// Their lines, each with its line feed.
    pub bytes: Vec<u8>,
    /// Where the last one ends.
    pub end: Position,
    /// Records before the first that are in no file any more.
    pub skipped: u64,
}

impl Stretch {
    /// How many records.
    pub fn records(&self) -> u64 {
        self.end.seq.saturating_sub(self.first).saturating_add(1)
    }

    /// The lines, without their line feeds.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }
}

/// Why the next record cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The system says so.
    #[error("the log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The log is not what it was.
    #[error("record {seq} {what}: see what `portcullis audit verify` says")]
    Unsound {
        /// Which record was looked for.
        seq: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Reads a log. All methods block.
pub struct Follower {
    place: Place,
    open: Option<Open>,
}

struct Open {
    /// The `seq` of its first record.
    first: u64,
    /// The `seq` of the first record of the file after it, if there is one: what this one has from there on does not count.
    end: Option<u64>,
    /// The `seq` that comes at `offset`.
    next: u64,
    offset: u64,
    input: Input,
}

enum Input {
    /// Nothing is kept of what lies behind what was handed out: it may be taken back and written anew.
    Plain(File),
    /// And a line that was read and not handed out.
    Gzip(Box<BufReader<MultiGzDecoder<File>>>, Vec<u8>),
}

impl Follower {
    /// Of the log whose file that is written is `active`.
    pub(super) fn new(active: &Path) -> Self {
        Self { place: Place::of(active), open: None }
    }

    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        self.place.dir()
    }

    /// Some of what comes after `after`, as much as is asked for. `None` if there is nothing.
    ///
    /// # Errors
    /// [`FollowError`], if not even the next record can be had. Whether it passes, only trying again shows.
    pub fn read(&mut self, after: &Position, ask: Ask) -> Result<Option<Stretch>, FollowError> {
        let read = match self.stretch(after, ask) {
            // Where to look first is a hint, and no reason to find nothing.
            Err(FollowError::Unsound { .. }) if after.file != 0 => {
                self.open = None;
                self.stretch(&Position { file: 0, offset: 0, ..after.clone() }, ask)
            }
            read => read,
        };
        if read.is_err() {
            self.open = None;
        }
        read
    }

    fn stretch(&mut self, after: &Position, ask: Ask) -> Result<Option<Stretch>, FollowError> {
        let Ask { upto, records_max, .. } = ask;
        let mut next = after.seq.saturating_add(1);
        if after.seq > upto {
            return Err(FollowError::Unsound { seq: after.seq, what: "was exported and is not in the log any more" });
        }
        if next > upto {
            return Ok(None);
        }
        if self.open.as_ref().is_none_or(|open| open.next != next) {
            self.open = None;
            next = self.find(after, upto)?;
        }
        let skipped = next - after.seq.saturating_add(1);
        let mut stretch = Stretch { first: next, bytes: Vec::new(), end: after.clone(), skipped };
        // What came before a record that is gone is gone too.
        let mut prev = (skipped == 0).then_some(after.hash);
        let upto = upto.min(next.saturating_add(records_max.max(1) - 1));
        while next <= upto {
            let Some(open) = &mut self.open else { break };
            let first = open.first;
            match open.take(&mut next, &mut prev, Ask { upto, ..ask }, &mut stretch) {
                Ok(true) => break,
                // The file ended here: the next one begins with the next record.
                Ok(false) => self.open = None,
                // What was read before is sound, and is not held up by what comes after it.
                Err(_) if !stretch.bytes.is_empty() => self.open = None,
                Err(error) => return Err(error),
            }
            if !stretch.bytes.is_empty() {
                break;
            }
            let at = Position { seq: next - 1, file: 0, offset: 0, ..after.clone() };
            if self.find(&at, upto)? != next || self.open.as_ref().is_none_or(|open| open.first == first) {
                self.open = None;
                return Err(FollowError::Unsound { seq: next, what: "is in no file" });
            }
        }
        Ok((!stretch.bytes.is_empty()).then_some(stretch))
    }

    /// Opens the file that has the record after `after`, or else the first one there is; its number.
    fn find(&mut self, after: &Position, upto: u64) -> Result<u64, FollowError> {
        let wanted = after.seq.saturating_add(1);
        for _ in 0..LOOKS_MAX {
            let files = match self.files() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                files => files?,
            };
            // Of the oldest there may be two: one that the disk failed, and the one that has it again.
            let oldest = files.first().map_or(0, |(first, _)| *first);
            let at = files.iter().rposition(|(first, _)| *first <= wanted.max(oldest)).unwrap_or(0);
            let Some((first, holder)) = files.get(at) else { break };
            let end = files.get(at + 1).map(|(next, _)| *next);
            if *first > upto {
                break;
            }
            let input = match holder.open() {
                // It was compressed, renamed or deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                input => input?,
            };
            let mut open = Open { first: *first, end, next: *first, offset: 0, input };
            if wanted > *first && after.file == *first {
                if !open.skip_to(after.offset)? {
                    return Err(FollowError::Unsound { seq: wanted, what: "is not where it was" });
                }
                open.next = wanted;
            }
            let next = open.next.max(wanted);
            self.open = Some(open);
            return Ok(next);
        }
        Err(FollowError::Unsound { seq: wanted, what: "is in no file" })
    }

    /// All files, each with the `seq` of its first record. Of those that begin alike the one that counts is last.
    fn files(&self) -> io::Result<Vec<(u64, Holder)>> {
        // The one that is written comes first: if it is renamed before the others are listed, it is there twice.
        let active = match File::open(self.place.active()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => {
                let mut file = file?;
                let first = tail::first_seq(&mut file, self.place.active())?;
                Some((first, Holder::Active(file)))
            }
        };
        let old = self.place.list()?.into_iter();
        let mut files: Vec<_> = old.map(|old| (old.first, Holder::Old(old.path, old.form == Form::Gzip))).collect();
        files.extend(active);
        files.sort_by_key(|(first, _)| *first);
        Ok(files)
    }
}

enum Holder {
    Active(File),
    Old(std::path::PathBuf, bool),
}

impl Holder {
    fn open(&self) -> io::Result<Input> {
        match self {
            Self::Active(file) => file.try_clone().map(Input::Plain),
            Self::Old(path, false) => File::open(path).map(Input::Plain),
            Self::Old(path, true) => {
                let decoder = MultiGzDecoder::new(File::open(path)?);
                Ok(Input::Gzip(Box::new(BufReader::with_capacity(READ_BYTES, decoder)), Vec::new()))
            }
        }
    }
}

impl Open {
    /// Goes to `offset`, if the file reaches so far.
    fn skip_to(&mut self, offset: u64) -> io::Result<bool> {
        let there = match &mut self.input {
            Input::Plain(file) => file.metadata()?.len() >= offset,
            Input::Gzip(reader, _) => io::copy(&mut reader.by_ref().take(offset), &mut io::sink())? == offset,
        };
        if there {
            self.offset = offset;
        }
        Ok(there)
    }

    /// Adds lines from record `next` on to `stretch`, as many as are asked for. False if the file ended before.
    fn take(&mut self, next: &mut u64, prev: &mut Option<Link>, ask: Ask, stretch: &mut Stretch) -> Result<bool, FollowError> {
        let (first, end, mut line, mut held) = (self.first, self.end, Vec::new(), Vec::new());
        let mut lines: Box<dyn BufRead + '_> = match &mut self.input {
            Input::Plain(file) => {
                file.seek(SeekFrom::Start(self.offset))?;
                Box::new(BufReader::with_capacity(READ_BYTES, file))
            }
            Input::Gzip(reader, held) => Box::new(io::Cursor::new(std::mem::take(held)).chain(reader)),
        };
        while *next <= ask.upto {
            if end.is_some_and(|end| *next >= end) {
                return Ok(false);
            }
            line.clear();
            lines.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
            let Some(text) = line.strip_suffix(b"\n") else { return Ok(false) };
            let unsound = |what| FollowError::Unsound { seq: *next, what };
            let Sealed { seq, prev: before, hash } = chain::check(text).map_err(|_| unsound("was changed"))?;
            let (begins, offset) = (self.offset, self.offset + line.len() as u64);
            if seq != self.next {
                return Err(unsound("is not where it was"));
            }
            (self.offset, self.next) = (offset, seq.saturating_add(1));
            if seq != *next {
                continue;
            }
            if prev.is_some_and(|prev| prev != before) {
                return Err(unsound("does not follow from the one that was exported before it"));
            }
            if !stretch.bytes.is_empty() && stretch.bytes.len() + line.len() > ask.bytes_max {
                // It comes first the next time.
                (self.offset, self.next, held) = (begins, seq, line);
                break;
            }
            stretch.bytes.extend_from_slice(&line);
            stretch.end = Position { log: stretch.end.log, seq, hash, file: first, offset };
            (*next, *prev) = (seq.saturating_add(1), Some(hash));
        }
        drop(lines);
        if let Input::Gzip(_, after) = &mut self.input {
            *after = held;
        }
        Ok(true)
    }
}
