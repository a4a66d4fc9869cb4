//! The names of the files of a log.
//!
//! With `audit.jsonl` for the file that is written, what was written before is beside it, named by its first record:
//! `audit-00000000000000000001.jsonl`, with `.gz` behind it once compressed, and with `.failed` if the disk failed it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The directory, and what its files are called.
#[derive(Clone)]
pub(super) struct Place {
    active: PathBuf,
    dir: PathBuf,
    /// `audit-`
    prefix: OsString,
    /// `.jsonl`
    suffix: OsString,
}

/// What became of a file that is no longer written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// The disk failed it: a later file has its end again.
    Failed,
    /// Compressed.
    Gzip,
    /// Whole and closed.
    Sealed,
}

/// A file that is no longer written. In the order in which they were begun; of those that begin alike the one that counts is last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Old {
    /// The `seq` of its first record.
    pub(super) first: u64,
    pub(super) form: Form,
    pub(super) path: PathBuf,
}

impl Place {
    /// A directory, or a path that does not exist and is not called as a file of records is, is a directory for `audit.jsonl`.
    pub(super) fn of(path: &Path) -> Self {
        let is_dir = match fs::metadata(path) {
            Ok(metadata) => metadata.is_dir(),
            Err(_) => !path.extension().is_some_and(|extension| FILE_ENDINGS.iter().any(|ending| extension == *ending)),
        };
        let active = if is_dir { path.join(FILE_NAME) } else { path.to_owned() };
        let mut prefix = active.file_stem().unwrap_or_default().to_owned();
        prefix.push("-");
        let mut suffix = OsString::new();
        if let Some(extension) = active.extension() {
            suffix.push(".");
            suffix.push(extension);
        }
        let dir = match active.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        Self { active, dir, prefix, suffix }
    }

    /// The file that is written.
    pub(super) fn active(&self) -> &Path {
        &self.active
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What a file is called that begins with record `first`.
    pub(super) fn old(&self, first: u64, form: Form) -> PathBuf {
        let mut name = self.prefix.clone();
        name.push(format!("{first:020}"));
        name.push(&self.suffix);
        name.push(form.ending());
        self.dir.join(name)
    }

    /// A file that is not yet one of the log.
    pub(super) fn fresh(&self) -> PathBuf {
        self.beside(".new")
    }

    /// Where the end of a record goes that was cut off.
    pub(super) fn torn(&self) -> PathBuf {
        self.beside(".torn")
    }

    /// Held by whoever writes the log.
    pub(super) fn lock(&self) -> PathBuf {
        self.beside(".lock")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.active.as_os_str().to_owned();
        name.push(ending);
        name.into()
    }

    /// The files that are no longer written, the oldest first.
    pub(super) fn list(&self) -> io::Result<Vec<Old>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            found.extend(self.read_name(name.as_encoded_bytes()).map(|(first, form)| Old { first, form, path: entry.path() }));
        }
        found.sort();
        Ok(found)
    }

    /// What a name in the directory says of the file: its first record, and what became of it.
    pub(super) fn read_name(&self, name: &[u8]) -> Option<(u64, Form)> {
        let (digits, rest) = name.strip_prefix(self.prefix.as_encoded_bytes())?.split_at_checked(DIGITS)?;
        let ending = rest.strip_prefix(self.suffix.as_encoded_bytes())?;
        let form = Form::read(ending)?;
        let all_digits = digits.iter().all(u8::is_ascii_digit);
        let first = std::str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()?;
        Some((first, form))
    }

    /// Makes names that were given or taken away last a loss of power.
    pub(super) fn sync_dir(&self) -> io::Result<()> {
        fs::File::open(&self.dir)?.sync_all()
    }
}

impl Form {
    fn read(ending: &[u8]) -> Option<Self> {
        // Somebody may have put a number behind the one that failed, to keep another of the same name.
        let failed = ending.strip_prefix(Self::Failed.ending().as_bytes());
        let numbered =
            |tail: &[u8]| tail.split_first().is_none_or(|(dot, n)| b".-".contains(dot) && n.iter().all(u8::is_ascii_digit));
        match ending {
            _ if failed.is_some_and(numbered) => Some(Self::Failed),
            _ => [Self::Sealed, Self::Gzip].into_iter().find(|form| form.ending().as_bytes() == ending),
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Sealed => "",
            Self::Gzip => ".gz",
            Self::Failed => ".failed",
        }
    }
}

const FILE_NAME: &str = "audit.jsonl";
/// How the name of a file ends that is not there yet.
const FILE_ENDINGS: [&str; 4] = ["jsonl", "ndjson", "json", "log"];
const DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_name_in_the_order_of_their_records() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::of(&dir.path().join("audit"));
        assert_eq!(place.active(), dir.path().join("audit/audit.jsonl"));
        fs::create_dir(dir.path().join("audit")).unwrap();
        let kept = [(1, Form::Gzip), (7, Form::Failed), (7, Form::Sealed), (90, Form::Sealed)];
        for (first, form) in kept.iter().rev() {
            fs::write(place.old(*first, *form), "").unwrap();
        }
        for other in ["audit.jsonl", "audit-1.jsonl", "audit-0000000000000000000x.jsonl", "audit.jsonl.torn", "other-x"] {
            fs::write(dir.path().join("audit").join(other), "").unwrap();
        }
        assert_eq!(place.list().unwrap().iter().map(|old| (old.first, old.form)).collect::<Vec<_>>(), kept);
        let name = place.old(7, Form::Failed);
        assert!(name.ends_with("audit-00000000000000000007.jsonl.failed"));
    }

    #[test]
    fn what_is_not_there_yet_is_a_directory_unless_it_is_called_as_a_file_is() {
        let dir = tempfile::tempdir().unwrap();
        let active = |name: &str| Place::of(&dir.path().join(name)).active().strip_prefix(dir.path()).unwrap().to_owned();
        for (name, expected) in
            [("audit", "audit/audit.jsonl"), ("audit.v2", "audit.v2/audit.jsonl"), ("gw.jsonl", "gw.jsonl"), ("gw.log", "gw.log")]
        {
            assert_eq!(active(name), Path::new(expected), "{name}");
        }
        fs::write(dir.path().join("gw.v2"), "").unwrap();
        assert_eq!(active("gw.v2"), Path::new("gw.v2"), "it is there, and a file");
    }

    #[test]
    fn a_name_says_what_became_of_the_file() {
        let place = Place::of(Path::new("gw.log"));
        let digits = "00000000000000000007";
        for (rest, expected) in [
            (".log", Some(Form::Sealed)),
            (".log.gz", Some(Form::Gzip)),
            (".log.failed", Some(Form::Failed)),
            (".log.failed.2", Some(Form::Failed)),
            (".log.failed-2", Some(Form::Failed)),
            (".log.failed2", None),
            (".log.failed.x", None),
            (".log.gz.new", None),
            (".jsonl", None),
        ] {
            let read = place.read_name(format!("gw-{digits}{rest}").as_bytes());
            assert_eq!(read, expected.map(|form| (7, form)), "{rest}");
        }
    }
}
