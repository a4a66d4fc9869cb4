//! Whether watched files changed: by what they hold, so that neither clocks nor file systems matter.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::vocab::limits::CONFIG_FILE_BYTES_MAX;

/// A fingerprint of the contents of everything watched; of no use but to be compared within one process.
///
/// A directory counts with the names in it and with what its YAML files hold.
pub(super) fn fingerprint(watched: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in watched {
        part(&mut hasher, path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            let mut inside: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            inside.sort();
            hasher.write_usize(inside.len());
            for file in inside {
                part(&mut hasher, file.as_os_str().as_encoded_bytes());
                if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                    contents(&mut hasher, &file);
                }
            }
        } else {
            contents(&mut hasher, path);
        }
    }
    hasher.finish()
}

/// Regular files only: reading anything else may never end. Nothing longer than the most a file may have is taken by the config,
/// so its start and its length will do.
fn contents(hasher: &mut DefaultHasher, path: &Path) {
    let Some(metadata) = fs::metadata(path).ok().filter(fs::Metadata::is_file) else { return hasher.write_u8(0) };
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(CONFIG_FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut start));
    hasher.write_u8(if read.is_ok() { 1 } else { 2 });
    hasher.write_u64(metadata.len());
    part(hasher, &start);
}

/// Prefixed with its length, so that two parts are not one.
fn part(hasher: &mut DefaultHasher, bytes: &[u8]) {
    hasher.write_usize(bytes.len());
    hasher.write(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_shows() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("policies")).unwrap();
        let watched = [at("policies"), at("a.pem"), at("b.pem")];
        let mut seen = vec![fingerprint(&watched)];
        for (file, text) in [
            ("policies/one.yaml", "x"),
            ("policies/one.yaml", "y"),
            ("policies/two.yml", "x"),
            ("policies/two.yml", "y"),
            ("a.pem", ""),
            ("a.pem", "12"),
            ("b.pem", ""),
        ] {
            fs::write(at(file), text).unwrap();
            let now = fingerprint(&watched);
            assert_eq!(now, fingerprint(&watched), "{file} {text}");
            assert!(!seen.contains(&now), "{file} {text}");
            seen.push(now);
        }
        fs::remove_file(at("policies/two.yml")).unwrap();
        assert!(!seen.contains(&fingerprint(&watched)));
    }
}
