//! What records are appended to: a regular file, or a device or named pipe that stands in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::digest::invalid;

/// Takes whole lines.
pub(super) struct Medium {
    file: File,
    /// For a regular file.
    segment: Option<Segment>,
    /// Part of a record is in the file and could not be taken out again.
    torn: bool,
}

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// This.
    This,
    /// This, but it is shorter than what was written to it.
    Cut,
    /// Something else, or nothing.
    Other,
}

/// What is known of a regular file.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    /// Bytes of whole records.
    pub(super) length: u64,
    /// The `seq` of its first record.
    pub(super) first: u64,
    /// When that was, in milliseconds since the Unix epoch.
    pub(super) first_unix_ms: u64,
}

impl Medium {
    /// A device or a pipe. Waits for the reader of a pipe.
    pub(super) fn stream(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().append(true).open(path)?, segment: None, torn: false })
    }

    /// A file of records.
    pub(super) fn file(file: File, segment: Segment) -> Self {
        Self { file, segment: Some(segment), torn: false }
    }

    /// What is known of the file, if it is one.
    pub(super) fn segment(&self) -> Option<Segment> {
        self.segment
    }

    /// Appends `lines`, all or nothing where the medium allows it, and returns when the kernel has them.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.untear()?;
            self.torn = false;
        }
        match write_fully(&mut self.file, lines) {
            Ok(()) => {
                if let Some(segment) = &mut self.segment {
                    segment.length += lines.len() as u64;
                }
                Ok(())
            }
            Err((written, error)) => {
                self.torn = written > 0 && self.untear().is_err();
                Err(error)
            }
        }
    }

    /// Hands everything to the disk. An error is final: what was not yet on disk may be lost, and a second try would not say so.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.segment.is_some() { self.file.sync_data() } else { Ok(()) }
    }

    /// What `path` names by now.
    pub(super) fn named(&self, path: &Path) -> io::Result<Named> {
        let named = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Named::Other),
            named => named?,
        };
        let own = self.file.metadata()?;
        if (own.dev(), own.ino()) != (named.dev(), named.ino()) {
            return Ok(Named::Other);
        }
        let is_cut = self.segment.is_some_and(|segment| own.len() < segment.length);
        Ok(if is_cut { Named::Cut } else { Named::This })
    }

    /// Whether it is a file that nothing names any more: what is in it goes with this process.
    pub(super) fn is_deleted(&self) -> io::Result<bool> {
        Ok(self.segment.is_some() && self.file.metadata()?.nlink() == 0)
    }

    /// Takes the part of a record out of a regular file; ends the line on anything else.
    fn untear(&mut self) -> io::Result<()> {
        match self.segment {
            Some(Segment { length, .. }) if self.file.metadata()?.len() > length => self.file.set_len(length),
            Some(_) => Ok(()),
            None => self.file.write_all(b"\n"),
        }
    }
}

/// Opens a file of records, which others may neither read nor write if this makes it.
pub(super) fn open(path: &Path, new: bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create_new(new).mode(0o600).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(invalid("this is no file", path)) }
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
