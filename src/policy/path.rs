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
mod tests {
    use super::*;

    const ESCAPES: &[&str] = &[
        "",
        "/",
        "srv/public/a",
        "./srv/public/a",
        " /srv/public/a",
        "file:///srv/public/a",
        "/srv",
        "/srv/",
        "/srv/publicity",
        "/srv/publicity/a",
        "/srv/public.bak",
        "/srv/Public/a",
        "/SRV/PUBLIC/a",
        "/etc/passwd",
        "/srv/public/..",
        "/srv/public/../",
        "/srv/public/../private",
        "/srv/public/../../etc/passwd",
        "/srv/public/a/../../private",
        "/srv/public/a/../../public/b",
        "/srv/public/../public/a",
        "/srv/private/../public/a",
        "/../srv/public/a",
        "/srv/../srv/public/a",
        "/srv/public/./../private",
        "/srv/public/a/./../../x",
        "//srv/public/a",
        "/srv//public/a",
        "/srv/public//a",
        "/srv/public//../private",
        "///etc/passwd",
        "/srv/public/..//../etc",
        "/srv/public/....//etc",
        "/srv/public/.../x",
        "/srv/public/.... /x",
        "/srv/public/.. /x",
        "/srv/public/ ../x",
        "/srv/public/..;/x",
        "/srv/public/..;a=b/x",
        "/srv/public/.;/x",
        "/srv/public/..././x",
        "/srv/public\\..\\private",
        "/srv/public/..\\x",
        "\\srv\\public\\a",
        "/srv/public/\\../x",
        "/srv/public/%2e%2e/x",
        "/srv/public/%2E%2E/x",
        "/srv/public/.%2e/x",
        "/srv/public/%2e./x",
        "/srv/public/%2e%2e%2fx",
        "/srv/public/..%2fx",
        "/srv/public/..%5cx",
        "/srv/public/%5c..%5cx",
        "/srv/public/%252e%252e/x",
        "/srv/public/..%252fx",
        "/srv/public/%25252e%25252e%25252fx",
        "/srv/public/%%32%65%%32%65/x",
        "/srv/public/%2%65%2%65/x",
        "/srv/public/..%c0%afx",
        "/srv/public/%c0%ae%c0%ae/x",
        "/srv/public/..%c1%9cx",
        "/srv/public/%e0%80%ae%e0%80%ae/x",
        "/srv/public/%e0%80%afx",
        "/srv/public/%f0%80%80%afx",
        "/srv/public/..%u2215x",
        "/srv/public/%u002e%u002e/x",
        "/srv/public/..%uff0fx",
        "/srv/public/%ef%bc%8e%ef%bc%8e/x",
        "/srv/public/..%ef%bc%8fx",
        "/srv/public/\u{ff0e}\u{ff0e}/x",
        "/srv/public/..\u{ff0f}x",
        "/srv/public/..\u{2215}x",
        "/srv/public/..\u{2044}x",
        "/srv/public/\u{2025}/x",
        "/srv/public/\u{2024}\u{2024}/x",
        "/srv/public/..\u{ff3c}x",
        "/srv/public/.\u{200b}./x",
        "/srv/public/..\u{feff}/x",
        "/srv/public/.\u{00ad}./x",
        "/srv/public/a\0",
        "/srv/public/../\0a",
        "/srv/public/a%00.txt",
        "/srv/public/a%2500.txt",
        "/srv/public/a\n",
        "/srv/public/..\r/x",
        "/srv/public/a\u{7f}",
        "/srv/public/a%0a",
        "~",
        "~/x",
        "~root/x",
        "/srv/public/~/x",
        "/srv/public/~root",
        "/srv/public/%7eroot",
        "/srv/public/PROGRA~1",
        "/srv/public/..%20/x",
        "/srv/public/%20../x%2f..",
        "/srv/public/\u{ff05}2e/x",
        "/srv/public/%ff",
        "/srv/public%2f..%2fx",
        "/srv/public%2fa",
        "/srv%2fpublic/a",
        "%2fsrv/public/a",
        "C:\\srv\\public",
        "\\\\host\\srv\\public",
        "/srv/public/%25%32%66..",
        "/srv/public/%2525252525252525252e",
        "/srv/public/\u{85}",
        "/srv/public/\u{202e}x",
    ];

