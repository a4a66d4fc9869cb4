//! Files of ours that nobody else reads, such as keys: written whole, or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use aws_lc_rs::rand;

/// Makes the file at `path` (mode 0600, directories above it 0700) with `bytes` in it, on disk when this returns. False if there is
/// one already, which stays: of several processes that do so at once one wins, and all can read its file.
///
/// Each try writes a draft under a name that no other try has, and removes it however it ends: what one that was cut off left behind
/// stands in nobody's way.
///
/// # Errors
/// Whatever the system says; then there is no file.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let dir = path.parent().ok_or_else(|| io::Error::other("a file needs a directory"))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut unique = [0; 8];
    rand::fill(&mut unique).map_err(|_| io::Error::other("no randomness"))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.draft", u64::from_be_bytes(unique)));
    let draft = dir.join(name);
    let made = write(&draft, path, bytes);
    let removed = fs::remove_file(&draft);
    let made = made?;
    removed?;
    fs::File::open(dir)?.sync_all()?;
    Ok(made)
}

fn write(draft: &Path, path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // A hard link fails where the name exists, which a renaming would replace.
    match fs::hard_link(draft, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_first_one_wins_and_no_draft_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/own");
        assert!(create(&path, b"first").unwrap());
        assert!(!create(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&dir.path().join("keys"))), (0o600, 0o700));
        assert_eq!(names(&dir.path().join("keys")), ["own"]);
    }

    #[test]
    fn a_try_that_fails_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        // There is room for the name of the draft, and none for that of the file.
        let draft = dir.path().join("draft");
        write(&draft, &dir.path().join("x".repeat(300)), b"key").unwrap_err();
        assert!(draft.exists(), "whoever made it removes it");
        fs::remove_file(&draft).unwrap();
        create(&dir.path().join("x".repeat(300)), b"key").unwrap_err();
        fs::write(dir.path().join("file"), b"").unwrap();
        create(&dir.path().join("file/own"), b"key").unwrap_err();
        assert_eq!(names(dir.path()), ["file"]);
    }
}
