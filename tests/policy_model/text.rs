//! Globs, regular expressions, paths and addresses, each read in the most obvious way.

use std::net::{IpAddr, Ipv6Addr};

use crate::arguments::fold;
use crate::facts::{REGEXES, URLS, UrlFacts};
use crate::language::UrlWant;
use crate::truth::Truth::{self, False, True, Unknown};
use crate::truth::all;

/// Section 8, globs.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    fn walk(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|n| walk(rest, &text[n..])),
            ['?', rest @ ..] => !text.is_empty() && walk(rest, &text[1..]),
            ['\\', c, rest @ ..] | [c, rest @ ..] => text.first() == Some(c) && walk(rest, &text[1..]),
        }
    }
    walk(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

/// Whether one of the expressions of the universe is found in `text`.
pub(crate) fn found(regex: &str, text: &str) -> bool {
    let (_, found) = REGEXES.iter().find(|(pattern, _)| *pattern == regex).unwrap();
    found(text)
}

/// Characters of the universe that some reader takes for a dot, a slash, a `%` or nothing.
const MISLEADING: &[char] = &['\\', '\u{ff0e}', '\u{ff0f}', '\u{2215}', '\u{200b}', '\u{202e}', '\u{ff05}', '\u{feff}'];

fn misleads(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || MISLEADING.contains(&c))
}

fn dots(name: &str) -> bool {
    name.chars().all(|c| c == '.' || c.is_whitespace())
}

/// Dots that do not look like it, or a drive.
fn disguised(segment: &str) -> bool {
    if matches!(segment, "" | "." | "..") {
        return false;
    }
    let name = segment.split([';', ':', '?', '#']).next().unwrap();
    (if name.is_empty() { segment.starts_with(';') } else { dots(name) }) || drive(segment)
}

fn drive(segment: &str) -> bool {
    let chars: Vec<char> = segment.chars().collect();
    matches!(&chars[..], [letter, ':' | '|', rest @ ..] if letter.is_ascii_alphabetic() && dots(&rest.iter().collect::<String>()))
}

/// The text as written and after each percent-decoding; `None` if a decoding is hostile or there is no end to them.
fn readings(text: &str) -> Option<Vec<String>> {
    let mut all = vec![text.to_owned()];
    for _ in 0..8 {
        let last = all.last().unwrap().clone();
        if !last.contains('%') {
            return Some(all);
        }
        let next = decoded(&last)?;
        if next == last {
            return Some(all);
        }
        if misleads(&next) || next.split('/').any(disguised) {
            return None;
        }
        all.push(next);
    }
    None
}

/// One percent-decoding; `None` if it gives a dot, a slash, a backslash, a `~`, or bytes that are no text.
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16)).and_then(|n| u8::try_from(n).ok());
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' && matches!(bytes.get(at + 1), Some(b'u' | b'U')) && (2..6).all(|n| hex(at + n).is_some()) {
            return None;
        }
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                let byte = high * 16 + low;
                if b"./\\~".contains(&byte) {
                    return None;
                }
                out.push(byte);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// Section 9, `path_under`. `None` for a hostile path.
pub(crate) fn is_under(directories: &[&str], text: &str) -> Option<bool> {
    if !text.starts_with('/') {
        return None;
    }
    let places: Option<Vec<bool>> = readings(text)?.iter().map(|reading| place(directories, reading)).collect();
    let places = places?;
    places.iter().all(|place| *place == places[0]).then_some(places[0])
}

fn place(directories: &[&str], path: &str) -> Option<bool> {
    if path.contains("//") || path.contains('~') || misleads(path) || path.split('/').any(disguised) {
        return None;
    }
    let names =
        |path: &str| -> Vec<String> { path.split('/').filter(|s| !s.is_empty() && *s != ".").map(str::to_owned).collect() };
    let steps = names(path);
    let inside = |directory: &&str| {
        let names = names(directory);
        let mut depth = 0_i32;
        steps.starts_with(&names)
            && steps[names.len()..].iter().all(|step| {
                depth += if step == ".." { -1 } else { 1 };
                depth >= 0
            })
    };
    // What the least exact reader makes of a name.
    let least = |name: &String| {
        let name = name.split([';', ':', '?', '#']).next().unwrap().trim_start();
        fold(name.trim_end_matches(|c: char| c == '.' || c.is_whitespace()))
    };
    let resembles = |directory: &&str| {
        let names = names(directory);
        steps.len() >= names.len() && names.iter().zip(&steps).all(|(name, step)| least(name) == least(step))
    };
    if directories.iter().any(inside) {
        return Some(true);
    }
    let doubtful = steps.iter().any(|s| s == "..") || directories.iter().any(resembles);
    if doubtful { None } else { Some(false) }
}

