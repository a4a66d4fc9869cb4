//! An index beside the log, so that questions about millions of records take seconds.
//!
//! In the directory `index/` of the log: one file of rows (64 bytes a line) for every file of the log, and one dictionary with the
//! principals, targets, decisions and endings that the rows name. It holds nothing that the log does not hold, and says nothing
//! about whether the log is sound: that is [`super::verify`]. Before every question it is brought up to date, under a lock. What is
//! lost, torn, of another version or of another log is made again; where it cannot be written, the log itself is read.

mod book;
mod cut;
mod facets;
mod filter;
mod histogram;
mod members;
mod part;
mod report;
mod row;
mod scan;
mod table;
mod words;

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

pub use cut::Cut;
pub use facets::By;
pub use filter::{Filter, Links, Span};
pub use report::{Asked, Count, Figures, NewName, OpenIntent, Report, stats};
pub use row::Row;
pub use scan::RowKind;

use super::verify::VerifyError;
use super::verify::find::find;
use part::{Part, parts};
use words::Words;

/// Name of the directory of the index.
const DIR: &str = "index";
const WORDS: &str = "words";
const LOCK: &str = "lock";
/// How often rows that turn out to be unsound are made again before the log is read instead.
const TRIES: usize = 2;
/// How often files are looked for, if one is gone when it is opened.
const LOOKS_MAX: usize = 5;

/// A log, or its index, cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct IndexError(String, Gone);

/// Whether a file was gone that was there a moment before: it was rotated, or deleted, and looking again helps.
type Gone = bool;

impl IndexError {
    fn new(path: &Path, error: &io::Error) -> Self {
        Self(format!("{}: {error}", path.display()), error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<VerifyError> for IndexError {
    fn from(error: VerifyError) -> Self {
        Self(error.to_string(), false)
    }
}

/// Where something failed: the log is what was asked about, the index can be done without.
enum Trouble {
    Log(IndexError),
    Index(io::Error),
}

impl From<IndexError> for Trouble {
    fn from(error: IndexError) -> Self {
        Self::Log(error)
    }
}

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    part: usize,
    offset: u64,
}

/// How far rows were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    base: u64,
    rows: u64,
    end: u64,
}

/// What bringing an index up to date came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Lines that were read for it.
    pub lines: u64,
    /// And their bytes.
    pub bytes: u64,
    /// Files of the log whose rows were made anew although there were some.
    pub remade: u64,
    /// Files whose end is missing in the answers.
    pub cut: Vec<Cut>,
    /// Why there is no index, or it was not brought up to date.
    pub without: Option<String>,
}

/// A log and its index.
pub struct Index {
    log: PathBuf,
    dir: PathBuf,
    words: Words,
    parts: Vec<Part>,
    /// Rows on disk proved unsound.
    distrusted: usize,
    /// They are to be made again, all of them.
    remake: bool,
    /// Files whose end was found to be unreadable since they were looked for.
    cuts: Vec<Cut>,
}

impl Index {
    /// Finds the log at `path`: its directory, or one file, which is read without an index.
    ///
    /// # Errors
    /// There is no log that can be read.
    pub fn open(path: &Path) -> Result<(Self, Refreshed), IndexError> {
        let mut index = Self {
            log: path.to_owned(),
            dir: path.join(DIR),
            words: Words::default(),
            parts: Vec::new(),
            distrusted: 0,
            remake: false,
            cuts: Vec::new(),
        };
        let refreshed = index.refresh()?;
        Ok((index, refreshed))
    }

