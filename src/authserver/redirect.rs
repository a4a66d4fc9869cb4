//! Where codes may be sent: which addresses a client may register, and when a request names a registered one.

use url::Url;

/// Length of a redirect URI.
const URI_BYTES_MAX: usize = 2_048;

/// Whether a client may register `uri` on its own: https, or http to this machine; no fragment, user, or second reading.
pub fn is_acceptable(uri: &str) -> bool {
    let Some(url) = plain(uri) else { return false };
    match url.scheme() {
        "https" => url.host_str().is_some_and(|host| !host.is_empty()),
        "http" => loopback(uri).is_some(),
        _ => false,
    }
}

/// Whether `uri` has a scheme of its client's own (RFC 8252 section 7.1). The operator may configure one; nobody can register one, as
/// any program on a machine can claim any scheme.
pub fn is_custom_scheme(uri: &str) -> bool {
    const NEVER: [&str; 12] =
        ["http", "https", "javascript", "data", "vbscript", "file", "blob", "about", "ftp", "ws", "wss", "view-source"];
    plain(uri).is_some_and(|url| !NEVER.contains(&url.scheme()))
}

/// A URL that says what it seems to say: visible ASCII, no backslash, user or fragment.
fn plain(uri: &str) -> Option<Url> {
    let visible = uri.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'`'));
    let url = Url::parse(uri).ok().filter(|_| visible && uri.len() <= URI_BYTES_MAX && !uri.contains('#'))?;
    (url.username().is_empty() && url.password().is_none() && !uri.split(['/', '?']).nth(2).unwrap_or_default().contains('@'))
        .then_some(url)
}

/// Whether a request's `asked` is the registered one: byte for byte, but for the port of a loopback address (RFC 8252 section 7.3).
pub(super) fn matches(registered: &str, asked: &str) -> bool {
    if registered == asked {
        return true;
    }
    match (loopback(registered), loopback(asked)) {
        (Some(one), Some(other)) => one == other && plain(asked).is_some(),
        _ => false,
    }
}

/// Host and rest of an http URI to this machine, without its port.
fn loopback(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let (authority, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
    ["127.0.0.1", "[::1]", "localhost"].into_iter().find_map(|host| {
        let port = authority.strip_prefix(host)?;
        let is_port = port.strip_prefix(':').is_some_and(|digits| {
            digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|port| port > 0)
        });
        (port.is_empty() || is_port).then_some((host, path))
    })
}

/// Whether any program on the person's machine could receive the code: a loopback address, or a scheme of the client's own.
pub(super) fn is_local(uri: &str) -> bool {
    !uri.starts_with("https://")
}

/// What the consent page shows of `uri`: its host, or its scheme where that is all.
pub(super) fn host(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) => match (url.host_str(), url.scheme()) {
            (Some(host), "http" | "https") => host.to_owned(),
            (_, scheme) => format!("{scheme}:"),
        },
        Err(_) => String::new(),
    }
}

/// What a form must be allowed to lead to, so that a browser follows the redirect to `uri`.
pub(super) fn form_source(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url.origin().ascii_serialization(),
        Ok(url) => format!("{}:", url.scheme()),
        Err(_) => String::new(),
    }
}

/// `uri` with `parameters` added to its query, which stays as it is.
pub(super) fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let joint = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{query}")
}
