//! How far a sink got, kept in a file beside the log: `sinks/NAME.json`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::limits::POSITION_BYTES_MAX;
use crate::audit::{Link, LogId, Position};

/// The file of one sink.
#[derive(Clone)]
pub(super) struct Place {
    dir: PathBuf,
    path: PathBuf,
    draft: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Written {
    v: u64,
    log: String,
    seq: u64,
    hash: String,
    file: u64,
    offset: u64,
}

const VERSION: u64 = 1;

impl Place {
    /// Of the sink `name` of the log in `dir`.
    pub(super) fn of(dir: &Path, name: &str) -> Self {
        let dir = dir.join("sinks");
        Self { path: dir.join(format!("{name}.json")), draft: dir.join(format!("{name}.json.new")), dir }
    }

    /// What was saved last; `None` if nothing ever was.
    ///
    /// # Errors
    /// It cannot be read, or is not what we saved: whoever removes it has everything sent again.
    pub(super) fn load(&self) -> io::Result<Option<Position>> {
        let mut text = String::new();
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?.take(POSITION_BYTES_MAX).read_to_string(&mut text)?,
        };
        let read = read(&text).map(Some);
        read.ok_or_else(|| {
            let path = self.path.display();
            io::Error::new(io::ErrorKind::InvalidData, format!("{path} holds no position: remove it to have every record sent"))
        })
    }

    /// Saves `position`: on disk, whole or not at all.
    ///
    /// # Errors
    /// Whatever the system says; then the one before is still there.
    pub(super) fn save(&self, position: &Position) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let Position { log, seq, hash, file, offset } = position;
        let written =
            Written { v: VERSION, log: log.to_string(), seq: *seq, hash: hash.to_string(), file: *file, offset: *offset };
        let mut draft = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.draft)?;
        serde_json::to_writer(&mut draft, &written)?;
        draft.write_all(b"\n")?;
        draft.sync_all()?;
        fs::rename(&self.draft, &self.path)?;
        File::open(&self.dir)?.sync_all()
    }
}

fn read(text: &str) -> Option<Position> {
    let Written { v, log, seq, hash, file, offset } = serde_json::from_str(text).ok()?;
    let (log, hash) = (LogId::from_hex(log.as_bytes())?, Link::from_hex(hash.as_bytes())?);
    (v == VERSION).then_some(Position { log, seq, hash, file, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::of(dir.path(), "http");
        assert_eq!(place.load().unwrap(), None);
        let position =
            Position { log: LogId::random().unwrap(), seq: u64::MAX, hash: Link::from_bytes([7; 32]), file: 1, offset: 9 };
        place.save(&Position::start(position.log)).unwrap();
        place.save(&position).unwrap();
        assert_eq!(place.load().unwrap(), Some(position));
        assert_eq!(fs::read_dir(dir.path().join("sinks")).unwrap().count(), 1, "no draft stays");
        let whole = fs::read_to_string(&place.path).unwrap();
        for bad in ["", "{", "{}", whole.split_at(whole.len() - 9).0, &whole.replace("\"v\":1", "\"v\":2"), &" ".repeat(9_000)] {
            fs::write(&place.path, bad).unwrap();
            assert_eq!(place.load().unwrap_err().kind(), io::ErrorKind::InvalidData, "{bad}");
        }
    }
}
