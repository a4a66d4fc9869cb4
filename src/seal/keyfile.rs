//! A 32-byte key in a file that only we can read.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aws_lc_rs::rand;

use crate::private_file;

/// Reads the key at `path`, or makes one: directory mode 0700, file mode 0600, written whole or not at all.
///
/// # Errors
/// When the file cannot be read or made, has another size, or its mode lets others read it.
pub fn load_or_create(path: &Path) -> io::Result<[u8; 32]> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        other => other,
    }
}

fn read(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = fs::File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("the key file is readable by others: chmod 600 it"));
    }
    let mut key = [0_u8; 32];
    file.read_exact(&mut key)?;
    let mut more = [0_u8; 1];
    if file.read(&mut more)? != 0 {
        return Err(io::Error::other("the key file is not 32 bytes long"));
    }
    Ok(key)
}

fn create(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0_u8; 32];
    rand::fill(&mut key).map_err(|_| io::Error::other("no randomness"))?;
    if private_file::create(path, &key)? { Ok(key) } else { read(path) }
}