    /// Takes in what was written since.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn refresh(&mut self) -> Result<Refreshed, IndexError> {
        let mut looks = 1;
        loop {
            match self.look_again() {
                Err(error) if error.1 && looks < LOOKS_MAX => looks += 1,
                looked => return looked,
            }
        }
    }

    fn look_again(&mut self) -> Result<Refreshed, IndexError> {
        self.cuts.clear();
        self.parts = parts(find(&self.log)?);
        let why = if self.log.is_file() {
            "what is named by a file is read without an index; only a directory has one".to_owned()
        } else if self.distrusted >= TRIES {
            "the index does not hold".to_owned()
        } else {
            match self.update() {
                Ok(refreshed) => {
                    self.cuts.clone_from(&refreshed.cut);
                    return Ok(refreshed);
                }
                Err(Trouble::Log(error)) => return Err(error),
                Err(Trouble::Index(error)) => {
                    self.look();
                    format!("{}: {error}", self.dir.display())
                }
            }
        };
        Ok(Refreshed { without: Some(why), ..Refreshed::default() })
    }

    /// Brings what is on disk up to date.
    fn update(&mut self) -> Result<Refreshed, Trouble> {
        let lock = self.lock().map_err(Trouble::Index)?;
        let path = self.dir.join(WORDS);
        let known = if std::mem::take(&mut self.remake) { None } else { Words::load(&path).map_err(Trouble::Index)? };
        self.words = match known {
            Some(words) => words,
            None => Words::fresh().map_err(Trouble::Index)?,
        };
        let mut refreshed = Refreshed::default();
        for part in &mut self.parts {
            part.update(&self.dir, &path, &mut self.words, &mut refreshed)?;
        }
        self.words.store(&path).map_err(Trouble::Index)?;
        self.prune().map_err(Trouble::Index)?;
        drop(lock);
        Ok(refreshed)
    }

    /// Reads what is on disk without a change; rows before words, since those are written after them.
    fn look(&mut self) {
        let name = Words::load(&self.dir.join(WORDS)).ok().flatten().map(|words| words.name);
        for part in &mut self.parts {
            part.book = None;
            if let Some(name) = &name {
                part.load(&self.dir, name, u32::MAX);
            }
        }
        match Words::load(&self.dir.join(WORDS)) {
            Ok(Some(words)) if Some(words.name) == name => {
                for part in &mut self.parts {
                    part.book = part.book.take().filter(|book| book.header.words_end <= words.end());
                }
                self.words = words;
            }
            _ => {
                self.words = Words::default();
                self.parts.iter_mut().for_each(|part| part.book = None);
            }
        }
    }

    fn lock(&self) -> io::Result<File> {
        match fs::DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.dir.join(LOCK))?;
        lock.lock()?;
        Ok(lock)
    }

    /// Removes rows of files that are gone.
    fn prune(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let kept = self.parts.iter().any(|part| path.file_name().is_some_and(|name| *name == *part.rows_name()));
            if !kept && path.extension().is_some_and(|extension| extension == "rows" || extension == "new") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Goes through all rows from `from` on, in the order of the log. What `each` gathers begins anew where rows turn out to be
    /// unsound, which are then made again.
    ///
    /// # Errors
    /// The log cannot be read.
    fn gather<T>(
        &mut self,
        from: Cursor,
        make: impl Fn() -> T,
        mut each: impl FnMut(&mut T, &Row, Place, &Words),
    ) -> Result<(T, Cursor), IndexError> {
        let mut looks = 1;
        loop {
            let mut gathered = make();
            match self.pass(from, &mut |row, place, words| each(&mut gathered, row, place, words)) {
                Ok(Some(cursor)) => return Ok((gathered, cursor)),
                Err(error) if error.1 && looks < LOOKS_MAX => {
                    looks += 1;
                    self.refresh()?;
                    continue;
                }
                unsound => drop(unsound?),
            }
            self.distrusted += 1;
            self.remake = true;
            self.refresh()?;
            if self.distrusted >= TRIES {
                self.words = Words::default();
                self.parts.iter_mut().for_each(|part| part.book = None);
            }
        }
    }

    /// `None` where rows are unsound.
    fn pass(&mut self, from: Cursor, each: &mut impl FnMut(&Row, Place, &Words)) -> Result<Option<Cursor>, IndexError> {
        self.words.forget_unstored();
        let mut cursor = from;
        for (at, part) in self.parts.iter().enumerate().filter(|(_, part)| part.base >= from.base) {
            let since = if part.base == from.base { from } else { Cursor { base: part.base, ..Cursor::default() } };
            let mut counted = |row: &Row, words: &Words| {
                if row.offset >= since.end && part.counts(row) {
                    each(row, Place { part: at, offset: row.offset }, words);
                }
            };
            let (mut rows, mut end) = (0, since.end);
            if let Some(book) = &part.book {
                let words = &self.words;
                let sound = book.each(since.rows, words.end(), |row| counted(row, words));
                if !sound.map_err(|error| IndexError::new(&book.path, &error))? {
                    return Ok(None);
                }
                (rows, end) = (book.header.rows, end.max(book.header.end));
            }
            if part.book.is_none() || !part.complete {
                let read = part.read_on(end, &mut self.words, &mut |row, _, words| {
                    counted(row, words);
                    Ok::<(), IndexError>(())
                })?;
                end = read.end;
                self.cuts.extend(read.cut.filter(|cut| !self.cuts.contains(cut)));
            }
            cursor = Cursor { base: part.base, rows, end };
        }
        Ok(Some(cursor))
    }

    /// The lines at these places, in their order; empty ones for what is no longer there.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn lines(&self, places: &[Place]) -> Result<Vec<Vec<u8>>, IndexError> {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|at| places.get(*at));
        let mut lines = vec![Vec::new(); places.len()];
        for (number, part) in self.parts.iter().enumerate() {
            let of_part = order.iter().filter_map(|at| Some((*at, places.get(*at).filter(|place| place.part == number)?.offset)));
            let of_part: Vec<(usize, u64)> = of_part.collect();
            if !of_part.is_empty() {
                part.lines(&of_part, &mut lines)?;
            }
        }
        Ok(lines)
    }

    /// Files whose end is missing in the answers so far.
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// How the file of a place is named.
    pub fn file(&self, place: Place) -> &str {
        self.parts.get(place.part).map_or("", |part| &part.segment.name)
    }
}
