//! One file of the log, and its rows.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aws_lc_rs::digest;
use flate2::read::MultiGzDecoder;

use super::book::{Book, Header, LineHash};
use super::row::{Ids, ROW_BYTES, Row};
use super::scan::Parts;
use super::words::{Name, Space, Words};
use super::{Cut, IndexError, Refreshed, Trouble};
use crate::audit::verify::find::{Files, Role, Segment};
use crate::audit::verify::lines::{Found, LINE_BYTES_MAX, Lines};

/// Rows that are written at a time.
const BATCH_ROWS: usize = 65_536;
/// Read ahead of single lines, in bytes.
const LINE_READ_BYTES: usize = 4 * 1024;

/// A file of the log.
pub(super) struct Part {
    pub(super) segment: Segment,
    /// The number of its first record; 0 if that cannot be told.
    pub(super) base: u64,
    /// Records from this number on are in the next file again.
    until: u64,
    /// The file that is written to, as it was found: by name it may be another by now.
    active: Option<File>,
    pub(super) book: Option<Book>,
    /// The rows are all there were when it was last looked at.
    pub(super) complete: bool,
}

/// How far [`Part::read_on`] came.
pub(super) struct ReadTo {
    pub(super) end: u64,
    /// There is more, which cannot be read.
    pub(super) cut: Option<Cut>,
}

/// What `each` of [`Part::read_on`] is told: the row, its line (empty for one that is too long), and the words.
type EachLine<'a, E> = dyn FnMut(&Row, &[u8], &mut Words) -> Result<(), E> + 'a;

/// The files in their order.
pub(super) fn parts(mut files: Files) -> Vec<Part> {
    let firsts: Vec<u64> = files.segments.iter().map(|segment| segment.first.unwrap_or(0)).collect();
    let mut parts = Vec::with_capacity(firsts.len());
    for (at, segment) in files.segments.into_iter().enumerate() {
        let next = firsts.get(at + 1).copied().filter(|first| *first > 0);
        let until = if segment.role == Role::Failed { next.unwrap_or(u64::MAX) } else { u64::MAX };
        let active = files.active.take_if(|_| segment.role == Role::Active);
        let base = segment.first.unwrap_or(0);
        parts.push(Part { segment, base, until, active, book: None, complete: false });
    }
    parts
}

impl Part {
    /// Name of the file of its rows. A file that is rotated keeps its rows, since it is known by its first record.
    pub(super) fn rows_name(&self) -> String {
        match (self.segment.role, self.base) {
            (Role::Failed, _) => format!("{}.rows", self.segment.name),
            (Role::Active, 0) => "active.rows".to_owned(),
            (_, base) => format!("{base:020}.rows"),
        }
    }

    /// Whether a row is of a record that no later file has again.
    pub(super) fn counts(&self, row: &Row) -> bool {
        row.seq < self.until
    }

    /// Takes the rows that are there, if they are of this file as it is now.
    pub(super) fn load(&mut self, dir: &Path, words: &Name, words_end: u32) {
        let book = Book::load(&dir.join(self.rows_name()), words, words_end).ok().flatten();
        self.book = book.filter(|book| self.is_of(&book.header).unwrap_or(false));
        self.complete = self.book.as_ref().is_some_and(|book| self.has_no_more(&book.header).unwrap_or(false));
    }

