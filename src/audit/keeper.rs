//! What becomes of files that are no longer written: compressed, and deleted once they were kept for long enough.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::exporters::Exporters;
use super::medium;
use super::place::{Form, Old, Place};
use super::queue::Queue;
use super::settings::{Retain, Settings};
use super::slot::{self, Slot};
use super::tail;

/// A thread of its own, which ends with the writer.
pub(super) struct Keeper {
    place: Place,
    compress: bool,
    retain: Option<Retain>,
    queue: Arc<Queue>,
    exporters: Arc<Exporters>,
}

impl Keeper {
    /// Starts it if there is anything to do; the writer tells it of closed files.
    pub(super) fn start(
        place: Place,
        settings: &Settings,
        queue: Arc<Queue>,
        exporters: Arc<Exporters>,
    ) -> io::Result<Option<SyncSender<()>>> {
        let (compress, retain) = (settings.compress, settings.retain);
        if !compress && retain.is_none() {
            return Ok(None);
        }
        let (tell, told) = sync_channel(1);
        let keeper = Self { place, compress, retain, queue, exporters };
        std::thread::Builder::new().name("audit-keeper".to_owned()).spawn(move || keeper.run(&told))?;
        Ok(Some(tell))
    }

    fn run(&self, told: &Receiver<()>) {
        loop {
            if let Err(error) = self.work() {
                tracing::warn!(%error, "old audit files are not taken care of");
            }
            if let Err(RecvTimeoutError::Disconnected) = told.recv_timeout(LOOK_EVERY) {
                return;
            }
        }
    }

    fn work(&self) -> io::Result<()> {
        // While the next file is not there, a start would have to go on behind the last one.
        if !fs::metadata(self.place.active()).is_ok_and(|active| active.is_file() && active.len() > 0) {
            return Ok(());
        }
        if self.compress {
            for old in self.place.list()?.into_iter().filter(|old| old.form == Form::Sealed) {
                compress(&self.place, &old)?;
            }
        }
        match &self.retain {
            Some(retain) => self.delete(retain),
            None => Ok(()),
        }
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
            self.note(&old.path.file_name().unwrap_or_default().to_string_lossy());
            fs::remove_file(&old.path)?;
            bytes = bytes.saturating_sub(metadata.len());
        }
        Ok(())
    }

    fn note(&self, name: &str) {
        tracing::info!(file = name, "an audit file was kept for long enough and is deleted");
        if self.queue.reserve() {
            slot::note(Slot::new(self.queue.clone()).draft(), "audit/delete", name);
        }
    }
}

/// Puts the compressed file in the place of the other: whole, on disk, and as old.
fn compress(place: &Place, old: &Old) -> io::Result<()> {
    let target = place.old(old.first, Form::Gzip);
    let mut draft = target.as_os_str().to_owned();
    draft.push(".new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let source = File::open(&old.path)?;
    let modified = source.metadata()?.modified()?;
    let mut encoder = GzEncoder::new(medium::open(draft.as_ref(), true)?, Compression::default());
    io::copy(&mut BufReader::with_capacity(COPY_BYTES, source), &mut encoder)?;
    let file = encoder.finish()?;
    file.set_modified(modified)?;
    file.sync_all()?;
    fs::rename(&draft, &target)?;
    place.sync_dir()?;
    fs::remove_file(&old.path)
}

const LOOK_EVERY: Duration = Duration::from_secs(60);
const COPY_BYTES: usize = 256 * 1024;
