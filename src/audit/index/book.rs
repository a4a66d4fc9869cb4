//! The rows of one file of the log, in a file of their own.
//!
//! 128 bytes that say of which dictionary, which file and how far; then rows. Rows are written before the header that counts them,
//! so whatever was interrupted is found as it was before. Nothing is synced: an index that is lost is made again.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::row::{ROW_BYTES, Row};
use super::words::Name;

const MAGIC: &[u8; 8] = b"PCLSROW1";
pub(super) const HEADER_BYTES: usize = 128;
/// Bits of a header that count rows; the rest of 64 count texts.
const ROWS_BITS: u32 = 40;
/// Rows are read by as much at a time, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// SHA-256 of a line without its line feed; a line of a sealed log has the hash of all before it inside.
pub(super) type LineHash = [u8; 32];

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Of the dictionary.
    pub(super) words: Name,
    /// What numbers of records are counted from.
    pub(super) base: u64,
    pub(super) rows: u64,
    /// One above the highest id of a text that rows may name.
    pub(super) words_end: u32,
    /// Up to where the log file is in here, in bytes.
    pub(super) end: u64,
    /// The first line of the log file.
    pub(super) first: LineHash,
    /// The last line that is in here, and where it begins.
    pub(super) last: LineHash,
    pub(super) last_offset: u64,
}

impl Header {
    fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.words);
        let counts = u64::from(self.words_end) << ROWS_BITS | self.rows;
        for number in [self.base, counts, self.end, self.last_offset] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.first);
        out.extend_from_slice(&self.last);
        out.extend_from_slice(&sum(&out).to_le_bytes());
        out
    }

    fn read(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk::<8>()?;
        if sum(body) != u64::from_le_bytes(*check) {
            return None;
        }
        let (magic, rest) = body.split_first_chunk::<8>()?;
        let (words, rest) = rest.split_first_chunk::<16>()?;
        let (base, rest) = rest.split_first_chunk::<8>()?;
        let (rows, rest) = rest.split_first_chunk::<8>()?;
        let (end, rest) = rest.split_first_chunk::<8>()?;
        let (last_offset, rest) = rest.split_first_chunk::<8>()?;
        let (first, last) = rest.split_first_chunk::<32>()?;
        let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let words_end = u32::try_from(number(rows) >> ROWS_BITS).ok()?;
        (magic == MAGIC).then_some(Self {
            words: *words,
            base: number(base),
            rows: number(rows) & ((1 << ROWS_BITS) - 1),
            words_end,
            end: number(end),
            first: *first,
            last: last.try_into().ok()?,
            last_offset: number(last_offset),
        })
    }
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A file of rows.
pub(super) struct Book {
    pub(super) path: PathBuf,
    pub(super) header: Header,
}

impl Book {
    /// What is at `path`, if it is sound and of that dictionary, which has ids below `words_end`.
    pub(super) fn load(path: &Path, words: &Name, words_end: u32) -> io::Result<Option<Self>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(header) = read_header(&mut file)? else { return Ok(None) };
        let length = file.metadata()?.len();
        let needed = header.rows.checked_mul(ROW_BYTES as u64).and_then(|n| n.checked_add(HEADER_BYTES as u64));
        let sound = header.words == *words && header.words_end <= words_end && needed.is_some_and(|needed| needed <= length);
        Ok(sound.then(|| Self { path: path.to_owned(), header }))
    }

    /// A new one in the place of whatever is there. Who reads the old one goes on with it.
    pub(super) fn create(path: &Path, header: Header) -> io::Result<Self> {
        let fresh = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&header.write())?;
        std::fs::rename(&fresh, path)?;
        Ok(Self { path: path.to_owned(), header })
    }

    /// Appends rows (as written by [`Row::write`]) and then counts them: `header` is how it is afterwards, but for their number.
    pub(super) fn append(&mut self, rows: &[u8], header: Header) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        file.seek(SeekFrom::Start(HEADER_BYTES as u64 + self.header.rows * ROW_BYTES as u64))?;
        file.write_all(rows)?;
        let header = Header { rows: self.header.rows + (rows.len() / ROW_BYTES) as u64, ..header };
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header.write())?;
        self.header = header;
        Ok(())
    }

    /// Reads rows from number `from` on, as many as the header counted when it was loaded. False where the file is no longer as it
    /// was, or has a row that is not sound: then the rows that were handed over do not count.
    pub(super) fn each(&self, from: u64, end_id: u32, mut each: impl FnMut(&Row)) -> io::Result<bool> {
        let mut file = File::open(&self.path)?;
        let now = read_header(&mut file)?;
        if now.is_none_or(|now| now.words != self.header.words || now.first != self.header.first || now.rows < self.header.rows) {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(HEADER_BYTES as u64 + from * ROW_BYTES as u64))?;
        let mut left = self.header.rows.saturating_sub(from);
        let mut input = BufReader::with_capacity(0, file);
        let mut chunk = vec![0; READ_BYTES];
        while left > 0 {
            let rows = left.min((READ_BYTES / ROW_BYTES) as u64);
            let Some(part) = usize::try_from(rows).ok().and_then(|rows| chunk.get_mut(..rows * ROW_BYTES)) else {
                return Ok(false);
            };
            match input.read_exact(part) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            }
            let (found, _) = part.as_chunks::<ROW_BYTES>();
            for bytes in found {
                match Row::read(self.header.base, bytes) {
                    Some(row) if [row.who, row.what, row.why, row.end].iter().all(|id| *id < end_id) => each(&row),
                    _ => return Ok(false),
                }
            }
            left -= rows;
        }
        Ok(true)
    }
}

fn read_header(file: &mut File) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Header::read(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