    /// Brings the rows on disk up to date.
    pub(super) fn update(
        &mut self,
        dir: &Path,
        words_path: &Path,
        words: &mut Words,
        refreshed: &mut Refreshed,
    ) -> Result<(), Trouble> {
        self.load(dir, &words.name, words.end());
        if self.complete {
            return Ok(());
        }
        let path = dir.join(self.rows_name());
        let mut book = match self.book.take() {
            Some(book) => book,
            None => {
                refreshed.remade += u64::from(path.exists());
                let first = self.first_line().map_err(|error| Trouble::Log(self.failed(&error)))?;
                let header = Header { words: words.name, base: self.base, first, last: first, ..Header::default() };
                Book::create(&path, header).map_err(Trouble::Index)?
            }
        };
        let (mut rows, mut header) = (Vec::with_capacity(BATCH_ROWS * ROW_BYTES), book.header.clone());
        let base = self.base;
        let start = header.end;
        let mut last = Vec::new();
        let ReadTo { end, cut } = self.read_on(start, words, &mut |row, line, words| -> Result<(), Trouble> {
            refreshed.lines += 1;
            if rows.len() >= BATCH_ROWS * ROW_BYTES {
                words.store(words_path).map_err(Trouble::Index)?;
                header.end = row.offset;
                header.words_end = words.end();
                header.last = hash(&last);
                book.append(&rows, header.clone()).map_err(Trouble::Index)?;
                rows.clear();
            }
            row.write(base, &mut rows);
            if !line.is_empty() {
                last.clear();
                last.extend_from_slice(line);
                header.last_offset = row.offset;
            }
            Ok(())
        })?;
        refreshed.bytes += end - start;
        refreshed.cut.extend(cut);
        words.store(words_path).map_err(Trouble::Index)?;
        header.end = end;
        header.words_end = words.end();
        if !last.is_empty() {
            header.last = hash(&last);
        }
        book.append(&rows, header).map_err(Trouble::Index)?;
        self.book = Some(book);
        self.complete = true;
        Ok(())
    }

    /// Reads lines from byte `from` on, and says how far that was. The end of a line that is not there yet is not waited for.
    pub(super) fn read_on<E: From<IndexError>>(
        &self,
        from: u64,
        words: &mut Words,
        each: &mut EachLine<'_, E>,
    ) -> Result<ReadTo, E> {
        let (mut input, zipped) = self.open().map_err(|error| self.failed(&error))?;
        match input.skip(from) {
            Err(_) if zipped => return Ok(self.cut(from)),
            passed => passed.map_err(|error| self.failed(&error))?,
        }
        let mut lines = Lines::new(input);
        let mut parts = Parts::default();
        loop {
            let offset = from + lines.offset;
            let line = match lines.next() {
                Ok(Found::Line(range)) => lines.bytes(&range),
                Ok(Found::TooLong) => {
                    each(&Row { offset, ..Row::default() }, &[], words)?;
                    continue;
                }
                Ok(Found::End) => return Ok(ReadTo { end: offset, cut: None }),
                // Whoever writes the log may be in the middle of a line, and a disk that failed may have been.
                Ok(Found::Torn(_)) if self.segment.role != Role::Sealed => return Ok(ReadTo { end: offset, cut: None }),
                // What cannot be decompressed ends the file.
                Ok(Found::Torn(_)) => return Ok(self.cut(offset)),
                Err(_) if zipped => return Ok(self.cut(offset)),
                Err(error) => return Err(self.failed(&error).into()),
            };
            if line.is_empty() {
                continue;
            }
            let row = to_row(line, offset, &mut parts, words);
            each(&row, line, words)?;
        }
    }

    fn cut(&self, byte: u64) -> ReadTo {
        ReadTo { end: byte, cut: Some(Cut { file: self.segment.name.clone(), byte }) }
    }

