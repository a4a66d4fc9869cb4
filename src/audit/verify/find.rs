//! The files of a log, in their order.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::VerifyError;
use crate::audit::chain;
use crate::audit::place::{Form, Place};

/// Files of one directory; more are a sign that it is not ours.
const FILES_MAX: usize = 100_000;
/// How far into a file its first `seq` is looked for, in bytes.
const FRONT_BYTES: usize = 64;

/// What a file is to its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::audit) enum Role {
    /// Closed when a sync of it failed. What the disk may have lost is in the next one again.
    Failed,
    /// Full, and complete.
    Sealed,
    /// Written to.
    Active,
}

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) struct Segment {
    pub(in crate::audit) path: PathBuf,
    /// How it is named to people.
    pub(in crate::audit) name: String,
    pub(in crate::audit) role: Role,
    pub(in crate::audit) zipped: bool,
    /// The first `seq` by its name, or by its first line.
    pub(in crate::audit) first: Option<u64>,
}

impl Segment {
    /// What a file that is complete is called once it is compressed.
    pub(in crate::audit) fn compressed(&self) -> Option<PathBuf> {
        let mut name = (self.role == Role::Sealed && !self.zipped).then(|| self.path.as_os_str().to_owned())?;
        name.push(".gz");
        Some(name.into())
    }
}

/// What was found at a path.
#[derive(Debug, Default)]
pub(in crate::audit) struct Files {
    pub(in crate::audit) segments: Vec<Segment>,
    /// The file that is written to, opened before the directory was read: it may have another name by now.
    pub(in crate::audit) active: Option<File>,
    /// Files by the names of a log that are not read, and why.
    pub(in crate::audit) skipped: Vec<String>,
}

/// The log of which `path` is in the config: the directory of one that has the usual names.
pub fn whole(path: &Path) -> &Path {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(dir) if Place::of(dir).active() == path && !path.is_dir() => dir,
        _ => path,
    }
}

/// Finds the files of the log at `path`: a directory, or one file. A file that is not called as those in a directory of their own are
/// stands for all that are called after it. Only regular files are read, and no links followed.
pub(in crate::audit) fn find(path: &Path) -> Result<Files, VerifyError> {
    let failed = |error: io::Error| VerifyError::new(path, &error);
    let about = fs::metadata(path).map_err(failed)?;
    let place = Place::of(path);
    if about.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let known = segment(&Place::of(place.dir()), path.to_owned(), &name);
        if known.is_some() || place.list().map_err(failed)?.is_empty() {
            return Ok(Files { segments: vec![alone(path, known)], ..Files::default() });
        }
    } else if !about.is_dir() {
        return Err(VerifyError::of(path, "is no file and no directory"));
    }
    let mut files = Files { active: active(place.active()).map_err(failed)?, ..Files::default() };
    for (count, entry) in fs::read_dir(place.dir()).map_err(failed)?.enumerate() {
        let entry = entry.map_err(failed)?;
        if count >= FILES_MAX {
            return Err(VerifyError::of(path, format_args!("holds more than {FILES_MAX} files")));
        }
        let Some(segment) = entry.file_name().to_str().and_then(|name| segment(&place, entry.path(), name)) else { continue };
        if entry.file_type().map_err(failed)?.is_file() {
            files.segments.push(segment);
        } else {
            files.skipped.push(format!("{}: is no regular file", segment.name));
        }
    }
    if let Some(active) = &files.active {
        let about = active.metadata().map_err(failed)?;
        // Rotated meanwhile: it is there under its new name.
        let is_it =
            |segment: &Segment| fs::metadata(&segment.path).is_ok_and(|m| (m.dev(), m.ino()) == (about.dev(), about.ino()));
        let rotated = files.segments.iter().any(|segment| segment.role != Role::Active && is_it(segment));
        let first = first_seq(active).map_err(failed)?;
        files.segments.retain(|segment| segment.role != Role::Active || !rotated);
        files.segments.iter_mut().filter(|segment| segment.role == Role::Active).for_each(|segment| segment.first = first);
    }
    // The one that is written to is the last, whatever its first line has become.
    files.segments.sort_by_key(|segment| (segment.role == Role::Active, segment.first, segment.role, segment.zipped));
    drop_doubles(&mut files);
    if files.segments.is_empty() && files.skipped.is_empty() {
        return Err(VerifyError::of(path, "holds no audit log"));
    }
    Ok(files)
}

/// While a segment is being compressed both its files are there; the one that is not compressed counts.
fn drop_doubles(files: &mut Files) {
    let Files { segments, skipped, .. } = files;
    segments.dedup_by(|later, earlier| {
        let double = later.role == Role::Sealed && earlier.role == Role::Sealed && later.first == earlier.first;
        if double {
            skipped.push(format!("{}: is there uncompressed as well", later.name));
        }
        double
    });
}

/// One file without those before and after it.
fn alone(path: &Path, known: Option<Segment>) -> Segment {
    let zipped = known.as_ref().map_or(path.extension().is_some_and(|e| e == "gz"), |known| known.zipped);
    let role = known.as_ref().map_or(Role::Active, |known| known.role);
    let first = known.and_then(|known| known.first);
    Segment { path: path.to_owned(), name: path.display().to_string(), role, zipped, first }
}

/// What a file of a directory is to the log, by its name.
fn segment(place: &Place, path: PathBuf, name: &str) -> Option<Segment> {
    let (role, zipped, first) = if place.active().file_name().is_some_and(|active| active == name) {
        (Role::Active, false, None)
    } else {
        let (first, form) = place.read_name(name.as_bytes())?;
        let (role, zipped) = match form {
            Form::Sealed => (Role::Sealed, false),
            Form::Gzip => (Role::Sealed, true),
            Form::Failed => (Role::Failed, false),
        };
        (role, zipped, Some(first))
    };
    Some(Segment { path, name: name.to_owned(), role, zipped, first })
}

/// Opens the file that is written to, if there is one.
fn active(path: &Path) -> io::Result<Option<File>> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_file() => File::open(path).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn first_seq(file: &File) -> io::Result<Option<u64>> {
    let mut front = [0; FRONT_BYTES];
    let read = file.read_at(&mut front, 0)?;
    Ok(chain::seq_of(front.get(..read).unwrap_or_default()))
}