/// Section 15: whether a URI is refused before any rule is asked.
pub(crate) fn is_hostile_uri(uri: &str) -> bool {
    let authority = uri.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap());
    let dots = |segment: &str| matches!(segment, "." | "..") || disguised(segment) && !drive(segment);
    let Some(readings) = readings(uri) else { return true };
    authority.contains('@')
        || misleads(uri)
        || uri.split(['/', '?', '#', ':']).any(dots)
        || uri.split('/').any(drive)
        || readings.iter().any(|reading| escapes_plainly(reading))
        || is_second_spelling(uri)
}

/// An escaped letter, digit, `-` or `_`.
fn escapes_plainly(text: &str) -> bool {
    let plain = |piece: &str| {
        let byte = piece.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.split('%').skip(1).any(plain)
}

fn is_second_spelling(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let usual = matches!(&*scheme.to_ascii_lowercase(), "file" | "http" | "https");
    let path = rest.strip_prefix("//").unwrap_or_default();
    (usual && scheme != scheme.to_ascii_lowercase())
        || (scheme == "file" && (!path.starts_with('/') || path.contains("//") || path.contains("/~")))
}

/// The facts about an honest URL of the universe; `None` for a hostile one and for what is no URL.
pub(crate) fn url(text: &str) -> Option<&'static UrlFacts> {
    URLS.iter().find(|(url, _)| *url == text).and_then(|(_, facts)| facts.as_ref())
}

/// Section 9, `url`, for an honest URL. Unknown where a pattern knows only one form of an address with another inside.
pub(crate) fn url_is(want: &UrlWant, url: &UrlFacts) -> Truth {
    let inner = match url.host {
        "::ffff:a00:1" => "10.0.0.1",
        "64:ff9b::7f00:1" => "127.0.0.1",
        "2002:a9fe:a9fe::" => "169.254.169.254",
        other => other,
    };
    let is_host = |host: &str| want.host.is_empty() || want.host.iter().any(|pattern| glob(pattern, host));
    all(&[
        (want.scheme.is_empty() || want.scheme.contains(&url.scheme)).into(),
        if is_host(url.host) == is_host(inner) { is_host(inner).into() } else { Unknown },
        (want.port.is_empty() || want.port.contains(&url.port)).into(),
        (want.path.is_empty() || want.path.iter().any(|pattern| glob(pattern, url.path))).into(),
        (want.address.is_empty() || want.address.contains(&url.address)).into(),
    ])
}

/// Section 9, `cidr`. Unknown for an address in odd notation.
pub(crate) fn is_in(networks: &[&str], text: &str) -> Truth {
    let Ok(address) = text.parse::<IpAddr>() else { return if is_odd(text) { Unknown } else { False } };
    let inside = |network: &&str| {
        let (base, length) = network.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        match (address.to_canonical(), base.parse::<IpAddr>().unwrap()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).checked_shr(32 - length).unwrap_or(0) == 0,
            (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).checked_shr(128 - length).unwrap_or(0) == 0,
            _ => false,
        }
    };
    if networks.iter().any(inside) { True } else { False }
}

/// An address that only some readers take for one: white space around, brackets, a port, a zone, numbers as the WHATWG URL
/// standard reads them.
pub(crate) fn is_odd(text: &str) -> bool {
    let text = text.trim();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or((rest, "")),
        None if text.matches(':').count() == 1 => text.split_once(':').unwrap(),
        None => (text, ""),
    };
    if !port.trim_start_matches(':').bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    host.split('%').next().unwrap().parse::<Ipv6Addr>().is_ok() || is_v4(host)
}

fn is_v4(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let number = |part: &str| -> Option<u64> {
        let lower = part.to_ascii_lowercase();
        match lower.strip_prefix("0x") {
            Some("") => Some(0),
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None if lower.starts_with('0') && lower.len() > 1 => u64::from_str_radix(&lower[1..], 8).ok(),
            None if lower.bytes().all(|b| b.is_ascii_digit()) => lower.parse().ok(),
            None => None,
        }
    };
    let numbers: Option<Vec<u64>> = text.split('.').map(number).collect();
    let Some(numbers) = numbers.filter(|n| n.len() <= 4) else { return false };
    let (last, front) = numbers.split_last().unwrap();
    front.iter().all(|n| *n < 256) && *last < 256_u64.pow(5 - u32::try_from(numbers.len()).unwrap())
}

#[test]
fn paths_are_read_as_the_page_says() {
    for (path, expect) in [
        ("/srv/public/a/../b", Some(true)),
        ("/srv/public", Some(true)),
        ("/srv/public/../x", None),
        ("/x/../srv/public", None),
        ("/srv/publicity", Some(false)),
        ("/srv/public/%2e%2e/x", None),
        ("/srv/public/%252e", None),
        ("/srv/public/a%20b", Some(true)),
        ("/srv/public/.../x", None),
        ("srv/public", None),
    ] {
        assert_eq!(is_under(&["/srv/public"], path), expect, "{path}");
    }
}