    /// The lines that begin at these bytes, which ascend, each to its place in `lines`; none of a file that is gone.
    pub(super) fn lines(&self, wanted: &[(usize, u64)], lines: &mut [Vec<u8>]) -> Result<(), IndexError> {
        let (file, zipped) = match self.reach() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            reached => reached.map_err(|error| self.failed(&error))?,
        };
        let mut unzipped = BufReader::with_capacity(LINE_READ_BYTES, MultiGzDecoder::new(&file));
        let mut at = 0;
        for (place, offset) in wanted {
            let Some(line) = lines.get_mut(*place) else { continue };
            let read = if zipped {
                io::copy(&mut unzipped.by_ref().take(offset.saturating_sub(at)), &mut io::sink())
                    .and_then(|_| unzipped.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', line))
            } else {
                let from = ReadAt { file: &file, at: *offset };
                BufReader::with_capacity(LINE_READ_BYTES, from.take(LINE_BYTES_MAX as u64 + 1)).read_until(b'\n', line)
            };
            at = offset + read.map_err(|error| self.failed(&error))? as u64;
            line.pop_if(|byte| *byte == b'\n');
        }
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> IndexError {
        IndexError::new(&self.segment.path, error)
    }

    /// The file, and whether it is compressed: it may have come to be since the directory was read.
    fn reach(&self) -> io::Result<(File, bool)> {
        if let Some(file) = &self.active {
            return Ok((file.try_clone()?, false));
        }
        match (File::open(&self.segment.path), self.segment.compressed()) {
            (Err(error), Some(compressed)) if error.kind() == io::ErrorKind::NotFound => Ok((File::open(compressed)?, true)),
            (opened, _) => Ok((opened?, self.segment.zipped)),
        }
    }

    /// The file from its start on, and whether it is compressed.
    fn open(&self) -> io::Result<(Input, bool)> {
        let (mut file, zipped) = self.reach()?;
        if zipped {
            return Ok((Input::Zipped(MultiGzDecoder::new(file)), true));
        }
        file.seek(SeekFrom::Start(0))?;
        Ok((Input::Plain(file), false))
    }

    /// Whether the rows are of this file: its first line, and the last one that has a row, are where they were.
    fn is_of(&self, header: &Header) -> io::Result<bool> {
        if header.rows == 0 || header.base != self.base || self.first_line()? != header.first {
            return Ok(false);
        }
        let (file, zipped) = self.reach()?;
        if zipped {
            // Compressed only when it was complete: as long as it was then.
            return Ok(unzipped_length(&file)? == header.end & u64::from(u32::MAX));
        }
        Ok(file.metadata()?.len() >= header.end && line_hash(ReadAt { file: &file, at: header.last_offset })? == header.last)
    }

    fn has_no_more(&self, header: &Header) -> io::Result<bool> {
        let (file, zipped) = self.reach()?;
        Ok(zipped || file.metadata()?.len() == header.end)
    }

    fn first_line(&self) -> io::Result<LineHash> {
        line_hash(self.open()?.0)
    }
}

/// A file, read as if it were not compressed.
enum Input {
    Plain(File),
    Zipped(MultiGzDecoder<File>),
}

impl Input {
    /// Goes to byte `to`, from the start.
    fn skip(&mut self, to: u64) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.seek(SeekFrom::Start(to)).map(drop),
            Self::Zipped(input) => io::copy(&mut input.take(to), &mut io::sink()).map(drop),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Zipped(input) => input.read(buffer),
        }
    }
}

/// The length of a compressed file modulo 2^32, as its end says it (RFC 1952 section 2.3.1).
fn unzipped_length(file: &File) -> io::Result<u64> {
    let mut tail = [0; 4];
    let length = file.metadata()?.len();
    file.read_exact_at(&mut tail, length.saturating_sub(4))?;
    Ok(u32::from_le_bytes(tail).into())
}

/// The row of a line.
fn to_row(line: &[u8], offset: u64, parts: &mut Parts, words: &mut Words) -> Row {
    if !parts.read(line) {
        return Row { offset, ..Row::default() };
    }
    let who = words.id(Space::Who, &parts.who);
    let what = words.id(Space::What, &parts.what);
    let why = words.id(Space::Why, &parts.why);
    let end = words.id(Space::End, &parts.end);
    Row::of(offset, parts, Ids { who, what, why, end })
}

/// The row of a line that is looked at by itself.
pub(super) fn read_one(line: &[u8], words: &mut Words) -> Row {
    to_row(line, 0, &mut Parts::default(), words)
}

/// A file from some byte on, whatever else reads it.
struct ReadAt<'a> {
    file: &'a File,
    at: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Of the line that begins there, or of as much of it as any line may have.
fn line_hash(input: impl Read) -> io::Result<LineHash> {
    let mut line = Vec::new();
    BufReader::with_capacity(LINE_READ_BYTES, input.take(LINE_BYTES_MAX as u64)).read_until(b'\n', &mut line)?;
    line.pop_if(|byte| *byte == b'\n');
    Ok(hash(&line))
}

fn hash(line: &[u8]) -> LineHash {
    let mut out = LineHash::default();
    let sum = digest::digest(&digest::SHA256, line);
    out.iter_mut().zip(sum.as_ref()).for_each(|(to, from)| *to = *from);
    out
}
