//! Files the config names.

use std::fs::{File, Metadata};
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Cx;
use crate::config::report::resolve;

/// A regular file that can be opened; watched from now on.
pub(super) fn readable(path: &str, text: &str, cx: &mut Cx<'_>) -> Option<PathBuf> {
    opened(path, text, cx).map(|(file, _)| file)
}

/// As [`readable`], and it holds certificates in PEM, all of them whole.
pub(super) fn certificates(path: &str, text: &str, cx: &mut Cx<'_>) -> Option<PathBuf> {
    let file = readable(path, text, cx)?;
    let read = CertificateDer::pem_file_iter(&file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if !found.is_empty() => Some(file),
        Ok(_) => cx.refuse(path, "holds no certificate", format!("looked at {}: `-----BEGIN CERTIFICATE-----`", file.display())),
        Err(_) => cx.refuse(path, "is not PEM", format!("looked at {}", file.display())),
    }
}

/// As [`readable`], and nobody but its owner may read it.
pub(super) fn private_key(path: &str, text: &str, cx: &mut Cx<'_>) -> Option<PathBuf> {
    let (file, metadata) = opened(path, text, cx)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let message = format!("is a private key that others may use (mode {mode:04o})");
            return cx.refuse(path, message, format!("chmod 600 {}", file.display()));
        }
    }
    #[cfg(not(unix))]
    let _ = metadata;
    Some(file)
}

fn opened(path: &str, text: &str, cx: &mut Cx<'_>) -> Option<(PathBuf, Metadata)> {
    if text.is_empty() {
        return cx.refuse(path, "is empty", "name a file");
    }
    let file = resolve(&cx.dir, text);
    // The kind is asked before opening: opening a pipe would wait for its writer.
    let kind = std::fs::metadata(&file);
    let metadata = match kind.and_then(|kind| if kind.is_file() { File::open(&file)?.metadata() } else { Ok(kind) }) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return cx.refuse(path, "is not a regular file", format!("looked at {}", file.display())),
        Err(error) => return cx.refuse(path, format!("cannot be read: {error}"), format!("looked for {}", file.display())),
    };
    cx.watched.push(file.clone());
    Some((file, metadata))
}
