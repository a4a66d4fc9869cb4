//! The file: who may read it, how durable it is, and its one table.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// Version of the table, in the file's `user_version`.
const VERSION: i64 = 1;
/// How long another process that writes the same file is waited for.
const BUSY: Duration = Duration::from_millis(2_000);

pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    protect(path).map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
    let connection = connect(path).map_err(|error| failed(&error))?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|error| failed(&error))?;
    match version {
        0 => create(&connection).map_err(|error| failed(&error))?,
        VERSION => {}
        other => return Err(StoreError::Failed(format!("the file has version {other}, this program knows {VERSION}"))),
    }
    Ok(connection)
}

/// The database library gives its side files the mode of the file, so that the mode of the file is what matters.
fn protect(path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other.map(|_| ()),
    }
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("the file is readable by others: chmod 600 it"));
    }
    Ok(())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    // What was deleted is overwritten, what was answered is on disk, and nothing in the file makes the library run code.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS entry (
             space INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, expires_unix_s INTEGER,
             PRIMARY KEY (space, key)
         ) STRICT, WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS entry_by_expiry ON entry (expires_unix_s) WHERE expires_unix_s IS NOT NULL;
         PRAGMA user_version = {VERSION};
         COMMIT;"
    ))
}

/// The library's own words, which name tables and files and never hold a value.
pub(super) fn failed(error: &rusqlite::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}
