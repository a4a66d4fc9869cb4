//! Paths, judged by their letters alone: is this text, whoever reads it later, inside one of these directories?
//!
//! Lexical: symbolic links are the server's business. A text that some reader could take for another path (encoded dots,
//! backslashes, look-alike letters, doubled slashes, drives) is hostile: it is inside nothing, and a deny rule stops it.

mod letters;

use super::arguments::fold;
pub(super) use letters::misleading;
use letters::{disguised, drive, encoded, needlessly_encoded, readings};

/// Where a path lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// At or below one of the directories, at every step of the way.
    Under,
    /// An honest path elsewhere.
    Outside,
    /// No absolute path, or one that readers could disagree about.
    Hostile,
}

/// A directory a policy names: absolute, without dots, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Directory(Box<str>);

impl Directory {
    /// Reads a directory from a policy.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with('/') {
            return Err("a directory here is an absolute path");
        }
        if hostile(text) || encoded(text) || segments(text).any(|s| matches!(s, "." | "..")) {
            return Err("a directory here has no dot segments, doubled slashes, drives, escapes, `~` or control characters");
        }
        Ok(Self(text.trim_end_matches('/').into()))
    }

    /// The directory in canonical spelling; empty for the root.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the path starts with this directory, and no `..` ever leads above it.
    fn holds(&self, path: &str) -> bool {
        let mut steps = segments(path).filter(|s| *s != ".");
        if !segments(&self.0).all(|name| steps.next() == Some(name)) {
            return false;
        }
        let mut depth = 0_usize;
        for step in steps {
            match (step, depth) {
                ("..", 0) => return false,
                ("..", _) => depth -= 1,
                _ => depth += 1,
            }
        }
        true
    }

    /// Whether a reader that ignores case, full width, parameters, or what some file systems drop from the end of a name would
    /// find the path in this directory.
    fn resembles(&self, path: &str) -> bool {
        let mut steps = segments(path).filter(|s| *s != ".").map(bare);
        segments(&self.0).map(bare).all(|name| steps.next().is_some_and(|step| same_name(name, step)))
    }
}

/// Where `path` lies relative to `directories`: as written, and as it reads after any number of percent-decodings, which must
/// agree.
pub(super) fn locate(directories: &[Directory], path: &str) -> Where {
    if !path.starts_with('/') {
        return Where::Hostile;
    }
    let mut place = None;
    let agree = readings(path, &mut |reading| {
        let here = if hostile(reading) { Where::Hostile } else { place_of(directories, reading) };
        here != Where::Hostile && *place.get_or_insert(here) == here
    });
    place.filter(|_| agree).unwrap_or(Where::Hostile)
}

fn place_of(directories: &[Directory], path: &str) -> Where {
    if directories.iter().any(|directory| directory.holds(path)) {
        return Where::Under;
    }
    let doubtful = segments(path).any(|s| s == "..") || directories.iter().any(|directory| directory.resembles(path));
    if doubtful { Where::Hostile } else { Where::Outside }
}

/// Whether `holds` is true of the path of a URL: as written and as it reads after any number of percent-decodings. `None` if
/// these disagree, or if readers could disagree about the path.
pub(super) fn url_path(path: &str, holds: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
    let mut truth = None;
    let agree = readings(path, &mut |reading| {
        let here = holds(reading);
        let plain = !hostile(reading) && !segments(reading).any(|s| matches!(s, "." | ".."));
        plain && *truth.get_or_insert(here) == here
    });
    truth.filter(|_| agree)
}

/// Whether a resource URI (RFC 3986) must be refused before any rule is asked: dot segments; separators, dots, letters or digits
/// behind any number of percent-encodings; backslashes, control characters and look-alikes of those; drives; userinfo; and
/// `file:` with a host or with doubled slashes, which many readers drop.
pub fn hostile_uri(uri: &str) -> bool {
    let authority = uri.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    authority.contains('@')
        || uri.chars().any(misleading)
        || uri.split(['/', '?', '#', ':']).any(|s| matches!(s, "." | "..") || disguised(s))
        || uri.split('/').any(drive)
        || encoded(uri)
        || needlessly_encoded(uri)
        || second_spelling(uri)
}

/// Whether the URI is another way to write one that a policy may name: the usual schemes in capitals, a `file:` URI that is not
/// `file:///` and one path.
fn second_spelling(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let usual = ["file", "http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if usual && scheme.bytes().any(|b| b.is_ascii_uppercase()) {
        return true;
    }
    let path = rest.strip_prefix("//").unwrap_or_default();
    scheme == "file" && (!path.starts_with('/') || path.contains("//") || path.contains("/~"))
}

/// Whether readers of this path could disagree about it, its percent signs left aside.
fn hostile(path: &str) -> bool {
    path.contains("//") || path.contains('~') || path.chars().any(misleading) || path.split('/').any(|s| disguised(s) || drive(s))
}

/// The names of an absolute path; a trailing slash adds none.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// What the least exact reader keeps of a name: no parameters, streams, query or fragment, no dots or spaces at its end.
fn bare(segment: &str) -> &str {
    let name = segment.split([';', ':', '?', '#']).next().unwrap_or_default();
    name.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && fold(a) == fold(b))
}

#[cfg(test)]
mod tests;
