//! Paths, judged by their letters alone: is this text, whoever reads it later, inside one of these directories?
//!
//! Lexical: symbolic links are the server's business. A text that some reader could take for another path (encoded dots,
//! backslashes, look-alike letters, doubled slashes) is hostile: it is inside nothing, and a deny rule stops it.

use super::bounds::DECODE_ROUNDS_MAX;

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
        if hostile(text) || segments(text).any(|s| matches!(s, "." | "..")) {
            return Err("a directory here has no dot segments, doubled slashes, escapes, `~` or control characters");
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
}

/// Where `path` lies relative to `directories`.
pub(super) fn locate(directories: &[Directory], path: &str) -> Where {
    if !path.starts_with('/') || hostile(path) {
        return Where::Hostile;
    }
    if directories.iter().any(|directory| directory.holds(path)) {
        return Where::Under;
    }
    if segments(path).any(|s| s == "..") { Where::Hostile } else { Where::Outside }
}

/// Whether a resource URI (RFC 3986) must be refused before any rule is asked: dot segments, separators or dots behind any
/// number of percent-encodings, backslashes, control characters, look-alikes of those, or userinfo.
pub fn hostile_uri(uri: &str) -> bool {
    let authority = uri.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    authority.contains('@')
        || uri.chars().any(misleading)
        || uri.split(['/', '?', '#', ':']).any(|s| matches!(s, "." | "..") || disguised(s))
        || encoded(uri)
}

/// Whether readers of this path could disagree about it.
fn hostile(path: &str) -> bool {
    path.contains("//") || path.contains('~') || path.chars().any(misleading) || path.split('/').any(disguised) || encoded(path)
}

/// The names of an absolute path; a trailing slash adds none.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Dots with something that some file system or server drops: more dots, spaces, `;` parameters.
fn disguised(segment: &str) -> bool {
    if matches!(segment, "" | "." | "..") {
        return false;
    }
    let name = segment.split(';').next().unwrap_or_default();
    name.chars().all(|c| c == '.' || c.is_whitespace())
}

/// Characters that are, or that some reader turns into, a separator, a dot, a home directory, an escape or nothing.
fn misleading(c: char) -> bool {
    if c.is_ascii() {
        return c == '\\' || c.is_ascii_control();
    }
    c.is_control()
        || matches!(c,
            // dots
            '\u{2024}'..='\u{2026}' | '\u{3002}' | '\u{fe19}' | '\u{fe30}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff61}'
            // slashes and backslashes
            | '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{2571}' | '\u{2572}' | '\u{29f5}' | '\u{29f8}' | '\u{29f9}'
            | '\u{fe68}' | '\u{ff0f}' | '\u{ff3c}' | '\u{2100}' | '\u{2101}' | '\u{2105}' | '\u{2106}'
            // percent signs and tildes
            | '\u{fe6a}' | '\u{ff05}' | '\u{ff5e}' | '\u{223c}' | '\u{02dc}'
            // invisible: joiners, directions, variation selectors, tags, the replacement character
            | '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether any number of percent-decodings brings forth a dot, a separator, a `~` or anything misleading.
fn encoded(text: &str) -> bool {
    let mut text = std::borrow::Cow::Borrowed(text);
    for _ in 0..DECODE_ROUNDS_MAX {
        if !text.contains('%') {
            return false;
        }
        match decode(&text) {
            Decoded::Same => return false,
            Decoded::Hostile => return true,
            Decoded::Other(next) if next.chars().any(misleading) || next.split('/').any(disguised) => return true,
            Decoded::Other(next) => text = std::borrow::Cow::Owned(next),
        }
    }
    true
}

enum Decoded {
    Same,
    Other(String),
    Hostile,
}

/// One round of percent-decoding. Bytes that are no UTF-8 (overlong forms among them) and `%uXXXX` are hostile.
fn decode(text: &str) -> Decoded {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    let mut changed = false;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        if let [b'u' | b'U', a, b, c, d, ..] = after
            && [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit())
        {
            return Decoded::Hostile;
        }
        match after {
            [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let byte = hex(*high) << 4 | hex(*low);
                if matches!(byte, b'.' | b'/' | b'\\' | b'~') {
                    return Decoded::Hostile;
                }
                out.push(byte);
                rest = after;
                changed = true;
            }
            _ => out.push(b'%'),
        }
    }
    match String::from_utf8(out) {
        Ok(text) if changed => Decoded::Other(text),
        Ok(_) => Decoded::Same,
        Err(_) => Decoded::Hostile,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests;
