//! The lines of all files of a log, one after the other, each with its place.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::time::Duration;

use flate2::read::MultiGzDecoder;

use super::VerifyError;
use super::find::{Files, Role, Segment};
use super::lines::{Found, Lines};
use super::report::SetAside;

/// Where a line is. In a compressed file, as if it were not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Which file, counted from 0.
    file: usize,
    /// Which line of it, counted from 1.
    pub(super) line: u64,
    /// Bytes before it.
    pub(super) offset: u64,
}

/// What is next in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line; its bytes are [`Source::bytes`].
    Line(Range<usize>),
    /// The last bytes of the log have no line feed.
    Torn,
    /// What cannot be a line, and why.
    Damaged(&'static str),
    /// Nothing more.
    End,
}

pub(super) struct Source {
    segments: Vec<Segment>,
    /// The file that is open: which, and its lines.
    at: usize,
    lines: Option<Lines<Box<dyn Read>>>,
    active: Option<File>,
    pub(super) place: Place,
    pub(super) set_aside: Vec<SetAside>,
    /// Bytes of lines so far, of all files.
    pub(super) bytes: u64,
    /// How long a line at the end that has no line feed yet is waited for.
    patience: Duration,
}

impl Source {
    pub(super) fn of(files: Files, patience: Duration) -> Self {
        Self { active: files.active, ..Self::new(files.segments, patience) }
    }

    /// A log that is one stream.
    pub(super) fn stream(name: &str, input: impl Read + 'static) -> Self {
        let only = Segment { path: name.into(), name: name.to_owned(), role: Role::Active, zipped: false, first: None };
        Self { lines: Some(Lines::new(Box::new(input))), ..Self::new(vec![only], Duration::ZERO) }
    }

    fn new(segments: Vec<Segment>, patience: Duration) -> Self {
        Self { segments, at: 0, lines: None, active: None, place: Place::default(), set_aside: Vec::new(), bytes: 0, patience }
    }

    pub(super) fn files(&self) -> usize {
        self.segments.len()
    }

    /// Name of the file of a place.
    pub(super) fn name(&self, place: &Place) -> &str {
        self.segments.get(place.file).map_or("", |segment| &segment.name)
    }

    /// The first `seq` that the name of the first file promises.
    pub(super) fn promised(&self) -> Option<u64> {
        self.segments.first().filter(|segment| segment.role != Role::Active).and_then(|segment| segment.first)
    }

    /// The bytes of the line that [`Next::Line`] named.
    pub(super) fn line(&self, range: &Range<usize>) -> &[u8] {
        self.lines.as_ref().map(|lines| lines.bytes(range)).unwrap_or_default()
    }

    /// Goes on. `expected` is the `seq` that comes next in a sound log: where a file that failed has reached what the next one holds
    /// again, the rest of it is set aside.
    #[expect(clippy::disallowed_methods, reason = "a verifier has a thread of its own")]
    pub(super) fn next(&mut self, expected: u64) -> Result<Next, VerifyError> {
        loop {
            let Some(segment) = self.segments.get(self.at) else { return Ok(Next::End) };
            let is_last = self.at + 1 == self.segments.len();
            let again = self.segments.get(self.at + 1).and_then(|next| next.first).unwrap_or(u64::MAX);
            let reached = if expected == 0 { segment.first.unwrap_or(0) } else { expected };
            if segment.role == Role::Failed && !is_last && reached >= again {
                self.leave()?;
                continue;
            }
            let (role, zipped) = (segment.role, segment.zipped);
            let lines = match &mut self.lines {
                Some(lines) => lines,
                closed => closed.insert(Lines::new(open(segment, &mut self.active)?)),
            };
            let before = (lines.number, lines.offset);
            let mut found = lines.next();
            // Whoever writes the log may be in the middle of a line.
            while !self.patience.is_zero() && role == Role::Active && matches!(found, Ok(Found::Torn(_))) {
                std::thread::sleep(self.patience);
                match lines.grew() {
                    Ok(true) => found = lines.next(),
                    Ok(false) => break,
                    Err(error) => found = Err(error),
                }
            }
            let passed = lines.offset - before.1;
            self.place = Place { file: self.at, line: before.0 + 1, offset: before.1 };
            self.bytes += passed;
            match found {
                Ok(Found::Line(range)) => return Ok(Next::Line(range)),
                Ok(Found::TooLong) => return Ok(Next::Damaged("is longer than any record may be")),
                Ok(Found::Torn(_)) => {
                    self.close();
                    return Ok(if is_last { Next::Torn } else { Next::Damaged("has no line feed") });
                }
                Ok(Found::End) => self.close(),
                Err(error) if zipped && is_content(&error) => {
                    self.close();
                    return Ok(Next::Damaged("cannot be decompressed"));
                }
                Err(error) => return Err(VerifyError::new(&segment.path, &error)),
            }
        }
    }

    fn close(&mut self) {
        self.lines = None;
        self.at += 1;
    }

    /// Leaves what the next file holds again.
    fn leave(&mut self) -> Result<(), VerifyError> {
        if let Some(segment) = self.segments.get(self.at) {
            let size = std::fs::metadata(&segment.path).map_err(|error| VerifyError::new(&segment.path, &error))?.len();
            let offset = self.lines.as_ref().map_or(0, |lines| lines.offset);
            if size > offset {
                self.set_aside.push(SetAside { file: segment.name.clone(), offset, bytes: size - offset });
            }
        }
        self.close();
        Ok(())
    }
}

fn open(segment: &Segment, active: &mut Option<File>) -> Result<Box<dyn Read>, VerifyError> {
    if let Some(file) = active.take_if(|_| segment.role == Role::Active) {
        return Ok(Box::new(file));
    }
    let failed = |error: io::Error| VerifyError::new(&segment.path, &error);
    let opened = File::open(&segment.path);
    // Compressed since the directory was read.
    if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        && let Some(zipped) = segment.compressed()
    {
        return Ok(Box::new(MultiGzDecoder::new(File::open(zipped).map_err(failed)?)));
    }
    let file = opened.map_err(failed)?;
    Ok(if segment.zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Whether an error is about what is in the file, not about reading it.
fn is_content(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof | Other)
}
