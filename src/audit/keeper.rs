//! What becomes of files that are no longer written: compressed, and deleted once they were kept for long enough.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::exporters::Exporters;
use super::medium;
use super::place::{Form, Old, Place};
use super::queue::Queue;
use super::settings::{Retain, Settings};
use super::slot::{self, Room};
use super::tail;

#[cfg(test)]
mod tests;

/// The thread, as the writer has it. Dropping this ends it, and returns when it has ended: whoever has the lock after that is alone.
pub(super) struct Keeping {
    /// Told when a file was closed; absent once this ends.
    tell: Option<SyncSender<()>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeping {
    /// A file was closed. A keeper that is at work looks again when it is done.
    pub(super) fn tell(&self) {
        let _ = self.tell.as_ref().map(|tell| tell.try_send(()));
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        drop(self.tell.take());
        // One that a bug ended has ended.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A thread of its own, which ends with the writer.
pub(super) struct Keeper {
    place: Place,
    compress: bool,
    retain: Option<Retain>,
    queue: Arc<Queue>,
    exporters: Arc<Exporters>,
    /// What takes time is given up.
    ending: Arc<AtomicBool>,
}

impl Keeper {
    /// Starts it if there is anything to do; the writer tells it of closed files.
    pub(super) fn start(
        place: Place,
        settings: &Settings,
        queue: Arc<Queue>,
        exporters: Arc<Exporters>,
    ) -> io::Result<Option<Keeping>> {
        let (compress, retain) = (settings.compress, settings.retain);
        if !compress && retain.is_none() {
            return Ok(None);
        }
        let (tell, told) = sync_channel(1);
        let ending = Arc::<AtomicBool>::default();
        let keeper = Self { place, compress, retain, queue, exporters, ending: ending.clone() };
        let thread = std::thread::Builder::new().name("audit-keeper".to_owned()).spawn(move || keeper.run(&told))?;
        Ok(Some(Keeping { tell: Some(tell), ending, thread: Some(thread) }))
    }

    fn run(&self, told: &Receiver<()>) {
        loop {
            if let Err(error) = self.work()
                && !self.ends()
            {
                tracing::warn!(%error, "old audit files are not taken care of");
            }
            if let Err(RecvTimeoutError::Disconnected) = told.recv_timeout(LOOK_EVERY) {
                return;
            }
        }
    }

    fn ends(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    fn work(&self) -> io::Result<()> {
        // While the next file is not there, a start would have to go on behind the last one.
        if !fs::metadata(self.place.active()).is_ok_and(|active| active.is_file() && active.len() > 0) {
            return Ok(());
        }
        // Compressed files may be few enough to keep them all. Where that does not work, on a full disk before all, deleting must.
        let compressed = if self.compress { self.compress() } else { Ok(()) };
        if let Some(retain) = &self.retain {
            self.delete(retain)?;
        }
        compressed
    }

    /// Compresses what can be; what is wrong with the first that cannot.
    fn compress(&self) -> io::Result<()> {
        let mut result = Ok(());
        for old in self.place.list()?.into_iter().filter(|old| old.form == Form::Sealed) {
            let compressed = compress(&self.place, &old, &self.ending);
            let full = compressed
                .as_ref()
                .is_err_and(|error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded));
            if result.is_ok() {
                result = compressed;
            }
            if full || self.ends() {
                break;
            }
        }
        result
    }

    /// Deletes the oldest files, as many as may be: there is never a gap.
    fn delete(&self, retain: &Retain) -> io::Result<()> {
        let files = self.place.list()?;
        let mut active = medium::open(self.place.active(), false)?;
        let active_first = tail::first_seq(&mut active, self.place.active())?;
        let lengths = files.iter().map(|old| fs::metadata(&old.path).map(|metadata| metadata.len()));
        let mut bytes = lengths.sum::<io::Result<u64>>()? + active.metadata()?.len();
        let next_firsts = files.iter().skip(1).map(|old| old.first).chain([active_first]);
        for (old, next_first) in files.iter().zip(next_firsts) {
            let metadata = fs::metadata(&old.path)?;
            let age = Duration::from_millis(self.queue.unix_ms())
                .saturating_sub(metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default());
            let too_old = retain.time.is_some_and(|time| age >= time);
            let too_much = retain.bytes.is_some_and(|most| bytes > most);
            let taken = !retain.exported || next_first <= self.exporters.up_to().saturating_add(1);
            if !(taken && (too_old || too_much)) {
                return Ok(());
            }
            // Nothing goes without a record. Without room for it now, there is a next time.
            if !self.queue.reserve() {
                return Ok(());
            }
            let room = Room::new(self.queue.clone());
            fs::remove_file(&old.path)?;
            let name = old.path.file_name().unwrap_or_default().to_string_lossy();
            tracing::info!(file = &*name, "an audit file was kept for long enough and is deleted");
            slot::note(room.into_slot().draft(), "audit/delete", &name);
            bytes = bytes.saturating_sub(metadata.len());
        }
        Ok(())
    }
}

/// Puts the compressed file in the place of the other: whole, on disk, and as old.
fn compress(place: &Place, old: &Old, ending: &AtomicBool) -> io::Result<()> {
    let target = place.old(old.first, Form::Gzip);
    let mut draft = target.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Err(error) = write_compressed(&old.path, draft, ending).and_then(|()| fs::rename(draft, &target)) {
        // Half of it would keep a disk full that is. If it cannot be removed now, the next try does.
        let _ = fs::remove_file(draft);
        return Err(error);
    }
    place.sync_dir()?;
    fs::remove_file(&old.path)
}

fn write_compressed(from: &Path, to: &Path, ending: &AtomicBool) -> io::Result<()> {
    let source = File::open(from)?;
    let modified = source.metadata()?.modified()?;
    let mut encoder = GzEncoder::new(medium::open(to, true)?, Compression::default());
    io::copy(&mut BufReader::with_capacity(COPY_BYTES, Until { source, ending }), &mut encoder)?;
    let file = encoder.finish()?;
    file.set_modified(modified)?;
    file.sync_all()
}

/// Reads until it is no longer worth it.
struct Until<'a> {
    source: File,
    ending: &'a AtomicBool,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ending.load(Ordering::Relaxed) {
            return Err(io::Error::other("the gateway ends"));
        }
        self.source.read(buffer)
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(60);
const COPY_BYTES: usize = 256 * 1024;
