//! For how long an answer is fresh.

use http::HeaderMap;
use http::header::CACHE_CONTROL;

/// The freshness that `Cache-Control` grants (RFC 9111 section 5.2.2). Of several values the shortest counts.
pub(super) fn max_age(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|v| v.to_str().ok());
    let directives = values.flat_map(|v| v.split(',')).map(str::trim);
    directives
        .filter_map(|directive| {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => Some(0),
                "max-age" => value.trim_matches('"').parse().ok(),
                _ => None,
            }
        })
        .min()
}
