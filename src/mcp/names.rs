//! Public names: what clients call the tools, prompts and resources of several upstreams.

use aws_lc_rs::digest::{SHA256, digest};

use crate::vocab::limits::PUBLIC_NAME_BYTES_MAX;

/// Between an upstream's name, which has no underscore, and a tool's or prompt's.
pub const SEPARATOR: &str = "__";
/// Between an upstream's name and a resource's URI.
pub const URI_SEPARATOR: char = '+';

const UPSTREAM_BYTES_MAX: usize = 32;
const DIGEST_HEX: usize = 12;

/// The public name of a tool or prompt: the full name, or a digest-ended short form where that is too long for clients.
pub fn public_name(upstream: &str, name: &str) -> String {
    let full = full_name(upstream, name);
    if full.len() <= PUBLIC_NAME_BYTES_MAX {
        return full;
    }
    let cut = full.floor_char_boundary(PUBLIC_NAME_BYTES_MAX - DIGEST_HEX - 1);
    let mut short = full.get(..cut).unwrap_or_default().to_owned();
    short.push('_');
    for byte in digest(&SHA256, full.as_bytes()).as_ref().iter().take(DIGEST_HEX / 2) {
        short.push(char::from(hex(byte >> 4)));
        short.push(char::from(hex(byte & 15)));
    }
    short
}

/// The name policies and records use, of any length.
pub fn full_name(upstream: &str, name: &str) -> String {
    [upstream, SEPARATOR, name].concat()
}

/// What stands before and after the first [`SEPARATOR`].
pub fn parts(full: &str) -> Option<(&str, &str)> {
    // Names are short: looking at every pair is done before a search for a text of any length is prepared.
    let at = full.as_bytes().windows(SEPARATOR.len()).position(|pair| pair == SEPARATOR.as_bytes())?;
    Some((full.get(..at)?, full.get(at + SEPARATOR.len()..)?))
}

/// Splits a public name that was not shortened.
pub fn split(public: &str) -> Option<(&str, &str)> {
    let (upstream, rest) = parts(public)?;
    (is_upstream(upstream) && !rest.is_empty()).then_some((upstream, rest))
}

/// The public URI, or URI template, of a resource. The prefix becomes part of the scheme and survives expansion.
pub fn public_uri(upstream: &str, uri: &str) -> String {
    let mut public = String::with_capacity(upstream.len() + 1 + uri.len());
    public.push_str(upstream);
    public.push(URI_SEPARATOR);
    public.push_str(uri);
    public
}

/// Splits a public URI.
pub fn split_uri(public: &str) -> Option<(&str, &str)> {
    let (upstream, uri) = public.split_once(URI_SEPARATOR)?;
    (is_upstream(upstream) && !uri.is_empty()).then_some((upstream, uri))
}

/// True for `[a-z][a-z0-9-]{0,31}`.
pub fn is_upstream(name: &str) -> bool {
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() <= UPSTREAM_BYTES_MAX && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(rest)
}

/// A URI that two readers would take for two resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URI is ambiguous")]
pub struct HostileUri;

/// Refuses URIs that say one thing to a rule and another to a server: dot segments, separators or dots that are encoded any
/// number of times, backslashes, control characters, user information, encodings that are not UTF-8.
///
/// # Errors
/// [`HostileUri`].
pub fn check_uri(uri: &str) -> Result<(), HostileUri> {
    if uri.chars().any(|c| c.is_control() || c == '\\') {
        return Err(HostileUri);
    }
    let decoded = decode_fully(uri)?;
    for text in [uri, decoded.as_str()] {
        let dots = |segment: &str| matches!(segment, "." | "..");
        if text.split(['/', '?', '#', ':', ';']).any(dots) || has_userinfo(text) {
            return Err(HostileUri);
        }
    }
    Ok(())
}

/// Decodes percent-encoding until none is left, in one pass: each decoded byte may complete an escape that stands before it.
fn decode_fully(uri: &str) -> Result<String, HostileUri> {
    let mut out = Vec::with_capacity(uri.len());
    for byte in uri.bytes() {
        out.push(byte);
        while let Some(decoded) = escape_at_end(&out) {
            if matches!(decoded, b'/' | b'\\' | b'.') || decoded.is_ascii_control() {
                return Err(HostileUri);
            }
            out.truncate(out.len() - 3);
            out.push(decoded);
        }
        if matches!(out.as_slice(), [.., b'%', b'u' | b'U']) {
            return Err(HostileUri);
        }
    }
    String::from_utf8(out).map_err(|_| HostileUri)
}

