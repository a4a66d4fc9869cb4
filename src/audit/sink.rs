//! The file of records.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::digest::{invalid, make_dir};
use crate::vocab::limits::AUDIT_TAIL_BYTES_MAX;

/// Appends whole lines to a file, or to a device or named pipe that stands in its place.
pub(super) struct Sink {
    path: PathBuf,
    file: Option<File>,
    /// Bytes of whole records, for a regular file.
    length: Option<u64>,
    /// Part of a record is in the file and could not be taken out again.
    torn: bool,
}

impl Sink {
    /// Opens the file that `path` names and finds the last `seq` in it; 0 for an empty one. A directory, or a path that
    /// does not exist and has no extension, is a directory for `audit.jsonl`. A named pipe is not opened here, since that
    /// would wait for its reader.
    pub(super) fn open(path: &Path) -> io::Result<(Self, u64)> {
        let is_dir = match fs::metadata(path) {
            Ok(metadata) => metadata.is_dir(),
            Err(_) => path.extension().is_none(),
        };
        let path = if is_dir { path.join(FILE_NAME) } else { path.to_owned() };
        if let Some(parent) = path.parent() {
            make_dir(parent)?;
        }
        let is_pipe = fs::metadata(&path).is_ok_and(|metadata| metadata.file_type().is_fifo());
        let mut sink = Self { path, file: None, length: None, torn: false };
        let last_seq = if is_pipe { 0 } else { sink.reopen()? };
        Ok((sink, last_seq))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Opens the file if it is not open; the last `seq` in it. Waits for the reader of a named pipe.
    pub(super) fn reopen(&mut self) -> io::Result<u64> {
        if self.is_open() {
            return Ok(0);
        }
        let is_file = fs::metadata(&self.path).map_or(true, |metadata| metadata.is_file());
        if !is_file {
            self.file = Some(OpenOptions::new().append(true).open(&self.path)?);
            return Ok(0);
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(invalid("another process writes this audit file", &self.path)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (length, last_seq) = recover(&mut file, &self.path)?;
        (self.length, self.file) = (Some(length), Some(file));
        Ok(last_seq)
    }

    /// Appends `lines`, all or nothing where the medium allows it, and returns when the kernel has them.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if self.torn {
            untear(file, self.length)?;
            self.torn = false;
        }
        match write_fully(file, lines) {
            Ok(()) => {
                self.length = self.length.map(|length| length + lines.len() as u64);
                Ok(())
            }
            Err((written, error)) => {
                self.torn = written > 0 && untear(file, self.length).is_err();
                if !self.torn {
                    // The path may name a healthier file by the next attempt.
                    self.file = None;
                }
                Err(error)
            }
        }
    }

    /// Hands everything to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        match (&self.file, self.length) {
            (Some(file), Some(_)) => file.sync_data(),
            _ => Ok(()),
        }
    }
}

/// Takes the part of a record out of a regular file; ends the line on anything else.
fn untear(file: &mut File, length: Option<u64>) -> io::Result<()> {
    match length {
        Some(length) if file.metadata()?.len() > length => file.set_len(length),
        Some(_) => Ok(()),
        None => file.write_all(b"\n"),
    }
}

fn write_fully(file: &mut File, mut bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let whole = bytes.len();
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err((whole - bytes.len(), io::ErrorKind::WriteZero.into())),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((whole - bytes.len(), error)),
        }
    }
    Ok(())
}

/// Takes a torn last line out of the file, after keeping it beside it, and finds the last record's `seq`.
fn recover(file: &mut File, path: &Path) -> io::Result<(u64, u64)> {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    let end = file.metadata()?.len();
    let start = end.saturating_sub(AUDIT_TAIL_BYTES_MAX);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    Read::by_ref(file).take(AUDIT_TAIL_BYTES_MAX).read_to_end(&mut tail)?;
    let whole = memchr::memrchr(b'\n', &tail).map_or(0, |at| at + 1);
    if whole == 0 && start > 0 {
        return Err(invalid("this is no audit file: it ends without a line", path));
    }
    let (lines, torn) = tail.split_at_checked(whole).unwrap_or_default();
    if !torn.is_empty() {
        keep_torn(torn, path)?;
        file.set_len(start + whole as u64)?;
    }
    let mut numbers = lines.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    match numbers.find_map(|line| serde_json::from_slice::<Numbered>(line).ok()) {
        Some(last) => Ok((start + whole as u64, last.seq)),
        None if lines.is_empty() => Ok((0, 0)),
        None => Err(invalid("this is no audit file: its end holds no record", path)),
    }
}

fn keep_torn(torn: &[u8], path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    let mut beside = OpenOptions::new().append(true).create(true).mode(0o600).open(name)?;
    beside.write_all(torn)?;
    beside.write_all(b"\n")?;
    beside.sync_all()
}

const FILE_NAME: &str = "audit.jsonl";
