//! Keys of the checkpoints: given, found beside the log, shown.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::KeyArgs;
use crate::audit::{CheckpointKey, PublicKey};
use crate::cli::exit::{Exit, Failure};
use crate::cli::out::Out;
use crate::config;
use crate::vocab::limits::SECRET_FILE_BYTES_MAX;

/// The keys to verify with, and whether they only lie beside the log.
pub(super) struct Found {
    pub(super) keys: Vec<PublicKey>,
    pub(super) beside: bool,
}

/// Those that were given, or else those beside the log.
pub(super) fn find(given: &[PathBuf], log: &Path) -> Result<Found, Failure> {
    if given.is_empty() {
        return Ok(Found { keys: beside(log), beside: true });
    }
    Ok(Found { keys: read_all(given)?, beside: false })
}

pub(super) fn read_all(files: &[PathBuf]) -> Result<Vec<PublicKey>, Failure> {
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Result<PublicKey, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::input(format_args!("{}: {why}", file.display()));
    let mut pem = Vec::new();
    let opened = File::open(file).map_err(|error| wrong(&error))?;
    opened.take(SECRET_FILE_BYTES_MAX).read_to_end(&mut pem).map_err(|error| wrong(&error))?;
    PublicKey::from_pem(&pem).ok_or_else(|| wrong(&"is no Ed25519 public key in PEM: `portcullis audit key` prints it"))
}

/// `keys/checkpoint*.pub` in the directory that holds the directory of the log; none if there is none.
fn beside(log: &Path) -> Vec<PublicKey> {
    let Ok(log) = fs::canonicalize(log) else { return Vec::new() };
    let dir = if log.is_dir() { Some(&*log) } else { log.parent() };
    let Some(keys) = dir.and_then(Path::parent).map(|data| data.join("keys")) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(keys) else { return Vec::new() };
    let is_public = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("checkpoint") && name.ends_with(".pub") && fs::symlink_metadata(path).is_ok_and(|about| about.is_file())
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_public).filter_map(|path| read(&path).ok()).collect()
}

/// `audit key`.
pub(super) fn show(args: &KeyArgs, out: &mut Out) -> Result<Exit, Failure> {
    let config = config::load_to_judge(&args.config.config).map_err(|problems| Failure::problems(&problems))?;
    let file = config.audit.checkpoint_key;
    // The public half may be all that this user can read.
    let shown = file.with_extension("pub");
    let public = match shown.exists() {
        true => read(&shown)?,
        false => CheckpointKey::open(&file)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Failure::input(format_args!("{}: is made at the first start", file.display())),
                _ => Failure::input(error),
            })?
            .public(),
    };
    if args.json {
        out.line(json!({ "id": public.id().to_string(), "public_key": public.pem() }));
    } else {
        out.line(format_args!("id {}", public.id()));
        out.line(public.pem().trim_end());
    }
    Ok(Exit::Yes)
}
