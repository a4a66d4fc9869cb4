//! `${env:NAME}` and `${file:PATH}` in string values: replaced once, never read again.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::vocab::limits::SECRET_FILE_BYTES_MAX;

/// Where references are looked up, and which files they named.
pub(super) struct Refs<'a> {
    /// The directory relative paths start from: that of the config file.
    pub(super) dir: &'a Path,
    /// The environment.
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Whether references below `upstreams` may lead nowhere: nobody is going to contact one.
    pub(super) upstreams_unset: bool,
    /// Files that were read, so that they can be watched.
    pub(super) files: Vec<PathBuf>,
}

impl Refs<'_> {
    /// The text with its references replaced; `$${` stands for `${`.
    ///
    /// # Errors
    /// What is wrong with a reference. Names the variable or file, never what is in it.
    pub(super) fn expand(&mut self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(literal) = before.strip_suffix('$') {
                out.push_str(literal);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let (reference, after) = after.split_once('}').ok_or("a `${` has no `}`; write `$${` for a literal `${`")?;
            out.push_str(&self.lookup(reference)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn lookup(&mut self, reference: &str) -> Result<String, String> {
        let (name, mut value) = match reference.split_once(':') {
            Some(("env", name)) if is_variable_name(name) => {
                let value = (self.env)(name).ok_or_else(|| format!("the environment variable {name} is not set"))?;
                (format!("the environment variable {name}"), value)
            }
            Some(("file", path)) if !path.is_empty() => {
                let full = self.dir.join(path);
                self.files.push(full.clone());
                let name = format!("the file {}", full.display());
                let value = read_bounded(&full, SECRET_FILE_BYTES_MAX).map_err(|why| format!("{name} {why}"))?;
                (name, value)
            }
            _ => return Err("a `${..}` is neither `${env:NAME}` nor `${file:PATH}`; write `$${` for a literal `${`".to_owned()),
        };
        if value.ends_with('\n') {
            value.pop();
            if value.ends_with('\r') {
                value.pop();
            }
        }
        if value.is_empty() {
            return Err(format!("{name} is empty"));
        }
        if value.len() as u64 > SECRET_FILE_BYTES_MAX {
            return Err(format!("{name} holds more than {} KiB", SECRET_FILE_BYTES_MAX / 1024));
        }
        Ok(value)
    }
}

/// Whether a name can be an environment variable's.
pub(super) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The text of a regular file of at most `bytes_max` bytes.
///
/// # Errors
/// A clause about the file that says why it could not be read.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Opening a pipe would wait for its writer for ever, so the kind is asked first.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(unreadable)?.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("holds more than {} KiB", bytes_max / 1024));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}
