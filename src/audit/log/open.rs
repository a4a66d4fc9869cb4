//! How a log is opened: where it goes on, what is put aside, and how its next file begins.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::super::digest::invalid;
use super::super::head::Head;
use super::super::held::Held;
use super::super::medium::{self, Medium, Segment};
use super::super::place::{Form, Place};
use super::super::settings::Durability;
use super::super::tail::{self, Tail};
use super::{Lock, Log, Torn};

impl Log {
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match fs::metadata(self.place.active()) {
            Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {
                self.lock()?;
                self.adopt_file()
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(metadata) if !metadata.is_file() => {
                self.stream_may_be()?;
                self.medium = Some(Medium::stream(self.place.active())?);
                Ok(())
            }
            _ => {
                self.lock()?;
                if self.head.seq == 0 {
                    self.follow_old()?;
                }
                if self.rewrite { self.ready() } else { self.begin_file() }
            }
        }
    }

    /// Goes on in the file that is there.
    fn adopt_file(&mut self) -> io::Result<()> {
        let path = self.place.active().to_owned();
        let mut file = medium::open(&path, false)?;
        let Some(tail) = tail::read(&mut file, &path)? else {
            self.put_aside(&tail::whole(&mut file)?)?;
            fs::remove_file(&path)?;
            return self.reopen();
        };
        if !tail.torn.is_empty() {
            self.put_aside(&tail.torn)?;
            file.set_len(tail.length)?;
        }
        self.follow(&tail, &path)?;
        let (length, first) = (tail.length, tail::first_seq(&mut file, &path)?);
        self.held = Held::of(tail.bytes, tail.checkpoint_at);
        let first_unix_ms = tail::first_unix_ms(&mut file, &path)?;
        let medium = Medium::file(file, Segment { length, first, first_unix_ms });
        // What a process before this one wrote is on disk from here on, or is written anew.
        if let Err(error) = medium.sync() {
            tracing::error!(%error, "the disk fails the audit file: a new one is begun");
            self.condemned = Some(medium);
            return self.ready();
        }
        self.held.settle();
        self.medium = Some(medium);
        self.remember();
        Ok(())
    }

    /// Goes on behind the last of the files that are no longer written: a process ended between closing it and beginning a new one.
    fn follow_old(&mut self) -> io::Result<()> {
        let gone = "the audit file that followed this one is gone: put it back, or move the directory aside to begin a new log";
        let noted = self.noted()?;
        let Some(last) = self.place.list()?.pop() else {
            if let Some((log, _)) = noted {
                tracing::warn!(%log, "the audit file is gone: a new log is begun");
            }
            return Ok(());
        };
        if last.form == Form::Gzip {
            return Err(invalid(gone, &last.path));
        }
        let mut file = File::open(&last.path)?;
        let Some(tail) = tail::read(&mut file, &last.path)? else {
            return Err(invalid("this audit file holds no record: move the directory aside", &last.path));
        };
        // What it had would be numbered, and signed, a second time.
        if noted.is_some_and(|(log, first)| log == tail.log.to_string() && first > last.first) {
            return Err(invalid(gone, &last.path));
        }
        self.follow(&tail, &last.path)?;
        if last.form == Form::Failed {
            // Whatever of it may not be on disk is written again, torn or not.
            self.held = Held::of(tail.bytes, tail.checkpoint_at);
            self.rewrite = true;
        } else if !tail.torn.is_empty() {
            return Err(invalid("this audit file was changed after it was closed", &last.path));
        }
        Ok(())
    }

    fn follow(&mut self, tail: &Tail, path: &Path) -> io::Result<()> {
        if self.head.seq == 0 {
            self.head = Head::after(tail);
        } else if (self.head.seq, self.head.link) != (tail.seq, tail.link) {
            return Err(invalid("another log is in the place of this one", path));
        }
        Ok(())
    }

    /// Begins a file with a checkpoint.
    pub(super) fn begin_file(&mut self) -> io::Result<()> {
        self.begin();
        self.push_checkpoint();
        self.medium = Some(begin(&self.place, &self.batch, self.next.seq, self.clock.unix_ms())?);
        std::mem::swap(&mut self.head, &mut self.next);
        self.held = Held::of(self.batch.clone(), 0);
        self.held.settle();
        self.remember();
        Ok(())
    }

    /// Notes in the lock which log it is, and with which record the file begins that is written. A process that ends before it did
    /// leaves the file before that, which is one of those that are closed.
    pub(super) fn remember(&self) {
        let (Some(Lock(lock)), Some(segment)) = (&self.lock, self.segment()) else { return };
        let note = format!("{} {:020}\n", self.head.log, segment.first);
        if let Err(error) = lock.write_all_at(note.as_bytes(), 0) {
            tracing::warn!(%error, "it cannot be noted which audit file is written");
        }
    }

    /// What was noted last, by this process or one before it.
    fn noted(&self) -> io::Result<Option<(String, u64)>> {
        let Some(Lock(lock)) = &self.lock else { return Ok(None) };
        let mut note = [0; NOTE_BYTES_MAX];
        let count = lock.read_at(&mut note, 0)?;
        let text = note.get(..count).and_then(|note| std::str::from_utf8(note).ok()).unwrap_or_default();
        let (log, first) = text.trim_end().split_once(' ').unwrap_or_default();
        Ok(first.parse().ok().map(|first| (log.to_owned(), first)))
    }

    fn put_aside(&mut self, torn: &[u8]) -> io::Result<()> {
        let path = self.place.torn();
        let mut beside = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        beside.write_all(torn)?;
        beside.write_all(b"\n")?;
        beside.sync_all()?;
        // It has its name before the audit file is cut.
        self.place.sync_dir()?;
        tracing::warn!(bytes = torn.len(), file = %path.display(), "the audit file ended within a record, which was put aside");
        self.torn = Some(Torn { bytes: torn.len() });
        Ok(())
    }

    pub(super) fn stream_may_be(&self) -> io::Result<()> {
        if self.durability == Durability::Sync {
            let what = "`audit.durability: sync` needs a file: choose `write` for this device or pipe";
            return Err(invalid(what, self.place.active()));
        }
        Ok(())
    }

    fn lock(&mut self) -> io::Result<()> {
        if self.lock.is_none() {
            let path = self.place.lock();
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            match file.try_lock() {
                Ok(()) => self.lock = Some(Lock(file)),
                Err(TryLockError::WouldBlock) => {
                    return Err(invalid("another process writes this audit file", self.place.active()));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Makes the file that is written, with `lines` in it. It has its name once it is whole and on disk, and both are before this returns.
pub(super) fn begin(place: &Place, lines: &[u8], first: u64, first_unix_ms: u64) -> io::Result<Medium> {
    if fs::metadata(place.active()).is_ok_and(|metadata| metadata.len() > 0) {
        return Err(invalid("there is a file in the place of the next audit file", place.active()));
    }
    let fresh = place.fresh();
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = medium::open(&fresh, true)?;
    let mut medium = Medium::file(file, Segment { length: 0, first, first_unix_ms });
    medium.append(lines)?;
    medium.sync()?;
    fs::rename(&fresh, place.active())?;
    if let Err(error) = place.sync_dir() {
        // Nobody was told of it: the next try begins anew.
        fs::remove_file(place.active())?;
        return Err(error);
    }
    Ok(medium)
}

/// Of what the lock says.
const NOTE_BYTES_MAX: usize = 128;
