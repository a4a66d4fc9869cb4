//! Where the files go: first into a directory of our own, where they are checked, then to where they were asked for.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::InitError;

/// A directory nobody else can look into, removed at the end.
pub(super) struct Stage(PathBuf);

impl Stage {
    pub(super) fn new() -> io::Result<Self> {
        let dir = std::env::temp_dir().canonicalize()?.join(format!("portcullis-init-{}", uuid::Uuid::now_v7().simple()));
        DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self(dir))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What cannot be removed stays where temporary things are, readable by its owner only. It holds no secret.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files, by where they go below the directory asked for.
pub(super) type Files = Vec<(PathBuf, String)>;

/// The config, below the directory.
pub(super) fn config_file() -> PathBuf {
    PathBuf::from("config/portcullis.yaml")
}

/// A file of the policy `name`, below the directory.
pub(super) fn policy_file(name: &str, file: &str) -> PathBuf {
    Path::new("policies").join(name).join(file)
}

/// Refuses where something is in the way.
pub(super) fn clear(dir: &Path, files: &Files, name: &str, force: bool) -> Result<(), InitError> {
    let there: Vec<String> = files
        .iter()
        .map(|(file, _)| dir.join(file))
        .filter(|file| file.symlink_metadata().is_ok())
        .map(|file| file.display().to_string())
        .collect();
    if !there.is_empty() && !force {
        return Err(InitError::Input(format!(
            "{} is there already: --force writes over it, --dir names another place",
            there.join(", ")
        )));
    }
    // Whatever lies beside the first policy would be loaded with it, cases excepted.
    let policies = dir.join("policies").join(name);
    let ours = |path: &Path| files.iter().any(|(file, _)| dir.join(file) == path);
    let yaml = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.contains(".cases.")
    };
    let entries = fs::read_dir(&policies).into_iter().flatten().flatten().map(|entry| entry.path());
    match entries.filter(|path| yaml(path)).find(|path| !ours(path)) {
        Some(other) => {
            Err(InitError::Input(format!("{} would be loaded as well: --name names another directory", other.display())))
        }
        None => Ok(()),
    }
}

/// Writes the files below `dir`. Without `force` none that is there is touched.
pub(super) fn write(dir: &Path, files: &Files, force: bool) -> Result<Vec<PathBuf>, InitError> {
    let mut written = Vec::new();
    for (file, text) in files {
        let file = dir.join(file);
        let failed = |error: io::Error| InitError::Input(format!("{}: {error}", file.display()));
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).mode(0o644);
        if force {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        options.open(&file).and_then(|mut open| open.write_all(text.as_bytes())).map_err(failed)?;
        written.push(file);
    }
    Ok(written)
}
