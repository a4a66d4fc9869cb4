//! Keyed digests of argument values.
//!
//! A plain hash of `{"path":"/etc/passwd"}` can be guessed; under a key that stays on this machine it cannot, and equal
//! arguments still have equal digests.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::{hmac, rand};

use crate::vocab::digits::push_hex;

/// HMAC-SHA256 (RFC 2104, FIPS 180-4) under the gateway's audit key.
pub(super) struct Digester(hmac::Key);

impl Digester {
    /// Reads the key from `path`, or makes it there: 32 random bytes, mode 0600.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
            other => return other,
        }
        read(path)
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &[7; KEY_BYTES]))
    }

    /// Appends `hmac-sha256:` and 64 hexadecimal digits.
    pub(super) fn push_digest(&self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
        push_hex(out, hmac::sign(&self.0, bytes).as_ref());
    }
}

fn read(path: &Path) -> io::Result<Digester> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(invalid("the audit digest key is accessible to others: chmod 600", path));
    }
    let mut key = Vec::with_capacity(KEY_BYTES + 1);
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut key)?;
    if key.len() != KEY_BYTES {
        return Err(invalid("the audit digest key is not 32 bytes", path));
    }
    Ok(Digester(hmac::Key::new(hmac::HMAC_SHA256, &key)))
}

/// Whole or not at all: a half-written key would be refused at the next start.
fn make(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let mut key = [0; KEY_BYTES];
    rand::fill(&mut key).map_err(|_| io::Error::other("no randomness"))?;
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

/// A directory only we may enter, unless it is there already. What is made has its name on disk.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_dir(parent)?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made?,
    }
    match File::open(parent) {
        // Who may make a name there and not read it cannot sync it either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}

pub(super) fn invalid(what: &str, path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {}", path.display()))
}

const KEY_BYTES: usize = 32;
const PREFIX: &[u8] = b"hmac-sha256:";
/// Length of a digest as text.
pub(super) const DIGEST_BYTES: usize = PREFIX.len() + 64;