fn escape_at_end(text: &[u8]) -> Option<u8> {
    let [.., b'%', high, low] = text else { return None };
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// True when an authority, wherever one could begin, holds an `@`.
fn has_userinfo(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("//") {
        let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return true;
        }
        rest = after;
    }
    false
}

fn hex(nibble: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_survive_and_fit() {
        assert_eq!(public_name("files", "read_file"), "files__read_file");
        assert_eq!(split("files__read__file"), Some(("files", "read__file")));
        for odd in ["files_read", "__x", "files__", "Files__x", "fi_les__x", "1a__x", ""] {
            assert_eq!(split(odd), None, "{odd}");
        }
        let long = public_name("files", &"x".repeat(100));
        assert_eq!(long.len(), 64);
        // printf 'files__xxx…' | sha256sum
        assert_eq!(long, format!("files__{}_{}", "x".repeat(44), "209f3035f90f"));
        assert_eq!(public_name("f", &"y".repeat(61)).len(), 64);
        assert_ne!(public_name("files", &("x".repeat(100) + "a")), public_name("files", &("x".repeat(100) + "b")));
    }

    #[test]
    fn uris_survive() {
        assert_eq!(public_uri("docs", "file:///a+b"), "docs+file:///a+b");
        assert_eq!(split_uri("docs+file:///a+b"), Some(("docs", "file:///a+b")));
        for odd in ["file:///a+b", "+x", "docs+", "docs"] {
            assert_eq!(split_uri(odd), None, "{odd}");
        }
    }

    #[test]
    fn refuses_hostile_uris() {
        for uri in [
            "file:///srv/../etc/passwd",
            "file:///srv/./x",
            "file:///srv/..",
            "../x",
            "docs:../x",
            "file:///srv/%2e%2e/x",
            "file:///srv/.%2E/x",
            "file:///srv%2fetc",
            "file:///srv%252fetc",
            "file:///srv%25252525252fetc",
            "file:///a%2%35%32f",
            "file:///srv%5cetc",
            "file:///srv\\etc",
            "file:///srv/a\0b",
            "file:///srv/a%00b",
            "file:///srv/a\tb",
            "file:///srv/%c0%ae%c0%ae/x",
            "file:///srv/%u002e%u002e/x",
            "file:///srv/x?y=/../z",
            "file:///srv/..;a=b/x",
            "https://user@host/x",
            "https://user:pw@host/",
            "https://a%40b/",
            "https://a%2540b/",
            "//user@host/",
            "x:https://user@host/",
        ] {
            assert_eq!(check_uri(uri), Err(HostileUri), "{uri}");
        }
        for uri in [
            "file:///srv/public/a.txt",
            "file:///srv/a..b/...",
            "file:///srv/.hidden",
            "https://host/a@b?c=d%20e#f",
            "demo://resource/dynamic/text/{id}",
            "mailto:a@b",
            "file:///100%25",
            "file:///caf%C3%A9",
            "urn:a:b",
            "x",
            "file:///a%zz",
        ] {
            assert_eq!(check_uri(uri), Ok(()), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn no_number_of_encodings_hides_a_dot_segment(times in 0usize..12) {
            let mut text = "..".to_owned();
            for _ in 0..times {
                text = text.bytes().map(|b| format!("%{b:02x}")).collect();
                if text.len() > 4000 { break; }
            }
            let uri = format!("file:///a/{text}/b");
            prop_assert_eq!(check_uri(&uri), Err(HostileUri));
        }

        #[test]
        fn what_passes_is_stable_under_decoding(uri in "[a-z:/.%0-9A-F]{0,40}") {
            if check_uri(&uri).is_ok() {
                let mut text = uri;
                for _ in 0..20 {
                    prop_assert!(!text.split('/').any(|s| s == ".."), "{}", text);
                    text = decode_once(&text);
                }
            }
        }
    }

    /// As a server would: left to right, once.
    fn decode_once(text: &str) -> String {
        let bytes = text.as_bytes();
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            match bytes.get(at..at + 3).and_then(escape_at_end) {
                Some(byte) => {
                    out.push(byte);
                    at += 3;
                }
                None => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}
