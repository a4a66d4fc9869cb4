//! URLs with variables in them: what stands beside the variables and could be a secret.

use super::secret;
use super::text::{Part, Text};

/// Where in a URL (RFC 3986) the next character is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Scheme,
    Authority,
    Path,
    /// The query and the fragment.
    Query,
}

/// `url` with what is literal in it and could be a secret as `hide` has it, which is told what it goes by: a host with user info,
/// what looks like a secret in the path, every value in the query.
pub(super) fn without_secrets(url: &Text, mut hide: impl FnMut(&str, &str) -> Text) -> Text {
    // What a variable begins may be anywhere in a URL; it is taken to be past the host.
    let mut place = if url.literals().any(|text| text.contains("://")) { Place::Scheme } else { Place::Path };
    let has_user = has_user_info(url);
    let mut parts = Vec::new();
    for part in &url.0 {
        let Part::Literal(text) = part else {
            parts.push(part.clone());
            continue;
        };
        let mut continues = !parts.is_empty();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (piece, after) = cut(rest, place);
            let (kept, secret, goes_by) = match place {
                Place::Scheme => (piece, "", ""),
                Place::Authority if has_user => ("", piece, "host"),
                Place::Authority => (piece, "", ""),
                Place::Path if piece.contains('=') || secret::is_value(piece) => ("", piece, "path"),
                Place::Path => (piece, "", ""),
                Place::Query => query(piece, continues),
            };
            push(&mut parts, kept);
            if !secret.is_empty() {
                parts.extend(hide(goes_by, secret).0);
            }
            let (mark, after) = after.split_at(mark(after, place));
            push(&mut parts, mark);
            place = next(place, mark);
            continues = false;
            rest = after;
        }
    }
    Text(parts)
}

/// Whether what comes before the path names a user, or their password.
fn has_user_info(url: &Text) -> bool {
    let literal: String = url.literals().collect();
    let behind = literal.split_once("://").map_or("", |(_, behind)| behind);
    behind.split(['/', '?', '#']).next().unwrap_or_default().contains('@')
}

/// What of `text` is of one piece, and what follows it.
fn cut(text: &str, place: Place) -> (&str, &str) {
    let end = match place {
        Place::Scheme => text.find("://"),
        Place::Authority => text.find(['/', '?', '#']),
        Place::Path => text.find(['/', '?', '#', '&', ';']),
        Place::Query => text.find(['&', ';', '#']),
    };
    text.split_at(end.unwrap_or(text.len()))
}

/// The length of the mark that `after` begins with.
fn mark(after: &str, place: Place) -> usize {
    match place {
        Place::Scheme => "://".len().min(after.len()),
        _ => after.len().min(1),
    }
}

/// Where a mark leads.
fn next(place: Place, mark: &str) -> Place {
    match (place, mark) {
        (place, "") => place,
        (Place::Scheme, _) => Place::Authority,
        (Place::Authority | Place::Path, "/") => Place::Path,
        _ => Place::Query,
    }
}

/// What to keep and what to hide of one pair in a query, and its name. One that continues what a variable began has none.
fn query(piece: &str, continues: bool) -> (&str, &str, &str) {
    match piece.split_once('=') {
        Some((name, value)) if !(secret::is_value(name) || continues && !name.is_empty()) => {
            (piece.strip_suffix(value).unwrap_or_default(), value, name)
        }
        _ => ("", piece, "query"),
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Literal(last)) => last.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::text::Places;
    use super::*;

    #[test]
    fn no_secret_stays_beside_a_variable() {
        let places = Places { workspace: Path::new("/w"), home: None };
        for (url, expected) in [
            ("http://127.0.0.1:9/mcp/${U}?key=d41d8", "http://127.0.0.1:9/mcp/${env:U}?key=<key:d41d8>"),
            ("https://h.example/${U}/mcp", "https://h.example/${env:U}/mcp"),
            ("https://h.example/?a=1&u=${U}", "https://h.example/?a=<a:1>&u=${env:U}"),
            ("https://h.example/?u=${U}&a=1&b=2#c", "https://h.example/?u=${env:U}&a=<a:1>&b=<b:2>#<query:c>"),
            ("https://h.example/?u=${U}tail", "https://h.example/?u=${env:U}<query:tail>"),
            ("https://h.example/?u=${U}tail=x", "https://h.example/?u=${env:U}<query:tail=x>"),
            ("https://h.example/?${N}=x", "https://h.example/?${env:N}=<:x>"),
            ("https://h.example/?bare&u=${U}", "https://h.example/?<query:bare>&u=${env:U}"),
            ("https://h.example?k=v&u=${U}", "https://h.example?k=<k:v>&u=${env:U}"),
            ("https://h.example/NjQ4YzY2MDUtMzk1x234567/${U}", "https://h.example/<path:NjQ4YzY2MDUtMzk1x234567>/${env:U}"),
            ("https://h.example/sk-a/${U};k=v", "https://h.example/<path:sk-a>/${env:U};k=<k:v>"),
            ("https://me:pw@h.example/${U}", "https://<host:me:pw@h.example>/${env:U}"),
            ("https://me:${PW}@h.example/mcp", "https://<host:me:>${env:PW}<host:@h.example>/mcp"),
            ("${BASE}/mcp?key=v", "${env:BASE}/mcp?key=<key:v>"),
            ("${BASE}&key=v", "${env:BASE}&key=<key:v>"),
            ("${SCHEME}://h:${PORT}/mcp", "${env:SCHEME}://h:${env:PORT}/mcp"),
        ] {
            let hide = |goes_by: &str, value: &str| Text::literal(format!("<{goes_by}:{value}>"));
            let written = without_secrets(&Text::read(url, &places), hide).to_yaml();
            assert_eq!(written, format!("\"{expected}\""), "{url}");
        }
    }
}