    const HONEST: &[&str] = &[
        "/srv/public",
        "/srv/public/",
        "/srv/public/a",
        "/srv/public/a/",
        "/srv/public/a/b/c.txt",
        "/srv/public/.hidden",
        "/srv/public/..hidden",
        "/srv/public/a..b",
        "/srv/public/a.",
        "/srv/public/./a",
        "/srv/./public/a",
        "/srv/public/a/../b",
        "/srv/public/a/b/../../c",
        "/srv/public/a/..",
        "/srv/public/with space/x y",
        "/srv/public/Größe/日本語.txt",
        "/srv/public/100%",
        "/srv/public/100%.txt",
        "/srv/public/a%20b",
        "/srv/public/%41",
        "/srv/public/a+b=c&d,e",
        "/srv/public/a:b@c",
        "/srv/public/[x]{y}(z)",
        "/srv/public/-rf",
        "/srv/public/a;v=1",
        "/srv/public/$HOME",
        "/srv/public/*",
        "/srv/public/x%2",
        "/srv/public/emoji😀",
        "/srv/public/srv/public",
    ];

    fn public() -> Vec<Directory> {
        vec![Directory::parse("/srv/public").unwrap()]
    }

    #[test]
    fn no_escape_passes() {
        assert!(ESCAPES.len() >= 60);
        for path in ESCAPES {
            assert_ne!(locate(&public(), path), Where::Under, "{path:?}");
        }
    }

    #[test]
    fn honest_paths_pass() {
        assert!(HONEST.len() >= 20);
        for path in HONEST {
            assert_eq!(locate(&public(), path), Where::Under, "{path:?}");
        }
    }

    #[test]
    fn nothing_hostile_counts_as_merely_elsewhere() {
        let etc = [Directory::parse("/etc").unwrap()];
        for path in ["/etc/passwd", "/etc/./passwd", "/etc/a/../passwd"] {
            assert_eq!(locate(&etc, path), Where::Under, "{path:?}");
        }
        for path in ["/srv/../etc/passwd", "//etc/passwd", "/%65tc%2fpasswd", "etc/passwd", "/srv/%2e%2e/etc", "/etc/../etc/x"] {
            assert_eq!(locate(&etc, path), Where::Hostile, "{path:?}");
        }
        assert_eq!(locate(&etc, "/srv/public"), Where::Outside);
    }

    #[test]
    fn the_root_holds_every_honest_path() {
        let root = [Directory::parse("/").unwrap()];
        assert_eq!(locate(&root, "/etc/passwd"), Where::Under);
        assert_eq!(locate(&root, "/"), Where::Under);
        assert_ne!(locate(&root, "/.."), Where::Under);
        assert_ne!(locate(&root, "etc"), Where::Under);
    }

    #[test]
    fn directories_of_policies_are_plain() {
        for text in ["", "srv", "/srv/../x", "/srv/./x", "/srv//x", "/%2e", "~/x", "/a\\b"] {
            assert!(Directory::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Directory::parse("/srv/").unwrap().as_str(), "/srv");
    }

    #[test]
    fn uris_that_readers_disagree_about_are_hostile() {
        for uri in [
            "file:///srv/public/../x",
            "file:///srv/./x",
            "file:///srv/%2e%2e/x",
            "file:///srv/..%2fx",
            "file:///srv%2Fx",
            "file:///srv%252fx",
            "file:///srv\\x",
            "file:///srv/a%5cb",
            "file:///srv/a\0",
            "file:///a%00",
            "http://user@host/x",
            "http://user:pw@host/x",
            "file:///srv/..",
            "note:..",
            "file:///a/..;/b",
            "file:///a/..?x",
            "file:///a/..#x",
            "file:///%c0%ae/x",
            "file:///\u{ff0e}\u{ff0e}/x",
        ] {
            assert!(hostile_uri(uri), "{uri:?}");
        }
        for uri in [
            "file:///srv/public/a.txt",
            "note:///public/todo",
            "https://example.com:8443/a/b?q=1&r=a@b#frag",
            "urn:isbn:0451450523",
            "file:///srv/with%20space/x",
            "git://host/~user/repo",
            "demo://resource/static/document/a.md",
            "memo:x",
        ] {
            assert!(!hostile_uri(uri), "{uri:?}");
        }
    }
}
